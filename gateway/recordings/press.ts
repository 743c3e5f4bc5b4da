/**
 * Where recordings are written: a thread of its own, so that no disk, hash or cipher stands between a client and its
 * target. It is handed lines and answers with what became of them.
 */
import type * as nodeCrypto from 'node:crypto';
import type * as nodeFs from 'node:fs';
import type * as nodePath from 'node:path';
import { type MessagePort, Worker } from 'node:worker_threads';

export type Order =
  /**
   * `slot`: what it is called from now on. `first`: the line at the top of the file, never encrypted. `key`: 32 bytes,
   * for what follows it, which is `text`.
   */
  | {
      readonly do: 'begin';
      readonly slot: number;
      readonly id: string;
      readonly path: string;
      readonly first: string;
      readonly key?: Uint8Array;
      readonly text?: string;
    }
  /** Of many, as they came; whose is in `index`: slot, bytes, slot, bytes. */
  | {
      readonly do: 'lines';
      readonly bytes: Uint8Array;
      readonly index: Uint32Array;
      readonly weight: number;
    }
  | { readonly do: 'end'; readonly slot: number }
  /** Answered once all that was ordered before is with the kernel; `seal`: and on disk, and said how far. */
  | { readonly do: 'sync'; readonly token: number; readonly seal: boolean }
  | { readonly do: 'close' };

/** How far a file had come: its first `bytes` bytes have this SHA-256 (hex). `end`: nothing will follow. */
export type Sealed = { readonly id: string; readonly bytes: number; readonly sha256: string; readonly end: boolean };

export type Report =
  | { readonly say: 'written'; readonly weight: number }
  | { readonly say: 'failed'; readonly id: string; readonly reason: string }
  | { readonly say: 'sealed'; readonly seals: readonly Sealed[] }
  | { readonly say: 'synced'; readonly token: number };

/**
 * The thread's whole code: it is sent as text, and so uses nothing of this module but its parameters.
 * Encrypted, a file goes on behind its first line with segments: AES-256-GCM under the file's own key, the segment's
 * number (from 0) as nonce and, with the session, as associated data. A segment is pieces as they were written (length,
 * 4 bytes, big endian; ciphertext), then a length of 0 and the tag (16 bytes). Seals are made between segments.
 */
