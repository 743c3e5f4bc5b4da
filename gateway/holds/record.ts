/** How an outcome is written into the audit trail. Pure. */
import type { Outcome, Stopped } from '../operation.ts';

/** The target's own words only past the detectors. */
export function outcomeFields(outcome: Outcome, redact: (text: string) => string): Record<string, unknown> {
  const { ms } = outcome;
  switch (outcome.kind) {
    case 'done':
      return {
        outcome: 'done',
        tag: outcome.tag,
        rows: outcome.rows ?? null,
        ms,
        ...(outcome.masked && { masked: outcome.masked }),
        ...(outcome.note && { note: outcome.note }),
      };
    case 'failed':
      return { outcome: 'failed', sqlstate: outcome.sqlstate, message: redact(outcome.message), ms };
    case 'unknown':
      return { outcome: 'unknown', reason: redact(outcome.reason), ms };
  }
}

/** How far it had come when it was asked about. */
export function stoppedFields(stopped: Stopped | undefined): Record<string, unknown> {
  if (!stopped) return {};
  const { rows, bytes, touched } = stopped;
  if (!touched) return { stopped: { rows, bytes } };
  return { touched: { rows: touched.rows ?? null, estimate: touched.estimate ?? null } };
}
