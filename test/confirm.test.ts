/** `confirm: rows`, end to end: a write that touched more than its card said waits before its COMMIT, and what becomes of it is true. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, carol } = PEOPLE;
const WITHIN_MS = 20_000;
const PATIENT = { ms: 60_000 }; // cards come late on a busy machine

/** The statistics say 3 rows, as they were when there were so many. */
const TABLES = `
  CREATE TABLE stock (id int, note text) WITH (autovacuum_enabled = false);
  INSERT INTO stock SELECT n, 'x' FROM generate_series(1, 3) n;
  ANALYZE stock;
  INSERT INTO stock SELECT n, 'x' FROM generate_series(4, 400) n;
  CREATE TABLE fresh (id int);
  INSERT INTO fresh VALUES (1), (2);
`;
const rules = [
  {
    id: 'counted',
    match: { connection: 'orders', action: ['insert', 'update', 'delete', 'ddl', 'copy-in'] },
    verdict: 'hold',
    confirm: 'rows',
  },
];

describe('a rule with confirm: rows', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    world = await startWorld({
      gateways: 2,
      config: (config: Config) => ({
        ...config,
        approvals: { ...config.approvals, confirm: { factor: 2, within: `${WITHIN_MS / 1_000}s` } },
        rules,
      }),
    });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    await withClient(world.upstreamUrl, (client) => client.query(TABLES));
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const rows = (): Promise<number> =>
    withClient(
      world.upstreamUrl,
      async (client) => (await client.query('SELECT count(*)::int n FROM stock')).rows[0].n,
    );
  const entries = async (n = 1): Promise<Record<string, unknown>[]> => {
    const dir = join(world.dir, `audit-${n}`);
    const files = (await readdir(dir)).filter((name) => name.endsWith('.jsonl')).sort();
    const lines = (await Promise.all(files.map((name) => readFile(join(dir, name), 'utf8')))).join('').split('\n');
    return lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  };
  const message = async ({ ts }: Message, text: RegExp): Promise<string> =>
    shownBy(await slack.message((_, found) => found.ts === ts && text.test(shownBy(found)), PATIENT));

  const open = (...texts: string[]): Promise<Message> =>
    slack.message((shown, found) => texts.every((text) => shown.includes(text)) && hasButton(found, 'deny'), PATIENT);

  /** Approved as its card had it; `statement` is what makes it the only one of its kind. */
  const approved = async (statement: string, gateway = world.gateways[0]) => {
    const shown = statement.split('\n').at(-1)?.slice(0, -1) ?? '';
    for (;;) {
      const psql = new Psql(await world.downstream({ gateway }));
      psql.send(statement);
      const first = await open(shown);
      const told = await message(first, /Rows affected: (about|no estimate)/);
      if (told.includes('Rows affected: about')) {
        assert.equal((await slack.click(alice, { ts: first.ts }, 'approve')).ok, true);
        return { psql, first };
      }
      await slack.deny(alice, first.ts, 'no estimate in time: once more'); // a busy machine
      await psql.close();
    }
  };

  it('commits unasked what touched as many as its card said', async () => {
    const { psql, first } = await approved("UPDATE stock SET note = 'z' WHERE id = 1;");
    await psql.until('UPDATE 1');
    assert.match(await message(first, /UPDATE 1 row in/), /UPDATE 1 row in [\d.]+ m?s(?!, committed)/);
    await psql.close();
  });

  it('asks again with the real number, and commits once that is confirmed; both records and the trail say so', async () => {
    const { psql, first } = await approved("UPDATE stock SET note = 'y';");
    const second = await open('touched 400: commit?');
    assert.match(shownBy(second), /UPDATE (on )?public\.stock.*: estimated \d+, touched 400: commit\?/);
    assert.match(shownBy(second), /keeps its locks until this is decided, 20 s at most/);
    assert.match(shownBy(second), /triggers and cascades are not counted/);
    await psql.until('touched 400 rows, not committed yet: held for confirmation');
    assert.equal((await slack.click(carol, { ts: second.ts }, 'approve')).ok, true);
    await psql.until('UPDATE 400');
    await message(first, /UPDATE 400 rows in [\d.]+ m?s, committed after confirmation/);
    await message(second, /UPDATE 400 rows in/);
    const trail = await entries();
    assert.deepEqual(
      trail.flatMap(({ kind, touched }) =>
        kind === 'hold.open' && touched ? [(touched as { rows: number }).rows] : [],
      ),
      [400],
    );
    assert.ok(trail.some(({ kind, note }) => kind === 'outcome' && note === 'committed after confirmation'));
    await psql.close();
  });

  it('asks about any row of a table that nobody has counted', async () => {
    const psql = new Psql(await world.downstream({ gateway: world.gateways[0] }));
    psql.send('DELETE FROM fresh WHERE id = 1;');
    const first = await open('DELETE FROM fresh');
    await message(first, /Rows affected: no estimate: nobody has counted the rows of its tables/);
    assert.equal((await slack.click(alice, { ts: first.ts }, 'approve')).ok, true);
    const second = await open('no estimate, touched 1: commit?');
    assert.equal((await slack.click(carol, { ts: second.ts }, 'approve')).ok, true);
    await psql.until('DELETE 1');
    await psql.close();
  });

  it('rolls back what is denied', async () => {
    const { psql, first } = await approved('DELETE FROM stock;');
    const second = await open('touched 400: commit?', 'DELETE');
    assert.equal((await slack.deny(carol, second.ts, 'not that many')).ok, true);
    await psql.until('not that many');
    assert.match(await message(second, /Denied/), /Rolled back: nothing of it was kept\./);
    const record = await message(first, /Rolled back/);
    assert.match(record, /Approved, but not kept/);
    assert.match(record, /Rolled back: not confirmed: denied by/);
    assert.doesNotMatch(record, /Failed on the target/);
    assert.equal(await rows(), 400);
    psql.send('SELECT 41 + 1;');
    await psql.until('42');
    await psql.close();
  });

  it('rolls back what nobody decides in time, in a transaction of the client too, and its locks are free', async () => {
    const { psql } = await approved('BEGIN;\nDELETE FROM stock WHERE id > 0;');
    const second = await open('touched 400: commit?', 'inside a transaction');
    await psql.until('nobody decided before');
    assert.match(await message(second, /Expired/), /Rolled back: nothing of it was kept\./);
    await withClient(world.upstreamUrl, (client) =>
      client.query("SET lock_timeout = '2s'; BEGIN; LOCK TABLE stock IN ACCESS EXCLUSIVE MODE; ROLLBACK"),
    );
    psql.send('COMMIT;');
    await psql.until('ROLLBACK');
    assert.equal(await rows(), 400);
    await psql.close();
  });

  it('is refused before anybody is asked where it cannot be kept', async () => {
    const psql = new Psql(await world.downstream());
    const before = (await slack.messages()).length;
    for (const [statement, why] of [
      ['VACUUM stock;', 'cannot run in a transaction block'],
      ['CREATE INDEX CONCURRENTLY stock_id ON stock (id);', 'cannot run in a transaction block'],
      ['COPY stock FROM STDIN;', 'its approval has limits of its own'],
      ['DELETE FROM stock WHERE id = 1 \\; DELETE FROM stock WHERE id = 2;', 'send this statement alone'],
    ] as const) {
      psql.send(statement);
      await psql.until(why);
    }
    assert.equal((await slack.messages()).length, before);
    assert.equal(await rows(), 400);
    await psql.close();
  });

  it('leaves nothing of it behind when its gateway is killed while it waits, and the card does not say otherwise', async () => {
    const gateway = world.gateways[1];
    assert.ok(gateway);
    const { psql } = await approved('DELETE FROM stock WHERE id < 9999;', gateway);
    const second = await open('touched 400: commit?', '9999');
    await gateway.end('SIGKILL');
    assert.ok(
      await eventually(() =>
        withClient(world.upstreamUrl, async (client) => {
          const open =
            "SELECT count(*)::int n FROM pg_stat_activity WHERE query LIKE 'DELETE FROM stock WHERE id < 9999%'";
          return (await client.query(open)).rows[0].n === 0;
        }),
      ),
    );
    assert.equal(await rows(), 400);
    assert.match(await message(second, /Lost/), /COMMIT was never sent, so its target rolls it back/);
    await psql.close();
  });
});
