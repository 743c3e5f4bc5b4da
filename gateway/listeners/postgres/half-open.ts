/** Sockets that have not logged in yet: counted, and the oldest makes room, so that a flood never locks others out. */

type HalfOpenLimits = {
  /** Log-ins going on at once. */
  readonly total: number;
  /** Of these, from one address: everyone behind one load balancer shares it. */
  readonly perAddress: number;
};

type Visit = { readonly address: string; readonly evict: () => void };

/**
 * Oldest first: an honest client logs in within milliseconds, one that dribbles bytes gets old. Evicting instead of
 * refusing keeps the door open while it is being leant on.
 */
export class HalfOpen {
  readonly #limits: HalfOpenLimits;
  readonly #visits = new Set<Visit>();
  readonly #byAddress = new Map<string, Set<Visit>>();

  constructor(limits: HalfOpenLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#visits.size;
  }

  /** Count one more, evicting the oldest where that is too many. Call what it returns when the log-in has ended. */
  enter(address: string, evict: () => void): () => void {
    const ofAddress = this.#byAddress.get(address);
    if (ofAddress && ofAddress.size >= this.#limits.perAddress) this.#evictOldest(ofAddress);
    if (this.#visits.size >= this.#limits.total) this.#evictOldest(this.#visits);
    const visit = { address, evict };
    this.#visits.add(visit);
    const mine = this.#byAddress.get(address) ?? new Set();
    mine.add(visit);
    this.#byAddress.set(address, mine);
    return () => this.#leave(visit);
  }

  #evictOldest(among: ReadonlySet<Visit>): void {
    for (const visit of among) {
      this.#leave(visit);
      visit.evict();
      return;
    }
  }

  #leave(visit: Visit): void {
    this.#visits.delete(visit);
    const mine = this.#byAddress.get(visit.address);
    mine?.delete(visit);
    if (mine?.size === 0) this.#byAddress.delete(visit.address);
  }
}
