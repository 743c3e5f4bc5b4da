/** Connects to a target: pg's client does the handshake (SCRAM, errors), then its socket is taken over, raw. */
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { parse as parseMessages } from 'pg-protocol';
import { GatewayError } from '../../errors.ts';
import { isLoopback } from '../../loopback.ts';
import { cancelRequest, startup } from './builders.ts';
import { parseBackendKeyData, parseParameterStatus } from './messages.ts';
import { unlessAborted } from './take.ts';
import type { PostgresConnection, Upstream } from './types.ts';
import { type OpenStream, openStream } from './upstream-stream.ts';
import { FrameDecoder, types } from './wire.ts';

const CONNECT_DEADLINE_MS = 10_000;
const CANCEL_DEADLINE_MS = 5_000;
const MAX_HANDSHAKE_BYTES = 256 * 1024; // a real one is some 2 KB; a server that talks on is not waited for
const HANDSHAKE_TYPES = types('RKSZEN'); // nothing else comes before the first ReadyForQuery
const READY_FOR_QUERY = 'Z'.charCodeAt(0);
const PARAMETER_STATUS = 'S'.charCodeAt(0);
const BACKEND_KEY_DATA = 'K'.charCodeAt(0);

/** What the verdicts rely on. In the start-up packet, so that RESET and DISCARD return to it. */
const frameSettings = (connection: PostgresConnection): [string, string][] => [
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
  ['search_path', connection.searchPath],
];

/**
 * A session of its own on the target, idle, with the client's `parameters` and ours set.
 * @throws GatewayError UPSTREAM | UPSTREAM_TLS naming cause and remedy; the signal's reason when aborted
 */
export async function connectUpstream(
  connection: PostgresConnection,
  { parameters, signal }: { readonly parameters: ReadonlyMap<string, string>; readonly signal: AbortSignal },
): Promise<Upstream> {
  return await withDeadline(CONNECT_DEADLINE_MS, signal, connection, async (bounded) => {
    const open = await openStream(connection, bounded);
    try {
      const result = await unlessAborted(handshake(connection, open, parameters), bounded);
      const serverMajor = checkSettings(connection, result.parameters);
      const { key } = result;
      return {
        socket: open.stream,
        parameters: shared(connection, result.parameters),
        leftover: result.leftover,
        serverMajor,
        backend: key.pid,
        cancel: () => cancelUpstream(connection, key),
      };
    } catch (error) {
      open.stream.destroy();
      throw error;
    }
  });
}

const lastParameters = new WeakMap<PostgresConnection, ReadonlyMap<string, string>>();

/** A target greets all its sessions alike, and thousands may be open: they keep its words once. */
function shared(connection: PostgresConnection, parameters: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const last = lastParameters.get(connection);
  if (last?.size === parameters.size && [...parameters].every(([name, value]) => last.get(name) === value)) return last;
  lastParameters.set(connection, parameters);
  return parameters;
}

type Handshake = {
  readonly parameters: ReadonlyMap<string, string>;
  readonly key: { readonly pid: number; readonly secret: Buffer };
  readonly leftover: Buffer;
};

/**
 * pg's connection upon a stream that is open already. It sees one whole, checked frame at a time, so that what comes
 * behind ReadyForQuery is still raw when the stream changes hands.
 */
