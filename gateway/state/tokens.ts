/** Gateway tokens: opaque, short enough for every client, kept in Redis only as hashes, each record signed. */
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { identitySchema } from '../identity/principals.ts';
import type { SignedStore } from './signed.ts';

/** `cst_` and 32 random bytes: 47 characters, below every client's limit (OpenSSH cuts passwords at 1,023 bytes). */
const TOKEN = /^cst_[A-Za-z0-9_-]{43}$/;

const recordSchema = z.strictObject({
  v: z.literal(1),
  identity: identitySchema,
  /** Epoch ms. */
  expiresAt: z.number().int().positive(),
  issuedAt: z.number().int().positive(),
  /** `jti` of the JWT it was made from: revoking that ends this. */
  jti: z.string().max(1_000).optional(),
});
export type TokenRecord = Omit<z.infer<typeof recordSchema>, 'v'>;

const keyOf = (hash: string): string => `countersign:token:${hash}`;

export const isGatewayToken = (text: string): boolean => text.startsWith('cst_');
export const tokenHash = (token: string): string => createHash('sha256').update(token).digest('hex');

export class TokenStore {
  readonly #store: SignedStore;
  readonly #now: () => number;

  constructor(store: SignedStore, now: () => number = Date.now) {
    this.#store = store;
    this.#now = now;
  }

  /** @throws Error when Redis is not there: then no token was issued. */
  async issue(record: Omit<TokenRecord, 'issuedAt'>): Promise<{ token: string; hash: string }> {
    const token = `cst_${randomBytes(32).toString('base64url')}`;
    const hash = tokenHash(token);
    const now = this.#now();
    await this.#store.write(keyOf(hash), { v: 1, ...record, issuedAt: now }, { ttlMs: record.expiresAt - now });
    return { token, hash };
  }

  /**
   * The record behind a token, or undefined when there is none or it has expired (Redis may keep what is over).
   * @throws GatewayError FORGED, or Error when Redis is not there.
   */
  async find(token: string): Promise<(TokenRecord & { readonly hash: string }) | undefined> {
    if (!TOKEN.test(token))
      throw new GatewayError('AUTH', 'this is no gateway token: cst_ and 43 characters, copied whole');
    const hash = tokenHash(token);
    const record = await this.#store.read(keyOf(hash), recordSchema);
    return record && record.expiresAt > this.#now() ? { ...record, hash } : undefined;
  }
}
