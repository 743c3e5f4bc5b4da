/**
 * Recordings in a directory, and what is known of those of all gateways: beside each complete one lies its summary;
 * through Redis, signed, gateways tell each other. What Redis forgets, the directory still knows.
 */
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { GatewayError } from '../errors.ts';
import type { SignedStore } from '../state/signed.ts';
import { LocalStore } from './local.ts';
import { Index } from './search.ts';
import { type Found, goesOn, type Search, type SessionSummary } from './shape.ts';
import { recordingOf, SUMMARY } from './store.ts';
import { RECORDING_FILE, summarySchema } from './summary.ts';
import { Told } from './told.ts';

const MOST_KNOWN = 300_000;
const LOOK_MS = 1_000;
const COALESCE_MS = 250;
const READ_AT_ONCE = 32;
const CHUNK_BYTES = 64 << 10;

export type ShelfOptions = {
  readonly dir: string;
  readonly store: SignedStore;
  readonly log: { warn(details: object, message: string): void };
  readonly lookMs?: number;
  readonly mostKnown?: number;
};

export class LocalShelf {
  readonly #options: ShelfOptions;
  readonly #files: LocalStore;
  readonly #index: Index;
  readonly #told: Told;
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #stopped = false;
  #trouble: string | undefined;

  constructor(options: ShelfOptions) {
    this.#options = options;
    this.#files = new LocalStore(options.dir);
    this.#index = new Index(options.mostKnown ?? MOST_KNOWN);
    this.#told = new Told(options.store, {
      learn: (summary) => this.learn(summary),
      ignored: (reason) => options.log.warn({ reason }, 'a summary of a recording was ignored'),
    });
  }

  /** Resolves once what the directory knows is known here. */
  async start(): Promise<void> {
    await this.#readDirectory();
    this.#schedule(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#soon);
  }

  /** Why sessions of other gateways may be missing; undefined when all is well. */
  trouble(): string | undefined {
    return this.#trouble;
  }

  search(query: Search, visible: (summary: SessionSummary) => boolean): Found {
    return this.#index.search(query, visible);
  }

  find(session: string): SessionSummary | undefined {
    return this.#index.find(session);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sessions go on; or have ended without a recording that is complete. */
  live(summaries: readonly SessionSummary[]): void {
    for (const summary of summaries) this.#known(summary);
    const [going, ended] = [summaries.filter(goesOn), summaries.filter((summary) => !goesOn(summary))];
    if (going.length > 0) void this.#told.live(going);
    for (const summary of ended) void this.#told.last(summary);
  }

  /** It is complete. Never rejects: what is not told now is found in the directory. */
  async finished(summary: SessionSummary): Promise<void> {
    this.#known(summary);
    try {
      await this.#files.putText(`${summary.file}${SUMMARY}`, `${JSON.stringify(summary)}\n`);
    } catch (error) {
      this.#options.log.warn({ session: summary.session, reason: String(error) }, 'a summary was not written');
    }
    await this.#told.last(summary);
  }

  /** @throws GatewayError RECORDING where it is not here */
  async *open(summary: SessionSummary): AsyncGenerator<Buffer> {
    const handle = await this.#opened(summary);
    try {
      yield* createReadStream('', { fd: handle.fd, autoClose: false }) as AsyncIterable<Buffer>;
    } finally {
      await handle.close();
    }
  }

  /** Is its file in this directory? */
  async has(summary: SessionSummary): Promise<boolean> {
    const handle = await this.#opened(summary).catch(() => undefined);
    await handle?.close();
    return handle !== undefined;
  }

  /**
   * What another process writes there, as it comes: until nobody says any more that the session goes on, or nobody wants it.
   * @throws GatewayError RECORDING where it is not here
   */
  async *growing(summary: SessionSummary, signal: AbortSignal): AsyncGenerator<Buffer> {
    const handle = await this.#opened(summary);
    try {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      for (let at = 0; !signal.aborted; ) {
        const now = this.find(summary.session);
        const over = now === undefined || !goesOn(now); // asked first: what came until then is read below
        const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, at);
        at += bytesRead;
        if (bytesRead > 0) yield Buffer.from(chunk.subarray(0, bytesRead));
        else if (over) return;
        else await after(this.#options.lookMs ?? LOOK_MS, undefined, { signal }).catch(() => {});
      }
    } finally {
      await handle.close();
    }
  }

  async #opened({ file, gateway }: SessionSummary): Promise<FileHandle> {
    if (!RECORDING_FILE.test(file)) throw new GatewayError('RECORDING', 'that is no place of a recording');
    const { O_RDONLY, O_NOFOLLOW } = constants;
    return open(join(this.#options.dir, file), O_RDONLY | O_NOFOLLOW).catch((cause) => {
      throw new GatewayError('RECORDING', `its recording is not in this gateway’s directory (${cause.code})`, {
        cause,
        hint: `Gateway ${gateway} recorded it: open it there, or give all gateways one directory or store.`,
      });
    });
  }

  /** It is gone from where it was kept: nobody finds it any more. */
  async removed(session: string): Promise<void> {
    const summary = this.#index.find(session);
    if (!summary) return;
    this.learn({ ...summary, removed: true });
    await this.#told.last({ ...summary, removed: true });
  }

  /** What somebody else said, and could say. */
  learn(summary: SessionSummary): void {
    if (!summary.removed) {
      this.#known(summary);
      return;
    }
    this.#index.remove(summary.session);
    this.#changed();
  }

  /** Sessions of gateways that are not `alive` have ended, nobody knows when. */
  bury(alive: ReadonlySet<string>): void {
    for (const summary of this.#index.unended()) {
      if (!alive.has(summary.gateway)) this.#known({ ...summary, lost: true });
    }
  }

  #known(summary: SessionSummary): void {
    if (this.#index.add(summary)) this.#changed();
  }

  #changed(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      for (const listener of this.#listeners) listener();
    }, COALESCE_MS).unref();
  }

  #schedule(ms: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
        this.#schedule(this.#options.lookMs ?? LOOK_MS);
      });
    }, ms).unref();
  }

  async #look(): Promise<void> {
    try {
      await this.#told.look();
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = `Redis does not tell what others recorded: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  async #readDirectory(): Promise<void> {
    const { dir, log } = this.#options;
    const names = await readdir(dir, { recursive: true });
    const files = names.filter((name) => name.endsWith(SUMMARY) && recordingOf(name) !== undefined);
    const summaries: SessionSummary[] = [];
    const read = async (name: string) => {
      try {
        const summary = summarySchema.parse(JSON.parse((await this.#files.readText(name)) ?? ''));
        if (`${summary.file}${SUMMARY}` === name) summaries.push(summary);
      } catch (error) {
        log.warn({ file: name, reason: String(error) }, 'a summary of a recording cannot be read');
      }
    };
    const queue = files[Symbol.iterator]();
    const reader = async () => {
      for (const name of queue) await read(name);
    };
    await Promise.all(Array.from({ length: READ_AT_ONCE }, reader));
    this.#index.fill(summaries);
  }
}
