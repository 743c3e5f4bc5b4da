/** The trail checked offline: every line against its hash, every file against its neighbours, every seal against the key. */
import { join } from 'node:path';
import type { VerifyingKey } from '../../queue/sign.ts';
import { GENESIS, type Line, type Link, verifyLink } from './chain.ts';
import { listSegments, type Read, readSegment, type SegmentName } from './files.ts';

type Misfit = {
  readonly file: string;
  /** Counted from 1; 0 where the whole file is meant. */
  readonly line: number;
  readonly seq: number | undefined;
  readonly what: 'altered' | 'missing' | 'reordered' | 'swapped' | 'truncated tail' | 'seal wrong';
  readonly detail: string;
};

export type Report = {
  readonly ok: boolean;
  readonly entries: number;
  readonly segments: number;
  readonly sealed: number;
  /** Entries behind the last signature of a file that was never sealed: a crash or a running gateway leaves such. */
  readonly unsigned: number;
  /** Half a line at the end of an unsealed file: what a crash leaves, not tampering. */
  readonly torn: readonly { readonly file: string; readonly line: number; readonly bytes: number }[];
  /** The first entry that does not fit. */
  readonly misfit: Misfit | undefined;
};

/** What a card or Redis says the trail contained: the entry's number and the first 8 or more digits of its hash. */
export type KnownHead = { readonly seq: number; readonly hash: string };

export type VerifyOptions = { readonly keys: readonly VerifyingKey[]; readonly heads?: readonly KnownHead[] };

/** What is known of a file once it has been read. */
type Segment = SegmentName & { header: Header; last: Link; sealed: boolean; closed: boolean; tail: Read | undefined };
type Header = { readonly after: After | null };
type After = Link & { readonly file: string; readonly torn: number; readonly sha256: string | null };

