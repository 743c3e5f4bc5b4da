/** Passes a client's CancelRequest on to whichever gateway owns the session. Sealed, short-lived, taken once. */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Clock } from '../holds/clock.ts';
import type { SignedStore } from './signed.ts';

const CHANNEL = 'countersign:cancel';
const FRESH_MS = 10_000; // a cancel that took longer would hit some later statement
const MOST_SEEN = 10_000;

const schema = z.strictObject({
  v: z.literal(1),
  id: z.string().max(64),
  at: z.number(),
  pid: z.number().int(),
  secret: z.string().regex(/^(?:[0-9a-f]{2}){1,256}$/),
});

export type CancelRelay = {
  /** To all gateways; the owner acts. Never rejects: a cancel that is lost is a cancel that does nothing. */
  forward(pid: number, secret: Buffer): Promise<void>;
  stop(): void;
};

export function createCancelRelay(deps: {
  readonly store: SignedStore;
  /** A `connectBlocking` connection; may be shared with other subscriptions. */
  readonly subscriber: Redis;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Of the key's owner: see the listener's CancelKeys. */
  readonly handleOwn: (pid: number, secret: Buffer) => Promise<unknown>;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
}): CancelRelay {
  const { store, subscriber, clock, newId, handleOwn, log } = deps;
  const seen = new Set<string>();

  const onMessage = (channel: string, raw: string) => {
    if (channel !== CHANNEL || raw.length > 4_096) return;
    let request: z.infer<typeof schema>;
    try {
      request = store.open(raw, CHANNEL, schema);
    } catch {
      log('a cancel request that no gateway sent was ignored');
      return;
    }
    if (seen.has(request.id) || Math.abs(clock.now() - request.at) > FRESH_MS) return;
    seen.add(request.id);
    const oldest = seen.values().next().value;
    if (seen.size > MOST_SEEN && oldest !== undefined) seen.delete(oldest);
    handleOwn(request.pid, Buffer.from(request.secret, 'hex')).catch((error) =>
      log('a forwarded cancel request failed', { error: String(error) }),
    );
  };
  subscriber.on('message', onMessage);
  subscriber
    .subscribe(CHANNEL)
    .catch((error) => log('cancel requests of other gateways are not heard', { error: String(error) }));

  return {
    forward: async (pid, secret) => {
      const request = { v: 1, id: newId(), at: clock.now(), pid, secret: secret.toString('hex') };
      await store.redis
        .publish(CHANNEL, store.sealed(request, CHANNEL))
        .catch((error) => log('a cancel request could not be passed on', { error: String(error) }));
    },
    stop: () => {
      subscriber.off('message', onMessage);
    },
  };
}
