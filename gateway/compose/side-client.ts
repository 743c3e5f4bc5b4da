/** A connection of the gateway's own to a target, beside the sessions: for its catalogue and its estimates. */
import pg from 'pg';
import type { PostgresConnection } from '../listeners/postgres/types.ts';

const CONNECT_MS = 10_000;

/** A connected client with an empty search path. @throws pg's or the socket's error */
export async function sideClient(
  { upstream }: PostgresConnection,
  { purpose, connectMs = CONNECT_MS }: { readonly purpose: string; readonly connectMs?: number },
): Promise<pg.Client> {
  const { host, port, database, user, password } = upstream;
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    password,
    ssl: tlsOptions(upstream),
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    application_name: `countersign ${purpose}`,
    options: '-c search_path=', // nothing is looked up but by its full name
  });
  client.on('error', () => {}); // a lost connection shows in the next question
  await client.connect();
  return client;
}

function tlsOptions({ tls, ca }: PostgresConnection['upstream']) {
  const roots = ca === undefined ? {} : { ca };
  switch (tls) {
    case 'disable':
      return false;
    case 'require':
      return { ...roots, rejectUnauthorized: false };
    case 'verify-ca':
      return { ...roots, checkServerIdentity: () => undefined };
    case 'verify-full':
      return roots;
  }
}
