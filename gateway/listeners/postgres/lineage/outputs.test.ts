/** What each output column of a statement is: clean, a masked column as it stands, or made of one. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { endParsers, letters, planned } from '../../../../test/support/lineage.ts';

after(endParsers);

/** Statement → its columns; none of them is asked about. */
const OUTPUTS: readonly (readonly [string, string])[] = [
  ['select ssn from customers', 'p'],
  ['select ssn as x, (ssn), ((c.ssn)) from customers c', 'ppp'],
  ['select * from customers', 'ccpppc'],
  ['table customers', 'ccpppc'],
  ['select c.*, o.* from customers c join orders o on o.customer_id = c.id', 'ccpppcccccc'],
  ['select U&"\\0073sn", "ssn", "Ssn" from customers, (select 1 as "Ssn") s', 'ppc'],
  ['select public.customers.ssn from public.customers', 'p'],
  ['select a, b, c, d from customers as c(a, b, c, d)', 'ttpp'.replace('tt', 'cc')],
  ['select id from v_customers', 'c'],
  ['select email, v.email || 1 from v_customers v', 'pt'],
  ['select z from (select ssn as z from customers offset 0) s', 'p'],
  ['with q as (select ssn z from customers) select z from q', 'p'],
  ['with q(a, b) as materialized (select id, ssn from customers) select b, a from q', 'pc'],
  ['select x.z from customers c, lateral (select c.ssn as z) x', 'p'],
  ['select (select ssn from customers where id = 1)', 'p'],
  ['select (select c) from customers c', 't'],
  // A function's column has a name of its own making: it hides no column further out.
  [
    'select (select ssn from generate_series(1, 1) g), (select max(ssn) from generate_series(1, 1)) from customers',
    'tt',
  ],
  ['select (select name from rows from (generate_series(1, 1)) g) from customers', 'c'],
  ['select (select ssn) from customers', 'p'],
  ['select ssn from customers union all select ssn from customers', 'p'],
  ['select null::text union all select ssn from customers', 't'],
  ["select '' as k, 1 union all select left(ssn, 3), id from customers", 'tc'],
  ['values ((select ssn from customers where id = 1), 1)', 'pc'],
  ['select ssn || \'\', upper(ssn), ssn::varchar, ssn collate "C" from customers', 'tttt'],
  ["select coalesce(ssn, 'x'), nullif(ssn, ''), greatest(ssn), case when true then ssn end from customers", 'tttt'],
  ["select case when ssn like '4%' then 1 else 0 end from customers", 't'],
  ["select ssn = '1' as b, ssn in ('1'), not (ssn = '1'), ssn between '1' and '2' from customers", 'tttt'],
  ["select min(ssn), array_agg(ssn), string_agg(ssn, ',') from customers", 'ttt'],
  ['select array(select ssn from customers), array[ssn] from customers', 'tt'],
  ['select first_value(ssn) over (), lag(ssn) over (order by id) from customers', 'tt'],
  ['select rank() over (order by ssn), id from customers', 'tc'],
  ['select count(*) over (partition by left(ssn, 1)) from customers', 't'],
  ['select sum(id) over w, rank() over (w) from customers window w as (order by ssn)', 'tt'],
  ['select sum(id) over v from customers window w as (partition by ssn), v as (w order by id)', 't'],
  ['select percentile_disc(0.5) within group (order by ssn) from customers', 't'],
  ['select array_agg(id order by ssn) from customers', 't'],
  ['select u from customers u', 't'],
  ['select customers from customers', 't'],
  [
    'select u::text, row(u.*), array[u.*], row_to_json(u), to_jsonb(u), json_agg(u), count(u) from customers u',
    'ttttttt',
  ],
  ['select (u).ssn, (u).id, (u).* from customers u', 'pcccpppc'],
  ['select (r).ssn from (select u as r from customers u) s', 't'],
  ['select u.row_to_json, u.to_jsonb, u.text, u.concat from customers u', 'tttt'],
  ['select (u).row_to_json from customers u', 't'],
  ['select ssn(u) from customers u'.replace('ssn(u)', 'to_json(u)'), 't'],
  ['select ctid, customers.tableoid, xmin from customers', 'ccc'],
  ['select xmin from (select ssn from customers) xmin', 't'],
  ['select misspelt, c.misspelt from customers c', 'tt'],
  ['select j.ssn, j.id from (customers a join orders o using (id)) as j', 'pc'],
  ['select j from (customers a join orders o using (id)) as j', 't'],
  ['select j.c3, c4 from (customers a join orders o using (id)) as j(c1, c2, c3, c4)', 'pp'],
  ['select * from customers a natural join notes', 'ccpppcc'],
  ['select id, body, status from customers natural join orders natural join notes', 'ccc'],
  ['select x.id from customers join orders using (id) as x', 'c'],
  ['select name from customers c, (select ssn as name from customers) d', 't'],
  ['select ssn.x from (select id as x from customers) ssn', 'c'],
  ['select x from (select 1) as ssn(x)', 'c'],
  ['with customers as (select 1 as ssn) select ssn, customers from customers', 'cc'],
  ['with q as (select ssn as id from customers) select (with q as (select 1 as id) select id from q), id from q', 'cp'],
  ['select customers from (select id as customers from customers) s', 'c'],
  [
    "select json_object('a' value ssn), json_array(ssn), json_arrayagg(ssn), json_objectagg(id: ssn) from customers",
    'tttt',
  ],
  [
    "select json_value(ssn, '$.a'), json_scalar(ssn), xmlforest(ssn as z), xmlelement(name a, ssn) from customers",
    'tttt',
  ],
  ['select (array_agg(ssn))[1], (array_agg(ssn))[1:2] from customers', 'tt'],
  [
    "select extract(year from created_at), ssn at time zone 'x', substring(ssn from 1 for 2), trim(ssn) from customers",
    'cttt',
  ],
  ['select grouping(id), id from customers group by rollup (id, name)', 'cc'],
  [
    'select exists (select 1 from customers where id = 3), ssn is null, count(ssn) from customers group by ssn is null',
    'ccc',
  ],
  ['select app.customers.label from app.customers', 'c'],
  ['select c, g.i from customers c, generate_series(1, 3) g(i)', 'tc'],
  ["select c, g from customers c, json_each('{}') g", 'tc'],
  ["select c, g from customers c, json_populate_record(null::notes, '{}') g", 'tc'],
  [
    'with recursive q(z, n) as (select ssn, 1 from customers union all select z, n + 1 from q where n < 2) select z, n from q',
    'pc',
  ],
  [
    "with recursive q(z, n) as (select '', 1 union all select c.ssn, n + 1 from customers c, q where n < 2) select z, n from q",
    'tc',
  ],
  [
    "with recursive q(a, b, c) as (select '', '', ssn from customers union all select b, c, c from q) select a, b, c from q",
    'ttp',
  ],
  ['with recursive a as (select * from b), b as (select ssn, id from customers) select * from a', 'pc'],
  ['with d as (delete from customers where id = 1 returning id, ssn) select ssn, id from d', 'pc'],
  ['insert into customers (id, ssn) values (1, $1) returning id, ssn, lower(ssn)', 'cpt'],
  ["update customers set name = 'x' where id = 1 returning old.ssn, new.name, *", 'pcccpppc'],
  ['update customers c set name = n.body from notes n where n.id = c.id returning c.ssn, n.body', 'pc'],
  ['delete from customers where id = 1 returning *', 'ccpppc'],
  [
    'merge into customers t using notes s on t.id = s.id when matched then update set name = s.body returning merge_action(), s.*, t.*',
    'cccccpppc',
  ],
  ['select most_common_vals, tablename from pg_stats', 'pc'],
  ['explain select ssn from customers', 'c'],
  ['declare c cursor for select id, ssn from customers', 'cp'],
  ['begin', ''],
];

