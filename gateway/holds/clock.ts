/** Time as the holds see it; handed in, so that a test can steer it. */

export type Clock = {
  /** Epoch ms, for people and cards. Never decides how long something lasted. */
  now(): number;
  /** Monotonic ms: deadlines and freshness. */
  monotonic(): number;
  /** Runs once after at least `ms`; the returned function takes it back. */
  after(ms: number, run: () => void): () => void;
};

const LONGEST_MS = 2 ** 31 - 1; // setTimeout fires at once above this

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(Math.max(0, Math.ceil(ms)), LONGEST_MS));
    return () => clearTimeout(timer);
  },
};

/** `2026-11-23 14:02:11 UTC` */
export const moment = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(0, 10)} ${utc(epochMs)}`;

/** `14:02:11 UTC` */
export const utc = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(11, 19)} UTC`;
