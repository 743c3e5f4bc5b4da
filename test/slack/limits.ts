/** Slack's rate limits per method: token buckets on a monotonic clock. */
import { performance } from 'node:perf_hooks';
import type { Args, Method } from './api.ts';

/**
 * `strict`: the documented rates with small bursts. `generous` (default): four times the documented tiers, and bursts of
 * 60 posts a channel, so that a test run passes and a flood does not. `off`: none.
 */
export type RateMode = 'off' | 'generous' | 'strict';

const PER_MINUTE = { 1: 5, 2: 20, 3: 50, 4: 100, special: 300 } as const; // tier 1 says `1+`; socket clients reconnect

interface Bucket {
  tokens: number;
  at: number;
}

export class Limiter {
  mode: RateMode;
  readonly #buckets = new Map<string, Bucket>();

  constructor(mode: RateMode) {
    this.mode = mode;
  }

  /** Takes one call. Whole seconds to wait when there is none left, else 0. */
  wait(tier: Method['tier'], method: string, args: Args): number {
    if (this.mode === 'off') return 0;
    const generous = this.mode === 'generous';
    if (tier === 'post') return this.#take(`${method} ${args.text('channel') ?? ''}`, 1, generous ? 60 : 5);
    const perMinute = PER_MINUTE[tier] * (generous ? 4 : 1);
    return this.#take(method, perMinute / 60, perMinute);
  }

  #take(key: string, perSecond: number, burst: number): number {
    const now = performance.now();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
    bucket.at = now;
    this.#buckets.set(key, bucket);
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 0;
    }
    return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond));
  }
}
