/** One credential in use: ends at its time by a monotonic timer, when revoked, or later when a later token comes. */
import { End } from '../ending.ts';
import type { Principal } from '../operation.ts';
import type { Revocable } from '../state/revocations.ts';
import type { Credential } from './identity.ts';
import type { Identity } from './principals.ts';

const MAX_TIMER_MS = 2 ** 31 - 1; // a longer setTimeout fires at once
/** This long before the end, another gateway's word of a later token is looked for. */
const LOOK_BEFORE_MS = 5_000;
const COARSE_MS = 10_000;

export type LiveOptions = {
  readonly identity: Identity;
  readonly principal: Principal;
  readonly revocable: Revocable;
  readonly expiresAt: number;
  readonly now: () => number;
  /** Shortly before the end: is there a later token? */
  readonly onEnding: (live: LiveCredential) => void;
  readonly onReleased: (live: LiveCredential) => void;
};

export class LiveCredential implements Credential {
  readonly principal: Principal;
  readonly identity: Identity;
  /** Its own token and every later one that extended it: whichever is revoked ends it. */
  readonly revocables: Revocable[];
  readonly ended = new End();
  readonly #options: LiveOptions;
  #expiresAt: number;
  /** The same moment on the monotonic clock. */
  #endsAt: number;
  #looked = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.principal = options.principal;
    this.identity = options.identity;
    this.revocables = [options.revocable];
    this.#expiresAt = options.expiresAt;
    this.#endsAt = performance.now() + (options.expiresAt - options.now());
    this.#arm();
  }

  expiresAt(): number {
    return this.#expiresAt;
  }

  release(): void {
    clearTimeout(this.#timer);
    this.#options.onReleased(this);
  }

  end(reason: string): void {
    this.release();
    this.ended.abort(reason);
  }

  /** True when it now lives longer. Another set of groups is another authority, which a session cannot take up. */
  extend(until: number, groups: readonly string[], revocable: Revocable): boolean {
    if (this.ended.aborted || until <= this.#expiresAt || !sameGroups(groups, this.identity.groups)) return false;
    this.#expiresAt = until;
    this.#endsAt = performance.now() + (until - this.#options.now());
    this.#looked = false;
    this.revocables.push(revocable);
    if (this.revocables.length > 100) this.revocables.splice(1, 1); // a session of weeks, renewed every few minutes
    this.#arm();
    return true;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const left = this.#endsAt - performance.now();
    if (left <= 0) {
      this.end('your token has expired; sign in again');
      return;
    }
    let wait = this.#looked ? left : Math.max(0, left - Math.min(LOOK_BEFORE_MS, left / 2));
    if (wait > COARSE_MS) wait -= wait % COARSE_MS; // Node keeps a list for every duration; the rest is waited for then
    this.#timer = setTimeout(() => this.#due(), Math.min(Math.ceil(wait), MAX_TIMER_MS));
    this.#timer.unref();
  }

  #due(): void {
    const left = this.#endsAt - performance.now();
    if (!this.#looked && left <= LOOK_BEFORE_MS) {
      this.#looked = true;
      this.#options.onEnding(this);
    }
    this.#arm();
  }
}

function sameGroups(one: readonly string[], other: readonly string[]): boolean {
  const set = new Set(other);
  return new Set(one).size === set.size && one.every((group) => set.has(group));
}
