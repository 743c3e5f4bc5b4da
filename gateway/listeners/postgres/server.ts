/** The PostgreSQL listener: accepts sockets, sees each through its log-in, hands it to a session. */
import { setMaxListeners } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { GatewayError } from '../../errors.ts';
import type { Authenticator, Credential } from '../../identity/identity.ts';
import { isLoopback } from '../../loopback.ts';
import type { Principal } from '../../operation.ts';
import { type Listen, type Listener, listenHere } from '../listener.ts';
import { negotiateProtocolVersion } from './builders.ts';
import type { CancelKeys, OnCancel } from './cancel.ts';
import { endSoon, ignore, refuse } from './closing.ts';
import { authenticateDownstream } from './credentials.ts';
import { HalfOpen } from './half-open.ts';
import { tooManySessions } from './session/refusal.ts';
import { startUp } from './startup.ts';
import type { Startup } from './startup-packet.ts';
import type { Downstream, PostgresConnection, Upstream } from './types.ts';
import { connectUpstream } from './upstream.ts';
import { isFrontendType } from './wire.ts';

/** What happened at the door, for the audit trail and the metrics. Never holds a secret. */
export type DoorEvent =
  | {
      readonly kind: 'sign-in';
      readonly peer: string;
      readonly principal: Principal;
      readonly connection: string;
      /** What the client called itself. */
      readonly user: string;
      readonly encrypted: boolean;
    }
  | {
      readonly kind: 'refused';
      readonly peer: string;
      readonly error: GatewayError;
      /** As far as the log-in had come. */
      readonly principal: Principal | undefined;
      readonly connection: string | undefined;
      readonly user: string | undefined;
    };

export type SessionParts = {
  readonly downstream: Downstream;
  readonly upstream: Upstream;
  /** Say what a CancelRequest with this session's key does. Until then it does nothing. */
  readonly onCancel: (handler: OnCancel) => void;
  /** The session counts as one now: the log-in's place is free. */
  readonly onCounted: () => void;
};

export type PostgresListenerDeps = {
  readonly host: string;
  readonly port: number;
  /** Asked per connection, so that a new certificate needs no restart. Undefined: TLS is answered with 'N'. */
  readonly tls: () => SecureContext | undefined;
  readonly authenticator: Authenticator;
  /** The connection of that name, where this principal may use it. */
  readonly mayUse: (connectionName: string, principal: Principal) => PostgresConnection | undefined;
  /** A place among the principal's sessions, before a target is connected to for it; undefined when it has too many. */
  readonly reserve: (principal: Principal) => (() => void) | undefined | Promise<(() => void) | undefined>;
  readonly cancelKeys: CancelKeys;
  /** Resolves when the session has ended; it owns both sockets from its call on. */
  readonly runSession: (parts: SessionParts) => Promise<void>;
  /** Tell held clients, let running operations end; resolves when no session is left, or `signal` is aborted. */
  readonly drainSessions: (signal: AbortSignal) => Promise<void>;
  /** A sign-in is recorded before its session begins; if that throws, the client is refused. */
  readonly record: (event: DoorEvent) => void | Promise<void>;
  readonly limits?: Partial<DoorLimits>;
  /** Where its connections come from: its own address by default. */
  readonly listen?: Listen | undefined;
  /** Is a peer of this address on this machine, so that its password crosses no network? Loopback only by default. */
  readonly isLocal?: (address: string) => boolean;
};

type DoorLimits = {
  /** From accept to a running session, in ms. */
  readonly loginMs: number;
  readonly halfOpen: number;
  readonly halfOpenPerAddress: number;
};

export const LIMITS: DoorLimits = {
  loginMs: 15_000, // a token's verification and a slow target fit
  halfOpen: 2_048,
  halfOpenPerAddress: 1_024, // one load balancer's address may stand for everyone
};
const KEEP_ALIVE_MS = 60_000; // a client whose machine is gone says nothing: its idle session would stay for an hour
const NOTHING = Buffer.alloc(0);