class HandshakeConnection extends pg.Connection {
  readonly #stream: Duplex;
  readonly #startup: Buffer;
  readonly #frames = new EventEmitter();
  readonly #decoder = new FrameDecoder({
    maxFrameBytes: MAX_HANDSHAKE_BYTES,
    streamed: new Set(),
    streamAboveBytes: MAX_HANDSHAKE_BYTES,
    allowed: HANDSHAKE_TYPES,
  });
  readonly #parameters = new Map<string, string>();
  #key: Handshake['key'] = { pid: 0, secret: Buffer.alloc(4) };
  /** SCRAM begun and not finished: the server has not proved that it knows the password's verifier. */
  #unproven = false;
  #bytes = 0;
  /** Set by ReadyForQuery, in the middle of the chunk that brought it. */
  result: Handshake | undefined;

  constructor(stream: Duplex, startupPacket: Buffer) {
    super({ stream: () => stream });
    this.#stream = stream;
    this.#startup = startupPacket;
    this.on('authenticationSASL', () => {
      this.#unproven = true;
    });
    this.on('authenticationSASLFinal', () => {
      this.#unproven = false;
    });
    parseMessages(this.#frames as unknown as NodeJS.ReadableStream, (message) =>
      this.emit(message.name === 'error' ? 'errorMessage' : message.name, message),
    );
  }

  /** Called by pg's client where it would open a socket. */
  connect(): void {
    this.#stream.on('data', this.#onData);
    this.#stream.on('error', this.#onError);
    this.#stream.on('close', this.#onClose);
    process.nextTick(() => this.emit('connect')); // the client listens after this call
  }

  startup(): void {
    this.#stream.write(this.#startup);
  }

  /** Leave the stream as if pg had never seen it: a 'data' listener, or resume(), makes it flow again. */
  detach(): void {
    this.#stream.off('data', this.#onData).off('error', this.#onError).off('close', this.#onClose);
    const undecided = () => {};
    this.#stream.pause().on('readable', undecided).off('readable', undecided); // paused, yet not by a decision
  }

  readonly #onError = (error: Error) => this.emit('error', error);
  readonly #onClose = () => this.emit('end');

  readonly #onData = (chunk: Buffer) => {
    try {
      this.#bytes += chunk.length;
      if (this.#bytes > MAX_HANDSHAKE_BYTES) throw new GatewayError('PROTOCOL', 'the handshake never ends');
      const frames = this.#decoder.push(chunk);
      let rest = this.#decoder.pending + frames.reduce((sum, frame) => sum + frame.bytes.length, 0);
      for (const frame of frames) {
        rest -= frame.bytes.length;
        if (frame.type === PARAMETER_STATUS) {
          const { name, value } = parseParameterStatus(frame);
          this.#parameters.set(name, value);
        } else if (frame.type === BACKEND_KEY_DATA) {
          const { pid, secret } = parseBackendKeyData(frame);
          // In memory of its own: in that of Node's pool it would keep 8 KB for as long as the session lives.
          this.#key = { pid, secret: Buffer.from(Uint8Array.from(secret).buffer) };
        } else if (frame.type === READY_FOR_QUERY) {
          if (this.#unproven) throw new GatewayError('PROTOCOL', 'the server left SCRAM before its proof');
          this.detach();
          // Copied: the chunk may be 64 KB and the session lives long.
          const leftover = Buffer.from(chunk.subarray(chunk.length - rest));
          this.result = { parameters: this.#parameters, key: this.#key, leftover };
        }
        this.#frames.emit('data', frame.bytes);
        if (this.result) return;
      }
    } catch (error) {
      this.detach();
      this.emit('error', error);
    }
  };
}

async function handshake(
  connection: PostgresConnection,
  open: OpenStream,
  parameters: ReadonlyMap<string, string>,
): Promise<Handshake> {
  const { upstream } = connection;
  const packet = startup(
    new Map([
      ['user', upstream.user],
      ['database', upstream.database],
      ...parameters,
      ...frameSettings(connection), // last: nothing the client brought can stand in their place
    ]),
  );
  const link = new HandshakeConnection(open.stream, packet);
  const config = {
    connection: link,
    user: upstream.user,
    database: upstream.database,
    host: upstream.host,
    port: upstream.port,
    password: async () => upstream.password(),
    ssl: false, // the stream is encrypted already, where it shall be
    sslnegotiation: 'postgres' as const, // not from the environment
    enableChannelBinding: open.encrypted,
  };
  const client = new pg.Client(config);
  client.on('error', () => {}); // what fails after the hand-over is the session's to see
  if (!open.verified && !isLoopback(peerOf(open.stream))) {
    link.prependListener('authenticationCleartextPassword', () => {
      throw new GatewayError('UPSTREAM', `the target of "${connection.name}" asks for the password in the clear`, {
        hint: 'Let the server use scram-sha-256, or set `upstream.tls: verify-full`.',
      });
    });
  }
  try {
    await client.connect();
  } catch (error) {
    throw refused(connection, error);
  } finally {
    link.detach();
  }
  if (!link.result) throw refused(connection, new Error('no ReadyForQuery'));
  return link.result;
}

const peerOf = (stream: Duplex): string =>
  'remoteAddress' in stream && typeof stream.remoteAddress === 'string' ? stream.remoteAddress : '';

/** The release of the server; a target (or a pooler before it) that did not take our settings is no target. */
function checkSettings({ name }: PostgresConnection, parameters: ReadonlyMap<string, string>): number {
  for (const [setting, wanted] of [
    ['client_encoding', 'UTF8'],
    ['standard_conforming_strings', 'on'],
  ] as const) {
    const is = parameters.get(setting);
    if (is === wanted) continue;
    throw new GatewayError(
      'UPSTREAM',
      `the target of "${name}" did not set ${setting}=${wanted} (${is ?? 'unknown'})`,
      {
        hint: 'Connect to PostgreSQL itself, or let the pooler in between pass start-up settings on.',
      },
    );
  }
  const major = Number.parseInt(parameters.get('server_version') ?? '', 10);
  if (Number.isInteger(major) && major > 0) return major;
  throw new GatewayError('UPSTREAM', `the target of "${name}" does not tell its version`);
}

/** The client is told what it can act on; the server's own words only where they are about the client's settings. */
function refused({ name }: PostgresConnection, error: unknown): GatewayError {
  if (error instanceof GatewayError && error.code !== 'PROTOCOL') return error;
  const code = error instanceof pg.DatabaseError ? (error.code ?? '') : '';
  const say = (message: string, hint: string) => new GatewayError('UPSTREAM', message, { hint, cause: error });
  if (error instanceof GatewayError || !(error instanceof pg.DatabaseError)) {
    return say(
      `the handshake with the target of "${name}" failed`,
      'An operator finds the cause in the gateway’s log; upstream.host and upstream.port may not be a PostgreSQL server.',
    );
  }
  if (code.startsWith('28')) {
    return say(
      `the target of "${name}" refused the gateway’s own credentials`,
      'An operator can check upstream.user, upstream.password and the server’s pg_hba.conf.',
    );
  }
  if (code === '3D000') {
    return say(`the target of "${name}" has no such database`, 'An operator can check upstream.database.');
  }
  if (code === '53300') {
    return say(`the target of "${name}" has no connection left`, 'Try again later, or raise its max_connections.');
  }
  if (code === '57P03') return say(`the target of "${name}" is starting up or stopping`, 'Try again shortly.');
  if (code.startsWith('22') || code === '42704') {
    return say(
      `the target of "${name}" refused a start-up setting: ${error.message.slice(0, 200)}`,
      'Correct the setting in the connection string, or leave it out.',
    );
  }
  return say(
    `the target of "${name}" refused the session (SQLSTATE ${/^[0-9A-Z]{5}$/.test(code) ? code : 'unknown'})`,
    'An operator finds the cause in the target’s log.',
  );
}

/** @throws GatewayError UPSTREAM | UPSTREAM_TLS when the request could not be delivered in time */
async function cancelUpstream(
  connection: PostgresConnection,
  key: { readonly pid: number; readonly secret: Buffer },
): Promise<void> {
  const never = new AbortController().signal;
  await withDeadline(CANCEL_DEADLINE_MS, never, connection, async (bounded) => {
    const { stream } = await openStream(connection, bounded);
    try {
      const closed = new Promise<void>((resolve) => stream.once('close', resolve));
      stream.resume();
      stream.write(cancelRequest(key.pid, key.secret));
      await unlessAborted(closed, bounded);
    } finally {
      stream.destroy();
    }
  });
}

async function withDeadline<T>(
  ms: number,
  signal: AbortSignal,
  { name }: PostgresConnection,
  work: (bounded: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    deadline.abort(
      new GatewayError('UPSTREAM', `the target of "${name}" did not answer within ${ms / 1000} s`, {
        hint: 'An operator can check that the server is up and not overloaded, and upstream.host and upstream.port.',
      }),
    );
  }, ms);
  const outer = () => deadline.abort(signal.reason);
  if (signal.aborted) outer();
  else signal.addEventListener('abort', outer, { once: true });
  try {
    return await work(deadline.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', outer);
  }
}
