/** What gateways keep in Redis, signed: a value verifies only under its own key, and only when a gateway wrote it. */
import type { Redis } from 'ioredis';
import type { z } from 'zod';
import { MAX_BODY_BYTES, type SigningKey, seal, unseal, type VerifyingKey } from '../../queue/sign.ts';
import { GatewayError } from '../errors.ts';

export class SignedStore {
  readonly redis: Redis;
  readonly #own: SigningKey;
  readonly #trusted: () => readonly VerifyingKey[];

  /** `trusted` names every gateway's public key, this one's own included; asked each time, so that rotation applies. */
  constructor(redis: Redis, keys: { own: SigningKey; trusted: () => readonly VerifyingKey[] }) {
    this.redis = redis;
    this.#own = keys.own;
    this.#trusted = keys.trusted;
  }

  /** Undefined where there is nothing. @throws GatewayError FORGED where what is there does not verify or fit. */
  async read<T>(key: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const raw = await this.redis.get(key);
    return raw === null ? undefined : this.open(raw, key, schema);
  }

  async write(key: string, value: unknown, options: { ttlMs?: number } = {}): Promise<void> {
    const sealed = this.sealed(value, key);
    if (options.ttlMs === undefined) await this.redis.set(key, sealed);
    else await this.redis.set(key, sealed, 'PX', Math.max(1, Math.ceil(options.ttlMs)));
  }

  /** @throws GatewayError LIMIT for what no gateway would read back */
  sealed(value: unknown, context: string): string {
    const envelope = seal(value, context, this.#own);
    if (Buffer.byteLength(envelope.body) > MAX_BODY_BYTES) {
      throw new GatewayError('LIMIT', `nothing was written: ${context} would be larger than a megabyte`);
    }
    return JSON.stringify(envelope);
  }

  /** @throws GatewayError FORGED */
  open<T>(raw: string, context: string, schema: z.ZodType<T>): T {
    const envelope = parse(raw);
    const opened = unseal(envelope, context, this.#trusted());
    const parsed = opened && schema.safeParse(opened.payload);
    if (!parsed?.success) {
      throw new GatewayError('FORGED', `what Redis holds under ${context} was not written by a trusted gateway`);
    }
    return parsed.data;
  }
}

function parse(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined;
  }
}
