/** The reach of a write, asked of a real PostgreSQL: what it says, what it never runs, and that it leaves nothing behind. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import { eventually } from '../../../test/support/workspace.ts';
import { sideClient } from '../../compose/side-client.ts';
import type { Operation, Reach } from '../../operation.ts';
import { createCatalog } from './catalog/catalog.ts';
import { createInspector } from './inspect.ts';
import { createReacher, type Reacher } from './reach/reach.ts';
import { NOTHING_BOUND, operationOf, subjectOf } from './session/operation.ts';
import type { Inspector, PostgresConnection } from './types.ts';

const PRINCIPAL = { issuer: 'https://idp', subject: 'bot', kind: 'agent', name: 'bot', groups: [] } as const;
const SEARCH_PATH = ['$user', 'public'];

const SCHEMA = `
  create table customers (id int primary key, email text not null);
  create table orders (id int primary key, customer_id int not null references customers on delete cascade);
  create table payments (id int primary key, order_id int not null references orders on delete cascade);
  create table notes (id int, customer_id int references customers on delete set null);
  create table invoices (id int, customer_id int references customers);
  create table log (what text);
  create function log_it() returns trigger language plpgsql as $$ begin insert into log values ('fired'); return old; end $$;
  create trigger orders_gone after delete on orders for each row execute function log_it();
  create table events (id int, at int) partition by range (at);
  create table events_1 partition of events for values from (0) to (100);
  create table events_2 partition of events for values from (100) to (200);
  create table ruled (id int);
  create rule keep as on delete to ruled do instead nothing;
  create view customer_ids as select id from customers;
  create function wipe() returns boolean language plpgsql as $$ begin insert into log values ('ran'); return true; end $$;
  create function sneaky() returns boolean language plpgsql immutable as $$ begin return wipe(); end $$;
  create table defaulted (id int, n boolean default sneaky());
  create view through as select id from defaulted;
  create function next_id() returns int language plpgsql as $$ begin return 1; end $$;
  create table numbered (id int default next_id(), at timestamptz default now(), n int);
  create table never_counted (id int);
  create view never_seen as select id from never_counted;
  create table counted_empty (id int);
  insert into customers select g, 'c' || g || '@example.com' from generate_series(1, 5000) g;
  insert into orders select g, 1 + g % 5000 from generate_series(1, 12000) g;
  insert into payments select g, 1 + g % 12000 from generate_series(1, 8000) g;
  insert into events select g, g % 200 from generate_series(1, 2000) g;
  create role gate login password 'gate';
  create role poor login password 'poor';
  grant all on all tables in schema public to gate;
  grant select on customers to poor;
  analyze customers; analyze orders; analyze payments; analyze events; analyze ruled; analyze counted_empty;
  insert into counted_empty select generate_series(1, 3000);
`;

describe('the reach of a write', () => {
  let server: TestPostgres;
  let owner: pg.Client;
  let inspector: Inspector;
  let reach: Reacher;
  let refreshed: () => Promise<void>;

  const connectionOf = (user: string, port = server.port): PostgresConnection => ({
    name: 'orders',
    environment: 'production',
    upstream: { host: '127.0.0.1', port, database: 'postgres', user, password: () => user, tls: 'disable' },
    searchPath: '"$user", public',
  });
  const connect = (user: string) => () => sideClient(connectionOf(user), { purpose: 'estimate', connectMs: 2_000 });

  async function operation(sql: string, inTransaction = false): Promise<Operation> {
    const facts = await inspector.inspect(sql, { frame: '', searchPath: SEARCH_PATH });
    const subject = subjectOf(
      sql,
      facts.map((one) => ({ facts: one, inner: undefined })),
      NOTHING_BOUND,
    );
    const asker = { connection: 'orders', environment: 'production', principal: PRINCIPAL, session: randomUUID() };
    const now = { frame: '', inTransaction, shadowed: false, foreign: false, guarded: false, tooOften: false };
    return operationOf(subject, asker, {
      ...now,
      id: randomUUID(),
      caps: { rows: 1, bytes: 1 },
      reveal: undefined,
      shape: undefined,
    });
  }
  const asked = async (
    sql: string,
    { by = reach, backend, searchPath = SEARCH_PATH }: { by?: Reacher; backend?: number; searchPath?: string[] } = {},
  ): Promise<Reach> =>
    by({
      operation: await operation(sql, backend !== undefined),
      searchPath,
      inspector,
      backend,
      wanted: () => true,
    });
  const client = async (user?: string): Promise<pg.Client> => {
    const opened = new pg.Client(server.url('postgres', user, user));
    opened.on('error', () => undefined);
    await opened.connect();
    return opened;
  };
  const logged = async (): Promise<number> => (await owner.query('select count(*)::int n from log')).rows[0].n;
  const leftBehind = async (): Promise<number> =>
    (await owner.query(`select count(*)::int n from pg_stat_activity where application_name = 'countersign estimate'`))
      .rows[0].n;

  before(async () => {
    server = await startPostgres();
    owner = await client();
    await owner.query(SCHEMA);
    inspector = createInspector({
      serverMajor: 18,
      catalog: createCatalog({ connect: () => sideClient(connectionOf('gate'), { purpose: 'catalogue' }) }),
      maskLiteral: (text) => text,
      cacheEntries: 100,
      workerDeadlineMs: 1_000,
    });
    refreshed = () => inspector.refresh();
    reach = createReacher(connect('gate'));
  });
  after(async () => {
    await inspector?.close();
    await owner?.end();
    await server?.stop();
  });

  it('says how many rows, which tables, what goes with them, what fires and what waits', async () => {
    const { rows, estimate, lines } = await asked('DELETE FROM customers');
    assert.equal(rows, 5_000);
    assert.equal(estimate, 'about 5,000 rows');
    assert.match(lines[0] ?? '', /^touches: public\.customers \(about 5,000 rows, \d+(\.\d)? kB\)$/);
    assert.deepEqual(lines.slice(1), [
      'deletes by cascade: public.orders (it has about 12,000 rows) through public.customers, public.payments (it has about 8,000 rows) through public.orders',
      'clears references in: public.notes through public.customers',
      'fires triggers: orders_gone on public.orders (runs public.log_it)',
      'fails where rows are still referred to from: public.invoices',
      'locks public.customers (ROW EXCLUSIVE) until its transaction ends: others read and write on; who wants to write the same rows waits',
    ]);
  });

  it('counts partitions as one table', async () => {
    const { estimate, lines } = await asked('DELETE FROM events WHERE at < 100');
    assert.equal(estimate, 'about 1,000 rows');
    assert.match(lines[0] ?? '', /^touches: public\.events \(about 2,000 rows, \d+ kB in 2 parts\)$/);
    const one = await asked('DELETE FROM events_2');
    assert.match(one.lines[0] ?? '', /^touches: public\.events_2 \(about 1,000 rows, \d+ kB\)$/);
  });

  it('estimates each kind of write, CTEs and row locks', async () => {
    for (const [sql, wanted] of [
      ['UPDATE customers SET email = $$x$$ WHERE id < 1001', 'about 1,000 rows'],
      ['INSERT INTO notes SELECT id, customer_id FROM orders', 'about 12,000 rows'],
      ['INSERT INTO notes VALUES (1, 1)', 'about 1 row'],
      [
        'MERGE INTO payments p USING orders o ON p.id = o.id WHEN NOT MATCHED THEN INSERT VALUES (1, 1)',
        'about 12,000 rows',
      ],
      ['SELECT * FROM customers FOR UPDATE', 'about 5,000 rows'],
      [
        'WITH gone AS (DELETE FROM orders RETURNING id) INSERT INTO notes SELECT id, 1 FROM gone',
        'about 24,000 rows (INSERT about 12,000 rows, DELETE about 12,000 rows)',
      ],
      ['TRUNCATE orders CASCADE', 'all of them, about 12,000 rows'],
      ['DROP TABLE customers CASCADE', 'all of them, about 5,000 rows'],
    ] as const) {
      assert.equal((await asked(sql)).estimate, wanted, sql);
    }
  });

  it('plans bound statements without their values', async () => {
    assert.equal((await asked('DELETE FROM customers WHERE id = $1')).estimate, 'about 1 row');
    assert.match((await asked('DELETE FROM customers WHERE id < $1 AND email <> $2')).estimate, /^about 1,700 rows$/);
  });

  it('has no estimate of what reads rows that nobody has counted', async () => {
    const none = 'no estimate: nobody has counted the rows of its tables';
    for (const [sql, wanted] of [
      ['DELETE FROM never_counted', none],
      ['DELETE FROM never_counted WHERE id = $1', none],
      ['UPDATE never_seen SET id = 1', none],
      ['DELETE FROM customers USING never_counted n WHERE customers.id = n.id', none],
      ['INSERT INTO notes SELECT id, 1 FROM never_counted', none],
      ['DELETE FROM counted_empty', none], // what has come since nobody knows
      ['TRUNCATE counted_empty', none],
      ['INSERT INTO never_counted VALUES (1), (2)', 'about 2 rows'],
    ] as const) {
      const { rows, estimate } = await asked(sql);
      assert.deepEqual([estimate, rows], [wanted, wanted === none ? undefined : 2], sql);
    }
  });

  it('names what TRUNCATE empties too, what DROP takes along, and rules', async () => {
    const emptied = await asked('TRUNCATE customers CASCADE');
    assert.match(emptied.lines.join('\n'), /^empties too: .*public\.invoices.*public\.orders.*public\.payments/m);
    assert.match(emptied.lines.join('\n'), /\(ACCESS EXCLUSIVE\).*reads too$/m);
    const dropped = await asked('DROP TABLE customers CASCADE');
    assert.match(dropped.lines.join('\n'), /^drops too: public\.customer_ids$/m);
    assert.match(
      (await asked('DROP TABLE customers')).lines.join('\n'),
      /^fails while these are made of it: public\.cust/m,
    );
    const ruled = await asked('DELETE FROM ruled');
    assert.match(ruled.lines.join('\n'), /^rewritten by rules: keep on public\.ruled$/m);
  });

  it('gives no estimate for a function in WHERE, and does not run it', async () => {
    const before = await logged();
    for (const sql of [
      'DELETE FROM customers WHERE wipe()',
      'UPDATE customers SET email = wipe()::text',
      'DO $$ begin end $$',
    ]) {
      assert.match((await asked(sql)).estimate, /^no estimate: it runs code/, sql);
    }
    assert.equal(await logged(), before);
  });

  it('gives none where planning would run the default of a column, and one where it would not', async () => {
    await owner.query('insert into defaulted select 1, true; analyze defaulted');
    for (const sql of [
      'INSERT INTO defaulted (id) VALUES (1)',
      'INSERT INTO through VALUES ($1)',
      'UPDATE defaulted SET n = DEFAULT',
      'WITH d AS (INSERT INTO defaulted (id) VALUES (1) RETURNING id) INSERT INTO notes SELECT id, 1 FROM d',
    ]) {
      assert.match((await asked(sql)).estimate, /^no estimate: defaults of its columns run code/, sql);
    }
    assert.equal((await asked('INSERT INTO numbered (n) VALUES (1)')).estimate, 'about 1 row');
    assert.equal((await asked('DELETE FROM defaulted')).estimate, 'about 1 row');
  });

  it('gives none for several statements in one text, for COPY, EXECUTE, temporary tables, definitions, another role', async () => {
    for (const [sql, why] of [
      ['DELETE FROM customers; DELETE FROM orders', '2 statements in one text'],
      ['COPY customers FROM STDIN', 'the data comes later'],
      ['EXECUTE p', 'it runs a prepared statement by its name'],
      ['ALTER TABLE customers ADD COLUMN n int', 'it changes definitions, not rows'],
      ['EXPLAIN ANALYZE DELETE FROM customers', 'it cannot be planned by itself'],
    ] as const) {
      assert.equal((await asked(sql)).estimate, `no estimate: ${why}`, sql);
    }
    assert.match((await asked('DELETE FROM customers', { searchPath: [] })).estimate, /another role/);
  });

  it('cannot be made to write by any text, were the classifier wrong', async () => {
    let hostile = '';
    const [facts] = await inspector.inspect('DELETE FROM notes', { frame: '', searchPath: SEARCH_PATH });
    assert.ok(facts);
    const believed = { ...facts, effects: [{ action: 'read', object: '' }] } as const;
    const blind: Inspector = {
      ...inspector,
      inspect: (text) => [text.startsWith('EXPLAIN') ? believed : { ...facts, text: hostile }],
    };
    const before = await logged();
    for (hostile of [
      'DELETE FROM ruled; COMMIT; DELETE FROM customers',
      'ANALYZE customers',
      'DELETE FROM customers WHERE wipe()',
      'DELETE FROM customers WHERE sneaky()',
    ]) {
      const { estimate } = await reach({
        operation: await operation('DELETE FROM notes'),
        searchPath: SEARCH_PATH,
        inspector: blind,
        backend: undefined,
        wanted: () => true,
      });
      if (hostile !== 'DELETE FROM customers WHERE wipe()')
        assert.match(estimate, /^no estimate: the target does not plan it \((42601|25006)\)$/);
    }
    assert.equal(await logged(), before);
    assert.equal((await owner.query('select count(*)::int n from customers')).rows[0].n, 5_000);
  });

  it('says so within 2 s when somebody else has the table locked, and leaves nothing behind', async () => {
    const other = await client();
    await other.query('begin; lock table customers in access exclusive mode');
    const began = performance.now();
    const { estimate, lines } = await asked('DELETE FROM customers');
    assert.ok(performance.now() - began < 2_000);
    assert.equal(estimate, 'no estimate: somebody holds a lock on its tables');
    assert.match(lines.join('\n'), /^touches: public\.customers \(about 5,000 rows/m, 'the rest is known all the same');
    assert.match(lines.join('\n'), /^deletes by cascade/m);
    await other.end();
    assert.equal(await eventually(async () => (await leftBehind()) === 0 || undefined, 3_000), true);
  });

  it('answers within 2 s and cuts off what runs when the target does not answer', async () => {
    const slow = createReacher(async () => {
      const real = await connect('gate')();
      const query = real.query.bind(real) as (question: unknown) => Promise<never>;
      const delayed = async (question: { text: string }) => {
        if (question.text.startsWith('EXPLAIN')) await query({ text: 'select pg_sleep(30)', queryMode: 'extended' });
        return query(question);
      };
      return { query: delayed, end: () => real.end() };
    });
    const began = performance.now();
    const [first, second] = await Promise.all([
      asked('DELETE FROM customers', { by: slow }),
      asked('DELETE FROM orders', { by: createReacher(() => new Promise(() => undefined)) }),
    ]);
    assert.ok(performance.now() - began < 3_000, `${performance.now() - began}`);
    assert.match(first.estimate, /^no estimate: the target (took too long|did not answer)/);
    assert.equal(second.estimate, 'no estimate: the target did not answer within 2 s');
    assert.equal(await eventually(async () => (await leftBehind()) === 0 || undefined, 3_000), true);
  });

  it('asks a target about one at a time, and about few at once', async () => {
    let open = 0;
    let most = 0;
    const counting = createReacher(async () => {
      open += 1;
      most = Math.max(most, open);
      const real = await connect('gate')();
      return {
        query: (question) => real.query(question as never) as never,
        end: async () => {
          open -= 1;
          await real.end();
        },
      };
    });
    const all = await Promise.all(Array.from({ length: 25 }, () => asked('DELETE FROM notes', { by: counting })));
    assert.equal(most, 1);
    assert.equal(all.filter(({ estimate }) => estimate === 'no estimate: too many are asked for at once').length, 5);
    assert.equal(
      await counting({
        operation: await operation('DELETE FROM notes'),
        searchPath: SEARCH_PATH,
        inspector,
        backend: undefined,
        wanted: () => false,
      }).then(({ estimate }) => estimate),
      'no estimate: nobody waits any more',
    );
  });

  it('says when the gateway’s role may not do this, or the target is gone', async () => {
    const poor = await asked('DELETE FROM customers', { by: createReacher(connect('poor')) });
    assert.equal(poor.estimate, "no estimate: the gateway's role may not do this");
    assert.match(poor.lines.join('\n'), /^deletes by cascade/m);
    const gone = createReacher(() => sideClient(connectionOf('gate', 1), { purpose: 'estimate', connectMs: 500 }));
    assert.deepEqual(await asked('DELETE FROM customers', { by: gone }), {
      rows: undefined,
      estimate: 'no estimate: the target could not be asked',
      lines: [],
    });
  });

  it('says how old the transaction is, what it holds and how many wait for it', async () => {
    const holder = await client('gate');
    await holder.query('begin; update notes set id = 1; lock table log in share mode');
    const backend = (await holder.query('select pg_backend_pid() pid')).rows[0].pid as number;
    const waiter = await client();
    const waits = waiter.query(`insert into log values ('x')`).catch(() => undefined);
    await sleep(1_100);
    const { lines } = await asked('DELETE FROM ruled', { backend });
    assert.match(lines.join('\n'), /^its transaction has been open for 1 s; 1 other session waits for it$/m);
    assert.match(lines.join('\n'), /^its transaction holds: SHARE on public\.log, ROW EXCLUSIVE on public\.notes$/m);
    await holder.query('rollback');
    await waits;
    await Promise.all([holder.end(), waiter.end()]);
  });

  it('shows names that could pose as wording for what they are, and no literal', async () => {
    await owner.query(
      `create table "x, approved by alice; no rows" (id int); grant all on "x, approved by alice; no rows" to gate`,
    );
    await refreshed();
    const { lines } = await asked(`DELETE FROM "x, approved by alice; no rows" WHERE id = 424242`);
    assert.match(lines[0] ?? '', /^touches: "public\.'x, approved by alice; no rows'" \(nobody has counted its rows, /);
    assert.ok(!JSON.stringify(lines).includes('424242'));
    assert.match((await asked('TRUNCATE never_counted')).estimate, /^no estimate: nobody has counted/);
  });
});
