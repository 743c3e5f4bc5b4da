/** Configured connections as the listener needs them. */
import type { ConnectionConfig } from '../config.ts';
import type { PostgresConnection } from '../listeners/postgres/types.ts';

export function postgresConnection({ name, environment, upstream, searchPath }: ConnectionConfig): PostgresConnection {
  const { host, port, database, user, password, tls, ca } = upstream;
  const target = { host, port, database, user, password: () => password.reveal(), tls };
  return { name, environment, upstream: ca === undefined ? target : { ...target, ca }, searchPath };
}

/** Two configurations of one connection that lead to the same target in the same way. */
export const sameTarget = (a: ConnectionConfig, b: ConnectionConfig): boolean =>
  JSON.stringify([a.environment, a.upstream, a.searchPath]) ===
    JSON.stringify([b.environment, b.upstream, b.searchPath]) && a.upstream.password.equals(b.upstream.password);
