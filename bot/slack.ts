/** The bot's own way to the Web API: no silent retries, no stalled queue; every failure sorted into what to do about it. */
import { performance } from 'node:perf_hooks';
import { type Logger, webApi } from '@slack/bolt';
import { paused } from './wait.ts';

const { WebClient, WebAPIHTTPError, WebAPIPlatformError, WebAPIRateLimitedError, WebAPIRequestError } = webApi;

const TIMEOUT_MS = 10_000;
const POST_BURST = 3;
const POST_MS = 1_000; // Slack: about one message a second and channel

/** Codes with which Slack leaves open whether it did what was asked. */
const UNCERTAIN = new Set([
  'fatal_error',
  'internal_error',
  'service_unavailable',
  'request_timeout',
  'team_added_to_org',
]);

export type Problem =
  /** Not executed; ask again after `retryMs`. */
  | { readonly kind: 'limited'; readonly retryMs: number }
  /** Slack may have done it: the reply was lost, late, or a server error. */
  | { readonly kind: 'uncertain' }
  /** Slack said no, with its code. */
  | { readonly kind: 'refused'; readonly error: string };

export class SlackError extends Error {
  override readonly name = 'SlackError';
  readonly problem: Problem;
  constructor(method: string, problem: Problem, cause?: unknown) {
    super(`${method}: ${problem.kind === 'refused' ? problem.error : problem.kind}`, { cause });
    this.problem = problem;
  }
}

export const refusal = (error: unknown): string | undefined =>
  error instanceof SlackError && error.problem.kind === 'refused' ? error.problem.error : undefined;

export type Slack = {
  /** @throws SlackError */
  call(method: string, args?: Record<string, unknown>): Promise<Record<string, unknown>>;
};

/** Throttled per method (and channel, where Slack does): a limited call fails at once and delays no other. */
export class SlackClient implements Slack {
  readonly #client: webApi.WebClient;
  readonly #notBefore = new Map<string, number>();
  readonly #posts = new Map<string, number>();

  constructor(options: { token: string; apiUrl: string | undefined; logger: Logger }) {
    this.#client = new WebClient(options.token, {
      ...(options.apiUrl === undefined ? {} : { slackApiUrl: options.apiUrl }),
      logger: options.logger,
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      timeout: TIMEOUT_MS,
      allowAbsoluteUrls: false,
    });
  }

  async call(method: string, args: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const posting = method === 'chat.postMessage';
    const lane = posting ? `${method} ${String(args.channel)}` : method;
    const wait = Math.max((this.#notBefore.get(lane) ?? 0) - performance.now(), posting ? this.#postWait(lane) : 0);
    if (wait > 0) throw new SlackError(method, { kind: 'limited', retryMs: Math.ceil(wait) });
    try {
      return { ...(await this.#client.apiCall(method, args)) };
    } catch (error) {
      const problem = problemOf(error);
      // What Slack refused was not posted and counts for nothing.
      if (posting && problem.kind === 'refused') this.#posts.set(lane, (this.#posts.get(lane) ?? 0) - POST_MS);
      if (problem.kind === 'limited') this.#notBefore.set(lane, performance.now() + problem.retryMs);
      throw new SlackError(method, problem, error);
    }
  }

  /** A bucket of `POST_BURST`, kept as the moment at which it will be full again. Ms to wait, 0 when one was taken. */
  #postWait(lane: string): number {
    const now = performance.now();
    if (this.#posts.size > 1_000) for (const [old, full] of this.#posts) if (full <= now) this.#posts.delete(old);
    const full = Math.max(now, this.#posts.get(lane) ?? now);
    const wait = full - now - (POST_BURST - 1) * POST_MS;
    if (wait > 0) return wait;
    this.#posts.set(lane, full + POST_MS);
    return 0;
  }
}

function problemOf(error: unknown): Problem {
  if (error instanceof WebAPIRateLimitedError)
    return { kind: 'limited', retryMs: Math.max(1, error.retryAfter) * 1_000 };
  if (error instanceof WebAPIPlatformError) {
    const code = String(error.data.error);
    if (code === 'ratelimited' || code === 'rate_limited') return { kind: 'limited', retryMs: 1_000 };
    return UNCERTAIN.has(code) ? { kind: 'uncertain' } : { kind: 'refused', error: code };
  }
  if (error instanceof WebAPIHTTPError && error.statusCode === 404) return { kind: 'refused', error: 'unknown_method' };
  if (error instanceof WebAPIHTTPError || error instanceof WebAPIRequestError) return { kind: 'uncertain' };
  return { kind: 'uncertain' };
}

/**
 * Ask for something that changes nothing, again and again until it is answered or refused.
 * @throws SlackError when Slack refuses, or when `signal` ends the patience.
 */
export async function patiently(
  slack: Slack,
  method: string,
  args: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  for (let pause = 200; ; pause = Math.min(2 * pause, 2_000)) {
    try {
      return await slack.call(method, args);
    } catch (error) {
      if (!(error instanceof SlackError) || error.problem.kind === 'refused' || signal.aborted) throw error;
      await paused(error.problem.kind === 'limited' ? error.problem.retryMs : pause, signal);
      if (signal.aborted) throw error;
    }
  }
}
