/** What has to stand in the bytes around a digit, an @ or a word before a detector could find anything there. Pure. */
import { IBAN_LENGTHS } from './numbers.ts';

const table = (characters: RegExp): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (byte < 0x80 && characters.test(String.fromCharCode(byte)) ? 1 : 0));
const has = (set: Uint8Array, byte: number | undefined): boolean => byte !== undefined && set[byte] === 1;

/** What keys and tokens are made of. */
export const TOKEN = table(/[A-Za-z0-9._~+/=-]/);
const DIGIT = table(/[0-9]/);
const ALPHANUMERIC = table(/[A-Za-z0-9]/);
const CARD_SEPARATOR = table(/[ \-._/\t]/);
const LOCAL = table(/[A-Za-z0-9.!#$%&*+/=?^_{|}~-]/);
const QUOTE = table(/["'`]/);
const BLANK = table(/[ \t\r\n]/);
/** What makes a bare word look like no word (with the digits). */
const SPECIAL = table(/[0-9!#%^&*+=~$@]/);
const BETWEEN_SSN_AND_ITS_NAME = table(/[ :="'`]/);
const fold = (byte = 0): number => byte | 0x20;
const letters = (text: string): ReadonlySet<number> => new Set(Buffer.from(text));

const LEAST_CARD = 12; // digits

/**
 * Behind a group of digits [start, end): with one separator throughout, groups that a card can be written in, twelve
 * digits in all. The first may be longer than it looks, with what frames the value glued to it.
 */
export function cardTail(bytes: Uint8Array, start: number, end: number, to: number): boolean {
  const separator = bytes[end];
  if (end >= to || !has(CARD_SEPARATOR, separator)) return false;
  let digits = end - start;
  let at = end;
  for (let group = 1; at < to && bytes[at] === separator; group++) {
    const from = ++at;
    while (at < to && at - from < LEAST_CARD && has(DIGIT, bytes[at])) at++;
    const size = at - from;
    if (size === 0 || (group === 1 && size !== 1 && size !== 4 && size !== 6) || size > 6) return false;
    digits += size;
    if (digits >= LEAST_CARD) return true;
  }
  return false;
}

/** Behind three digits or more: `-45-6789`, with blanks as well. */
export function ssnTail(bytes: Uint8Array, at: number, to: number): boolean {
  const separator = bytes[at];
  if (at + 8 > to || (separator !== 0x2d && separator !== 0x20) || bytes[at + 3] !== separator) return false;
  for (const i of [1, 2, 4, 5, 6, 7]) if (!has(DIGIT, bytes[at + i])) return false;
  return true;
}

const ENDS_OF_SSN_NAMES = letters('nyro'); // ssn, social security, … number, … no

/** Before nine digits: a word that could say what they are. */
export function namedSsn(bytes: Uint8Array, from: number, start: number): boolean {
  let at = start - 1;
  while (at >= from && start - at <= 6 && has(BETWEEN_SSN_AND_ITS_NAME, bytes[at])) at--;
  return at >= from && at < start - 1 && ENDS_OF_SSN_NAMES.has(fold(bytes[at]));
}

const countries = new Map(
  Object.entries(IBAN_LENGTHS).map(([country, length]) => {
    const [a, b] = Buffer.from(country.toLowerCase());
    return [((a ?? 0) << 8) | (b ?? 0), length] as const;
  }),
);

/** Two letters of a country and as many more as its account numbers have, in one piece or by four. */
export function ibanAt(bytes: Uint8Array, start: number, to: number): boolean {
  const length = countries.get((fold(bytes[start]) << 8) | fold(bytes[start + 1]));
  if (length === undefined) return false;
  const separator = bytes[start + 4] === 0x20 || bytes[start + 4] === 0x2d ? bytes[start + 4] : undefined;
  let at = start;
  for (let read = 0; read < length; read++) {
    if (separator !== undefined && read > 0 && read % 4 === 0 && bytes[at++] !== separator) return false;
    if (at >= to || !has(ALPHANUMERIC, bytes[at++])) return false;
  }
  return true;
}

const MAX_LABEL_BYTES = 256; // 63 characters

/** An @ with a name before it and a dotted one behind. */
export function addressAt(bytes: Uint8Array, at: number, from: number, to: number): boolean {
  const before = bytes[at - 1] as number;
  if (at === from || !(has(LOCAL, before) || before >= 0x80)) return false;
  const end = Math.min(to, at + 1 + MAX_LABEL_BYTES);
  for (let i = at + 1; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte === 0x2e) return i > at + 1;
    if (byte < 0x80 && byte !== 0x2d && !has(ALPHANUMERIC, byte)) return false;
  }
  return false;
}

const MAX_CREDENTIALS_BYTES = 1_100; // 64 characters of a user and 256 of a password, three bytes each, and more

/** Behind `://`: `user:password@`. */
export function urlPassword(bytes: Uint8Array, at: number, to: number): boolean {
  const end = Math.min(to, at + MAX_CREDENTIALS_BYTES);
  for (let colon = false; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === 0x40) return colon;
    if (byte === 0x3a) colon = true;
    else if (byte === 0x2f || byte === 0x22 || byte === 0x27 || has(BLANK, byte)) return false;
  }
  return false;
}

/** How the word may go on; what else follows makes it another word. */
const ENDINGS: Readonly<Record<string, readonly string[]>> = {
  pass: ['', 'word', 'wd', 'phrase', 'code'],
  credential: ['', 's'],
};
const LONGEST_ENDING = 7;
const ENDS_OF_KEY_NAMES = letters('isetgn'); // api, access, private, secret, signing, encryption
const LEAST_CREDENTIALS = 12;
const WINDOW = 16; // eight blanks, `is` and four more, `E'`
const MAX_VALUE_BYTES = 2_048; // 512 characters

/** Behind a word that calls something secret: a sign, a quoted value, or a bare one that looks like no word. */
export function namesSecret(word: string, bytes: Uint8Array, at: number, from: number, to: number): boolean {
  if (word === 'bearer' || word === 'basic') return credentials(bytes, at, to);
  if (word === 'key') {
    const before = at - word.length - 1;
    const end = /[ _-]/.test(String.fromCharCode(bytes[before] ?? 0)) ? before - 1 : before;
    if (end < from || !ENDS_OF_KEY_NAMES.has(fold(bytes[end]))) return false;
  }
  let ending = '';
  while (at < to && ending.length < LONGEST_ENDING && /[A-Za-z]/.test(String.fromCharCode(bytes[at] ?? 0))) {
    ending += String.fromCharCode(fold(bytes[at++]));
  }
  if (!(ENDINGS[word] ?? ['']).includes(ending)) return false;
  if (has(QUOTE, bytes[at])) at++;

  let sign = at;
  while (sign < to && sign - at < 4 && (bytes[sign] === 0x20 || bytes[sign] === 0x09)) sign++;
  if (sign < to && (bytes[sign] === 0x3d || bytes[sign] === 0x3a)) return true;
  if (at >= to || !has(BLANK, bytes[at])) return false;
  for (let i = at; i < to && i < at + WINDOW + MAX_VALUE_BYTES; i++) {
    const byte = bytes[i];
    if (has(SPECIAL, byte) || (i < at + WINDOW && has(QUOTE, byte))) return true;
    if (i >= at + WINDOW && has(BLANK, byte)) return false;
  }
  return false;
}

function credentials(bytes: Uint8Array, at: number, to: number): boolean {
  if (at >= to || bytes[at] !== 0x20) return false;
  while (at < to && bytes[at] === 0x20) at++;
  let end = at;
  while (end < to && end - at < LEAST_CREDENTIALS && has(TOKEN, bytes[end])) end++;
  return end - at >= LEAST_CREDENTIALS;
}
