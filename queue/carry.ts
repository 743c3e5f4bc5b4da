/** Sending and receiving on the queues: sealed on the way out, read or dropped on the way in. Decides nothing. */
import type { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { z } from 'zod';
import {
  ANY_ASKS,
  type Answer,
  ASK_JOB_MS,
  ASKS_VERSION,
  type Ask,
  answerContext,
  answerSchema,
  askSchema,
  asksQueue,
} from './asks.ts';
import { type CallerOptions, createCaller } from './call.ts';
import { CARDS_QUEUE, CARDS_UPCASTERS, CARDS_VERSION, type CardJob, cardJobSchema } from './cards.ts';
import {
  CARD_JOB_MS,
  connectBlocking,
  type OnTrouble,
  openQueue,
  openWorker,
  sweep,
  VOTE_JOB_MS,
} from './connection.ts';
import { type Reader, readPayload } from './payload.ts';
import { type SigningKey, seal, type VerifyingKey } from './sign.ts';
import {
  type Receipt,
  receiptContext,
  receiptSchema,
  VOTES_UPCASTERS,
  VOTES_VERSION,
  type VoteMessage,
  voteMessageSchema,
  votesQueue,
} from './votes.ts';

const CARDS: Reader<CardJob> = { schema: cardJobSchema, version: CARDS_VERSION, upcasters: CARDS_UPCASTERS };
const VOTES: Reader<VoteMessage> = { schema: voteMessageSchema, version: VOTES_VERSION, upcasters: VOTES_UPCASTERS };

// Version 1 is the first: there is no version before it to lift yet.
const ASKS: Reader<Ask> = { schema: askSchema, version: ASKS_VERSION, upcasters: {} };

const JOB_ID = /^[A-Za-z0-9._@-]{1,200}$/; // BullMQ's keys are joined with ':'
const SWEEP_MS = 60_000;
/** BullMQ waits without end for a connection that is just being made anew; what is under way is another's after 10 s. */
const CLOSE_MS = 8_000;

/** Resolves when `work` does, or after `ms`. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let enough: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    enough = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(enough);
}

export type Publisher<T> = {
  /**
   * Resolves once the job is in Redis. The same `jobId` again changes nothing.
   * @throws Error at once while Redis is gone, or when the payload does not fit its schema.
   */
  send(payload: T, jobId: string): Promise<void>;
  close(): Promise<void>;
};
export type CardPublisher = Publisher<CardJob>;

/** `redis` is a `connectCommands` connection; it stays the caller's to close. */
export function cardPublisher(redis: Redis, key: SigningKey): CardPublisher {
  return publisher(CARDS_QUEUE, redis, key, cardJobSchema, CARD_JOB_MS);
}

/** Any queue with any schema; `cardPublisher` and `votePublisher` are the ones with names. */
export function publisher<T extends { readonly kind: string }>(
  name: string,
  redis: Redis,
  key: SigningKey,
  schema: z.ZodType<T>,
  jobMs: number,
): Publisher<T> {
  const queue = openQueue(name, redis, { jobMs });
  return {
    async send(payload, jobId) {
      const sealed = seal(schema.parse(payload), name, key);
      await queue.use((opened) => opened.add(payload.kind, sealed, { jobId: checkedJobId(jobId) }));
    },
    close: () => queue.close(),
  };
}

function checkedJobId(jobId: string): string {
  if (!JOB_ID.test(jobId)) throw new Error(`a job id is 1 to 200 of A-Z a-z 0-9 . _ @ -, not ${JSON.stringify(jobId)}`);
  return jobId;
}

export type Consumer = { close(): Promise<void> };

export type ConsumeOptions<T> = {
  readonly url: string;
  readonly keys: () => readonly VerifyingKey[];
  readonly concurrency: number;
  /** Whatever it throws is tried again, until the job is too old. What it returns becomes the job's return value. */
  readonly handle: (payload: T, by: string) => Promise<unknown>;
  /** Called for what does not verify or fit: it is dropped, the queue goes on. */
  readonly onForged: (why: string) => void;
  readonly onTrouble: OnTrouble;
};

export const consumeCards = (options: ConsumeOptions<CardJob>): Consumer =>
  consume(CARDS_QUEUE, CARDS, CARD_JOB_MS, options);

/** One gateway's own queue. `handle`'s receipt is sealed into the return value, which the bot awaits. */
export function consumeVotes(
  options: Omit<ConsumeOptions<VoteMessage>, 'handle'> & {
    readonly gateway: string;
    readonly key: SigningKey;
    readonly handle: (message: VoteMessage) => Promise<Receipt | undefined>;
  },
): Consumer {
  return consume(votesQueue(options.gateway), VOTES, VOTE_JOB_MS, {
    ...options,
    handle: async (message) => {
      const receipt = await options.handle(message);
      // What a click set in motion goes first: sealing takes as long as some of it.
      if (receipt) await new Promise((resolve) => setImmediate(resolve));
      return receipt && seal(receipt, receiptContext(receipt.id), options.key);
    },
  });
}

