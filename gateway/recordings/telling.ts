/** Says which sessions go on: soon of a new one, then now and then of what changed, and of all again; several in one word. */
import type { Reel } from './reel.ts';
import type { SessionSummary } from './shape.ts';

const LOOK_MS = 250;
const AT_ONCE = 100; // in one word: it is signed once
const CHANGED_MS = 5_000;
/** Of every session that goes on something is said at least so often, ms: whoever came later hears of it too. */
export const AGAIN_MS = 60_000;

export class Telling {
  readonly #tell: (summaries: readonly SessionSummary[]) => void;
  readonly #now: () => number;
  /** Those of whom nothing was said for longest first. When, ms of the monotonic clock. */
  readonly #reels = new Map<Reel, number>();
  #timer: NodeJS.Timeout | undefined;

  /** `now`: ms of a monotonic clock. */
  constructor(tell: (summaries: readonly SessionSummary[]) => void, now = () => performance.now()) {
    this.#tell = tell;
    this.#now = now;
  }

  begun(reel: Reel): void {
    this.#reels.set(reel, Number.NEGATIVE_INFINITY);
    this.#timer ??= setTimeout(this.#look, LOOK_MS).unref();
  }

  /** Nothing more is said of it. */
  over(reel: Reel): void {
    this.#reels.delete(reel);
  }

  readonly #look = (): void => {
    const now = this.#now();
    const due: Reel[] = [];
    for (const [reel, toldAt] of this.#reels) {
      if (now - toldAt < (reel.changed ? CHANGED_MS : AGAIN_MS)) continue;
      due.push(reel);
      if (due.length === AT_ONCE) break;
    }
    for (const reel of due) {
      reel.changed = false;
      this.#reels.delete(reel);
      this.#reels.set(reel, now);
    }
    if (due.length > 0) this.#tell(due.map(({ summary }) => summary));
    this.#timer = this.#reels.size > 0 ? setTimeout(this.#look, LOOK_MS).unref() : undefined;
  };
}
