/** postgres.js: one connection, which it pipelines on by itself. */
import postgres from 'postgres';
import { notice, play, step, table, url } from './speak.mjs';

const sql = postgres(url, { max: 1, onnotice: ({ message }) => notice(message), fetch_types: true });
const run = (text) => sql.unsafe(text).then(({ count }) => count);

await play(
  {
    run,
    prepared: (v) => sql`UPDATE ${sql(table)} SET v = ${v}`.then(({ count }) => count),
    // Sent without waiting for one another: the second and third are on the wire behind the first.
    batch: (texts) => Promise.all(texts.map(run)),
    cancelled: async (text, told) => {
      const query = sql.unsafe(text).execute();
      await told;
      query.cancel();
      return query;
    },
    timed: (text) => {
      const query = sql.unsafe(text).execute();
      const timer = setTimeout(() => query.cancel(), 3_000);
      return query.finally(() => clearTimeout(timer));
    },
    beside: async () => {
      await step('transaction', () =>
        sql.begin('isolation level repeatable read', async (tx) => {
          await tx.savepoint((inner) => inner`SELECT 1`);
        }),
      );
      await step('reserve', async () => (await sql.reserve()).release());
      await step('types', () => sql`SELECT ${[1, 2]}::int[] AS a, ${sql.json({ a: 1 })} AS j, now()`.then(() => 1));
      await step('cursor', async () => {
        for await (const rows of sql`SELECT id FROM customers WHERE id <= 10`.cursor(3))
          if (rows.length > 3) throw rows;
      });
      await step('describe', () => sql`SELECT id FROM customers WHERE id = ${1}`.describe().then(() => 1));
      await step('statement_timeout', () => run('SET statement_timeout = 30000'));
      await step('listen', async () => (await sql.listen('changes', () => {})).unlisten());
    },
    end: () => sql.end({ timeout: 5 }),
  },
  {
    'begin-approve': async () => {
      await step('commit', () =>
        sql
          .begin(async (tx) => {
            await tx.unsafe(`INSERT INTO ${table} VALUES (4, 0)`);
            await step('held', () => tx.unsafe(`DELETE FROM ${table}`).then(({ count }) => count));
          })
          .then(() => 1),
      );
      await step('after', () => run('SELECT 1'));
    },
    'begin-deny': async () => {
      const rolledBack = await sql
        .begin(async (tx) => {
          await tx.unsafe(`INSERT INTO ${table} VALUES (4, 0)`);
          await step('held', () => tx.unsafe(`DELETE FROM ${table}`));
          await step('next', () => tx.unsafe('SELECT 1'));
          throw new Error('rolled back by the caller');
        })
        .catch((error) => error);
      await step('rollback', () => rolledBack.message);
      await step('after', () => run('SELECT 1'));
    },
  },
);
