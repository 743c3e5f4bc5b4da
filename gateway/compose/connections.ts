/** Configured connections as the listener needs them. */
import type { ConnectionConfig } from '../config.ts';
import type { Vouched } from '../listeners/postgres/catalog/harmless.ts';
import type { PostgresConnection } from '../listeners/postgres/types.ts';

export function postgresConnection({ name, environment, upstream, searchPath }: ConnectionConfig): PostgresConnection {
  const { host, port, database, user, password, tls, ca } = upstream;
  const target = { host, port, database, user, password: () => password.reveal(), tls };
  return { name, environment, upstream: ca === undefined ? target : { ...target, ca }, searchPath };
}

/** What the connection's administrator answers for: functions that only compute, extensions of such. */
export const vouchedBy = (connection: ConnectionConfig | undefined): Vouched => ({
  functions: new Set(connection?.pure),
  extensions: new Set(connection?.trustedExtensions),
});

/** Two configurations of one connection that lead to the same target in the same way. */
export const sameTarget = (a: ConnectionConfig, b: ConnectionConfig): boolean =>
  JSON.stringify([a.environment, a.upstream, a.searchPath, a.pure, a.trustedExtensions]) ===
    JSON.stringify([b.environment, b.upstream, b.searchPath, b.pure, b.trustedExtensions]) &&
  a.upstream.password.equals(b.upstream.password);
