/** The trail's writer: entries into one chain, the chain into sealed segments, and a clear no when that cannot go on. */
import { mkdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { SigningKey } from '../../queue/sign.ts';
import { GatewayError } from '../errors.ts';
import { Chain, GENESIS, type Link, signLink } from './chain.ts';
import { Disk, type OpenFile } from './disk.ts';
import type { Audit, AuditEntry, AuditKind } from './entry.ts';
import { chainName, listSegments, type Predecessor, predecessor, type SegmentName, segmentFile } from './files.ts';
import { renderMembers } from './render.ts';

type PublishedHead = {
  readonly chain: string;
  readonly seq: number;
  readonly hash: string;
  readonly at: string;
};

export type AuditOptions = {
  readonly dir: string;
  readonly key: SigningKey;
  /** Strict is the only mode so far: nothing passes unrecorded. */
  readonly mode?: 'strict';
  /** Gateway id of this boot; part of every file's name. */
  readonly gateway: string;
  /** Below this much free space on the disk nothing new is let through; ends are still recorded. */
  readonly minFreeBytes?: number;
  /** Sealed segments older than this are removed, and that is recorded. Absent: never. */
  readonly retentionMs?: number;
  /** Asked of a file that is old enough: who still needs it and keeps it, and who has not had it and is not waited for. */
  readonly waitingFor?: (
    name: SegmentName,
    end: Link | undefined,
    ageMs: number,
  ) => Promise<{ readonly keep: readonly string[]; readonly missed: readonly string[] }>;
  readonly segmentBytes?: number;
  readonly segmentMs?: number;
  /** More than this waiting for the kernel, or for longer: refused until it has caught up. */
  readonly maxLagBytes?: number;
  readonly maxLagMs?: number;
  /** A commit that is not on disk by then is refused; its entry may still arrive. */
  readonly commitMs?: number;
  /** How often a changed head is signed into the chain and published. */
  readonly headEveryMs?: number;
  readonly publishHead?: (head: PublishedHead) => void | Promise<void>;
  /** An entry was written; `members` as it stands in the file, in memory that never changes. Must not throw. */
  readonly onEntry?: (entry: AuditEntry, members: Buffer) => void;
  readonly onSeal?: (sealed: { readonly file: string; readonly seq: number; readonly hash: string }) => void;
  readonly now?: () => number;
  readonly log?: { error(details: object, message: string): void; warn(details: object, message: string): void };
  readonly open?: OpenFile;
  readonly freeBytes?: (dir: string) => Promise<number>;
};

export type AuditTrail = Audit & {
  /** Seal, sync and let go. Later entries are refused. */
  close(): Promise<void>;
  /** For metrics: what waits for the disk. */
  lag(): { readonly bytes: number; readonly ms: number };
  /** Remove what retention allows now. It is also done at start and once an hour. */
  expire(): Promise<readonly string[]>;
};

/** What lets something through, and so must leave room on the disk for how it ends. */
const BEGINNINGS: ReadonlySet<AuditKind> = new Set([
  'session.start',
  'operation',
  'hold.open',
  'hold.released',
  'token.issued',
  'web.signed-in',
  'rules.changed',
]);
const DISK_CHECK_MS = 1_000;
const RETENTION_CHECK_MS = 3_600_000;
const PUBLISH_MS = 2_000; // an end of the process does not wait for Redis to come back

/**
 * Starts a new chain, tied to the newest line in `dir`; no existing file is ever written to.
 * @throws GatewayError AUDIT when the directory cannot be read or written.
 */
export async function openAudit(options: AuditOptions): Promise<AuditTrail> {
  try {
    // Not its parents: evidence belongs on the disk that was meant, not where a mount is missing.
    await mkdir(options.dir, { mode: 0o700 }).catch((error) => {
      if (error.code !== 'EEXIST') throw error;
    });
    const segments = await listSegments(options.dir);
    const trail = new Trail(options, {
      chain: chainName((options.now ?? Date.now)(), options.gateway, segments),
      after: await predecessor(options.dir, segments),
    });
    await trail.start();
    return trail;
  } catch (cause) {
    throw new GatewayError('AUDIT', `the audit trail in ${options.dir} cannot be opened: ${messageOf(cause)}`, {
      cause,
    });
  }
}

class Trail implements AuditTrail {
  readonly #options: AuditOptions;
  readonly #now: () => number;
  readonly #disk: Disk;
  readonly #chain: string;
  #after: Predecessor | undefined;
  readonly #lines: Chain;
  #segment = 0;
  #segmentBytes = 0;
  #segmentOpenedAt = 0;
  #checkpointed = 0;
  #closed = false;
  #full = false;
  #timeOf = Number.NaN;
  #timeText = '';
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(options: AuditOptions, origin: { chain: string; after: Predecessor | undefined }) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#chain = origin.chain;
    this.#after = origin.after;
    this.#lines = new Chain(origin.after ?? GENESIS);
    this.#disk = new Disk({
      ...(options.open ? { open: options.open } : {}),
      onFailure: (error) =>
        options.log?.error(
          { reason: error.message },
          'the audit trail cannot be written: nothing passes until a restart',
        ),
    });
  }

  async start(): Promise<void> {
    await this.#checkSpace();
    this.#openSegment();
    await this.#disk.settled();
    await this.expire();
    const every = (ms: number, work: () => unknown) => this.#timers.push(setInterval(work, ms).unref());
    every(DISK_CHECK_MS, () => void this.#checkDisk());
    every(this.#options.headEveryMs ?? 3_000, () => void this.#checkpoint());
    every(RETENTION_CHECK_MS, () => void this.expire().catch((error) => this.#warn('retention failed', error)));
  }

  append(entry: AuditEntry): void {
    const trouble = this.#refusal(entry.kind);
    if (trouble) throw new GatewayError('AUDIT', trouble, { hint: 'the operator finds the cause in the gateway log' });
    this.#write(renderMembers(entry));
    this.#options.onEntry?.(entry, this.#lines.members);
  }

  async commit(entry: AuditEntry): Promise<void> {
    this.append(entry);
    await this.flush();
  }

  async flush(): Promise<void> {
    const limit = this.#options.commitMs ?? 10_000;
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the disk did not answer within ${limit} ms`)), limit);
    });
    try {
      await Promise.race([this.#disk.settled(), tooLate]);
    } catch (cause) {
      throw new GatewayError('AUDIT', `the audit trail cannot be written: ${messageOf(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  head(): Link {
    return this.#lines.link;
  }

  trouble(): string | undefined {
    return this.#refusal('operation');
  }

  lag() {
    return this.#disk.lag();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    if (!this.#disk.failure) {
      this.#line({ kind: 'audit.closed', chain: this.#chain });
      this.#seal();
    }
    await this.#disk.close();
    await this.#publish();
  }

  async expire(): Promise<readonly string[]> {
    const { retentionMs, dir, waitingFor } = this.#options;
    await this.#disk.touch(); // another process of this directory may be the one that removes
    if (retentionMs === undefined) return [];
    const segments = await listSegments(dir);
    const old: { file: string; lastSeq: number; lastHash: string; missed?: readonly string[] }[] = [];
    for (const name of segments) {
      const { file } = name;
      if (name.chain === this.#chain && name.segment === this.#segment) break;
      const age = this.#now() - (await stat(join(dir, file))).mtimeMs;
      if (age < retentionMs) break;
      const end = await predecessor(dir, [name]);
      const { keep = [], missed = [] } = (await waitingFor?.(name, end, age)) ?? {};
      if (keep.length > 0) {
        this.#warn('old audit files are kept: a sink has not had them yet', { file, sinks: keep });
        break;
      }
      const gone = { file, lastSeq: end?.seq ?? 0, lastHash: end?.hash ?? GENESIS.hash };
      old.push(missed.length === 0 ? gone : { ...gone, missed });
    }
    if (old.length === 0) return [];
    await this.commit({ kind: 'audit.retention', removed: old, olderThanMs: retentionMs }); // recorded first
    for (const { file } of old) await rm(join(dir, file));
    return old.map(({ file }) => file);
  }

  /** Why an entry of this kind is refused now, if it is. */
  #refusal(kind: AuditKind): string | undefined {
    if (this.#closed) return 'the audit trail is closed';
    if (this.#disk.failure) return `the audit trail cannot be written: ${this.#disk.failure.message}`;
    const { maxLagBytes = 8 << 20, maxLagMs = 1_000 } = this.#options;
    const lag = this.#disk.lag();
    if (BEGINNINGS.has(kind)) {
      if (this.#full) return 'the disk of the audit trail is almost full';
      if (lag.bytes > maxLagBytes || lag.ms > maxLagMs) return 'the audit trail lags behind';
    }
    // Ends have twice the room, so that what was let through can still be closed.
    return lag.bytes > 2 * maxLagBytes ? 'the audit trail lags behind' : undefined;
  }

  #write(members: string): void {
    const { segmentBytes = 64 << 20, segmentMs = 86_400_000 } = this.#options;
    if (this.#segmentBytes >= segmentBytes || performance.now() - this.#segmentOpenedAt >= segmentMs) {
      const file = segmentFile(this.#chain, this.#segment);
      this.#seal();
      this.#after = { file, ...this.#lines.link, torn: 0, sha256: null };
      this.#openSegment();
    }
    this.#add(members);
  }

  /** An entry of the trail's own. */
  #line(entry: AuditEntry): void {
    this.#add(renderMembers(entry));
  }

  #add(members: string): void {
    const line = this.#lines.add(this.#time(), members);
    this.#segmentBytes += line.length;
    this.#disk.push(line);
  }

  /** ISO 8601; made once a millisecond. */
  #time(): string {
    const now = this.#now();
    if (now !== this.#timeOf) {
      this.#timeOf = now;
      this.#timeText = new Date(now).toISOString();
    }
    return this.#timeText;
  }

  #openSegment(): void {
    this.#segment++;
    this.#segmentBytes = 0;
    this.#segmentOpenedAt = performance.now();
    this.#disk.file(join(this.#options.dir, segmentFile(this.#chain, this.#segment)));
    this.#line({
      kind: 'audit.segment',
      chain: this.#chain,
      segment: this.#segment,
      gateway: this.#options.gateway,
      key: this.#options.key.public,
      after: this.#after ?? null,
    });
    this.#sign('audit.checkpoint'); // nobody without the key can begin a file
  }

  #seal(): void {
    this.#sign('audit.sealed');
    this.#options.onSeal?.({ file: segmentFile(this.#chain, this.#segment), ...this.#lines.link });
  }

  #sign(kind: AuditKind): void {
    this.#line({ kind, chain: this.#chain, signature: signLink(this.#chain, this.#lines.link, this.#options.key) });
  }

  async #checkpoint(): Promise<void> {
    if (this.#closed || this.#disk.failure || this.#lines.link.seq === this.#checkpointed) return;
    this.#sign('audit.checkpoint');
    this.#checkpointed = this.#lines.link.seq;
    await this.#disk.settled().catch(() => {});
    await this.#publish();
  }

  async #publish(): Promise<void> {
    if (this.#disk.failure) return;
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('nobody took it in time')), PUBLISH_MS);
    });
    const head = { chain: this.#chain, ...this.#lines.link, at: new Date(this.#now()).toISOString() };
    try {
      await Promise.race([this.#options.publishHead?.(head), tooLate]);
    } catch (error) {
      this.#warn('the head of the audit chain could not be published', error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #checkDisk(): Promise<void> {
    await this.#checkSpace();
    await this.#disk.checkPlace();
    if (this.#disk.dirty) await this.#disk.settled().catch(() => {}); // what nobody waits for is synced too
  }

  async #checkSpace(): Promise<void> {
    const { minFreeBytes = 128 << 20, dir, freeBytes = freeBytesOf } = this.#options;
    const free = await freeBytes(dir).catch(() => 0); // a disk that cannot be asked counts as full
    const full = free < minFreeBytes;
    if (full !== this.#full) {
      this.#warn(full ? 'the disk of the audit trail is almost full' : 'the audit trail has room again', { free });
    }
    this.#full = full;
  }

  #warn(message: string, cause: unknown): void {
    const details = cause instanceof Error ? { reason: cause.message } : { cause };
    this.#options.log?.warn(details, message);
  }
}

async function freeBytesOf(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
