/** The life of a hold: which state may follow which. Pure; everything else in this room asks here first. */
import type { ErrorCode } from '../errors.ts';
import type { Outcome } from '../operation.ts';

export type ExpiresBy = 'rule' | 'token' | 'transaction';

export type Phase =
  | { readonly kind: 'open' }
  | { readonly kind: 'approved'; readonly at: number }
  | { readonly kind: 'released'; readonly at: number }
  | { readonly kind: 'done'; readonly at: number; readonly releasedAt: number; readonly outcome: Outcome }
  | { readonly kind: 'unknown'; readonly at: number; readonly releasedAt: number; readonly outcome: Outcome }
  | { readonly kind: 'denied'; readonly at: number; readonly by: string; readonly reason: string }
  | { readonly kind: 'expired'; readonly at: number; readonly clock: ExpiresBy }
  | { readonly kind: 'withdrawn'; readonly at: number; readonly code: ErrorCode; readonly reason: string };

export type HoldEvent =
  /** Every demand is met by votes that were attested just now. */
  | { readonly kind: 'approve'; readonly at: number }
  | { readonly kind: 'deny'; readonly at: number; readonly by: string; readonly reason: string }
  | { readonly kind: 'expire'; readonly at: number; readonly clock: ExpiresBy }
  | { readonly kind: 'withdraw'; readonly at: number; readonly code: ErrorCode; readonly reason: string }
  /** The release is on disk and in Redis. */
  | { readonly kind: 'release'; readonly at: number }
  | { readonly kind: 'settle'; readonly at: number; readonly outcome: Outcome };

/** The phase after `event`, or undefined where the event comes too late or too early and changes nothing. */
export function next(phase: Phase, event: HoldEvent): Phase | undefined {
  switch (phase.kind) {
    case 'open':
      return whileOpen(event);
    case 'approved':
      return whileApproved(event);
    case 'released':
      return whileReleased(phase, event);
    case 'done':
    case 'unknown':
    case 'denied':
    case 'expired':
    case 'withdrawn':
      return undefined;
  }
}

function whileOpen(event: HoldEvent): Phase | undefined {
  switch (event.kind) {
    case 'approve':
      return { kind: 'approved', at: event.at };
    case 'deny':
      return { kind: 'denied', at: event.at, by: event.by, reason: event.reason };
    case 'expire':
      return { kind: 'expired', at: event.at, clock: event.clock };
    case 'withdraw':
      return { kind: 'withdrawn', at: event.at, code: event.code, reason: event.reason };
    case 'release':
    case 'settle':
      return undefined;
  }
}

/**
 * Approved: from here only the release itself goes on or gives up. What happens outside meanwhile (the client leaves,
 * the token ends) is looked at when the release is recorded, so that no end can overtake a release being written.
 */
function whileApproved(event: HoldEvent): Phase | undefined {
  switch (event.kind) {
    case 'release':
      return { kind: 'released', at: event.at };
    case 'withdraw':
      return { kind: 'withdrawn', at: event.at, code: event.code, reason: event.reason };
    case 'approve':
    case 'deny':
    case 'expire':
    case 'settle':
      return undefined;
  }
}

/** Released: it may have run, and nothing that happens now can say that it did not. */
function whileReleased(phase: Phase & { kind: 'released' }, event: HoldEvent): Phase | undefined {
  switch (event.kind) {
    case 'settle': {
      const kind = event.outcome.kind === 'unknown' ? 'unknown' : 'done';
      return { kind, at: event.at, releasedAt: phase.at, outcome: event.outcome };
    }
    case 'approve':
    case 'deny':
    case 'expire':
    case 'withdraw':
    case 'release':
      return undefined;
  }
}

/** What may be said about execution: `no` only of a hold that never reached `released`. */
export function executed(phase: Phase): 'no' | 'yes' | 'unknown' {
  switch (phase.kind) {
    case 'done':
      return 'yes';
    case 'released':
    case 'unknown':
      return 'unknown';
    case 'open':
    case 'approved':
    case 'denied':
    case 'expired':
    case 'withdrawn':
      return 'no';
  }
}
