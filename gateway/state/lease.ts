/** This gateway's lease in Redis, and the index of its open holds. A gateway without a lease releases nothing. */
import { z } from 'zod';
import type { Card } from '../../queue/cards.ts';
import {
  GATEWAYS_KEY,
  holdContext,
  holdsKey,
  LEASE_MS,
  LEASE_RENEW_MS,
  LEASE_SELF_MS,
  leaseKey,
} from '../../queue/leases.ts';
import type { Clock } from '../holds/clock.ts';
import type { SignedStore } from './signed.ts';

/**
 * Before every write to the index: what an earlier connection still had under way when it broke may reach Redis after
 * what a later one wrote, and must not put an older card back.
 */
const IN_ORDER = `local newest = redis.call('GET', KEYS[1])
if newest and tonumber(newest) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
`;
const NOTE = `${IN_ORDER}redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) return 1`;
const CLOSE = `${IN_ORDER}redis.call('HDEL', KEYS[2], ARGV[3]) return 1`;
/** Only while the lease is there: one step, so that nobody can call it lost in between. */
const RELEASE = `${IN_ORDER}if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) return 1`;
/**
 * A lease that vanished by itself (a Redis without its data, an eviction) is taken again; whoever looked twice meanwhile
 * calls the holds lost. Once is what a restart of Redis does; again within so long, it could have been seen so.
 */
const VANISHED_MS = 10 * 60_000;
const IN_ORDER_MS = 24 * 3_600_000; // longer than any network keeps the bytes of a broken connection

/** Which of this gateway's connections wrote to its index last: a number that grows. */
const connectionKey = (gateway: string): string => `countersign:connection:${gateway}`;

export type Lease = {
  readonly gateway: string;
  /** Take the lease and keep it. @throws Error while Redis is gone (tried again by itself all the same). */
  start(): Promise<void>;
  /** Renewed within the last 20 s (monotonic)? Asked before every release. */
  valid(): boolean;
  /** A number that is another one after every moment without a lease, whether or not anybody looked meanwhile. */
  term(): number;
  /** Has there been a lease all the time since `term()` answered this? */
  unbrokenSince(term: number): boolean;
  /** Put a hold's newest card into the index. @throws Error while Redis is gone. */
  note(card: Card): Promise<void>;
  /**
   * Seal a release now; what it answers records it, durably, when called. False when the lease is gone by then, or was
   * gone at any time since `term`: others may have called the hold lost, although the lease is back.
   * @throws Error while Redis is gone.
   */
  release(card: Card, term: number): () => Promise<boolean>;
  /** Its card is settled: take the hold from the index. */
  close(hold: string): Promise<void>;
  /** Give the lease back: at the end of a drain. The index stays for whoever looks after what is left in it. */
  stop(): Promise<void>;
};

export type LeaseDeps = {
  readonly store: SignedStore;
  readonly gateway: string;
  readonly clock: Clock;
  /** Called once each time 20 s went by without a renewal: withdraw the open holds. */
  readonly onLost: () => void;
  /** Renewed again after a failure, or by a Redis that had forgotten this gateway: what was noted may be lost. */
  readonly onBack?: () => void;
  readonly onTrouble: (error: unknown) => void;
  /** For tests. */
  readonly times?: { readonly leaseMs: number; readonly selfMs: number; readonly renewMs: number };
};

