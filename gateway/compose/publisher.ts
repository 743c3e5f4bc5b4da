/** A publisher that a start without Redis cannot spoil: the queue is opened once Redis has answered. */
import type { Redis } from 'ioredis';
import type { CardPublisher } from '../../queue/carry.ts';

/** BullMQ asks Redis once when a queue is opened, and if that fails the queue fails for ever: then it is opened anew. */
export function patientPublisher(redis: Redis, open: () => CardPublisher): CardPublisher {
  let queue: CardPublisher | undefined;
  let proven = false;
  return {
    send: async (payload, jobId) => {
      if (!queue && redis.status !== 'ready') throw new Error('Redis does not answer');
      queue ??= open();
      const used = queue;
      try {
        await used.send(payload, jobId);
        proven = true;
      } catch (error) {
        if (!proven && queue === used) {
          queue = undefined;
          used.close().catch(() => {});
        }
        throw error;
      }
    },
    close: async () => {
      await queue?.close();
    },
  };
}
