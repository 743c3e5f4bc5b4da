/** What must be asked, what conditions tell, which texts nobody may read. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { endParsers, letters, planned } from '../../../../test/support/lineage.ts';
import { explainPlan } from './lineage.ts';

after(endParsers);

/** Reason → statements. */
const HELD: readonly (readonly [RegExp, readonly string[]])[] = [
  [
    /can read it out/,
    [
      'select g from customers c join generate_series(0, 9999) g on g = right(c.ssn, 4)::int',
      'select g from customers c join generate_series(0, 9999) g on g::text = c.ssn',
      'select n from customers c, numbers where n = c.ssn',
      'select 1 from customers c where exists (select 1 from numbers n where n.n = c.ssn)',
      'select 1 from customers c where c.ssn in (select n from numbers)',
      'select n from numbers where n in (select ssn from customers)',
      'select 1 from customers where ssn = any (array(select n from numbers))',
      "select x from customers, (values ('1'), ('2')) v(x) where ssn like x || '%'",
      'select n from numbers join customers on true where ssn like n',
      "select n from numbers join customers on numbers.n = case when ssn like '1%' then '1' end",
      'select i from customers c, generate_series(0, 9) i order by abs(c.ssn::int - i)',
      'select i from customers c, generate_series(0, 9) i group by i, c.ssn::int = i',
      'select distinct on (ssn::int - i) i from customers, generate_series(0, 9) i',
      'select count(*) filter (where ssn = n), n from customers, numbers group by n',
      'select n from customers, numbers group by n having max(ssn) = n',
      'select ssn from customers intersect select n from numbers',
      'select n from numbers except select ssn from customers',
      'select n from numbers natural join (select ssn as n from customers) s',
      'select n from numbers join (select ssn as n from customers) s using (n)',
      'with q as (select ssn s from customers) select n from numbers, q where s = n',
      "with recursive q(z) as (select '0' union all select z || '1' from q) select z from q, customers where ssn = z",
      "with recursive q(z, n) as (select '', 1 union all select c.ssn, n + 1 from customers c, q where n < 5 and z like n || '%') select n from q",
      'select (select n from numbers where n = c.ssn) from customers c',
      'delete from notes using customers c where notes.body = c.ssn',
      'update notes set body = 1 from customers c where notes.body = c.ssn',
      'merge into notes t using customers s on t.body = s.ssn when matched then delete',
      'merge into notes t using customers s on t.id = s.id when matched and s.ssn = t.body then delete',
      "select id from customers c where c::text like '%1%'",
      "select id from customers c where c.text like '%1%'",
      'select id from customers where ssn = name',
      'select i from generate_series(1, 9) i union all select ssn::int from customers order by 1',
      'select c.id from customers c join unnest($1::text[]) e(mail) on e.mail = c.email',
      'select * from customers natural join pg_class',
      'select id from customers where ssn < (select max(n) from numbers)',
      'select id from customers where ssn = count(1)::text',
      'select a.id from customers a, customers b where left(a.ssn, 3) = left(b.ssn, 3)',
    ],
  ],
  [
    /^copies public\.customers\..+ to /,
    [
      'insert into notes select id, ssn from customers',
      'insert into notes (body) select upper(ssn) from customers',
      'insert into notes (body) values ((select ssn from customers limit 1))',
      'insert into customers (id, name) values (1, 2) on conflict (id) do update set name = excluded.ssn',
      'update customers set name = ssn',
      'update customers set (name, created_at) = (select ssn, id from customers limit 1)',
      'update customers set (name, created_at) = row(1, ssn)',
      'update customers set email = ssn',
      'update customers set email = email || ssn',
      'update notes set body = c.ssn from customers c where c.id = notes.id',
      "update customers set name = case when ssn like '1%' then 1 else 2 end",
      'merge into notes t using customers s on t.id = s.id when matched then update set body = s.ssn',
      'merge into notes t using customers s on t.id = s.id when not matched then insert (id, body) values (s.id, s.ssn)',
      'with x as (insert into notes (body) select ssn from customers returning id) select * from x',
      'insert into notes (body) select to_json(c) from customers c',
    ],
  ],
  [
    /how many rows there are/,
    [
      'select from customers, generate_series(1, left(ssn, 4)::int)',
      'select generate_series(1, ssn::int) from customers',
      'select 1 from numbers limit (select ssn::int from customers limit 1)',
      'select 1 from numbers offset (select left(ssn, 2)::int from customers limit 1)',
      'select 1 from numbers fetch first (select 1 + ssn::int from customers limit 1) rows only',
      'select * from numbers tablesample bernoulli ((select ssn::int from customers limit 1))',
      'select x from customers, unnest(string_to_array(ssn, null)) x',
      'select unnest(array_agg(ssn)) from customers',
      'select value from customers u, json_each_text(row_to_json(u))',
      "select * from customers u, json_table(to_jsonb(u), '$' columns (a text path '$.ssn')) j",
      "select * from customers u, xmltable('/a' passing xmlforest(u.ssn) columns a text path 'x') j",
      'select 1 from customers, lateral (select 1 from generate_series(1, ssn::int)) g',
      'select * from customers, rows from (generate_series(1, ssn::int), generate_series(1, 2)) r',
    ],
  ],
  [
    /nobody knows to be harmless|does not know|runs code|session|shows what others do/,
    [
      'select f_card(1)',
      'select x from f_card(1) x',
      'select n.f_card from numbers n',
      'select (n).f_card from numbers n',
      "select query_to_xml('select 1', true, false, '')",
      "select dblink('x', 'select 1')",
      "select set_config('my.y', ssn, false) from customers",
      "select current_setting('my.y')",
      "select current_setting('my' || '.y')",
      'select current_setting($1)',
      "select pg_notify('x', 'y')",
      'select pg_advisory_lock(1)',
      'select * from pg_stat_get_activity(null)',
      'select * from pg_cursor()',
      "select 'x'::cardt",
      "select cardt 'x'",
      'select 1 where 1 =#= 2',
      'select * from nowhere',
      'insert into nowhere values (1)',
      'select lo_get(1)',
    ],
  ],
  [
    /makes a table|changes what the database|runs a (?:block|procedure)|loads|copies masked|file or program|explains|measures/,
    [
      'create temp table t as select reverse(ssn) k from customers',
      'create table t as select 1',
      'select reverse(ssn) k into temp t from customers',
      'create table t (a int)',
      'create view v as select ssn from customers',
      'alter table customers add g text generated always as (reverse(ssn)) stored',
      'create rule r as on insert to notes do also select 1',
      'do $$ begin end $$',
      'call p()',
      "load 'x'",
      'copy customers to stdout',
      'copy customers (id, ssn) to stdout',
      'copy (select reverse(ssn) from customers) to stdout',
      "copy notes to program 'x'",
      "copy notes from '/etc/passwd'",
      "explain select 1 from customers where ssn = '1'",
      'explain analyze select ssn from customers',
      'refresh materialized view v',
    ],
  ],
];

