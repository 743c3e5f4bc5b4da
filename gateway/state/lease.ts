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

/** Writes the released card only while the lease is there: one step, so that nobody can call it lost in between. */
const RELEASE = `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) return 1 end return 0`;

export type Lease = {
  readonly gateway: string;
  /** Take the lease and keep it. @throws Error while Redis is gone (tried again by itself all the same). */
  start(): Promise<void>;
  /** Renewed within the last 20 s (monotonic)? Asked before every release. */
  valid(): boolean;
  /** Put a hold's newest card into the index. @throws Error while Redis is gone. */
  note(card: Card): Promise<void>;
  /**
   * Seal a release now; what it answers records it, durably, when called. False when the lease is gone by then.
   * @throws Error while Redis is gone.
   */
  release(card: Card): () => Promise<boolean>;
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
  let reportedLost = true; // nothing is lost before the first renewal
  let stopped = false;
  let failed = false;
  let cancelRenewal = () => {};
  let cancelWatch = () => {};

  const valid = () => !stopped && clock.monotonic() - renewedAt < selfMs;

  const renew = async () => {
    const startedAt = clock.monotonic(); // the lease runs from before the write, not from when its answer came
    const replies = await store.redis
      .multi()
      .set(leaseKey(gateway), store.sealed({ v: 1, gateway, at: clock.now() }, leaseKey(gateway)), 'PX', leaseMs)
      .sadd(GATEWAYS_KEY, gateway)
      .exec();
    const refused = replies?.find(([error]) => error)?.[0];
    if (!replies || refused) throw refused ?? new Error('Redis discarded the renewal of the lease');
    if (stopped) return;
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
    reportedLost = true;
    deps.onLost();
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
  const sealedCard = (card: Card) => store.sealed(card, holdContext(gateway, card.hold));

  return {
    gateway,
    valid,
    start: async () => {
      keepOn();
      store.redis.on('ready', connected);
      await renew();
    },
    note: async (card) => {
      await store.redis.hset(holdsKey(gateway), card.hold, sealedCard(card));
    },
    release: (card) => {
      const sealed = sealedCard(card);
      return async () => {
        if (!valid()) return false;
        const reply = await store.redis.eval(RELEASE, 2, leaseKey(gateway), holdsKey(gateway), card.hold, sealed);
        return z.literal(1).safeParse(reply).success;
      };
    },
    close: async (hold) => {
      await store.redis.hdel(holdsKey(gateway), hold);
    },
    stop: async () => {
      stopped = true;
      store.redis.off('ready', connected);
      cancelRenewal();
      cancelWatch();
      await store.redis.del(leaseKey(gateway)).catch(deps.onTrouble);
    },
  };
}
