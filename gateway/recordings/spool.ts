/**
 * What is complete in the directory of recordings goes to the store, and only then from here: at any point a crash may
 * come, and the next look goes on from what is found. A file that is not as it was sealed stays where it is.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { asGatewayError } from '../errors.ts';
import type { S3Store } from './s3.ts';
import type { SessionSummary } from './shape.ts';
import { HOLD, recordingOf, SUMMARY } from './store.ts';
import { summarySchema } from './summary.ts';

const LOOK_MS = 60_000;
const BACKOFF_MS = [1_000, 60_000] as const;
const SAID_AGAIN_MS = 300_000;

export type SpoolOptions = {
  readonly dir: string;
  readonly store: Pick<S3Store, 'put' | 'putText'>;
  /** The summary as the store keeps it. */
  readonly sealed: (summary: SessionSummary) => string;
  /** May this process take what another one's gateway recorded? @throws while nobody can say */
  readonly mayTake: (summary: SessionSummary) => Promise<boolean>;
  /** Its file was changed since it was sealed: it is never uploaded. Told once. */
  readonly onCorrupt: (summary: SessionSummary, what: string) => void;
  readonly log: { warn(details: object, message: string): void; info(details: object, message: string): void };
  readonly backoffMs?: readonly [least: number, most: number];
  readonly lookMs?: number;
};

/** `since`: when the oldest of those that wait ended, epoch ms. `corrupt`: files that stay here. */
export type SpoolState = {
  readonly waiting: number;
  readonly bytes: number;
  readonly since: number | undefined;
  readonly corrupt: number;
  readonly trouble: string | undefined;
};

export class Spool {
  readonly #options: SpoolOptions;
  readonly #waiting = new Map<string, SessionSummary>();
  readonly #corrupt = new Set<string>();
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #trouble: string | undefined;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** What is under way ends first. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
  }

  /** It is complete, and its summary lies beside it. */
  offer(summary: SessionSummary): void {
    if (summary.sha256 === undefined || this.#corrupt.has(summary.file)) return;
    this.#waiting.set(summary.file, summary);
    if (this.#trouble === undefined) this.#wake.abort();
  }

  state(): SpoolState {
    const those = [...this.#waiting.values()];
    return {
      waiting: those.length,
      bytes: those.reduce((sum, { bytes }) => sum + bytes, 0),
      since: those.length === 0 ? undefined : Math.min(...those.map(({ endedAt, startedAt }) => endedAt ?? startedAt)),
      corrupt: this.#corrupt.size,
      trouble: this.#trouble,
    };
  }

  async #run(): Promise<void> {
    const { log, lookMs = LOOK_MS, backoffMs = BACKOFF_MS } = this.#options;
    let lookAt = 0;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      try {
        if (performance.now() >= lookAt) {
          await this.#look();
          lookAt = performance.now() + lookMs;
        }
        await this.#round();
        if (this.#trouble !== undefined) log.info({}, 'recordings go to the store again');
        this.#trouble = undefined;
        failures = 0;
      } catch (error) {
        failures++;
        lookAt = 0;
        this.#failed(asGatewayError(error).message);
      }
      const [least, most] = backoffMs;
      const ms = failures === 0 ? lookMs : Math.min(most, least * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
      await after(ms, undefined, { signal: this.#wake.signal }).catch(() => {});
    }
  }

  /** Each once; the first error is told when all have had their turn, so that none blocks the others. */
  async #round(): Promise<void> {
    let first: unknown;
    for (const summary of [...this.#waiting.values()]) {
      if (this.#stop.signal.aborted) return;
      try {
        await this.#take(summary);
        this.#waiting.delete(summary.file);
      } catch (error) {
        first ??= error;
      }
    }
    if (first !== undefined) throw first;
  }

  async #take(summary: SessionSummary): Promise<void> {
    const { dir, store, sealed, onCorrupt } = this.#options;
    const { file, bytes, sha256 = '' } = summary;
    const path = join(dir, file);
    const found = await contentOf(path);
    if (found) {
      if (found.bytes !== bytes || found.sha256 !== sha256) {
        this.#corrupt.add(file);
        onCorrupt(summary, `${found.bytes} bytes of ${found.sha256}, sealed were ${bytes} of ${sha256}`);
        return;
      }
    }
    // Also where it is gone from here: a crash may have come in between, or somebody took it away, and the store knows.
    await store.put(file, path, { bytes, sha256 });
    await store.putText(`${file}${SUMMARY}`, sealed(summary));
    const hold = await readFile(`${path}${HOLD}`, 'utf8').catch(absent);
    if (hold !== undefined) await store.putText(`${file}${HOLD}`, hold);
    // The summary last: while it is there, whoever looks knows that something is left to do.
    for (const suffix of ['', HOLD, SUMMARY]) await rm(`${path}${suffix}`, { force: true });
  }

  async #look(): Promise<void> {
    const { dir, mayTake, log } = this.#options;
    for (const name of await readdir(dir, { recursive: true })) {
      const file = name.endsWith(SUMMARY) ? recordingOf(name) : undefined;
      if (file === undefined || this.#waiting.has(file) || this.#corrupt.has(file)) continue;
      try {
        const summary = summarySchema.parse(JSON.parse(await readFile(join(dir, name), 'utf8')));
        if (summary.file === file && summary.sha256 !== undefined && (await mayTake(summary))) this.offer(summary);
      } catch (error) {
        log.warn({ file: name, reason: String(error) }, 'a recording in the directory cannot go to the store yet');
      }
    }
  }

  #failed(reason: string): void {
    if (reason !== this.#trouble || performance.now() - this.#saidAt > SAID_AGAIN_MS) {
      this.#options.log.warn({ reason, waiting: this.#waiting.size }, 'recordings wait for their store');
      this.#saidAt = performance.now();
    }
    this.#trouble = reason;
  }
}

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT') throw error;
};

async function contentOf(path: string): Promise<{ bytes: number; sha256: string } | undefined> {
  const file: FileHandle | undefined = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(absent);
  if (!file) return undefined;
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of createReadStream('', { fd: file.fd, autoClose: false }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}
