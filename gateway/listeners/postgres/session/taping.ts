/** What a client is given, taken off the bytes that leave for it: rows, COPY data, errors and notices, nothing else. */
import { isUtf8 } from 'node:buffer';
import type { Tape } from '../../listener.ts';
import { type Column, parseServerMessage } from '../messages.ts';
import { describedAs } from './confirm.ts';
import type { Tap } from './outbox.ts';
import type { Reply } from './replies.ts';

const HEADER = 5;
const DATA_ROW = 0x44;
const COPY_DATA = 0x64;
const ERROR = 0x45;
const NOTICE = 0x4e;
const NOTIFICATION = 0x41;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SHORT_BYTES = 64; // what is looked through byte by byte faster than otherwise

export class Taping implements Tap {
  readonly #tape: Tape;
  readonly #next: () => Reply | undefined;
  /** Whose result is passing, what may still be kept of it, and what came in all. */
  #operation: string | undefined | null = null;
  #room = 0;
  #rows = 0;
  #cut = false;
  #columns: readonly Column[] | undefined;
  /** Of a message that comes in pieces: what is to come, its type, and what is kept of it. */
  #left = 0;
  #type = 0;
  #kept: Buffer[] = [];

  /** `next`: what the target answers at this moment. */
  constructor(tape: Tape, next: () => Reply | undefined) {
    this.#tape = tape;
    this.#next = next;
  }

  full(again: () => void): boolean {
    return this.#tape.full(again);
  }

  given(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const to = Math.min(bytes.length, at + this.#left);
        this.#piece(bytes.subarray(at, to));
        at = to;
        continue;
      }
      const type = bytes[at]!;
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) {
        this.#begin(type, end - at);
        continue;
      }
      at = type === DATA_ROW || type === COPY_DATA ? this.#run(type, bytes, at) : this.#whole(type, bytes, at, end);
    }
  }

  /** Whole rows, or pieces of COPY data, that lie one behind the other: as many as there is room for. */
  #run(type: number, bytes: Buffer, from: number): number {
    this.#result();
    let end = from;
    let kept = from;
    while (bytes.length - end >= HEADER && bytes[end] === type) {
      const next = end + 1 + bytes.readUInt32BE(end + 1);
      if (next > bytes.length) break;
      if (type === DATA_ROW) this.#rows++;
      if (kept === end && next - from <= this.#room) kept = next;
      end = next;
    }
    if (kept > from) this.#keep(type, bytes.subarray(from, kept));
    if (kept < end) this.#cutHere();
    return end;
  }

  #whole(type: number, bytes: Buffer, from: number, end: number): number {
    if (type === ERROR || type === NOTICE || type === NOTIFICATION) {
      this.#tape.given(saidIn(operationOf(this.#next()), bytes.subarray(from, end)));
    }
    return end;
  }

  #begin(type: number, size: number): void {
    this.#left = size;
    this.#type = type;
    this.#kept = [];
    if (type !== DATA_ROW && type !== COPY_DATA) return;
    this.#result();
    if (type === DATA_ROW) this.#rows++;
  }

  #piece(bytes: Buffer): void {
    this.#left -= bytes.length;
    const wanted = this.#type === DATA_ROW || this.#type === COPY_DATA;
    const had = this.#kept.reduce((sum, { length }) => sum + length, 0);
    const more = wanted ? bytes.subarray(0, Math.max(0, this.#room - had)) : bytes.subarray(0, 0);
    if (more.length > 0) this.#kept.push(Buffer.from(more));
    if (this.#left > 0) return;
    if (this.#kept.length > 0) this.#keep(this.#type, Buffer.concat(this.#kept));
    this.#kept = [];
    if (wanted && more.length < bytes.length) this.#cutHere();
  }

  /** Another result than the last? Each operation has room of its own. */
  #result(): void {
    const reply = this.#next();
    const operation = operationOf(reply);
    if (operation !== this.#operation) {
      this.#operation = operation;
      this.#room = this.#tape.resultBytes;
      this.#rows = 0;
      this.#cut = false;
      this.#columns = undefined;
    }
    const columns =
      reply?.kind === 'query' ? reply.columns : reply?.kind === 'execute' ? describedAs(reply.portal) : undefined;
    if (!columns || columns === this.#columns) return;
    this.#columns = columns;
    this.#tape.given(columnsOf(operation, columns));
  }

  #keep(type: number, bytes: Buffer): void {
    this.#room -= bytes.length;
    const members = type === DATA_ROW ? rowsIn(this.#operation, bytes, this.#columns) : copyIn(this.#operation, bytes);
    this.#tape.given(members);
  }

  #cutHere(): void {
    this.#room = 0;
    if (this.#cut) return;
    this.#cut = true;
    this.#tape.given(`"kind":"cut"${of(this.#operation)},"after":${this.#rows}`);
  }
}

function operationOf(reply: Reply | undefined): string | undefined {
  const run = reply?.kind === 'bind' ? reply.portal?.run : reply && 'run' in reply ? reply.run : undefined;
  return run?.permit.operation.id;
}

const of = (operation: string | undefined | null): string => (operation == null ? '' : `,"operation":"${operation}"`);

const headers = new WeakMap<readonly Column[], string>();

function columnsOf(operation: string | undefined, columns: readonly Column[]): string {
  let json = headers.get(columns);
  if (json === undefined) {
    json = JSON.stringify(columns.map(({ name, typeOid, format }) => ({ name, type: typeOid, binary: format === 1 })));
    headers.set(columns, json);
  }
  return `"kind":"columns"${of(operation)},"columns":${json}`;
}

const saidIn = (operation: string | undefined, message: Buffer): string =>
  JSON.stringify({ kind: 'said', operation, ...wordsOf(message) }).slice(1, -1);

function wordsOf(bytes: Buffer): Record<string, string | undefined> {
  if (bytes[0] === NOTIFICATION) {
    const [channel = '', payload = ''] = bytes.toString('utf8', HEADER + 4).split('\0');
    return { severity: 'NOTIFY', code: '', message: `${channel}: ${payload}` };
  }
  const frame = { type: bytes[0]!, bytes, first: true, last: true };
  const { severity, sqlstate: code, message, detail, hint } = parseServerMessage(frame);
  return { severity, code, message, detail, hint };
}

/** DataRows, one behind the other; the last may be cut short. */
function rowsIn(operation: string | undefined | null, bytes: Buffer, columns: readonly Column[] | undefined): string {
  let rows = '';
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + bytes.readUInt32BE(at + 1));
    rows += `${rows === '' ? '' : ','}[${valuesIn(bytes, at + HEADER, end, columns)}]`;
    at = end;
  }
  return `"kind":"rows"${of(operation)},"rows":[${rows}]`;
}

