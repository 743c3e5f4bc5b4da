/**
 * Entries to a syslog receiver: RFC 5424 messages, octet-counted over TLS (RFC 5425). The protocol has no receipts: what was
 * sent counts as delivered once the socket has taken all of it and the connection was still alive a moment later; what was
 * sent since is sent again on the next connection. A receiver that dies with bytes it never read can lose those.
 */
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { setTimeout as after } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import type { Batch, Leaving, Receiver } from './receiver.ts';

export const FACILITIES = {
  auth: 4,
  authpriv: 10,
  audit: 13,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const;
export type Facility = keyof typeof FACILITIES;

export type SyslogOptions = {
  readonly host: string;
  readonly port: number;
  readonly facility: Facility;
  /** PEM; without `ca`, the authorities that Node trusts. */
  readonly tls: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
  readonly confirmMs?: number;
  /** For a connection, and for each piece that the receiver has to take. */
  readonly timeoutMs?: number;
};

const CONFIRM_MS = 500;
const TIMEOUT_MS = 30_000;
const PIECE_BYTES = 64 * 1024;

export class SyslogReceiver implements Receiver {
  readonly most = { entries: 5_000, bytes: 4 << 20 }; // so that waiting for the moment after costs little
  readonly #options: SyslogOptions;
  readonly #confirmMs: number;
  readonly #timeoutMs: number;
  #socket: TLSSocket | undefined;
  /** Why the connection is of no use any more. */
  #over: Error | undefined;

  constructor(options: SyslogOptions) {
    this.#options = options;
    this.#confirmMs = options.confirmMs ?? CONFIRM_MS;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  async deliver({ chain, entries }: Batch, signal: AbortSignal): Promise<void> {
    const socket = await this.#connected(signal);
    const abort = () => socket.destroy();
    signal.addEventListener('abort', abort);
    try {
      let piece: Buffer[] = [];
      let bytes = 0;
      for (const entry of entries) {
        const frame = framed(message(chain, entry, this.#options.facility));
        piece.push(frame);
        bytes += frame.length;
        if (bytes < PIECE_BYTES) continue;
        await this.#write(socket, Buffer.concat(piece));
        [piece, bytes] = [[], 0];
      }
      if (bytes > 0) await this.#write(socket, Buffer.concat(piece));
      await after(this.#confirmMs);
      if (this.#over || this.#socket !== socket) throw this.#over ?? new Error('the connection has ended');
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (!socket || this.#over) return;
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.end();
    await Promise.race([ended, after(1_000)]);
    socket.destroy();
  }

  #write(socket: TLSSocket, bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        socket.destroy(new Error(`the receiver took nothing for ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
      const over = () => done(this.#over ?? new Error('the connection has ended'));
      const done = (error?: Error | null) => {
        clearTimeout(late);
        socket.off('close', over);
        if (error) reject(error);
        else resolve();
      };
      socket.once('close', over);
      socket.write(bytes, done);
    });
  }

  async #connected(signal: AbortSignal): Promise<TLSSocket> {
    const current = this.#socket;
    if (current && !this.#over && current.writable) return current;
    current?.destroy();
    signal.throwIfAborted();
    const { host, port, tls } = this.#options;
    this.#over = undefined;
    const socket = connect({ host, port, ...tls, minVersion: 'TLSv1.2', ...(isIP(host) ? {} : { servername: host }) });
    this.#socket = socket;
    const end = (error: Error) => {
      if (this.#socket === socket) this.#over ??= error;
    };
    socket.on('error', end);
    socket.on('end', () => end(new Error('the receiver has closed the connection')));
    socket.on('close', () => end(new Error('the connection has ended')));
    socket.resume(); // whatever it says is of no use
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(
        () => socket.destroy(new Error(`no connection within ${this.#timeoutMs} ms`)),
        this.#timeoutMs,
      );
      const abort = () => socket.destroy();
      const done = (error?: Error) => {
        clearTimeout(late);
        signal.removeEventListener('abort', abort);
        if (error) reject(error);
        else resolve();
      };
      signal.addEventListener('abort', abort);
      socket.once('secureConnect', () => done());
      socket.once('close', () => done(this.#over ?? new Error('the connection has ended')));
    });
    socket.setKeepAlive(true, 30_000);
    socket.setNoDelay(true);
    return socket;
  }
}

/** RFC 5425: its length in octets, a space, the message. */
function framed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([Buffer.from(`${bytes.length} `, 'latin1'), bytes]);
}

/** Number for examples (RFC 5612): the product has no enterprise number of its own. */
const SD_ID = 'countersign@32473';

const NOTICE = 5;
const WARNING = 4;
const ERROR = 3;
const SEVERITIES: Readonly<Record<string, number>> = {
  'auth.refused': WARNING,
  'web.refused': WARNING,
  'rules.edited': WARNING,
  kill: WARNING,
  frozen: WARNING,
  'sink.stuck': ERROR,
  'sink.missed': ERROR,
  'recording.failed': ERROR,
};

/** RFC 5424: header, structured data that says where in which chain, and the line of the trail as it stands. */
export function message(chain: string, { line, text }: Leaving, facility: Facility): string {
  const { link, prev, at, entry } = line;
  const kind = String(entry.kind);
  const refused = entry.verdict === 'deny' || entry.verdict === 'refused';
  const severity = SEVERITIES[kind] ?? (refused ? WARNING : NOTICE);
  const data = { chain, seq: String(link.seq), hash: link.hash, prev, kind };
  const parameters = Object.entries(data).map(([name, value]) => ` ${name}="${value.replace(/["\\\]]/g, '\\$&')}"`);
  const header = `<${FACILITIES[facility] * 8 + severity}>1 ${at} ${printable(hostname(), 255)} countersign - ${printable(kind, 32)}`;
  // The byte order mark says that what follows is UTF-8 (6.4); plain ASCII needs none.
  const mark = /^\p{ASCII}*$/u.test(text) ? '' : '\ufeff';
  return `${header} [${SD_ID}${parameters.join('')}] ${mark}${text}`;
}

/** What a header field may consist of; a dash stands for nothing. */
const printable = (text: string, most: number): string => text.replace(/[^!-~]/g, '_').slice(0, most) || '-';
