/** What audit entries are sent to, as tests need it: a syslog receiver over TLS and a webhook, each of which can misbehave. */
import assert from 'node:assert/strict';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { listSegments } from '../../gateway/audit/files.ts';

/** What came in: the line of the trail, and the chain it was said to be of. */
export type Received = { readonly chain: string; readonly line: string; readonly connection: number };

const MESSAGE =
  /^<(\d{1,3})>1 (\S+) (\S+) countersign - (\S+) \[countersign@32473 chain="([^"]+)" seq="(\d+)" hash="([0-9a-f]{64})" prev="([0-9a-f]{64})" kind="([^"]+)"\] \ufeff?(.*)$/s;

/** Reads octet-counted frames (RFC 5425); what is no frame fails the test that asks for `received`. */
export class SyslogServer {
  readonly received: Received[] = [];
  readonly problems: string[] = [];
  readonly sockets = new Set<TLSSocket>();
  readonly clientProblems: string[] = [];
  connections = 0;
  /** Asked for each connection: after how many bytes it is cut; undefined: never. */
  cutAfter: (connection: number) => number | undefined = () => undefined;
  /** While true, nothing is read. */
  idle = false;
  readonly #server: TlsServer;

  constructor(tls: { cert: string; key: string; ca?: string; requestCert?: boolean }) {
    this.#server = createTlsServer({ ...tls, rejectUnauthorized: true }, (socket) => this.#take(socket));
    this.#server.on('tlsClientError', (error) => void this.clientProblems.push(error.message));
  }

  /** The port it listens at. */
  async listen(port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  read(): void {
    this.idle = false;
    for (const socket of this.sockets) socket.resume();
  }

  #take(socket: TLSSocket): void {
    const connection = ++this.connections;
    const cut = this.cutAfter(connection);
    let pending: Buffer = Buffer.alloc(0);
    let bytes = 0;
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      const rest = cut === undefined ? chunk : chunk.subarray(0, Math.max(0, cut - bytes));
      bytes += chunk.length;
      pending = this.#frames(Buffer.concat([pending, rest]), connection);
      if (cut !== undefined && bytes >= cut) socket.destroy();
      if (this.idle) socket.pause();
    });
    if (this.idle) socket.pause();
  }

  #frames(bytes: Buffer, connection: number): Buffer {
    for (let rest = bytes; ; ) {
      const space = rest.indexOf(32);
      if (space === -1) return rest;
      const length = Number(rest.toString('latin1', 0, space));
      if (!Number.isInteger(length) || length <= 0) {
        this.problems.push(`no length: ${rest.toString('latin1', 0, 20)}`);
        return Buffer.alloc(0);
      }
      if (rest.length < space + 1 + length) return rest;
      this.#message(rest.toString('utf8', space + 1, space + 1 + length), connection);
      rest = rest.subarray(space + 1 + length);
    }
  }

  #message(text: string, connection: number): void {
    const [, priority, , , id, chain = '', seq, hash, , kind, line = ''] = MESSAGE.exec(text) ?? [];
    const entry = line === '' ? undefined : JSON.parse(line);
    if (
      entry?.hash !== hash ||
      String(entry?.seq) !== seq ||
      entry?.kind !== kind ||
      id !== kind ||
      Number(priority) > 191
    )
      this.problems.push(text);
    this.received.push({ chain, line, connection });
  }
}

type Call = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly at: number };

/** Says to each call what `answer` says; keeps what it answered with 2xx, and was signed, as received. */
export class WebhookServer {
  readonly received: Received[] = [];
  readonly calls: Call[] = [];
  readonly problems: string[] = [];
  answer: (call: Call, response: ServerResponse, n: number) => void = (_call, response) =>
    response.writeHead(204).end();
  readonly #server: Server | HttpsServer;
  readonly #secret: string;
  readonly #scheme: string;

  constructor(secret: string, tls?: { cert: string; key: string }) {
    this.#secret = secret;
    this.#scheme = tls ? 'https' : 'http';
    const take: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => this.#take(request.headers, Buffer.concat(chunks), response));
    };
    this.#server = tls ? createHttpsServer(tls, take) : createHttpServer(take);
  }

  async listen(port = 0): Promise<string> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}/entries`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(headers: IncomingHttpHeaders, body: Buffer, response: ServerResponse): void {
    const call = { headers, body: body.toString('utf8'), at: performance.now() };
    this.calls.push(call);
    const [, time = '', sent = ''] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['countersign-signature'])) ?? [];
    const right = createHmac('sha256', this.#secret).update(`${time}.`).update(body).digest();
    const given = Buffer.from(sent, 'hex');
    if (given.length !== 32 || !timingSafeEqual(given, right)) this.problems.push('not signed');
    this.answer(call, response, this.calls.length);
    if (response.statusCode >= 300 || !response.writableEnded) return;
    const chain = String(headers['countersign-chain']);
    const lines = call.body.trimEnd().split('\n');
    const [first, last] = [lines[0], lines.at(-1)].map((line) => (JSON.parse(line ?? '{}') as { seq: number }).seq);
    if (headers['idempotency-key'] !== `${chain}:${first}-${last}`) this.problems.push('another key than its entries');
    for (const line of lines) this.received.push({ chain, line, connection: 0 });
  }
}

/** Every line that the directory holds now, by chain. */
export async function storedLines(dir: string): Promise<Map<string, string[]>> {
  const stored = new Map<string, string[]>();
  for (const { chain, file } of await listSegments(dir)) {
    const lines = (await readFile(join(dir, file), 'utf8')).split('\n').slice(0, -1);
    stored.set(chain, [...(stored.get(chain) ?? []), ...lines]);
  }
  return stored;
}

/** Is everything that is stored there, each chain in its order, whatever came twice? Says what is not. */
export async function whatIsMissing(dir: string, received: readonly Received[]): Promise<string | undefined> {
  for (const [chain, lines] of await storedLines(dir)) {
    const once = new Set(received.filter((one) => one.chain === chain).map(({ line }) => line));
    const missing = lines.filter((line) => !once.has(line));
    const first = missing[0]?.slice(0, 200);
    if (missing.length > 0) return `${missing.length} of ${lines.length} of ${chain} are missing, first ${first}`;
    const stored = new Set(lines);
    const order = [...once].filter((line) => stored.has(line));
    const odd = order.findIndex((line, i) => line !== lines[i]);
    assert.equal(odd, -1, `${chain} did not come in order: ${order[odd]?.slice(0, 200)}`);
  }
  return undefined;
}

/** No entry came where the one before it had not come yet, however often it went back. */
export function neverSkips(received: readonly Received[]): void {
  const newest = new Map<string, number>();
  for (const { chain, line } of received) {
    const { seq } = JSON.parse(line) as { seq: number };
    const last = newest.get(chain);
    assert.ok(last === undefined || seq <= last + 1, `${chain}: ${seq} came after ${last}`);
    newest.set(chain, Math.max(last ?? 0, seq));
  }
}
