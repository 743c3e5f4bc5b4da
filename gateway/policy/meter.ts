/** Counts what goes to a client against the budgets of its verdict: a statement's own, and its principal's hour. Pure. */
import type { Budget } from './policy.ts';

const MINUTE_MS = 60_000;
const BUCKETS = 61; // the minute that is still running, and a whole hour behind it
const MOST_KEPT = 10_000; // counts of a principal under a rule, about 1 KB each; beyond, the one unused longest is let go

/** What one principal got within the last hour (never less of it) under one rule. */
class Hour {
  readonly #rows = new Float64Array(BUCKETS);
  readonly #bytes = new Float64Array(BUCKETS);
  #minute: number;
  #rowsSum = 0;
  #bytesSum = 0;

  constructor(minute: number) {
    this.#minute = minute;
  }

  add(minute: number, rows: number, bytes: number): void {
    this.#advance(minute);
    const at = this.#minute % BUCKETS;
    this.#rows[at] = (this.#rows[at] ?? 0) + rows;
    this.#bytes[at] = (this.#bytes[at] ?? 0) + bytes;
    this.#rowsSum += rows;
    this.#bytesSum += bytes;
  }

  sum(minute: number, of: 'rows' | 'bytes'): number {
    this.#advance(minute);
    return of === 'rows' ? this.#rowsSum : this.#bytesSum;
  }

  #advance(minute: number): void {
    for (let left = Math.min(BUCKETS, minute - this.#minute); left > 0; left--) {
      const at = (minute - left + 1) % BUCKETS;
      this.#rowsSum -= this.#rows[at] ?? 0;
      this.#bytesSum -= this.#bytes[at] ?? 0;
      this.#rows[at] = 0;
      this.#bytes[at] = 0;
    }
    this.#minute = Math.max(this.#minute, minute);
  }
}

/** The hours of all principals of one process. */
export class Hours {
  readonly #monotonic: () => number;
  readonly #most: number;
  readonly #kept = new Map<string, Hour>();

  /** @param monotonic ms */
  constructor(monotonic: () => number, most = MOST_KEPT) {
    this.#monotonic = monotonic;
    this.#most = most;
  }

  add(principal: string, count: string, rows: number, bytes: number): void {
    const minute = this.#minute();
    const key = keyOf(principal, count);
    const hour = this.#kept.get(key) ?? new Hour(minute);
    hour.add(minute, rows, bytes);
    this.#kept.delete(key); // the newest comes last
    this.#kept.set(key, hour);
    const oldest = this.#kept.keys().next().value;
    if (this.#kept.size > this.#most && oldest !== undefined) this.#kept.delete(oldest);
  }

  sum(principal: string, count: string, of: 'rows' | 'bytes'): number {
    return this.#kept.get(keyOf(principal, count))?.sum(this.#minute(), of) ?? 0;
  }

  #minute(): number {
    return Math.floor(this.#monotonic() / MINUTE_MS);
  }
}

const keyOf = (principal: string, count: string): string => `${count}\n${principal}`;

/** How far one result was read: a cursor's is read by one FETCH after another. */
export class Reading {
  rows = 0;
  bytes = 0;
  /** Keys of the budgets that somebody lifted for the rest of it. */
  readonly lifted = new Set<string>();
}

/**
 * Of one permit. Rows are asked for by the batch: `rowsLeft` and `bytesLeft` say how much may pass before somebody must
 * be asked, `count` takes note of what passed.
 */
export class BudgetMeter {
  /** What this permit's own statement brought. */
  readonly own = new Reading();
  readonly #budgets: readonly Budget[];
  readonly #hours: Hours;
  readonly #principal: string;
  /** All that what comes now is part of. */
  #readings: readonly Reading[] = [this.own];

  constructor(budgets: readonly Budget[], hours: Hours, principal: string) {
    this.#budgets = budgets;
    this.#hours = hours;
    this.#principal = principal;
  }

  /** What comes from here on is read from these. */
  follow(readings: readonly Reading[]): void {
    this.#readings = readings;
  }

  /** Infinity where nothing limits them. */
  get rowsLeft(): number {
    return this.#left('rows');
  }

  get bytesLeft(): number {
    return this.#left('bytes');
  }

  /** It went to the client. */
  count(rows: number, bytes: number): void {
    for (const reading of this.#readings) {
      reading.rows += rows;
      reading.bytes += bytes;
    }
    const counted = new Set<string>();
    for (const { limit, count } of this.#budgets) {
      if (limit.per === 'statement' || counted.has(count)) continue;
      counted.add(count);
      this.#hours.add(this.#principal, count, rows, bytes);
    }
  }

  /** The budgets that one more row of so many bytes would pass; none when it may go. */
  stopping(bytes: number): Budget[] {
    return this.#budgets.filter(
      (budget) => !this.#isLifted(budget.key) && this.#leftOf(budget) < (budget.limit.of === 'rows' ? 1 : bytes),
    );
  }

  /** For the rest of what is being read; the others go on counting. */
  lift(budgets: readonly Budget[]): void {
    for (const { key } of budgets) for (const reading of this.#readings) reading.lifted.add(key);
  }

  /** How much the client has of what is being read. */
  get passed(): Pick<Reading, 'rows' | 'bytes'> {
    const { rows, bytes } = this.#readings.at(-1) ?? this.own;
    return { rows, bytes };
  }

  #left(of: 'rows' | 'bytes'): number {
    let left = Number.POSITIVE_INFINITY;
    for (const budget of this.#budgets) {
      if (budget.limit.of === of && !this.#isLifted(budget.key)) left = Math.min(left, this.#leftOf(budget));
    }
    return left;
  }

  #leftOf({ limit, count }: Budget): number {
    if (limit.per === 'hour') return limit.most - this.#hours.sum(this.#principal, count, limit.of);
    let most = 0;
    for (const reading of this.#readings) most = Math.max(most, reading[limit.of]);
    return limit.most - most;
  }

  #isLifted(key: string): boolean {
    return this.#readings.every(({ lifted }) => lifted.has(key));
  }
}
