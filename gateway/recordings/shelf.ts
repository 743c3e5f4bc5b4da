/**
 * Where recordings are kept and found: always in the directory first; where a store is configured, complete ones go
 * there, and are known from there again when neither Redis nor a directory knows them any more.
 */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as after } from 'node:timers/promises';
import type { Audit } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { SignedStore } from '../state/signed.ts';
import { LegalHolds } from './legal-holds.ts';
import { LocalStore } from './local.ts';
import { LocalShelf } from './local-shelf.ts';
import { sweep } from './retention.ts';
import type { S3Options, S3Store } from './s3.ts';
import { openSummary, sealSummary } from './sealed.ts';
import type { Found, Search, SessionSummary } from './shape.ts';
import { Spool, type SpoolState } from './spool.ts';
import { recordingOf, SUMMARY } from './store.ts';

const SWEEP_MS = 3_600_000;
const BURY_MS = 15_000;
const READ_AT_ONCE = 16;
const AGAIN_MS = 30_000;
const STOP_MS = 3_000;
const CLAIM_MS = 15 * 60_000; // a gateway that dies while it uploads leaves the rest to another after this

type Log = Record<'info' | 'warn' | 'error', (details: object, message: string) => void>;

export type ShelfOptions = {
  readonly dir: string;
  readonly s3?: S3Options | undefined;
  readonly retentionMs?: number | undefined;
  readonly maxBytes?: number | undefined;
  readonly gateway: string;
  readonly store: SignedStore;
  /** Gateways with a lease. @throws while Redis is away */
  readonly alive: () => Promise<readonly string[]>;
  readonly audit: Pick<Audit, 'commit' | 'append'>;
  readonly log: Log;
  readonly times?: Partial<Record<'lookMs' | 'sweepMs' | 'buryMs', number>> & {
    readonly backoffMs?: readonly [least: number, most: number];
  };
};

/** Nothing is read or sent before `start`. */
export async function createShelf(options: ShelfOptions): Promise<Shelf> {
  // It warns on stderr of Node versions; which one runs the gateway is not for an operator's log of evidence.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  // The client of the store is large: whoever has none does not wait for it.
  const s3 = options.s3 && new (await import('./s3.ts')).S3Store(options.s3);
  return new Shelf(options, s3);
}

