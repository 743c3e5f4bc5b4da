/** `pg` (node-postgres): a client, and a pool where the pool is what ends a query in time. */
import pg from 'pg';
import { notice, play, scenario, step, table, url } from './speak.mjs';

const options = { connectionString: url, pipeline: scenario === 'pipelined' };
const client = new pg.Client(options);
client.on('notice', ({ message }) => notice(message));
client.on('error', () => {});
await client.connect();

/** A pool discards the connection whose query ran into query_timeout; a bare client keeps the server waiting. */
const pool = new pg.Pool({ ...options, query_timeout: 3_000, max: 1 });
pool.on('error', () => {});
const on = scenario === 'timeout' ? pool : client;

const count = ({ rowCount }) => rowCount;
await play({
  run: (sql) => on.query(sql).then(count),
  status: () => client.getTransactionStatus(),
  prepared: (v) => client.query({ name: 'set-v', text: `UPDATE ${table} SET v = $1`, values: [v] }).then(count),
  batch: (texts) => Promise.all(texts.map((text) => client.query(text, []).then(count))),
  cancelled: async (sql, told) => {
    const query = new pg.Query(sql);
    const done = new Promise((resolve, reject) => query.once('end', resolve).once('error', reject));
    client.query(query);
    await told;
    new pg.Client(options).cancel(client, query);
    return done;
  },
  timed: (sql) => pool.query(sql).then(count),
  beside: async () => {
    for (const sql of [
      "SET application_name = 'reports'",
      'SET statement_timeout = 30000',
      'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED',
      'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
      'SAVEPOINT one',
      'ROLLBACK TO SAVEPOINT one',
      'RELEASE SAVEPOINT one',
      'COMMIT',
      'SHOW server_version',
      'SELECT version()',
      'SELECT current_database(), current_schema(), current_user',
      "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
      "SELECT oid, typname, typarray FROM pg_type WHERE typname IN ('hstore', 'citext')",
      'SELECT pg_advisory_unlock_all()',
      'DISCARD ALL',
      'LISTEN changes',
      'UNLISTEN *',
    ])
      await step(sql, () => client.query(sql).then(count));
    await step('types.getTypeParser', () => client.query("SELECT now(), ARRAY[1,2], '{}'::jsonb").then(count));
  },
  end: async () => {
    await client.end();
    await pool.end();
  },
});
