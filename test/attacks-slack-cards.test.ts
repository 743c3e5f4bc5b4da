/** Attack classes 43-49 of the Slack side, through the whole product: what a card shows, to whom, and when nobody sees it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { type Attacks, attacks, buttonOf, connected, target, withdrawn } from './support/slack-attacks.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

const { alice } = PEOPLE;

describe('attacks by what a card shows, over two gateways, two bots and signed HTTP', { timeout: 180_000 }, () => {
  let world: World;
  let slack: Workspace;
  let held: Attacks['held'];

  let cast: Attacks['cast'];

  before(async () => {
    world = await startWorld({ slackMode: 'http', gateways: 2, bots: 2 });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    ({ held, cast } = attacks(world, slack));
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  it('43 routing: application_name, comments, the name in the URL and odd names change no channel, headline or approver', async () => {
    const table = await target(world);
    const odd = '"<!channel> @alice #general"';
    await withClient(world.upstreamUrl, (client) => client.query(`CREATE TABLE IF NOT EXISTS ${odd} (id int)`));
    const plain = await held(`DELETE FROM ${table.name}`);
    const expected = String((plain.card.blocks?.[0] as { text?: { text?: string } })?.text?.text);
    await withdrawn(plain.psql);
    const url = new URL(await world.downstream());
    url.username = 'alice';
    url.searchParams.set('application_name', 'channel=C0GENERAL approvers=@everyone');
    const psql = new Psql(url.toString());
    psql.send(`DELETE FROM ${table.name} /* channel: C0GENERAL; approvers: @everyone; headline: SELECT */;`);
    const card = await slack.card(`DELETE FROM ${table.name} /*`);
    assert.equal(String((card.blocks?.[0] as { text?: { text?: string } })?.text?.text), expected);
    assert.match(shownBy(card), /report-bot.*from @dba-oncall/s);
    assert.equal((await slack.messages({ channel: 'C0GENERAL' })).length, 0);
    await withdrawn(psql);
    const named = await held(`DELETE FROM ${odd}`, '<!channel> @alice #general');
    assert.doesNotMatch(named.card.text, /<!channel>/);
    assert.doesNotMatch(JSON.stringify(parsed(named.card)), /!channel|C0GENERAL/);
    await withdrawn(named.psql);
  });

  it('44 truncation: spaces, line breaks, 3,000 characters and 48 KB are reviewed whole or refused', async () => {
    const table = await target(world);
    for (const [n, padding] of [' '.repeat(5_000), '\n'.repeat(500), `/* ${'x'.repeat(3_000)} */`].entries()) {
      const client = await connected(world);
      const asked = client.query(`DELETE /* padded ${n} */${padding}FROM ${table.name}`).catch((error: Error) => error);
      const card = await slack.card(`DELETE /* padded ${n} */`);
      assert.equal(hasButton(card, 'approve'), false, 'Approve before all was read');
      const { block_id, value } = buttonOf(card, 'deny');
      const sneaked = await slack.post('/click', {
        user: alice,
        channel: world.channel,
        ts: card.ts,
        action_id: 'approve',
      });
      assert.equal(sneaked.ok, false);
      await cast(card, { action_id: 'approve', block_id, value });
      assert.equal(await table.rows(), 1);
      await client.end();
      await asked;
    }
    const statement = (bytes: number) => {
      const text = `DELETE FROM ${table.name} /*`;
      return `${text}${'x'.repeat(bytes - text.length - 2)}*/`;
    };
    const client = await connected(world);
    await assert.rejects(client.query(statement(48 * 1024 + 1)), /too long for a person to review/);
    const fits = client.query(statement(48 * 1024)).catch((error: Error) => error);
    const card = await slack.card('more characters: open Details');
    assert.equal(hasButton(card, 'approve'), false);
    await client.end();
    await fits;
    assert.equal(await table.rows(), 1);
  });

  it('45-47 deception: markup, look-alikes and a reassuring comment stay text, are flagged, and change no headline', async () => {
    const table = await target(world);
    const corpus = [
      '``` <!channel> <!here> <@U0ALICE> <https://evil.example|https://good.example> *bold* :white_check_mark: Approved by @alice',
      '\u202edaer\u202c only',
      '\u0430ccounts',
      'a\u200bb',
      '\u001b[2K\u001b[1A done',
      '-- reviewer: read only',
    ];
    let expected: string | undefined;
    for (const [n, hostile] of corpus.entries()) {
      const client = await connected(world);
      const asked = client.query(`DELETE FROM ${table.name} /* #${n} ${hostile} */`).catch((error: Error) => error);
      const card = await slack.card(`/* #${n} `);
      const headline = String((card.blocks?.[0] as { text?: { text?: string } })?.text?.text);
      expected ??= headline;
      assert.equal(headline, expected);
      assert.doesNotMatch(card.text, /<!|<@|<http|```|white_check_mark/);
      for (const node of parsed(card)) assert.match(JSON.stringify(node), /Expires|please decide/);
      const hides = n >= 1 && n <= 4;
      assert.equal(hasButton(card, 'approve'), !hides, hostile);
      if (hides) assert.match(shownBy(card), /hides something|⟨U\+/);
      await client.end();
      await asked;
    }
    assert.equal(await table.rows(), 1);
  });

  it('48 flooding: one agent’s many holds stop at its limit, and another agent’s card comes all the same', async () => {
    const table = await target(world);
    const flood = await Promise.all(Array.from({ length: 14 }, () => connected(world)));
    const answers = flood.map((client) =>
      client.query(`DELETE FROM ${table.name} /* flood */`).then(
        () => 'ran',
        (error: Error) => error.message,
      ),
    );
    await eventually(async () => (await Promise.all(answers.map(now0))).filter(Boolean).length >= 4);
    const refused = (await Promise.all(answers.map(now0))).filter(Boolean);
    assert.equal(refused.length, 4);
    for (const why of refused) assert.match(String(why), /10 operations waiting for approval already/);
    const other = new Psql(await world.downstream({ client: 'deploy-bot' }));
    other.send(`DELETE FROM ${table.name} /* patient */;`);
    await slack.card('/* patient */');
    await withdrawn(other);
    await Promise.all(flood.map((client) => client.end()));
    await Promise.all(answers);
    assert.equal(await table.rows(), 1);
  });

  it('49 no channel: archived, or without the bot in it, the client learns at once that nobody is asked', async () => {
    const table = await target(world);
    const ways: [Record<string, unknown>, Record<string, unknown>, RegExp][] = [
      [{ archived: true }, { archived: false }, /nobody sees it yet, .*the channel is archived/],
      [{ remove: ['U0GATEBOT'] }, { add: ['U0GATEBOT'] }, /nobody sees it yet, .*invite it with/],
    ];
    for (const [break_, mend, said] of ways) {
      await slack.post('/channel', { channel: world.channel, ...break_ });
      const psql = new Psql(await world.downstream({ client: 'deploy-bot' })); // who has not flooded a moment ago
      psql.send(`DELETE FROM ${table.name};`);
      await psql.until(said);
      await slack.post('/channel', { channel: world.channel, ...mend });
      await withdrawn(psql);
    }
    assert.equal(await table.rows(), 1);
  });
});

/** Everything on a card that Slack parses, or that links, rings or draws. */
const parsed = (card: Message): unknown[] => {
  const found: unknown[] = [];
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) for (const one of value) walk(one);
    else if (typeof value === 'object' && value !== null) {
      const { type } = value as { type?: string };
      if (['mrkdwn', 'link', 'emoji', 'broadcast', 'channel', 'image'].includes(String(type))) found.push(value);
      for (const one of Object.values(value)) walk(one);
    }
  };
  walk(card.blocks);
  return found;
};

const now0 = (answer: Promise<string>): Promise<string | undefined> =>
  Promise.race([answer, new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)))]);
