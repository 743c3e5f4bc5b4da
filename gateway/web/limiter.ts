/** How often one address may ask: a bucket each, bounded in number. Pure but for the clock it is given. */

export type Rate = { readonly burst: number; readonly perSecond: number };

export type Limiter = {
  /** Take `cost` from the address's bucket. False when there is not enough. */
  allow(address: string, cost?: number): boolean | Promise<boolean>;
};

export class AddressLimiter implements Limiter {
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #now: () => number;
  /** In order of use, oldest first. */
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(options: Rate & { now?: () => number }) {
    this.#burst = options.burst;
    this.#perSecond = options.perSecond;
    this.#now = options.now ?? (() => performance.now());
  }

  allow(address: string, cost = 1): boolean {
    const key = network(address);
    const now = this.#now();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, at: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((now - bucket.at) / 1_000) * this.#perSecond);
    bucket.at = now;
    const enough = bucket.tokens >= cost;
    if (enough) bucket.tokens -= cost;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_ADDRESSES) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    return enough;
  }
}

const MAX_ADDRESSES = 10_000;

/** One IPv6 customer has a /64; its addresses share a bucket. */
function network(address: string): string {
  const bare = address.replace(/^::ffff:/, '');
  return bare.includes(':') ? bare.split(':').slice(0, 4).join(':') : bare;
}
