/** Keys of recordings: each file has its own, wrapped with the configured one. AES-256-GCM (NIST SP 800-38D). Pure. */
import { createCipheriv, createDecipheriv, createHash, type DecipherGCM, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What wraps the files' keys. `id` stands in each file, so that the right one of several is found. */
export type WrappingKey = { readonly id: string; readonly raw: Buffer };

/** @throws Error where the text is not 32 bytes in base64 */
export function wrappingKey(text: string): WrappingKey {
  const raw = Buffer.from(text.trim(), 'base64');
  if (raw.length !== KEY_BYTES || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(text.trim())) {
    throw new Error('expected 32 bytes in base64, as `openssl rand -base64 32` prints them');
  }
  return {
    id: createHash('sha256').update('countersign-recordings\n').update(raw).digest('base64url').slice(0, 12),
    raw,
  };
}

const lockSchema = z.strictObject({
  v: z.literal(1),
  kind: z.literal('encrypted'),
  session: z.string().max(64),
  key: z.string().max(64),
  wrapped: z.string().max(200),
});

/** A new key for one file, and the line that the file begins with. */
export function newFileKey(session: string, by: WrappingKey): { readonly key: Buffer; readonly first: string } {
  const key = randomBytes(KEY_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', by.raw, nonce).setAAD(Buffer.from(session, 'utf8'));
  const wrapped = Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]).toString('base64');
  return { key, first: `${JSON.stringify({ v: 1, kind: 'encrypted', session, key: by.id, wrapped })}\n` };
}

/** The key of a file whose first line this is; undefined where it is not encrypted. @throws GatewayError RECORDING */
export function fileKey(first: unknown, keys: readonly WrappingKey[]): { session: string; key: Buffer } | undefined {
  if (typeof first !== 'object' || first === null || !('kind' in first) || first.kind !== 'encrypted') return undefined;
  const lock = lockSchema.safeParse(first).data;
  if (!lock) throw new GatewayError('RECORDING', 'its first line is none that a recording begins with');
  const by = keys.find(({ id }) => id === lock.key);
  if (!by) {
    throw new GatewayError('RECORDING', `it is encrypted, and the key ${lock.key} is not at hand`, {
      hint: 'Name it under recordings.key or recordings.old_keys.',
    });
  }
  try {
    const bytes = Buffer.from(lock.wrapped, 'base64');
    const body = bytes.subarray(NONCE_BYTES, -TAG_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', by.raw, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(lock.session, 'utf8')).setAuthTag(bytes.subarray(-TAG_BYTES));
    const key = Buffer.concat([decipher.update(body), decipher.final()]);
    if (key.length !== KEY_BYTES) throw new Error('not a key');
    return { session: lock.session, key };
  } catch (cause) {
    throw new GatewayError('RECORDING', 'its key was changed, or is that of another recording', { cause });
  }
}

/** One segment, as press.ts writes them, on its way into clear; what it gives is not to be believed before `end`. */
export class Segment {
  readonly #decipher: DecipherGCM;
  readonly #number: number;

  constructor(key: Buffer, session: string, number: number) {
    const nonce = Buffer.alloc(NONCE_BYTES);
    nonce.writeBigUInt64BE(BigInt(number), 4);
    this.#decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    this.#decipher.setAAD(Buffer.from(`${session}:${number}`, 'utf8'));
    this.#number = number;
  }

  add(piece: Buffer): Buffer {
    return this.#decipher.update(piece);
  }

  /** @throws GatewayError RECORDING where it is not as it was written */
  end(tag: Buffer): void {
    try {
      this.#decipher.setAuthTag(tag).final();
    } catch (cause) {
      throw new GatewayError('RECORDING', `segment ${this.#number + 1} was changed, or is not in its place`, { cause });
    }
  }
}

export const SEGMENT_TAG_BYTES = TAG_BYTES;
