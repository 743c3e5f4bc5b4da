/** The inspector under hostile text, a changing catalogue, a lost target; what it shows of secrets. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import { GatewayError } from '../../errors.ts';
import { type Catalog, createCatalog } from './catalog/catalog.ts';
import { describedCatalog } from './catalog/describe.ts';
import { displayName } from './inspect/names.ts';
import { Parser } from './inspect/parser.ts';
import { show } from './inspect/show.ts';
import { classify, createInspector } from './inspect.ts';
import type { Inspector, StatementFacts } from './types.ts';

const unparseable = (thrown: unknown) => thrown instanceof GatewayError && thrown.code === 'UNPARSEABLE';
const CARD = /\d[\d -]{11,18}\d/g;
const mask = (text: string) => text.replace(CARD, '#');
const actionsOf = (facts: readonly StatementFacts[]) => [
  ...new Set(facts.flatMap((one) => one.effects.map((effect) => effect.action))),
];

describe('the parser', () => {
  const parser = new Parser({ serverMajor: 18, deadlineMs: 2_000 });
  after(() => parser.close());

  it('is sound again after every text that kills it', async () => {
    const hostile = [
      `select ${'1+'.repeat(60_000)}1`,
      `select ${'(select '.repeat(8_000)}1${')'.repeat(8_000)}`,
      `select 1${' union all select 1'.repeat(30_000)}`,
      `select ${'('.repeat(3_500)}1${')'.repeat(3_500)}`,
    ];
    for (const text of [...hostile, ...hostile]) {
      await Promise.resolve(parser.parse(text)).catch((thrown) => assert.ok(unparseable(thrown), String(thrown)));
      assert.equal((await parser.parse('select 1; select 2')).length, 2);
      assert.equal((await parser.parse(`select 1 -- ${'x'.repeat(9_000)}`)).length, 1);
    }
  });

  it('gives up on a text at the deadline and reads the next one', async () => {
    const hurried = new Parser({ serverMajor: 18, deadlineMs: 1 });
    await assert.rejects(async () => hurried.parse(`select ${'1,'.repeat(300_000)}1`), unparseable);
    await assert.rejects(async () => hurried.parse(`select ${'1,'.repeat(300_000)}1`), unparseable);
    await hurried.close();
  });

  it('refuses a tree too deep for it at once, and makes nobody wait for the deadline', async () => {
    const patient = new Parser({ serverMajor: 18, deadlineMs: 3_600_000 });
    const joined = `select 1 from a${' join b on true'.repeat(3_000)}`;
    const [deep, next] = await Promise.allSettled([
      patient.parse(joined),
      patient.parse(`select 1 -- ${'x'.repeat(9_000)}`),
    ]);
    assert.match(deep.status === 'rejected' ? String(deep.reason) : 'read', /nested too deeply/);
    assert.equal(next.status, 'fulfilled');
    await patient.close();
  });

  it('refuses NUL and lone surrogates, which it would read differently from the server', () => {
    assert.throws(() => parser.parse('select 1\0; drop table x'), unparseable);
    assert.throws(() => parser.parse('select \ud800'), unparseable);
  });

  it('refuses to guess the grammar of a release it does not have', () => {
    assert.throws(() => new Parser({ serverMajor: 12, deadlineMs: 1 }), { code: 'CONFIG' });
    assert.throws(() => new Parser({ serverMajor: 19, deadlineMs: 1 }), { code: 'CONFIG' });
  });
});

describe('what is shown', () => {
  const shown = (text: string, secret = false) => show(text, mask, secret);

  it('is the statement byte for byte where nothing is sensitive', () => {
    for (const text of [
      `select E'a\\'b', $x$ '$$' $x$, "we""ird", U&'\\0441', 1.5e-3, $1 -- it's\n/* /* ' */ */ from t`,
      `insert into t values ('it''s', b'01', x'ff', n'x')\n'y'`,
      `create function f() returns int language plpgsql as $f$ begin return '1'; end $f$`,
    ])
      assert.equal(shown(text), text);
  });

  it('masks a value however the literal is written', () => {
    for (const literal of [
      `'4111111111111111'`,
      `4111111111111111`,
      `E'4111\\x31111111111111'`,
      `E'\\064111111111111111'`,
      `U&'\\00341111111111111111'`,
      `'41111111'\n'11111111'`,
      `$a$4111111111111111$a$`,
      `"4111111111111111"`,
      `/* 4111111111111111 */ 1`,
      `1 -- 4111111111111111`,
      `'a''4111111111111111'`,
    ]) {
      const text = shown(`select ${literal}`);
      assert.ok(!/4111|0341|x31111|064111|11111111/.test(text), text);
    }
  });

  it('never shows a password, wherever one is set', async () => {
    const catalog = describedCatalog({});
    const statements = [
      `CREATE ROLE eve LOGIN PASSWORD 'hunter22'`,
      `ALTER USER eve WITH ENCRYPTED PASSWORD /* x */ 'hunter22' VALID UNTIL '2030-01-01'`,
      `ALTER ROLE eve PASSWORD E'hunter\\x3222'`,
      `CREATE USER MAPPING FOR eve SERVER s OPTIONS (user 'eve', password 'hunter22')`,
      `CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter22' PUBLICATION p`,
      `SELECT dblink('host=h password=hunter22', 'select 1')`,
      `SELECT dblink('postgres://eve:hunter22@h/db', 'select 1')`,
      `DO $$ BEGIN EXECUTE 'ALTER ROLE eve PASSWORD ''hunter22'''; END $$`,
      `DO $$ BEGIN ALTER ROLE eve PASSWORD 'hunter22'; END $$`,
      `SELECT * FROM users WHERE password = 'hunter22'`,
      `SELECT pg_sleep(1) /* password=hunter22 */`,
    ];
    await Promise.all(
      statements.map(async (sql) => {
        const [facts] = await classify(sql, { serverMajor: 18, catalog, maskLiteral: mask });
        assert.ok(!/hunter|x3222/.test(facts!.shown), facts!.shown);
        assert.equal(facts!.text, sql);
      }),
    );
  });

  it('cuts statements apart by bytes, not by characters', async () => {
    const facts = await classify(`select 'ü😀'; delete from t; select 'ß'`, {
      serverMajor: 18,
      catalog: describedCatalog({ tables: { 'public.t': ['id'] } }),
    });
    assert.deepEqual(
      facts.map((one) => one.text),
      [`select 'ü😀'`, 'delete from t', `select 'ß'`],
    );
  });
});

