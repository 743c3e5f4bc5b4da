/** This process's audit trail, opened as configured, and a way to note what has happened already. */
import type { Logger } from 'pino';
import { signingKey } from '../../queue/sign.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { type AuditTrail, openAudit } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import { described } from './log.ts';
import { waitingFor } from './sinks.ts';

export type Trail = {
  readonly audit: AuditTrail;
  /** For what has happened already: a trail that cannot be written stops what comes next by itself. */
  readonly note: (entry: AuditEntry) => void;
};

/**
 * @param clears whether old files are removed: of several processes with one directory, one does
 * @throws GatewayError AUDIT when it cannot be written
 */
export async function openTrail(
  { dir, mode, minFreeBytes, retentionMs, key, sinks }: Config['audit'],
  options: {
    readonly gateway: string;
    readonly clears: boolean;
    readonly onEntry: NonNullable<Parameters<typeof openAudit>[0]['onEntry']>;
    readonly publishHead: NonNullable<Parameters<typeof openAudit>[0]['publishHead']>;
    readonly log: Logger;
  },
): Promise<Trail> {
  const { gateway, clears, publishHead, onEntry, log } = options;
  const audit = await openAudit({
    dir,
    mode,
    key: signingKey(key.reveal()),
    gateway,
    ...(minFreeBytes === undefined ? {} : { minFreeBytes }),
    ...(retentionMs === undefined || !clears ? {} : { retentionMs, waitingFor: waitingFor({ dir, sinks }) }),
    publishHead,
    onEntry,
    log,
  });
  const note = (entry: AuditEntry) => {
    try {
      audit.append(entry);
    } catch (error) {
      log.error({ kind: entry.kind, ...described(error) }, 'not recorded');
    }
  };
  return { audit, note };
}
