/** Masked columns as a user meets them: psql and drivers in one hand, Slack, the trail and the metrics in the other. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type pg from 'pg';
import { cliArgs } from './support/cli.ts';
import { Psql } from './support/psql.ts';
import { cardNumber, withClient } from './support/seed.ts';
import { eventually, shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { alice } = PEOPLE;

describe('masked columns, as a user meets them', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;
  let url: string;

  before(async () => {
    world = await startWorld();
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    url = await world.downstream();
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const ask = (sql: string, values: unknown[] = []) =>
    withClient(url, async (client) => (await client.query(sql, values)).rows as Record<string, unknown>[]);
  const truth = (sql: string) =>
    withClient(world.upstreamUrl, async (client) => (await client.query(sql)).rows as Record<string, unknown>[]);
  const trail = async (): Promise<string> => {
    const args = cliArgs('audit', 'show', `${world.dir}/audit-1`);
    return (await promisify(execFile)(process.execPath, args, { cwd: root, maxBuffer: 64 << 20 })).stdout;
  };

  it('come back masked from SELECT *, and every other column untouched', async () => {
    const [row] = await ask('SELECT * FROM customers WHERE id = 17');
    const [real] = await truth('SELECT * FROM customers WHERE id = 17');
    assert.ok(row && real);
    assert.equal(row.ssn, `•••-••-${String(real.ssn).slice(-4)}`);
    assert.equal(row.card_number, `**** **** **** ${cardNumber(17).slice(-4)}`);
    assert.match(String(row.email), /^.•••@•••\.com$/);
    assert.deepEqual([row.id, row.name, row.created_at], [real.id, real.name, real.created_at]);
  });

  it('come back masked in binary, through prepared statements, cursors and a client that never asks what its columns are', async () => {
    const [real] = await truth('SELECT ssn, card_number FROM customers WHERE id = 18');
    await withClient(url, async (client) => {
      for (let i = 0; i < 3; i++) {
        const { rows } = await client.query({
          name: 'one',
          text: 'SELECT ssn FROM customers WHERE id = $1',
          values: [18],
        });
        assert.notEqual(rows[0].ssn, real?.ssn);
      }
      const binary = await client.query({
        text: 'SELECT id, ssn, secret_no FROM customers JOIN payments USING (id) WHERE id = $1',
        values: [18],
        binary: true,
      } as pg.QueryConfig);
      assert.doesNotMatch(String(binary.rows[0].ssn), /\d{3}-\d{2}/);
      assert.equal(binary.rows[0].secret_no, null);
      await client.query('BEGIN');
      await client.query('DECLARE c CURSOR FOR SELECT card_number FROM customers ORDER BY id');
      const fetched = await client.query('FETCH 3 FROM c');
      assert.deepEqual(
        fetched.rows.map(({ card_number }) => card_number),
        [1, 2, 3].map((i) => `**** **** **** ${cardNumber(i).slice(-4)}`),
      );
      await client.query('COMMIT');
    });
  });

  it('do not come back through expressions, whole rows, views or attribute notation', async () => {
    for (const sql of [
      'SELECT reverse(ssn) AS x FROM customers WHERE id = 17',
      "SELECT ssn || '' AS x FROM customers WHERE id = 17",
      'SELECT to_json(c)::text AS x FROM customers c WHERE id = 17',
      'SELECT c::text AS x FROM customers c WHERE id = 17',
      'SELECT c.row_to_json::text AS x FROM customers c WHERE id = 17',
      "SELECT string_agg(ssn, ',') AS x FROM customers WHERE id = 17",
      'SELECT x FROM (SELECT substr(ssn, 1, 11) AS x FROM customers WHERE id = 17) s',
      'SELECT email AS x FROM customer_directory WHERE id = 17',
    ]) {
      const [real] = await truth('SELECT ssn, email FROM customers WHERE id = 17');
      const shown = JSON.stringify(await ask(sql));
      assert.ok(!shown.includes(String(real?.ssn)) && !shown.includes(String(real?.email)), `${sql}: ${shown}`);
      assert.ok(!shown.includes([...String(real?.ssn)].reverse().join('')), `${sql}: ${shown}`);
      assert.match(shown, /•••|null/, sql);
    }
  });

  it('leave ordinary questions as they were', async () => {
    for (const sql of [
      'SELECT count(*) AS n FROM customers',
      'SELECT status, sum(total) AS s, count(*) AS n FROM orders GROUP BY status ORDER BY 1',
      'SELECT upper(name) AS n, id FROM customers ORDER BY id LIMIT 5 OFFSET 20',
      "SELECT date_trunc('month', placed_at) AS m, avg(total) AS a FROM orders GROUP BY 1 ORDER BY 1",
      'SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY o.id LIMIT 3',
      'SELECT count(email) AS n, count(DISTINCT ssn) AS d FROM customers',
      'SELECT id, email IS NOT NULL AS has FROM customers ORDER BY id LIMIT 2',
    ]) {
      assert.deepEqual(await ask(sql), await truth(sql), sql);
    }
  });

  it('are not in what an error says', async () => {
    const [real] = await truth('SELECT ssn FROM customers WHERE id = 17');
    for (const sql of [
      'SELECT ssn::int FROM customers WHERE id = 17',
      'UPDATE customers SET name = NULL WHERE id = 17',
    ]) {
      await withClient(url, (client) =>
        assert.rejects(client.query(sql), (error: pg.DatabaseError) => {
          assert.ok(!JSON.stringify({ ...error, message: error.message }).includes(String(real?.ssn)));
          assert.match(error.message, /withheld/);
          return ['22P02', '23502'].includes(error.code ?? '');
        }),
      );
    }
    await assert.rejects(ask('SELECT nmae FROM customers'), /column "nmae" does not exist/, 'an error about the text');
  });

  it('hold COPY of them, and mask it when somebody approves', async () => {
    const psql = new Psql(url);
    psql.send('COPY (SELECT id, ssn, name FROM customers ORDER BY id LIMIT 2) TO STDOUT WITH CSV;');
    const card = await slack.card('COPY');
    assert.match(shownBy(card), /masking:held/);
    assert.equal((await slack.click(alice, { ts: card.ts }, 'approve')).ok, true);
    const out = await psql.until(/^1,.*\n2,.*\n/m);
    assert.match(out, /1,"?•••-••-\d{4}"?,/);
    await psql.close();
  });

  it('keep their form in a binary COPY of a query, where their type is known, and are NULL where it is not', async () => {
    const psql = new Psql(url);
    psql.send('COPY (SELECT ssn, reverse(ssn), name FROM customers WHERE id = 17) TO STDOUT (FORMAT binary);');
    const card = await slack.card('reverse(ssn)');
    assert.equal((await slack.click(alice, { ts: card.ts }, 'approve')).ok, true);
    const name = String((await truth('SELECT name FROM customers WHERE id = 17'))[0]?.name);
    const out = await psql.until(new RegExp(name));
    const last4 = String((await truth('SELECT ssn FROM customers WHERE id = 17'))[0]?.ssn).slice(-4);
    assert.ok(out.includes(`\0\x15•••-••-${last4}${'\ufffd'.repeat(4)}`), out); // 21 bytes, and no length: NULL
    await psql.close();
    const said = await eventually(async () => /tag="COPY 1" rows=\d+/.exec(await trail())?.[0]);
    assert.equal(said, 'tag="COPY 1" rows=1', 'a header and a trailer are no rows');
  });

  it('are shown for one statement to whom somebody lets see them, and the trail says so', async () => {
    const [real] = await truth('SELECT ssn FROM customers WHERE id = 19');
    await withClient(url, async (client) => {
      await client.query("SET countersign.reveal = 'ticket 4711'");
      const pending = client.query('SELECT ssn FROM customers WHERE id = 19');
      const card = await slack.card('ticket 4711');
      assert.match(shownBy(card), /public\.customers\.ssn/);
      assert.equal((await slack.click(alice, { ts: card.ts }, 'approve')).ok, true);
      assert.equal((await pending).rows[0].ssn, real?.ssn);
      const again = await client.query('SELECT ssn FROM customers WHERE id = 19');
      assert.match(again.rows[0].ssn, /^•••/, 'for one statement only');
      await client.query("SET countersign.reveal = 'two at once'");
      const both = (await client.query(
        'SELECT ssn FROM customers WHERE id = 19; SELECT ssn FROM customers LIMIT 2',
      )) as unknown;
      for (const { rows } of both as { rows: { ssn: string }[] }[]) assert.match(rows[0]?.ssn ?? '', /^•••/);
      for (const forget of ['RESET ALL', 'DISCARD ALL']) {
        await client.query("SET countersign.reveal = 'nobody asked yet'");
        await client.query(forget);
        const { rows } = await client.query('SELECT ssn FROM customers WHERE id = 19');
        assert.match(rows[0].ssn, /^•••/, `not behind ${forget}`);
      }
    });
    assert.match(await trail(), /reveal=\{"columns":\["public\.customers\.ssn"\],"reason":"ticket 4711"\}/);
  });

  it('are not on the card or in the trail when a statement compares with them', async () => {
    const psql = new Psql(url);
    psql.send("UPDATE customers SET ssn = '219-09-9999' WHERE ssn = '457-55-5462' OR true;");
    const card = await slack.card('UPDATE customers SET ssn');
    assert.match(shownBy(card), /‹masked›/);
    assert.doesNotMatch(shownBy(card), /219-09-9999|457-55-5462/);
    assert.equal((await slack.deny(PEOPLE.carol, card.ts, 'no')).ok, true);
    await psql.until('ERROR');
    await psql.close();
    assert.doesNotMatch(await trail(), /219-09-9999|457-55-5462/);
  });

  it('are counted: what was masked and why, conditions that read them, how old the catalogue was', async () => {
    await ask("SELECT ssn, reverse(email) FROM customers WHERE email = 'a@example.com' OR id = 3");
    const metrics = await eventually(async () => {
      const text = await (await fetch(`${world.gateways[0]?.web}/metrics`)).text();
      return text.includes('why="taint"') ? text : undefined;
    });
    assert.match(metrics ?? '', /countersign_masked_values_total\{connection="orders",why="origin"\} \d+/);
    assert.match(metrics ?? '', /countersign_masked_predicates_total\{connection="orders",kind="equality"\} \d+/);
    assert.match(metrics ?? '', /countersign_catalogue_age_seconds\{connection="orders"\} [\d.]+/);
    const written = await trail();
    assert.match(written, /masked=\{"origin":\d+,"taint":\d+,"catalogueMs":\d+\}/);
    assert.match(written, /predicates=\[\{"column":"public\.customers\.email","kind":"equality"\}\]/);
  });

  it('are explained before anything runs, for whoever asks', async () => {
    const explain = (sql: string, ...more: string[]) =>
      world.command('policy', 'explain', sql, '--connection', 'orders', ...more);
    const read = await explain('SELECT reverse(ssn), name FROM customers WHERE email = $1');
    assert.match(read, /SELECT from public\.customers/);
    assert.match(read, /verdict: allow/);
    assert.match(read, /public\.customers\.(ssn|email)/);
    const held = await explain('INSERT INTO notes SELECT ssn FROM customers');
    assert.match(held, /verdict: hold: .*masking:held/);
    await assert.rejects(
      world.command('policy', 'explain', 'SELECT 1', '--connection', 'nowhere'),
      /expected one of orders/,
    );
  });

  it('are masked for live sessions as soon as a rule says so, and no longer than it does', async () => {
    await withClient(url, async (client) => {
      const name = async () => String((await client.query('SELECT name FROM customers WHERE id = 17')).rows[0].name);
      assert.equal(await name(), 'Femi Gruber');
      const rule = { connection: 'orders', columns: ['public.customers.name'], as: { fixed: 'somebody' } };
      const with_ = (masking: unknown) => world.reconfigure((config) => ({ ...config, masking }));
      await with_([rule]);
      assert.equal(await eventually(async () => (await name()) === 'somebody' && 'masked'), 'masked');
      await with_([]);
      assert.equal(await eventually(async () => (await name()) === 'Femi Gruber' && 'seen'), 'seen');
    });
  });
});
