/** `audit export`: the trail in time order as JSON lines, CSV or OCSF; never more of it than somebody can vouch for. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import type { VerifyingKey } from '../../../queue/sign.ts';
import type { Line } from '../chain.ts';
import { type Report, verifyDir } from '../verify.ts';
import { csvHeader, csvRow, csvUnreadable } from './csv.ts';
import { OcsfWriter } from './ocsf.ts';
import { type Found, inOrder } from './ordered.ts';
import { type Selection, selects } from './select.ts';

export const FORMATS = ['jsonl', 'csv', 'ocsf'] as const;
export type Format = (typeof FORMATS)[number];

export type ExportOptions = {
  readonly dir: string;
  readonly format: Format;
  readonly selection: Selection;
  /** Absent: nothing is checked, and every line says so. */
  readonly keys: readonly VerifyingKey[] | undefined;
  /** Where it goes; left out: to `out`. */
  readonly file: string | undefined;
  readonly version: string;
  /** A text of whole lines, without the last line feed. */
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** In words, as `audit verify` says it. */
  readonly describe: (report: Report) => string[];
};

const GATHERED = 64 * 1024; // characters written at once

/** Answers the exit status: 1 where the trail does not fit, or there is none. */
export async function exportTrail(options: ExportOptions): Promise<0 | 1> {
  const { dir, selection, keys, err } = options;
  const report = keys && (await verifyDir(dir, { keys }));
  const target = await openTarget(options);
  let exported = 0;
  let last: string | undefined;
  let stopped: string | undefined;
  try {
    const format = formatter(options);
    await target.write(format.head);
    const ordered = inOrder(dir, {
      ...(keys ? { keys, broken: report?.misfit } : {}),
      since: selection.since,
    });
    for await (const found of ordered.lines) {
      const { line } = found;
      if (line ? !selects(selection, line) : keys !== undefined) continue;
      await target.write(line ? format.entry(found, line) : format.unreadable(found));
      exported += 1;
      last = line?.at ?? last;
    }
    stopped = ordered.stopped();
  } catch (error) {
    await target.discard();
    throw error;
  }
  const whole = report === undefined || (report.ok && report.segments > 0 && stopped === undefined);
  const at = await target.close(whole);
  for (const text of report ? options.describe(report) : ['nothing was verified: every entry is marked']) err(text);
  if (report?.ok && stopped !== undefined) err(`DOES NOT FIT any more: ${stopped}`);
  const upTo = last === undefined ? '' : `, the last of ${last}`;
  err(`exported: ${exported} entries${upTo}${at === undefined ? '' : `, to ${at}`}`);
  if (!whole && report && report.segments > 0) {
    err(`NOT WHOLE: it ends before the first entry that nobody can vouch for (${stopped ?? 'see above'})`);
  }
  return whole ? 0 : 1;
}

type Formatter = {
  readonly head: string;
  entry(found: Found, line: Line): string;
  unreadable(found: Found): string;
};

function formatter({ format, keys, version }: ExportOptions): Formatter {
  const verified = keys !== undefined;
  const unreadableText = ({ text }: Found) => text?.slice(0, 1 << 20);
  if (format === 'csv') {
    return {
      head: csvHeader(),
      entry: ({ chain }, line) => csvRow(chain, line, verified),
      unreadable: (found) => csvUnreadable(found.chain, unreadableText(found)),
    };
  }
  if (format === 'ocsf') {
    const writer = new OcsfWriter(version);
    return {
      head: '',
      entry: ({ chain }, line) => writer.write(chain, line, verified),
      unreadable: (found) => writer.unreadable(found.chain, unreadableText(found)),
    };
  }
  return {
    head: '',
    entry: ({ chain, text = '' }) =>
      `${text.slice(0, -1)},"_chain":${JSON.stringify(chain)}${verified ? '' : ',"_verified":false'}}\n`,
    unreadable: (found) => {
      const { chain: _chain, file: _file, number: _line } = found;
      return `${JSON.stringify({ _chain, _file, _line, _verified: false, _text: unreadableText(found) ?? null })}\n`;
    },
  };
}

type Target = {
  write(text: string): Promise<void>;
  /** Answers the name of the file, where there is one. */
  close(whole: boolean): Promise<string | undefined>;
  discard(): Promise<void>;
};

/** A file gets its name when it is whole; one that is not keeps `.part`, so that nobody takes it for the whole. */
async function openTarget({ file, out }: ExportOptions): Promise<Target> {
  let gathered = '';
  if (file === undefined) {
    const flush = () => {
      if (gathered !== '') out(gathered.replace(/\n$/, ''));
      gathered = '';
    };
    return {
      write: async (text) => {
        gathered += text;
        if (gathered.length >= GATHERED) flush();
      },
      close: async () => {
        flush();
        return undefined;
      },
      discard: async () => flush(),
    };
  }
  const temporary = `${file}.${randomUUID().slice(0, 8)}.tmp`;
  const handle: FileHandle = await open(temporary, 'wx', 0o600);
  const flush = async () => {
    await handle.appendFile(gathered);
    gathered = '';
  };
  return {
    write: async (text) => {
      gathered += text;
      if (gathered.length >= GATHERED) await flush();
    },
    close: async (whole) => {
      await flush();
      await handle.sync();
      await handle.close();
      const name = whole ? file : `${file}.part`;
      await rename(temporary, name);
      return name;
    },
    discard: async () => {
      await handle.close().catch(() => {});
      await rm(temporary, { force: true });
    },
  };
}
