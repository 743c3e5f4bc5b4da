/** How many operations got which verdict, by the hour and by whose they were, as this process counted them. */
import type { AuditEntry } from '../audit/entry.ts';
import type { Verdict } from '../recordings/shape.ts';
import type { Hour, Whose } from '../web/pages/overview.ts';

const HOUR_MS = 3_600_000;
const HOURS = 24;
const MOST_PRINCIPALS = 2_000; // an hour; of who comes after that nothing is charted
const VERDICTS: ReadonlySet<unknown> = new Set<Verdict>(['allow', 'hold', 'deny', 'refused']);

type Counts = Record<Verdict, number>;
type Counted = { readonly whose: Whose; readonly counts: Counts };

export class Verdicts {
  readonly #now: () => number;
  readonly #sponsorOf: (session: string) => string | undefined;
  readonly #since: number;
  /** By the start of the hour. */
  readonly #hours = new Map<number, Map<string, Counted>>();

  constructor(now: () => number, sponsorOf: (session: string) => string | undefined) {
    this.#now = now;
    this.#sponsorOf = sponsorOf;
    this.#since = now();
  }

  entered({ kind, principal, verdict, session }: AuditEntry): void {
    if (kind !== 'operation' || principal === undefined || !VERDICTS.has(verdict)) return;
    const at = Math.floor(this.#now() / HOUR_MS) * HOUR_MS;
    let hour = this.#hours.get(at);
    if (!hour) {
      hour = new Map();
      this.#hours.set(at, hour);
      for (const old of this.#hours.keys()) if (old <= at - HOURS * HOUR_MS) this.#hours.delete(old);
    }
    let counted = hour.get(principal);
    if (!counted) {
      if (hour.size >= MOST_PRINCIPALS) return;
      const sponsor = session === undefined ? undefined : this.#sponsorOf(session);
      counted = { whose: { principal, ...(sponsor === undefined ? {} : { sponsor }) }, counts: none() };
      hour.set(principal, counted);
    }
    counted.counts[verdict as Verdict]++;
  }

  /** The last 24 hours, oldest first. */
  of(visible: (whose: Whose) => boolean): { readonly since: number; readonly hours: readonly Hour[] } {
    const newest = Math.floor(this.#now() / HOUR_MS) * HOUR_MS;
    const hours = Array.from({ length: HOURS }, (_, n): Hour => {
      const at = newest - (HOURS - 1 - n) * HOUR_MS;
      const sum = none();
      for (const { whose, counts } of this.#hours.get(at)?.values() ?? []) {
        if (visible(whose)) for (const verdict of Object.keys(sum) as Verdict[]) sum[verdict] += counts[verdict];
      }
      return { at, ...sum };
    });
    return { since: this.#since, hours };
  }
}

const none = (): Counts => ({ allow: 0, hold: 0, deny: 0, refused: 0 });
