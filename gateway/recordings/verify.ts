/** Recordings checked offline against what the audit trail sealed of them: each file to its last byte, and that none is missing. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { listSegments, readSegment } from '../audit/files.ts';

const NAME = /^\d{1,16}-([0-9a-f-]{36})\.jsonl(\.enc)?$/;
const MAX_FIRST_LINE = 64 << 10;

/** How far the trail says a file had come. `seq`: of the entry that says so. */
type Seal = {
  readonly session: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly end: boolean;
  readonly seq: number;
};

type RecordingMisfit = {
  readonly file: string;
  readonly session: string | undefined;
  readonly what: 'altered' | 'truncated' | 'missing' | 'swapped';
  readonly detail: string;
};

type RecordingsReport = {
  readonly ok: boolean;
  readonly recordings: number;
  /** Complete, and sealed to the last byte. */
  readonly whole: number;
  /** Bytes behind the last seal: of a session that goes on, or whose gateway died. Nobody vouches for them. */
  readonly unsealed: readonly { readonly file: string; readonly bytes: number }[];
  /** Removed by retention, as the trail says. */
  readonly removed: number;
  readonly misfits: readonly RecordingMisfit[];
};

/**
 * `trails`: directories of all gateways that record into this one. They must have been verified before.
 * @throws on read errors; what the files contain never throws
 */
export async function verifyRecordings(trails: readonly string[], dir: string): Promise<RecordingsReport> {
  const { seals, removed } = await sealsIn(trails);
  const files = await recordingsIn(dir);
  const misfits: RecordingMisfit[] = [];
  const unsealed: { file: string; bytes: number }[] = [];
  let whole = 0;
  for (const [file, of] of seals) {
    if (files.has(file) || removed.has(file)) continue;
    const detail = `entry ${of.at(-1)?.seq} of the trail sealed it, and no entry says that it was removed`;
    misfits.push({ file, session: of[0]?.session, what: 'missing', detail });
  }
  for (const file of [...files].sort()) {
    const checked = await check(join(dir, file), file, seals.get(file) ?? []);
    if ('what' in checked) misfits.push(checked);
    else if (checked.unsealed > 0) unsealed.push({ file, bytes: checked.unsealed });
    else whole++;
  }
  return { ok: misfits.length === 0, recordings: files.size, whole, unsealed, removed: removed.size, misfits };
}

async function sealsIn(trails: readonly string[]): Promise<{ seals: Map<string, Seal[]>; removed: Set<string> }> {
  const seals = new Map<string, Seal[]>();
  const removed = new Set<string>();
  const segments = await Promise.all(
    trails.map(async (trail) => (await listSegments(trail)).map(({ file }) => join(trail, file))),
  );
  for (const segment of segments.flat()) {
    for await (const read of readSegment(segment)) {
      if (read.kind !== 'line') continue;
      const { entry, link } = read.line;
      if (entry.kind === 'recording.removed' && typeof entry.file === 'string') removed.add(entry.file);
      if (entry.kind !== 'recording.sealed' || !Array.isArray(entry.recordings)) continue;
      for (const { session, file: of, bytes, sha256, end } of entry.recordings) {
        const known = seals.get(of) ?? [];
        known.push({ session, bytes, sha256, end: end === true, seq: link.seq });
        seals.set(of, known);
      }
    }
  }
  return { seals, removed };
}

async function recordingsIn(dir: string): Promise<Set<string>> {
  const all = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = all.filter((entry) => NAME.test(entry.name));
  return new Set(files.map(({ parentPath, name }) => relative(dir, join(parentPath, name))));
}

type Place = { readonly bytes: number; readonly lines: number };

async function check(path: string, file: string, of: readonly Seal[]): Promise<RecordingMisfit | { unsealed: number }> {
  const session = NAME.exec(file.slice(file.lastIndexOf('/') + 1))?.[1];
  const misfit = (what: RecordingMisfit['what'], detail: string): RecordingMisfit => ({ file, session, what, detail });
  const seals = [...of].sort((a, b) => a.bytes - b.bytes);
  if (!(await lstat(path)).isFile()) return misfit('altered', 'it is no plain file');
  const hash = createHash('sha256');
  let at: Place = { bytes: 0, lines: 0 };
  let good = at;
  let first = Buffer.alloc(0);
  let next = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    if (first.length < MAX_FIRST_LINE) first = Buffer.concat([first, chunk.subarray(0, MAX_FIRST_LINE - first.length)]);
    for (let from = 0; from < chunk.length; ) {
      const seal = seals[next];
      const to = seal ? Math.min(chunk.length, from + seal.bytes - at.bytes) : chunk.length;
      const piece = chunk.subarray(from, to);
      hash.update(piece);
      at = { bytes: at.bytes + piece.length, lines: at.lines + lineFeeds(piece) };
      from = to;
      for (; seals[next]?.bytes === at.bytes; next++) {
        if (hash.copy().digest('hex') !== seals[next]?.sha256) {
          return (
            swapped(first, session) ??
            misfit('altered', `${between(file, good, at)} not as entry ${seals[next]?.seq} of the trail says`)
          );
        }
        good = at;
      }
      if (to === chunk.length) break;
    }
  }
  const wrong = swapped(first, session);
  if (wrong) return wrong;
  const missing = seals[next];
  if (missing) {
    return misfit(
      'truncated',
      `it ends after ${at.bytes} bytes; entry ${missing.seq} of the trail sealed ${missing.bytes}`,
    );
  }
  const end = seals.find((seal) => seal.end);
  if (end && at.bytes > end.bytes) return misfit('altered', `${at.bytes - end.bytes} bytes follow its end`);
  return { unsealed: at.bytes - good.bytes };

  function swapped(text: Buffer, wanted: string | undefined): RecordingMisfit | undefined {
    const found = /"session":"([0-9a-f-]{36})"/.exec(text.toString('latin1', 0, 2_000))?.[1];
    const sealed = seals.find((seal) => seal.session !== wanted);
    if (sealed) return misfit('swapped', `entry ${sealed.seq} of the trail sealed it as session ${sealed.session}`);
    if (found === wanted) return undefined;
    return misfit('swapped', `it is the recording of ${found === undefined ? 'no session' : `session ${found}`}`);
  }
}

function lineFeeds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) count++;
  return count;
}

const between = (file: string, from: Place, to: Place): string =>
  file.endsWith('.enc')
    ? `bytes ${from.bytes + 1} to ${to.bytes} are`
    : `lines ${from.lines + 1} to ${to.lines} (bytes ${from.bytes + 1} to ${to.bytes}) are`;

/** The report in lines for people. */
export function describeRecordings({ recordings, whole, unsealed, removed, misfits }: RecordingsReport): string[] {
  return [
    `${recordings} recordings, ${whole} of them sealed to the last byte${removed > 0 ? `, ${removed} removed by retention` : ''}`,
    ...unsealed.map(
      ({ file, bytes }) => `${file}: nobody vouches for its last ${bytes} bytes (it goes on, or its gateway died)`,
    ),
    ...misfits.map(({ file, what, detail }) => `DOES NOT FIT: ${file}: ${what}: ${detail}`),
    misfits.length === 0 ? 'every recording fits' : `${misfits.length} recordings do not fit`,
  ];
}