/** Ordinary SQL: no column masked, nothing asked, no condition on anything masked. */
const CLEAN: readonly string[] = [
  'select 1',
  'select version(), current_user, now(), current_database(), current_schema()',
  'select id, name from customers where id = $1',
  'select c.id, c.name, o.total from customers c left join orders o on o.customer_id = c.id where o.status in ($1, $2) order by o.placed_at desc nulls last, c.id limit $3 offset $4',
  'select "c"."id" as "c_id", "c"."name" as "c_name" from "customers" "c" where ("c"."id" = $1) limit 1',
  'select count(*) from customers',
  'select count(*) over () as total, id from customers order by id limit 20',
  'select json_agg(row_to_json(t)) from (select id, name from customers) t',
  'select t, t.*, to_jsonb(t) from (select id, name from customers) t',
  "select date_trunc('month', placed_at) m, sum(total::numeric), avg(total::numeric), count(distinct customer_id) from orders group by 1 having count(*) > 3 order by 1",
  "with recent as (select * from orders where placed_at > now() - interval '7 days'), top as (select customer_id, sum(total::int) s from recent group by customer_id) select c.name, t.s from top t join customers c on c.id = t.customer_id order by t.s desc limit 10",
  'select o.*, row_number() over (partition by customer_id order by placed_at desc) rn from orders o',
  'select distinct on (customer_id) customer_id, status from orders order by customer_id, placed_at desc',
  'select id, (select count(*) from orders o where o.customer_id = c.id) n from customers c',
  'select id from customers c where exists (select 1 from orders o where o.customer_id = c.id and o.total > $1)',
  "select id from orders where customer_id in (select id from customers where name like 'a%')",
  'select o.id, l.name from orders o cross join lateral (select name from customers c where c.id = o.customer_id limit 1) l',
  'select status, count(*) filter (where total > $1) from orders group by grouping sets ((status), ())',
  'with recursive tree as (select id, name, 1 as lvl from customers where id = 1 union all select c.id, c.name, t.lvl + 1 from customers c join tree t on c.id = t.id) select * from tree',
  "select d::date, count(o.id) from generate_series($1::date, $2::date, interval '1 day') d left join orders o on o.placed_at = d group by 1",
  "select id, array_agg(status order by placed_at), string_agg(status, ',') from orders group by id",
  'select id from orders union select id from payments order by 1',
  'insert into orders (id, total) values ($1, $2) on conflict (id) do update set total = excluded.total returning id, total',
  'insert into notes (id, body) select id, name from customers',
  "update orders set status = 'x' where id = any($1::int[]) returning *",
  'delete from orders where id = $1',
  'select * from orders o join notes n using (id)',
  "select relname, nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where relkind = 'r'",
  "select column_name, data_type from information_schema.columns where table_name = 'customers'",
  "select set_config('search_path', 'public', false)".replace("'search_path', 'public'", "'application_name', 'x'"),
  "select current_setting('server_version_num')",
  "select e.x ->> 'a' from (select '{}'::jsonb as x) e",
  'select pure_upper(name) from customers',
  'copy (select id, name from customers) to stdout',
  'prepare p as select id from orders where id = $1',
];

