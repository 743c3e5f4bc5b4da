/** A PostgreSQL listener of our own for a test, with the least behind the door: a relay instead of a session. */
import type { SecureContext } from 'node:tls';
import type { Listener } from '../../gateway/listeners/listener.ts';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import { CancelKeys } from '../../gateway/listeners/postgres/cancel.ts';
import {
  createPostgresListener,
  type DoorEvent,
  type PostgresListenerDeps,
  type SessionParts,
} from '../../gateway/listeners/postgres/server.ts';
import type { PostgresConnection } from '../../gateway/listeners/postgres/types.ts';
import { TestAuthenticator } from './door.ts';

export type TestDoor = {
  readonly port: number;
  readonly listener: Listener;
  readonly events: DoorEvent[];
  readonly authenticator: TestAuthenticator;
  readonly keys: CancelKeys;
};

export const LOGIN = { user: 'report-bot', database: 'orders' };
export const TOKEN = 'token-of-report-bot';

/** The connection `orders`, whose target listens on this loopback port. */
export const orders = (port: number, password = 'unused'): PostgresConnection => ({
  name: 'orders',
  environment: 'production',
  searchPath: 'public',
  upstream: {
    host: '127.0.0.1',
    port,
    database: 'postgres',
    user: 'postgres',
    password: () => password,
    tls: 'disable',
  },
});

/** `orders` is open to everyone but `stranger`. */
export async function openDoor(
  connection: PostgresConnection,
  tls: SecureContext | undefined,
  overrides: Partial<PostgresListenerDeps> = {},
): Promise<TestDoor> {
  const events: DoorEvent[] = [];
  const authenticator = new TestAuthenticator();
  const keys = new CancelKeys({ gatewayId: 'gateway-1' });
  const listener = createPostgresListener({
    host: '127.0.0.1',
    port: 0,
    tls: () => tls,
    authenticator,
    mayUse: (name, principal) => (name === connection.name && principal.name !== 'stranger' ? connection : undefined),
    reserve: () => () => {},
    cancelKeys: keys,
    runSession: relay,
    drainSessions: async () => {},
    record: (event) => void events.push(event),
    ...overrides,
  });
  const { port } = await listener.start();
  return { port, listener, events, authenticator, keys };
}

/** What stands in for the session's room: says hello and passes bytes on, unjudged. */
export async function relay({ downstream, upstream, onCancel }: SessionParts): Promise<void> {
  const { socket: client, cancelKey } = downstream;
  const { socket: server } = upstream;
  onCancel(() => upstream.cancel());
  client.write(build.authenticationOk());
  for (const [name, value] of upstream.parameters) client.write(build.parameterStatus(name, value));
  client.write(build.backendKeyData(cancelKey.pid, cancelKey.secret));
  client.write(build.readyForQuery('I'));
  if (upstream.leftover.length > 0) client.write(upstream.leftover);
  if (downstream.leftover.length > 0) server.write(downstream.leftover);
  client.on('data', (chunk) => server.write(chunk));
  server.on('data', (chunk) => client.write(chunk));
  await new Promise<void>((resolve) => {
    client.once('close', resolve);
    server.once('close', resolve);
  });
}

/** Resolves when `condition` holds, looking again each turn of the event loop. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
