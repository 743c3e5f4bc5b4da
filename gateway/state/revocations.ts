/** The revocation list: signed in Redis, remembered by every gateway, never taken back by an older or missing copy. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { principalKey } from '../operation.ts';
import type { SignedStore } from './signed.ts';

const KEY = 'countersign:revocations';
const REVOCATIONS_CHANNEL = 'countersign:revocations:changed';

const entrySchema = z.strictObject({
  kind: z.enum(['principal', 'jti', 'token']),
  /** `issuer#subject`; `issuer#jti`; SHA-256 (hex) of the gateway token. */
  value: z.string().min(1).max(3_000),
  at: z.number().int().positive(),
  by: z.string().max(300),
  reason: z.string().max(500),
  /** Epoch ms after which it has nothing left to revoke. Absent: for ever. */
  until: z.number().int().positive().optional(),
});
const listSchema = z.strictObject({
  v: z.literal(1),
  version: z.number().int().positive(),
  entries: z.array(entrySchema).max(5_000), // within what `unseal` reads
});
type List = z.infer<typeof listSchema>;
export type Revocation = z.infer<typeof entrySchema>;

/** What a credential can be revoked by. */
export type Revocable = {
  readonly issuer: string;
  readonly subject: string;
  readonly jti: string | undefined;
  readonly hash: string | undefined;
};

/** The part of an ioredis connection in subscriber mode that is used. */
export type Subscriber = {
  on(event: 'message', heard: (channel: string, message: string) => void): unknown;
  off(event: 'message', heard: (channel: string, message: string) => void): unknown;
  subscribe(channel: string): Promise<unknown>;
};

export type RevocationsOptions = {
  readonly store: SignedStore;
  /** `revoked:` of the configuration: the floor, in force without Redis. */
  readonly configured?: () => readonly { readonly issuer: string; readonly subject: string }[];
  readonly now?: () => number;
  readonly pollMs?: number;
  /** A list not read for longer than this cannot vouch for a log-in. */
  readonly staleMs?: number;
  readonly onTrouble?: (reason: string) => void;
};

/** Replaces the list only when it is still the one that was read: two gateways may revoke at the same time. */
const SWAP = `local now = redis.call('GET', KEYS[1])
if (now or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PUBLISH', KEYS[2], '1')
return 1`;

/** Of as many gateways that revoke at once one gets through each time. */
const TRIES = 60;
const PAUSE_MS = 20; // at most, so that they do not all come again together

export class Revocations {
  readonly #options: RevocationsOptions;
  readonly #now: () => number;
  /** Newest version seen; what Redis holds may be older only because someone put it there. */
  #list: List = { v: 1, version: 0, entries: [] };
  #index = new Set<string>();
  #raw: string | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #listeners = new Set<() => void>();
  #refreshing: Promise<void> | undefined;
  #unwatch: () => void = () => {};

  constructor(options: RevocationsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Begins to follow the list; a Redis that is not there yet is tried again. `subscriber` is in subscriber mode. */
  start(subscriber?: Subscriber): void {
    const poll = () => {
      void this.refresh().catch(() => {});
      this.#timer = setTimeout(poll, this.#options.pollMs ?? 1_000);
      this.#timer.unref();
    };
    poll();
    const heard = (channel: string) => {
      if (channel === REVOCATIONS_CHANNEL) void this.refresh().catch(() => {});
    };
    subscriber?.on('message', heard);
    subscriber?.subscribe(REVOCATIONS_CHANNEL).catch(() => {}); // polling is what is relied upon
    const { redis } = this.#options.store;
    const back = () => void this.refresh().catch(() => {});
    redis.on('ready', back);
    this.#unwatch = () => {
      subscriber?.off('message', heard);
      redis.off('ready', back);
    };
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#unwatch();
  }

  /** Called whenever more may be revoked than before. Returns how to stop listening. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The configuration was read anew. */
  recheck(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Read recently enough to vouch for a log-in? */
  get current(): boolean {
    return performance.now() - this.#readAt < (this.#options.staleMs ?? 10_000);
  }

  list(): readonly Revocation[] {
    return this.#list.entries;
  }

  isRevoked({ issuer, subject, jti, hash }: Revocable): boolean {
    return (
      this.#index.has(`principal ${principalKey({ issuer, subject })}`) ||
      (jti !== undefined && this.#index.has(`jti ${issuer}#${jti}`)) ||
      (hash !== undefined && this.#index.has(`token ${hash}`)) ||
      (this.#options.configured?.() ?? []).some((one) => one.issuer === issuer && one.subject === subject)
    );
  }

  /** In force here at once and on every gateway within 2 s. @throws Error when Redis is not there (then only here). */
  async revoke(revocation: Omit<Revocation, 'at'>): Promise<void> {
    const entry = entrySchema.parse({ ...revocation, at: this.#now() });
    this.#adopt({ ...this.#list, entries: merged(this.#list.entries, [entry]) });
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, Math.random() * PAUSE_MS));
      const raw = await this.#options.store.redis.get(KEY);
      const there = raw === null ? undefined : this.#open(raw);
      if (await this.#swap(raw, there)) return;
    }
    throw new GatewayError('UNAVAILABLE', 'the revocation list is being changed by others; try again');
  }

  /** @throws Error when Redis is not there. Concurrent calls share one look. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const raw = await this.#options.store.redis.get(KEY);
    if (raw !== null && raw === this.#raw) {
      this.#readAt = performance.now();
      return;
    }
    const there = raw === null ? undefined : this.#open(raw);
    if (raw !== null && !there && this.#list.version === 0) return; // nobody knows what was revoked: not current
    if ((there?.version ?? 0) < this.#list.version) {
      this.#options.onTrouble?.('the revocation list in Redis is older than the one last seen; it is put back');
      await this.#swap(raw, there);
    } else if (there) {
      this.#adopt({ ...there, entries: merged(there.entries, this.#list.entries) });
      this.#raw = raw ?? undefined;
    }
    this.#readAt = performance.now();
  }

  /** Undefined where it was not written by a gateway: reported, and overwritten with what is known. */
  #open(raw: string): List | undefined {
    try {
      return this.#options.store.open(raw, KEY, listSchema);
    } catch (error) {
      this.#options.onTrouble?.(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  async #swap(raw: string | null, there: List | undefined): Promise<boolean> {
    const now = this.#now();
    const list: List = {
      v: 1,
      version: Math.max(this.#list.version, there?.version ?? 0) + 1,
      entries: merged(there?.entries ?? [], this.#list.entries).filter(
        ({ until }) => until === undefined || until > now,
      ),
    };
    const { store } = this.#options;
    const sealed = store.sealed(list, KEY);
    if ((await store.redis.eval(SWAP, 2, KEY, REVOCATIONS_CHANNEL, raw ?? '', sealed)) !== 1) return false;
    this.#raw = sealed;
    this.#adopt(list);
    return true;
  }

  #adopt(list: List): void {
    this.#list = list;
    const before = this.#index.size;
    const index = new Set(list.entries.map(({ kind, value }) => `${kind} ${value}`));
    const more = index.size > before || [...index].some((one) => !this.#index.has(one));
    this.#index = index;
    if (more) this.recheck();
  }
}

/** Everything of both; nothing is ever forgotten but what has run out. */
function merged(one: readonly Revocation[], other: readonly Revocation[]): Revocation[] {
  const all = new Map<string, Revocation>();
  for (const entry of [...other, ...one]) {
    all.set(createHash('sha256').update(`${entry.kind} ${entry.value}`).digest('base64'), entry);
  }
  return [...all.values()];
}
