/** Evidence laid out as texts in the order a reader would try: cells, rows, columns, all of a kind, and numbers in binary. */
import { type Cell, type Evidence, type Field, HOLD_NOTICE, type Report, type Result } from './client.ts';

export type Stream = {
  readonly name: string;
  readonly text: string;
  /** Small numbers that any answer has: a short run of them means nothing. */
  readonly weak?: true;
};

/** Cells that may stand alone in a result before only rows and columns are read. */
const MOST_CELLS = 300;

export function* streamsOf(evidence: Evidence): Generator<Stream> {
  for (const result of evidence.results) yield* ofResult(result);
  const first = evidence.results.flatMap(({ rows }) => rows.slice(0, 1).map((row) => textOf(row[0])));
  if (evidence.results.length > 1) {
    yield { name: 'first cells of all results', text: first.join(' ') };
    yield { name: 'all results', text: evidence.results.flatMap(({ rows }) => rows.map(joined)).join(' ') };
    yield { weak: true, name: 'numbers of rows', text: evidence.results.map(({ rows }) => rows.length).join(' ') };
  }
  yield { name: 'first cells of all results, the last first', text: first.reverse().join(' ') };
  yield {
    weak: true,
    name: 'tags',
    text: evidence.results.map(({ tag }) => tag.replace(/^\D+(?:0 (?=\d))?/, '')).join(' '),
  };
  yield {
    name: 'labels',
    text: evidence.results.flatMap(({ fields }) => (fields ?? []).map(({ label }) => label)).join(' '),
  };
  yield* ofReports('errors', evidence.errors);
  yield* ofReports('notices', evidence.notices);
  for (const [name, value] of evidence.settings) {
    yield { name: 'a setting', text: value };
    yield { name: 'the name of a setting', text: name };
  }
  yield { name: 'notified', text: evidence.notified.map(([, payload]) => payload).join(' ') };
  yield { name: 'channels', text: evidence.notified.map(([channel]) => channel).join(' ') };
  for (const value of [...evidence.functionValues, ...evidence.others]) yield* ofBytes('bytes', value);
}

function* ofReports(name: string, reports: readonly Report[]): Generator<Stream> {
  for (const report of reports) {
    // The gateway's own words have an id and a time in them.
    const weak = HOLD_NOTICE.test(report.M ?? '') ? ({ weak: true } as const) : {};
    for (const [field, text] of Object.entries(report)) yield { name: `${name}, field ${field}`, text, ...weak };
    yield { name, text: Object.values(report).join(' '), ...weak };
  }
  const told = reports.filter(({ M = '' }) => !HOLD_NOTICE.test(M));
  for (const field of ['M', 'D', 'H', 'C', 'W', 'P', 'L']) {
    yield { name: `${name}, all ${field}`, text: told.map((report) => report[field] ?? '').join(' ') };
  }
}

function* ofResult({ fields, rows, copied }: Result): Generator<Stream> {
  if (copied.length > 0) yield* ofCopy(copied);
  if (rows.length === 0) return;
  let cells = 0;
  for (const row of rows) {
    for (const [at, cell] of row.entries()) {
      if (cell === null || cells++ > MOST_CELLS) continue;
      yield { name: 'a cell', text: cell.toString('utf8') };
      if (!isText(fields?.[at], cell)) yield* ofBytes('a cell', cell);
    }
    if (cells <= MOST_CELLS && row.length > 1) {
      yield { name: 'a row', text: joined(row) };
      yield { name: 'a row, from the right', text: joined([...row].reverse()) };
    }
  }
  const width = Math.max(...rows.map((row) => row.length));
  for (let at = 0; at < width && at < 200; at++) {
    const column = rows.map((row) => row[at] ?? null);
    yield { name: 'a column', text: column.map(textOf).join(' ') };
    yield { weak: true, name: 'binary numbers of a column', text: column.map(numberOf).join(' ') };
  }
  yield { name: 'all rows', text: rows.map(joined).join(' ') };
  yield {
    weak: true,
    name: 'binary numbers of all rows',
    text: rows.map((row) => row.map(numberOf).join(' ')).join(' '),
  };
  yield {
    weak: true,
    name: 'which cells are NULL',
    text: rows.map((row) => row.map((cell) => (cell === null ? 0 : 1)).join('')).join(''),
  };
  yield { weak: true, name: 'which cells are true', text: rows.map((row) => row.map(truth).join('')).join('') };
  yield {
    weak: true,
    name: 'which column is true',
    text: rows.map((row) => row.findIndex((cell) => truth(cell) === 1)).join(''),
  };
  yield {
    weak: true,
    name: 'lengths',
    text: rows.map((row) => row.map((cell) => cell?.length ?? 0).join(' ')).join(' '),
  };
}

