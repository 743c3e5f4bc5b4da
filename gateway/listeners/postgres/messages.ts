/** PostgreSQL messages read exactly: every inner count and length is checked, nothing may be left over. Knows no policy. */
import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../../errors.ts';
import type { Parameter } from '../../operation.ts';
import type { Frame } from './wire.ts';

const SHORT_NAME = 24; // bytes

/** Walks a message's body; every step past the end, and every byte left at the end, is PROTOCOL. */
export class Reader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at: number;

  constructor(bytes: Buffer, what: string, at = 0) {
    this.#bytes = bytes;
    this.#what = what;
    this.#at = at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    this.#need(1);
    return this.#bytes[this.#at++]!;
  }

  uint16(): number {
    this.#need(2);
    this.#at += 2;
    return this.#bytes.readUInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#need(4);
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  /** A slice, not a copy. */
  bytes(length: number): Buffer {
    if (length < 0) throw this.malformed('negative length');
    this.#need(length);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** The bytes before the next NUL, which is skipped. */
  #terminated(): Buffer {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end === -1) throw this.malformed('a string without its end');
    const found = this.#bytes.subarray(this.#at, end);
    this.#at = end + 1;
    return found;
  }

  /** A NUL-terminated string that is valid UTF-8. */
  string(): string {
    const name = this.#shortName();
    if (name !== undefined) return name;
    const found = this.#terminated();
    if (!isUtf8(found)) throw this.malformed('text that is not valid UTF-8');
    return found.toString('utf8');
  }

  /** Names of statements and portals are mostly empty or a few ASCII letters: no call out of JavaScript for those. */
  #shortName(): string | undefined {
    const from = this.#at;
    const limit = Math.min(this.#bytes.length, from + SHORT_NAME);
    for (let at = from; at < limit; at++) {
      const byte = this.#bytes[at]!;
      if (byte >= 0x80) return undefined;
      if (byte !== 0) continue;
      this.#at = at + 1;
      return at === from ? '' : this.#bytes.toString('latin1', from, at);
    }
    return undefined;
  }

  /** The same where the sender may not have settled on an encoding yet: bad bytes become U+FFFD. For texts to show. */
  lenientString(): string {
    return this.#terminated().toString('utf8');
  }

  end(): void {
    if (this.remaining !== 0) throw this.malformed(`${this.remaining} bytes too many`);
  }

  malformed(how: string): GatewayError {
    return new GatewayError('PROTOCOL', `malformed ${this.#what} message: ${how}`);
  }

  #need(count: number): void {
    if (this.remaining < count) throw this.malformed('ends too early');
  }
}

function open(frame: Frame, what: string): Reader {
  const reader = new Reader(frame.bytes, what, 5);
  if (!frame.first || !frame.last) throw reader.malformed('too long');
  return reader;
}

// ── from the client ─────────────────────────────────────────────────────────────────────────────────────────────

/** The text of a Query; a NUL inside it leaves bytes over and is refused. */
export function parseQuery(frame: Frame): string {
  const reader = open(frame, 'Query');
  const text = reader.string();
  reader.end();
  return text;
}

export type ParseMessage = {
  readonly name: string;
  readonly text: string;
  /** OIDs; 0 leaves the type to the server. */
  readonly parameterTypes: readonly number[];
};

export function parseParse(frame: Frame): ParseMessage {
  const reader = open(frame, 'Parse');
  const name = reader.string();
  const text = reader.string();
  const count = reader.uint16();
  if (reader.remaining !== count * 4) throw reader.malformed('parameter types do not match their count');
  const parameterTypes: number[] = [];
  for (let i = 0; i < count; i++) parameterTypes.push(reader.int32() >>> 0);
  reader.end();
  return { name, text, parameterTypes };
}

export type FormatCode = 0 | 1;

export type BindMessage = {
  readonly portal: string;
  readonly statement: string;
  /** Values are slices of the frame. Their text is the server's to check. */
  readonly parameters: readonly Parameter[];
  readonly resultFormats: readonly FormatCode[];
};

export function parseBind(frame: Frame): BindMessage {
  const reader = open(frame, 'Bind');
  const portal = reader.string();
  const statement = reader.string();
  const formats = formatCodes(reader);
  const count = reader.uint16();
  if (formats.length > 1 && formats.length !== count) {
    throw reader.malformed(`${formats.length} formats for ${count} parameters`);
  }
  if (reader.remaining < count * 4) throw reader.malformed('ends too early'); // before anything is made of the count
  const parameters: Parameter[] = [];
  for (let i = 0; i < count; i++) {
    const length = reader.int32();
    const code = formats.length === 1 ? formats[0] : (formats[i] ?? 0);
    const value = length === -1 ? null : reader.bytes(length);
    parameters.push({ format: code === 1 ? 'binary' : 'text', value });
  }
  const resultFormats = formatCodes(reader);
  reader.end();
  return { portal, statement, parameters, resultFormats };
}

function formatCodes(reader: Reader): FormatCode[] {
  const count = reader.uint16();
  if (reader.remaining < count * 2) throw reader.malformed('ends too early');
  const codes: FormatCode[] = [];
  for (let i = 0; i < count; i++) {
    const code = reader.uint16();
    if (code !== 0 && code !== 1) throw reader.malformed(`format code ${code}`);
    codes.push(code);
  }
  return codes;
}