/** @throws on read errors; what the files contain never throws. */
export async function verifyDir(dir: string, { keys, heads = [] }: VerifyOptions): Promise<Report> {
  const names = await listSegments(dir);
  const segments = new Map<string, Segment>();
  const removed = new Map<string, string>();
  const named: { readonly file: string; readonly seq: number; readonly hash: string; readonly by: string }[] = [];
  const hashes = new Map<string, string>(); // what later files and heads ask for, by `file seq`, and by `seq` alone
  const wanted = await wantedSeqs(dir, names, heads);
  const report = { entries: 0, sealed: 0, unsigned: 0, torn: [] as { file: string; line: number; bytes: number }[] };
  const finish = (misfit?: Misfit): Report => ({ ok: !misfit, segments: names.length, ...report, misfit });

  for (const name of names) {
    const { file, chain } = name;
    const misfit = (line: number, seq: number | undefined, what: Misfit['what'], detail: string) =>
      finish({ file, line, seq, what, detail });
    let header: Header | undefined;
    let last: Link | undefined;
    let sealed = false;
    let closed = false;
    let unsigned = 0;
    let tail: Read | undefined;
    for await (const read of readSegment(join(dir, file))) {
      if (sealed) return misfit(read.number, last?.seq, 'altered', 'something follows the seal');
      if (read.kind === 'tail') {
        tail = read;
        break;
      }
      const expected = (last?.seq ?? 0) + 1;
      if (read.kind === 'misfit') {
        return misfit(read.number, last && expected, 'altered', 'the line is not what its hash says');
      }
      const { line } = read;
      if (!last) {
        header = headerOf(line, name);
        if (!header) return misfit(read.number, line.link.seq, 'swapped', 'the file does not begin as its name says');
        const from = header.after ?? GENESIS;
        if (line.link.seq !== from.seq + 1 || line.prev !== from.hash) {
          return misfit(read.number, line.link.seq, 'altered', 'the first line contradicts itself');
        }
      } else if (line.link.seq !== expected) {
        const what = line.link.seq < expected || (await contains(join(dir, file), expected)) ? 'reordered' : 'missing';
        return misfit(read.number, expected, what, `expected entry ${expected}, found ${line.link.seq}`);
      } else if (line.prev !== last.hash) {
        return misfit(
          read.number,
          expected,
          'altered',
          `entry ${last.seq} is not the one that entry ${expected} follows`,
        );
      }
      const { kind } = line.entry;
      if (last && read.number === 2 && kind !== 'audit.checkpoint') {
        return misfit(read.number, line.link.seq, 'seal wrong', 'the file’s beginning is not signed');
      }
      report.entries++;
      unsigned++;
      if (kind === 'audit.checkpoint' || kind === 'audit.sealed') {
        const covered = { seq: line.link.seq - 1, hash: line.prev };
        if (line.entry.chain !== chain || !keys.some((key) => verifyLink(chain, covered, line.entry.signature, key))) {
          return misfit(read.number, line.link.seq, 'seal wrong', 'the signature is not of the audit key');
        }
        unsigned = 0;
        sealed = kind === 'audit.sealed';
      }
      if (kind !== 'audit.sealed') closed = kind === 'audit.closed';
      if (kind === 'audit.retention') for (const [gone, hash] of removals(line)) removed.set(gone, hash);
      if (kind === 'audit.beside') named.push(...endsNamed(line, file));
      if (wanted.has(line.link.seq)) {
        hashes.set(`${file} ${line.link.seq}`, line.link.hash);
        hashes.set(`${line.link.seq} ${line.link.hash}`, file);
      }
      last = line.link;
    }
    if (!last || !header) {
      // A crash between creating a file and its first line leaves this; so does emptying it, which its successor shows.
      // Of several processes that start at once, any may be the one that crashed.
      if (tail || !(await isNamed(dir, names, file)))
        report.torn.push({ file, line: 1, bytes: tail?.kind === 'tail' ? tail.bytes : 0 });
      else return misfit(0, undefined, 'truncated tail', 'the file is empty');
      continue;
    }
    if (sealed) report.sealed++;
    report.unsigned += unsigned;
    segments.set(file, { ...name, header, last, sealed, closed, tail });
  }

  const between = [...segments.values()]
    .map((segment) => checkOrigin(segment, segments, removed, hashes))
    .find(Boolean);
  if (between) return finish(between);
  for (const { file, seq, hash, by } of named) {
    const segment = segments.get(file);
    if (!segment && removed.has(file)) continue;
    const short = segment && segment.last.seq < seq;
    if (segment && !short && (segment.last.seq > seq || segment.last.hash === hash)) continue;
    const what = !segment ? 'missing' : short ? 'truncated tail' : 'altered';
    return finish({ file, line: 0, seq, what, detail: `it had come to entry ${seq} when ${by} named it` });
  }
  for (const segment of segments.values()) {
    const next = segments.get(nameOfNext(segment));
    if (!segment.sealed && next) {
      const detail = 'another segment follows, but this one has no seal';
      return finish({ file: segment.file, line: 0, seq: segment.last.seq, what: 'truncated tail', detail });
    }
    if (segment.sealed && !segment.closed && !next && ![...segments.values()].some(follows(segment))) {
      const file = nameOfNext(segment);
      return finish({ file, line: 0, seq: segment.last.seq + 1, what: 'missing', detail: NEWEST_GONE });
    }
    if (segment.tail?.kind === 'tail') {
      report.torn.push({ file: segment.file, line: segment.tail.number, bytes: segment.tail.bytes });
    }
  }
  for (const head of heads) {
    const found = [...hashes.keys()].some((key) => key.startsWith(`${head.seq} ${head.hash}`));
    if (found) continue;
    const end = [...segments.values()].at(-1);
    const detail = `entry ${head.seq} with hash ${head.hash}… was written and is not there`;
    return finish({ file: end?.file ?? dir, line: 0, seq: head.seq, what: 'truncated tail', detail });
  }
  return finish();
}

