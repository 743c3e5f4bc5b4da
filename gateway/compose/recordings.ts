/** Recordings as configured: what records sessions, and where they are kept and found. Nothing where they are left out. */
import type { Logger } from 'pino';
import type { AuditEntry } from '../audit/entry.ts';
import type { AuditTrail } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import type { SessionRegistry, Tape } from '../listeners/listener.ts';
import type { Beginning } from '../listeners/postgres/serve.ts';
import { wrappingKey } from '../recordings/keys.ts';
import { Recorder } from '../recordings/recorder.ts';

export type RecordingDeps = {
  readonly config: Pick<Config, 'recordings' | 'audit'>;
  readonly gateway: string;
  readonly audit: AuditTrail;
  readonly registry: SessionRegistry;
  readonly log: Logger;
};

export type Recording = {
  /** Starts a session's recording. @throws GatewayError AUDIT where it cannot be kept: then it must not begin */
  readonly record: (beginning: Beginning) => Tape;
  readonly entered: (entry: AuditEntry, members: string) => void;
  /** @throws GatewayError CONFIG */
  start(): Promise<void>;
  trouble(): string | undefined;
  close(): Promise<void>;
};

const MIN_FREE_BYTES = 128 << 20;

export function createRecording({ config, gateway, audit, registry, log }: RecordingDeps): Recording | undefined {
  const { recordings } = config;
  if (!recordings) return undefined;
  const recorder = new Recorder({
    dir: recordings.dir,
    key: recordings.key && wrappingKey(recordings.key.reveal()),
    gateway,
    resultBytes: recordings.resultBytes,
    minFreeBytes: config.audit.minFreeBytes ?? MIN_FREE_BYTES,
    audit,
    endSession: (session, reason) => registry.get(session)?.end(reason),
    onLive: () => {},
    onFinished: () => {},
    log,
  });
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
    start: () => recorder.start(),
    trouble: () => recorder.trouble(),
    close: () => recorder.close(),
  };
}
