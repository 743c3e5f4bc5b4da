/** How payloads reach the app: Socket Mode or signed HTTP, each to exactly one taker, answered within the deadline. */
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type WebSocket, WebSocketServer } from 'ws';
import { ApiError } from './api.ts';
import type { Faults } from './faults.ts';
import { BOT, type Json, type Workspace } from './workspace.ts';

export type EnvelopeType = 'interactive' | 'slash_commands' | 'events_api';
export type Answer = { ok: true; body: Json } | { ok: false; error: 'operation_timeout' | 'dispatch_failed' };
export interface Retry {
  attempt: number;
  reason: string;
}

const MAX_CONNECTIONS = 10;
const PING_EVERY_MS = 5_000;
const TICKET_MS = 30_000;
const POLITE_MS = 300;
const MAX_FRAME_BYTES = 1 << 20;
const MAX_ANSWER_BYTES = 1 << 20;

interface Waiting {
  socket: WebSocket;
  settle: (answer: Answer) => void;
}

export class Delivery {
  readonly #workspace: Workspace;
  readonly #faults: Faults;
  readonly #ackMs: number;
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES });
  readonly #tickets = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting>();
  #connections: WebSocket[] = [];
  #turn = 0;
  readonly #log: (line: string) => void;

  constructor(options: { workspace: Workspace; faults: Faults; ackMs: number; log: (line: string) => void }) {
    this.#workspace = options.workspace;
    this.#faults = options.faults;
    this.#ackMs = options.ackMs;
    this.#log = options.log;
  }

  get connections(): number {
    return this.#connections.length;
  }

  /** A Socket Mode address, good for one connection within 30 s. */
  openSocket(base: string): string {
    if (this.#workspace.app.mode !== 'socket') throw new ApiError('socket_mode_disabled');
    const ticket = randomUUID();
    this.#tickets.set(ticket, performance.now() + TICKET_MS);
    for (const [known, until] of this.#tickets) if (until < performance.now()) this.#tickets.delete(known);
    return `${base.replace('http', 'ws')}link/?ticket=${ticket}&app_id=${BOT.app}`;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const ticket = new URL(request.url ?? '/', 'http://localhost').searchParams.get('ticket') ?? '';
    const until = this.#tickets.get(ticket);
    this.#tickets.delete(ticket);
    if (this.#faults.isDown() || until === undefined || until < performance.now()) return void socket.destroy();
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#accept(ws));
  }

  #accept(ws: WebSocket): void {
    ws.on('error', () => ws.terminate());
    if (this.#connections.length >= MAX_CONNECTIONS) {
      ws.send(JSON.stringify({ type: 'disconnect', reason: 'too_many_websockets', debug_info: { host: 'emulated' } }));
      ws.close();
      return;
    }
    this.#connections.push(ws);
    const ping = setInterval(() => ws.ping('Ping from emulated'), PING_EVERY_MS);
    ws.on('close', () => {
      clearInterval(ping);
      this.#connections = this.#connections.filter((one) => one !== ws);
    });
    ws.on('message', (data) => this.#acknowledged(ws, String(data)));
    ws.send(
      JSON.stringify({
        type: 'hello',
        num_connections: this.#connections.length,
        debug_info: { host: 'emulated', build_number: 1, approximate_connection_time: 18_060 },
        connection_info: { app_id: BOT.app },
      }),
    );
  }

  #acknowledged(ws: WebSocket, text: string): void {
    let frame: Json;
    try {
      frame = JSON.parse(text) as Json;
    } catch {
      return;
    }
    const waiting = this.#waiting.get(String(frame?.envelope_id));
    if (waiting === undefined || waiting.socket !== ws) return; // an answer counts only from where the question went
    waiting.settle({
      ok: true,
      body: typeof frame.payload === 'object' && frame.payload !== null ? (frame.payload as Json) : {},
    });
  }

  /** Ends connections: with a `disconnect` frame when `reason` is given, else as a cut cable does. */
  drop(count: number, reason?: string): void {
    for (const ws of this.#connections.slice(0, count)) {
      if (reason === undefined) ws.terminate();
      else {
        ws.send(JSON.stringify({ type: 'disconnect', reason, debug_info: { host: 'emulated' } }));
        setTimeout(() => ws.close(), 1_000).unref();
      }
    }
  }

  /** Delivers to one connection, or to the request URL. Never throws; late or no answer is an error. */
  async deliver(type: EnvelopeType, payload: Json, retry?: Retry): Promise<Answer> {
    await this.#faults.delayOf('delivery', type);
    const send = this.#workspace.app.mode === 'socket' ? this.#bySocket : this.#byHttp;
    const again = this.#faults.takeRedelivery();
    const next = { attempt: (retry?.attempt ?? 0) + 1, reason: 'timeout' };
    const cut = this.#faults.takeCut();
    if (cut) await send.call(this, type, payload, retry, true);
    const answer = await send.call(this, type, payload, cut ? next : retry);
    if (again) void send.call(this, type, payload, next);
    if (!answer.ok) this.#log(`slack: ${type} was not acknowledged: ${answer.error}`);
    return answer;
  }

  /** `cut`: the connection breaks once the app has the payload. */
  #bySocket(type: EnvelopeType, payload: Json, retry?: Retry, cut = false): Promise<Answer> {
    const open = this.#connections.filter((ws) => ws.readyState === ws.OPEN);
    this.#turn += 1;
    const ws = open[this.#turn % Math.max(1, open.length)];
    if (ws === undefined || this.#faults.isDown()) return Promise.resolve({ ok: false, error: 'dispatch_failed' });
    const id = randomUUID();
    return new Promise((resolve) => {
      const settle = (answer: Answer): void => {
        clearTimeout(timer);
        ws.off('close', gone);
        this.#waiting.delete(id);
        resolve(answer);
      };
      const gone = (): void => settle({ ok: false, error: 'dispatch_failed' });
      const timer = setTimeout(() => settle({ ok: false, error: 'operation_timeout' }), this.#ackMs);
      ws.once('close', gone);
      if (cut) ws.on('pong', (data) => String(data) === id && ws.terminate());
      else this.#waiting.set(id, { socket: ws, settle });
      ws.send(
        JSON.stringify({
          envelope_id: id,
          type,
          payload,
          accepts_response_payload: type !== 'events_api',
          ...(type === 'events_api' || retry !== undefined
            ? { retry_attempt: retry?.attempt ?? 0, retry_reason: retry?.reason ?? '' }
            : {}),
        }),
      );
      if (cut) ws.ping(id); // answered once the payload is read
    });
  }

  /** `cut`: what the app answers is not heard. */
  async #byHttp(type: EnvelopeType, payload: Json, retry?: Retry, cut = false): Promise<Answer> {
    const { requestUrl, signingSecret } = this.#workspace.app;
    if (requestUrl === undefined) return { ok: false, error: 'dispatch_failed' };
    const [contentType, body] = encode(type, payload);
    const stamp = String(Math.floor(Date.now() / 1000));
    const signature = `v0=${createHmac('sha256', signingSecret).update(`v0:${stamp}:${body}`).digest('hex')}`;
    try {
      const response = await fetch(requestUrl, {
        method: 'POST',
        redirect: 'error',
        signal: AbortSignal.timeout(this.#ackMs),
        headers: {
          'content-type': contentType,
          'user-agent': 'Slackbot 1.0 (+https://api.slack.com/robots)',
          'x-slack-request-timestamp': stamp,
          'x-slack-signature': signature,
          ...(retry === undefined
            ? {}
            : { 'x-slack-retry-num': String(retry.attempt), 'x-slack-retry-reason': retry.reason }),
        },
        body,
      });
      const text = (await response.text()).slice(0, MAX_ANSWER_BYTES);
      if (cut || response.status !== 200) return { ok: false, error: 'dispatch_failed' };
      return { ok: true, body: parseAnswer(text) };
    } catch (error) {
      const late = error instanceof Error && error.name === 'TimeoutError';
      return { ok: false, error: late ? 'operation_timeout' : 'dispatch_failed' };
    }
  }

  /** Closes the connections: politely for a moment, so that a client that is itself closing sees no error, then not. */
  async stop(): Promise<void> {
    const open = [...this.#connections];
    const closed = open.map((ws) => once(ws, 'close'));
    for (const ws of open) ws.close(1001);
    await Promise.race([Promise.all(closed), delay(POLITE_MS, undefined, { ref: false })]);
    for (const ws of open) ws.terminate();
    for (const waiting of [...this.#waiting.values()]) waiting.settle({ ok: false, error: 'dispatch_failed' });
    this.#server.close();
  }
}

function encode(type: EnvelopeType, payload: Json): [contentType: string, body: string] {
  if (type === 'events_api') return ['application/json', JSON.stringify(payload)];
  const form =
    type === 'interactive'
      ? new URLSearchParams({ payload: JSON.stringify(payload) })
      : new URLSearchParams(Object.fromEntries(Object.entries(payload).map(([key, value]) => [key, String(value)])));
  return ['application/x-www-form-urlencoded', form.toString()];
}

/** A slash command may be answered in plain text; everything else is JSON or nothing. */
function parseAnswer(text: string): Json {
  if (text.trim() === '') return {};
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Json) : { text: String(parsed) };
  } catch {
    return { text };
  }
}

export const newVerificationToken = (): string => randomBytes(12).toString('hex');
