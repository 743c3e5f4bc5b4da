/** The trail's files: their names, their order, and where the newest one ends. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Line, readLine } from './chain.ts';

/** `audit-<boot time>-<gateway id>-<segment>.jsonl`; sorting by name sorts by time. */
const NAME = /^audit-(\d{8}T\d{9}Z)-([A-Za-z0-9_-]{1,64})-(\d{6})\.jsonl$/;
/** Longer is no line of ours; keeps a hostile file from filling the memory. */
const MAX_LINE_BYTES = 16 << 20;

export type SegmentName = { readonly file: string; readonly chain: string; readonly segment: number };

/** Sorts behind every name in `existing`, whatever the clock says. */
export function chainName(nowMs: number, gateway: string, existing: readonly SegmentName[]): string {
  const newest = existing.reduce((max, { chain }) => Math.max(max, bootTime(chain)), 0);
  const stamp = new Date(Math.max(nowMs, newest + 1)).toISOString().replace(/[-:.]/g, '');
  return `${stamp}-${gateway.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64)}`;
}

function bootTime(chain: string): number {
  const [, y, mo, d, h, mi, s, ms] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z/.exec(chain)?.map(Number) ?? [];
  const at = Date.UTC(y ?? 0, (mo ?? 1) - 1, d, h, mi, s, ms);
  return Number.isFinite(at) ? at : 0;
}

export const segmentFile = (chain: string, segment: number): string =>
  `audit-${chain}-${String(segment).padStart(6, '0')}.jsonl`;

export async function listSegments(dir: string): Promise<SegmentName[]> {
  const names: SegmentName[] = [];
  for (const file of (await readdir(dir)).sort()) {
    const match = NAME.exec(file);
    if (match) names.push({ file, chain: `${match[1]}-${match[2]}`, segment: Number(match[3]) });
  }
  return names;
}

/**
 * A line that fits its own hash, or one that does not; or what is behind the last line feed. `number` counts from 1;
 * `text` is the line as it stands, absent where it is no text or too long for a line of ours.
 */
export type Read =
  | { readonly kind: 'line'; readonly number: number; readonly line: Line; readonly text: string }
  | { readonly kind: 'misfit'; readonly number: number; readonly text?: string }
  | { readonly kind: 'tail'; readonly number: number; readonly bytes: number; readonly sha256: string };

/** In order, in bounded memory. A line that is too long or no UTF-8 is a misfit. @throws on read errors. */
export async function* readSegment(path: string, start = 0): AsyncGenerator<Read> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let number = 1;
  const take = (last: Buffer): Read => {
    const bytes = Buffer.concat([...pending, last]);
    pending = [];
    pendingBytes = 0;
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch {
      return { kind: 'misfit', number: number++ };
    }
    const line = readLine(text);
    return line ? { kind: 'line', number: number++, line, text } : { kind: 'misfit', number: number++, text };
  };
  for await (const chunk of createReadStream(path, { start, highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      yield take(chunk.subarray(from, at));
      from = at + 1;
    }
    if (from < chunk.length) {
      pending.push(chunk.subarray(from));
      pendingBytes += chunk.length - from;
    }
    if (pendingBytes > MAX_LINE_BYTES) {
      yield { kind: 'misfit', number };
      return;
    }
  }
  if (pendingBytes === 0) return;
  const tail = Buffer.concat(pending);
  yield { kind: 'tail', number, bytes: tail.length, sha256: createHash('sha256').update(tail).digest('hex') };
}

/** What a new chain is tied to: the newest file's last good line, and what a crash left behind it. */
export type Predecessor = {
  readonly file: string;
  readonly seq: number;
  readonly hash: string;
  readonly torn: number;
  readonly sha256: string | null;
};

/** Undefined in an empty directory. A file without a single good line is passed over for the one before it. */
export async function predecessor(dir: string, segments: readonly SegmentName[]): Promise<Predecessor | undefined> {
  for (const { file } of [...segments].reverse()) {
    const end =
      (await lastLine(join(dir, file), END_BYTES)) ?? (await lastLine(join(dir, file), Number.MAX_SAFE_INTEGER));
    if (end) return { file, ...end };
  }
  return undefined;
}

const MOST_BESIDE = 32; // chains; those before have been named by later ones

/**
 * Where the other chains of the directory end, the newest first: those of processes that live beside this one, and of
 * those that ended. A chain is tied to one of them by its first line; the rest would have nothing behind it.
 */
export async function endsBeside(dir: string, gateway: string): Promise<Omit<Predecessor, 'torn' | 'sha256'>[]> {
  const newest = new Map<string, SegmentName>();
  for (const name of await listSegments(dir)) if (!name.chain.endsWith(gateway)) newest.set(name.chain, name);
  const ends: Omit<Predecessor, 'torn' | 'sha256'>[] = [];
  for (const name of [...newest.values()].reverse().slice(0, MOST_BESIDE)) {
    const end = await predecessor(dir, [name]);
    if (end) ends.push({ file: end.file, seq: end.seq, hash: end.hash });
  }
  return ends;
}

const END_BYTES = 1 << 20; // holds thousands of ordinary lines; reading a whole segment would delay the start

/** The last good line within the last `within` bytes; what is behind a misfit is not to be built upon. */
async function lastLine(path: string, within: number): Promise<Omit<Predecessor, 'file'> | undefined> {
  const start = Math.max(0, (await stat(path)).size - within);
  let last: Line | undefined;
  let torn = 0;
  let sha256: string | null = null;
  for await (const read of readSegment(path, start)) {
    if (read.kind === 'line') last = read.line;
    else if (read.kind === 'tail') ({ bytes: torn, sha256 } = read);
    else if (last) break;
  }
  return last && { seq: last.link.seq, hash: last.link.hash, torn, sha256 };
}
