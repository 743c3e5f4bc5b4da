/** The one door. Every listener calls `admit` for every operation; bytes reach a target only with a permit in hand. */
import type { Operation, Outcome } from './operation.ts';

/** What a waiting client is told, so that it can be said in its own protocol. `text` is one plain sentence. */
export type Tell = (news: { readonly kind: 'held' | 'waiting' | 'changed'; readonly text: string }) => void;

export type AdmitContext = {
  /** Aborted when the client cancels or leaves, or its session ends; `reason` becomes the withdrawal's text. */
  readonly signal: AbortSignal;
  readonly tell: Tell;
  /** When the client's token ends, epoch ms; a hold never outlives it. Read again as a later token extends it. */
  readonly credentialEndsAt: () => number;
  /** Asked at release: is the very upstream session this was held on still there, and the client too? */
  readonly alive: () => boolean;
};

export type Permit = {
  readonly operation: Operation;
  /** Set when a human let it through. */
  readonly hold: string | undefined;
  /** Call exactly once, when the outcome is known or known to be unknowable. Never throws. */
  settle(outcome: Outcome): void;
};

export type Gate = {
  /**
   * Evaluate, hold if asked for, record, permit. Answers synchronously where nobody has to be waited for
   * (allowed reads), so that the hot path makes no promise.
   * @throws GatewayError DENIED | EXPIRED | WITHDRAWN | NO_APPROVER | UNAVAILABLE | AUDIT | TOO_LONG | LIMIT,
   *   synchronously or as a rejection.
   */
  admit(operation: Operation, context: AdmitContext): Permit | Promise<Permit>;
  /** Would this pass without a human? Pure; used where the protocol must know before it waits. */
  preview(operation: Operation): 'allow' | 'hold' | 'deny';
};
