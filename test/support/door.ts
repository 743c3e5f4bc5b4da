/** Around the PostgreSQL door: certificates, raw clients that speak bytes, targets that lie. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { GatewayError } from '../../gateway/errors.ts';
import type { Authenticator, Credential } from '../../gateway/identity/identity.ts';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import { parseServerMessage, type ServerMessage } from '../../gateway/listeners/postgres/messages.ts';
import { backendDecoder, type Frame } from '../../gateway/listeners/postgres/wire.ts';

const run = promisify(execFile);

export type Certificate = { readonly key: string; readonly cert: string };

/** What `openssl` is asked for: a key and a certificate for two days; whose, and where to, follows. */
export const CERTIFICATE_REQUEST = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'.split(
  ' ',
);

/** A self-signed certificate for one host name or address, made by the openssl command. */
export async function selfSigned(san: string): Promise<Certificate> {
  const dir = await mkdtemp(join(tmpdir(), 'countersign-cert-'));
  try {
    const whose = ['-subj', '/CN=test', '-addext', `subjectAltName=${san}`];
    await run('openssl', [...CERTIFICATE_REQUEST, ...whose, '-keyout', join(dir, 'key'), '-out', join(dir, 'cert')]);
    return { key: await readFile(join(dir, 'key'), 'utf8'), cert: await readFile(join(dir, 'cert'), 'utf8') };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Takes `token-of-<name>`; counts what is released and can end a credential. */
export class TestAuthenticator implements Authenticator {
  asked = 0;
  released = 0;
  readonly #live = new Set<AbortController>();

  async authenticate(secret: string): Promise<Credential> {
    this.asked++;
    if (!secret.startsWith('token-of-')) throw new GatewayError('AUTH', 'the token is not valid here');
    const name = secret.slice('token-of-'.length);
    const ended = new AbortController();
    this.#live.add(ended);
    return {
      principal: { issuer: 'https://issuer.test', subject: name, kind: 'agent', name, groups: [] },
      expiresAt: () => Date.now() + 3_600_000,
      ended: ended.signal,
      release: () => {
        this.#live.delete(ended);
        this.released++;
      },
    };
  }

  endAll(reason: string): void {
    for (const ended of this.#live) ended.abort(reason);
  }
}

/** A client that writes bytes and understands what comes back. */
export class RawClient {
  readonly socket: Duplex;
  readonly #decoder = backendDecoder();
  readonly #frames: Frame[] = [];
  #received = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => {};
  #decode: boolean;

  constructor(socket: Duplex, { decode = true } = {}) {
    this.socket = socket;
    this.#decode = decode;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      if (this.#decode) this.#frames.push(...this.#decoder.push(chunk));
      this.#wake();
    });
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  static async connect(port: number, { host = '127.0.0.1', decode = true } = {}): Promise<RawClient> {
    return new RawClient(await openSocket(port, host), { decode });
  }

  get received(): Buffer {
    return this.#received;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(...parts: readonly Buffer[]): this {
    this.socket.write(Buffer.concat(parts));
    return this;
  }

  /** The next message that came, undefined once closed. */
  async next(): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.#closed) await this.#more();
    return this.#frames.shift();
  }

  /** Messages up to and with the first of this type. */
  async until(type: string): Promise<Frame[]> {
    const seen: Frame[] = [];
    for (let frame = await this.next(); frame; frame = await this.next()) {
      seen.push(frame);
      if (frame.type === type.charCodeAt(0)) return seen;
    }
    throw new Error(`closed before "${type}" came; saw ${seen.map((f) => String.fromCharCode(f.type)).join('')}`);
  }

  /** The FATAL it is refused with, and then the end. */
  async refusal(): Promise<ServerMessage> {
    const frames = await this.until('E');
    await this.end();
    return parseServerMessage(frames.at(-1)!);
  }

  async end(): Promise<void> {
    while (!this.#closed) await this.#more();
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#received.length < count && !this.#closed) await this.#more();
    return this.#received.subarray(0, count);
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

export function openSocket(port: number, host = '127.0.0.1'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}

export const startupOf = (parameters: Record<string, string>): Buffer =>
  build.startup(new Map(Object.entries(parameters)));

/** A start-up packet with any code and any body. */
export function packet(code: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const out = Buffer.alloc(8 + body.length);
  out.writeUInt32BE(out.length, 0);
  out.writeInt32BE(code | 0, 4);
  body.copy(out, 8);
  return out;
}

export type FakeTarget = {
  readonly port: number;
  /** Connections it got, and all bytes that came. */
  readonly seen: { connections: number; bytes: number };
  stop(): Promise<void>;
};

/** A target that does what `serve` says. */
export async function fakeTarget(serve: (socket: Socket) => void): Promise<FakeTarget> {
  const seen = { connections: 0, bytes: 0 };
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    seen.connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      seen.bytes += chunk.length;
    });
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return {
    port: address.port,
    seen,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** AuthenticationOk to ReadyForQuery, as a trusting server sends it. */
export function greeting(settings: Record<string, string> = {}): Buffer {
  const parameters = {
    client_encoding: 'UTF8',
    standard_conforming_strings: 'on',
    server_version: '18.1',
    ...settings,
  };
  return Buffer.concat([
    build.authenticationOk(),
    ...Object.entries(parameters).map(([name, value]) => build.parameterStatus(name, value)),
    build.backendKeyData(4711, Buffer.from([1, 2, 3, 4])),
    build.readyForQuery('I'),
  ]);
}
