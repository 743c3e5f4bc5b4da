/** Redis that forgets, goes away or is slow, and a bot that dies, while somebody waits: nothing runs unseen, no card lies. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
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

  const countedVotes = async (): Promise<number> => {
    const dir = `${world.dir}/audit-1`;
    const files = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.jsonl'));
    const texts = await Promise.all(files.map((name) => readFile(`${dir}/${name}`, 'utf8')));
    const entries = texts.flatMap((text) =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    );
    return entries.filter(({ kind, counted }) => kind === 'hold.vote' && counted === true).length;
  };

  it('counts people of an oidc group once they have shown a token that says so', async () => {
    await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE audited AS SELECT 1 AS id'));
    const psql = new Psql(await world.downstream());
    psql.send('DELETE FROM audited WHERE id = 1;');
    const card = await slack.card('DELETE FROM audited');
    const early = await slack.told(carol, () => slack.click(carol, { ts: card.ts }, 'approve'));
    assert.match(shownBy(early), /you are not among oidc:data-science/);
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

  it('is withdrawn natively when Redis is away for longer than a lease; once it is back all goes on within seconds', async () => {
    const { psql, card } = await held('long_away');
    await world.redis.kill();
    assert.match(await psql.until(/ERROR: .*\n/, 30_000), /lost touch with Redis/);
    await psql.close();
    await world.redis.start();
    const back = performance.now();
    const url = await eventually(() => world.downstream().catch(() => undefined), 5_000);
    assert.ok(url, 'nobody can sign in');
    const ready = await eventually(async () => (await fetch(`${world.gateways[0]?.web}/readyz`)).ok, 5_000);
    assert.ok(ready, 'the gateway does not say that it is ready');
    const next = new Psql(url);
    next.send('DROP TABLE IF EXISTS long_away;');
    const open = await slack.card('DROP TABLE IF EXISTS long_away', { ms: 5_000 });
    assert.ok(await approvedOn(open, alice), 'a vote on a new hold is not counted');
    await next.until('DROP TABLE', 5_000);
    assert.ok(performance.now() - back < 10_000, 'it took too long');
    await next.close();
    const record = await slack.message(
      (shown, message) => message.ts === card.ts && !hasButton(message, 'approve') && /withdrawn/i.test(shown),
    );
    assert.match(shownBy(record), /nothing was run/i);
    assert.equal(await exists('long_away'), false);
  });

  it('goes on when Redis is slow: a vote counts once, and nothing is withdrawn', async () => {
    const redis = new Redis(world.redis.url);
    try {
      for (const [name, pauseMs] of [
        ['slow', 1_500],
        ['slower', 6_000], // longer than any command may take
      ] as const) {
        const { psql, card } = await held(name);
        const before = await countedVotes();
        await redis.client('PAUSE', pauseMs, 'ALL');
        // Slack may show that the click took too long; who sees that clicks again.
        const voted = await eventually(async () => {
          await slack.click(alice, { ts: card.ts }, 'approve');
          return (await countedVotes()) > before;
        });
        assert.ok(voted, 'the vote was not counted');
        assert.match(await psql.until(/DROP TABLE\n|ERROR: .*\n/, 20_000), /^.*DROP TABLE\n$/s);
        assert.equal(await exists(name), false);
        await psql.close();
        const record = await slack.message(
          (shown, { ts, ...message }) =>
            ts === card.ts && /DROP TABLE in/.test(shown) && !hasButton(message, 'approve'),
        );
        assert.match(shownBy(record), /1 of 1/);
        assert.equal((await countedVotes()) - before, 1);
      }
      assert.deepEqual(
        [...world.gateways, ...world.bots].map((one) => one.alive()),
        [true, true],
      );
    } finally {
      redis.disconnect();
    }
  });
});

describe('a bot that is killed while it posts a card', { timeout: 60_000 }, () => {
  it('leaves one card, which another bot finds within seconds and takes votes on', async () => {
    const world = await startWorld();
    const redis = new Redis(world.redis.url);
    const slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    try {
      await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE orphaned (id int)'));
      // Slack has the call and posts later than the dead bot's lock lasts: the next bot must not post it, too.
      await slack.fault({ kind: 'delay', method: 'chat.postMessage', ms: 8_000, count: 1 });
      const psql = new Psql(await world.downstream());
      psql.send('DROP TABLE orphaned;');
      const posting = await eventually(async () => {
        const [key] = await redis.keys('countersign:bot:card:*');
        return key !== undefined && (await redis.hexists(key, 'posting')) === 1;
      });
      assert.ok(posting, 'no bot began to post');
      await world.bots[0]?.end('SIGKILL');
      const killed = performance.now();
      await world.startBot();
      const card = await slack.card('DROP TABLE orphaned');
      const acted = await eventually(async () => {
        const { ephemeral } = await slack.click(alice, { ts: card.ts }, 'approve');
        return ephemeral.some(({ text }) => text.startsWith('Counted'));
      });
      assert.ok(acted, 'the card cannot be decided');
      await psql.until('DROP TABLE');
      // A queue's defaults would take a minute over it; what is left is a bot's start on a busy machine.
      assert.ok(performance.now() - killed < 45_000, 'it took too long');
      await psql.close();
      await slack.message((shown, message) => /DROP TABLE in/.test(shown) && !hasButton(message, 'approve'));
      const end = killed + 9_000; // the dead bot's call has been carried out by then
      const cards = await eventually(async () => {
        const all = (await slack.messages()).filter((message) => shownBy(message).includes('DROP TABLE orphaned'));
        return (all.length > 1 || performance.now() > end) && all.map(({ ts }) => ts);
      });
      assert.deepEqual(cards, [card.ts]);
    } finally {
      redis.disconnect();
      await Psql.endAll();
      await world.stop();
    }
  });
});