export function createPostgresListener(deps: PostgresListenerDeps): Listener {
  const limits = { ...LIMITS, ...deps.limits };
  const halfOpen = new HalfOpen({ total: limits.halfOpen, perAddress: limits.halfOpenPerAddress });
  const sockets = new Set<Socket>();
  const draining = new AbortController();
  setMaxListeners(0, draining.signal); // one for each log-in going on
  const door: Door = { limits, halfOpen, draining: draining.signal };
  const forget = function (this: Socket) {
    sockets.delete(this);
  };
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', forget);
    void visit(socket, deps, door);
  });
  const shutdown = new GatewayError('SHUTDOWN', 'the gateway is stopping', { hint: 'Connect again in a moment.' });

  return {
    protocol: 'postgres',
    start: () => listen(server, deps),
    drain: async (signal) => {
      const closed = closeServer(server, sockets);
      draining.abort(shutdown);
      await deps.drainSessions(signal);
      await closedOrAborted(closed, signal);
    },
    stop: async () => {
      const closed = closeServer(server, sockets);
      draining.abort(shutdown);
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function listen(server: Server, deps: PostgresListenerDeps): Promise<{ host: string; port: number }> {
  const { host, port } = deps;
  try {
    const had = await (deps.listen ?? listenHere)(server, { host, port });
    server.on('error', () => {}); // accept failed (no descriptors left): the others go on
    return { host, port: had };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new GatewayError('CONFIG', `listen.postgres: ${host}:${port} cannot be had (${code ?? message})`, {
      hint: 'Choose a free address in `listen.postgres`, or stop what listens there.',
      cause,
    });
  }
}

/** Resolves when nothing listens and no socket is left: those that another process accepted are not the server's. */
async function closeServer(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
  await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
}

function closedOrAborted(closed: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', done, { once: true });
    void closed.then(done);
  });
}

type Door = { readonly limits: DoorLimits; readonly halfOpen: HalfOpen; readonly draining: AbortSignal };

/** How far a log-in has come: what a refusal can be recorded with. */
type Progress = {
  stream: Duplex;
  startup: Startup | undefined;
  credential: Credential | undefined;
};

/** One client from accept to the end of its session, of which nothing keeps what its log-in took. Never throws. */
async function visit(socket: Socket, deps: PostgresListenerDeps, door: Door): Promise<void> {
  socket.on('error', ignore); // 'close' follows, and that is what is acted on
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  const parts = await comeIn(socket, deps, door);
  if (parts) void runSession(parts, deps);
}

/** A client's log-in: undefined when it has been refused, or was none. Never throws. */
async function comeIn(socket: Socket, deps: PostgresListenerDeps, door: Door): Promise<LoggedIn | undefined> {
  const peer = socket.remoteAddress ?? '';
  const progress: Progress = { stream: socket, startup: undefined, credential: undefined };
  const login = new AbortController();
  const leave = door.halfOpen.enter(peer, () => {
    login.abort(new GatewayError('WITHDRAWN', 'a newer log-in took its place'));
    socket.destroy();
  });
  const late = setTimeout(
    () => login.abort(new GatewayError('LIMIT', `the log-in took longer than ${door.limits.loginMs / 1000} s`)),
    door.limits.loginMs,
  );
  const gone = () => login.abort(new GatewayError('WITHDRAWN', 'the client left during the log-in'));
  const stopping = () => login.abort(door.draining.reason);
  socket.once('close', gone);
  door.draining.addEventListener('abort', stopping, { once: true });
  const ended = () => {
    clearTimeout(late);
    leave();
    socket.off('close', gone);
    door.draining.removeEventListener('abort', stopping);
  };
  try {
    if (door.draining.aborted) throw door.draining.reason;
    const parts = await logIn(socket, deps, progress, login, leave);
    await turn();
    ended();
    if (!parts) socket.destroy();
    return parts;
  } catch (thrown) {
    ended();
    // What nobody foresaw is for the log, not for a stranger at the door.
    const error =
      thrown instanceof GatewayError
        ? thrown
        : new GatewayError('UNAVAILABLE', 'the gateway could not complete the log-in', { cause: thrown });
    refuse(progress.stream, socket, error);
    await recordRefusal(deps, peer, progress, error);
    progress.credential?.release();
    return undefined;
  }
}

