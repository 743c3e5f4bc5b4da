/** Cards on their way to Redis: the newest of each hold, tried until Redis has it. */
import { ZodError } from 'zod';
import { type Card, cardJob } from '../../queue/cards.ts';
import type { CardPublisher } from '../../queue/carry.ts';
import type { Audit } from '../audit/entry.ts';
import type { Lease } from '../state/lease.ts';
import type { Clock } from './clock.ts';

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 1_000;
const MOST_WAITING = 20_000; // holds whose last card could not be sent; beyond, the oldest are left to the lease's end

/** `last`: nothing follows. Without `make` there is no card to send any more, only the index to leave. */
type Slip = { readonly make: (() => Card) | undefined; readonly last: boolean };

export type OutboxDeps = {
  readonly publish: CardPublisher;
  readonly lease: Lease;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #waiting = new Map<string, Slip>();
  readonly #busy = new Set<string>();
  readonly #pauses = new Set<() => void>();
  #idle: (() => void)[] = [];
  #closed = false;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
  }

  /** `make` is called when the card is sent, so that what goes out is the newest. After the `last` the hold leaves the index. */
  push(hold: string, make: () => Card, last: boolean): void {
    this.#take(hold, { make, last });
  }

  /** Nobody saw its card and nobody shall: it only leaves the index. */
  drop(hold: string): void {
    this.#take(hold, { make: undefined, last: true });
  }

  #take(hold: string, slip: Slip): void {
    const oldest = this.#waiting.keys().next().value;
    if (this.#waiting.size >= MOST_WAITING && oldest !== undefined) this.#waiting.delete(oldest);
    this.#waiting.set(hold, slip);
    if (!this.#busy.has(hold)) void this.#send(hold);
  }

  /** Resolves when everything pushed is in Redis, or gives up after `ms`: what is left then is left to the lease's end. */
  async close(ms: number): Promise<void> {
    if (this.#busy.size > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#deps.clock.after(ms, resolve);
        this.#idle.push(() => {
          cancel();
          resolve();
        });
      });
    }
    this.#closed = true;
    for (const stopWaiting of this.#pauses) stopWaiting();
  }

  async #send(hold: string): Promise<void> {
    const { publish, lease, audit } = this.#deps;
    this.#busy.add(hold);
    let wait = FIRST_RETRY_MS;
    for (let slip = this.#waiting.get(hold); slip && !this.#closed; slip = this.#waiting.get(hold)) {
      try {
        const card = slip.make?.();
        if (card && !slip.last) await lease.note(card);
        if (card) await publish.send(cardJob(card), `card-${hold}-${card.sequence}`);
        if (slip.last) {
          if (this.#waiting.get(hold) === slip) {
            slip = { make: undefined, last: true }; // sent: what fails from here on is tried without the card
            this.#waiting.set(hold, slip);
          }
          await audit.flush(); // an end that never gets to the disk is left in the index, for an heir to record
          await lease.close(hold);
        }
        if (this.#waiting.get(hold) === slip) this.#waiting.delete(hold);
        wait = FIRST_RETRY_MS;
      } catch (error) {
        if (error instanceof ZodError) {
          // A card that does not fit its schema never will: say so and go on.
          this.#deps.log('a card could not be written', { hold, error: error.message.slice(0, 500) });
          if (this.#waiting.get(hold) === slip) this.#waiting.delete(hold);
          continue;
        }
        if (this.#closed) break;
        await this.#pause(wait);
        wait = Math.min(LAST_RETRY_MS, wait * 2);
      }
    }
    this.#busy.delete(hold);
    if (this.#busy.size === 0) for (const wake of this.#idle.splice(0)) wake();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        this.#pauses.delete(end);
        resolve();
      };
      const cancel = this.#deps.clock.after(ms, end);
      this.#pauses.add(end);
    });
  }
}
