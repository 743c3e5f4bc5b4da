/** The chain: one JSON object a line, each carrying the hash of the one before. Pure; no files. */
import { hash, sign, verify } from 'node:crypto';
import type { SigningKey, VerifyingKey } from '../../queue/sign.ts';

/** Where a chain stands: the newest entry's number and hash (64 hex digits). */
export type Link = { readonly seq: number; readonly hash: string };

/** Before the first entry of a directory. */
export const GENESIS: Link = Object.freeze({ seq: 0, hash: '0'.repeat(64) });

const LINE =
  /^\{"seq":([1-9]\d{0,15}),"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","prev":"([0-9a-f]{64})",.*,"hash":"([0-9a-f]{64})"\}$/s;
/** `,"hash":"…"}` */
const HASH_SUFFIX_LENGTH = 75;

const SLAB_BYTES = 256 * 1024;
const MAX_UTF8 = 3; // bytes a UTF-16 unit

/**
 * Makes a chain's lines. Each lies in memory right behind the one before, so that what comes together can be written
 * together; the hash is SHA-256 over the line's bytes without its own `hash` member, so that a verifier needs no
 * canonical form.
 */
export class Chain {
  #link: Link;
  #slab = Buffer.alloc(0);
  #end = 0;
  /** Of the last line: where its members are. */
  #from = 0;
  #to = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  get link(): Link {
    return this.#link;
  }

  /** The last entry's own members, as they stand in its line. */
  get members(): Buffer {
    return this.#slab.subarray(this.#from, this.#to);
  }

  /** The next line, with its line feed. `members` are the entry's own, as JSON without braces. */
  add(at: string, members: string): Buffer {
    const seq = this.#link.seq + 1;
    const before = `{"seq":${seq},"at":"${at}","prev":"${this.#link.hash}"${members === '' ? '' : ','}`;
    const body = `${before}${members}}`;
    const most = body.length * MAX_UTF8 + HASH_SUFFIX_LENGTH + 1;
    if (this.#slab.length - this.#end < most) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, most));
      this.#end = 0;
    }
    const slab = this.#slab;
    const from = this.#end;
    const to = from + slab.write(body, from);
    const digest = hash('sha256', slab.subarray(from, to), 'hex');
    this.#from = from + before.length; // ASCII
    this.#to = to - 1;
    this.#end = to - 1 + slab.write(`,"hash":"${digest}"}\n`, to - 1, 'latin1');
    this.#link = { seq, hash: digest };
    return slab.subarray(from, this.#end);
  }
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
  const [, seq = '', at = '', prev = '', digest = ''] = match;
  const body = `${text.slice(0, -HASH_SUFFIX_LENGTH)}}`;
  if (hash('sha256', body, 'hex') !== digest) return undefined;
  try {
    return { link: { seq: Number(seq), hash: digest }, prev, at, entry: JSON.parse(body) };
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
