/** That something ends, told to who listens: an AbortSignal costs 2 KB, and thousands of sessions have several each. */

/** What is used of an AbortSignal, which is one too. */
export type Ending = {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
};

/** Signal and controller in one. */
export class End implements Ending {
  aborted = false;
  reason: unknown;
  #listeners: (() => void)[] = [];

  addEventListener(_type: 'abort', listener: () => void, _once?: { once: true }): void {
    if (this.aborted || this.#listeners.includes(listener)) return;
    this.#listeners = [...this.#listeners, listener]; // pushed to, it would have room for 17
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners = this.#listeners.filter((one) => one !== listener);
  }

  /** Once; later calls change nothing. A listener that throws keeps no other from hearing of it. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (let listener = this.#listeners.shift(); listener; listener = this.#listeners.shift()) {
      try {
        listener();
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }
}
