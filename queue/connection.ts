/** Connections to Redis and BullMQ queues tuned for people waiting. Knows no payloads. */
import { type Job, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const PREFIX = 'countersign.q';

// BullMQ's defaults recover a killed worker's job after 60 s (measured); nobody waits that long for a card.
const LOCK_MS = 10_000;
const STALLED_CHECK_MS = 5_000;
const MAX_STALLED = 10;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 1_000;
const RUN_RETRY_MS = 500; // pause of a worker's loop after Redis failed it; BullMQ's own is 15 s
const LOOK_MS = 500;
const OLDEST = 602; // 6.2: streams are trimmed by time
const COMMAND_MS = 2_000; // a caller that must decide hears within this that Redis is gone

/** How long a job may be tried, ms from when it was added. A card outlives an outage; a click does not. */
export const CARD_JOB_MS = 24 * 3_600_000;
export const VOTE_JOB_MS = 10 * 60_000;

/** What BullMQ and ioredis report while Redis is away; they go on trying by themselves. */
export type OnTrouble = (error: Error) => void;

/**
 * A connection for callers that must decide: every command fails at once while Redis is gone, within 2 s when it
 * hangs, and is never repeated by itself (it may have been executed). Reconnects within a second.
 */
export function connectCommands(url: string, onTrouble: OnTrouble): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_MS,
    connectTimeout: COMMAND_MS,
    retryStrategy,
  });
  redis.on('error', onTrouble);
  return redis;
}

/** A connection for workers, queue events and subscriptions: waits for Redis as long as it takes. */
export function connectBlocking(url: string, onTrouble: OnTrouble): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null, connectTimeout: COMMAND_MS, retryStrategy });
  redis.on('error', onTrouble);
  return redis;
}

const retryStrategy = (times: number): number => Math.min(50 * times, 1_000);

/** Resolves once the connection can be used. @throws Error when it is not there within `ms`. */
export async function connected(redis: Redis, ms: number): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      redis.off('ready', onReady);
      reject(new Error(`Redis does not answer within ${ms} ms`));
    }, ms);
    const onReady = () => {
      clearTimeout(timer);
      resolve();
    };
    redis.once('ready', onReady);
  });
}

/** Plain sentences about what this Redis would lose, or is too old for; empty when it is as it should be. */
export async function redisWarnings(redis: Pick<Redis, 'config' | 'info'>): Promise<string[]> {
  const setting = async (name: string): Promise<string | undefined> => {
    try {
      const reply = await redis.config('GET', name);
      return Array.isArray(reply) && typeof reply[1] === 'string' ? reply[1] : undefined;
    } catch {
      return undefined; // managed Redis services hide CONFIG
    }
  };
  const warnings: string[] = [];
  const version = /^redis_version:(\d+)\.(\d+)/m.exec(await redis.info('server').catch(() => ''));
  if (version && Number(version[1]) * 100 + Number(version[2]) < OLDEST) {
    warnings.push(
      `Redis is ${version[1]}.${version[2]}: 6.2 or newer is needed, or what gateways tell each other is lost`,
    );
  }
  const appendonly = await setting('appendonly');
  const policy = await setting('maxmemory-policy');
  if (appendonly === undefined || policy === undefined) {
    warnings.push(
      'Redis does not show its configuration: make sure that appendonly is yes and maxmemory-policy noeviction',
    );
  }
  if (appendonly !== undefined && appendonly !== 'yes') {
    warnings.push(
      'Redis runs without appendonly: a restart loses open cards, rules and revocations; set appendonly yes',
    );
  }
  if (policy !== undefined && policy !== 'noeviction') {
    warnings.push(
      `Redis may evict (${policy}): cards, rules and revocations could vanish; set maxmemory-policy noeviction`,
    );
  }
  return warnings;
}

