/** Misfortunes a test orders beforehand: limits, lost replies, dropped sockets, redeliveries, delays, outages. */
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

const count = z.number().int().min(1).max(100_000).default(1);
const ms = z.number().int().min(1).max(600_000);
const method = z.string().max(100);

/** What `POST /control/fault` takes. `method: "*"` is every Web API method. */
export const faultSchema = z.discriminatedUnion('kind', [
  /** The next `count` calls get 429 and `Retry-After: retryAfter` (seconds). */
  z.strictObject({
    kind: z.literal('rate_limit'),
    method,
    count,
    retryAfter: z.number().int().min(0).max(3600).default(1),
  }),
  /** The next `count` calls are executed; their connection is dropped before the answer. */
  z.strictObject({ kind: z.literal('lose_reply'), method, count }),
  /** The next `count` calls answer `{ok: false, error}` without being executed. */
  z.strictObject({ kind: z.literal('error'), method, error: z.string().max(100), count }),
  /** The next `count` calls answer this status without being executed. */
  z.strictObject({
    kind: z.literal('http_5xx'),
    method,
    count,
    status: z.number().int().min(500).max(599).default(503),
  }),
  /** Socket Mode connections end now: `reason` as a `disconnect` frame first, or abruptly without. */
  z.strictObject({
    kind: z.literal('drop_socket'),
    reason: z.enum(['warning', 'refresh_requested', 'link_disabled']).optional(),
    count: z.number().int().min(1).max(10).default(10),
  }),
  /** The next `count` clicks, commands, submissions and events are delivered twice. */
  z.strictObject({ kind: z.literal('redeliver'), count }),
  /**
   * The next `count` clicks, commands, submissions and events reach the app, which is cut off as soon as it has them: no
   * acknowledgement arrives, and they are delivered again over another connection.
   */
  z.strictObject({ kind: z.literal('cut_delivery'), count }),
  /** The next `count` calls of `method`, or deliveries of `delivery` (`*`, or an envelope type), are late by `ms`. */
  z.strictObject({
    kind: z.literal('delay'),
    method: method.optional(),
    delivery: z.string().max(40).optional(),
    ms,
    count,
  }),
  /** For `ms`, every API call and socket is cut. */
  z.strictObject({ kind: z.literal('down'), ms }),
  /** Faults still waiting are forgotten. */
  z.strictObject({ kind: z.literal('clear') }),
  /** Which rate limits hold from now on. */
  z.strictObject({ kind: z.literal('rate_mode'), mode: z.enum(['off', 'generous', 'strict']) }),
]);
export type Fault = z.infer<typeof faultSchema>;

type CallFault = Extract<Fault, { kind: 'rate_limit' | 'lose_reply' | 'error' | 'http_5xx' }>;
type DelayFault = Extract<Fault, { kind: 'delay' }>;

export class Faults {
  #calls: CallFault[] = [];
  #delays: DelayFault[] = [];
  #redeliver = 0;
  #cut = 0;
  #downUntil = 0;

  add(fault: CallFault | DelayFault): void {
    if (fault.kind === 'delay') this.#delays.push({ ...fault });
    else this.#calls.push({ ...fault });
  }

  clear(): void {
    this.#calls = [];
    this.#delays = [];
    this.#redeliver = 0;
    this.#cut = 0;
    this.#downUntil = 0;
  }

  redeliver(times: number): void {
    this.#redeliver += times;
  }

  takeRedelivery(): boolean {
    if (this.#redeliver === 0) return false;
    this.#redeliver -= 1;
    return true;
  }

  cutDelivery(times: number): void {
    this.#cut += times;
  }

  takeCut(): boolean {
    if (this.#cut === 0) return false;
    this.#cut -= 1;
    return true;
  }

  down(forMs: number): void {
    this.#downUntil = performance.now() + forMs;
  }

  isDown(): boolean {
    return performance.now() < this.#downUntil;
  }

  takeCall(name: string): CallFault | undefined {
    const fault = this.#calls.find((one) => one.method === name || one.method === '*');
    if (fault === undefined) return undefined;
    fault.count -= 1;
    if (fault.count === 0) this.#calls.splice(this.#calls.indexOf(fault), 1);
    return fault;
  }

  async delayOf(where: 'method' | 'delivery', name: string): Promise<void> {
    const fault = this.#delays.find((one) => one[where] === name || one[where] === '*');
    if (fault === undefined) return;
    fault.count -= 1;
    if (fault.count === 0) this.#delays.splice(this.#delays.indexOf(fault), 1);
    await delay(fault.ms, undefined, { ref: false });
  }
}
