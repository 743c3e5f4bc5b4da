/** Grants end to end: psql at two gateways, a click in Slack, and what passes from then on; plans: test/plans.test.ts. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';
import { trailOf } from './support/world-trail.ts';

const { alice, bob, carol } = PEOPLE;
const rules = [
  {
    id: 'stock',
    match: { object: 'stock', action: ['insert', 'update', 'delete'] },
    verdict: 'hold',
    why: 'Stock is counted by hand',
  },
  {
    id: 'parcels',
    match: { object: 'parcels', action: ['update'] },
    verdict: 'hold',
    approvers: [bob],
    why: 'Bob sends them',
  },
];

describe('grants, from click to use', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    world = await startWorld({ gateways: 2, config: (config: Config) => ({ ...config, rules }) });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    await withClient(world.upstreamUrl, async (client) => {
      await client.query(`CREATE TABLE stock (id int PRIMARY KEY, item text, n int);
        INSERT INTO stock SELECT i, 'item ' || i, 0 FROM generate_series(1, 500) i; ANALYZE stock;
        CREATE TABLE parcels (id int PRIMARY KEY, sent bool); INSERT INTO parcels VALUES (1), (2); ANALYZE parcels`);
    });
  });
  afterEach(() => Psql.endAll());
  after(() => world?.stop());

  const psqlAt = async (n: number, client = 'report-bot') => {
    const gateway = world.gateways[n] ?? assert.fail('no such gateway');
    return new Psql(await world.downstream({ client, gateway }));
  };
  /** Its card, once it offers to approve the like. */
  const offered = async (statement: string, minutes: string): Promise<Message> => {
    await slack.card(statement);
    return slack.message(
      (shown, message) => shown.includes(statement) && JSON.stringify(message.blocks).includes(minutes),
    );
  };
  const approveLike = async (user: string, statement: string, value: string) => {
    const card = await offered(statement, value);
    const clicked = await slack.click(user, { ts: card.ts }, 'more', value);
    assert.equal(clicked.ok, true, clicked.error);
    const shown = await slack.message((text, { ts }) => ts === card.ts && /Approved besides: its shape for/.test(text));
    return { card, id: /grant ([0-9a-f]{10})/.exec(shownBy(shown))?.[1] ?? assert.fail('it names no grant') };
  };
  const thread = (card: Message, says: string | RegExp) =>
    slack.message((shown, { thread_ts }) => thread_ts === card.ts && new RegExp(says).test(shown));
  const ask = async (user: string, text: string): Promise<Message> => {
    const before = new Set((await slack.messages({ user })).map(({ ts }) => ts));
    await slack.post('/command', { user, channel: world.channel, command: '/gate', text });
    const found = await eventually(async () =>
      (await slack.messages({ user })).find(({ ts, ephemeral }) => ephemeral === true && !before.has(ts)),
    );
    return found ?? assert.fail('nothing was answered');
  };

  it('let the like pass at any gateway, told in the thread, until somebody revokes it', async () => {
    const here = await psqlAt(0);
    here.send('UPDATE stock SET n = 5 WHERE id = 17;');
    const { card, id } = await approveLike(carol, 'id = 17', 'grant:15m');
    await here.until('UPDATE 1');
    await thread(card, `Grant ${id}: .*20 uses until`);

    here.send('update stock set n = 5 where id = 18 -- the next');
    here.send(';');
    await here.until('UPDATE 1');
    const there = await psqlAt(1);
    there.send('UPDATE stock SET n = 5 WHERE id = 19;');
    await there.until('UPDATE 1');
    await thread(card, `grant ${id}, use 1 of 20.*id = 18`);
    await thread(card, `grant ${id}, use 2 of 20.*id = 19`);

    const list = await ask(carol, 'grants');
    assert.match(shownBy(list), new RegExp(`Grant ${id}, 18 of 20 uses left`));
    const revoked = await slack.click(carol, { ts: list.ts }, 'gate.0');
    assert.equal(revoked.ok, true, revoked.error);
    await thread(card, `Grant ${id} has ended: revoked by`);
    for (const says of [
      'Approved besides: its shape',
      `Grant ${id}: report-bot`,
      `grant ${id}, use 1`,
      `grant ${id}, use 2`,
    ]) {
      const over = await slack.message(
        (shown, { ts, thread_ts }) =>
          [ts, thread_ts].includes(card.ts) && shown.includes(says) && /has ended: revoked by Carol/.test(shown),
      );
      assert.ok(!hasButton(over, 'gate.0'), `nothing to revoke under ${says}`);
    }
    for (const psql of [here, there]) {
      psql.send('UPDATE stock SET n = 5 WHERE id = 20;');
      await psql.until(/held for approval/);
      await slack.click(carol, { ts: (await slack.card('id = 20')).ts }, 'approve');
      await psql.until('UPDATE 1');
    }
    const uses = await trailOf(world, 'grant.used');
    assert.deepEqual(uses.map(({ use, grant }) => [use, grant]).sort(), [
      [1, id],
      [2, id],
    ]);
  });

  it('cover no other statement: another value set, another condition, a transaction, an open end', async () => {
    const psql = await psqlAt(0);
    psql.send('UPDATE stock SET n = 9 WHERE id = 1;');
    await approveLike(alice, 'n = 9 WHERE id = 1', 'grant:1h');
    await psql.until('UPDATE 1');
    for (const sql of [
      'UPDATE stock SET n = 10 WHERE id = 1',
      'UPDATE stock SET n = 9 WHERE id = 1 OR true',
      'UPDATE stock SET n = 9 WHERE id <= 2',
      "UPDATE stock SET n = 9 WHERE item = 'item 2'",
      'UPDATE stock SET n = 9 WHERE id = (SELECT 2)',
      'DELETE FROM stock WHERE id = 1',
    ]) {
      psql.send(`${sql};`);
      await psql.until(/held for approval/);
      await slack.deny(alice, (await slack.card(sql)).ts, 'not that');
      await psql.until(/ERROR/);
    }
    psql.send('BEGIN; ');
    psql.send('UPDATE stock SET n = 9 WHERE id = 2;');
    await psql.until(/held for approval/);
    await slack.deny(alice, (await slack.card('n = 9 WHERE id = 2')).ts, 'not in there');
    await psql.until(/ERROR/);
    psql.send('ROLLBACK;');
    psql.send('UPDATE stock SET n = 9 WHERE id = 2;');
    await psql.until('UPDATE 1');
  });

  it('cover what is inserted and what is bound', async () => {
    const psql = await psqlAt(0);
    psql.send("INSERT INTO stock VALUES (1001, 'a', 1);");
    await approveLike(carol, '1001', 'grant:15m');
    await psql.until('INSERT 0 1');
    psql.send("INSERT INTO stock VALUES (1002, 'b; DROP TABLE stock', 2);");
    await psql.until('INSERT 0 1');
    await withClient(await world.downstream(), async (client) => {
      const change = (id: number) => client.query('UPDATE stock SET n = $2 WHERE id = $1', [id, 77]);
      const first = change(30);
      await approveLike(carol, '$1', 'grant:15m');
      await first;
      assert.equal((await change(31)).rowCount, 1);
    });
  });

  it('can be ended by whoever granted them, admin or not', async () => {
    const psql = await psqlAt(0, 'deploy-bot');
    psql.send('UPDATE parcels SET sent = true WHERE id = 1;');
    const { card, id } = await approveLike(bob, 'sent = true WHERE id = 1', 'grant:15m');
    await psql.until('UPDATE 1');
    const offer = await thread(card, `Grant ${id}: `);
    assert.ok(hasButton(offer, 'gate.0') || /Revoke grant/.test(shownBy(offer)), JSON.stringify(offer.blocks));
    assert.match(shownBy(await ask(bob, `revoke ${id}`)), /is revoked/);
    psql.send('UPDATE parcels SET sent = true WHERE id = 2;');
    await psql.until(/held for approval/);
    assert.match(shownBy(await ask(bob, `revoke ${id}`)), /There is no grant/);
  });
});