export type OpenQueue = {
  /**
   * Do this with the queue. @throws Error at once while Redis is gone, within 2 s when it hangs; nothing is kept for
   * later.
   */
  use<T>(work: (queue: Queue) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/**
 * A queue to add to, over `connectCommands`. BullMQ asks Redis once when a queue is opened, and when that fails the
 * queue fails for ever, also when Redis is back: then it is opened anew for the next caller.
 */
export function openQueue(name: string, connection: Redis, { jobMs }: { jobMs: number }): OpenQueue {
  let opened: Queue | undefined;
  let closed = false;
  const letGo = async (queue: Queue) => {
    if (opened === queue) opened = undefined;
    await queue.close().catch(() => {}); // it never opened
  };
  return {
    use: async (work) => {
      if (closed) throw new Error(`the queue ${name} is closed`);
      if (!opened && connection.status !== 'ready') throw new Error('Redis does not answer');
      opened ??= newQueue(name, connection, jobMs);
      const queue = opened;
      try {
        await queue.waitUntilReady();
      } catch (error) {
        await letGo(queue);
        throw error;
      }
      return work(queue);
    },
    close: async () => {
      closed = true;
      if (opened) await letGo(opened);
    },
  };
}

function newQueue(name: string, connection: Redis, jobMs: number): Queue {
  const queue = new Queue(name, {
    connection,
    prefix: PREFIX,
    skipWaitingForReady: true,
    streams: { events: { maxLen: 1_000 } },
    defaultJobOptions: {
      attempts: 1_000_000, // the worker's back-off ends it by age, see `openWorker`
      backoff: { type: 'aged' },
      stackTraceLimit: 1,
      keepLogs: 0,
      // Kept as long as a repetition of the same id could come, so that it is recognised; then gone.
      removeOnComplete: { age: Math.ceil(jobMs / 1000), count: 2_000 },
      removeOnFail: { age: Math.ceil(jobMs / 1000), count: 500 },
    },
  });
  queue.on('error', () => {}); // the connection's own listener reports it
  return queue;
}

export type WorkerSettings = { readonly concurrency: number; readonly jobMs: number; readonly onTrouble: OnTrouble };

/**
 * A worker over `connectBlocking`. A failing job is tried again after 200 ms, doubling to 1 s, until it is `jobMs` old;
 * a killed worker's job is taken over within 15 s.
 */
export function openWorker(
  name: string,
  connection: Redis,
  process: (job: Job) => Promise<unknown>,
  settings: WorkerSettings,
): Worker {
  const worker = new Worker(name, process, {
    connection,
    prefix: PREFIX,
    concurrency: settings.concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: MAX_STALLED,
    runRetryDelay: RUN_RETRY_MS,
    settings: {
      backoffStrategy: (attemptsMade, _type, _error, job) => {
        const born = job && 'timestamp' in job && typeof job.timestamp === 'number' ? job.timestamp : 0;
        if (Date.now() - born > settings.jobMs) return -1; // BullMQ: no further attempt
        return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attemptsMade - 1, 8));
      },
    },
  });
  worker.on('error', settings.onTrouble);
  return worker;
}

/** Events of one queue, for awaiting the return value of a job. */
export function openEvents(name: string, connection: Redis, onTrouble: OnTrouble): QueueEvents {
  const events = new QueueEvents(name, { connection, prefix: PREFIX });
  events.setMaxListeners(0); // two for every click under way
  events.on('error', onTrouble);
  return events;
}

/**
 * What a job returned; undefined when it failed, or did not finish within `ms`. Never rejects: BullMQ's own
 * `waitUntilFinished` leaves an unhandled rejection when Redis goes away at the wrong moment. The events say so at once;
 * looking now and then finds what was said while nobody listened.
 */
export function returnedBy(id: string, queue: OpenQueue, events: QueueEvents, ms: number): Promise<unknown> {
  return new Promise((resolve) => {
    const done = (value: unknown) => {
      clearTimeout(tooLong);
      clearInterval(looking);
      events.off('completed', onCompleted);
      events.off('failed', onFailed);
      resolve(value);
    };
    const onCompleted = ({ jobId, returnvalue }: { jobId: string; returnvalue: unknown }) => {
      if (jobId === id) done(returnvalue);
    };
    const onFailed = ({ jobId }: { jobId: string }) => {
      if (jobId === id) done(undefined);
    };
    const look = () =>
      queue
        .use((opened) => opened.getJob(id))
        .then((job) => {
          if (job?.finishedOn !== undefined) done(job.returnvalue ?? undefined);
        })
        .catch(() => {}); // looked at again
    const tooLong = setTimeout(() => done(undefined), ms);
    const looking = setInterval(look, LOOK_MS);
    events.on('completed', onCompleted);
    events.on('failed', onFailed);
    events.waitUntilReady().then(look, () => {});
  });
}

/** Take away finished jobs older than `jobMs`: BullMQ itself only does so when another job finishes. */
export async function sweep(queue: OpenQueue, jobMs: number): Promise<void> {
  await queue.use(async (opened) => {
    await opened.clean(jobMs, 1_000, 'completed');
    await opened.clean(jobMs, 1_000, 'failed');
  });
}

/** Remove a queue with everything in it. */
export async function removeQueue(name: string, connection: Redis): Promise<void> {
  const queue = new Queue(name, { connection, prefix: PREFIX, skipWaitingForReady: true, skipMetasUpdate: true });
  queue.on('error', () => {});
  try {
    await queue.obliterate({ force: true });
  } finally {
    await queue.close().catch(() => {}); // the connection is the caller's; only what was hung onto it goes
  }
}
