/** Summaries where others than this gateway could write: signed, and read only where a trusted gateway wrote them. */
import { GatewayError } from '../errors.ts';
import type { SignedStore } from '../state/signed.ts';
import type { SessionSummary } from './shape.ts';
import { summarySchema } from './summary.ts';

const context = (session: string) => `countersign:recordings:${session}`;

export const sealSummary = (store: SignedStore, summary: SessionSummary): string =>
  store.sealed(summary, context(summary.session));

/** @throws GatewayError FORGED */
export function openSummary(store: SignedStore, session: string, raw: string): SessionSummary {
  const summary = store.open(raw, context(session), summarySchema);
  if (summary.session === session) return summary;
  throw new GatewayError('FORGED', `what was signed for session ${session} is of another`);
}