export class Shelf {
  readonly #options: ShelfOptions;
  readonly #local: LocalShelf;
  readonly #s3: S3Store | undefined;
  readonly #spool: Spool | undefined;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #stop = new AbortController();
  #rebuild: string | undefined;
  #sweeping: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: ShelfOptions, s3: S3Store | undefined) {
    this.#options = options;
    const { dir, store, log, times } = options;
    this.#local = new LocalShelf({ dir, store, log, ...(times?.lookMs ? { lookMs: times.lookMs } : {}) });
    this.#s3 = s3;
    this.#spool =
      s3 &&
      new Spool({
        dir,
        store: s3,
        sealed: (summary) => sealSummary(store, summary),
        mayTake: this.#mayTake,
        onCorrupt: this.#onCorrupt,
        log,
        ...(times?.backoffMs ? { backoffMs: times.backoffMs } : {}),
        ...(times?.lookMs ? { lookMs: times.lookMs } : {}),
      });
  }

  /** Resolves once what the directory knows is known here; what only the store knows comes after that. */
  async start(): Promise<void> {
    await this.#local.start();
    this.#spool?.start();
    if (this.#s3) void this.#rebuilt(this.#s3);
    const { sweepMs = SWEEP_MS, buryMs = BURY_MS } = this.#options.times ?? {};
    const every = (ms: number, work: () => Promise<void>) => this.#timers.push(setInterval(work, ms).unref());
    every(buryMs, this.#bury);
    every(sweepMs, () => this.sweep());
    void this.sweep();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const timer of this.#timers) clearInterval(timer);
    this.#local.stop();
    await Promise.race([this.#spool?.stop(), after(STOP_MS, undefined, { ref: false })]);
    this.#s3?.close();
    await this.#sweeping;
  }

  /** Why recordings may be missing, or wait; undefined when all is well. */
  trouble(): string | undefined {
    return this.#local.trouble() ?? this.#spool?.state().trouble ?? this.#rebuild;
  }

  /** What waits for the store; undefined where there is none. */
  waiting(): SpoolState | undefined {
    return this.#spool?.state();
  }

  search(query: Search, visible: (summary: SessionSummary) => boolean): Found {
    return this.#local.search(query, visible);
  }

  find(session: string): SessionSummary | undefined {
    return this.#local.find(session);
  }

  onChange(listener: () => void): () => void {
    return this.#local.onChange(listener);
  }

  live(summaries: readonly SessionSummary[]): void {
    this.#local.live(summaries);
  }

  /** Never rejects. What is sealed and never ended was left by a gateway that died. */
  async finished(summary: SessionSummary): Promise<void> {
    const known = summary.endedAt === undefined ? { ...summary, lost: true } : summary;
    await this.#local.finished(known);
    this.#spool?.offer(known);
  }

  /** @throws GatewayError RECORDING where nobody has it, UNAVAILABLE where the store does not answer */
  async *open(summary: SessionSummary): AsyncGenerator<Buffer> {
    let begun = false;
    try {
      for await (const chunk of this.#local.open(summary)) {
        begun = true;
        yield chunk;
      }
      return;
    } catch (error) {
      const elsewhere = error instanceof GatewayError && error.code === 'RECORDING' && !begun;
      if (!this.#s3 || !elsewhere) throw error;
    }
    yield* this.#s3.read(summary.file);
  }

  has(summary: SessionSummary): Promise<boolean> {
    return this.#local.has(summary);
  }

  growing(summary: SessionSummary, signal: AbortSignal): AsyncGenerator<Buffer> {
    return this.#local.growing(summary, signal);
  }

  /** Remove what may go, as it stands with this call or later. Never rejects. */
  sweep(): Promise<void> {
    if (!this.#sweeping) return this.#sweepNow();
    this.#next ??= this.#sweeping.then(() => {
      this.#next = undefined;
      return this.#stop.signal.aborted ? undefined : this.#sweepNow();
    });
    return this.#next;
  }

  #sweepNow(): Promise<void> {
    const { dir, store, retentionMs, maxBytes, gateway, audit, log } = this.#options;
    const place = this.#s3 ? 'store' : createHash('sha256').update(`${hostname()}\n${dir}`).digest('hex').slice(0, 16);
    this.#sweeping = sweep({
      store: this.#s3 ?? new LocalStore(dir),
      place,
      retentionMs,
      maxBytes,
      gateway,
      redis: store.redis,
      holds: new LegalHolds(store),
      audit,
      find: (session) => this.find(session),
      removed: (session) => this.#local.removed(session),
    })
      .then((gone) => {
        if (gone > 0) log.info({ removed: gone }, 'recordings were removed by retention');
      })
      .catch((error) => {
        if (!this.#stop.signal.aborted) log.warn({ reason: messageOf(error) }, 'retention stands still');
      })
      .finally(() => {
        this.#sweeping = undefined;
      });
    return this.#sweeping;
  }

  readonly #bury = async (): Promise<void> => {
    try {
      this.#local.bury(new Set([...(await this.#options.alive()), this.#options.gateway]));
    } catch {
      // Redis is away: nobody can say who is dead
    }
  };

  readonly #mayTake = async ({ gateway, session }: SessionSummary): Promise<boolean> => {
    const { gateway: own, alive, store } = this.#options;
    if (gateway === own) return true;
    if ((await alive()).includes(gateway)) return false;
    const key = `countersign:recordings:upload:${session}`;
    return (await store.redis.set(key, own, 'PX', CLAIM_MS, 'NX')) === 'OK' || (await store.redis.get(key)) === own;
  };

  readonly #onCorrupt = ({ session, file }: SessionSummary, what: string): void => {
    const { log, audit } = this.#options;
    log.error({ session, file, what }, 'a recording is not as it was sealed: it stays in the directory');
    try {
      audit.append({ kind: 'recording.failed', session, file, reason: `it is not as it was sealed: ${what}` });
    } catch {
      // The trail has said so itself.
    }
  };

  /** What the store knows and nobody here; tried until it could be read. */
  async #rebuilt(s3: S3Store): Promise<void> {
    const { log } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        const found = await this.#fromStore(s3);
        if (found > 0) log.info({ found }, 'recordings were found in the store');
        this.#rebuild = undefined;
        return;
      } catch (error) {
        this.#rebuild = messageOf(error);
      }
      await after(this.#options.times?.lookMs ?? AGAIN_MS, undefined, { signal: this.#stop.signal, ref: false }).catch(
        () => {},
      );
    }
  }

  async #fromStore(s3: S3Store): Promise<number> {
    const unknown: string[] = [];
    for await (const { key } of s3.list(this.#stop.signal)) {
      if (key.endsWith(SUMMARY) && !this.find(sessionOf(key))?.sha256) unknown.push(key);
    }
    unknown.reverse(); // newest first: that is what somebody looks for
    const queue = unknown[Symbol.iterator]();
    let found = 0;
    const reader = async () => {
      for (const key of queue) {
        this.#stop.signal.throwIfAborted();
        if (await this.#learned(s3, key)) found++;
      }
    };
    await Promise.all(Array.from({ length: READ_AT_ONCE }, reader));
    return found;
  }

  async #learned(s3: S3Store, key: string): Promise<boolean> {
    const { store, log } = this.#options;
    const raw = await s3.readText(key);
    if (raw === undefined) return false;
    try {
      const summary = openSummary(store, sessionOf(key), raw);
      if (summary.file !== recordingOf(key)) throw new GatewayError('FORGED', 'it is of another recording');
      this.#local.learn(summary);
      return true;
    } catch (error) {
      log.warn({ key, reason: messageOf(error) }, 'a summary in the store was ignored');
      return false;
    }
  }
}

const sessionOf = (key: string): string => /\/\d+-([0-9a-f-]{36})\./.exec(key)?.[1] ?? '';
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
