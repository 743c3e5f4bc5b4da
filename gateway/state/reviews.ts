/** Releases by break-glass that nobody has reviewed yet: signed in Redis, until another admin signs each. */
import { z } from 'zod';
import type { GlassBroken } from '../holds/glass.ts';
import type { SignedStore } from './signed.ts';

const REVIEWS_KEY = 'countersign:reviews'; // hash: hold → record, sealed for its own field
const MOST = 1_000;
const SIGNING_MS = 30_000; // longer than a disk takes that is not given up; then another may sign
const signingKey = (hold: string): string => `${REVIEWS_KEY}:signing:${hold}`;

/** Off the list, if it still is the record that was read. */
const SIGN = `if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])`;
const LET_GO = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;
const text = (max: number) => z.string().max(max);

const recordSchema: z.ZodType<GlassBroken> = z.strictObject({
  hold: z.uuid(),
  shortId: text(12),
  connection: text(64),
  environment: text(64),
  headline: text(300),
  requester: text(200),
  user: text(32),
  name: text(200),
  reason: text(1000),
  at: z.number().int().nonnegative(),
});

const context = (hold: string): string => `${REVIEWS_KEY}:${hold}`;

/** As it was read: signed is exactly this record. */
export type FoundReview = { readonly record: GlassBroken; readonly raw: string };

export class Reviews {
  readonly #store: SignedStore;

  constructor(store: SignedStore) {
    this.#store = store;
  }

  /** Before anything is released by it: what cannot be remembered is not released. @throws Error while Redis is gone */
  async open(record: GlassBroken): Promise<void> {
    await this.#store.redis.hset(REVIEWS_KEY, record.hold, this.#store.sealed(record, context(record.hold)));
  }

  /** It was not released after all. */
  async drop(hold: string): Promise<void> {
    await this.#store.redis.hdel(REVIEWS_KEY, hold);
  }

  /** Undefined where nothing of that hold waits for a review. @throws Error while Redis is gone; GatewayError FORGED */
  async find(hold: string): Promise<FoundReview | undefined> {
    const raw = await this.#store.redis.hget(REVIEWS_KEY, hold);
    return raw === null ? undefined : { record: this.#store.open(raw, context(hold), recordSchema), raw };
  }

  /** True for one caller at a time: who puts a signature on record. Until `leave`, or for 30 s. */
  async claim(hold: string, by: string): Promise<boolean> {
    return (await this.#store.redis.set(signingKey(hold), by, 'PX', SIGNING_MS, 'NX')) === 'OK';
  }

  async leave(hold: string, by: string): Promise<void> {
    await this.#store.redis.eval(LET_GO, 1, signingKey(hold), by);
  }

  /** True for the one caller who took this very record off the list. */
  async sign(hold: string, { raw }: FoundReview): Promise<boolean> {
    return (await this.#store.redis.eval(SIGN, 1, REVIEWS_KEY, hold, raw)) === 1;
  }

  /** Oldest first; what was not written by a gateway is left out. @throws Error while Redis is gone */
  async list(): Promise<GlassBroken[]> {
    const all = Object.entries(await this.#store.redis.hgetall(REVIEWS_KEY)).slice(0, MOST);
    const open = all.flatMap(([hold, raw]) => {
      try {
        return [this.#store.open(raw, context(hold), recordSchema)];
      } catch {
        return [];
      }
    });
    return open.sort((a, b) => a.at - b.at);
  }
}
