/** Who is signed in, in which browser: kept in Redis, signed, by the hash of a cookie, so that every gateway knows it. */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { type Identity, identitySchema } from '../identity/principals.ts';
import type { SignedStore } from './signed.ts';

const sessionSchema = z.strictObject({
  v: z.literal(1),
  identity: identitySchema,
  /** `jti` of the ID token: revoking that ends this. */
  jti: z.string().max(1_000).optional(),
  /** Epoch ms, all three. */
  startedAt: z.number().int().positive(),
  seenAt: z.number().int().positive(),
  endsAt: z.number().int().positive(),
  /** The ID token, for the issuer to know who signs out; only the cookie opens it. */
  hint: z.string().max(8_000).optional(),
});
type StoredSession = z.infer<typeof sessionSchema>;
const beginSchema = z.strictObject({ v: z.literal(1), to: z.string().max(2_000), at: z.number().int().positive() });

const BEGUN_MS = 10 * 60_000; // a password, a second factor, a colleague who asks something
const MOST_LAG_MS = 60_000;
const MAX_HINT = 4_000; // it travels in a URL

export type FoundSession = {
  readonly hash: string;
  readonly identity: Identity;
  readonly jti: string | undefined;
  readonly endsAt: number;
  readonly idToken: string | undefined;
};

export type WebSessionsOptions = {
  readonly store: SignedStore;
  readonly idleMs: number;
  readonly endsMs: number;
  readonly now?: () => number;
};

const newValue = (): string => randomBytes(32).toString('base64url');
const hashOf = (value: string): string => createHash('sha256').update(value).digest('hex');
const sessionKey = (hash: string): string => `countersign:web-session:${hash}`;
const begunKey = (hash: string): string => `countersign:signing-in:${hash}`;

/** Every method throws GatewayError UNAVAILABLE while Redis does not answer: then nobody is signed in or out. */
export class WebSessions {
  readonly #options: WebSessionsOptions;
  readonly #now: () => number;

  constructor(options: WebSessionsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** A sign-in has begun: the value for its cookie. Nothing in Redis tells it, and what is made of it neither. */
  async begin(to: string): Promise<{ readonly value: string; readonly ms: number }> {
    const value = newValue();
    const key = begunKey(hashOf(value));
    await this.#there(() => this.#options.store.write(key, { v: 1, to, at: this.#now() }, { ttlMs: BEGUN_MS }));
    return { value, ms: BEGUN_MS };
  }

  /** Where that sign-in was to lead. Once: undefined afterwards, or when it was too long ago. */
  async take(value: string): Promise<{ readonly to: string } | undefined> {
    const { store } = this.#options;
    const key = begunKey(hashOf(value));
    const raw = await this.#there(() => store.redis.getdel(key));
    const begun = raw === null ? undefined : this.#opened(() => store.open(raw, key, beginSchema));
    return begun && this.#now() - begun.at < BEGUN_MS ? { to: begun.to } : undefined;
  }

  async open(
    identity: Identity,
    { jti, idToken }: { readonly jti: string | undefined; readonly idToken: string },
  ): Promise<{ readonly value: string; readonly ms: number }> {
    const { endsMs } = this.#options;
    const value = newValue();
    const now = this.#now();
    const session = {
      v: 1,
      identity,
      startedAt: now,
      seenAt: now,
      endsAt: now + endsMs,
      ...(jti ? { jti } : {}),
      ...(idToken.length <= MAX_HINT ? { hint: locked(idToken, value) } : {}),
    } as const;
    const key = sessionKey(hashOf(value));
    await this.#there(() => this.#options.store.write(key, session, { ttlMs: this.#left(session) }));
    return { value, ms: endsMs };
  }

  /** `alive`: it is used now, and its idle time begins anew. */
  async find(value: string, { alive }: { readonly alive: boolean }): Promise<FoundSession | undefined> {
    const { store, idleMs } = this.#options;
    const hash = hashOf(value);
    const key = sessionKey(hash);
    const raw = await this.#there(() => store.redis.get(key));
    const session = raw === null ? undefined : this.#opened(() => store.open(raw, key, sessionSchema));
    if (!session || this.#left(session) <= 0) return undefined;
    const now = this.#now();
    if (alive && now - session.seenAt > Math.min(MOST_LAG_MS, idleMs / 20)) {
      const seen = { ...session, seenAt: now };
      // Only where it still is: a sign-out meanwhile is not undone.
      await this.#there(() => store.redis.set(key, store.sealed(seen, key), 'PX', this.#left(seen), 'XX'));
    }
    const { identity, jti, endsAt, hint } = session;
    return { hash, identity, jti, endsAt, idToken: hint === undefined ? undefined : unlocked(hint, value) };
  }

  async end(value: string): Promise<void> {
    await this.#there(() => this.#options.store.redis.del(sessionKey(hashOf(value))));
  }

  #left({ seenAt, endsAt }: Pick<StoredSession, 'seenAt' | 'endsAt'>): number {
    return Math.min(endsAt, seenAt + this.#options.idleMs) - this.#now();
  }

  /** What no trusted gateway wrote is nobody's session. */
  #opened<T>(open: () => T): T | undefined {
    try {
      return open();
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'FORGED') return undefined;
      throw error;
    }
  }

  async #there<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause;
      throw new GatewayError('UNAVAILABLE', 'Redis does not answer, so it cannot be told who is signed in; try again', {
        cause,
      });
    }
  }
}

/** Under a key that is made of the cookie, and used once: AES-256-GCM. */
const keyOf = (value: string): Buffer => createHmac('sha256', value).update('hint').digest();
const ONCE = Buffer.alloc(12); // each cookie, and so each key, locks one text

function locked(text: string, value: string): string {
  const cipher = createCipheriv('aes-256-gcm', keyOf(value), ONCE);
  return Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

function unlocked(hint: string, value: string): string | undefined {
  const bytes = Buffer.from(hint, 'base64url');
  if (bytes.length < 16) return undefined;
  const cipher = createDecipheriv('aes-256-gcm', keyOf(value), ONCE, { authTagLength: 16 });
  cipher.setAuthTag(bytes.subarray(-16));
  try {
    return Buffer.concat([cipher.update(bytes.subarray(0, -16)), cipher.final()]).toString('utf8');
  } catch {
    return undefined; // nothing but signing out at the issuer depends on it
  }
}
