/**
 * What gateways tell each other of sessions, through Redis and signed. One stream is of those that go on, many in one
 * entry, and holds the last minutes; the other is of the last word on each, and goes back further.
 */
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { SignedStore } from '../state/signed.ts';
import { openSummary, sealSummary } from './sealed.ts';
import type { SessionSummary } from './shape.ts';
import { summarySchema } from './summary.ts';
import { AGAIN_MS } from './telling.ts';

const LAST = 'countersign:recordings';
const LIVE = 'countersign:recordings:live';
const MOST_LAST = 20_000; // in Redis; older ones are found in their directories
const KEEP_LIVE_MS = 2 * AGAIN_MS; // by then it was said again
const BATCH = 500;
const LIVE_BATCH = 50; // each of up to a megabyte
const MOST_OWN = 10_000; // of a stream that is not read for long: then they are verified like any other

const several = z.array(summarySchema).max(1_000);

export class Told {
  readonly #store: SignedStore;
  readonly #learn: (summary: SessionSummary) => void;
  readonly #ignored: (reason: string) => void;
  readonly #live: Stream;
  readonly #last: Stream;

  constructor(
    store: SignedStore,
    { learn, ignored }: { learn: (summary: SessionSummary) => void; ignored: (reason: string) => void },
  ) {
    this.#store = store;
    this.#learn = learn;
    this.#ignored = ignored;
    this.#live = new Stream(store.redis, LIVE, LIVE_BATCH);
    this.#last = new Stream(store.redis, LAST, BATCH);
  }

  /** Sessions go on. Never rejects. */
  async live(summaries: readonly SessionSummary[]): Promise<void> {
    const { redis } = this.#store;
    try {
      const sealed = this.#store.sealed(summaries, LIVE);
      const since = this.#live.newest === undefined ? [] : (['MINID', '~', this.#live.newest - KEEP_LIVE_MS] as const);
      this.#live.wrote(await redis.xadd(LIVE, ...since, '*', 'live', sealed));
    } catch {
      // Too much for one entry, or Redis is away: the gateway says that elsewhere, and all is said again.
      if (summaries.length < 2) return;
      const half = summaries.length >> 1;
      await this.live(summaries.slice(0, half));
      await this.live(summaries.slice(half));
    }
  }

  /** It is complete, or was removed. Never rejects. */
  async last(summary: SessionSummary): Promise<void> {
    const { redis } = this.#store;
    try {
      const about = ['session', summary.session, 'summary', sealSummary(this.#store, summary)] as const;
      this.#last.wrote(await redis.xadd(LAST, 'MAXLEN', '~', MOST_LAST, '*', ...about));
    } catch {
      // Redis is away: the gateway says so elsewhere, and the directory knows
    }
  }

  /** What others told since the last time. @throws where Redis does not answer */
  async look(): Promise<void> {
    // The last word comes after what it is about.
    for await (const [, sealed = ''] of this.#live.unread()) {
      this.#believe(() => this.#store.open(sealed, LIVE, several));
    }
    for await (const [, session = '', , sealed = ''] of this.#last.unread()) {
      this.#believe(() => [openSummary(this.#store, session, sealed)]);
    }
  }

  #believe(open: () => readonly SessionSummary[]): void {
    try {
      for (const summary of open()) this.#learn(summary);
    } catch (error) {
      this.#ignored(String(error));
    }
  }
}

/** A stream in Redis, from where it was read to. */
class Stream {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #batch: number;
  #read = '0-0';
  /** Written here, and not come by yet: nothing new. */
  readonly #own = new Set<string>();
  /** When the newest of its own was written, epoch ms of Redis. */
  newest: number | undefined;

  constructor(redis: Redis, key: string, batch: number) {
    this.#redis = redis;
    this.#key = key;
    this.#batch = batch;
  }

  wrote(id: unknown): void {
    if (typeof id !== 'string') return;
    this.newest = Number.parseInt(id, 10);
    if (this.#own.size >= MOST_OWN) this.#own.clear();
    this.#own.add(id);
  }

  /** The fields of each entry of others. */
  async *unread(): AsyncGenerator<string[]> {
    for (let more = true; more; ) {
      const told = await this.#redis.xrange(this.#key, `(${this.#read}`, '+', 'COUNT', this.#batch);
      for (const [id, fields] of told) {
        this.#read = id;
        if (!this.#own.delete(id)) yield fields;
      }
      more = told.length === this.#batch;
    }
    // A Redis that was emptied counts from the start again.
    const newest = await this.#redis.xrevrange(this.#key, '+', '-', 'COUNT', 1);
    if (newest.length > 0 && isOlder(newest[0]?.[0] ?? '', this.#read)) this.#read = '0-0';
  }
}

const isOlder = (a: string, b: string): boolean => {
  const [[aMs = 0, aSeq = 0], [bMs = 0, bSeq = 0]] = [a, b].map((id) => id.split('-').map(Number)) as [
    number[],
    number[],
  ];
  return aMs < bMs || (aMs === bMs && aSeq < bSeq);
};