/** Any queue with any schema; sealed for the queue's own name. */
export function consume<T>(name: string, reader: Reader<T>, jobMs: number, options: ConsumeOptions<T>): Consumer {
  const connection = connectBlocking(options.url, options.onTrouble);
  const queue = openQueue(name, connection, { jobMs });
  const worker: Worker = openWorker(
    name,
    connection,
    async (job) => {
      const read = readPayload(job.data, name, options.keys(), reader);
      if (!read.ok) {
        // In a fleet that is being rolled a newer process takes it, or this one once it is newer itself.
        if (read.newer) throw new Error(`left to a newer process: ${read.why}`);
        options.onForged(read.why);
        return { dropped: 'FORGED' };
      }
      return options.handle(read.value, read.by);
    },
    { concurrency: options.concurrency, jobMs, onTrouble: options.onTrouble },
  );
  const sweeping = setInterval(() => {
    sweep(queue, jobMs).catch(options.onTrouble);
  }, SWEEP_MS);
  sweeping.unref();
  return {
    close: async () => {
      clearInterval(sweeping);
      // With Redis gone there is nothing to hand back; do not wait for it.
      const gone = connection.status !== 'ready';
      await within(CLOSE_MS, worker.close(gone).catch(options.onTrouble));
      await within(CLOSE_MS, queue.close().catch(options.onTrouble));
      connection.disconnect();
    },
  };
}

export type VotePublisher = {
  /** @throws Error at once while Redis is gone, or when the message does not fit. */
  send(gateway: string, message: VoteMessage, jobId: string): Promise<void>;
  /**
   * Send and wait for the gateway's receipt; undefined when none that verifies came within `timeoutMs`.
   * Asking again with the same id finds the receipt of the first.
   * @throws Error at once while Redis is gone.
   */
  ask(gateway: string, message: VoteMessage & { id: string }, timeoutMs: number): Promise<Receipt | undefined>;
  /** A gateway that is gone: let go of its queue. */
  forget(gateway: string): Promise<void>;
  close(): Promise<void>;
};

/** The bot's way to gateways. `redis` is a `connectCommands` connection and stays the caller's. */
export function votePublisher(options: CallerOptions): VotePublisher {
  const caller = createCaller({ ...options, jobMs: VOTE_JOB_MS, schema: voteMessageSchema });
  return {
    send: (gateway, message, jobId) => caller.send(votesQueue(gateway), message, checkedJobId(jobId)),
    async ask(gateway, message, timeoutMs) {
      const opened = await caller.ask(votesQueue(gateway), message, receiptContext(message.id), timeoutMs);
      const receipt = receiptSchema.safeParse(opened?.payload);
      return receipt.success && receipt.data.id === message.id ? receipt.data : undefined;
    },
    forget: (gateway) => caller.forget(votesQueue(gateway)),
    close: () => caller.close(),
  };
}

/** Questions of `/gate`, App Home and terminals: to one gateway, or to whichever takes it. */
export type AskPublisher = {
  /**
   * Undefined when no answer that verifies came within `timeoutMs`. Without a gateway: any of them, once.
   * @throws Error at once while Redis is gone, or when the question does not fit.
   */
  ask(gateway: string | undefined, ask: Ask, timeoutMs: number): Promise<Answer | undefined>;
  forget(gateway: string): Promise<void>;
  close(): Promise<void>;
};

export function askPublisher(options: CallerOptions): AskPublisher {
  const caller = createCaller({ ...options, jobMs: ASK_JOB_MS, schema: askSchema });
  return {
    async ask(gateway, ask, timeoutMs) {
      const queue = gateway === undefined ? ANY_ASKS : asksQueue(gateway);
      const opened = await caller.ask(queue, ask, answerContext(ask.id), timeoutMs);
      const answer = answerSchema.safeParse(opened?.payload);
      const fits =
        answer.success && answer.data.id === ask.id && (gateway ?? answer.data.gateway) === answer.data.gateway;
      return fits ? answer.data : undefined;
    },
    forget: (gateway) => caller.forget(asksQueue(gateway)),
    close: () => caller.close(),
  };
}

/**
 * Questions to this gateway, and those to any. `handle` learns whose key sealed the question. A question that nobody
 * took in time is let go: whoever asked was told that nobody answered.
 */
export function consumeAsks(
  options: Omit<ConsumeOptions<Ask>, 'handle'> & {
    readonly gateway: string;
    readonly key: SigningKey;
    readonly handle: (ask: Ask, by: string) => Promise<Answer>;
  },
): Consumer {
  const consumers = [ANY_ASKS, asksQueue(options.gateway)].map((name) =>
    consume(name, ASKS, ASK_JOB_MS, {
      ...options,
      handle: async (ask, by) => {
        const answer = answerSchema.parse(await options.handle(ask, by));
        return seal(answer, answerContext(ask.id), options.key);
      },
    }),
  );
  return {
    close: async () => {
      await Promise.all(consumers.map((consumer) => consumer.close()));
    },
  };
}
