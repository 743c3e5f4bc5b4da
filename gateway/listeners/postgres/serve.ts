/** Sessions as the listener starts them: registered, recorded from start to end, drained together. */
import { randomUUID } from 'node:crypto';
import type { Audit } from '../../audit/entry.ts';
import { asGatewayError, GatewayError } from '../../errors.ts';
import type { Gate } from '../../gate.ts';
import { type Principal, principalKey } from '../../operation.ts';
import type { SessionRegistry, Tape } from '../listener.ts';
import type { Reacher } from './reach/reach.ts';
import { farewell, tooManySessions } from './session/refusal.ts';
import type { Masking } from './session/shield.ts';
import { afterFlush } from './session/turn.ts';
import { createSession, type PostgresSession, type SessionLimits } from './session.ts';
import type { Downstream, Inspector, PostgresConnection, Upstream } from './types.ts';

export type ServeDeps = {
  readonly registry: SessionRegistry;
  readonly audit: Audit;
  readonly gate: Gate;
  /** The inspector of one connection; shared by its sessions. @throws GatewayError when the catalogue cannot be read */
  readonly inspectorFor: (upstream: Upstream, downstream: Downstream) => Inspector | Promise<Inspector>;
  /** What is masked of the results of a connection, for a principal; asked for each statement. */
  readonly maskingOf: (connection: string, principal: Principal) => Masking;
  readonly limits?: Partial<SessionLimits>;
  /** Looks at what held operations on a connection would touch; absent: nobody does. */
  /** Records a session from here on; absent: none is. @throws GatewayError AUDIT where that cannot be: it does not begin */
  readonly record?: ((beginning: Beginning) => Tape) | undefined;
  readonly reachOf?: (connection: PostgresConnection) => Reacher | undefined;
};

/** A session that is about to begin, as its recording names it. */
export type Beginning = {
  readonly session: string;
  readonly connection: string;
  readonly environment: string;
  readonly protocol: 'postgres';
  readonly peer: string;
  readonly principal: Principal;
};

export type SessionParts = {
  readonly downstream: Downstream;
  readonly upstream: Upstream;
  /** Say what a CancelRequest with this session's key does. */
  readonly onCancel: (handler: () => void | Promise<void>) => void;
  /** The session counts as one now: the log-in's place is free. */
  readonly onCounted: () => void;
};

export type Sessions = {
  /** One client's whole stay; resolves when it is over. Never rejects. */
  readonly runSession: (parts: SessionParts) => Promise<void>;
  /** Withdraw, let end, refuse newcomers; resolves when none is left or `signal` is aborted. */
  readonly drainSessions: (signal: AbortSignal) => Promise<void>;
};

export function createSessions(deps: ServeDeps): Sessions {
  const live = new Map<PostgresSession, Promise<void>>();
  let stopping = false;

  return {
    runSession: async (parts) => {
      let session: PostgresSession;
      let tape: Tape | undefined;
      try {
        if (stopping) throw new GatewayError('SHUTDOWN', SHUTTING_DOWN);
        const inspector = await deps.inspectorFor(parts.upstream, parts.downstream);
        ({ session, tape } = open(deps, parts, inspector));
      } catch (error) {
        turnAway(deps, parts, asGatewayError(error));
        return;
      }
      const stay = serve(deps, parts, session).then(() => {
        tape?.end();
        live.delete(session);
      });
      live.set(session, stay);
      if (stopping) session.drain(SHUTTING_DOWN);
      return stay; // not awaited: nothing of the start is kept for as long as the session lasts
    },
    drainSessions: async (signal) => {
      stopping = true;
      for (const session of live.keys()) session.drain(SHUTTING_DOWN);
      await Promise.race([Promise.all(live.values()), aborted(signal)]);
    },
  };
}

const SHUTTING_DOWN = 'the gateway is shutting down';

/** @throws GatewayError LIMIT | AUDIT */
function open(
  { registry, audit, gate, maskingOf, limits, reachOf, record }: ServeDeps,
  parts: SessionParts,
  inspector: Inspector,
): { readonly session: PostgresSession; readonly tape: Tape | undefined } {
  const { downstream, upstream } = parts;
  const { connection, credential } = downstream;
  const id = randomUUID();
  const about = { session: id, principal: principalKey(credential.principal), connection: connection.name };
  const { principal } = credential;
  const { name: named, environment } = connection;
  const { peer } = downstream;
  const tape = record?.({ session: id, connection: named, environment, protocol: 'postgres', peer, principal });
  const session = createSession({
    id,
    tape,
    downstream,
    upstream,
    inspector,
    gate,
    reach: reachOf?.(connection),
    masking: () => maskingOf(connection.name, credential.principal),
    ...(limits ? { limits } : {}),
    // Texts that could not be read cannot be masked either: the trail names the reason, not the words.
    onRefused: ({ code, sqlstate }, bytes) =>
      audit.append({ kind: 'operation', ...about, verdict: 'refused', code, sqlstate, bytes }),
  });
  if (!registry.add(session.info)) {
    tape?.end();
    throw tooManySessions(principal);
  }
  parts.onCounted();
  try {
    const { name, groups } = principal; // of what rules go by, what the key does not say
    audit.append({ kind: 'session.start', ...about, name, groups, peer: downstream.peer, protocol: 'postgres' });
  } catch (error) {
    registry.remove(id);
    tape?.end();
    throw error;
  }
  return { session, tape };
}

async function serve({ registry, audit }: ServeDeps, parts: SessionParts, session: PostgresSession): Promise<void> {
  const { info } = session;
  parts.onCancel(() => session.cancel());
  const { reason } = await session.run();
  registry.remove(info.id);
  parts.downstream.credential.release();
  await new Promise<void>((written) => afterFlush(written)); // outcomes of this turn come first
  try {
    const principal = principalKey(info.principal);
    audit.append({ kind: 'session.end', session: info.id, principal, connection: info.connection, reason });
  } catch {
    // The session is over either way; the writer that failed stops new ones by itself.
  }
}

function turnAway({ audit }: ServeDeps, { downstream, upstream }: SessionParts, error: GatewayError): void {
  downstream.socket.end(farewell(error));
  upstream.socket.destroy();
  downstream.credential.release();
  const { connection, credential, peer } = downstream;
  const principal = principalKey(credential.principal);
  try {
    const { code, message } = error;
    audit.append({ kind: 'auth.refused', principal, connection: connection.name, peer, code, message });
  } catch {
    // It is refused already; a trail that cannot be written refuses sign-ins by itself.
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
