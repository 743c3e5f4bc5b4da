/** `countersign audit`: verify a directory of evidence, read it, or take it elsewhere. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { verifyingKey } from '../../queue/sign.ts';
import { describeRecordings, verifyRecordings } from '../recordings/verify.ts';
import { version } from '../version.ts';
import type { Line } from './chain.ts';
import { listSegments, readSegment } from './files.ts';
import { exportTrail, FORMATS } from './out/export.ts';
import { kindsOf, timeOf } from './out/select.ts';
import { type KnownHead, type Report, verifyDir } from './verify.ts';

/** All of `countersign audit`, with what `commands` does of it beside this file. */
export const AUDIT_HELP = `Usage: countersign audit verify DIR [DIR …] --key PUB [--key PUB …] [--head SEQ:HASH …] [--recordings DIR] [--json]
       countersign audit show DIR [--session ID] [--json]
       countersign audit export DIR --key PUB [--key PUB …] [--since WHEN] [--until WHEN] [--format jsonl|csv|ocsf]
                                [--connection C] [--principal P] [--kind K …] [--out FILE]
       countersign audit export DIR --unverified …
       countersign audit hold SESSION WHY [--config FILE]
       countersign audit unhold SESSION WHY [--config FILE]

verify  checks every entry, file and seal in each DIR against the audit key's public half and names the first entry
        that does not fit.
          --key PUB         ed25519:…, or a file with it; again for a key used before a rotation
          --head SEQ:HASH   as printed on a card: fails when that entry is not there (a cut tail); with one DIR
          --recordings DIR  also every recording in that DIR against what these trails sealed of it; name the trails of
                            all gateways that record there
          --json            the reports as JSON, one a line
show    prints the entries, one a line, oldest first.
          --session ID      only those of one session
          --json            the entries as they are stored
export  writes the entries of all chains in time order. What nobody can vouch for is not exported: a trail that does not
        fit is written up to there, and exit is 1.
          --key PUB         as for verify
          --since, --until  a date or time (2026-11-23, 2026-11-23T14:00Z), or how long ago: 24h, 7d
          --format          jsonl (as stored, with _chain; the default), csv, or ocsf (OCSF 1.6.0)
          --connection C    only entries of that connection
          --principal P     only of issuer#subject, or of a subject
          --kind K          only of that kind, or of kinds like hold.*; again for more
          --out FILE        FILE is there once it is whole; what is not whole is FILE.part
          --unverified      without a key: everything as it stands, and every entry says that nobody checked it
hold    legal hold: no retention removes that session's recording until unhold. Run it where a gateway runs, while
        Redis and the store are there; it is put on record.
          --config FILE     default: COUNTERSIGN_CONFIG, else countersign.yaml

Exit: 0 fine, 1 does not fit or cannot be read, 2 misused.`;

/** `err` takes what `export` says about what it wrote; left out, it goes to `out`. */
export async function runAuditCommand(
  args: readonly string[],
  out: (line: string) => void,
  err: (line: string) => void = out,
): Promise<0 | 1 | 2> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        key: { type: 'string', multiple: true },
        head: { type: 'string', multiple: true },
        recordings: { type: 'string' },
        session: { type: 'string' },
        json: { type: 'boolean', default: false },
        ...EXPORT_OPTIONS,
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return say(out, AUDIT_HELP, 0);
    const [command, dir, ...rest] = positionals;
    if (!dir || (rest.length > 0 && command !== 'verify')) return say(out, AUDIT_HELP, 2);
    const foreign = Object.keys(EXPORT_OPTIONS).find((name) => name in values);
    if (foreign !== undefined && command !== 'export') throw new Misuse(`--${foreign}: only export knows it`);
    if (command === 'verify') return await verify([dir, ...rest], values, out);
    if (command === 'show') return await show(dir, values, out);
    if (command === 'export') return await exported(dir, values, out, err);
    return say(out, AUDIT_HELP, 2);
  } catch (error) {
    const misused = (error as { code?: unknown }).code?.toString().startsWith('ERR_PARSE_ARGS') ?? false;
    const reason = error instanceof Error ? error.message : String(error);
    return say(out, misused ? `${reason}\n\n${AUDIT_HELP}` : reason, misused || error instanceof Misuse ? 2 : 1);
  }
}

class Misuse extends Error {}

const EXPORT_OPTIONS = {
  since: { type: 'string' },
  until: { type: 'string' },
  format: { type: 'string' },
  connection: { type: 'string' },
  principal: { type: 'string' },
  kind: { type: 'string', multiple: true },
  out: { type: 'string' },
  unverified: { type: 'boolean' },
} as const;

function say<T extends 0 | 1 | 2>(out: (line: string) => void, text: string, code: T): T {
  for (const line of text.split('\n')) out(line);
  return code;
}

