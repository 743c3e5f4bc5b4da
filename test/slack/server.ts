/** The emulated Slack workspace: one loopback server with Web API, Socket Mode, control and a page to look at. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { Api, type Context, readBody } from './api.ts';
import { Control, type ControlAnswer } from './control.ts';
import { Delivery } from './delivery.ts';
import { Events } from './events.ts';
import { type Fault, Faults } from './faults.ts';
import { Interactions } from './interact.ts';
import type { RateMode } from './limits.ts';
import { chatMethods } from './methods-chat.ts';
import { peopleMethods } from './methods-people.ts';
import { Page } from './page.ts';
import { respond } from './respond.ts';
import { BOT_SCOPES, DEFAULT_CHANNELS, DEFAULT_GROUPS, DEFAULT_PEOPLE, TEAM } from './seed.ts';
import { type TerminalOptions, Terminals } from './terminal.ts';
import { type AppSpec, type Json, Workspace, type WorkspaceSpec } from './workspace.ts';

const MAX_CONTROL_BYTES = 1 << 20;

export interface SlackOptions {
  /** 0 or absent: any free port. Always loopback. */
  port?: number;
  people?: WorkspaceSpec['people'];
  groups?: WorkspaceSpec['groups'];
  channels?: WorkspaceSpec['channels'];
  app: {
    signingSecret: string;
    botToken: string;
    appToken: string;
    mode: 'socket' | 'http';
    requestUrl?: string;
    scopes?: string[];
    shouldEscape?: boolean;
  };
  rate?: RateMode;
  /** How long the app has to acknowledge; Slack's 3 s unless a test steers it. */
  ackMs?: number;
  now?: () => number;
  /** Gives the page a terminal pane that runs this. */
  terminal?: TerminalOptions;
  log?: (line: string) => void;
}

export interface Slack {
  /** The page people look at, with a trailing slash. */
  url: string;
  apiUrl: string;
  controlUrl: string;
  workspace: Workspace;
  /** Socket Mode connections open now. */
  connections(): number;
  /** The same as `GET <controlUrl>/<name>?…`. */
  read(name: string, query?: Record<string, string>): Promise<Json>;
  /** The same as `POST <controlUrl>/<name>`. */
  act(name: string, body: Json): Promise<ControlAnswer & Json>;
  fault(fault: Fault | { kind: string; [key: string]: unknown }): Promise<void>;
  /** Changes the app's installation, e.g. the request URL once the bot listens. */
  configure(app: Partial<AppSpec>): void;
  stop(): Promise<void>;
}

/** Starts the workspace; resolves once it listens. */
export async function startSlack(options: SlackOptions): Promise<Slack> {
  const log = options.log ?? (() => undefined);
  const workspace = new Workspace({
    team: TEAM,
    people: options.people ?? DEFAULT_PEOPLE,
    groups: options.groups ?? DEFAULT_GROUPS,
    channels: options.channels ?? DEFAULT_CHANNELS,
    app: { shouldEscape: true, ...options.app, scopes: options.app.scopes ?? BOT_SCOPES },
    now: options.now ?? Date.now,
  });
  const faults = new Faults();
  const delivery = new Delivery({ workspace, faults, ackMs: options.ackMs ?? 3_000, log });
  const events = new Events(workspace, delivery);
  let base = '';
  const interactions = new Interactions(workspace, delivery, () => base);
  const context: Context = {
    workspace,
    interactions,
    get base() {
      return base;
    },
    openSocket: () => delivery.openSocket(base),
  };
  const api = new Api({
    methods: new Map([...chatMethods, ...peopleMethods]),
    context,
    faults,
    rate: options.rate ?? 'generous',
    onCall: (method, error) => {
      if (error !== undefined) log(`slack: ${method}: ${error}`);
    },
  });
  const control = new Control({ workspace, interactions, events, delivery, faults, api });
  const page = new Page(workspace, options.terminal !== undefined);
  const terminals = options.terminal === undefined ? undefined : new Terminals(options.terminal);
  const server = createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      log(`slack: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname.startsWith('/api/')) return api.handle(request, response, url.pathname.slice(5));
    if (url.pathname.startsWith('/hooks/')) return hook(request, response, url.pathname.slice(1));
    if (!isOurs(request, base)) return void response.writeHead(403).end('this page is served to itself only');
    if (url.pathname.startsWith('/control/')) return controlled(request, response, url);
    if (await page.handle(request, response, url)) return;
    response.writeHead(404).end();
  }

  async function hook(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    if (faults.isDown()) return void request.socket.destroy();
    const body = await readBody(request, MAX_CONTROL_BYTES);
    const target = interactions.responseUrls.take(path);
    if (typeof target === 'string') return json(response, 404, { ok: false, error: target });
    const parsed = parseJson(body);
    if (parsed === undefined) return json(response, 400, { ok: false, error: 'invalid_payload' });
    const error = respond(workspace, target, parsed);
    return error === undefined ? void response.end('ok') : json(response, 400, { ok: false, error });
  }

  async function controlled(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const body = await readBody(request, MAX_CONTROL_BYTES);
    const parsed = request.method === 'POST' ? parseJson(body) : {};
    if (parsed === undefined) return json(response, 400, { ok: false, error: 'a JSON object is expected' });
    const answer = await control.handle(
      request.method ?? '',
      url.pathname.slice('/control/'.length),
      url.searchParams,
      parsed,
    );
    return json(response, answer === undefined ? 404 : 200, answer ?? { ok: false, error: 'no such path' });
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/link/') return delivery.upgrade(request, socket, head);
    if (pathname === '/terminal' && terminals !== undefined && isOurs(request, base)) {
      return terminals.upgrade(request, socket, head);
    }
    socket.destroy();
  });

  const port = await listen(server, options.port ?? 0);
  base = `http://127.0.0.1:${port}/`;
  return {
    url: base,
    apiUrl: `${base}api/`,
    controlUrl: `${base}control`,
    workspace,
    connections: () => delivery.connections,
    read: async (name, query = {}) =>
      (await control.handle('GET', name, new URLSearchParams(query), {})) ?? unknown(name),
    act: async (name, body) =>
      ((await control.handle('POST', name, new URLSearchParams(), body)) ?? unknown(name)) as ControlAnswer & Json,
    fault: async (fault) => {
      const answer = await control.handle('POST', 'fault', new URLSearchParams(), fault);
      if (answer?.ok !== true) throw new Error(String(answer?.error));
    },
    configure: (app) => Object.assign(workspace.app, app),
    stop: async () => {
      events.stop();
      page.stop();
      terminals?.stop();
      await delivery.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function unknown(name: string): never {
  throw new Error(`no such control: ${name}`);
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/**
 * Whether a request is from our own page or from a program on this machine: a foreign web page in the same browser
 * must not click for people. Names of the host are checked too, against rebound DNS.
 */
export function isOurs(request: IncomingMessage, base: string): boolean {
  const { port } = new URL(base);
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  if (!hosts.includes(request.headers.host ?? '')) return false;
  const { origin } = request.headers;
  if (origin !== undefined && !hosts.some((host) => origin === `http://${host}`)) return false;
  const site = request.headers['sec-fetch-site'];
  return site === undefined || site === 'same-origin' || (site === 'none' && request.method === 'GET');
}

function json(response: ServerResponse, status: number, body: Json): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}

function parseJson(body: Buffer | undefined): Json | undefined {
  if (body === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(body.length === 0 ? '{}' : body.toString('utf8'));
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? (parsed as Json) : undefined;
  } catch {
    return undefined;
  }
}
