/** How often one principal may compare masked columns in ways that read a value out piece by piece. Knows no statement. */

const HOUR_MS = 60 * 60_000;
/** A card of sixteen digits takes some sixty questions: nobody reads out a second one within the hour unasked. */
const MOST_PER_HOUR = 60;
const MAX_KEPT = 10_000; // principals on connections; the longest unused are forgotten first

type Hour = { until: number; uses: number };

/** Counted by this process alone. */
export class Pace {
  readonly #now: () => number;
  readonly #hours = new Map<string, Hour>();

  /** @param now monotonic, ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Count so many more uses by whoever `key` names. False when that is more than an hour allows. */
  take(key: string, uses: number): boolean {
    const now = this.#now();
    const known = this.#hours.get(key);
    const hour = known && known.until > now ? known : { until: now + HOUR_MS, uses: 0 };
    this.#hours.delete(key);
    this.#hours.set(key, hour);
    if (this.#hours.size > MAX_KEPT) this.#hours.delete(this.#hours.keys().next().value ?? '');
    hour.uses += uses;
    return hour.uses <= MOST_PER_HOUR;
  }
}
