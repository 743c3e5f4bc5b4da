/** Redis that forgets, goes away for long or answers slowly while somebody waits: nothing runs unseen, and no card lies. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, carol } = PEOPLE;

describe('while somebody waits', { timeout: 180_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    const audited = { id: 'audited', match: { object: 'audited' }, verdict: 'hold', approvers: ['oidc:data-science'] };
    world = await startWorld({
      slackMode: 'http',
      config: (config: Config) => ({ ...config, rules: [...config.rules, audited] }),
    });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const held = async (name: string): Promise<{ psql: Psql; card: Message }> => {
    await withClient(world.upstreamUrl, (client) => client.query(`CREATE TABLE IF NOT EXISTS ${name} (id int)`));
    const psql = new Psql(await world.downstream());
    psql.send(`DROP TABLE ${name};`);
    return { psql, card: await slack.card(`DROP TABLE ${name}`) };
  };
  const exists = (name: string): Promise<boolean> =>
    withClient(
      world.upstreamUrl,
      async (client) => (await client.query('SELECT to_regclass($1) AS t', [name])).rows[0].t !== null,
    );
  const approvedOn = (card: Message, user: string) =>
    eventually(async () => {
      const acted = await slack.click(user, { ts: card.ts }, 'approve');
      return acted.ok && acted.ephemeral.some(({ text }) => text.startsWith('Counted'));
    }, 30_000);

  it('counts people of an oidc group once they have shown a token that says so', async () => {
    await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE audited AS SELECT 1 AS id'));
    const psql = new Psql(await world.downstream());
    psql.send('DELETE FROM audited WHERE id = 1;');
    const card = await slack.card('DELETE FROM audited');
    const early = await slack.click(carol, { ts: card.ts }, 'approve');
    assert.match(early.ephemeral.map(({ text }) => text).join(), /you are not among oidc:data-science/);
    const shown = await fetch(`${world.gateways[0]?.web}/v1/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await world.oidc.personToken('carol')}` },
    });
    assert.equal(shown.status, 200);
    assert.ok(await approvedOn(card, carol), 'an approver named by her group is not counted');
    await psql.until('DELETE 1');
    await psql.close();
  });

  it('goes on when Redis forgets everything: the card is there again and can be approved', async () => {
    const { psql, card } = await held('forgotten');
    await world.redis.restart({ loseData: true });
    const again = await eventually(async () => {
      const open = (await slack.messages()).findLast(
        (message) => shownBy(message).includes('DROP TABLE forgotten') && hasButton(message, 'approve'),
      );
      return open && (await approvedOn(open, alice)) ? open : undefined;
    }, 60_000);
    assert.ok(again, 'nobody can decide any more');
    await psql.until('DROP TABLE', 30_000);
    await psql.close();
    await slack.message((shown) => /DROP TABLE in/.test(shown) && shown.includes('DROP TABLE forgotten'));
    const left = (await slack.messages()).filter(
      (message) => shownBy(message).includes('DROP TABLE forgotten') && hasButton(message, 'approve'),
    );
    assert.deepEqual(left.map(shownBy), [], `a card still asks for what was decided (first: ${card.ts})`);
  });

  it('is withdrawn natively when Redis is away for longer than a lease, and its card says so later', async () => {
    const { psql, card } = await held('long_away');
    await world.redis.kill();
    assert.match(await psql.until(/ERROR: .*\n/, 30_000), /lost touch with Redis/);
    await world.redis.start();
    const record = await slack.message(
      (shown, message) => message.ts === card.ts && !hasButton(message, 'approve') && /withdrawn/i.test(shown),
    );
    assert.match(shownBy(record), /nothing was run/i);
    assert.equal(await exists('long_away'), true);
    await psql.close();
  });
});
