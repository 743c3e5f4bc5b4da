/**
 * A clock that goes on only while this process does: what it could not turn to, because it stood still or had no core,
 * is not held against a disk. Never ahead of the monotonic clock.
 */
const BEAT_MS = 50;
const MOST_MS = 100; // of one turn of the event loop

export class OwnTime {
  #at = 0;
  #seen = performance.now();
  readonly #beat = setInterval(() => {
    this.#at = this.now();
    this.#seen = performance.now();
  }, BEAT_MS).unref();

  /** Milliseconds since it was made. */
  now(): number {
    return this.#at + Math.min(performance.now() - this.#seen, MOST_MS);
  }

  stop(): void {
    clearInterval(this.#beat);
  }
}
