/** COPY … TO STDOUT rewritten field by field, in text, CSV and binary. One CopyData is one row; anything else is refused. */
import { GatewayError } from '../../../errors.ts';
import { copyData } from '../builders.ts';
import type { CopyOut } from '../types.ts';
import type { Treatment } from './columns.ts';
import type { CopyShape } from './copy-shape.ts';
import type { Masker, Tally } from './rows.ts';

export type CopyColumn = { readonly treatment: Treatment; readonly typeOid: number };

const MAX_ROW_BYTES = 16 << 20; // a longer row is not let through: its fields cannot be told before it is whole
const HEADER_BYTES = 5;
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const FIXED_HEADER = SIGNATURE.length + 8; // flags, length of the extension
const BACKSLASH = 0x5c;
const NEWLINE = 0x0a;
const TRAILER = 0xffff;

type Field = { readonly from: number; readonly to: number };

export class CopyMask {
  readonly #shape: CopyShape;
  /** Undefined: every field is treated like `#rest`. */
  readonly #columns: readonly CopyColumn[] | undefined;
  readonly #rest: CopyColumn;
  readonly #masker: Masker;
  readonly #tally: Tally;
  #first = true;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;

  constructor({ shape, columns, rest }: CopyOut, masker: Masker, tally: Tally) {
    this.#shape = shape;
    this.#columns = columns;
    this.#rest = { treatment: rest, typeOid: 0 };
    this.#masker = masker;
    this.#tally = tally;
  }