/** Streams settle whether they flow a tick after their last 'readable' listener has left: only then may a session pause. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type LoggedIn = Omit<SessionParts, 'onCancel'> & { readonly key: Key };
type Key = { readonly pid: number; readonly secret: Buffer; release(): void; onCancel: OnCancel };

/** @throws GatewayError of every kind the log-in knows; the signal's reason */
async function logIn(
  socket: Socket,
  deps: PostgresListenerDeps,
  progress: Progress,
  login: AbortController,
  leaveHalfOpen: () => void,
): Promise<LoggedIn | undefined> {
  const { signal } = login;
  const peer = socket.remoteAddress ?? '';
  const started = await startUp(socket, {
    tls: deps.tls,
    cancel: (pid, secret) => deps.cancelKeys.handle(pid, secret),
    signal,
    onSecure: (secured) => {
      secured.on('error', ignore);
      progress.stream = secured;
    },
  });
  if (!started) return undefined;
  const { stream, encrypted, startup } = started;
  progress.startup = startup;
  if (startup.negotiate) {
    stream.write(negotiateProtocolVersion(startup.negotiate.version, startup.negotiate.unknownOptions));
  }
  const { authenticator, isLocal = isLoopback } = deps;
  const credential = await authenticateDownstream(stream, { authenticator, peer, encrypted, isLocal, signal });
  progress.credential = credential;
  leaveHalfOpen(); // a known principal: from here on its own limits count
  const leftover: Buffer = stream.read() ?? NOTHING;
  if (leftover.length > 0 && !isFrontendType(leftover[0]!)) {
    throw new GatewayError('PROTOCOL', 'a second start-up packet in one connection');
  }
  const connection = deps.mayUse(startup.database, credential.principal);
  if (!connection) throw noAccess(startup.database);
  const giveBack = await deps.reserve(credential.principal);
  if (!giveBack) throw tooManySessions(credential.principal);
  const tokenEnded = () =>
    login.abort(new GatewayError('SESSION_ENDED', `${credential.ended.reason ?? 'the token ended'}`));
  if (credential.ended.aborted) tokenEnded();
  credential.ended.addEventListener('abort', tokenEnded, { once: true });
  const gone = () => login.abort(new GatewayError('WITHDRAWN', 'the client left during the log-in'));
  const stopWatching = leftover.length === 0 ? watchForEnd(stream, gone) : () => {};
  try {
    const { parameters } = startup;
    const upstream = await connectUpstream(connection, { parameters, signal });
    try {
      await deps.record({
        kind: 'sign-in',
        peer,
        principal: credential.principal,
        connection: connection.name,
        user: startup.user,
        encrypted,
      });
      signal.throwIfAborted();
      const key = newKey(deps.cancelKeys, startup.minor >= 2 ? 32 : 4);
      const { pid, secret } = key;
      return {
        downstream: {
          socket: stream,
          peer,
          credential,
          connection,
          parameters,
          leftover,
          cancelKey: { pid, secret },
        },
        upstream,
        onCounted: giveBack,
        key,
      };
    } catch (error) {
      upstream.socket.destroy();
      throw error;
    }
  } catch (error) {
    giveBack();
    throw error;
  } finally {
    stopWatching();
    credential.ended.removeEventListener('abort', tokenEnded);
  }
}

/** A key that does nothing until it is told what. @throws GatewayError LIMIT */
function newKey(keys: CancelKeys, secretBytes: number): Key {
  const held: { onCancel: OnCancel } = { onCancel: ignore };
  return Object.assign(
    held,
    keys.register(() => held.onCancel(), secretBytes),
  );
}

/** An unknown name and a forbidden one are told in the same words: names cannot be probed. */
const noAccess = (name: string): GatewayError =>
  new GatewayError('ACCESS', `connection "${name.slice(0, 63)}" does not exist, or is not open to you`, {
    hint: 'The database name is the name of a connection of this gateway; an operator can grant `access` to it.',
  });

/**
 * While nobody reads: see the client's end of stream when nothing else is left. One that sent more behind its password
 * may close its side and still wait for the answer.
 */
function watchForEnd(stream: Duplex, gone: () => void): () => void {
  const look = () => {
    if (stream.readableLength === 0) stream.read();
  };
  stream.on('readable', look);
  stream.on('end', gone);
  return () => stream.off('readable', look).off('end', gone);
}

async function runSession(
  { downstream, upstream, onCounted, key }: LoggedIn,
  deps: PostgresListenerDeps,
): Promise<void> {
  try {
    await deps.runSession({
      downstream,
      upstream,
      onCounted,
      onCancel: (handler) => {
        key.onCancel = handler;
      },
    });
  } catch {
    // A session answers its own errors; whatever escaped it must not keep either side open.
  } finally {
    onCounted();
    key.release();
    downstream.credential.release();
    if (upstream.socket.writableEnded)
      endSoon(upstream.socket); // its Terminate may still be on the way
    else upstream.socket.destroy();
    endSoon(downstream.socket);
  }
}

async function recordRefusal(
  deps: PostgresListenerDeps,
  peer: string,
  { startup, credential }: Progress,
  error: GatewayError,
): Promise<void> {
  if (error.code === 'WITHDRAWN' && !credential) return; // port scans and health checks come and go
  try {
    await deps.record({
      kind: 'refused',
      peer,
      error,
      principal: credential?.principal,
      connection: startup?.database,
      user: startup?.user,
    });
  } catch {
    // The client is refused already; a trail that cannot be written refuses sign-ins by itself.
  }
}