export function createLease(deps: LeaseDeps): Lease {
  const { store, gateway, clock } = deps;
  const { leaseMs, selfMs, renewMs } = deps.times ?? {
    leaseMs: LEASE_MS,
    selfMs: LEASE_SELF_MS,
    renewMs: LEASE_RENEW_MS,
  };
  let renewedAt = Number.NEGATIVE_INFINITY;
  let vanishedAt = Number.NEGATIVE_INFINITY; // when its key was last found missing
  let term = 0;
  let connection = 0; // connections that broke before the one in use
  let reportedLost = true; // nothing is lost before the first renewal
  let stopped = false;
  let failed = false;
  let cancelRenewal = () => {};
  let cancelWatch = () => {};

  const lapsed = () => clock.monotonic() - renewedAt >= selfMs;
  const valid = () => !stopped && !lapsed();
  const unbrokenSince = (since: number) => valid() && term === since;
  const tellLost = () => {
    if (reportedLost) return;
    reportedLost = true;
    deps.onLost();
  };

  const renew = async () => {
    const startedAt = clock.monotonic(); // the lease runs from before the write, not from when its answer came
    const replies = await store.redis
      .multi()
      .set(leaseKey(gateway), store.sealed({ v: 1, gateway, at: clock.now() }, leaseKey(gateway)), 'PX', leaseMs, 'GET')
      .sadd(GATEWAYS_KEY, gateway)
      .exec();
    const refused = replies?.find(([error]) => error)?.[0];
    if (!replies || refused) throw refused ?? new Error('Redis discarded the renewal of the lease');
    if (stopped) return;
    const vanished = renewedAt !== Number.NEGATIVE_INFINITY && replies[0]?.[1] === null;
    if (lapsed() || (vanished && startedAt - vanishedAt < VANISHED_MS)) {
      term += 1;
      tellLost();
    }
    if (vanished) vanishedAt = startedAt;
    // Renewed before, and yet not among the gateways any more: Redis came back without its data.
    const forgotten = renewedAt !== Number.NEGATIVE_INFINITY && replies[1]?.[1] === 1;
    renewedAt = Math.max(renewedAt, startedAt);
    reportedLost = false;
    if (failed || forgotten) deps.onBack?.();
    failed = false;
    cancelWatch();
    cancelWatch = clock.after(renewedAt + selfMs - clock.monotonic(), watch);
  };
  const watch = () => {
    if (stopped || reportedLost) return;
    if (valid()) {
      // A timer may fire a moment early; looking once only would leave the holds open for good.
      cancelWatch = clock.after(Math.max(1, renewedAt + selfMs - clock.monotonic()), watch);
      return;
    }
    tellLost();
  };
  const tryToRenew = () =>
    renew().catch((error) => {
      failed = true;
      deps.onTrouble(error);
    });
  const keepOn = () => {
    cancelRenewal = clock.after(renewMs, () => {
      void tryToRenew().finally(() => {
        if (!stopped) keepOn();
      });
    });
  };
  /** Redis is there again: without a lease nobody can be asked, so it is not left to the next turn. */
  const connected = () => void tryToRenew();
  const broken = () => {
    connection += 1;
  };
  const inOrder = (script: string, more: readonly string[], ...args: string[]) => {
    const keys = [connectionKey(gateway), holdsKey(gateway), ...more];
    return store.redis.eval(script, keys.length, ...keys, connection, IN_ORDER_MS, ...args);
  };
  const sealedCard = (card: Card) => store.sealed(card, holdContext(gateway, card.hold));

  return {
    gateway,
    valid,
    term: () => term,
    unbrokenSince,
    start: async () => {
      keepOn();
      store.redis.on('ready', connected);
      store.redis.on('close', broken);
      await renew();
    },
    note: async (card) => {
      await inOrder(NOTE, [], card.hold, sealedCard(card));
    },
    release: (card, since) => {
      const sealed = sealedCard(card);
      return async () => {
        if (!unbrokenSince(since)) return false;
        const reply = await inOrder(RELEASE, [leaseKey(gateway)], card.hold, sealed);
        return z.literal(1).safeParse(reply).success && unbrokenSince(since);
      };
    },
    close: async (hold) => {
      await inOrder(CLOSE, [], hold);
    },
    stop: async () => {
      stopped = true;
      store.redis.off('ready', connected);
      store.redis.off('close', broken);
      cancelRenewal();
      cancelWatch();
      await store.redis.del(leaseKey(gateway)).catch(deps.onTrouble);
    },
  };
}
