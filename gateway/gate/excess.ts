/** A result under budgets: its permit, and the question about the rest of it once they are used up. */
import { amount } from '../amount.ts';
import type { Permit } from '../gate.ts';
import type { Operation, Outcome, Stopped } from '../operation.ts';
import { limitText } from '../policy/budget.ts';
import type { BudgetMeter } from '../policy/meter.ts';
import type { Budget } from '../policy/policy.ts';

/** Where a result stands still: the budgets that its next row would pass, and its first rows as the client got them. */
export type Excess = {
  readonly budgets: readonly Budget[];
  readonly preview: Stopped['preview'];
};

/** Settles the operation, and with it everything that somebody let flow on. */
export class MeteredPermit implements Permit {
  readonly budget: BudgetMeter;
  readonly #permits: Permit[];
  #outcome: Outcome | undefined;

  constructor(permit: Permit, budget: BudgetMeter) {
    this.#permits = [permit];
    this.budget = budget;
  }

  get operation(): Operation {
    return this.#first.operation;
  }

  get hold(): string | undefined {
    return this.#first.hold;
  }

  get confirm(): Permit['confirm'] {
    return this.#first.confirm;
  }

  get #first(): Permit {
    return this.#permits[0] as Permit;
  }

  /** More of it was let through: that has the same end. */
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

const MAX_HEADLINE = 400; // characters: what follows it is never the part that a card cuts off

/** The same operation, asked about once more: only the rest of its result is in question. */
export function restOf({ operation, budget }: Permit & { readonly budget: BudgetMeter }, excess: Excess): Operation {
  const { rows, bytes } = budget.passed;
  const past = [...new Set(excess.budgets.map(({ limit }) => limitText(limit)))].join(' and ');
  const headline =
    operation.headline.length > MAX_HEADLINE ? `${operation.headline.slice(0, MAX_HEADLINE)}…` : operation.headline;
  const has = `its client has ${amount('rows', rows)} (${amount('bytes', bytes)}) of it`;
  return {
    ...operation,
    headline: `${headline}: past ${past}`,
    risks: [has, ...operation.risks],
    stopped: { rows, bytes, preview: excess.preview, usedUp: excess.budgets.map(({ key }) => key) },
  };
}
