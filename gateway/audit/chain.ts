/** The chain: one JSON object a line, each carrying the hash of the one before. Pure; no files. */
import { createHash, sign, verify } from 'node:crypto';
import type { SigningKey, VerifyingKey } from '../../queue/sign.ts';

/** Where a chain stands: the newest entry's number and hash (64 hex digits). */
export type Link = { readonly seq: number; readonly hash: string };

/** Before the first entry of a directory. */
export const GENESIS: Link = Object.freeze({ seq: 0, hash: '0'.repeat(64) });

/** The chain's own fields; an entry cannot set them. */
const OWN = new Set(['seq', 'at', 'prev', 'hash']);
const LINE =
  /^\{"seq":([1-9]\d{0,15}),"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","prev":"([0-9a-f]{64})",.*,"hash":"([0-9a-f]{64})"\}$/s;
/** `,"hash":"…"}` */
const HASH_SUFFIX_LENGTH = 75;

/**
 * The next line (without its line feed) and where the chain stands after it. The hash is SHA-256 over the line's bytes
 * without its own `hash` member, so that a verifier needs no canonical form.
 */
export function nextLine(
  link: Link,
  at: string,
  fields: Readonly<Record<string, unknown>>,
): { line: string; link: Link } {
  const seq = link.seq + 1;
  const own: Record<string, unknown> = { seq, at, prev: link.hash };
  for (const [name, value] of Object.entries(fields)) own[OWN.has(name) ? `_${name}` : name] = value;
  const body = JSON.stringify(own);
  const hash = createHash('sha256').update(body).digest('hex');
  return { line: `${body.slice(0, -1)},"hash":"${hash}"}`, link: { seq, hash } };
}

export type Line = {
  readonly link: Link;
  readonly prev: string;
  readonly at: string;
  readonly entry: Record<string, unknown>;
};

/** Undefined where the text is no line of a chain, or its hash is not that of its bytes. */
export function readLine(text: string): Line | undefined {
  const match = LINE.exec(text);
  if (!match) return undefined;
  const [, seq = '', at = '', prev = '', hash = ''] = match;
  const body = `${text.slice(0, -HASH_SUFFIX_LENGTH)}}`;
  if (createHash('sha256').update(body).digest('hex') !== hash) return undefined;
  try {
    return { link: { seq: Number(seq), hash }, prev, at, entry: JSON.parse(body) };
  } catch {
    return undefined;
  }
}

const signed = (chain: string, link: Link): Buffer =>
  Buffer.from(`countersign-audit/1\n${chain}\n${link.seq}\n${link.hash}`, 'utf8');

/** The audit key's word that this chain stood here; base64url, 86 characters. */
export const signLink = (chain: string, link: Link, key: SigningKey): string =>
  sign(null, signed(chain, link), key.key).toString('base64url');

export const verifyLink = (chain: string, link: Link, signature: unknown, key: VerifyingKey): boolean =>
  typeof signature === 'string' &&
  signature.length === 86 &&
  verify(null, signed(chain, link), key.key, Buffer.from(signature, 'base64url'));