async function verify(
  dirs: readonly string[],
  options: { key?: string[]; head?: string[]; recordings?: string; json: boolean },
  out: (line: string) => void,
): Promise<0 | 1 | 2> {
  if (!options.key?.length)
    throw new Misuse('--key is missing: the audit key’s public half, as printed by `countersign keygen`');
  const keys = await Promise.all(options.key.map(readKey));
  const heads = (options.head ?? []).map(readHead);
  if (dirs.length > 1 && heads.length > 0) throw new Misuse('--head is looked for in one trail: name one DIR with it');
  let fits = true;
  for (const dir of dirs) {
    const report = await verifyDir(dir, { keys, heads });
    fits &&= report.ok && report.segments > 0;
    if (dirs.length > 1 && !options.json) out(`${dir}:`);
    if (options.json) out(JSON.stringify(report));
    else for (const line of describe(report)) out(line);
  }
  if (options.recordings === undefined) return fits ? 0 : 1;
  if (!fits) return say(out, 'the recordings were not looked at: what sealed them does not fit', 1);
  const report = await verifyRecordings(dirs, options.recordings);
  if (options.json) out(JSON.stringify(report));
  else for (const line of describeRecordings(report)) out(line);
  return report.ok ? 0 : 1;
}

type ExportArgs = {
  readonly key?: string[];
  readonly since?: string;
  readonly until?: string;
  readonly format?: string;
  readonly connection?: string;
  readonly principal?: string;
  readonly kind?: string[];
  readonly out?: string;
  readonly unverified?: boolean;
};

async function exported(
  dir: string,
  given: ExportArgs,
  out: (text: string) => void,
  err: (line: string) => void,
): Promise<0 | 1> {
  const { connection, principal, unverified = false } = given;
  const format = FORMATS.find((one) => one === (given.format ?? 'jsonl'));
  if (!format) throw new Misuse(`--format ${given.format}: expected one of ${FORMATS.join(', ')}`);
  if (unverified ? given.key?.length : !given.key?.length) {
    throw new Misuse('expected --key (the audit key’s public half), or --unverified to take the trail as it stands');
  }
  const now = Date.now();
  const time = (name: 'since' | 'until') => {
    const text = given[name];
    const at = text === undefined ? undefined : timeOf(text, now);
    if (text !== undefined && at === undefined) {
      throw new Misuse(`--${name} ${text}: expected a date or time like 2026-11-23T14:00Z, or 24h, 7d`);
    }
    return at === undefined ? {} : { [name]: at };
  };
  const kinds = given.kind && kindsOf(given.kind);
  if (given.kind && !kinds) throw new Misuse(`--kind ${given.kind.join(' ')}: there is no such kind of entry`);
  return exportTrail({
    dir,
    format,
    keys: unverified ? undefined : await Promise.all((given.key ?? []).map(readKey)),
    selection: {
      ...time('since'),
      ...time('until'),
      ...(connection === undefined ? {} : { connection }),
      ...(principal === undefined ? {} : { principal }),
      ...(kinds ? { kinds } : {}),
    },
    file: given.out,
    version: version(),
    out,
    err,
    describe,
  });
}

async function readKey(text: string) {
  try {
    return verifyingKey(text.startsWith('ed25519:') ? text : await readFile(text, 'utf8'));
  } catch (error) {
    throw new Misuse(`--key ${text}: ${error instanceof Error ? error.message : error}`);
  }
}

function readHead(text: string): KnownHead {
  const match = /^(\d{1,15}):([0-9a-f]{8,64})$/.exec(text);
  if (!match?.[2]) throw new Misuse(`--head ${text}: expected SEQ:HASH as on a card, such as 412:9f86d081884c`);
  return { seq: Number(match[1]), hash: match[2] };
}

function describe(report: Report): string[] {
  const { misfit } = report;
  const lines = [
    `${report.entries} entries in ${report.segments} segments, ${report.sealed} of them sealed`,
    ...report.torn.map(({ file, line, bytes }) => `torn last line (crash): ${file}:${line}, ${bytes} bytes`),
  ];
  if (report.unsigned > 0) {
    lines.push(
      `${report.unsigned} newest entries are not yet covered by a signature; compare a card's head with --head`,
    );
  }
  if (report.segments === 0) lines.push('there is no audit trail here');
  else if (misfit) {
    const where = misfit.line > 0 ? `${misfit.file}:${misfit.line}` : misfit.file;
    lines.push(
      `DOES NOT FIT: ${misfit.what} at ${where}${misfit.seq ? `, entry ${misfit.seq}` : ''}: ${misfit.detail}`,
    );
  } else lines.push('everything fits');
  return lines;
}

async function show(
  dir: string,
  options: { session?: string; json: boolean },
  out: (line: string) => void,
): Promise<0 | 1> {
  const segments = await listSegments(dir);
  for (const { file } of segments) {
    for await (const read of readSegment(join(dir, file))) {
      if (read.kind === 'misfit') out(`!! ${file}:${read.number} does not fit its hash; run audit verify`);
      if (read.kind !== 'line' || (options.session && read.line.entry.session !== options.session)) continue;
      out(options.json ? JSON.stringify(read.line.entry) : readable(read.line));
    }
  }
  if (segments.length === 0) out('there is no audit trail here');
  return segments.length === 0 ? 1 : 0;
}

const CHAIN_FIELDS = new Set(['seq', 'at', 'prev', 'kind']);

function readable({ link, at, entry }: Line): string {
  const fields = Object.entries(entry)
    .filter(([name]) => !CHAIN_FIELDS.has(name))
    .map(
      ([name, value]) =>
        `${name}=${typeof value === 'string' && /^[\w.:@/#+-]+$/.test(value) ? value : JSON.stringify(value)}`,
    );
  return visible([at, `#${link.seq}`, entry.kind, ...fields].join(' '));
}

/** Nothing that a terminal or a reader could take for something else: controls, bidirectional marks, zero-width. */
const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