const USED: readonly (readonly [string, string])[] = [
  ["select id from customers where ssn = '1'", 'equality'],
  ['select id from customers where email = $1 and ssn <> $2', 'equality equality'],
  [
    "select id from customers where ssn in ('1', $1) or ssn = any($2) or ssn is not distinct from '3'",
    'equality equality equality',
  ],
  ["select id from customers where (ssn, id) in (('1', 2), ('3', 4))", 'equality equality'],
  ['select a.id from customers a join customers b on a.ssn = b.ssn', 'equality'],
  ['select id from customers join payments using (card_number)', 'equality equality'],
  ['select id from customers where ssn in (select ssn from customers)', 'equality'],
  ['select ssn is null from customers', 'equality'],
  ['select count(ssn), count(distinct email) from customers', 'equality equality'],
  ['select ssn from customers group by 1', 'equality'],
  ['select distinct ssn, id from customers', 'equality'],
  ["insert into customers (id, email) values (1, 'x') on conflict (email) do nothing", 'equality'],
  ['select id from customers order by ssn', 'order'],
  ['select ssn from customers order by 1 desc', 'order'],
  ['select id, rank() over (order by ssn) from customers', 'order'],
  ["select id from customers where ssn like '1%'", 'pattern'],
  ['select lower(email) as e, count(*) from customers group by e', 'pattern'],
  ["select name from customers group by name having max(ssn) > '5'", 'pattern'],
  [
    "select x from (select left(ssn, 1) x from customers union all select left(ssn, 2) from customers) s where x = '1'",
    'pattern',
  ],
  ['select r from (select id, rank() over (order by ssn) r from customers) s where r < 3', 'order pattern'],
  ["select id from customers where ssn between '1' and '2' and lower(email) = $1", 'pattern pattern'],
  ['select id from customers order by lower(email)', 'pattern'],
  ["select count(*) filter (where substr(ssn, 1, 1) = '4') from customers", 'pattern'],
  ["select x from (select ssn as x from customers) s where x > '5'", 'pattern'],
];

