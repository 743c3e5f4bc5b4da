/** One chain read from where a sink has come to, as far as it is safe on disk. Bounded memory, in small steps. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Line, readLine } from '../chain.ts';
import type { SegmentName } from '../files.ts';
import type { Position } from './cursor.ts';

const CHUNK_BYTES = 64 * 1024; // a millisecond or two of hashing: who waits for a statement hardly notices
const MAX_LINE_BYTES = 16 << 20; // as long as the trail's own reader allows

export type Stretch = {
  readonly lines: readonly { readonly line: Line; readonly text: string; readonly end: Position }[];
  /** Entries that should lie between those before and these, and do not: after `seq` came `next`. */
  readonly gaps: readonly { readonly seq: number; readonly next: number }[];
  /** The last of them ended the chain in order. */
  readonly ended: boolean;
};

const NOTHING: Stretch = { lines: [], gaps: [], ended: false };

/** Where to read on: `seq` of the last entry before, where it is known. */
type Place = { file: string; offset: number; seq: number | undefined };

export class Tail {
  readonly #dir: string;
  #at: Place | undefined;
  #closing = false;

  /** `from`: the last entry that was confirmed; left out, the chain is read from its oldest file on. */
  constructor(dir: string, from: Position | undefined) {
    this.#dir = dir;
    this.#at = from && { file: from.file, offset: from.to, seq: from.seq };
  }

  /**
   * The next lines, at most a chunk of them; none where there is nothing new. `files`: of this chain, in order, as they
   * were listed before.
   * @throws Error where they cannot be read, or not be made safe
   */
  async next(files: readonly SegmentName[]): Promise<Stretch> {
    for (;;) {
      const [file, following] = this.#current(files);
      if (file === undefined) return NOTHING;
      if (this.#at?.file !== file) this.#at = { file, offset: 0, seq: this.#at?.seq };
      const stretch = await this.#read(this.#at, following === undefined);
      if (stretch.lines.length > 0 || following === undefined) return stretch;
      this.#at = { file: following, offset: 0, seq: this.#at.seq };
    }
  }

  /** The file it is in, or the first that is still there behind it; and the one that follows. */
  #current(files: readonly SegmentName[]): [file: string | undefined, following: string | undefined] {
    const at = this.#at;
    const index = at === undefined ? 0 : files.findIndex(({ file }) => file >= at.file);
    return index === -1 ? [undefined, undefined] : [files[index]?.file, files[index + 1]?.file];
  }

  async #read(at: Place, newest: boolean): Promise<Stretch> {
    const handle = await open(join(this.#dir, at.file), 'r');
    try {
      const { size } = await handle.stat();
      if (size <= at.offset) return NOTHING;
      if (newest) await handle.datasync(); // only what a power cut leaves there is sent
      return this.#lines(at, await wholeLines(handle, at.offset, size));
    } finally {
      await handle.close();
    }
  }

  #lines(at: Place, bytes: Buffer): Stretch {
    const lines: { line: Line; text: string; end: Position }[] = [];
    const gaps: { seq: number; next: number }[] = [];
    let from = at.offset;
    for (let start = 0, end = bytes.indexOf(10); end !== -1; start = end + 1, end = bytes.indexOf(10, start)) {
      const text = bytes.toString('utf8', start, end);
      const to = from + (end + 1 - start);
      const line = readLine(text);
      if (line) {
        const { seq, hash } = line.link;
        if (at.seq !== undefined && seq !== at.seq + 1) gaps.push({ seq: at.seq, next: seq });
        at.seq = seq;
        this.#closing = line.entry.kind === 'audit.closed' || (this.#closing && line.entry.kind === 'audit.sealed');
        lines.push({ line, text, end: { file: at.file, seq, hash, from, to } });
      }
      from = to;
    }
    at.offset = from;
    const ended = this.#closing && lines.at(-1)?.line.entry.kind === 'audit.sealed';
    return { lines, gaps, ended };
  }
}

/** A chunk, cut behind its last line feed; more than a chunk where one line is longer. Empty where none ends there. */
async function wholeLines(handle: FileHandle, from: number, size: number): Promise<Buffer> {
  for (let most = CHUNK_BYTES; ; most *= 4) {
    const bytes = await readAll(handle, from, Math.min(size - from, most));
    const end = bytes.lastIndexOf(10);
    if (end !== -1 || from + bytes.length >= size || most > MAX_LINE_BYTES) return bytes.subarray(0, end + 1);
  }
}

async function readAll(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await handle.read(bytes, read, length - read, from + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return bytes.subarray(0, read);
}

/** Is the entry that was confirmed last still where it was? */
export async function fits(dir: string, { file, seq, hash, from, to }: Position): Promise<boolean> {
  if (to - from < 2 || to - from > MAX_LINE_BYTES) return false;
  let handle: FileHandle | undefined;
  try {
    handle = await open(join(dir, file), 'r');
    const bytes = await readAll(handle, from, to - from);
    const link = readLine(bytes.toString('utf8', 0, bytes.length - 1))?.link;
    return bytes.at(-1) === 10 && link?.seq === seq && link.hash === hash;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'; // retention took it: the next file goes on
  } finally {
    await handle?.close();
  }
}

const END_BYTES = 64 * 1024;
const SEQ = /^\{"seq":(\d{1,16}),/;

/** The number of a file's last whole line, without reading all of it; of its first where `first`. Undefined where there is none. */
export async function seqIn(path: string, first = false): Promise<number | undefined> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    for (let most = first ? 64 : END_BYTES; ; most *= 4) {
      const length = Math.min(size, most);
      const text = (await readAll(handle, first ? 0 : size - length, length)).toString('latin1');
      const end = text.lastIndexOf('\n');
      const start = first ? 0 : text.lastIndexOf('\n', end - 1) + 1;
      const [, seq] = SEQ.exec(text.slice(start)) ?? [];
      if (seq !== undefined && (first || end > 0)) return Number(seq);
      if (length === size || most > MAX_LINE_BYTES) return undefined;
    }
  } finally {
    await handle.close();
  }
}
