/**
 * What each requester did on a connection lately, for those who decide about the next thing it asks: the last ten, in
 * this process' memory alone. The audit trail is the record; this is what a reader of a card may want to know at once.
 */
import { type Operation, type Outcome, type Principal, principalKey } from '../operation.ts';

const KEPT = 10;
const MOST_REQUESTERS = 5_000; // of one connection, some 2 MB; who came first is forgotten first

export type Deed = {
  readonly id: string;
  readonly at: number;
  readonly headline: string;
  /** What the gate said, or how its hold ended. */
  verdict: string;
  outcome: Outcome | undefined;
};

/** A ring: `next` is where the next one goes. */
type Deeds = {
  readonly ring: Deed[];
  next: number;
  readonly key: string;
  readonly name: string;
  readonly sponsor: string | undefined;
};

export class History {
  readonly #now: () => number;
  readonly #connections = new Map<string, Map<string, Deeds>>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Asked once for every operation: a look-up and a write. Undefined for what says nothing (BEGIN, SET). */
  note({ id, principal, connection, headline, effects }: Operation, verdict: string): Deed | undefined {
    const only = effects.length === 1 ? effects[0]?.action : undefined;
    if (only === 'transaction' || only === 'session') return undefined;
    const deed: Deed = { id, at: this.#now(), headline, verdict, outcome: undefined };
    const deeds = this.#of(principal, connection) ?? this.#begin(principal, connection);
    deeds.ring[deeds.next] = deed;
    deeds.next = (deeds.next + 1) % KEPT;
    return deed;
  }

  /** Newest first. */
  latest(principal: Principal, connection: string): readonly Deed[] {
    const deeds = this.#of(principal, connection);
    return deeds ? [...deeds.ring.slice(deeds.next), ...deeds.ring.slice(0, deeds.next)].reverse() : [];
  }

  /** What those did who are somebody's own, on every connection; in no order. */
  of(
    own: (principal: string, sponsor: string | undefined) => boolean,
  ): { name: string; connection: string; deed: Deed }[] {
    const found: { name: string; connection: string; deed: Deed }[] = [];
    for (const [connection, requesters] of this.#connections) {
      for (const { ring, key, name, sponsor } of requesters.values()) {
        if (own(key, sponsor)) for (const deed of ring) found.push({ name, connection, deed });
      }
    }
    return found;
  }

  #of(principal: Principal, connection: string): Deeds | undefined {
    return this.#connections.get(connection)?.get(principalKey(principal));
  }

  #begin(principal: Principal, connection: string): Deeds {
    const requesters = this.#connections.get(connection) ?? new Map<string, Deeds>();
    this.#connections.set(connection, requesters);
    const first = requesters.keys().next().value;
    if (requesters.size >= MOST_REQUESTERS && first !== undefined) requesters.delete(first);
    const { name, sponsor } = principal;
    const deeds: Deeds = { ring: [], next: 0, key: principalKey(principal), name, sponsor };
    requesters.set(deeds.key, deeds);
    return deeds;
  }
}
