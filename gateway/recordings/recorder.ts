/** Records sessions as they happen: nothing is given to a client that could not be kept, and all of it is sealed into the trail. */
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { Audit, AuditEntry } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { Tape } from '../listeners/listener.ts';
import { newFileKey, type WrappingKey } from './keys.ts';
import { type Order, type PressTimes, type Report, type Sealed, startPress } from './press.ts';
import { Reel } from './reel.ts';
import type { RecordedHead, SessionSummary } from './shape.ts';
import { Sheet, textOf } from './sheet.ts';
import { Telling } from './telling.ts';

const TICK_MS = 40; // a crash loses what came since the last: some 50 ms with the thread's own share, more under load
const SEAL_MS = 5_000;
const OPEN_FILES = 4_000; // opening one anew costs more than what is written to it
const DISK_CHECK_MS = 1_000;
const FULL_BYTES = 32 << 20; // of all sessions together, on their way to the disk
const LINE_WEIGHT = 64; // bytes a line costs besides its text
const SEALS_AN_ENTRY = 200;
const SYNC_MS = 10_000;
const LINGER_MS = 200; // what is put on record of a session right behind its end belongs to it
const STEADY_MS = 1_000; // a thread that ends sooner is not started again

export type RecorderOptions = {
  readonly dir: string;
  /** Absent: files are not encrypted. */
  readonly key?: WrappingKey | undefined;
  readonly gateway: string;
  /** So much of each result is kept, bytes. */
  readonly resultBytes: number;
  readonly minFreeBytes: number;
  readonly audit: Pick<Audit, 'append'>;
  /** Its recording cannot go on, and so it must not either. */
  readonly endSession: (session: string, reason: string) => void;
  /** Others may look for them from now on; said again now and then while they last. */
  readonly onLive: (summaries: readonly SessionSummary[]) => void;
  /** It is complete, sealed, and lies at `path`. */
  readonly onFinished: (summary: SessionSummary, path: string) => void;
  readonly log: { warn(details: object, message: string): void; error(details: object, message: string): void };
  readonly now?: () => number;
  readonly freeBytes?: (dir: string) => Promise<number>;
  readonly start?: (times: PressTimes) => Worker;
  readonly openFiles?: number;
  readonly times?: Partial<Record<'tickMs' | 'sealMs' | 'steadyMs', number>>;
};