  /** Whole CopyData messages, one behind the other. @throws GatewayError PROTOCOL when a row is not what was described */
  rows(batch: Buffer): Buffer {
    const out: Buffer[] = [];
    for (let at = 0; at < batch.length; ) {
      const end = at + 1 + batch.readUInt32BE(at + 1);
      out.push(copyData(this.#row(batch.subarray(at + HEADER_BYTES, end))));
      at = end;
    }
    return out.length === 1 ? out[0]! : Buffer.concat(out);
  }

  /** A piece of a message too long for one read. @throws GatewayError LIMIT */
  piece(bytes: Buffer, last: boolean): Buffer | undefined {
    this.#pieceBytes += bytes.length;
    if (this.#pieceBytes > MAX_ROW_BYTES) {
      throw new GatewayError('LIMIT', `a row of more than ${MAX_ROW_BYTES} bytes cannot be masked`);
    }
    this.#pieces.push(bytes);
    if (!last) return undefined;
    const whole = Buffer.concat(this.#pieces, this.#pieceBytes);
    this.#pieces = [];
    this.#pieceBytes = 0;
    return this.rows(whole);
  }

  #row(row: Buffer): Buffer {
    const first = this.#first;
    this.#first = false;
    if (this.#shape.format === 'binary') return this.#binary(row, first);
    if (first && this.#shape.header) return row; // names of columns
    if (row.at(-1) !== NEWLINE) throw malformed();
    const body = row.subarray(0, -1);
    const csv = this.#shape.format === 'csv';
    const fields = csv ? csvFields(body, this.#shape) : textFields(body, this.#shape.delimiter);
    this.#check(fields.length);
    const parts: Buffer[] = [];
    let copied = 0;
    for (const [i, { from, to }] of fields.entries()) {
      const changed = this.#field(body.subarray(from, to), this.#column(i), csv);
      if (changed === undefined) continue;
      parts.push(body.subarray(copied, from), changed);
      copied = to;
    }
    return parts.length === 0 ? row : Buffer.concat([...parts, row.subarray(copied)]);
  }

  #column(at: number): CopyColumn {
    return this.#columns?.[at] ?? this.#rest;
  }

  #check(fields: number): void {
    if (this.#columns && fields !== this.#columns.length) throw malformed();
  }

  /** The field as it may leave, or undefined where it may stay. */
  #field(field: Buffer, { treatment, typeOid }: CopyColumn, csv: boolean): Buffer | undefined {
    const { nullText, delimiter } = this.#shape;
    if (treatment.kind === 'pass' || field.equals(nullText)) return undefined;
    const value = csv ? csvValue(field, this.#shape) : textValue(field);
    const masked = this.#masked(value, treatment, typeOid);
    if (masked === undefined) return undefined;
    if (masked === null) return nullText;
    return csv ? quoted(masked, this.#shape) : escaped(masked, delimiter);
  }

  /** Undefined: unchanged; null: NULL. */
  #masked(value: Buffer, treatment: Treatment, typeOid: number): Buffer | null | undefined {
    const wire = this.#shape.format === 'binary' ? 'binary' : 'text';
    if (treatment.kind === 'mask') {
      this.#tally[treatment.why]++;
      // A field of text or CSV is a text, whatever its column's type is called.
      const shownAs = wire === 'text' && typeOid === 0 ? TEXT_OID : typeOid;
      return this.#masker.mask(treatment.format, shownAs, wire, value);
    }
    const { scanner } = this.#masker;
    if (treatment.kind === 'pass' || !scanner?.suspicious(value, 0, value.length)) return undefined;
    const found = scanner.scan(value.toString());
    if (!found) return undefined;
    this.#tally.detector++;
    return wire === 'binary' && typeOid !== TEXT_OID ? null : Buffer.from(found.text);
  }

  #binary(row: Buffer, first: boolean): Buffer {
    let at = 0;
    if (first) {
      if (row.length < FIXED_HEADER || !row.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw malformed();
      at = FIXED_HEADER + row.readUInt32BE(SIGNATURE.length + 4);
    }
    if (at === row.length) return row;
    if (row.length - at < 2) throw malformed();
    const count = row.readUInt16BE(at);
    if (count === TRAILER && row.length === at + 2) return row;
    this.#check(count);
    const parts: Buffer[] = [row.subarray(0, at + 2)];
    at += 2;
    for (let i = 0; i < count; i++) {
      const { treatment, typeOid } = this.#column(i);
      if (row.length - at < 4) throw malformed();
      const length = row.readInt32BE(at);
      const to = at + 4 + Math.max(0, length);
      if (length < -1 || to > row.length) throw malformed();
      const masked = length === -1 ? undefined : this.#masked(row.subarray(at + 4, to), treatment, typeOid);
      if (masked === undefined) parts.push(row.subarray(at, to));
      else {
        const size = Buffer.allocUnsafe(4);
        size.writeInt32BE(masked === null ? -1 : masked.length);
        parts.push(size, ...(masked === null ? [] : [masked]));
      }
      at = to;
    }
    if (at !== row.length) throw malformed();
    return Buffer.concat(parts);
  }
}

const TEXT_OID = 25;

/** A backslash takes the next byte with it: delimiters inside a value are always written so. */
function textFields(row: Buffer, delimiter: number): Field[] {
  const fields: Field[] = [];
  let from = 0;
  for (let at = 0; at < row.length; at++) {
    if (row[at] === BACKSLASH) at++;
    else if (row[at] === delimiter) {
      fields.push({ from, to: at });
      from = at + 1;
    }
  }
  fields.push({ from, to: row.length });
  return fields;
}

function csvFields(row: Buffer, { delimiter, quote, escapedBy }: CopyShape): Field[] {
  const fields: Field[] = [];
  let from = 0;
  let inside = false;
  for (let at = 0; at < row.length; at++) {
    const byte = row[at];
    if (inside && byte === escapedBy && (row[at + 1] === quote || row[at + 1] === escapedBy)) at++;
    else if (byte === quote) inside = !inside;
    else if (!inside && byte === delimiter) {
      fields.push({ from, to: at });
      from = at + 1;
    }
  }
  if (inside) throw malformed();
  fields.push({ from, to: row.length });
  return fields;
}

const LETTERS = new Map(
  Object.entries({ b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 }).map(([c, v]) => [c.charCodeAt(0), v]),
);

/** What the server writes: a letter for each control character, the byte itself for everything else. */
function textValue(field: Buffer): Buffer {
  if (!field.includes(BACKSLASH)) return field;
  const out: number[] = [];
  for (let at = 0; at < field.length; at++) {
    if (field[at] !== BACKSLASH) out.push(field[at]!);
    else {
      const next = field[++at] ?? BACKSLASH;
      out.push(LETTERS.get(next) ?? next);
    }
  }
  return Buffer.from(out);
}

function csvValue(field: Buffer, { quote, escapedBy }: CopyShape): Buffer {
  if (!field.includes(quote)) return field;
  const out: number[] = [];
  let inside = false;
  for (let at = 0; at < field.length; at++) {
    const byte = field[at]!;
    if (inside && byte === escapedBy && (field[at + 1] === quote || field[at + 1] === escapedBy))
      out.push(field[++at]!);
    else if (byte === quote) inside = !inside;
    else out.push(byte);
  }
  return Buffer.from(out);
}

function escaped(value: Buffer, delimiter: number): Buffer {
  const out: number[] = [];
  for (const byte of value) {
    const letter = [...LETTERS].find(([, control]) => control === byte)?.[0];
    if (letter !== undefined) out.push(BACKSLASH, letter);
    else if (byte === BACKSLASH || byte === delimiter) out.push(BACKSLASH, byte);
    else out.push(byte);
  }
  return Buffer.from(out);
}

function quoted(value: Buffer, { quote, escapedBy }: CopyShape): Buffer {
  const out: number[] = [quote];
  for (const byte of value) {
    if (byte === quote || byte === escapedBy) out.push(escapedBy);
    out.push(byte);
  }
  out.push(quote);
  return Buffer.from(out);
}

const malformed = (): GatewayError =>
  new GatewayError('PROTOCOL', 'a row of the COPY is not laid out as it was asked for');
