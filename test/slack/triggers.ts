/** Bearer secrets Slack hands out with an interaction: trigger ids (once, 3 s) and response URLs (5 times, 30 min). */
import { randomBytes } from 'node:crypto';
import { ApiError } from './api.ts';

const TRIGGER_MS = 3_000;
const RESPONSE_URL_MS = 30 * 60_000;
const RESPONSE_URL_USES = 5;
const MAX_KEPT = 10_000;

export interface Trigger {
  user: string;
}

export class Triggers {
  readonly #now: () => number;
  readonly #known = new Map<string, Trigger & { until: number; used: boolean }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  issue(user: string): string {
    const id = `${this.#now()}.${randomBytes(4).readUInt32BE()}.${randomBytes(16).toString('hex')}`;
    this.#known.set(id, { user, until: this.#now() + TRIGGER_MS, used: false });
    trim(this.#known);
    return id;
  }

  /** Uses a trigger up, or throws what Slack answers. */
  take(id: string): Trigger {
    const trigger = this.#known.get(id);
    if (trigger === undefined) throw new ApiError('invalid_trigger_id');
    if (trigger.used) throw new ApiError('exchanged_trigger_id');
    if (this.#now() >= trigger.until) throw new ApiError('expired_trigger_id');
    trigger.used = true;
    return trigger;
  }
}

/** What a response URL is about. */
export interface ResponseTarget {
  user: string;
  channel: string;
  /** The message clicked on, when there was one. */
  ts?: string;
}

export class ResponseUrls {
  readonly #now: () => number;
  readonly #known = new Map<string, ResponseTarget & { until: number; uses: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The path of a new response URL, without the leading slash. */
  issue(target: ResponseTarget, teamId: string): string {
    const path = `hooks/actions/${teamId}/${randomBytes(6).toString('hex')}/${randomBytes(18).toString('base64url')}`;
    this.#known.set(path, { ...target, until: this.#now() + RESPONSE_URL_MS, uses: 0 });
    trim(this.#known);
    return path;
  }

  take(path: string): ResponseTarget | 'used_url' | 'expired_url' {
    const known = this.#known.get(path);
    if (known === undefined || this.#now() >= known.until) return 'expired_url';
    if (known.uses >= RESPONSE_URL_USES) return 'used_url';
    known.uses += 1;
    return known;
  }
}

function trim(map: Map<string, unknown>): void {
  const oldest = map.keys().next();
  if (map.size > MAX_KEPT && oldest.done !== true) map.delete(oldest.value);
}
