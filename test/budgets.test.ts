/** Exports of the demo, end to end: a thousand rows arrive, a card asks about the rest, and whatever it says comes true. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import pg from 'pg';
import { Psql } from './support/psql.ts';
import { eventually, shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, carol } = PEOPLE;
const ALL = 5_000;

describe('more than a thousand rows of the demo', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;
  const clients: pg.Client[] = [];

  before(async () => {
    world = await startWorld();
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end().catch(() => {})));
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const connect = async () => {
    const client = new pg.Client({ connectionString: await world.downstream() });
    client.on('error', () => {});
    await client.connect();
    clients.push(client);
    return client;
  };

  /** A query whose rows are counted as they come, and whose end is awaited. */
  const reading = (client: pg.Client, text: string) => {
    const query = new pg.Query(text);
    const rows: unknown[] = [];
    query.on('row', (row) => rows.push(row));
    const end = once(query, 'end').then(() => undefined);
    const failed = new Promise<pg.DatabaseError>((resolve) => query.once('error', (error) => resolve(error as never)));
    client.query(query);
    return { rows, end: Promise.race([end, failed]) };
  };
  const entries = async (): Promise<Record<string, unknown>[]> => {
    const dir = join(world.dir, 'audit-1');
    const files = (await readdir(dir)).filter((name) => name.endsWith('.jsonl')).sort();
    const lines = (await Promise.all(files.map((name) => readFile(join(dir, name), 'utf8')))).join('').split('\n');
    return lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  };
  const card = (headline: string) => slack.card(`${headline}: past 1,000 rows`);

  it('flow on when that is approved; the card shows three of them', async () => {
    const client = await connect();
    const { rows, end } = reading(client, 'SELECT id, name FROM customers ORDER BY id');
    const asking = await card('SELECT from public.customers');
    const shown = shownBy(asking);
    assert.match(shown, /PRODUCTION · orders: SELECT from public\.customers: past 1,000 rows/);
    assert.match(shown, /Stopped after 1,000 rows\. The first 3 rows, as the client got them:/);
    assert.match(shown, /1 │ \S.*\n2 │ \S.*\n3 │ \S/);
    assert.match(shown, /its client has 1,000 rows \(\d+(\.\d)? KB\) of it/);
    assert.ok(await eventually(() => rows.length === 1_000), `${rows.length} rows came`);
    assert.equal((await slack.click(alice, { ts: asking.ts }, 'approve')).ok, true);
    assert.equal(await end, undefined);
    assert.equal(rows.length, ALL);
    const done = await slack.message((text) => text.includes('past 1,000 rows') && /SELECT 5,000 rows in/.test(text));
    assert.equal(done.ts, asking.ts);
  });

  it('end in a native error when that is denied, psql says so, and card and trail tell the same', async () => {
    const psql = new Psql(await world.downstream());
    psql.send('SELECT id FROM customers;');
    const asking = await card('SELECT from public.customers');
    await psql.until('held for approval after 1,000 rows');
    await slack.deny(carol, asking.ts, 'take a sample');
    await psql.until(/ERROR: {2}denied by .*: take a sample \(\w{6}, exports\)/);
    await psql.until('HINT:  A person decided this');
    await psql.until('The first 1,000 rows were sent, the rest was not.');
    psql.send('SELECT 41 + 1 AS answer;');
    await psql.until('42');
    await psql.close();
    const record = await slack.message((_, { ts }) => ts === asking.ts);
    assert.ok(
      await eventually(async () =>
        /Denied[\s\S]*Stopped after 1,000 rows\./.test(shownBy(await slack.message((_, { ts }) => ts === record.ts))),
      ),
    );
    const trail = await eventually(async () => {
      const all = await entries();
      return all.some(({ kind, message }) => kind === 'outcome' && /take a sample/.test(String(message))) && all;
    });
    assert.ok(trail, 'the outcome is in the trail');
    const opened = trail.findLast(({ kind }) => kind === 'hold.open');
    assert.deepEqual((opened?.stopped as { rows?: number })?.rows, 1_000);
    const outcome = trail.findLast(({ kind, operation }) => kind === 'outcome' && operation === opened?.operation);
    assert.match(String(outcome?.message), /^stopped after 1,000 rows: denied by/);
  });

  it('in a transaction: the target has aborted it', async () => {
    const client = await connect();
    await client.query('BEGIN');
    await client.query("UPDATE orders SET status = 'seen' WHERE id = 1");
    const { rows, end } = reading(client, 'SELECT id FROM customers');
    await slack.deny(alice, (await card('SELECT from public.customers')).ts, 'no');
    assert.equal((await end)?.code, '42501');
    assert.equal(rows.length, 1_000);
    await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
    assert.notEqual((await client.query('SELECT status FROM orders WHERE id = 1')).rows[0].status, 'seen');
  });

  it('through a cursor: counted over all that is fetched from it', async () => {
    const client = await connect();
    await client.query('BEGIN');
    await client.query('DECLARE part CURSOR FOR SELECT id FROM customers ORDER BY id');
    assert.equal((await client.query('FETCH 900 FROM part')).rows.length, 900);
    const { rows, end } = reading(client, 'FETCH 900 FROM part');
    const asking = await slack.card('past 1,000 rows');
    assert.ok(await eventually(() => rows.length === 100), `${rows.length} rows came`);
    await slack.click(alice, { ts: asking.ts }, 'approve');
    assert.equal(await end, undefined);
    assert.equal((await client.query('FETCH ALL FROM part')).rows.length, ALL - 1_800);
    await client.query('COMMIT');
  });

  it('by COPY: the lines stop, and flow on', async () => {
    const psql = new Psql(await world.downstream(), { args: ['-At'] });
    psql.send('COPY (SELECT id FROM customers ORDER BY id) TO STDOUT;');
    const asking = await slack.card('past 1,000 rows');
    await psql.until(/\n1000\n/);
    assert.doesNotMatch(psql.output, /\n1001\n/);
    await slack.click(carol, { ts: asking.ts }, 'approve');
    await psql.until(/\n5000\n/);
    await psql.close();
  });

  it('cancelled while somebody is asked: the card says so, and nobody can approve it any more', async () => {
    const psql = new Psql(await world.downstream());
    psql.send('SELECT id FROM customers;');
    const asking = await card('SELECT from public.customers');
    psql.signal('SIGINT');
    await psql.until('canceling statement due to user request');
    const record = await slack.message((text, { ts }) => ts === asking.ts && text.includes('Withdrawn'));
    assert.match(shownBy(record), /Stopped after 1,000 rows\./);
    await psql.close();
  });

  it('killed while somebody is asked: the session is over', async () => {
    const client = await connect();
    const { rows, end } = reading(client, 'SELECT id FROM customers');
    const asking = await card('SELECT from public.customers');
    assert.equal((await slack.click(alice, { ts: asking.ts }, 'more', 'kill')).ok, true);
    assert.equal((await end)?.code, '57P01');
    assert.equal(rows.length, 1_000);
    const record = await slack.message((text, { ts }) => ts === asking.ts && text.includes('Withdrawn'));
    assert.match(shownBy(record), /Stopped after 1,000 rows\./);
  });

  it('leave nobody waiting: every card has its end', async () => {
    const open = (await slack.messages()).filter((message) => JSON.stringify(message).includes('"action_id":"deny"'));
    assert.deepEqual(open.map(shownBy), []);
  });
});
