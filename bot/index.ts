/** The message index in Redis: which card is due, what was shown, where it hangs. Trusts only what gateways sealed. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { CARDS_QUEUE, type Card, cardJobSchema } from '../queue/cards.ts';
import { type Envelope, unseal, type VerifyingKey } from '../queue/sign.ts';
import type { Copy, Entry } from './entry.ts';
import { OfferIndex } from './index-offers.ts';
import { paused } from './wait.ts';
import { isOpen } from './words.ts';

const KEEP_S = 7 * 86_400; // long after every deadline: late clicks still get an explanation
const LOCK_MS = 5_000; // how long a bot that was killed keeps a card from the others
const RENEW_MS = 1_500;
const UNLOCK_RETRY_MS = 200;
const DUE = 'countersign:bot:due';
const key = (hold: string) => `countersign:bot:card:${hold}`;
const lockKey = (hold: string) => `countersign:bot:lock:${hold}`;

/** Takes a card in unless a newer one is there. Bots may race; Redis decides. */
const ACCEPT = `
local known = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '0')
if known >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'sequence', ARGV[1], 'card', ARGV[2])
redis.call('HSETNX', KEYS[1], 'first', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
return 1`;
/** Ours for longer; 0 where it was not ours any more, although it may be again. */
const RENEW = `
local by = redis.call('GET', KEYS[1])
if by and by ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return by and 1 or 0`;
/** Where the lock was not kept all the time, another bot's newer card may have been overwritten: shown once more. */
const UNLOCK = `
local mine = redis.call('GET', KEYS[1]) == ARGV[1]
if mine then redis.call('DEL', KEYS[1]) end
if (ARGV[2] == 'lost' or (ARGV[2] == 'kept' and not mine)) and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('HSET', KEYS[2], 'shown', '0')
  redis.call('ZADD', KEYS[3], ARGV[3], ARGV[4])
end
return 1`;
/** Not due any more, unless a newer card came while this one was shown. */
const SHOWN = `
redis.call('HSET', KEYS[1], 'shown', ARGV[1])
if tonumber(redis.call('HGET', KEYS[1], 'sequence') or '0') <= tonumber(ARGV[1]) then redis.call('ZREM', KEYS[2], ARGV[2]) end
return 1`;

/** What a bot knows of a lock it asked for: `unsure` without an answer, `lost` where it was not held all the time. */
type Lock = 'none' | 'unsure' | 'kept' | 'lost';

const lossOf = (state: string | undefined, at: number | undefined): Entry['lost'] =>
  (state === 'lost' || state === 'unknown') && at !== undefined ? { state, at } : undefined;

const COPY = 'copy:';
const epoch = z.number().int().nonnegative();
const copySchema = z.strictObject({
  channel: z.string().max(64),
  ts: z
    .string()
    .regex(/^\d{1,16}\.\d{1,10}$/)
    .optional(),
  shown: epoch,
  posting: epoch.optional(),
  underway: epoch.optional(),
  gone: z.string().max(100).optional(),
});

function copyOf(name: string, raw: string): Copy[] {
  try {
    return [{ user: name.slice(COPY.length), ...copySchema.parse(JSON.parse(raw)) }];
  } catch {
    return [];
  }
}

export class MessageIndex {
  readonly offers: OfferIndex;
  readonly #redis: Redis;
  readonly #keys: readonly VerifyingKey[];
  readonly #now: () => number;

  constructor(redis: Redis, keys: readonly VerifyingKey[], now: () => number = Date.now) {
    this.#redis = redis;
    this.#keys = keys;
    this.#now = now;
    this.offers = new OfferIndex(redis, keys, now);
  }

