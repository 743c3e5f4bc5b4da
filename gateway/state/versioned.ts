/** A versioned set that all gateways share, signed in Redis. What was verified once is never given up for less. */
import { createHash } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Clock } from '../holds/clock.ts';
import type { SignedStore } from './signed.ts';

const POLL_MS = 1_000;
/** Of as many writers at once one gets through each time; a freeze in an emergency must not give up among a fleet. */
const TRIES = 60;
const PAUSE_MS = 20; // at most, so that they do not all come again together

/**
 * Replaces what is under the key only if it still is what was read ('' for nothing). A new version may come with its
 * record for a history, which lets go of its oldest for it.
 */
const SWAP = `local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
if KEYS[2] then redis.call('HSET', KEYS[2], ARGV[4], ARGV[5]) redis.call('HDEL', KEYS[2], ARGV[6]) end
redis.call('PUBLISH', ARGV[3], ARGV[4]) return 1`;

/** Which version this is, who made it (Slack user id), and when. */
export type Versioned = { readonly v: 1; readonly version: number; readonly by: string; readonly at: number };

/** Written together with a version, under its number in a hash of so many. */
export type HistoryRecord = { readonly key: string; readonly kept: number; readonly sealed: string };

export type VersionedDeps<T extends Versioned> = {
  readonly store: SignedStore;
  /** Where it is in Redis, and what it is sealed for. */
  readonly key: string;
  /** What it is called in sentences: `the rules`. */
  readonly noun: string;
  readonly schema: z.ZodType<T>;
  /** Version 0: nothing was ever written. */
  readonly empty: T;
  /** A local file that remembers the newest verified set, so that a restart cannot be shown an older one. */
  readonly file: string;
  /** Such files of others: what the newest of them all remembers counts. */
  readonly others?: readonly string[];
  /** A `connectBlocking` connection of its own, for hearing of changes at once; without it the poll is all. */
  readonly subscriber?: Redis;
  readonly clock: Clock;
  /** A newer set was verified. */
  readonly onChange: (set: T) => void;
  /**
   * A plain sentence when what Redis holds cannot be used (the last verified set stays), or the newest not be remembered;
   * undefined when all is well again.
   */
  readonly onTrouble: (trouble: string | undefined) => void;
};

const remembered = z.strictObject({ version: z.number().int().min(0), hash: z.string(), sealed: z.string() });

export class VersionedState<T extends Versioned> {
  readonly #deps: VersionedDeps<T>;
  readonly #channel: string;
  #set: T;
  #sealed = '';
  /** Newest version ever verified here, restarts included, and the hash of that very text. */
  #newest = { version: 0, hash: '' };
  #ready = false;
  /** Why what Redis holds cannot be used, and why the newest set is not remembered on disk yet. */
  #unusable: string | undefined;
  #unkept: string | undefined;
  #told: string | undefined;
  #cancelPoll = () => {};
  #stopped = false;
  #looking: Promise<void> | undefined;
  /** The write of the memory that is under way: the next one waits for it. */
  #keeping: Promise<void> = Promise.resolve();

  constructor(deps: VersionedDeps<T>) {
    this.#deps = deps;
    this.#channel = `${deps.key}:changed`;
    this.#set = deps.empty;
  }

  /** Is there a verified set, and was Redis there since the start? Until then nothing is admitted. */
  ready(): boolean {
    return this.#ready;
  }

  trouble(): string | undefined {
    return this.#unusable ?? this.#unkept;
  }

  current(): T {
    return this.#set;
  }

