/** The corpus of test/policies.yaml, judged offline and against a real target, and run there to see what it changes. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { parse } from 'yaml';
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import { GatewayError } from '../../errors.ts';
import { createCatalog } from './catalog/catalog.ts';
import { type CatalogDescription, describedCatalog } from './catalog/describe.ts';
import { classify, createInspector } from './inspect.ts';
import type { Inspector, StatementFacts } from './types.ts';

type Case = {
  readonly sql: string;
  readonly verdict?: string;
  readonly actions?: readonly string[];
  readonly not?: readonly string[];
  readonly objects?: readonly string[];
  readonly headline?: string;
};
const file = (name: string) => new URL(`../../../test/${name}`, import.meta.url);
const corpus = parse(await readFile(file('policies.yaml'), 'utf8')) as {
  catalog: CatalogDescription;
  cases: readonly Case[];
};
const snapshot = describedCatalog(corpus.catalog);
const offline = (sql: string) => classify(sql, { serverMajor: 18, catalog: snapshot });
const refused = (thrown: unknown) => thrown instanceof GatewayError;
const effectsOf = (facts: readonly StatementFacts[]) => facts.flatMap((one) => one.effects);
const harmless = (facts: readonly StatementFacts[]) =>
  effectsOf(facts).every(({ action }) => ['read', 'copy-out', 'session', 'transaction'].includes(action));

describe('the corpus, offline', () => {
  it('is as large as the issue asks for, with 60 that must never pass as a read', async () => {
    assert.ok(corpus.cases.length >= 150);
    let guarded = 0;
    for (const one of corpus.cases) {
      const facts = await offline(one.sql).catch(() => []);
      if (facts.length > 0 && !harmless(facts) && one.verdict !== 'allow') guarded++;
    }
    assert.ok(guarded >= 60, `${guarded}`);
  });

  it('is classified as expected', async () => {
    for (const one of corpus.cases) {
      if (one.verdict === 'refused') {
        await assert.rejects(offline(one.sql), refused, one.sql);
        continue;
      }
      const facts = await offline(one.sql);
      const actions = new Set(effectsOf(facts).map(({ action }) => action as string));
      if (one.actions) assert.deepEqual([...actions].sort(), [...one.actions].sort(), one.sql);
      for (const action of one.not ?? []) assert.ok(!actions.has(action), `${one.sql}: ${action}`);
      for (const object of one.objects ?? [])
        assert.ok(
          effectsOf(facts).some((effect) => effect.object === object),
          `${one.sql}: ${object}`,
        );
      if (one.headline) assert.equal(facts.map((f) => f.headline).join('; '), one.headline);
      for (const { effects } of facts) assert.ok(effects.length > 0, one.sql);
    }
  });

  it('gives the same classes with the grammars of 15, 16 and 17 wherever these can parse the text', async () => {
    for (const serverMajor of [15, 16, 17]) {
      for (const { sql } of corpus.cases) {
        const newest = await offline(sql).catch(() => undefined);
        const older = await classify(sql, { serverMajor, catalog: snapshot }).catch(() => undefined);
        if (newest && older && !sql.includes('1_000')) {
          assert.deepEqual(effectsOf(older), effectsOf(newest), `${serverMajor}: ${sql}`);
        }
      }
    }
  });
});

describe('the corpus, against a real target', () => {
  let server: TestPostgres;
  let inspector: Inspector;
  let gate: pg.Client;

  before(async () => {
    server = await startPostgres();
    const owner = new pg.Client(server.url('postgres'));
    await owner.connect();
    await owner.query(`CREATE ROLE gate LOGIN PASSWORD 'gate'`);
    await owner.query('CREATE DATABASE orders OWNER gate');
    await owner.end();
    gate = new pg.Client(server.url('orders', 'gate', 'gate'));
    gate.on('error', () => undefined);
    await gate.connect();
    await gate.query(await readFile(file('policies.schema.sql'), 'utf8'));
    const catalog = createCatalog({
      connect: async () => {
        const client = new pg.Client(server.url('orders', 'gate', 'gate'));
        await client.connect();
        return client;
      },
    });
    inspector = createInspector({
      serverMajor: 18,
      catalog,
      maskLiteral: (text) => text,
      cacheEntries: 100,
      workerDeadlineMs: 1_000,
    });
  });
  after(async () => {
    await inspector?.close();
    await gate?.end();
    await server?.stop();
  });
  const live = async (sql: string) => inspector.inspect(sql, { frame: '', searchPath: ['public'] });

  it('is judged as strictly by what the target says of itself as by the description', async () => {
    for (const { sql } of corpus.cases) {
      const described = await offline(sql).catch(() => undefined);
      if (!described) {
        await assert.rejects(live(sql), refused, sql);
        continue;
      }
      const actual = await live(sql);
      const classes = (facts: readonly StatementFacts[]) => [...new Set(effectsOf(facts).map((e) => e.action))].sort();
      assert.deepEqual(classes(actual), classes(described), sql);
    }
  });

  it('never calls a read what changes a row, a definition, a sequence, a setting or a lock when it runs', async () => {
    // All of it inside a transaction that is rolled back; what the target refuses has changed nothing.
    const state = `select (select sum(n_tup_ins + n_tup_upd + n_tup_del)::text from pg_stat_xact_all_tables),
      (select sum(coalesce(last_value, 0))::text from pg_sequences),
      (select md5(string_agg(name || setting, ',' order by name)) from pg_settings where name <> 'transaction_isolation'),
      (select count(*)::text from pg_locks where locktype in ('advisory', 'tuple')
        or mode in ('RowShareLock', 'RowExclusiveLock', 'ShareLock', 'ExclusiveLock', 'AccessExclusiveLock')
          and locktype = 'relation' and pid = pg_backend_pid())`;
    const seen = async () => JSON.stringify((await gate.query({ text: state, rowMode: 'array' })).rows);
    let ran = 0;
    let changed = 0;
    for (const { sql } of corpus.cases) {
      const facts = await live(sql).catch(() => []);
      const effects = effectsOf(facts);
      if (facts.length === 0) continue; // refused, or nothing to run
      if (effects.some(({ action }) => action === 'transaction' || action === 'copy-in')) continue;
      if (sql.includes('\0') || /^COPY.*STDOUT/s.test(sql) || sql.trim() === '') continue;
      await gate.query('begin');
      const before = await seen();
      const failed = await gate.query(sql).then(
        () => false,
        () => true,
      );
      const now = failed ? before : await seen();
      await gate.query('rollback');
      await gate.query('reset all');
      if (!failed) ran++;
      if (now === before) continue;
      changed++;
      const onlyReads = effects.every(({ action }) => action === 'read' || action === 'copy-out');
      assert.ok(!onlyReads, `changed something, passed as a read: ${sql}`);
    }
    assert.ok(ran > 100, `only ${ran} ran`);
    assert.ok(changed > 60, `only ${changed} changed anything`);
  });
});