function valuesIn(bytes: Buffer, from: number, end: number, columns: readonly Column[] | undefined): string {
  if (end - from < 2) return '';
  let values = '';
  let at = from + 2;
  for (let column = 0; column < bytes.readUInt16BE(from) && end - at >= 4; column++) {
    const length = bytes.readInt32BE(at);
    at += 4;
    const to = Math.min(end, at + Math.max(0, length));
    const value = length < 0 ? 'null' : jsonOf(bytes, at, to, length - (to - at), columns?.[column]?.format === 1);
    values += column === 0 ? value : `,${value}`;
    at = to;
  }
  return values;
}

/** CopyData, one behind the other, as one piece of data; the last may be cut short. */
function copyIn(operation: string | undefined | null, bytes: Buffer): string {
  const pieces: Buffer[] = [];
  let cut = 0;
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    cut = Math.max(0, end - bytes.length);
    pieces.push(bytes.subarray(at + HEADER, end));
    at = end;
  }
  const data = Buffer.concat(pieces);
  return `"kind":"copy"${of(operation)},"data":${jsonOf(data, 0, data.length, cut, false)}`;
}

/** JSON of one value; `cut`: so many bytes of it were left out. */
function jsonOf(bytes: Buffer, from: number, to: number, cut: number, binary: boolean): string {
  if (!binary && cut === 0 && to - from <= SHORT_BYTES && isPlain(bytes, from, to)) {
    return `"${bytes.toString('latin1', from, to)}"`;
  }
  const value = bytes.subarray(from, to);
  const hex = binary || value.includes(0);
  if (!hex && cut === 0 && isUtf8(value)) return JSON.stringify(value.toString('utf8'));
  if (!hex && cut > 0) return JSON.stringify({ text: value.toString('utf8'), cut });
  return JSON.stringify({ hex: value.toString('hex'), ...(cut > 0 ? { cut } : {}) });
}

/** Printable ASCII that stands in JSON as it is. */
function isPlain(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH) return false;
  }
  return true;
}
