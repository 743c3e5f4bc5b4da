/** A client's first packets, read exactly: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage. Pure. */
import { GatewayError } from '../../errors.ts';
import { Reader } from './messages.ts';
import { readSettings } from './startup-settings.ts';

/** The server's own limit (MAX_STARTUP_PACKET_LENGTH), length field included, in bytes. */
const MAX_STARTUP_BYTES = 10_000;
const MIN_STARTUP_BYTES = 8;

const SSL_REQUEST = (1234 << 16) | 5679;
const GSSENC_REQUEST = (1234 << 16) | 5680;
const CANCEL_REQUEST = (1234 << 16) | 5678;
const MAJOR = 3;
const NEWEST_MINOR = 2;
const MAX_CANCEL_SECRET_BYTES = 256;
const PROTOCOL_OPTION = '_pq_.';

export type Startup = {
  /** The minor version agreed on: what was asked for, at most 2. */
  readonly minor: number;
  /** Set when NegotiateProtocolVersion must say what was not agreed to. */
  readonly negotiate: { readonly version: number; readonly unknownOptions: readonly string[] } | undefined;
  /** What the client calls itself: informational, never an identity. */
  readonly user: string;
  /** The connection's name. */
  readonly database: string;
  /** Allow-listed settings by their canonical names. */
  readonly parameters: ReadonlyMap<string, string>;
};

type FirstPacket =
  | { readonly kind: 'tls' }
  | { readonly kind: 'gss' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly secret: Buffer }
  | { readonly kind: 'startup'; readonly startup: Startup };

/** How many bytes follow the length field. @throws GatewayError PROTOCOL on one that cannot be. */
export function startupBodyBytes(lengthField: Buffer): number {
  const length = lengthField.readUInt32BE(0);
  if (length < MIN_STARTUP_BYTES || length > MAX_STARTUP_BYTES) {
    throw new GatewayError('PROTOCOL', `invalid length of startup packet: ${length | 0}`);
  }
  return length - 4;
}

/**
 * `body` is what follows the length field.
 * @throws GatewayError PROTOCOL | UNSUPPORTED | SESSION_FRAME
 */
export function parseFirstPacket(body: Buffer): FirstPacket {
  const reader = new Reader(body, 'start-up');
  const code = reader.int32();
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    reader.end();
    return { kind: code === SSL_REQUEST ? 'tls' : 'gss' };
  }
  if (code === CANCEL_REQUEST) {
    const pid = reader.int32();
    if (reader.remaining < 4 || reader.remaining > MAX_CANCEL_SECRET_BYTES) throw reader.malformed('cancel key');
    return { kind: 'cancel', pid, secret: Buffer.from(reader.bytes(reader.remaining)) };
  }
  const major = code >>> 16;
  if (major !== MAJOR) {
    throw new GatewayError(
      'UNSUPPORTED',
      `unsupported frontend protocol ${major}.${code & 0xffff}: this gateway speaks 3.0 to 3.${NEWEST_MINOR}`,
    );
  }
  return { kind: 'startup', startup: parseStartup(reader, code & 0xffff) };
}

function parseStartup(reader: Reader, asked: number): Startup {
  const given = new Map<string, string>();
  for (let name = reader.string(); name !== ''; name = reader.string()) {
    const key = name.toLowerCase(); // settings' names are case-insensitive: `Role` and `role` are one key
    if (given.has(key)) throw reader.malformed(`"${name.slice(0, 63)}" is given twice`);
    given.set(key, reader.string());
  }
  reader.end();
  if (given.has('replication')) {
    throw new GatewayError('UNSUPPORTED', 'replication connections do not pass this gateway', {
      hint: 'Remove `replication` from the connection parameters.',
    });
  }
  const unknownOptions = [...given.keys()].filter((name) => name.startsWith(PROTOCOL_OPTION));
  const minor = Math.min(asked, NEWEST_MINOR);
  const user = given.get('user') ?? '';
  return {
    minor,
    negotiate:
      asked > NEWEST_MINOR || unknownOptions.length > 0
        ? { version: (MAJOR << 16) | minor, unknownOptions }
        : undefined,
    user,
    database: given.get('database') || user, // as the server does
    parameters: readSettings(given, [PROTOCOL_OPTION]),
  };
}