  /**
   * Take over what the file remembers, look at Redis once, then every second.
   * @throws GatewayError CONFIG when there is a file and it cannot be read: without its memory a restart could be fooled.
   */
  async start(): Promise<void> {
    await this.#remember();
    const { subscriber } = this.#deps;
    subscriber?.on('message', this.#onMessage);
    subscriber?.subscribe(this.#channel).catch(() => {}); // the poll finds the same a second later
    await this.look();
    this.#poll();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelPoll();
    this.#deps.subscriber?.off('message', this.#onMessage);
  }

  /** Look at Redis now. Never rejects: trouble is reported and the last verified set stays. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /**
   * Make a new version from the newest; resolves with it once it is in Redis and on this gateway. `change` is called
   * again when others wrote meanwhile.
   * @throws GatewayError FORGED | UNAVAILABLE | LIMIT (too large) | CONFIG (what does not fit), and whatever `change` throws
   */
  async write(
    change: (set: T) => Omit<T, keyof Versioned>,
    by: string,
    recordOf?: (set: T) => HistoryRecord,
  ): Promise<T> {
    const { store, clock, key, schema, noun } = this.#deps;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (attempt > 1) await this.#pause();
      await this.look();
      if (this.#unusable !== undefined) throw new GatewayError('UNAVAILABLE', this.#unusable);
      const before = this.#sealed;
      const next = { v: 1, version: this.#newest.version + 1, ...change(this.#set), by, at: clock.now() };
      const parsed = schema.safeParse(next);
      if (!parsed.success) throw new GatewayError('CONFIG', z.prettifyError(parsed.error), { cause: parsed.error });
      const sealed = store.sealed(parsed.data, key);
      if (await this.#swap(before, sealed, next.version, recordOf?.(parsed.data))) {
        await this.#adopt(parsed.data, sealed);
        return parsed.data;
      }
    }
    throw new GatewayError('UNAVAILABLE', `${noun} keep changing; try again`);
  }

  async #look(): Promise<void> {
    const { store } = this.#deps;
    let raw: string | null;
    try {
      raw = await store.redis.get(this.#deps.key);
    } catch {
      return; // that Redis is gone is noticed, and timed, elsewhere; the last verified ones stay in force
    }
    try {
      if (raw === null) await this.#nothing();
      else if (raw !== this.#sealed || !this.#ready) await this.#something(raw);
      this.#ready = true;
      this.#unusable = undefined;
    } catch (error) {
      if (this.#sealed !== '') this.#ready = true; // verified before, here or before a restart: that stays in force
      this.#unusable = error instanceof Error ? error.message : String(error);
    }
    if (this.#unkept !== undefined) await this.#keep(); // a full disk may have room again
    this.#report();
  }

  async #nothing(): Promise<void> {
    if (this.#newest.version === 0) return;
    if (this.#sealed !== '' && (await this.#swap('', this.#sealed, this.#set.version))) return;
    throw new GatewayError(
      'FORGED',
      `${this.#deps.noun} are gone from Redis (version ${this.#newest.version} was there); the last verified ones stay in force`,
    );
  }

  async #something(raw: string): Promise<void> {
    const set = this.#deps.store.open(raw, this.#deps.key, this.#deps.schema);
    const { version, hash } = this.#newest;
    if (set.version > version || (set.version === version && hashOf(raw) === hash)) return this.#adopt(set, raw);
    // Put the newest back in its place, if this gateway still has it.
    const isOlder = set.version < version;
    if (isOlder && this.#sealed !== '' && (await this.#swap(raw, this.#sealed, version))) return;
    throw new GatewayError(
      'FORGED',
      isOlder
        ? `${this.#deps.noun} in Redis were set back to version ${set.version} (version ${version} was there); the last verified ones stay in force`
        : `${this.#deps.noun} in Redis are another version ${version} than the one verified before; the last verified ones stay in force`,
    );
  }

  async #adopt(set: T, sealed: string): Promise<void> {
    const isNews = set.version !== this.#set.version || sealed !== this.#sealed;
    this.#set = set;
    this.#sealed = sealed;
    this.#newest = { version: set.version, hash: hashOf(sealed) };
    if (isNews) {
      this.#deps.onChange(set);
      await this.#keep();
    }
  }

  async #swap(before: string, after: string, version: number, record?: HistoryRecord): Promise<boolean> {
    const { store, key } = this.#deps;
    const keys = record ? [key, record.key] : [key];
    const kept = record ? [record.sealed, String(version - record.kept)] : [];
    const values = [before, after, this.#channel, String(version), ...kept];
    try {
      return (await store.redis.eval(SWAP, keys.length, ...keys, ...values)) === 1;
    } catch (cause) {
      throw new GatewayError('UNAVAILABLE', `Redis is not reachable: ${this.#deps.noun} were not written`, { cause });
    }
  }

  /**
   * One after the other: two at once would write into one file beside, and move it away from under each other. What
   * cannot be remembered is in force all the same, and is said until it is.
   */
  #keep(): Promise<void> {
    this.#keeping = this.#keeping
      .then(() => this.#remembered())
      .then(
        () => {
          this.#unkept = undefined;
        },
        (error) => {
          this.#unkept = error instanceof Error ? error.message : String(error);
        },
      )
      .then(() => this.#report());
    return this.#keeping;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#deps.clock.after(Math.random() * PAUSE_MS, resolve));
  }

  /** Written beside and moved into place: a crash leaves the old memory or the new one. */
  async #remembered(): Promise<void> {
    const { file, noun } = this.#deps;
    const beside = `${file}.new`;
    try {
      const handle = await open(beside, 'w', 0o600);
      try {
        await handle.writeFile(JSON.stringify({ ...this.#newest, sealed: this.#sealed }));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(beside, file);
    } catch (cause) {
      throw new GatewayError('CONFIG', `the newest of ${noun} cannot be remembered in ${file}: ${String(cause)}`, {
        cause,
      });
    }
  }

  async #remember(): Promise<void> {
    const { file, others = [], store, onChange, key, schema } = this.#deps;
    const known = await Promise.all([...new Set([file, ...others])].map((path) => readRemembered(path)));
    const newest = known.reduce(
      (one, other) => ((other?.version ?? -1) > (one?.version ?? -1) ? other : one),
      undefined,
    );
    if (!newest) return;
    this.#newest = { version: newest.version, hash: newest.hash };
    try {
      this.#set = store.open(newest.sealed, key, schema);
      this.#sealed = newest.sealed;
      onChange(this.#set);
    } catch {
      // Sealed by a key that is no longer trusted: its version still counts, the rest comes from Redis.
    }
  }

  #poll(): void {
    this.#cancelPoll = this.#deps.clock.after(POLL_MS, () => {
      this.look().finally(() => {
        if (!this.#stopped) this.#poll();
      });
    });
  }

  readonly #onMessage = (channel: string) => {
    if (channel === this.#channel) void this.look();
  };

  #report(): void {
    const trouble = this.trouble();
    if (trouble === this.#told) return;
    this.#told = trouble;
    this.#deps.onTrouble(trouble);
  }
}

/** Undefined where nothing was ever remembered. @throws GatewayError CONFIG */
async function readRemembered(file: string): Promise<z.infer<typeof remembered> | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new GatewayError('CONFIG', `${file} remembers what was verified and cannot be read`, { cause: error });
  }
  const parsed = remembered.safeParse(parse(text));
  if (!parsed.success) throw new GatewayError('CONFIG', `${file} remembers what was verified and is damaged`);
  return parsed.data;
}

const hashOf = (sealed: string): string => createHash('sha256').update(sealed).digest('hex');

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
