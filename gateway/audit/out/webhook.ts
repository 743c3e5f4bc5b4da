/**
 * Entries to a web address: POST of batches as JSON lines, each the trail's own, signed. What was answered with 2xx in time
 * is delivered; the same batch keeps its key however often it is sent, until the process ends.
 */
import { createHmac } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Secret } from '../../secrets.ts';
import { type Batch, keyOf, Later, type Receiver, Refused } from './receiver.ts';

export type WebhookOptions = {
  readonly url: string;
  readonly secret: Secret;
  readonly entries: number;
  readonly bytes: number;
  /** From the first byte sent to the answer's status. */
  readonly timeoutMs: number;
  /** PEM; left out, the authorities that Node trusts. */
  readonly ca?: string | undefined;
  readonly now?: () => number;
};

/** Worth another attempt: the rest of 4xx says that the request itself is not wanted. */
const AGAIN = new Set([408, 425, 429]);
const MAX_ASKED_MS = 3_600_000; // a receiver may not silence the evidence for longer
const MAX_ANSWER_BYTES = 64 * 1024;

export class WebhookReceiver implements Receiver {
  readonly most: Receiver['most'];
  readonly #options: WebhookOptions;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(options: WebhookOptions) {
    this.#options = options;
    this.most = { entries: options.entries, bytes: options.bytes };
    const pool = { keepAlive: true, maxSockets: 1 };
    this.#agent = options.url.startsWith('https:')
      ? new HttpsAgent({ ...pool, minVersion: 'TLSv1.2', ...(options.ca === undefined ? {} : { ca: options.ca }) })
      : new HttpAgent(pool);
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    const body = Buffer.from(batch.entries.map(({ text }) => `${text}\n`).join(''), 'utf8');
    const { status, retryAfter } = await this.#post(body, batch, signal);
    if (status >= 200 && status < 300) return;
    if (status >= 300 && status < 400) throw new Refused(`HTTP ${status}: redirects are not followed`);
    if (status < 500 && !AGAIN.has(status)) throw new Refused(`HTTP ${status}`);
    const asked = retryAfter === undefined ? undefined : askedMs(retryAfter, (this.#options.now ?? Date.now)());
    throw asked === undefined
      ? new Error(`HTTP ${status}`)
      : new Later(`HTTP ${status}`, Math.min(asked, MAX_ASKED_MS));
  }

  async close(): Promise<void> {
    this.#agent.destroy();
  }

  #post(body: Buffer, batch: Batch, signal: AbortSignal): Promise<{ status: number; retryAfter: string | undefined }> {
    const { url, secret, timeoutMs, now = Date.now } = this.#options;
    const time = Math.floor(now() / 1_000);
    const headers = {
      'content-type': 'application/x-ndjson',
      'content-length': body.length,
      'user-agent': 'countersign',
      'idempotency-key': keyOf(batch),
      'countersign-chain': batch.chain,
      'countersign-signature': `t=${time},v1=${signature(secret.reveal(), time, body)}`,
    };
    return new Promise((resolve, reject) => {
      const send = url.startsWith('https:') ? httpsRequest : httpRequest;
      const request = send(url, { method: 'POST', headers, agent: this.#agent, signal });
      const late = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      request.once('error', reject);
      request.once('close', () => clearTimeout(late));
      request.once('response', (response) => {
        let read = 0;
        response.on('data', (chunk: Buffer) => {
          read += chunk.length;
          if (read > MAX_ANSWER_BYTES) response.destroy();
        });
        response.on('error', () => {}); // its status has been said
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] });
      });
      request.end(body);
    });
  }
}

/** HMAC-SHA256 over the time in seconds, a dot, and the body; hex. */
export const signature = (secret: string, time: number, body: Buffer): string =>
  createHmac('sha256', secret).update(`${time}.`).update(body).digest('hex');

/** `Retry-After`: seconds, or a date. Undefined where it is neither. */
function askedMs(value: string, now: number): number | undefined {
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
