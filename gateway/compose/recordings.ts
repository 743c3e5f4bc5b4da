/** Recordings as configured: what records sessions, and where they are kept and found. Nothing where they are left out. */
import type { Logger } from 'pino';
import type { AuditEntry } from '../audit/entry.ts';
import type { AuditTrail } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import type { SessionRegistry, Tape } from '../listeners/listener.ts';
import type { Beginning } from '../listeners/postgres/serve.ts';
import { adopter } from '../recordings/adopt.ts';
import { wrappingKey } from '../recordings/keys.ts';
import { Library } from '../recordings/library.ts';
import { Recorder } from '../recordings/recorder.ts';
import type { Recordings } from '../recordings/shape.ts';
import { createShelf } from '../recordings/shelf.ts';
import type { SignedStore } from '../state/signed.ts';
import { described } from './log.ts';

export type RecordingDeps = {
  readonly config: Pick<Config, 'recordings' | 'audit' | 'state'>;
  readonly gateway: string;
  readonly audit: AuditTrail;
  readonly store: SignedStore;
  /** Gateways with a lease. @throws while Redis is away */
  readonly alive: () => Promise<readonly string[]>;
  readonly registry: SessionRegistry;
  readonly log: Logger;
};

export type Recording = {
  /** Starts a session's recording. @throws GatewayError AUDIT where it cannot be kept: then it must not begin */
  readonly record: (beginning: Beginning) => Tape;
  readonly entered: (entry: AuditEntry, members: Buffer) => void;
  readonly library: Recordings;
  /** Look for what is there already, and for what dead gateways left: Redis can be asked from now on. */
  find(): void;
  trouble(): string | undefined;
  /** Why some may be missing in what pages find, or wait for their store; undefined when all is well. */
  shelfTrouble(): string | undefined;
  /** `waiting`: complete, and not in their store yet. */
  stats(): ReturnType<Recorder['stats']> & { readonly waiting: number };
  close(): Promise<void>;
};

const MIN_FREE_BYTES = 128 << 20;
const ADOPT_MS = 60_000; // how often; and how much longer than its grace a gateway must have been gone

/** Undefined where nothing is recorded. @throws GatewayError CONFIG */
export async function openRecording(deps: RecordingDeps): Promise<Recording | undefined> {
  const { config, gateway, audit, store, registry, log } = deps;
  const { recordings } = config;
  if (!recordings) return undefined;
  const { dir } = recordings;
  const key = recordings.key && wrappingKey(recordings.key.reveal());
  const keys = [...(key ? [key] : []), ...recordings.oldKeys.map((old) => wrappingKey(old.reveal()))];
  const shelf = await createShelf({
    dir,
    s3: recordings.store?.s3,
    retentionMs: recordings.retentionMs,
    maxBytes: recordings.maxBytes,
    gateway,
    store,
    alive: deps.alive,
    audit,
    log,
  });
  const recorder = new Recorder({
    dir,
    key,
    gateway,
    resultBytes: recordings.resultBytes,
    minFreeBytes: config.audit.minFreeBytes ?? MIN_FREE_BYTES,
    audit,
    endSession: (session, reason) => registry.get(session)?.end(reason),
    onLive: (summaries) => shelf.live(summaries),
    onFinished: (summary) => void shelf.finished(summary),
    log,
  });
  await recorder.start();
  const orphans = adopter({
    dir,
    keys,
    alive: async () => new Set([...(await deps.alive()), gateway]),
    audit,
    finished: (done) => shelf.finished(done),
    deadAfterMs: config.state.graceMs + ADOPT_MS,
    log,
  });
  const adopt = async () => {
    const adopted = await orphans();
    if (adopted > 0) log.info({ adopted }, 'recordings that a dead gateway left were sealed');
  };
  let adopting: NodeJS.Timeout | undefined;
  const found = (error: unknown) =>
    log.warn(described(error), 'recordings in the directory could not be looked through');
  return {
    record: ({ principal, ...beginning }) => {
      const { issuer, subject, kind, name, groups, sponsor, purpose } = principal;
      return recorder.begin({
        v: 1,
        kind: 'session',
        gateway,
        startedAt: Date.now(),
        ...beginning,
        principal: {
          issuer,
          subject,
          kind,
          name,
          groups,
          ...(sponsor === undefined ? {} : { sponsor }),
          ...(purpose === undefined ? {} : { purpose }),
        },
      });
    },
    entered: recorder.entered,
    library: new Library({ recorder, shelf, keys }),
    find: () => {
      shelf.start().then(adopt).catch(found);
      adopting = setInterval(() => void adopt().catch(found), ADOPT_MS).unref();
    },
    trouble: () => recorder.trouble(),
    shelfTrouble: () => shelf.trouble(),
    stats: () => ({ ...recorder.stats(), waiting: shelf.waiting()?.waiting ?? 0 }),
    close: async () => {
      clearInterval(adopting);
      await recorder.close();
      await shelf.stop();
    },
  };
}
