/** Ends a session in which nothing happens: one timer for a stay, however busy it is. */

const LOOK_AGAIN_MS = 1_000;

export class IdleClock {
  readonly #idleMs: number;
  readonly #deps: { busy: () => boolean; expired: () => void };
  #timer: NodeJS.Timeout | undefined;
  #last = performance.now();

  constructor(idleMs: number, deps: { busy: () => boolean; expired: () => void }) {
    this.#idleMs = idleMs;
    this.#deps = deps;
  }

  start(): void {
    this.#arm(this.#idleMs);
  }

  active(): void {
    this.#last = performance.now();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const quiet = performance.now() - this.#last;
      if (quiet >= this.#idleMs && !this.#deps.busy()) this.#deps.expired();
      else this.#arm(Math.max(LOOK_AGAIN_MS, this.#idleMs - quiet));
    }, ms);
    this.#timer.unref();
  }
}