/** What Describe and Close name: a prepared statement or a portal. */
type TargetMessage = { readonly kind: 'S' | 'P'; readonly name: string };

export const parseDescribe = (frame: Frame): TargetMessage => parseTarget(frame, 'Describe');
export const parseClose = (frame: Frame): TargetMessage => parseTarget(frame, 'Close');

function parseTarget(frame: Frame, what: string): TargetMessage {
  const reader = open(frame, what);
  const kind = String.fromCharCode(reader.byte());
  if (kind !== 'S' && kind !== 'P') throw reader.malformed('neither a statement nor a portal');
  const name = reader.string();
  reader.end();
  return { kind, name };
}

type ExecuteMessage = {
  readonly portal: string;
  /** 0: all. The server takes a negative number as all, too. */
  readonly maxRows: number;
};

export function parseExecute(frame: Frame): ExecuteMessage {
  const reader = open(frame, 'Execute');
  const portal = reader.string();
  const maxRows = Math.max(0, reader.int32());
  reader.end();
  return { portal, maxRows };
}

/** A PasswordMessage's secret. */
export function parsePassword(frame: Frame): string {
  const reader = open(frame, 'Password');
  const secret = reader.string();
  reader.end();
  return secret;
}

/** Why the client gave up its COPY. */
export function parseCopyFail(frame: Frame): string {
  const reader = open(frame, 'CopyFail');
  const reason = reader.string();
  reader.end();
  return reason;
}

/** Sync, Flush, Terminate, CopyDone and the server's empty answers carry nothing. */
export function parseEmpty(frame: Frame): void {
  open(frame, `"${String.fromCharCode(frame.type)}"`).end();
}

// ── from the server ─────────────────────────────────────────────────────────────────────────────────────────────

/** `INSERT 0 5`, `SELECT 12`, `BEGIN`. */
export function parseCommandComplete(frame: Frame): string {
  const reader = open(frame, 'CommandComplete');
  const tag = reader.string();
  reader.end();
  return tag;
}

export type ServerMessage = {
  readonly severity: string;
  /** `XX000` where a server sent none. */
  readonly sqlstate: string;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  /** Every field by its letter; of a repeated one the first. */
  readonly fields: ReadonlyMap<string, string>;
};

/** ErrorResponse and NoticeResponse. Texts are as the server wrote them: hostile until shown to the detectors. */
export function parseServerMessage(frame: Frame): ServerMessage {
  const reader = open(frame, frame.type === 0x45 ? 'ErrorResponse' : 'NoticeResponse');
  const fields = new Map<string, string>();
  for (let code = reader.byte(); code !== 0; code = reader.byte()) {
    const letter = String.fromCharCode(code);
    const value = reader.lenientString();
    if (!fields.has(letter)) fields.set(letter, value);
  }
  reader.end();
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    sqlstate: fields.get('C') ?? 'XX000',
    message: fields.get('M') ?? '',
    detail: fields.get('D'),
    hint: fields.get('H'),
    fields,
  };
}

export type TransactionStatus = 'I' | 'T' | 'E';

export function parseReadyForQuery(frame: Frame): TransactionStatus {
  const reader = open(frame, 'ReadyForQuery');
  const status = String.fromCharCode(reader.byte());
  reader.end();
  if (status !== 'I' && status !== 'T' && status !== 'E') throw reader.malformed('unknown transaction status');
  return status;
}

export function parseParameterStatus(frame: Frame): { readonly name: string; readonly value: string } {
  const reader = open(frame, 'ParameterStatus');
  const name = reader.string();
  const value = reader.lenientString();
  reader.end();
  return { name, value };
}

export type Column = {
  readonly name: string;
  /** 0 where the value is not plainly a table's column. */
  readonly tableOid: number;
  readonly column: number;
  readonly typeOid: number;
  readonly format: FormatCode;
};

export function parseRowDescription(frame: Frame): readonly Column[] {
  const reader = open(frame, 'RowDescription');
  const count = reader.uint16();
  if (reader.remaining < count * 19) throw reader.malformed('ends too early');
  const columns: Column[] = [];
  for (let i = 0; i < count; i++) {
    const name = reader.lenientString();
    const tableOid = reader.int32() >>> 0;
    const column = reader.uint16();
    const typeOid = reader.int32() >>> 0;
    reader.bytes(6); // type's size and modifier
    const format = reader.uint16();
    if (format !== 0 && format !== 1) throw reader.malformed(`format code ${format}`);
    columns.push({ name, tableOid, column, typeOid, format });
  }
  reader.end();
  return columns;
}

export function parseBackendKeyData(frame: Frame): { readonly pid: number; readonly secret: Buffer } {
  const reader = open(frame, 'BackendKeyData');
  const pid = reader.int32();
  if (reader.remaining < 4 || reader.remaining > 256) throw reader.malformed('impossible length of the secret');
  return { pid, secret: Buffer.from(reader.bytes(reader.remaining)) };
}
