/** Asking over queues: a sealed question as a job, its sealed answer as the job's return value. Decides nothing. */
import type { QueueEvents } from 'bullmq';
import type { Redis } from 'ioredis';
import type { z } from 'zod';
import { connectBlocking, type OnTrouble, type OpenQueue, openEvents, openQueue, returnedBy } from './connection.ts';
import { type SigningKey, seal, unseal, type VerifyingKey } from './sign.ts';

export type CallerOptions = {
  readonly redis: Redis;
  readonly url: string;
  readonly key: SigningKey;
  readonly gatewayKeys: () => readonly VerifyingKey[];
  readonly onTrouble: OnTrouble;
};

type Message = { readonly kind: string };

export type Caller<T extends Message> = {
  /** @throws Error at once while Redis is gone, or when the message does not fit. */
  send(queue: string, message: T, jobId: string): Promise<void>;
  /**
   * What a gateway sealed for `context` in answer to it; undefined when nothing came within `ms`. The same id again
   * finds the answer to the first. @throws Error at once while Redis is gone.
   */
  ask(queue: string, message: T & { id: string }, context: string, ms: number): Promise<ReturnType<typeof unseal>>;
  /** Let go of a queue that nobody reads any more. */
  forget(queue: string): Promise<void>;
  close(): Promise<void>;
};

export function createCaller<T extends Message>(
  options: CallerOptions & { readonly jobMs: number; readonly schema: z.ZodType<T> },
): Caller<T> {
  const queues = new Map<string, OpenQueue>();
  const events = new Map<string, { events: QueueEvents; connection: Redis }>();
  const queueOf = (name: string): OpenQueue => {
    const queue = queues.get(name) ?? openQueue(name, options.redis, { jobMs: options.jobMs });
    queues.set(name, queue);
    return queue;
  };
  const eventsOf = (name: string): QueueEvents => {
    const known = events.get(name);
    if (known) return known.events;
    const connection = connectBlocking(options.url, options.onTrouble);
    const opened = openEvents(name, connection, options.onTrouble);
    events.set(name, { events: opened, connection });
    return opened;
  };
  const send = async (name: string, message: T, jobId: string): Promise<void> => {
    const sealed = seal(options.schema.parse(message), name, options.key);
    await queueOf(name).use((queue) => queue.add(message.kind, sealed, { jobId }));
  };
  const forget = async (name: string) => {
    const listening = events.get(name);
    events.delete(name);
    await listening?.events.close().catch(options.onTrouble);
    listening?.connection.disconnect();
    const queue = queues.get(name);
    queues.delete(name);
    await queue?.close().catch(options.onTrouble);
  };
  return {
    send,
    async ask(name, message, context, ms) {
      await send(name, message, message.id);
      const returned = await returnedBy(message.id, queueOf(name), eventsOf(name), ms);
      return unseal(returned, context, options.gatewayKeys());
    },
    forget,
    close: async () => {
      for (const name of new Set([...queues.keys(), ...events.keys()])) await forget(name);
    },
  };
}