describe('holds', () => {
  for (const [reason, statements] of HELD) {
    for (const text of statements) {
      it(`asks (${reason.source.slice(0, 30)}): ${text.slice(0, 100)}`, async () => {
        const { holds } = await planned(text);
        assert.ok(
          holds.some((hold) => reason.test(hold)),
          `held for: ${holds.join('; ') || 'nothing'}`,
        );
      });
    }
  }

  for (const [text, kinds] of USED) {
    it(`writes down ${kinds}: ${text.slice(0, 90)}`, async () => {
      const plan = await planned(text);
      assert.equal(plan.predicates.map(({ kind }) => kind).join(' '), kinds);
      assert.deepEqual(plan.holds, []);
      const strict = await planned(text, { predicates: 'hold' });
      assert.notDeepEqual(strict.holds, []);
      const equality = await planned(text, { predicates: 'equality-only' });
      assert.equal(equality.holds.length > 0, /order|pattern/.test(kinds));
    });
  }

  it('lets a masked value go back to its own column, and nothing else', async () => {
    for (const text of [
      'update customers set email = lower(email) where id = 1',
      'insert into customers (id, email) values (1, $1) on conflict (id) do update set email = excluded.email',
      "update customers set ssn = '1', name = $2",
    ]) {
      assert.deepEqual((await planned(text)).holds, []);
    }
  });

  it('asks about more than four tests of parts in one statement', async () => {
    const tests = (n: number) => Array.from({ length: n }, (_, i) => `ssn like '${i}%'`).join(' or ');
    assert.deepEqual((await planned(`select 1 from customers where ${tests(4)}`)).holds, []);
    assert.match((await planned(`select 1 from customers where ${tests(5)}`)).holds[0] ?? '', /spell a value out/);
  });

  it('asks about more than a hundred guesses in one statement, however long an IN list may be', async () => {
    const list = Array.from({ length: 500 }, (_, i) => `'${i}'`).join(', ');
    assert.deepEqual((await planned(`select 1 from customers where ssn in (${list})`)).holds, []);
    const guesses = Array.from({ length: 101 }, (_, i) => `(select 1 where ssn = '${i}')`).join(', ');
    assert.match((await planned(`select ${guesses} from customers`)).holds[0] ?? '', /so many guesses/);
  });

  it('asks about a statement too deep to follow, and does not fall over one', async () => {
    for (const text of [
      `select ${'('.repeat(450)}1${')'.repeat(450)}${'+1'.repeat(450)}`,
      `select ${'(select '.repeat(450)}1${')'.repeat(450)}`,
      `select 1${' union all select 1'.repeat(450)}`,
    ]) {
      const plan = await planned(text);
      assert.match(plan.holds[0] ?? '', /too deeply/);
      assert.deepEqual([plan.outputs, plan.scrub], [undefined, true]);
    }
  });

  it('does not work forever on queries that double, or recur in each other', async () => {
    let text = 'select 1 as a';
    for (let i = 0; i < 24; i++) text = `select s.*, s.* from (${text}) s`;
    assert.match((await planned(text)).holds[0] ?? '', /more columns/);
    let nested = 'select 1 as a';
    for (let i = 0; i < 20; i++) nested = `with recursive r as (${nested} union all select a from r) select a from r`;
    assert.match((await planned(nested)).holds[0] ?? '', /too deeply/);
    let compared = 'ssn';
    for (let i = 0; i < 60; i++) compared = `(select ssn from customers where ssn = ${compared})`;
    assert.deepEqual((await planned(`select ${compared}`)).holds, []);
  });

  it('finds the constants and parameters that nobody may read', async () => {
    const cut = async (text: string) => {
      const plan = await planned(text);
      return [
        plan.hiddenLiterals
          .map((at) => text.slice(at, at + 3))
          .sort()
          .join(),
        plan.hiddenParameters.join(),
      ];
    };
    assert.deepEqual(await cut("select 'a' from customers where id = 1 and ssn = 'b' and email in ('c', $2)"), [
      "'b','c'",
      '2',
    ]);
    assert.deepEqual(await cut("insert into customers values (1, 'a', 'b', $1)"), ["'b'", '1']);
    assert.deepEqual(await cut("insert into customers (ssn, id) values ('b', 'a'), ('c', 'a')"), ["'b','c'", '']);
    assert.deepEqual(await cut("insert into customers (ssn, id) select 'b', 'a'"), ["'b'", '']);
    assert.deepEqual(await cut("update customers set ssn = 'b', name = 'a', (email, id) = ('c', 'a')"), [
      "'b','c'",
      '',
    ]);
    assert.deepEqual(await cut("select 1 from customers where ssn like 'b%' or name like 'a%'"), ["'b%", '']);
  });

  it('says a plan in words', async () => {
    const lines = explainPlan(await planned("select ssn, id, ssn || 1 from customers where ssn like '1%'"));
    assert.deepEqual(lines, [
      'Column 1 is public.customers.ssn, shown by its last four.',
      'Column 3 is redacted: something masked, or unknown, goes into it.',
      'It touches masked columns of public.customers.',
      'Condition: public.customers.ssn is tested in part.',
      'Its errors and notices are shown without details.',
    ]);
    assert.match(explainPlan(await planned('select 1')).join(), /No column of its result is masked/);
    assert.match(explainPlan(await planned('do $$ $$')).join(), /Asked about, because it runs a block of code/);
  });

  it('follows a hundred joins by a column, and not as many as would keep everybody waiting', async () => {
    const joined = (count: number, how: (at: number) => string): string =>
      `select a9.ssn, a9.id from customers a0 ${Array.from({ length: count }, (_, at) => how(at + 1)).join(' ')}`;
    const few = await planned(joined(100, (at) => `join customers a${at} using (id)`));
    assert.deepEqual([letters(few), few.holds], ['pc', []]);
    // Each looks for every name in all that stand before it: 400 of these kept a gateway busy for 45 s.
    const many = await planned(joined(400, (at) => `natural join customers a${at}`));
    assert.deepEqual([many.outputs, many.holds[0]], [undefined, 'joins too much to be followed']);
    const beside = await planned(
      `select 1 from ${Array.from({ length: 5_000 }, (_, at) => `customers c${at}`).join()}`,
    );
    assert.deepEqual(beside.holds, ['joins too much to be followed']);
  });

  it('takes a name that several schemas have for each of them', async () => {
    assert.equal(letters(await planned('select ssn, label from customers', { searchPath: [] })), 'tt');
    assert.equal(letters(await planned('select label from customers', { searchPath: ['app'] })), 'c');
  });
});