function* ofCopy(copied: readonly Buffer[]): Generator<Stream> {
  const all = Buffer.concat(copied);
  yield* ofBytes('copied', all);
  const text = all.toString('utf8');
  const lines = text.split('\n').map((line) => line.split('\t'));
  for (let at = 0; at < (lines[0]?.length ?? 0); at++) {
    yield { name: 'a copied column', text: lines.map((line) => line[at] ?? '').join(' ') };
  }
  yield { weak: true, name: 'pieces copied', text: copied.map((piece) => piece.length).join(' ') };
}

/** A value in binary, in every way it may be meant. */
function* ofBytes(name: string, bytes: Buffer): Generator<Stream> {
  yield { name: `${name} as UTF-8`, text: bytes.toString('utf8') };
  if (bytes.length >= 4) yield { name: `${name} as UTF-16`, text: bytes.toString('utf16le') };
  const numbers: string[] = [];
  for (let at = 0; at + 8 <= bytes.length && at < 4_096; at++) {
    numbers.push(`${bytes.readBigInt64BE(at)}`);
    const real = bytes.readDoubleBE(at);
    if (Math.abs(real) > 1e6 && Math.abs(real) < 1e18) numbers.push(real.toFixed(0));
  }
  if (numbers.length > 0) yield { name: `${name} as int8 and float8`, text: numbers.join(' ; ') };
  for (const base of [10_000]) {
    const digits: string[] = [];
    for (let at = 0; at + 2 <= bytes.length && at < 4_096; at += 2) {
      const group = bytes.readUInt16BE(at);
      digits.push(group < base ? String(group).padStart(4, '0') : 'x');
    }
    if (digits.length > 2) yield { name: `${name} as numeric`, text: digits.join('') };
  }
  if (bytes.length >= 16) {
    const reals: string[] = [];
    for (let at = 0; at + 8 <= bytes.length && at < 4_096; at += 8) reals.push(bytes.readDoubleBE(at).toFixed(0));
    yield { name: `${name} as a row of float8`, text: reals.join(' ') };
  }
  if (bytes.length === 8) yield { name: `${name} as money`, text: `${bytes.readBigInt64BE(0)}` };
  if (bytes.length >= 4) {
    const small: number[] = [];
    for (let at = 0; at + 4 <= bytes.length && at < 4_096; at += 4) small.push(bytes.readInt32BE(at));
    yield { weak: true, name: `${name} as int4`, text: small.join(' ') };
  }
}

const textOf = (cell: Cell | undefined): string => cell?.toString('utf8') ?? '';
const joined = (row: readonly Cell[]): string => row.map(textOf).join(' ');

/** Short binary integers as text; what is no such thing as it stands. */
function numberOf(cell: Cell): string {
  if (cell === null) return '';
  if (cell.length === 8) return `${cell.readBigInt64BE(0)}`;
  if (cell.length === 4) return `${cell.readInt32BE(0)}`;
  if (cell.length === 2) return `${cell.readInt16BE(0)}`;
  return cell.toString('utf8');
}

function truth(cell: Cell): number {
  const text = textOf(cell);
  return text === 't' || text === 'true' || text === '\u0001' || (Number(text) > 0 && Number.isFinite(Number(text)))
    ? 1
    : 0;
}

function isText(field: Field | undefined, cell: Buffer): boolean {
  if (field !== undefined) return field.format === 0;
  return cell.every((byte) => byte >= 9 && byte < 127);
}
