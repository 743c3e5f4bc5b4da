/** Lines to disk in order, one file after another, one fsync for all who wait. Knows nothing of what it writes. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OwnTime } from './own-time.ts';

/** Of memory, for the file that is open. */
type Stretch = { readonly memory: ArrayBufferLike; readonly from: number; to: number };
/** Or the path of the file to open next. */
type Item = Stretch | { readonly path: string };
type Waiter = { readonly upTo: number; resolve(): void; reject(error: Error): void };

/** Must create: a file that is already there is never appended to. */
export type OpenFile = (path: string) => Promise<FileHandle>;
const createFile: OpenFile = (path) => open(path, 'ax', 0o600);

/** What `push` alone asks for: on its way to the kernel within 5 ms. */
const WRITE_WITHIN_MS = 3;
const MAX_GATHERED_BYTES = 256 * 1024;
const MOST_AT_ONCE_BYTES = 4 << 20; // in one write, which a slow disk may take a while for

export class Disk {
  readonly #open: OpenFile;
  readonly #onFailure: (error: Error) => void;
  #handle: FileHandle | undefined;
  #path = '';
  #queue: Item[] = [];
  #waiters: Waiter[] = [];
  /** Bytes pushed, written to the kernel, and known to be on disk. */
  #pushed = 0;
  #written = 0;
  #synced = 0;
  #oldestUnwritten = 0;
  readonly #time = new OwnTime();
  #running = false;
  #syncing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #failure: Error | undefined;

  constructor(options: { onFailure: (error: Error) => void; open?: OpenFile }) {
    this.#open = options.open ?? createFile;
    this.#onFailure = options.onFailure;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** What has been pushed and not yet handed to the kernel; `ms`: for how long this process has been waiting for that. */
  lag(): { readonly bytes: number; readonly ms: number } {
    const bytes = this.#pushed - this.#written;
    return { bytes, ms: bytes === 0 ? 0 : this.#time.now() - this.#oldestUnwritten };
  }

  get dirty(): boolean {
    return this.#synced < this.#pushed;
  }

  /** The memory is left alone until it is on disk. What lies right behind the bytes pushed before leaves with them. */
  push(bytes: Buffer): void {
    if (this.#pushed === this.#written) this.#oldestUnwritten = this.#time.now();
    const { buffer: memory, byteOffset: from, length } = bytes;
    const last = this.#queue.at(-1);
    if (last && 'memory' in last && last.memory === memory && last.to === from) last.to += length;
    else this.#queue.push({ memory, from, to: from + length });
    this.#pushed += length;
    this.#timer ??= this.#running ? undefined : setTimeout(() => void this.#run(), WRITE_WITHIN_MS);
  }

  /** What is pushed from here on goes into this new file; the one before is synced and closed. */
  file(path: string): void {
    this.#queue.push({ path });
  }

  /** Resolves when all that was pushed so far is on disk. @throws the write error that stopped the disk for good. */
  settled(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (!this.dirty && this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ upTo: this.#pushed, resolve, reject });
      // Not at once: everyone of this turn of the event loop shares the fsync.
      if (!this.#running) this.#soon ??= setImmediate(() => void this.#run());
    });
  }

  /** Is the file still the one at its path? Writes to a deleted file would succeed and be lost. */
  async checkPlace(): Promise<void> {
    const handle = this.#handle;
    const path = this.#path;
    if (!handle || this.#failure) return;
    try {
      const [mine, there] = await Promise.all([handle.stat(), stat(path)]);
      if (handle === this.#handle && mine.ino !== there.ino) this.fail(new Error(`${path} was replaced`));
    } catch (error) {
      if (handle === this.#handle) this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The open file is in use, though nothing may have been written for long: whoever removes old files must see that. */
  async touch(): Promise<void> {
    const now = new Date();
    await this.#handle?.utimes(now, now).catch(() => {}); // a closed one is of no use any more
  }

  /** For good: what was not written stays unwritten, and everyone is told. */
  fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#queue = [];
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.#onFailure(error);
  }

  /** Write and sync what is left, then let go of the file. Never throws; `failure` says how it went. */
  async close(): Promise<void> {
    await this.settled().catch(() => {});
    while (this.#syncing) await this.#syncing;
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#time.stop();
    await this.#handle?.close().catch(() => {});
    this.#handle = undefined;
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
    if (this.#running) return;
    this.#running = true;
    try {
      do await this.#round();
      while (!this.#failure && this.#queue.length > 0 && this.#pressing);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#running = false;
    }
    this.#syncIfAwaited();
    // What came meanwhile, and nobody waits for, leaves together: a write for each line would cost more than the line.
    if (this.#queue.length > 0 && !this.#failure) this.#timer ??= setTimeout(() => void this.#run(), WRITE_WITHIN_MS);
  }

  /** Somebody waits, or so much lies here that it should not wait for more. */
  get #pressing(): boolean {
    return this.#waiters.length > 0 || this.#pushed - this.#written > MAX_GATHERED_BYTES;
  }

  async #round(): Promise<void> {
    const item = this.#queue.shift();
    if (!item) return;
    if ('path' in item) return this.#next(item.path);
    const since = this.#time.now();
    // All that lies here for this file: on a busy event loop the next write is a long turn away.
    const stretches = [item];
    let bytes = item.to - item.from;
    for (let next = this.#queue[0]; next && 'memory' in next && bytes < MOST_AT_ONCE_BYTES; next = this.#queue[0]) {
      this.#queue.shift();
      stretches.push(next);
      bytes += next.to - next.from;
    }
    await writeAll(this.#handle, stretches);
    this.#written += bytes;
    this.#oldestUnwritten = since;
    this.#syncIfAwaited();
  }

  /** One at a time, beside the writing: what nobody waits for must not queue behind a slow disk. */
  #syncIfAwaited(): void {
    if (this.#failure || this.#syncing || !this.#waiters.some(({ upTo }) => upTo <= this.#written)) return;
    this.#syncing = this.#sync()
      .catch((error) => this.#failed(error))
      .finally(() => {
        this.#syncing = undefined;
        this.#syncIfAwaited();
      });
  }

  async #sync(): Promise<void> {
    const upTo = this.#written;
    await this.#handle?.datasync();
    this.#synced = Math.max(this.#synced, upTo);
    const done = this.#waiters.filter((waiter) => waiter.upTo <= upTo);
    this.#waiters = this.#waiters.filter((waiter) => waiter.upTo > upTo);
    for (const waiter of done) waiter.resolve();
  }

  async #next(path: string): Promise<void> {
    while (this.#syncing) await this.#syncing;
    const full = this.#handle;
    if (full) {
      await this.#sync();
      this.#handle = undefined; // whoever looks after it meanwhile would find a file that is closed
      await full.close();
    }
    this.#handle = await this.#open(path);
    this.#path = path;
    const dir = await open(dirname(path), 'r');
    try {
      await dir.sync(); // the new name must survive a power cut too
    } finally {
      await dir.close();
    }
  }

  #failed(error: unknown): void {
    this.fail(error instanceof Error ? error : new Error(String(error)));
  }
}

async function writeAll(handle: FileHandle | undefined, stretches: readonly Stretch[]): Promise<void> {
  if (!handle) throw new Error('no file is open');
  const all = stretches.map(({ memory, from, to }) => Buffer.from(memory as ArrayBuffer, from, to - from));
  let done = all.length > 1 ? (await handle.writev(all)).bytesWritten : 0;
  for (const bytes of all) {
    let at = Math.min(done, bytes.length);
    done -= at;
    while (at < bytes.length) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
  }
}
