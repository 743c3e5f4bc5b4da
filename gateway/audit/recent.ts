/** The newest part of a directory's trail, for looking back over it: in order, bounded in bytes, easy on the process. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import type { Line } from './chain.ts';
import { listSegments, readSegment } from './files.ts';

const SLICE_MS = 4; // of work without a pause: who waits for a statement meanwhile hardly notices
const LOOK_EVERY = 16; // lines

export type RecentOptions = {
  /** Epoch ms: what was written before is left out. */
  readonly since: number;
  /** At most so much is read, the newest. */
  readonly mostBytes: number;
  /** Ends early; what was read until then counts. */
  readonly signal: AbortSignal;
};

export type Recent = {
  /** Every line since then, or as far as it goes. */
  readonly lines: AsyncGenerator<Line>;
  /** Bytes at the beginning that were too many. */
  readonly skipped: () => number;
  /** Lines that do not fit their hash. */
  readonly misfits: () => number;
  readonly ended: () => boolean;
};

export function recentLines(dir: string, { since, mostBytes, signal }: RecentOptions): Recent {
  let skipped = 0;
  let misfits = 0;
  let ended = false;
  async function* lines(): AsyncGenerator<Line> {
    const files = await newestFiles(dir, since);
    let left = mostBytes;
    const parts: { readonly path: string; readonly start: number }[] = [];
    for (const { path, bytes } of files.reverse()) {
      const take = Math.min(bytes, left);
      left -= take;
      skipped += bytes - take;
      if (take > 0) parts.unshift({ path, start: bytes - take });
    }
    let from = performance.now();
    let n = 0;
    for (const { path, start } of parts) {
      for await (const read of readSegment(path, start)) {
        if (++n % LOOK_EVERY === 0 && performance.now() - from > SLICE_MS) {
          await after(SLICE_MS);
          from = performance.now();
        }
        if (signal.aborted) return;
        // Begun in its midst, a file's first line is none.
        if (read.kind === 'misfit' && !(start > 0 && read.number === 1)) misfits += 1;
        if (read.kind === 'line' && Date.parse(read.line.at) >= since) yield read.line;
      }
    }
    ended = true;
  }
  return { lines: lines(), skipped: () => skipped, misfits: () => misfits, ended: () => ended };
}

/** Those written to since then, in the order they were begun. */
async function newestFiles(dir: string, since: number): Promise<{ path: string; bytes: number }[]> {
  const found: { path: string; bytes: number }[] = [];
  for (const { file } of await listSegments(dir)) {
    const path = join(dir, file);
    const about = await stat(path).catch(() => undefined); // retention may have taken it meanwhile
    if (about && about.mtimeMs >= since && about.size > 0) found.push({ path, bytes: about.size });
  }
  return found;
}
