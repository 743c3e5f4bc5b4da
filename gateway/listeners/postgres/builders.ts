/** PostgreSQL messages written, for both directions. Knows no policy. */
import type { TransactionStatus } from './messages.ts';

/** A whole message: type, length, body. */
function message(type: string, ...parts: readonly Buffer[]): Buffer {
  let length = 4;
  for (const part of parts) length += part.length;
  const out = Buffer.allocUnsafe(length + 1);
  out[0] = type.charCodeAt(0);
  out.writeUInt32BE(length, 1);
  let at = 5;
  for (const part of parts) at += part.copy(out, at);
  return out;
}

/** A NUL would end the string early and let the rest be read as another field. */
const cstring = (text: string): Buffer => Buffer.from(`${text.replaceAll('\0', '\u{fffd}')}\0`, 'utf8');

const int32 = (value: number): Buffer => {
  const out = Buffer.allocUnsafe(4);
  out.writeInt32BE(value | 0);
  return out;
};

const int16 = (value: number): Buffer => {
  const out = Buffer.allocUnsafe(2);
  out.writeUInt16BE(value);
  return out;
};

// ── to the client ───────────────────────────────────────────────────────────────────────────────────────────────

export const authenticationOk = (): Buffer => message('R', int32(0));
export const authenticationCleartext = (): Buffer => message('R', int32(3));
export const parameterStatus = (name: string, value: string): Buffer => message('S', cstring(name), cstring(value));
export const backendKeyData = (pid: number, secret: Buffer): Buffer => message('K', int32(pid), secret);
export const readyForQuery = (status: TransactionStatus): Buffer => message('Z', Buffer.from(status, 'latin1'));
export const parseComplete = (): Buffer => message('1');
/** A whole DataRow; null is NULL. */
export function dataRow(values: readonly (Buffer | null)[]): Buffer {
  return message(
    'D',
    int16(values.length),
    ...values.flatMap((value) => (value === null ? [int32(-1)] : [int32(value.length), value])),
  );
}
export const commandComplete = (tag: string): Buffer => message('C', cstring(tag));

type Report = {
  readonly severity: string;
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** Of an error in the client's text: characters from 1. */
  readonly position?: string | undefined;
};

export const errorResponse = (report: Report): Buffer => message('E', ...reportFields(report));
export const noticeResponse = (report: Report): Buffer => message('N', ...reportFields(report));

function reportFields({ severity, sqlstate, message: text, detail, hint, position }: Report): Buffer[] {
  const fields = [`S${severity}`, `V${severity}`, `C${sqlstate}`, `M${text}`];
  if (detail !== undefined) fields.push(`D${detail}`);
  if (hint !== undefined) fields.push(`H${hint}`);
  if (position !== undefined) fields.push(`P${position}`);
  return [...fields.map(cstring), Buffer.from([0])];
}

/** The version the server settles for (`major << 16 | minor`) and the options it does not know. */
export const negotiateProtocolVersion = (version: number, unknownOptions: readonly string[]): Buffer =>
  message('v', int32(version), int32(unknownOptions.length), ...unknownOptions.map(cstring));

// ── to the server ───────────────────────────────────────────────────────────────────────────────────────────────

export const query = (text: string): Buffer => message('Q', cstring(text));
export const parse = (name: string, text: string, parameterTypes: readonly number[] = []): Buffer =>
  message('P', cstring(name), cstring(text), int16(parameterTypes.length), ...parameterTypes.map(int32));
/** Binds text-format parameters (null for NULL) and asks for text results. */
export function bind(portal: string, statement: string, parameters: readonly (string | null)[] = []): Buffer {
  const values = parameters.flatMap((value) => {
    if (value === null) return [int32(-1)];
    const bytes = Buffer.from(value, 'utf8');
    return [int32(bytes.length), bytes];
  });
  const counted = Buffer.concat([int16(parameters.length), Buffer.concat(values), int16(0)]);
  return message('B', cstring(portal), cstring(statement), int16(0), counted);
}
export const describe = (kind: 'S' | 'P', name: string): Buffer =>
  message('D', Buffer.from(kind, 'latin1'), cstring(name));
export const close = (kind: 'S' | 'P', name: string): Buffer =>
  message('C', Buffer.from(kind, 'latin1'), cstring(name));
export const execute = (portal: string, maxRows = 0): Buffer => message('E', cstring(portal), int32(maxRows));
export const sync = (): Buffer => message('S');
export const flush = (): Buffer => message('H');
export const terminate = (): Buffer => message('X');
export const copyData = (data: Buffer): Buffer => message('d', data);
export const copyDone = (): Buffer => message('c');
export const copyFail = (reason: string): Buffer => message('f', cstring(reason));
export const password = (secret: string): Buffer => message('p', cstring(secret));

/** CancelRequest: it has no type byte. `secret` is 4 bytes, or up to 256 from protocol 3.2 on. */
export function cancelRequest(pid: number, secret: Buffer): Buffer {
  return Buffer.concat([int32(12 + secret.length), int32((1234 << 16) | 5678), int32(pid), secret]);
}

/** StartupMessage of protocol 3.0: settings given here are what RESET and DISCARD return to. */
export function startup(parameters: ReadonlyMap<string, string>): Buffer {
  const pairs = [...parameters].flatMap(([name, value]) => [cstring(name), cstring(value)]);
  const body = Buffer.concat([int32(3 << 16), ...pairs, Buffer.from([0])]);
  return Buffer.concat([int32(body.length + 4), body]);
}

export const sslRequest = (): Buffer => Buffer.concat([int32(8), int32((1234 << 16) | 5679)]);