export function press(
  port: Pick<MessagePort, 'on' | 'postMessage' | 'close'>,
  fs: typeof nodeFs,
  crypto: typeof nodeCrypto,
  path: typeof nodePath,
  { sealMs, openFiles }: { sealMs: number; openFiles: number },
): void {
  const SEGMENT_BYTES = 1 << 20;
  const SEALS_A_SECOND = 100; // each waits for the disk
  const BEATS = 20; // in the time between two seals of a file: never all files at once
  type File = {
    readonly slot: number;
    readonly id: string;
    readonly path: string;
    readonly hash: nodeCrypto.Hash;
    readonly key: Uint8Array | undefined;
    fd: number | undefined;
    bytes: number;
    /** The segment that is under way, how many came before, and how long it is. */
    cipher: nodeCrypto.CipherGCM | undefined;
    segments: number;
    segmentBytes: number;
  };
  /** Least recently written first. */
  const files = new Map<number, File>();
  /** Those that go on behind their last seal, since when (ms of the monotonic clock): oldest first. */
  const unsealed = new Map<File, number>();
  let open = 0;
  const say = (report: Report) => port.postMessage(report);

  const letGo = (file: File): void => {
    if (file.fd === undefined) return;
    fs.closeSync(file.fd);
    file.fd = undefined;
    open--;
  };
  const failed = (file: File, error: unknown): void => {
    files.delete(file.slot);
    unsealed.delete(file);
    try {
      letGo(file);
    } catch {
      // it has failed already
    }
    say({ say: 'failed', id: file.id, reason: error instanceof Error ? error.message : String(error) });
  };
  const makeRoom = (most: number): void => {
    for (const file of files.values()) {
      if (open < most) return;
      letGo(file);
    }
  };
  /** Where the process may open no more, half of them are let go. */
  const opened = (at: string, flags: number): number => {
    makeRoom(openFiles);
    try {
      return fs.openSync(at, flags, 0o600);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== 'EMFILE' && code !== 'ENFILE') || open === 0) throw error;
      makeRoom(Math.ceil(open / 2));
      return fs.openSync(at, flags, 0o600);
    }
  };
  const descriptor = (file: File): number => {
    if (file.fd !== undefined) return file.fd;
    const { O_WRONLY, O_APPEND, O_NOFOLLOW } = fs.constants;
    file.fd = opened(file.path, O_WRONLY | O_APPEND | O_NOFOLLOW);
    open++;
    const { size } = fs.fstatSync(file.fd, { bigint: true });
    if (Number(size) !== file.bytes) throw new Error(`${file.path} was changed from outside`);
    return file.fd;
  };
  const write = (file: File, bytes: Uint8Array): void => {
    const fd = descriptor(file);
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at);
    file.hash.update(bytes);
    file.bytes += bytes.length;
    if (!unsealed.has(file)) unsealed.set(file, performance.now());
  };
  const encrypted = (file: File, key: Uint8Array, text: Uint8Array): Uint8Array => {
    if (!file.cipher) {
      const nonce = Buffer.alloc(12);
      nonce.writeBigUInt64BE(BigInt(file.segments), 4);
      file.cipher = crypto.createCipheriv('aes-256-gcm', key, nonce);
      file.cipher.setAAD(Buffer.from(`${file.id}:${file.segments}`, 'utf8'));
      file.segments++;
      file.segmentBytes = 0;
    }
    const body = file.cipher.update(text);
    const piece = Buffer.allocUnsafe(4 + body.length);
    piece.writeUInt32BE(body.length);
    body.copy(piece, 4);
    file.segmentBytes += body.length;
    return piece;
  };
  const endSegment = (file: File): void => {
    const { cipher } = file;
    if (!cipher) return;
    file.cipher = undefined;
    cipher.final();
    write(file, Buffer.concat([Buffer.alloc(4), cipher.getAuthTag()]));
  };
  const guarded = (file: File, work: () => void): void => {
    try {
      work();
    } catch (error) {
      failed(file, error);
    }
  };
  const begin = ({ slot, id, path: at, first, key, text }: Extract<Order, { do: 'begin' }>): void => {
    const hash = crypto.createHash('sha256');
    const segment = { cipher: undefined, segments: 0, segmentBytes: 0 };
    const file: File = { slot, id, path: at, hash, key, fd: undefined, bytes: 0, ...segment };
    guarded(file, () => {
      const { O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
      fs.mkdirSync(path.dirname(at), { recursive: true, mode: 0o700 });
      file.fd = opened(at, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW);
      open++;
      files.set(slot, file);
      write(file, Buffer.from(first, 'utf8'));
      if (key && text) write(file, encrypted(file, key, Buffer.from(text, 'utf8')));
    });
  };
  const lines = (bytes: Uint8Array, index: Uint32Array): void => {
    const of = new Map<number, Uint8Array[]>();
    for (let at = 0, n = 0; n < index.length; n += 2) {
      const [slot, length] = [index[n]!, index[n + 1]!];
      const piece = bytes.subarray(at, at + length);
      const before = of.get(slot);
      if (before) before.push(piece);
      else of.set(slot, [piece]);
      at += length;
    }
    for (const [slot, pieces] of of) {
      const file = files.get(slot);
      if (!file) continue;
      guarded(file, () => {
        const text = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
        write(file, file.key ? encrypted(file, file.key, text) : text);
        if (file.segmentBytes > SEGMENT_BYTES) endSegment(file);
      });
      if (!files.delete(slot)) continue; // it failed
      files.set(slot, file);
    }
  };
  const sealOf = (file: File, end: boolean): Sealed => {
    endSegment(file);
    const fd = descriptor(file);
    fs.fdatasyncSync(fd); // a seal says what is there, and that must survive a power cut
    if (fs.fstatSync(fd, { bigint: true }).nlink === 0n)
      throw new Error(`${file.path} was removed while it was written`);
    unsealed.delete(file);
    return { id: file.id, bytes: file.bytes, sha256: file.hash.copy().digest('hex'), end };
  };
  const seal = (those: Iterable<File>): void => {
    const seals: Sealed[] = [];
    for (const file of [...those]) guarded(file, () => void seals.push(sealOf(file, false)));
    if (seals.length > 0) say({ say: 'sealed', seals });
  };
  const beatMs = sealMs / BEATS;
  const sealDue = (): void => {
    const due: File[] = [];
    const until = performance.now() - sealMs;
    for (const [file, since] of unsealed) {
      if (since > until || due.length >= (SEALS_A_SECOND * beatMs) / 1_000) break;
      due.push(file);
    }
    seal(due);
  };
  const end = (slot: number): void => {
    const file = files.get(slot);
    if (!file) return;
    guarded(file, () => {
      const last = sealOf(file, true);
      letGo(file);
      files.delete(slot);
      say({ say: 'sealed', seals: [last] });
    });
  };
  const timer = setInterval(sealDue, beatMs);
  port.on('message', (order: Order) => {
    switch (order.do) {
      case 'begin':
        begin(order);
        return;
      case 'lines':
        lines(order.bytes, order.index);
        say({ say: 'written', weight: order.weight });
        return;
      case 'end':
        end(order.slot);
        return;
      case 'sync':
        if (order.seal) seal(unsealed.keys());
        else for (const file of [...files.values()]) guarded(file, () => endSegment(file));
        say({ say: 'synced', token: order.token });
        return;
      case 'close':
        clearInterval(timer);
        seal(unsealed.keys());
        for (const file of [...files.values()]) guarded(file, () => letGo(file));
        port.close();
    }
  });
}

/** Tools that keep the names of functions wrap them in a helper of this name. */
const SOURCE = `const __name = (named) => named;
const { parentPort, workerData } = require('node:worker_threads');
(${press.toString()})(parentPort, require('node:fs'), require('node:crypto'), require('node:path'), workerData);`;

export type PressTimes = {
  /** How long what was written waits for its seal, ms; longer where that would be too many seals. */
  readonly sealMs: number;
  /** Files it keeps open at once. */
  readonly openFiles: number;
};

export const startPress = (times: PressTimes): Worker =>
  new Worker(SOURCE, { eval: true, workerData: times, execArgv: [], stdout: false, stderr: false });