  /** Remember the card and make it due. False when a newer or the same one is known. */
  async accept(card: Card, envelope: Envelope): Promise<boolean> {
    const sealed = JSON.stringify({ by: envelope.by, body: envelope.body, sig: envelope.sig });
    const args = [card.sequence, sealed, KEEP_S, this.#now(), card.hold];
    return (await this.#redis.eval(ACCEPT, 2, key(card.hold), DUE, ...args)) === 1;
  }

  /** Undefined when there is none, or when what is there was not sealed by a gateway for this hold. */
  async read(hold: string): Promise<Entry | undefined> {
    const fields = await this.#redis.hgetall(key(hold));
    const card = this.#open(fields.card, hold);
    if (!card) return undefined;
    const number = (text: string | undefined) =>
      text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
    return {
      card,
      first: number(fields.first) ?? Number.POSITIVE_INFINITY,
      shown: number(fields.shown) ?? 0,
      channel: fields.channel,
      ts: fields.ts !== undefined && /^\d{1,16}\.\d{1,10}$/.test(fields.ts) ? fields.ts : undefined,
      posting: number(fields.posting),
      underway: number(fields.underway),
      reposts: number(fields.reposts) ?? 0,
      // A card newer than the loss says that the gateway lives after all.
      lost: card.sequence <= (number(fields.lostUpTo) ?? 0) ? lossOf(fields.lost, number(fields.lostAt)) : undefined,
      reported: fields.reported,
      fallback: fields.fallback,
      over: await this.offers.ended(isOpen(card) ? undefined : card.offers),
      copies: Object.entries(fields).flatMap(([name, raw]) => (name.startsWith(COPY) ? copyOf(name, raw) : [])),
    };
  }

  #open(raw: string | undefined, hold: string): Card | undefined {
    if (raw === undefined) return undefined;
    try {
      const opened = unseal(JSON.parse(raw), CARDS_QUEUE, this.#keys);
      const job = cardJobSchema.safeParse(opened?.payload);
      return job.success && job.data.kind === 'card' && job.data.card.hold === hold ? job.data.card : undefined;
    } catch {
      return undefined;
    }
  }

  async set(hold: string, fields: Readonly<Record<string, string | number>>): Promise<void> {
    await this.#redis.hset(key(hold), fields);
  }

  /** What is known of the copy in somebody's direct messages. */
  async setCopy(hold: string, { user, ...copy }: Copy): Promise<void> {
    await this.#redis.hset(key(hold), `${COPY}${user}`, JSON.stringify(copySchema.parse(copy)));
  }

  async unset(hold: string, ...fields: string[]): Promise<void> {
    await this.#redis.hdel(key(hold), ...fields);
  }

  async shown(hold: string, sequence: number): Promise<void> {
    await this.#redis.eval(SHOWN, 2, key(hold), DUE, sequence, hold);
  }

  async due(hold: string, at: number): Promise<void> {
    await this.#redis.zadd(DUE, at, hold);
  }

  async notDue(hold: string): Promise<void> {
    await this.#redis.zrem(DUE, hold);
  }

  /** Holds whose time has come, oldest first. */
  async dueNow(max: number): Promise<string[]> {
    return this.#redis.zrangebyscore(DUE, '-inf', this.#now(), 'LIMIT', 0, max);
  }

  /** Run `work` while no other bot works on this hold; undefined when another one does. */
  async exclusively<T>(hold: string, work: () => Promise<T>): Promise<T | undefined> {
    const token = randomUUID();
    let lock: Lock = 'unsure'; // the answer may be lost, and the lock taken all the same
    let renewing: NodeJS.Timeout | undefined;
    try {
      const taken = (await this.#redis.set(lockKey(hold), token, 'PX', LOCK_MS, 'NX')) === 'OK';
      lock = taken ? 'kept' : 'none';
      if (!taken) return undefined;
      renewing = setInterval(() => {
        this.#redis.eval(RENEW, 1, lockKey(hold), token, LOCK_MS).then(
          (ours) => {
            if (ours !== 1) lock = 'lost';
          },
          () => {}, // whether it was in time shows with the next
        );
      }, RENEW_MS);
      return await work();
    } finally {
      clearInterval(renewing);
      if (lock !== 'none' && !(await this.#unlocked(hold, token, lock))) void this.#unlockLater(hold, token, lock);
    }
  }

  async #unlocked(hold: string, token: string, lock: Lock): Promise<boolean> {
    return this.#redis.eval(UNLOCK, 3, lockKey(hold), key(hold), DUE, token, lock, this.#now(), hold).then(
      () => true,
      () => false,
    );
  }

  /** Redis was away at the end of the work: when it is back, the lock goes, and what it did not cover is shown anew. */
  async #unlockLater(hold: string, token: string, lock: Lock): Promise<void> {
    const end = lock === 'unsure' ? performance.now() + LOCK_MS : Number.POSITIVE_INFINITY;
    while (performance.now() < end && this.#redis.status !== 'end') {
      await paused(UNLOCK_RETRY_MS);
      if (await this.#unlocked(hold, token, lock)) return;
    }
  }

  /** Its gateway is gone: from now on, and until the gateway says something newer, it is shown as this. */
  async lose(after: Card, at: number): Promise<void> {
    const hold = key(after.hold);
    await this.#redis.hset(hold, { lost: after.state, lostAt: at, lostUpTo: after.sequence, shown: 0 });
    await this.#redis.expire(hold, KEEP_S);
    await this.due(after.hold, this.#now());
  }

  /** Nothing of these will change any more: let go within the hour, once what is due has been shown. */
  async forget(holds: readonly string[]): Promise<void> {
    for (const hold of holds) await this.#redis.expire(key(hold), 3_600);
  }

  /** True for the first caller with this key within `ttlMs`. */
  async once(name: string, ttlMs: number): Promise<boolean> {
    return (await this.#redis.set(`countersign:bot:once:${name}`, '1', 'PX', ttlMs, 'NX')) === 'OK';
  }

  async again(name: string): Promise<void> {
    await this.#redis.del(`countersign:bot:once:${name}`);
  }

  /** The workspace this installation belongs to, fixed by the first bot; undefined where it was this one. */
  async pinTeam(team: string): Promise<string | undefined> {
    await this.#redis.set('countersign:bot:team', team, 'NX');
    const pinned = await this.#redis.get('countersign:bot:team');
    return pinned === team ? undefined : (pinned ?? undefined);
  }
}