describe('a headline', () => {
  it('shows names that pose as wording, hide, or look alike for what they are', () => {
    assert.equal(displayName('public.orders'), 'public.orders');
    assert.equal(displayName('orders, approved by Alice'), '"orders, approved by Alice"');
    assert.equal(displayName('оrders'), '"\\u{43E}rders"');
    assert.equal(displayName('a\u202eb\u200b\n'), '"a\\u{202E}b\\u{200B}\\u{A}"');
    assert.equal(displayName('ｏrders'), '"\\u{FF4F}rders"');
    assert.equal(displayName('größe'), 'größe');
    assert.ok(displayName('x'.repeat(500)).length < 70);
  });

  it('holds no literal and no comment', async () => {
    const [facts] = await classify(`/* safe */ delete from t where a = 'approved' -- read only`, {
      serverMajor: 18,
      catalog: describedCatalog({ tables: { 'public.t': ['a'] } }),
    });
    assert.equal(facts!.headline, 'DELETE on public.t');
  });
});

describe('the inspector on a live target', () => {
  let server: TestPostgres;
  let owner: pg.Client;
  let catalog: Catalog;
  let inspector: Inspector;
  let clock = 0;
  const side: pg.Client[] = [];
  const context = { frame: '', searchPath: ['"$user"', 'public'] };
  const inspect = async (sql: string, searchPath: readonly string[] = ['public']) =>
    inspector.inspect(sql, { ...context, searchPath });

  before(async () => {
    server = await startPostgres();
    owner = new pg.Client(server.url('postgres'));
    owner.on('error', () => undefined);
    await owner.connect();
    await owner.query(`create table public.t (id int not null, n text); create table public.u (t_id int)`);
    catalog = createCatalog({
      connect: async () => {
        const client = new pg.Client(server.url('postgres'));
        client.on('error', () => undefined);
        await client.connect();
        side.push(client);
        return client;
      },
      pollMs: 60_000, // the tests look for themselves
      now: () => performance.now() + clock,
    });
    inspector = createInspector({
      serverMajor: 18,
      catalog,
      maskLiteral: mask,
      cacheEntries: 50,
      workerDeadlineMs: 1_000,
    });
  });
  after(async () => {
    await inspector?.close();
    await owner?.end().catch(() => undefined);
    await server?.stop();
  });

  it('answers at once what it has answered before', async () => {
    const first = await inspect('select * from t');
    assert.equal(inspector.inspect('select * from t', { frame: '', searchPath: ['public'] }), first);
    assert.notEqual(inspector.inspect('select * from t', { frame: 'role=x', searchPath: ['public'] }), first);
  });

  it('finds a table made a moment ago without being told', async () => {
    await owner.query('create table public.made (id int)');
    assert.deepEqual(actionsOf(await inspect('select * from made')), ['read']);
  });

  it('sees a view replaced by one that runs code after a refresh', async () => {
    await owner.query(`create function public.code() returns int language sql volatile as 'select 1';
      create view public.v as select 1 as id`);
    assert.deepEqual(actionsOf(await inspect('select * from v')), ['read']);
    await owner.query('create or replace view public.v as select public.code() as id');
    await inspector.refresh();
    assert.ok(actionsOf(await inspect('select * from v')).includes('call'));
  });

  it('sees code behind casts, foreign servers, row security, domains, shadows and overloads', async () => {
    const hidden: [string, string][] = [
      [
        `create foreign data wrapper w; create server s foreign data wrapper w; create foreign table public.far (id int) server s`,
        'select * from far',
      ],
      [
        `create table public.part (id int) partition by range (id); create foreign table public.part_far partition of public.part for values from (0) to (9) server s`,
        'select * from part',
      ],
      [
        `create type public.kind as enum ('a'); create function public.kind_text(public.kind) returns text language sql as 'select ''x''';
        create cast (public.kind as text) with function public.kind_text(public.kind) as implicit; create table public.kinds (k public.kind)`,
        'select k from kinds',
      ],
      [
        `create table public.rls (id int); alter table public.rls enable row level security; create policy p on public.rls using (public.code() = 1)`,
        'select * from rls',
      ],
      [`create temp view t as select public.code() as id`, 'select * from t'],
      [`create function public.length(int) returns int language sql as 'select 1'`, 'select length(1)'],
      [
        `create function public.cmp(public.t, public.t) returns boolean language sql as 'select true'; create operator public.= (leftarg = public.t, rightarg = public.t, function = public.cmp)`,
        'select a = b from u a, u b',
      ],
      [`select 1`, 'select 1 from u a join u b using (t_id)'],
      [`create domain public.dom as int check (public.code() = value)`, 'select 1::dom'],
      [`create type public.pair as (a public.dom)`, 'select null::pair'],
      [`create view public.deep as select id from (select id from public.v) x`, 'select * from deep'],
      [`create materialized view public.mv as select 1 as id`, 'refresh materialized view mv'],
    ];
    for (const [setup, sql] of hidden) {
      await owner.query(setup);
      await inspector.refresh();
      const actions = actionsOf(await inspect(sql));
      assert.ok(actions.includes('call'), `${sql}: ${actions}`);
    }
    assert.deepEqual(actionsOf(await inspect('select * from mv')), ['read']);
  });

  it('names every relation an unknown search path may mean', async () => {
    await owner.query('create schema other; create table other.u (id int)');
    await inspector.refresh();
    const objects = (facts: readonly StatementFacts[]) => facts[0]!.effects.map((effect) => effect.object).sort();
    assert.deepEqual(objects(await inspect('delete from u', ['public'])), ['public.u']);
    assert.deepEqual(objects(await inspect('delete from u', ['other', 'public'])), ['other.u']);
    assert.deepEqual(objects(await inspect('delete from u', [])), ['other.u', 'public.u']);
  });

  it('says unknown once the target could not be looked at for too long, and recovers', async () => {
    await inspect('select * from u');
    await server.kill();
    clock += 31_000;
    const facts = await inspect('select * from u');
    assert.ok(actionsOf(facts).includes('unknown'));
    assert.match(facts[0]!.risks.join(), /stale/);
    assert.deepEqual(actionsOf(await inspect('begin')), ['transaction'], 'what needs no catalogue stays certain');
    await server.start();
    assert.ok(!actionsOf(await inspect('select * from u')).includes('unknown'));
  });

  it('shows parameters masked, binary as hex, long ones cut', () => {
    const text = (value: string) => ({ format: 'text' as const, value: Buffer.from(value) });
    assert.deepEqual(
      inspector.showParameters([text('plain'), text('4111111111111111'), { format: 'text', value: null }]),
      ['plain', '#', 'NULL'],
    );
    assert.deepEqual(inspector.showParameters([{ format: 'binary', value: Buffer.from([1, 255]) }]), ['\\x01ff']);
    assert.match(inspector.showParameters([text('x'.repeat(5_000))])[0]!, /^x{2000}… \(5000 bytes in all\)$/);
  });
});