describe('outputs', () => {
  for (const [text, expected] of OUTPUTS) {
    it(`${expected || '(none)'}: ${text}`, async () => {
      const plan = await planned(text);
      assert.equal(letters(plan), expected);
      assert.deepEqual(plan.holds, []);
    });
  }
  for (const text of CLEAN) {
    it(`passes untouched: ${text.slice(0, 90)}`, async () => {
      const plan = await planned(text);
      assert.match(letters(plan), /^(?:c*|\?)$/);
      assert.deepEqual(plan.holds, []);
      assert.deepEqual(plan.predicates, []);
    });
  }
  it('says the same in the grammar of every release', async () => {
    for (const major of [15, 16, 17, 18]) {
      const plan = await planned(
        'with q as (select ssn s, id from customers where ssn = $1) select s, id, s || 1, q from q',
        { major },
      );
      assert.equal(letters(plan), 'pctt');
      const write = await planned('delete from customers where id = 3 returning ssn, id', { major });
      assert.equal(letters(write), 'pc');
      assert.deepEqual([...plan.holds, ...write.holds], []);
    }
  });
  it('keeps name and format of a masked column that stands as it is', async () => {
    const { outputs } = await planned('select z from (select ssn as z from customers) s');
    assert.deepEqual(outputs, [{ kind: 'plain', format: { kind: 'last4' }, column: 'public.customers.ssn', type: 25 }]);
  });
  it('touches what a view is made of, and nothing where nothing is masked', async () => {
    assert.deepEqual((await planned('select id from v_customers')).touches, ['public.v_customers', 'public.customers']);
    const plan = await planned('select * from orders');
    assert.deepEqual([plan.touches, plan.scrub], [[], false]);
  });
});
