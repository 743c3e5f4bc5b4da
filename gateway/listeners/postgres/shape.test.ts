/** Which statements one approval may stand for: alike but for keys and inserted values, and in nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Parameter } from '../../operation.ts';
import { describedCatalog } from './catalog/describe.ts';
import { Parser } from './inspect/parser.ts';
import { shapeOf } from './shape.ts';

const tables = {
  'public.orders': ['id!', 'customer_id', 'status', 'total'],
  'public.lines': ['order_id!', 'line!', 'sku', 'amount'],
  'public.notes': ['id!', 'body'],
  'public.ruled': ['id!', 'body'],
  'archive.orders': ['id!', 'status'],
  'public.Orders': ['id!', 'status'],
};
const unique = {
  'public.orders': [['id']],
  'public.lines': [['order_id', 'line']],
  'public.ruled': [['id']],
  'public.Orders': [['id']],
};
const described = {
  tables,
  unique,
  views: { 'public.open_orders': { columns: ['id', 'status'], reads: ['public.orders'] } },
};
const catalog = describedCatalog({ ...described, rules: { 'public.ruled': ['update', 'insert'] } });
const parser = new Parser({ serverMajor: 18, deadlineMs: 5_000 });

const text = (value: string | null): Parameter => ({
  format: 'text',
  value: value === null ? null : Buffer.from(value),
});
type Bound = { readonly parameters?: readonly (string | null)[]; readonly types?: readonly number[] };
async function shape(sql: string, { parameters = [], types = [] }: Bound = {}, snapshot = catalog, path = ['public']) {
  return shapeOf(await parser.parse(sql), { parameters: parameters.map(text), types }, { snapshot, searchPath: path });
}

type Pair = readonly [one: string, other: string];
const SAME: readonly Pair[] = [
  ["UPDATE orders SET status = 'paid' WHERE id = 1", "UPDATE orders SET status = 'paid' WHERE id = 2"],
  ["UPDATE orders SET status = 'paid' WHERE id = 1", "update  orders set status='paid'\n where id=  77 -- another"],
  ["UPDATE orders SET status = 'paid' WHERE id = 1", "UPDATE orders SET status = 'paid' WHERE /* x */ id = 9;"],
  ["UPDATE orders SET status = 'paid' WHERE id = 1", 'UPDATE "orders" SET "status" = \'paid\' WHERE "id" = 0'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = 2'],
  ['DELETE FROM orders WHERE 1 = id', 'DELETE FROM orders WHERE 2 = id'],
  ['DELETE FROM orders o WHERE o.id = 1', 'DELETE FROM orders o WHERE o.id = 2'],
  ['DELETE FROM orders WHERE orders.id = 1', 'DELETE FROM orders WHERE orders.id = 2'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = 5000000000'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = -1'],
  ["DELETE FROM orders WHERE id = 'a'", "DELETE FROM orders WHERE id = 'b; DROP TABLE orders'"],
  ["DELETE FROM orders WHERE id = 'a'", "DELETE FROM orders WHERE id = E'\\x61'"],
  ['DELETE FROM orders WHERE id = 1::int', 'DELETE FROM orders WHERE id = 2::int'],
  ["DELETE FROM orders WHERE id = '1'::uuid", "DELETE FROM orders WHERE id = '2'::uuid"],
  ["DELETE FROM orders WHERE id = CAST('1' AS int8)", "DELETE FROM orders WHERE id = CAST('2' AS int8)"],
  ['DELETE FROM orders WHERE id = 1 AND total > 5', 'DELETE FROM orders WHERE id = 2 AND total > 5'],
  [
    'DELETE FROM orders WHERE (total > 5 AND (id = 1 AND true))',
    'DELETE FROM orders WHERE total > 5 AND (id = 2 AND true)',
  ],
  ['DELETE FROM lines WHERE order_id = 1 AND line = 2', 'DELETE FROM lines WHERE order_id = 3 AND line = 4'],
  ['DELETE FROM lines WHERE line = 2 AND order_id = 1', 'DELETE FROM lines WHERE line = 9 AND order_id = 9'],
  ['SELECT * FROM orders WHERE id = 1', 'SELECT * FROM orders WHERE id = 2'],
  [
    'SELECT total FROM public.orders WHERE id = 1 FOR UPDATE',
    'SELECT total FROM public.orders WHERE id = 2 FOR UPDATE',
  ],
  ["INSERT INTO notes VALUES (1, 'a')", "INSERT INTO notes VALUES (2, 'b')"],
  ["INSERT INTO notes (body, id) VALUES ('a', 1)", "INSERT INTO notes (body, id) VALUES ('DELETE FROM orders', 2)"],
  ["INSERT INTO notes VALUES (1, 'a'), (2, 'b')", "INSERT INTO notes VALUES (3, 'c'), (4, 'd')"],
  ["INSERT INTO notes VALUES (DEFAULT, now(), 'a')", "INSERT INTO notes VALUES (DEFAULT, now(), 'b')"],
  ["INSERT INTO notes VALUES (1, '2026-01-01'::date)", "INSERT INTO notes VALUES (1, '2026-02-01'::date)"],
  ["INSERT INTO notes VALUES (1, 'a') RETURNING id", "INSERT INTO notes VALUES (2, 'a') RETURNING id"],
  [
    "INSERT INTO orders VALUES (1, 2, 'a', 3) ON CONFLICT (id) DO UPDATE SET status = 'b'",
    "INSERT INTO orders VALUES (9, 9, 'z', 9) ON CONFLICT (id) DO UPDATE SET status = 'b'",
  ],
  ['BEGIN; DELETE FROM orders WHERE id = 1', 'begin; delete from orders where id = 2'],
  ['VACUUM orders', 'vacuum  "orders"'],
  ['DO $$ BEGIN PERFORM 1; END $$', 'DO $x$ BEGIN PERFORM 1; END $x$'],
];
const DIFFERENT: readonly Pair[] = [
  // conditions that reach further than one row
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = 1 OR true'],
  ['DELETE FROM orders WHERE id = 1 OR true', 'DELETE FROM orders WHERE id = 2 OR true'],
  ['DELETE FROM orders WHERE NOT id = 1', 'DELETE FROM orders WHERE NOT id = 2'],
  ['DELETE FROM orders WHERE NOT (id = 1 AND true)', 'DELETE FROM orders WHERE NOT (id = 2 AND true)'],
  ['DELETE FROM orders WHERE (id = 1) IS NOT TRUE', 'DELETE FROM orders WHERE (id = 2) IS NOT TRUE'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id <> 1'],
  ['DELETE FROM orders WHERE id > 1', 'DELETE FROM orders WHERE id > 0'],
  ['DELETE FROM orders WHERE id <= 1', 'DELETE FROM orders WHERE id <= 999'],
  ['DELETE FROM orders WHERE id BETWEEN 1 AND 2', 'DELETE FROM orders WHERE id BETWEEN 1 AND 9999'],
  ['DELETE FROM orders WHERE id IN (1)', 'DELETE FROM orders WHERE id IN (2)'],
  ['DELETE FROM orders WHERE id IN (1, 2)', 'DELETE FROM orders WHERE id IN (1, 2, 3)'],
  ["DELETE FROM orders WHERE id = ANY('{1}')", "DELETE FROM orders WHERE id = ANY('{1,2}')"],
  ["DELETE FROM orders WHERE id LIKE 'a%'", "DELETE FROM orders WHERE id LIKE '%'"],
  ["DELETE FROM orders WHERE status = 'old'", "DELETE FROM orders WHERE status = 'new'"],
  ["DELETE FROM orders WHERE id = 1 AND status = 'old'", "DELETE FROM orders WHERE id = 1 AND status = 'new'"],
  ['DELETE FROM notes WHERE id = 1', 'DELETE FROM notes WHERE id = 2'],
  ['DELETE FROM lines WHERE order_id = 1', 'DELETE FROM lines WHERE order_id = 2'],
  ['DELETE FROM lines WHERE line = 1 AND sku = 2', 'DELETE FROM lines WHERE line = 2 AND sku = 2'],
  ['DELETE FROM lines WHERE order_id = 1 AND line > 2', 'DELETE FROM lines WHERE order_id = 2 AND line > 2'],
  [
    'DELETE FROM lines WHERE order_id = 1 AND line = 1 OR true',
    'DELETE FROM lines WHERE order_id = 2 AND line = 1 OR true',
  ],
  // names that stand for something else
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM "Orders" WHERE id = 1'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM archive.orders WHERE id = 1'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM ONLY orders WHERE id = 1'],
  ['DELETE FROM open_orders WHERE id = 1', 'DELETE FROM open_orders WHERE id = 2'],
  ['DELETE FROM ruled WHERE id = 1', 'DELETE FROM ruled WHERE id = 2'],
  ["INSERT INTO ruled VALUES (1, 'a')", "INSERT INTO ruled VALUES (2, 'a')"],
  ["INSERT INTO open_orders VALUES (1, 'a')", "INSERT INTO open_orders VALUES (2, 'a')"],
  ['DELETE FROM nothing_known WHERE id = 1', 'DELETE FROM nothing_known WHERE id = 2'],
  ['INSERT INTO nothing_known VALUES (1)', 'INSERT INTO nothing_known VALUES (2)'],
  ['SELECT * FROM orders AS o (status, id) WHERE id = 1', 'SELECT * FROM orders AS o (status, id) WHERE id = 2'],
  [
    'WITH orders AS (SELECT 1 AS id) SELECT * FROM orders WHERE id = 1',
    'WITH orders AS (SELECT 1 AS id) SELECT * FROM orders WHERE id = 2',
  ],
  ['DELETE FROM orders o WHERE orders.id = 1', 'DELETE FROM orders o WHERE orders.id = 2'],
  // what is done
  ["UPDATE orders SET status = 'paid' WHERE id = 1", "UPDATE orders SET status = 'lost' WHERE id = 1"],
  ['UPDATE orders SET total = 1 WHERE id = 1', 'UPDATE orders SET total = total WHERE id = 1'],
  ['UPDATE orders SET total = 1 WHERE id = 1', 'UPDATE orders SET customer_id = 1 WHERE id = 1'],
  ['UPDATE orders SET id = 1 WHERE id = 1', 'UPDATE orders SET id = 2 WHERE id = 1'],
  ['SELECT * FROM orders WHERE id = 1', 'SELECT id FROM orders WHERE id = 1'],
  ['SELECT * FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = 1'],
  ['SELECT * FROM orders LIMIT 1', 'SELECT * FROM orders LIMIT 100000'],
  ['SELECT * FROM orders ORDER BY 1', 'SELECT * FROM orders ORDER BY 2'],
  ['SELECT * FROM orders OFFSET 1', 'SELECT * FROM orders OFFSET 2'],
  ["INSERT INTO notes VALUES (1, 'a')", "INSERT INTO notes VALUES (1, 'a'), (2, 'b')"],
  ["INSERT INTO notes (id, body) VALUES (1, 'a')", "INSERT INTO notes (body, id) VALUES (1, 'a')"],
  ["INSERT INTO notes VALUES (1, 'a')", "INSERT INTO notes VALUES (1, upper('a'))"],
  ["INSERT INTO notes VALUES (1, upper('a'))", "INSERT INTO notes VALUES (1, upper('b'))"],
  ["INSERT INTO notes VALUES (1, nextval('a'))", "INSERT INTO notes VALUES (1, nextval('b'))"],
  ["INSERT INTO notes VALUES (1, 'orders'::regclass)", "INSERT INTO notes VALUES (1, 'lines'::regclass)"],
  ['INSERT INTO notes VALUES (1, ARRAY[1])', 'INSERT INTO notes VALUES (1, ARRAY[2])'],
  ["INSERT INTO notes VALUES (1, '{1}'::int[])", "INSERT INTO notes VALUES (1, '{2}'::int[])"],
  ['INSERT INTO notes SELECT 1', 'INSERT INTO notes SELECT 2'],
  ['INSERT INTO notes VALUES (1) LIMIT 1', 'INSERT INTO notes VALUES (2) LIMIT 1'],
  ['INSERT INTO notes VALUES (1), (2) ORDER BY 1', 'INSERT INTO notes VALUES (1), (3) ORDER BY 1'],
  [
    "INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET status = 'b'",
    "INSERT INTO orders VALUES (1) ON CONFLICT (id) DO UPDATE SET status = 'c'",
  ],
  ['INSERT INTO orders VALUES (1)', 'INSERT INTO orders VALUES (1) ON CONFLICT DO NOTHING'],
  // values that are more than values
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = (SELECT 1)'],
  ['DELETE FROM orders WHERE id = (SELECT 1)', 'DELETE FROM orders WHERE id = (SELECT 2)'],
  ['DELETE FROM orders WHERE id = abs(1)', 'DELETE FROM orders WHERE id = abs(2)'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = 1 + 0'],
  ['DELETE FROM orders WHERE id = 1 + 1', 'DELETE FROM orders WHERE id = 1 + 2'],
  ['DELETE FROM orders WHERE id = id', 'DELETE FROM orders WHERE id = 1'],
  ['DELETE FROM orders WHERE id = 1', "DELETE FROM orders WHERE id = '1'"],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = NULL'],
  ['DELETE FROM orders WHERE id = 1::int4', 'DELETE FROM orders WHERE id = 1::float8'],
  ['DELETE FROM orders WHERE id = 1::float8', 'DELETE FROM orders WHERE id = 2::float8'],
  ["DELETE FROM orders WHERE id = 'a'::text", "DELETE FROM orders WHERE id = 'a'::mood"],
  ["DELETE FROM orders WHERE id = 'a'::mood", "DELETE FROM orders WHERE id = 'b'::mood"],
  ["DELETE FROM orders WHERE id = 'a'::public.text", "DELETE FROM orders WHERE id = 'b'::public.text"],
  ["DELETE FROM orders WHERE id = '1'::int[]", "DELETE FROM orders WHERE id = '2'::int[]"],
  ['DELETE FROM orders WHERE id::text = 1', 'DELETE FROM orders WHERE id::text = 2'],
  ['DELETE FROM orders WHERE lower(id) = 1', 'DELETE FROM orders WHERE lower(id) = 2'],
  ['DELETE FROM orders WHERE id OPERATOR(public.=) 1', 'DELETE FROM orders WHERE id OPERATOR(public.=) 2'],
  ['DELETE FROM orders WHERE id IS NOT DISTINCT FROM 1', 'DELETE FROM orders WHERE id IS NOT DISTINCT FROM 2'],
  ['DELETE FROM orders WHERE id = \'a\' COLLATE "C"', 'DELETE FROM orders WHERE id = \'b\' COLLATE "C"'],
  // other tables within
  ['DELETE FROM orders USING lines WHERE orders.id = 1', 'DELETE FROM orders USING lines WHERE orders.id = 2'],
  ['UPDATE orders SET total = 1 FROM lines WHERE id = 1', 'UPDATE orders SET total = 1 FROM lines WHERE id = 2'],
  ['SELECT * FROM orders, lines WHERE id = 1', 'SELECT * FROM orders, lines WHERE id = 2'],
  ['SELECT * FROM orders JOIN lines ON id = 1', 'SELECT * FROM orders JOIN lines ON id = 2'],
  [
    'WITH x AS (DELETE FROM lines) DELETE FROM orders WHERE id = 1',
    'WITH x AS (DELETE FROM lines) DELETE FROM orders WHERE id = 2',
  ],
  ['SELECT 1 FROM orders WHERE id = 1 UNION SELECT 2', 'SELECT 1 FROM orders WHERE id = 2 UNION SELECT 2'],
  [
    'DELETE FROM orders WHERE EXISTS (SELECT FROM orders WHERE id = 1)',
    'DELETE FROM orders WHERE EXISTS (SELECT FROM orders WHERE id = 2)',
  ],
  // text that is code, and statements without keys
  ['DO $$ BEGIN DELETE FROM orders; END $$', 'DO $$ BEGIN DELETE FROM lines; END $$'],
  ["DO 'begin end'", "DO 'begin perform 1; end'"],
  ['EXECUTE change(1)', 'EXECUTE change(2)'],
  ['CALL change(1)', 'CALL change(2)'],
  ["SELECT query_to_xml('a', true, true, '')", "SELECT query_to_xml('b', true, true, '')"],
  ['EXPLAIN ANALYZE DELETE FROM orders WHERE id = 1', 'EXPLAIN ANALYZE DELETE FROM orders WHERE id = 2'],
  ['PREPARE p AS DELETE FROM orders WHERE id = 1', 'PREPARE p AS DELETE FROM orders WHERE id = 2'],
  ['ALTER TABLE orders ALTER status SET DEFAULT 1', 'ALTER TABLE orders ALTER status SET DEFAULT 2'],
  [
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 2'",
  ],
  [
    'MERGE INTO orders USING lines ON id = 1 WHEN MATCHED THEN DELETE',
    'MERGE INTO orders USING lines ON id = 2 WHEN MATCHED THEN DELETE',
  ],
  ['BEGIN; DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = 1; BEGIN'],
  ['DELETE FROM orders WHERE id = 1', 'DELETE FROM orders WHERE id = 1; DELETE FROM orders WHERE id = 2'],
];

describe('the shape of a statement', () => {
  for (const [one, other] of SAME)
    it(`is one for: ${one} | ${other}`, async () => {
      const shapes = [await shape(one), await shape(other)];
      assert.ok(shapes[0]);
      assert.equal(shapes[0], shapes[1]);
    });
  for (const [one, other] of DIFFERENT)
    it(`is another for: ${one} | ${other}`, async () => {
      assert.notEqual(await shape(one), await shape(other));
    });

  it('is compared in more than eighty pairs here, most of them hostile', () => {
    assert.ok(SAME.length + DIFFERENT.length > 80 && DIFFERENT.length > 60);
  });

  it('takes what is bound as it takes literals: free under a key and where it is inserted, exact anywhere else', async () => {
    const same = async (sql: string, one: Bound, other: Bound) => (await shape(sql, one)) === (await shape(sql, other));
    const bind = (...parameters: (string | null)[]): Bound => ({ parameters });
    assert.ok(await same('DELETE FROM orders WHERE id = $1', bind('1'), bind('2')));
    assert.ok(await same('DELETE FROM orders WHERE id = $1::int', bind('1'), bind('2')));
    assert.ok(await same('INSERT INTO notes VALUES ($1, $2)', bind('1', 'a'), bind('2', null)));
    assert.ok(!(await same('UPDATE orders SET status = $2 WHERE id = $1', bind('1', 'a'), bind('1', 'b'))));
    assert.ok(await same('UPDATE orders SET status = $2 WHERE id = $1', bind('1', 'a'), bind('2', 'a')));
    assert.ok(!(await same('UPDATE orders SET status = $1 WHERE id = $1', bind('1'), bind('2'))));
    assert.ok(!(await same('DELETE FROM orders WHERE id > $1', bind('1'), bind('0'))));
    assert.ok(!(await same('DELETE FROM orders WHERE status = $1', bind('a'), bind('b'))));
    assert.ok(!(await same('DELETE FROM orders WHERE status = $1', bind('null'), bind(null))));
    assert.ok(!(await same('SELECT * FROM orders LIMIT $1', bind('1'), bind('2'))));
    assert.notEqual(
      await shape('DELETE FROM orders WHERE id = $1', bind('1')),
      await shape('DELETE FROM orders WHERE id = 1'),
    );
  });

  it('knows the types that a client declares: another type may compare otherwise', async () => {
    const sql = 'DELETE FROM orders WHERE id = $1';
    const as = (type: number, value: string) => shape(sql, { parameters: [value], types: [type] });
    assert.equal(await as(23, '1'), await as(23, '2'));
    assert.notEqual(await as(23, '1'), await as(20, '1'));
    assert.notEqual(await as(701, '1'), await as(701, '2'), 'float8 may be equal to many keys');
    assert.notEqual(await as(16_500, '1'), await as(16_500, '2'), 'a type somebody made');
  });

  it('is none where nobody can be sure: nothing bound, a search path nobody knows', async () => {
    assert.equal(await shape('DELETE FROM orders WHERE status = $1'), undefined);
    assert.equal(await shape('DELETE FROM orders WHERE status = $2', { parameters: ['a'] }), undefined);
    assert.equal(await shape('DELETE FROM orders WHERE id = 1', {}, catalog, []), undefined);
    assert.equal(await shape(''), undefined);
  });

  it('depends on what the names stand for: another search path, another table', async () => {
    const sql = 'DELETE FROM orders WHERE id = 1';
    assert.notEqual(await shape(sql), await shape(sql, {}, catalog, ['archive', 'public']));
  });

  it('has no free key where somebody made an operator = of their own', async () => {
    const own = describedCatalog({ ...described, operators: { 'public.=': 'code' } });
    assert.notEqual(
      await shape('DELETE FROM orders WHERE id = 1', {}, own),
      await shape('DELETE FROM orders WHERE id = 2', {}, own),
    );
  });
});
