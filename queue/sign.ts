/** Ed25519 envelopes: whoever can write to Redis can delay and delete, never forge. Knows no payloads. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';

// RFC 8410: the fixed DER prefixes in front of a raw 32-byte Ed25519 seed and public key.
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PUBLIC = /^ed25519:([A-Za-z0-9_-]{43})$/;
const PRIVATE = /^ed25519-secret:([A-Za-z0-9_-]{43})$/;

export type SigningKey = { readonly id: string; readonly public: string; readonly key: KeyObject };
export type VerifyingKey = { readonly id: string; readonly public: string; readonly key: KeyObject };

/** A sealed payload as it travels and rests: `body` is the exact JSON text that was signed. */
export type Envelope = { readonly by: string; readonly body: string; readonly sig: string };

/** A new key pair in the one-line forms the configuration takes. */
export function newKeyPair(): { secret: string; public: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8_PREFIX.length);
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
  return { secret: `ed25519-secret:${seed.toString('base64url')}`, public: `ed25519:${raw.toString('base64url')}` };
}

/** @throws Error when the text is not `ed25519-secret:<43 base64url characters>`. */
export function signingKey(text: string): SigningKey {
  const match = PRIVATE.exec(text.trim());
  if (!match?.[1]) throw new Error('expected ed25519-secret:… as printed by `countersign keygen`');
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, Buffer.from(match[1], 'base64url')]),
    format: 'der',
    type: 'pkcs8',
  });
  const raw = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
  return { id: keyId(raw), public: `ed25519:${raw.toString('base64url')}`, key };
}

/** @throws Error when the text is not `ed25519:<43 base64url characters>`. */
export function verifyingKey(text: string): VerifyingKey {
  const match = PUBLIC.exec(text.trim());
  if (!match?.[1]) throw new Error('expected ed25519:… as printed by `countersign keygen`');
  const raw = Buffer.from(match[1], 'base64url');
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
  return { id: keyId(raw), public: text.trim(), key };
}

const keyId = (raw: Buffer): string => createHash('sha256').update(raw).digest('base64url').slice(0, 12);

/** What is sealed larger than this is never unsealed: a card with a 48 KB statement, escaped, is well below. */
export const MAX_BODY_BYTES = 1 << 20;

/** Context and body, each with its length in front, so that neither can borrow bytes from the other. */
function signedBytes(context: string, body: string): Buffer {
  const fields = ['countersign/1', context, body].map((text) => Buffer.from(text, 'utf8'));
  return Buffer.concat(
    fields.flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(field.length);
      return [length, field];
    }),
  );
}

/**
 * Seal a payload for one place: `context` names the queue or Redis key it is for, so that it verifies nowhere else.
 */
export function seal(payload: unknown, context: string, key: SigningKey): Envelope {
  const body = JSON.stringify(payload);
  return { by: key.id, body, sig: sign(null, signedBytes(context, body), key.key).toString('base64url') };
}

/**
 * The JSON value inside, or undefined when it is not an envelope, was sealed by none of `keys`, or for another context.
 * The caller parses the value with its schema. Bounded: bodies over `maxBytes` are refused unparsed.
 */
export function unseal(
  envelope: unknown,
  context: string,
  keys: readonly VerifyingKey[],
  maxBytes = MAX_BODY_BYTES,
): { by: string; payload: unknown } | undefined {
  if (typeof envelope !== 'object' || envelope === null) return undefined;
  const { by, body, sig } = envelope as Record<string, unknown>;
  if (typeof by !== 'string' || typeof body !== 'string' || typeof sig !== 'string') return undefined;
  if (Buffer.byteLength(body) > maxBytes || sig.length !== 86) return undefined;
  const key = keys.find((candidate) => candidate.id === by);
  if (!key || !verify(null, signedBytes(context, body), key.key, Buffer.from(sig, 'base64url'))) return undefined;
  try {
    return { by, payload: JSON.parse(body) };
  } catch {
    return undefined;
  }
}
