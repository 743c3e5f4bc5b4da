/** One Web API call: arguments, tokens, scopes, rate limits, faults, answer. The methods themselves are in `methods-*.ts`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Faults } from './faults.ts';
import type { Interactions } from './interact.ts';
import { Limiter, type RateMode } from './limits.ts';
import type { Json, Workspace } from './workspace.ts';

const MAX_BODY_BYTES = 2 << 20; // larger than anything Slack takes in one call

export class ApiError extends Error {
  readonly code: string;
  readonly extra: Json;
  constructor(code: string, extra: Json = {}) {
    super(code);
    this.code = code;
    this.extra = extra;
  }
}

/** `invalid_arguments` in Slack's shape. */
export const badArguments = (...messages: string[]): ApiError =>
  new ApiError('invalid_arguments', { response_metadata: { messages } });

/** Arguments of a call, whether they came as a form or as JSON. */
export class Args {
  readonly #fields: Json;
  constructor(fields: Json) {
    this.#fields = fields;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined && this.#fields[name] !== null;
  }

  text(name: string): string | undefined {
    const value = this.#fields[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'object') throw badArguments(`[ERROR] must provide a string [json-pointer:/${name}]`);
    return String(value);
  }

  need(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === '') throw badArguments(`[ERROR] missing required field: ${name}`);
    return value;
  }

  flag(name: string): boolean {
    return ['true', '1'].includes(this.text(name) ?? '');
  }

  /** A number of items, 1 to `max`. */
  limit(fallback: number, max: number): number {
    const asked = Number(this.text('limit') ?? fallback);
    if (!Number.isInteger(asked) || asked < 0) throw new ApiError('invalid_limit');
    return Math.min(asked === 0 ? fallback : asked, max);
  }

  /** A structure: JSON text in a form, JSON itself in a JSON body. `error` is what malformed JSON is called. */
  json(name: string, error: string): unknown {
    const value = this.#fields[name];
    if (typeof value !== 'string') return value ?? undefined;
    if (value === '') return undefined;
    try {
      return JSON.parse(value);
    } catch {
      throw new ApiError(error);
    }
  }
}

export interface Context {
  workspace: Workspace;
  interactions: Interactions;
  base: string;
  openSocket(): string;
}

export interface Method {
  token: 'bot' | 'app';
  /** All of these must be granted. */
  scopes: readonly string[];
  /** Calls a minute; `post` is one message a second and channel. */
  tier: 1 | 2 | 3 | 4 | 'special' | 'post';
  run(context: Context, args: Args): Json | Promise<Json>;
}

export interface ApiOptions {
  methods: ReadonlyMap<string, Method>;
  context: Context;
  faults: Faults;
  rate: RateMode;
  onCall?: (method: string, error: string | undefined) => void;
}

export class Api {
  readonly #options: ApiOptions;
  readonly limiter: Limiter;

  constructor(options: ApiOptions) {
    this.#options = options;
    this.limiter = new Limiter(options.rate);
  }

  async handle(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    const { faults, onCall } = this.#options;
    if (faults.isDown()) return void request.socket.destroy();
    const body = await readBody(request, MAX_BODY_BYTES);
    if (body === undefined) return void response.writeHead(413).end();
    const fault = faults.takeCall(name);
    await faults.delayOf('method', name);
    if (fault?.kind === 'rate_limit') return tooMany(response, fault.retryAfter);
    if (fault?.kind === 'http_5xx') return void response.writeHead(fault.status).end('upstream connect error');
    let answer: Json;
    const headers: Record<string, string> = {};
    try {
      if (fault?.kind === 'error') throw new ApiError(fault.error);
      const args = new Args(parseArguments(request, body));
      const method = this.#authorise(name, request, args, headers);
      const wait = this.limiter.wait(method.tier, name, args);
      if (wait > 0) {
        onCall?.(name, 'ratelimited');
        return tooMany(response, wait);
      }
      answer = { ok: true, ...(await method.run(this.#options.context, args)) };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      answer = { ok: false, error: error.code, ...error.extra };
    }
    onCall?.(name, answer.ok === true ? undefined : String(answer.error));
    if (fault?.kind === 'lose_reply') return void request.socket.destroy();
    response
      .writeHead(200, { 'content-type': 'application/json; charset=utf-8', ...headers })
      .end(JSON.stringify(answer));
  }

  #authorise(name: string, request: IncomingMessage, args: Args, headers: Record<string, string>): Method {
    const { app } = this.#options.context.workspace;
    const method = this.#options.methods.get(name);
    if (method === undefined) throw new ApiError('unknown_method', { req_method: name });
    const header = /^Bearer (\S{1,500})$/i.exec(request.headers.authorization ?? '')?.[1];
    const token = header ?? args.text('token');
    if (token === undefined) throw new ApiError('not_authed');
    const kind = token === app.botToken ? 'bot' : token === app.appToken ? 'app' : undefined;
    if (kind === undefined) throw new ApiError('invalid_auth');
    const granted = kind === 'bot' ? app.scopes : ['connections:write'];
    headers['x-oauth-scopes'] = granted.join(',');
    headers['x-accepted-oauth-scopes'] = method.scopes.join(',');
    if (kind !== method.token) throw new ApiError('not_allowed_token_type');
    if (method.token === 'app' && header === undefined) throw new ApiError('not_authed'); // app tokens: header only
    const missing = method.scopes.filter((scope) => !granted.includes(scope));
    if (missing.length > 0) {
      throw new ApiError('missing_scope', { needed: missing.join(','), provided: granted.join(',') });
    }
    return method;
  }
}

function tooMany(response: ServerResponse, seconds: number): void {
  response
    .writeHead(429, { 'retry-after': String(seconds), 'content-type': 'application/json; charset=utf-8' })
    .end(JSON.stringify({ ok: false, error: 'ratelimited' }));
}

function parseArguments(request: IncomingMessage, body: Buffer): Json {
  const query = Object.fromEntries(new URL(request.url ?? '/', 'http://localhost').searchParams);
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
  if (body.length === 0) return query;
  if (type === 'application/json') {
    try {
      const parsed: unknown = JSON.parse(body.toString('utf8'));
      if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return { ...query, ...parsed };
    } catch {
      // answered below
    }
    throw new ApiError('invalid_json');
  }
  if (type === 'application/x-www-form-urlencoded' || type === undefined || type === '') {
    return { ...query, ...Object.fromEntries(new URLSearchParams(body.toString('utf8'))) };
  }
  throw new ApiError('invalid_post_type');
}

/** The whole body, or undefined when it is longer than `max` bytes. */
export async function readBody(request: IncomingMessage, max: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > max) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
