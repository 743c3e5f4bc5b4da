/** What one gateway says to all the others in passing: sealed, short-lived, taken once, and lost where nobody listens. */
import type { Redis } from 'ioredis';
import type { z } from 'zod';
import type { Clock } from '../holds/clock.ts';
import type { SignedStore } from './signed.ts';

const FRESH_MS = 10_000;
const MOST_SEEN = 10_000;
const MOST_BYTES = 16 << 10;

/** What each message has besides its own: `at` is epoch ms. */
type Said = { readonly v: 1; readonly id: string; readonly at: number };

export type Channel<T extends Said> = {
  /** To every gateway, this one too; its id. @throws while Redis is away */
  say(message: Omit<T, keyof Said>): Promise<string>;
  stop(): void;
};

export type ChannelDeps = {
  readonly store: SignedStore;
  /** A `connectBlocking` connection; may be shared with other subscriptions. */
  readonly subscriber: Redis;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

/** `noun`: what a message is called, in the log. `heard` must not throw. */
export function openChannel<T extends Said>(
  { store, subscriber, clock, newId, log }: ChannelDeps,
  { name, noun, schema, heard }: { name: string; noun: string; schema: z.ZodType<T>; heard: (message: T) => void },
): Channel<T> {
  const seen = new Set<string>();
  const onMessage = (channel: string, raw: string) => {
    if (channel !== name || raw.length > MOST_BYTES) return;
    let message: T;
    try {
      message = store.open(raw, name, schema);
    } catch {
      log(`a ${noun} that no gateway sent was ignored`);
      return;
    }
    if (seen.has(message.id) || Math.abs(clock.now() - message.at) > FRESH_MS) return;
    seen.add(message.id);
    const oldest = seen.values().next().value;
    if (seen.size > MOST_SEEN && oldest !== undefined) seen.delete(oldest);
    heard(message);
  };
  subscriber.on('message', onMessage);
  subscriber
    .subscribe(name)
    .catch((error) => log(`a ${noun} of another gateway is not heard`, { error: String(error) }));
  return {
    say: async (message) => {
      const id = newId();
      await store.redis.publish(name, store.sealed({ v: 1, id, at: clock.now(), ...message }, name));
      return id;
    },
    stop: () => {
      subscriber.off('message', onMessage);
    },
  };
}
