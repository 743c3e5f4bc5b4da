/** Who goes along with a hold without deciding about it: threads, reminders, estimates, grants. */
import type { Hold } from './hold.ts';

/** Each is told in the moment it happens, in this order; what one throws is logged and changes nothing. */
export type Follower = {
  /** Nobody has been asked yet: what its first card shall carry goes into its `extra` now. */
  opening?(hold: Hold): void;
  /** Its card is on its way to people. */
  opened?(hold: Hold): void;
  /** The rules became stricter while it waited: other demands, no votes. */
  changed?(hold: Hold): void;
  /** A click counted: an approval that stands, or one taken back. A denial is an end. */
  voted?(hold: Hold): void;
  /** Its votes suffice, it is recorded, and its bytes are on their way. */
  released?(hold: Hold): void;
  /** Nothing will change any more. */
  ended?(hold: Hold): void;
};

export class Followers {
  readonly #all: readonly Follower[];
  readonly #log: (message: string, details?: Record<string, unknown>) => void;

  constructor(all: readonly Follower[], log: (message: string, details?: Record<string, unknown>) => void) {
    this.#all = all;
    this.#log = log;
  }

  tell(what: keyof Follower, hold: Hold): void {
    for (const follower of this.#all) {
      try {
        follower[what]?.(hold);
      } catch (error) {
        this.#log('what goes along with a hold failed', { hold: hold.id, what, error: String(error) });
      }
    }
  }
}
