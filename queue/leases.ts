/** Which gateways live, and which holds each has open: read by bots, to tell what a dead gateway left behind. */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type Card, cardSchema } from './cards.ts';
import { removeQueue } from './connection.ts';
import { unseal, type VerifyingKey } from './sign.ts';
import { votesQueue } from './votes.ts';

/** How long a lease outlives its last renewal; only then may anybody call a gateway's holds lost. */
export const LEASE_MS = 40_000;
/** A gateway that could not renew for this long withdraws its own holds: well before anybody calls them lost. */
export const LEASE_SELF_MS = 20_000;
export const LEASE_RENEW_MS = 4_000;
/** A lease that vanished while its gateway lives (Redis lost data) is back by then. */
const ABSENT_MS = 2.5 * LEASE_RENEW_MS;

export const GATEWAYS_KEY = 'countersign:gateways'; // set of gateway ids, live or not yet cleared away
export const leaseKey = (gateway: string): string => `countersign:lease:${gateway}`;
/** Hash: hold id → the hold's newest card, sealed by its gateway for `holdContext`. */
export const holdsKey = (gateway: string): string => `countersign:holds:${gateway}`;
export const holdContext = (gateway: string, hold: string): string => `countersign:holds:${gateway}:${hold}`;

/** Set: holds of a dead gateway whose end a living one has put on record. */
export const recordedKey = (gateway: string): string => `countersign:recorded:${gateway}`;
const CLAIM_MS = 60_000; // a gateway that dies while it records leaves the rest to another after this

const leaseSchema = z.strictObject({ v: z.literal(1), gateway: z.string().max(64), at: z.number() });

const GATEWAY_ID = /^[A-Za-z0-9._-]{1,64}$/;
const MOST_GATEWAYS = 1_000; // more ids than that were not written by gateways

/** Every hold a gateway says it has open, and those that do not verify left out. */
export async function openHolds(redis: Redis, gateway: string, keys: readonly VerifyingKey[]): Promise<Card[]> {
  const entries = await redis.hgetall(holdsKey(gateway));
  const cards: Card[] = [];
  for (const [hold, raw] of Object.entries(entries)) {
    const card = openCard(raw, gateway, hold, keys);
    if (card) cards.push(card);
  }
  return cards;
}

function openCard(raw: string, gateway: string, hold: string, keys: readonly VerifyingKey[]): Card | undefined {
  const opened = unseal(parse(raw), holdContext(gateway, hold), keys);
  const card = cardSchema.safeParse(opened?.payload);
  return card.success && card.data.hold === hold && card.data.gateway === gateway ? card.data : undefined;
}

function parse(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}

export type DeadGateway = {
  readonly gateway: string;
  /**
   * Its holds as their cards must now look: `lost` where nothing was released (nothing was run), `unknown` where it
   * was. `sequence` is one above the last that the gateway wrote.
   */
  readonly cards: readonly Card[];
};

/** Watches leases. Only reads, until `clear` is called. One per bot; several bots come to the same answer. */
export class LeaseWatch {
  readonly #redis: Redis;
  readonly #keys: () => readonly VerifyingKey[];
  readonly #monotonic: () => number;
  readonly #absentSince = new Map<string, number>();

  constructor(redis: Redis, keys: () => readonly VerifyingKey[], monotonic: () => number = () => performance.now()) {
    this.#redis = redis;
    this.#keys = keys;
    this.#monotonic = monotonic;
  }

  /** Gateways that verifiably hold a lease now. @throws Error while Redis is gone. */
  async live(): Promise<string[]> {
    const live: string[] = [];
    for (const gateway of await this.#known()) if (await this.#hasLease(gateway)) live.push(gateway);
    return live;
  }

  /**
   * Call every few seconds. A gateway is dead when its lease ran out (40 s after its last renewal) and did not come
   * back between two calls at least 10 s apart. @param now epoch ms, for the cards. @throws Error while Redis is gone.
   */
  async dead(now: number): Promise<DeadGateway[]> {
    const dead: DeadGateway[] = [];
    const known = await this.#known();
    for (const gateway of this.#absentSince.keys()) if (!known.includes(gateway)) this.#absentSince.delete(gateway);
    for (const gateway of known) {
      if (await this.#hasLease(gateway)) {
        this.#absentSince.delete(gateway);
        continue;
      }
      const since = this.#absentSince.get(gateway) ?? this.#monotonic();
      this.#absentSince.set(gateway, since);
      if (this.#monotonic() - since < ABSENT_MS) continue;
      const holds = await openHolds(this.#redis, gateway, this.#keys());
      dead.push({ gateway, cards: holds.map((card) => afterDeath(card, now)) });
    }
    return dead;
  }

  /** May the caller put this hold's end on record? True for one gateway at a time, and never again once it is. */
  async claim(gateway: string, hold: string): Promise<boolean> {
    if ((await this.#redis.sismember(recordedKey(gateway), hold)) === 1) return false;
    return (await this.#redis.set(`countersign:claim:${hold}`, '1', 'PX', CLAIM_MS, 'NX')) === 'OK';
  }

  async recorded(gateway: string, hold: string): Promise<void> {
    await this.#redis.sadd(recordedKey(gateway), hold);
  }

  /** Is everything it left on record? Only then may its index go: what is in it is the only trace. */
  async isRecorded({ gateway, cards }: DeadGateway): Promise<boolean> {
    const known = new Set(await this.#redis.smembers(recordedKey(gateway)));
    return cards.every(({ hold }) => known.has(hold));
  }

  /** Once a dead gateway's cards are settled: remove its index and queues. Its id never comes back. */
  async clear(gateway: string): Promise<void> {
    await this.#redis.del(holdsKey(gateway), recordedKey(gateway));
    await removeQueue(votesQueue(gateway), this.#redis);
    await removeQueue(`asks.${gateway}`, this.#redis);
    await this.#redis.srem(GATEWAYS_KEY, gateway);
    this.#absentSince.delete(gateway);
  }

  async #known(): Promise<string[]> {
    const ids = await this.#redis.smembers(GATEWAYS_KEY);
    return ids.filter((id) => GATEWAY_ID.test(id)).slice(0, MOST_GATEWAYS);
  }

  async #hasLease(gateway: string): Promise<boolean> {
    const raw = await this.#redis.get(leaseKey(gateway));
    if (raw === null) return false;
    const opened = unseal(parse(raw), leaseKey(gateway), this.#keys());
    const lease = leaseSchema.safeParse(opened?.payload);
    return lease.success && lease.data.gateway === gateway;
  }
}

const restOf = ({ stopped }: Card): string =>
  stopped?.commits
    ? 'COMMIT was never sent, so its target rolls it back'
    : stopped
      ? `stopped after ${stopped.after}`
      : 'nothing was run';

/** A hold's card after its gateway died. One whose end was already known stays as it is. */
export function afterDeath(card: Card, now: number): Card {
  const sequence = card.sequence + 1;
  switch (card.state) {
    case 'open':
    case 'approved':
      return {
        ...card,
        sequence,
        state: 'lost',
        settled: { at: now, executed: 'no', reason: `the gateway that held it is gone; ${restOf(card)}` },
      };
    case 'released':
      return {
        ...card,
        sequence,
        state: 'unknown',
        settled: { ...(card.settled ?? { at: now }), executed: 'unknown' },
        outcome: {
          kind: 'unknown',
          text: 'outcome unknown, check the target: the gateway went away after the release',
          ms: 0,
        },
      };
    case 'done':
    case 'unknown':
    case 'denied':
    case 'expired':
    case 'withdrawn':
    case 'lost':
      return card;
  }
}
