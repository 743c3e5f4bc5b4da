/** A directory's chains as one stream in time order, each line checked again as it is read. Bounded memory. */
import { join } from 'node:path';
import type { VerifyingKey } from '../../../queue/sign.ts';
import { type Line, type Link, verifyLink } from '../chain.ts';
import { listSegments, readSegment, type SegmentName } from '../files.ts';

/** One line of the trail. `line` is absent where it does not fit its own hash; `text` where it is no text at all. */
export type Found = {
  readonly chain: string;
  readonly file: string;
  readonly number: number;
  readonly text: string | undefined;
  readonly line: Line | undefined;
};

/** What `verifyDir` found: the file, and the line in it, 0 where the file as a whole is meant. */
export type Broken = { readonly file: string; readonly line: number };

export type Ordered = {
  readonly lines: AsyncGenerator<Found>;
  /** Why it ended before the end, where it did. */
  readonly stopped: () => string | undefined;
};

/**
 * Oldest first; of one moment, by chain. With keys it ends before the first line that nobody can vouch for: where `broken`
 * is known, behind the last line of that file that a signature covers, since whoever changed one line may have rewritten
 * those before it as well. Without keys nothing is checked and everything comes.
 */
export function inOrder(
  dir: string,
  { keys, broken, since }: { keys?: readonly VerifyingKey[]; broken?: Broken | undefined; since?: number | undefined },
): Ordered {
  let stopped: string | undefined;
  const stop = (why: string) => {
    stopped ??= why;
  };
  async function* lines(): AsyncGenerator<Found> {
    const names = await listSegments(dir);
    const chains = new Map<string, SegmentName[]>();
    for (const name of names) chains.set(name.chain, [...(chains.get(name.chain) ?? []), name]);
    const waiting: { readonly at: number; readonly chain: string; readonly files: readonly SegmentName[] }[] = [];
    for (const [chain, files] of chains) waiting.push({ at: await beginning(dir, files), chain, files });
    waiting.sort((a, b) => b.at - a.at || (a.chain < b.chain ? 1 : -1)); // the next to begin is the last
    const open: Reading[] = [];
    try {
      for (;;) {
        const earliest = open.reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY);
        const next = waiting.at(-1);
        if (next && next.at <= earliest) {
          waiting.pop();
          const reading = new Reading(chainLines(dir, next.files, { keys, broken, stop }));
          open.push(reading);
          await reading.next();
        } else {
          const [first] = open;
          if (!first) return;
          const reading = open.reduce((least, one) => (before(one, least) ? one : least), first);
          if (reading.found) {
            if (since === undefined || reading.at >= since) yield reading.found;
            await reading.next();
          }
          if (!reading.found) open.splice(open.indexOf(reading), 1);
        }
        if (stopped !== undefined) return;
      }
    } finally {
      for (const reading of open) await reading.end();
    }
  }
  return { lines: lines(), stopped: () => stopped };
}

/** One chain and where it stands. */
class Reading {
  readonly #lines: AsyncGenerator<Found>;
  found: Found | undefined;
  /** Of what was found; a line without a time of its own has that of the one before. */
  at = Number.NEGATIVE_INFINITY;

  constructor(lines: AsyncGenerator<Found>) {
    this.#lines = lines;
  }

  async next(): Promise<void> {
    const { value, done } = await this.#lines.next();
    this.found = done ? undefined : value;
    if (!done && value.line) this.at = Date.parse(value.line.at);
  }

  async end(): Promise<void> {
    await this.#lines.return(undefined);
  }
}

const before = (one: Reading, other: Reading): boolean =>
  one.at < other.at || (one.at === other.at && (one.found?.chain ?? '') < (other.found?.chain ?? ''));

/** When the chain's first line was written, by its own word. */
async function beginning(dir: string, files: readonly SegmentName[]): Promise<number> {
  for (const { file } of files) {
    for await (const read of readSegment(join(dir, file))) if (read.kind === 'line') return Date.parse(read.line.at);
  }
  return Number.NEGATIVE_INFINITY;
}

type Check = {
  readonly keys: readonly VerifyingKey[] | undefined;
  readonly broken: Broken | undefined;
  readonly stop: (why: string) => void;
};

async function* chainLines(
  dir: string,
  files: readonly SegmentName[],
  { keys, broken, stop }: Check,
): AsyncGenerator<Found> {
  for (const name of files) {
    const { file, chain } = name;
    if (keys && broken && file > broken.file && !(await exists(dir, broken.file))) {
      return stop(`${file} was begun after ${broken.file}, which is gone`);
    }
    const covered = keys && broken ? await vouchedFor(dir, name, keys, broken) : Number.POSITIVE_INFINITY;
    const checker = keys && new Checker(name, keys);
    for await (const read of readSegment(join(dir, file))) {
      if (read.kind === 'tail') break; // half a line: a crash, or it is being written now
      const line = read.kind === 'line' ? read.line : undefined;
      if (read.number > covered) return stop(`what follows line ${covered} of ${file} is covered by no signature`);
      const wrong = checker?.wrong(line);
      if (wrong !== undefined) return stop(`${file}:${read.number}: ${wrong}`);
      yield { chain, file, number: read.number, text: read.text, line };
    }
    if (keys && broken?.file === file) return stop(`${file} is not what it was`);
  }
}

async function exists(dir: string, file: string): Promise<boolean> {
  return (await listSegments(dir)).some((name) => name.file === file);
}

/** How many lines of the file a signature covers; all of them where it fits to its end and is not the broken one. */
async function vouchedFor(
  dir: string,
  name: SegmentName,
  keys: readonly VerifyingKey[],
  broken: Broken,
): Promise<number> {
  const checker = new Checker(name, keys);
  let signed = 0;
  for await (const read of readSegment(join(dir, name.file))) {
    if (read.kind === 'tail') break;
    if (name.file === broken.file && broken.line > 0 && read.number >= broken.line) return signed;
    const line = read.kind === 'line' ? read.line : undefined;
    if (checker.wrong(line) !== undefined) return signed;
    if (isSignature(line)) signed = read.number;
  }
  return name.file === broken.file ? signed : Number.POSITIVE_INFINITY;
}

const isSignature = (line: Line | undefined): boolean =>
  line?.entry.kind === 'audit.checkpoint' || line?.entry.kind === 'audit.sealed';

/** Follows one file: each line behind the one before, each signature the audit key's. */
class Checker {
  readonly #name: SegmentName;
  readonly #keys: readonly VerifyingKey[];
  #last: Link | undefined;
  #number = 0;

  constructor(name: SegmentName, keys: readonly VerifyingKey[]) {
    this.#name = name;
    this.#keys = keys;
  }

  /** What is wrong with the next line, if anything. */
  wrong(line: Line | undefined): string | undefined {
    const last = this.#last;
    this.#number += 1;
    if (!line) return 'the line is not what its hash says';
    this.#last = line.link;
    const { kind, chain, segment } = line.entry;
    if (!last) {
      const { chain: mine, segment: number } = this.#name;
      return kind === 'audit.segment' && chain === mine && segment === number
        ? undefined
        : 'the file does not begin as its name says';
    }
    if (line.link.seq !== last.seq + 1 || line.prev !== last.hash) return 'it does not follow the line before';
    if (this.#number === 2 && kind !== 'audit.checkpoint') return 'the file’s beginning is not signed';
    if (!isSignature(line)) return undefined;
    const { signature } = line.entry;
    const genuine = this.#keys.some((key) => verifyLink(this.#name.chain, last, signature, key));
    return genuine && chain === this.#name.chain ? undefined : 'the signature is not of the audit key';
  }
}
