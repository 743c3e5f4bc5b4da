/** Time and processes of the hold model: one fake clock, and processes that can be stopped, woken and killed. */
import type { Clock } from '../../gateway/holds/clock.ts';

const EPOCH = 1_790_000_000_000;

/** Every microtask has run, as between two events of a real loop. */
export const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

type Timer = { readonly at: number; readonly run: () => void; readonly owner: Process };

export class Time {
  /** Monotonic ms. */
  now = 1_000_000;
  readonly #timers = new Set<Timer>();

  after(ms: number, owner: Process, run: () => void): () => void {
    const timer = { at: this.now + Math.max(0, ms), run, owner };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Go on by `ms`: what falls due runs in order, each in a turn of its own. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    for (let timer = this.#due(end); timer; timer = this.#due(end)) {
      this.now = Math.max(this.now, timer.at);
      this.#timers.delete(timer);
      timer.run();
      await turn();
    }
    this.now = end;
  }

  /** Timers this process waits for. */
  of(owner: Process): number {
    return [...this.#timers].filter((timer) => timer.owner === owner).length;
  }

  #due(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.owner.state === 'dead') this.#timers.delete(timer);
      else if (timer.owner.state === 'live' && timer.at <= end && (!first || timer.at < first.at)) first = timer;
    }
    return first;
  }
}

export class Process {
  readonly clock: Clock;
  state: 'live' | 'stopped' | 'dead' = 'live';
  /** How far its wall clock is off, ms. */
  skew = 0;
  readonly #time: Time;
  #arrived: (() => void)[] = [];

  constructor(time: Time) {
    this.#time = time;
    this.clock = {
      now: () => EPOCH + time.now + this.skew,
      monotonic: () => time.now,
      after: (ms, run) => time.after(ms, this, run),
    };
  }

  /** Something arrives: now, when it wakes, or never. */
  deliver(run: () => void): void {
    if (this.state === 'live') run();
    else if (this.state === 'stopped') this.#arrived.push(run);
  }

  /** SIGCONT. What fell due and what arrived meanwhile is taken in before anything it asks for now can be answered. */
  async wake(timersFirst: boolean): Promise<void> {
    if (this.state !== 'stopped') return;
    this.state = 'live';
    if (timersFirst) await this.#time.advance(0);
    for (const run of this.#arrived.splice(0)) {
      run();
      await turn();
    }
    await this.#time.advance(0);
  }
}
