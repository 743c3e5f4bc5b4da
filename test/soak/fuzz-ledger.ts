/** What a gate allowed in one session, and whether what reached the target was among it. */

import { GatewayError } from '../../gateway/errors.ts';
import type { AdmitContext, Gate, Permit } from '../../gateway/gate.ts';
import type { Operation } from '../../gateway/operation.ts';
import type { Random } from './random.ts';

type Allowed = { readonly operation: Operation; used: boolean; settled: number };

/** Permits of one session in the order they were given. */
export class Ledger {
  readonly allowed: Allowed[] = [];
  /** The first thing that must not be, in words. */
  fault: string | undefined;

  blame(fault: string): void {
    this.fault ??= fault;
  }

  /** An unused permit that fits, among the first `before`. */
  use(before: number, fits: (operation: Operation) => boolean): Operation | undefined {
    for (let i = 0; i < before; i++) {
      const one = this.allowed[i]!;
      if (one.used || !fits(one.operation)) continue;
      one.used = true;
      return one.operation;
    }
    return undefined;
  }

  /** Is there any permit that fits, used or not? */
  has(before: number, fits: (operation: Operation) => boolean): boolean {
    return this.allowed.slice(0, before).some(({ operation }) => fits(operation));
  }

  permit(operation: Operation, hold: string | undefined): Permit {
    const entry: Allowed = { operation, used: false, settled: 0 };
    this.allowed.push(entry);
    return {
      operation,
      hold,
      settle: () => {
        if (++entry.settled > 1) this.blame(`settled twice: ${operation.text}`);
      },
    };
  }
}

/** What is known of the session of that principal. */
type Inside = (subject: string) => { readonly ledger: Ledger; readonly random: Random };

/** Words in a text decide: `denied` and `held`, `later` takes a few turns. Held ones are approved, denied or left. */
export class WordGate implements Gate {
  readonly #sessions: Inside;

  constructor(sessions: Inside) {
    this.#sessions = sessions;
  }

  preview({ text, shown }: Operation): 'allow' | 'hold' | 'deny' {
    const all = text + shown;
    return all.includes('denied') ? 'deny' : all.includes('held') ? 'hold' : 'allow';
  }

  confirm(): undefined {}

  admit(operation: Operation, context: AdmitContext): Permit | Promise<Permit> {
    const { ledger, random } = this.#sessions(operation.principal.subject);
    switch (this.preview(operation)) {
      case 'deny':
        throw new GatewayError('DENIED', 'refused by rule no-such-thing');
      case 'hold':
        return hold(operation, context, ledger, random);
      case 'allow':
        if (!operation.text.includes('later')) return ledger.permit(operation, undefined);
        return turns(1 + random.below(3)).then(() => ledger.permit(operation, undefined));
    }
  }

  async exceed(): Promise<void> {
    throw new Error('its permits have no budgets');
  }
}

function hold(operation: Operation, context: AdmitContext, ledger: Ledger, random: Random): Promise<Permit> {
  return new Promise((resolve, reject) => {
    const withdraw = () => reject(new GatewayError('WITHDRAWN', String(context.signal.reason)));
    if (context.signal.aborted) return withdraw();
    context.signal.addEventListener('abort', withdraw, { once: true });
    context.tell({ kind: 'held', text: 'waiting for Carol' });
    const end = random.below(3);
    if (end === 0) return; // until the client leaves or cancels
    void turns(1 + random.below(8)).then(() => {
      if (end === 1) reject(new GatewayError('DENIED', 'denied by Carol'));
      else if (context.signal.aborted) withdraw();
      else if (context.alive()) resolve(ledger.permit(operation, 'hold-1'));
      else reject(new GatewayError('WITHDRAWN', 'the session is gone'));
    });
  });
}

/** So many turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise<void>((resolve) => setImmediate(resolve));
}
