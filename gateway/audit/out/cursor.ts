/** How far a sink has come in each chain, on disk: what it says was confirmed; what it does not say is sent again. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Link } from '../chain.ts';
import type { SegmentName } from '../files.ts';

/** The last entry that was confirmed, and where its line lies in its file: bytes from `from` to `to`, the line feed included. */
const position = z.strictObject({
  file: z.string(),
  seq: z.number().int(),
  hash: z.string(),
  from: z.number().int(),
  to: z.number().int(),
});
export type Position = z.output<typeof position>;

const cursorFile = z.strictObject({ v: z.literal(1), chains: z.record(z.string(), position) });
const doneFile = z.strictObject({ v: z.literal(1), chains: z.array(z.string()) });

export type Progress = {
  /** Chains that go on, or whose process died. */
  readonly chains: Map<string, Position>;
  /** Chains that ended in order and are sent to their end. */
  readonly done: Set<string>;
};

/** Beside the trail, and no part of it. */
export const sinksDir = (dir: string): string => join(dir, 'sinks');
const paths = (dir: string, sink: string) => ({
  cursor: join(sinksDir(dir), `${sink}.cursor`),
  done: join(sinksDir(dir), `${sink}.done`),
});
export const leasePath = (dir: string, sink: string): string => join(sinksDir(dir), `${sink}.lease`);

/** `lost`: why nothing is known of where it had come to; then everything that is kept is sent. */
export async function loadProgress(dir: string, sink: string): Promise<Progress & { readonly lost?: string }> {
  const { cursor, done } = paths(dir, sink);
  const ended = await read(done, doneFile);
  const open = await read(cursor, cursorFile);
  if (typeof open === 'string') return { chains: new Map(), done: new Set(), lost: open };
  // Without this list, chains that are through are sent a second time: none is left out.
  return {
    chains: new Map(Object.entries(open.chains)),
    done: new Set(typeof ended === 'string' ? [] : ended.chains),
  };
}

export class Cursor {
  readonly #dir: string;
  readonly #sink: string;
  readonly progress: Progress;

  constructor(dir: string, sink: string, progress: Progress) {
    this.#dir = dir;
    this.#sink = sink;
    this.progress = progress;
  }

  /** @throws Error when the disk does not take it; what is there stays as it was */
  async advance(chain: string, to: Position): Promise<void> {
    this.progress.chains.set(chain, to);
    await this.save();
  }

  /** Sent to its end. First on the one list, then off the other: a crash between sends nothing anew that has a position. */
  async finish(chain: string): Promise<void> {
    this.progress.done.add(chain);
    await write(paths(this.#dir, this.#sink).done, { v: 1, chains: [...this.progress.done] });
    this.progress.chains.delete(chain);
    await this.save();
  }

  /** Chains whose files are gone need no remembering. */
  async keepOnly(chains: ReadonlySet<string>): Promise<void> {
    const { done, chains: going } = this.progress;
    const gone = [...done, ...going.keys()].filter((chain) => !chains.has(chain));
    if (gone.length === 0) return;
    for (const chain of gone) {
      done.delete(chain);
      going.delete(chain);
    }
    await write(paths(this.#dir, this.#sink).done, { v: 1, chains: [...done] });
    await this.save();
  }

  async save(): Promise<void> {
    const chains = Object.fromEntries(this.progress.chains);
    await write(paths(this.#dir, this.#sink).cursor, { v: 1, chains });
  }
}

/** Has it all of this file, whose last entry is `end`? */
export function has({ chains, done }: Progress, { chain, file }: SegmentName, end: Link | undefined): boolean {
  const at = chains.get(chain);
  if (done.has(chain) || end === undefined) return true;
  return at !== undefined && (at.file > file || (at.file === file && at.seq >= end.seq));
}

async function read<T>(path: string, schema: z.ZodType<T>): Promise<T | string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'there is no cursor' : `the cursor cannot be read (${code})`;
  }
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : 'the cursor is damaged';
  } catch {
    return 'the cursor is damaged';
  }
}

/** Whole or not at all, after a power cut too. */
async function write(path: string, value: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(JSON.stringify(value));
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}