/** Does the file before this one end as this one says it did when it was begun? */
function checkOrigin(
  segment: Segment,
  segments: ReadonlyMap<string, Segment>,
  removed: ReadonlyMap<string, string>,
  hashes: ReadonlyMap<string, string>,
): Misfit | undefined {
  const { after } = segment.header;
  if (!after) return undefined;
  const at = (file: string, what: Misfit['what'], detail: string): Misfit => ({
    file,
    line: 0,
    seq: after.seq,
    what,
    detail,
  });
  const before = segments.get(after.file);
  if (!before) {
    if (removed.get(after.file) === after.hash) return undefined;
    return at(after.file, 'missing', `the file is gone, and no retention entry says so; ${segment.file} follows it`);
  }
  if (before.last.seq < after.seq) {
    return at(after.file, 'truncated tail', `it ended with entry ${after.seq} when ${segment.file} was begun`);
  }
  if (hashes.get(`${after.file} ${after.seq}`) !== after.hash) {
    return at(after.file, 'altered', `entry ${after.seq} is not the one that ${segment.file} follows`);
  }
  if (before.last.seq > after.seq || before.sealed) return undefined; // that gateway went on beside this one
  const tail = before.tail?.kind === 'tail' ? before.tail : undefined;
  if ((tail?.bytes ?? 0) === after.torn && (tail?.sha256 ?? null) === after.sha256) return undefined;
  return at(
    after.file,
    'altered',
    `behind entry ${after.seq} a crash had left ${after.torn} bytes, now ${tail?.bytes ?? 0}`,
  );
}

/** Was some file begun when this one was the newest, with nothing behind it? */
const follows =
  ({ file, last }: Segment) =>
  ({ header }: Segment) =>
    header.after?.file === file && header.after.seq === last.seq;

const NEWEST_GONE =
  'the file before was sealed to go on in this one, which is gone (a crash in that very moment leaves the same)';

const nameOfNext = ({ file, segment }: SegmentName): string =>
  file.replace(/\d{6}\.jsonl$/, `${String(segment + 1).padStart(6, '0')}.jsonl`);

function headerOf(line: Line, name: SegmentName): Header | undefined {
  const { kind, chain, segment, after } = line.entry;
  if (kind !== 'audit.segment' || chain !== name.chain || segment !== name.segment) return undefined;
  if (after === null) return { after };
  if (typeof after !== 'object') return undefined;
  const { file, seq, hash, torn, sha256 } = after as Record<string, unknown>;
  if (typeof file !== 'string' || typeof seq !== 'number' || typeof hash !== 'string' || typeof torn !== 'number') {
    return undefined;
  }
  return { after: { file, seq, hash, torn, sha256: typeof sha256 === 'string' ? sha256 : null } };
}

function removals(line: Line): [file: string, lastHash: string][] {
  if (!Array.isArray(line.entry.removed)) return [];
  return line.entry.removed.flatMap((item: unknown) => {
    const { file, lastHash } = (item ?? {}) as Record<string, unknown>;
    return typeof file === 'string' && typeof lastHash === 'string' ? [[file, lastHash]] : [];
  });
}

function endsNamed(line: Line, by: string): { file: string; seq: number; hash: string; by: string }[] {
  if (!Array.isArray(line.entry.ends)) return [];
  return line.entry.ends.flatMap((item: unknown) => {
    const { file, seq, hash } = (item ?? {}) as Record<string, unknown>;
    return typeof file === 'string' && typeof seq === 'number' && typeof hash === 'string'
      ? [{ file, seq, hash, by }]
      : [];
  });
}

/** Does any other file say that there was something in this one? */
async function isNamed(dir: string, names: readonly SegmentName[], file: string): Promise<boolean> {
  for (const name of names) {
    if (name.file === file) continue;
    for await (const read of readSegment(join(dir, name.file))) {
      if (read.kind !== 'line') continue;
      if (headerOf(read.line, name)?.after?.file === file) return true;
      if (endsNamed(read.line, file).some((end) => end.file === file)) return true;
    }
  }
  return false;
}

/** The numbers that some file's first line, or a head, refers to: only those need remembering. */
async function wantedSeqs(
  dir: string,
  names: readonly SegmentName[],
  heads: readonly KnownHead[],
): Promise<Set<number>> {
  const wanted = new Set(heads.map(({ seq }) => seq));
  for (const name of names) {
    for await (const read of readSegment(join(dir, name.file))) {
      const seq = read.kind === 'line' ? headerOf(read.line, name)?.after?.seq : undefined;
      if (seq !== undefined) wanted.add(seq);
      break;
    }
  }
  return wanted;
}

async function contains(path: string, seq: number): Promise<boolean> {
  for await (const read of readSegment(path)) if (read.kind === 'line' && read.line.link.seq === seq) return true;
  return false;
}
