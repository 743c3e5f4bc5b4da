/** Approvals that outlive one operation, shared by gateways: signed records in Redis, their uses counted there at once. */
import type { z } from 'zod';
import type { Subscriber } from './revocations.ts';
import type { SignedStore } from './signed.ts';

/** What is known of each: its own id, and the end of its life (epoch ms). */
export type Pass = { readonly id: string; readonly expiresAt: number };

/** As it was read: a claim is for exactly this record. */
export type Found<T> = { readonly record: T; readonly raw: string };

const MOST = 1_000; // alive at once; nobody approves more
const MOST_REMEMBERED = 10_000;

/**
 * One use more, if the record still is the one that was read, uses are left, and so many were used before (where that
 * is said). Two gateways at once never get more out of it than one alone.
 */
const CLAIM = `if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
local used = tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or '0')
if used >= tonumber(ARGV[4]) then return -2 end
if ARGV[5] ~= '' and used ~= tonumber(ARGV[5]) then return -3 end
return redis.call('HINCRBY', KEYS[2], ARGV[3], 1)`;

/** Gone only if it still is the one that was read. */
const DROP = `if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[2], ARGV[3])
return 1`;

/** What was there before. */
const PUT = `local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return before`;

/** Every method but `start` throws Error while Redis is gone, and GatewayError FORGED for what no gateway wrote. */
export class Passes<T extends Pass> {
  readonly #store: SignedStore;
  readonly #key: string;
  readonly #schema: z.ZodType<T>;
  readonly #now: () => number;
  /** Highest count of uses seen: Redis may hold less only because somebody put it there. */
  readonly #used = new Map<string, number>();
  /** Ended before their time: never good again here, whatever Redis holds. */
  readonly #dropped = new Set<string>();

  constructor({
    store,
    key,
    schema,
    now,
  }: { store: SignedStore; key: string; schema: z.ZodType<T>; now: () => number }) {
    this.#store = store;
    this.#key = key;
    this.#schema = schema;
    this.#now = now;
  }

  /** Hear from others what they ended. */
  start(subscriber: Subscriber): void {
    subscriber.on('message', (channel, id) => {
      if (channel === this.#channel) remember(this.#dropped, id.slice(0, 100));
    });
    subscriber.subscribe(this.#channel).catch(() => {}); // the record's absence is what is relied upon
  }

  /** In place of whatever was there under that name: another that still was good is answered, and is so no more. */
  async put(name: string, record: T): Promise<T | undefined> {
    const { redis } = this.#store;
    if ((await redis.hlen(this.#key)) >= MOST) await this.#clear();
    const raw = await redis.eval(PUT, 1, this.#key, name, this.#store.sealed(record, this.#context(name)));
    const before = typeof raw === 'string' ? this.#opened(name, raw) : undefined;
    if (!before || before.id === record.id || !this.#isGood(before)) return undefined;
    remember(this.#dropped, before.id);
    await redis.publish(this.#channel, before.id).catch(() => {}); // others find another record in its place
    return before;
  }

  /** Undefined where there is none that is still good. */
  async find(name: string): Promise<Found<T> | undefined> {
    const raw = await this.#store.redis.hget(this.#key, name);
    if (raw === null) return undefined;
    const record = this.#store.open(raw, this.#context(name), this.#schema);
    return this.#isGood(record) ? { record, raw } : undefined;
  }

  /** All that are still good, soonest to end first; what was not written by a gateway is left out. */
  async list(): Promise<(Found<T> & { readonly name: string })[]> {
    const all = Object.entries(await this.#store.redis.hgetall(this.#key)).flatMap(([name, raw]) => {
      const record = this.#opened(name, raw);
      return record && this.#isGood(record) ? [{ name, record, raw }] : [];
    });
    return all.sort((a, b) => a.record.expiresAt - b.record.expiresAt);
  }

  async used({ id }: T): Promise<number> {
    return Math.max(Number((await this.#store.redis.hget(this.#uses, id)) ?? 0), this.#used.get(id) ?? 0);
  }

  /** The how manieth use this is, from 1; undefined where it may not be used. `after`: only as the next one after so many. */
  async claim(name: string, { record, raw }: Found<T>, most: number, after?: number): Promise<number | undefined> {
    if (!this.#isGood(record)) return undefined;
    const { redis } = this.#store;
    const said = await redis.eval(CLAIM, 2, this.#key, this.#uses, name, raw, record.id, most, after ?? '');
    const count = Number(said);
    if (!Number.isInteger(count) || count < 1) return undefined;
    const before = this.#used.get(record.id) ?? 0;
    if (count <= before || !this.#isGood(record)) return undefined; // counted back by whoever writes to Redis; or ended
    this.#used.delete(record.id);
    this.#used.set(record.id, count);
    const oldest = this.#used.keys().next().value;
    if (this.#used.size > MOST_REMEMBERED && oldest !== undefined) this.#used.delete(oldest);
    return count;
  }

  /** True for the one caller who ended it. From now on it is good nowhere. */
  async drop(name: string, { record, raw }: Found<T>): Promise<boolean> {
    remember(this.#dropped, record.id);
    return (await this.#store.redis.eval(DROP, 2, this.#key, this.#channel, name, raw, record.id)) === 1;
  }

  #isGood({ id, expiresAt }: T): boolean {
    return expiresAt > this.#now() && !this.#dropped.has(id);
  }

  #opened(name: string, raw: string): T | undefined {
    try {
      return this.#store.open(raw, this.#context(name), this.#schema);
    } catch {
      return undefined;
    }
  }

  /** What has run out, or was written by nobody known. */
  async #clear(): Promise<void> {
    const { redis } = this.#store;
    for (const [name, raw] of Object.entries(await redis.hgetall(this.#key))) {
      const record = this.#opened(name, raw);
      if (record && record.expiresAt > this.#now()) continue;
      await redis.hdel(this.#key, name);
      if (record) await redis.hdel(this.#uses, record.id);
    }
    if ((await redis.hlen(this.#key)) >= MOST) throw new Error(`more than ${MOST} of them are alive already`);
  }

  #context(name: string): string {
    return `${this.#key}:${name}`;
  }

  get #uses(): string {
    return `${this.#key}:uses`;
  }

  get #channel(): string {
    return `${this.#key}:dropped`;
  }
}

function remember(among: Set<string>, id: string): void {
  among.add(id);
  const [oldest] = among;
  if (among.size > MOST_REMEMBERED && oldest !== undefined) among.delete(oldest);
}
