/** A connection to a target as far as TLS goes: reached, encrypted and verified as configured, or refused. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { GatewayError } from '../../errors.ts';
import { sslRequest } from './builders.ts';
import { ignore } from './closing.ts';
import { take } from './take.ts';
import type { PostgresConnection } from './types.ts';

const KEEP_ALIVE_MS = 30_000; // finds a target that vanished while a statement is held
const OFFERED = 'S'.charCodeAt(0);
const NOT_OFFERED = 'N'.charCodeAt(0);

export type OpenStream = { readonly stream: Duplex; readonly encrypted: boolean; readonly verified: boolean };

/**
 * Every error ends the socket. Errors that come later are the new owner's; until it listens they are swallowed here,
 * and 'close' tells.
 * @throws GatewayError UPSTREAM | UPSTREAM_TLS; the signal's reason when aborted
 */
export async function openStream(connection: PostgresConnection, signal: AbortSignal): Promise<OpenStream> {
  const { upstream } = connection;
  const socket = connectTcp({ host: upstream.host, port: upstream.port, noDelay: true });
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  const abort = () => socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  socket.on('error', ignore);
  try {
    await settled(socket, 'connect', signal, (cause) => unreachable(connection, cause));
    if (upstream.tls === 'disable') return { stream: socket, encrypted: false, verified: false };
    await offered(connection, socket, signal);
    return await secured(connection, socket, signal);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Ask for TLS; exactly one byte may come back before the handshake. */
async function offered({ name, upstream }: PostgresConnection, socket: Socket, signal: AbortSignal): Promise<void> {
  socket.write(sslRequest());
  let answer: Buffer;
  try {
    answer = await take(socket, 1, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new GatewayError('UPSTREAM_TLS', `the target of "${name}" closed the connection when asked for TLS`, {
      hint: 'Check that upstream.host and upstream.port are a PostgreSQL server with ssl=on.',
      cause: error,
    });
  }
  if (answer[0] === NOT_OFFERED) {
    throw new GatewayError(
      'UPSTREAM_TLS',
      `the target of "${name}" offers no TLS, and tls: ${upstream.tls} asks for it`,
      {
        hint: 'Switch ssl on at the server, or set `upstream.tls: disable` where the network in between is trusted.',
      },
    );
  }
  if (answer[0] !== OFFERED || socket.readableLength > 0) {
    throw new GatewayError('UPSTREAM_TLS', `the target of "${name}" does not answer as a PostgreSQL server does`, {
      hint: 'Check upstream.host and upstream.port; something in between may be changing the stream.',
    });
  }
}

async function secured(connection: PostgresConnection, socket: Socket, signal: AbortSignal): Promise<OpenStream> {
  const { host, tls, ca } = connection.upstream;
  const verified = tls !== 'require' || ca !== undefined; // as libpq: require with a CA at hand verifies against it
  const options: ConnectionOptions = {
    socket,
    host,
    rejectUnauthorized: verified,
    ...(ca === undefined ? {} : { ca }),
    ...(isIP(host) === 0 ? { servername: host } : {}), // RFC 6066: no addresses in SNI
    ...(tls === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  };
  const stream = connectTls(options);
  stream.on('error', ignore);
  await settled(stream, 'secureConnect', signal, (cause) => unverified(connection, cause));
  return { stream, encrypted: true, verified };
}

/** Wait for `event`; what comes instead is made a GatewayError. */
function settled(
  stream: Duplex,
  event: string,
  signal: AbortSignal,
  failure: (cause: NodeJS.ErrnoException) => GatewayError,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      stream.off(event, done).off('error', failed).off('close', closed);
      signal.removeEventListener('abort', aborted);
      act();
    };
    const done = () => settle(resolve);
    const failed = (error: Error) => settle(() => reject(failure(error)));
    const closed = () => settle(() => reject(failure(new Error('connection closed'))));
    const aborted = () => settle(() => reject(signal.reason));
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    stream.once(event, done).once('error', failed).once('close', closed);
    signal.addEventListener('abort', aborted, { once: true });
  });
}

function unreachable({ name }: PostgresConnection, cause: NodeJS.ErrnoException): GatewayError {
  return new GatewayError('UPSTREAM', `the target of "${name}" cannot be reached (${cause.code ?? 'no connection'})`, {
    hint: 'An operator can check that the server is up, and upstream.host and upstream.port of this connection.',
    cause,
  });
}

function unverified({ name, upstream }: PostgresConnection, cause: NodeJS.ErrnoException): GatewayError {
  const why: Record<string, string> = {
    DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
    SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an authority that is not trusted here',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an authority that is not trusted here',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an authority that is not trusted here',
    ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
    CERT_HAS_EXPIRED: 'its certificate has expired',
  };
  const reason = why[cause.code ?? ''] ?? `the handshake failed (${cause.code ?? 'connection closed'})`;
  return new GatewayError('UPSTREAM_TLS', `TLS with the target of "${name}" is not safe: ${reason}`, {
    hint: `An operator can check upstream.ca, upstream.host and the server's certificate; tls is ${upstream.tls}.`,
    cause,
  });
}