/** Where a recording of that session lies, below the directory of recordings or in a store. */
export const fileOf = ({ startedAt, session }: RecordedHead, encrypted: boolean): string =>
  `${new Date(startedAt).toISOString().slice(0, 10).replaceAll('-', '/')}/${startedAt}-${session}.jsonl${encrypted ? '.enc' : ''}`;

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #now: () => number;
  readonly #reels = new Map<string, Reel>();
  /** Ended, and not sealed to the end yet. */
  readonly #ending = new Map<string, Reel>();
  readonly #sheet = new Sheet();
  readonly #followed = new Set<Reel>();
  #slot = 0;
  readonly #waiting = new Map<Reel, () => void>();
  readonly #telling: Telling;
  #pending = 0;
  #queued = 0;
  #thread: Worker | undefined;
  #threadSince = 0;
  #tick: NodeJS.Timeout | undefined;
  #diskTimer: NodeJS.Timeout | undefined;
  #full = false;
  #closed = false;
  #token = 0;
  readonly #syncs = new Map<number, () => void>();

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#telling = new Telling(options.onLive);
  }

  /** @throws GatewayError CONFIG where the directory cannot be had */
  async start(): Promise<void> {
    const { dir } = this.#options;
    try {
      // Not its parents: evidence belongs on the disk that was meant, not where a mount is missing.
      await mkdir(dir, { mode: 0o700 }).catch((error) => {
        if (error.code !== 'EEXIST') throw error;
      });
      await this.#checkSpace();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new GatewayError('CONFIG', `recordings.dir: ${dir} cannot be had (${why})`, { cause });
    }
    this.#thread = this.#startThread();
    this.#diskTimer = setInterval(() => void this.#checkSpace(), DISK_CHECK_MS).unref();
  }

  /** Why no session may begin now; undefined when all is well. */
  trouble(): string | undefined {
    if (this.#closed) return 'recordings are closed';
    if (!this.#thread) return 'recordings cannot be written: their thread has ended';
    if (this.#full) return 'the disk of the recordings is almost full';
    return undefined;
  }

  /** @throws GatewayError AUDIT where it could not be recorded: then it must not begin */
  begin(head: RecordedHead): Tape {
    const trouble = this.trouble();
    if (trouble !== undefined) {
      throw new GatewayError('AUDIT', trouble, { hint: 'the operator finds the cause in the gateway log' });
    }
    const { dir, key, resultBytes } = this.#options;
    const file = fileOf(head, key !== undefined);
    const slot = ++this.#slot;
    const path = join(dir, file);
    const place = { slot, file, path };
    const reel = new Reel(head, place, {
      resultBytes,
      now: this.#now,
      onLine: this.#onLine,
      full: (of, again) => this.#isFull(of, again),
      onEnd: (of) => void setTimeout(() => this.#finish(of), LINGER_MS),
    });
    const id = head.session;
    this.#reels.set(id, reel);
    const text = `${JSON.stringify(head)}\n`;
    const locked = key && newFileKey(id, key);
    this.#order({
      do: 'begin',
      slot,
      id,
      path,
      first: locked?.first ?? text,
      ...(locked && { key: locked.key, text }),
    });
    this.#telling.begun(reel);
    return reel;
  }

  /** An entry was written to the audit trail; `members` as it stands there. */
  readonly entered = (entry: AuditEntry, members: string | Uint8Array): void => {
    // Who looks at a session is no part of it.
    if (entry.session === undefined || entry.kind.startsWith('recording.')) return;
    this.#reels.get(entry.session)?.entry(entry, members);
  };

  /** How many sessions are being recorded, and bytes of them that are not in their files yet, roughly. */
  stats(): { readonly live: number; readonly pending: number } {
    return { live: this.#reels.size, pending: this.#pending + this.#queued };
  }

  /** The reel of a session that is being recorded here now. */
  live(session: string): Reel | undefined {
    return this.#reels.get(session) ?? this.#ending.get(session);
  }

  /** From now on `listener` hears the lines of this reel; resolves, with how many came before, once those are in its file. */
  async listen(reel: Reel, listener: (text: string) => void): Promise<number> {
    this.#flush();
    reel.listeners.add(listener);
    this.#followed.add(reel);
    const { lines } = reel;
    await this.#sync(false);
    return lines;
  }

  /** All that was recorded so far is in its file; `seal`: and in the trail. @throws GatewayError AUDIT where the disk does not answer */
  async written(seal = false): Promise<void> {
    this.#flush();
    await this.#sync(seal);
  }

  /** End every recording, seal all, let go. Sessions should have ended before. */
  async close(): Promise<void> {
    if (this.#closed) return;
    for (const reel of this.#reels.values()) reel.ended = true;
    for (const reel of [...this.#reels.values()]) this.#finish(reel);
    this.#closed = true;
    clearInterval(this.#diskTimer);
    clearTimeout(this.#tick);
    const thread = this.#thread;
    if (!thread) return;
    await this.#sync(true).catch((error) =>
      this.#options.log.warn({ reason: String(error) }, 'a recording stays open'),
    );
    this.#thread = undefined;
    const gone = new Promise((resolve) => thread.once('exit', resolve));
    thread.postMessage({ do: 'close' } satisfies Order);
    await gone;
  }

  readonly #onLine = ({ place }: Reel, t: number, members: string | Uint8Array): void => {
    this.#queued += LINE_WEIGHT + this.#sheet.add(place.slot, t, members);
    this.#tick ??= setTimeout(() => this.#flush(), this.#options.times?.tickMs ?? TICK_MS);
  };

  #flush(): void {
    clearTimeout(this.#tick);
    this.#tick = undefined;
    if (this.#sheet.empty) return;
    const lines = this.#sheet.take();
    for (const reel of this.#followed) {
      if (reel.listeners.size === 0) this.#followed.delete(reel);
      const text = reel.listeners.size === 0 ? '' : textOf(reel.place.slot, lines);
      if (text !== '') for (const listener of reel.listeners) listener(text);
    }
    const weight = this.#queued;
    this.#queued = 0;
    this.#pending += weight;
    this.#order({ do: 'lines', ...lines, weight }, [lines.bytes.buffer, lines.index.buffer]);
  }

  #isFull(reel: Reel, again: () => void): boolean {
    if (this.#pending + this.#queued <= FULL_BYTES) return false;
    this.#waiting.set(reel, again);
    return true;
  }

  #finish(reel: Reel): void {
    const { session } = reel.head;
    if (!this.#reels.delete(session)) return; // it has failed, or all are closed
    this.#telling.over(reel);
    this.#ending.set(session, reel);
    this.#flush();
    hangUp(reel);
    this.#order({ do: 'end', slot: reel.place.slot });
  }

  #order(order: Order, given: ArrayBuffer[] = []): void {
    this.#thread?.postMessage(order, given);
  }

  #sync(seal: boolean): Promise<void> {
    const token = ++this.#token;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#syncs.delete(token);
        reject(new GatewayError('AUDIT', `the disk of the recordings did not answer within ${SYNC_MS} ms`));
      }, SYNC_MS);
      this.#syncs.set(token, () => {
        clearTimeout(timer);
        resolve();
      });
      this.#order({ do: 'sync', token, seal });
    });
  }

  #startThread(): Worker {
    const { start = startPress, times } = this.#options;
    const thread = start({ sealMs: times?.sealMs ?? SEAL_MS, openFiles: this.#options.openFiles ?? OPEN_FILES });
    thread.on('message', (report: Report) => this.#heard(report));
    thread.on('error', (error) =>
      this.#options.log.error({ reason: error.message }, 'the thread of recordings failed'),
    );
    thread.on('exit', () => this.#lost(thread));
    this.#threadSince = performance.now();
    return thread;
  }

  #heard(report: Report): void {
    switch (report.say) {
      case 'written':
        this.#pending -= report.weight;
        this.#goOn();
        return;
      case 'sealed':
        this.#sealed(report.seals);
        return;
      case 'failed':
        this.#failed(report.id, report.reason);
        return;
      case 'synced':
        this.#syncs.get(report.token)?.();
        this.#syncs.delete(report.token);
    }
  }

  #goOn(): void {
    if (this.#waiting.size === 0 || this.#pending + this.#queued > FULL_BYTES / 2) return;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const again of waiting) again();
  }

  #sealed(seals: readonly Sealed[]): void {
    const recordings: Record<string, unknown>[] = [];
    const done: Reel[] = [];
    for (const { id, bytes, sha256, end } of seals) {
      const reel = this.live(id);
      if (!reel) continue;
      reel.bytes = bytes;
      if (end) {
        reel.sha256 = sha256;
        done.push(reel);
      }
      recordings.push({ session: id, file: reel.place.file, bytes, sha256, ...(end ? { end } : {}) });
    }
    try {
      for (let at = 0; at < recordings.length; at += SEALS_AN_ENTRY) {
        this.#options.audit.append({ kind: 'recording.sealed', recordings: recordings.slice(at, at + SEALS_AN_ENTRY) });
      }
    } catch (error) {
      this.#options.log.error({ reason: String(error) }, 'recordings could not be sealed');
    }
    for (const reel of done) {
      this.#ending.delete(reel.head.session);
      this.#options.onFinished(reel.summary, reel.place.path);
    }
  }

  /** What cannot be recorded does not go on. */
  #failed(id: string, reason: string): void {
    const { log, endSession, audit, onLive } = this.#options;
    log.error({ session: id, reason }, 'a recording cannot be written: its session ends');
    const reel = this.live(id);
    if (!reel) return;
    this.#ending.delete(id);
    this.#reels.delete(id);
    this.#telling.over(reel);
    hangUp(reel);
    try {
      audit.append({ kind: 'recording.failed', session: id, reason });
    } catch {
      // The trail cannot be written either: it has said so itself.
    }
    const why = `its recording cannot be written: ${reason}`;
    reel.summing.take({ kind: 'session.end', reason: why }, this.#now()); // nobody shall think that it goes on
    onLive([reel.summary]);
    endSession(id, why);
  }

  /** The thread is gone: what it was writing cannot go on; what begins next has a new one. */
  #lost(thread: Worker): void {
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    this.#pending = 0;
    for (const answer of this.#syncs.values()) answer();
    this.#syncs.clear();
    if (this.#closed) return;
    this.#options.log.error({}, 'the thread that writes recordings ended');
    for (const id of [...this.#reels.keys(), ...this.#ending.keys()])
      this.#failed(id, 'the thread that writes it ended');
    this.#sheet.take();
    this.#queued = 0;
    this.#goOn();
    if (performance.now() - this.#threadSince > (this.#options.times?.steadyMs ?? STEADY_MS))
      this.#thread = this.#startThread();
  }

  async #checkSpace(): Promise<void> {
    const { dir, minFreeBytes, freeBytes = freeBytesOf, log } = this.#options;
    const free = await freeBytes(dir).catch(() => 0); // a disk that cannot be asked counts as full
    const full = free < minFreeBytes;
    if (full !== this.#full) {
      log.warn({ free }, full ? 'the disk of the recordings is almost full' : 'the recordings have room again');
    }
    this.#full = full;
  }
}

/** Whoever listens to it hears that nothing more comes. */
function hangUp(reel: Reel): void {
  for (const listener of reel.listeners) listener('');
  reel.listeners.clear();
}

async function freeBytesOf(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}
