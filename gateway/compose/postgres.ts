/** The PostgreSQL door: its listener, its sessions and its targets, tied to gate, identity and audit. */
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { Audit } from '../audit/entry.ts';
import type { Config } from '../config.ts';
import { GatewayError } from '../errors.ts';
import type { Gate } from '../gate.ts';
import type { Authenticator } from '../identity/identity.ts';
import type { Listen, Listener, SessionRegistry } from '../listeners/listener.ts';
import { CancelKeys } from '../listeners/postgres/cancel.ts';
import type { Tally } from '../listeners/postgres/mask/rows.ts';
import { type PlanRead, readPlan } from '../listeners/postgres/plan.ts';
import { createSessions, type ServeDeps } from '../listeners/postgres/serve.ts';
import { createPostgresListener, type DoorEvent, LIMITS } from '../listeners/postgres/server.ts';
import type { Inspector } from '../listeners/postgres/types.ts';
import { type Principal, principalKey } from '../operation.ts';
import { described, redact } from './log.ts';
import { hashesDiffer, MaskingBook } from './masking.ts';
import { Refusals } from './refusals.ts';
import { Targets } from './targets.ts';

export type DoorDeps = {
  readonly gateway: string;
  readonly config: () => Config;
  readonly certificate: () => SecureContext | undefined;
  readonly authenticator: Authenticator;
  readonly gate: Gate;
  readonly audit: Audit;
  readonly registry: SessionRegistry;
  /** Why nobody may sign in now; undefined when all is well. */
  readonly closed: () => string | undefined;
  readonly forwardCancel: (pid: number, secret: Buffer) => Promise<void>;
  /** Where its connections come from, if not from its own address. */
  readonly listen: Listen | undefined;
  /** This process' part of a limit that protects the machine. */
  readonly shareOf: (limit: number) => number;
  /** Signed in and about to begin. */
  readonly onSignIn: (principal: Principal, connection: string) => void;
  /** Values were masked in results of a connection, by why. */
  readonly onMasked: (connection: string, tally: Tally) => void;
  /** Records sessions; absent: none is recorded. */
  readonly record: ServeDeps['record'];
  readonly log: Logger;
};

export type Door = {
  /** Undefined where `listen.postgres` is left out. */
  readonly listener: Listener | undefined;
  readonly cancelKeys: CancelKeys;
  /** What the sessions of a connection read statements with; undefined while nobody was connected yet. */
  liveInspector(connection: string): Inspector | undefined;
  /** Seconds since each connection's catalogue was last looked at. */
  catalogueAges(): Iterable<readonly [connection: string, seconds: number]>;
  /** Take up a new configuration; sessions whose principal may no longer use their connection end. */
  update(config: Config): void;
  /** Read statements that are to come as a new session of this principal would mean them. @throws GatewayError ACCESS | UPSTREAM | UNPARSEABLE | UNSUPPORTED */
  planned(connection: string, principal: Principal, statements: readonly string[]): Promise<PlanRead>;
  close(): Promise<void>;
};

export function createDoor(deps: DoorDeps): Door {
  const { config, registry, audit, log } = deps;
  const targets = new Targets(config(), redact);
  const masking = new MaskingBook(config(), { onMasked: deps.onMasked });
  const warn = (about: Config) => {
    const differ = hashesDiffer(about);
    if (differ) log.warn(differ);
  };
  warn(config());
  const cancelKeys = new CancelKeys({ gatewayId: deps.gateway, forwardCancel: deps.forwardCancel });
  const sessions = createSessions({
    registry,
    audit,
    gate: deps.gate,
    record: deps.record,
    inspectorFor: (upstream, downstream) => targets.inspectorFor(upstream, downstream),
    maskingOf: masking.maskingOf,
    reachOf: (connection) => targets.reachOf(connection),
    limits: {
      get statementBytes() {
        return config().limits.statementBytes; // asked for each session: a reload applies to the next
      },
      get pipelinedBytes() {
        return config().limits.pipelinedBytes;
      },
      get idleMs() {
        return config().limits.idleMs;
      },
    },
  });
  const refusals = new Refusals({ audit, log: (entry) => log.warn(entry, 'more refused at the door') });
  const { postgres } = config().listen;
  const listener =
    postgres &&
    createPostgresListener({
      ...postgres,
      tls: deps.certificate,
      authenticator: deps.authenticator,
      mayUse: (name, principal) => {
        const closed = deps.closed();
        if (closed !== undefined) throw new GatewayError('UNAVAILABLE', closed, { hint: 'Try again shortly.' });
        return targets.mayUse(name, principal);
      },
      reserve: (principal) => registry.reserve(principal),
      cancelKeys,
      runSession: (parts) => targets.during(parts.downstream.connection, () => sessions.runSession(parts)),
      drainSessions: sessions.drainSessions,
      record: (event) => record(event, deps, refusals),
      listen: deps.listen,
      limits: {
        loginMs: config().limits.loginMs,
        halfOpen: deps.shareOf(LIMITS.halfOpen),
        halfOpenPerAddress: deps.shareOf(LIMITS.halfOpenPerAddress),
      },
    });
  return {
    listener,
    cancelKeys,
    liveInspector: (connection) => targets.liveInspector(connection),
    catalogueAges: () => targets.catalogueAges(),
    planned: async (name, principal, statements) => {
      const connection = targets.mayUse(name, principal);
      if (!connection) throw new GatewayError('ACCESS', `there is no connection "${name}" for you`);
      const { profile } = masking.maskingOf(name, principal);
      const inspector = await targets.inspectorOf(connection);
      const asker = { connection: name, environment: connection.environment, principal, session: 'plan' };
      return readPlan(statements, { inspector, searchPath: connection.searchPath, profile, asker });
    },
    update: (next) => {
      targets.update(next);
      masking.update(next);
      warn(next);
      for (const session of registry.list()) {
        if (targets.mayUse(session.connection, session.principal)) continue;
        log.warn({ session: session.id, connection: session.connection }, 'a session lost its access');
        session.end(`connection "${session.connection}" is no longer open to you`);
      }
    },
    close: async () => {
      try {
        refusals.flush();
      } catch {
        // The trail cannot be written: it has said so itself.
      }
      await targets.close();
    },
  };
}

/** `session.start` is written by the session itself; here only what never became one. */
function record(event: DoorEvent, { log, onSignIn }: DoorDeps, refusals: Refusals): void {
  if (event.kind === 'sign-in') {
    onSignIn(event.principal, event.connection);
    return;
  }
  const { peer, error, principal, connection, user } = event;
  const who = {
    peer,
    ...(principal === undefined ? {} : { principal: principalKey(principal) }),
    ...(connection === undefined ? {} : { connection: redact(connection.slice(0, 63)) }),
  };
  const inFull = refusals.record({
    kind: 'auth.refused',
    ...who,
    code: error.code,
    message: redact(error.message),
    ...(user === undefined ? {} : { user: redact(user.slice(0, 200)) }),
  });
  if (inFull) log.warn({ ...who, ...described(error) }, 'refused at the door');
}
