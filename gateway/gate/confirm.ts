/** A write under `confirm: rows`: whether as many rows were to be expected, and the question about them before it commits. */
import { GatewayError } from '../errors.ts';
import type { Permit } from '../gate.ts';
import type { Operation, Outcome } from '../operation.ts';
import type { Demand } from '../policy/policy.ts';

/** `approvals.confirm`: how many times the estimate passes unasked, and how long the write may wait with its locks. */
export type ConfirmTerms = { readonly factor: number; readonly withinMs: number };

export const CONFIRM_DEFAULTS: ConfirmTerms = Object.freeze({ factor: 2, withinMs: 60_000 });

export const wantsConfirm = (demands: readonly Demand[]): boolean => demands.some(({ confirm }) => confirm === 'rows');

/** Settles the operation, and with it the question whether it may commit. */
export class ConfirmingPermit implements Permit {
  readonly confirm: NonNullable<Permit['confirm']>;
  readonly #permits: Permit[];
  #outcome: Outcome | undefined;

  constructor(permit: Permit) {
    this.#permits = [permit];
    this.confirm = permit.confirm ?? { estimate: undefined };
  }

  get #first(): Permit {
    return this.#permits[0] as Permit;
  }

  get operation(): Operation {
    return this.#first.operation;
  }

  get hold(): string | undefined {
    return this.#first.hold;
  }

  /** Somebody confirmed it: that has the same end. */
  goesOn(more: Permit): void {
    if (more.hold === undefined) return; // no rule asked any more
    if (this.#outcome) more.settle(this.#outcome);
    else this.#permits.push(more);
  }

  settle(outcome: Outcome): void {
    if (this.#outcome) return;
    this.#outcome = outcome;
    for (const permit of this.#permits) permit.settle(outcome);
  }
}

/** Why the option cannot be kept for this one, before anybody is asked; undefined where it can. */
export function unconfirmable({ unconfirmable: why }: Operation, demands: readonly Demand[]): GatewayError | undefined {
  const rule = demands.find(({ confirm }) => confirm === 'rows')?.rule;
  if (why === undefined || rule === undefined) return undefined;
  return new GatewayError('UNSUPPORTED', `rule ${rule} has its rows confirmed before COMMIT: ${why}`, {
    hint: 'Nothing was run.',
  });
}

/** Were so many to be expected? `rows` undefined: the target does not count all that it wrote. */
export function expected(
  { estimate }: { readonly estimate: number | undefined },
  rows: number | undefined,
  factor: number,
): boolean {
  if (rows === 0) return true;
  return rows !== undefined && estimate !== undefined && rows <= factor * Math.max(1, estimate);
}

const MAX_HEADLINE = 400; // characters: what follows it is never the part that a card cuts off

/** The same operation, asked about once more: it has run, and waits before its COMMIT. */
export function commitOf(
  { operation, confirm }: Pick<Permit, 'operation' | 'confirm'>,
  rows: number | undefined,
  withinMs: number,
): Operation {
  const { headline: whole, risks } = operation;
  const headline = whole.length > MAX_HEADLINE ? `${whole.slice(0, MAX_HEADLINE)}…` : whole;
  const estimate = confirm?.estimate === undefined ? undefined : Math.round(confirm.estimate);
  const was = estimate === undefined ? 'no estimate' : `estimated ${estimate.toLocaleString('en-US')}`;
  const touched = rows === undefined ? 'an unknown number of rows' : rows.toLocaleString('en-US');
  return {
    ...operation,
    headline: `${headline}: ${was}, touched ${touched}: commit?`,
    risks: [
      `its transaction is open and keeps its locks until this is decided, ${Math.round(withinMs / 1000)} s at most`,
      rows === undefined
        ? 'the target does not count all that it wrote'
        : 'rows changed by triggers and cascades are not counted',
      ...risks,
    ],
    stopped: {
      rows: rows ?? 0,
      bytes: 0,
      preview: [],
      usedUp: undefined,
      touched: { rows, estimate, withinMs },
    },
  };
}
