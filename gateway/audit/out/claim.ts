/**
 * Which of the processes that share a directory sends: the one whose name stands in a lease file, and who writes there
 * every two seconds. A claim can be wrong for a moment (a process that stood still and goes on); then an entry is sent
 * twice, which receivers expect, and none is left out, since each process only ever records what it has had confirmed.
 */
import { randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';

export type ClaimTiming = {
  /** How often the holder writes. */
  readonly beatMs: number;
  /** Unchanged for so long, a lease is nobody's. */
  readonly staleMs: number;
};

const TIMING: ClaimTiming = { beatMs: 2_000, staleMs: 15_000 };

/** Of this process: a lease with its number and another name was left by one before it, in a container that was restarted. */
const living = new Set<string>();

type Lease = { readonly owner: string; readonly host: string; readonly pid: number; readonly beat: number };

export class Claim {
  readonly #path: string;
  readonly #owner = randomUUID();
  readonly #timing: ClaimTiming;
  readonly #host: string;
  #beat = 0;
  /** When this process last saw its own name there; undefined: it does not send. */
  #renewedAt: number | undefined;
  #trouble: string | undefined;
  #seen: { readonly text: string; readonly at: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;

  constructor(path: string, { timing = TIMING, host = here() }: { timing?: ClaimTiming; host?: string } = {}) {
    living.add(this.#owner);
    this.#path = path;
    this.#timing = timing;
    this.#host = host;
  }

  /** True while this process is the one. */
  get held(): boolean {
    return this.#renewedAt !== undefined && performance.now() - this.#renewedAt < this.#timing.staleMs / 2;
  }

  /** Why the lease can be neither had nor read, if so. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** The directory has to be there. */
  async prepare(): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 }).catch(() => {}); // then no lease can be had
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), this.#timing.beatMs);
    this.#timer.unref();
  }

  /** Renew it, or take it where it is nobody's. Never throws: where the file cannot be read or written, it is not held. */
  async tick(): Promise<void> {
    this.#ticking ??= this.#tick()
      .then(
        () => undefined,
        (error: Error) => error.message,
      )
      .then((trouble) => {
        this.#trouble = trouble;
      })
      .finally(() => {
        this.#ticking = undefined;
      });
    await this.#ticking;
  }

  /** Let another one have it. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ticking;
    living.delete(this.#owner);
    if (this.#renewedAt === undefined) return;
    this.#renewedAt = undefined;
    const text = await this.#read();
    if (text !== undefined && leaseOf(text)?.owner === this.#owner) await rm(this.#path, { force: true });
  }

  async #tick(): Promise<void> {
    const text = await this.#read();
    const lease = text === undefined ? undefined : leaseOf(text);
    if (text === undefined) return this.#took(await this.#put());
    if (lease?.owner === this.#owner) {
      // On a full disk its name still stands there, and nobody else can write another one.
      await this.#written().then(
        (mine) => rename(mine, this.#path),
        () => {},
      );
      return this.#took(true);
    }
    this.#renewedAt = undefined;
    const now = performance.now();
    if (this.#seen?.text !== text) this.#seen = { text, at: now };
    if (now - this.#seen.at < this.#timing.staleMs && !(lease && this.#isDead(lease))) return;
    this.#took(await this.#takeOver(text));
  }

  #took(taken: boolean): void {
    this.#renewedAt = taken ? performance.now() : undefined;
    if (taken) this.#seen = undefined;
  }

  /** Of several that judge the same lease, one moves it away; whoever moved a fresh one puts it back. */
  async #takeOver(judged: string): Promise<boolean> {
    const aside = `${this.#path}.${this.#owner}.old`;
    await rename(this.#path, aside);
    const moved = await readFile(aside, 'utf8');
    if (moved !== judged) {
      await link(aside, this.#path).catch(() => {});
      await rm(aside, { force: true });
      return false;
    }
    await rm(aside, { force: true });
    return this.#put();
  }

  /** Only where there is none. */
  async #put(): Promise<boolean> {
    const mine = await this.#written();
    try {
      await link(mine, this.#path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    } finally {
      await rm(mine, { force: true });
    }
  }

  async #written(): Promise<string> {
    const lease: Lease = { owner: this.#owner, host: this.#host, pid: process.pid, beat: ++this.#beat };
    const path = `${this.#path}.${this.#owner}.new`;
    await writeFile(path, JSON.stringify(lease), { mode: 0o600 });
    return path;
  }

  async #read(): Promise<string | undefined> {
    try {
      return await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** A process of this machine that is gone needs no waiting for. One with this process' own number was before it. */
  #isDead({ host, pid, owner }: Lease): boolean {
    if (host !== this.#host) return false;
    if (pid === process.pid) return !living.has(owner);
    try {
      process.kill(pid, 0);
      return false;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH';
    }
  }
}

/** Where process numbers mean the same: this machine, and in it this container. */
function here(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname(); // not Linux
  }
}

function leaseOf(text: string): Lease | undefined {
  try {
    const { owner, host, pid, beat } = JSON.parse(text) as Partial<Lease>;
    if (typeof owner !== 'string' || typeof host !== 'string' || !Number.isInteger(pid)) return undefined;
    return { owner, host, pid: pid ?? 0, beat: beat ?? 0 };
  } catch {
    return undefined;
  }
}
