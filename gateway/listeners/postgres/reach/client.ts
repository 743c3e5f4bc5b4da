/** What a question about reach needs of a client of the target: one statement a message, in a transaction that only reads. */

export type ReachClient = {
  query(question: {
    readonly text: string;
    readonly values?: unknown[];
    readonly queryMode: 'extended';
  }): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
  /** Ends at once, whatever runs. */
  end(): Promise<void>;
};

const LOCK_MS = 200;
const STATEMENT_MS = 1_000;

/** Extended protocol throughout: the server takes no second statement in a text. @throws pg's error */
export async function ask(client: ReachClient, text: string, values: unknown[] = []) {
  return (await client.query({ text, values, queryMode: 'extended' })).rows;
}

/** Nothing is written, no lock is waited for longer than 200 ms, and names are PostgreSQL's own. */
export async function beginReading(client: ReachClient): Promise<void> {
  await ask(client, 'begin transaction read only');
  await ask(
    client,
    `select pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('statement_timeout', $2, true),
      pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true),
      pg_catalog.set_config('search_path', 'pg_catalog', true)`,
    [`${LOCK_MS}ms`, `${STATEMENT_MS}ms`],
  );
}

/** What fails in here leaves the transaction as it was. @throws what `work` throws */
export async function apart<T>(client: ReachClient, work: () => Promise<T>): Promise<T> {
  await ask(client, 'savepoint apart');
  try {
    return await work();
  } finally {
    await ask(client, 'rollback to savepoint apart');
  }
}
