/** What has to stand in the bytes around a digit, an @ or a word before a detector could find anything there. Pure. */
import { IBAN_LENGTHS, isCardGrouping, isIssued, passesLuhn } from './numbers.ts';

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

const MOST_CARD = 19; // digits
const LEAST_CARD = 13; // of those that anybody issues
const GROUP = 4;

/**
 * Does a run of digits [start, end), or a row of such runs with one separator throughout that begins with it, end with a
 * card or hold one? What stands before a value may look like more digits of its first group; what follows it never does.
 */
export function cardAt(bytes: Uint8Array, start: number, end: number, to: number): boolean {
  if (end - start >= LEAST_CARD && isCardsEnd(asciiOf(bytes, Math.max(start, end - MOST_CARD), end))) return true;
  const separator = bytes[end];
  if (end + 1 >= to || !has(CARD_SEPARATOR, separator) || !has(DIGIT, bytes[end + 1])) return false;
  const first = has(DIGIT, bytes[end + 2]) && end + 2 < to ? GROUP : 1; // what follows decides how it is written
  if (end - start < first) return false;
  let digits = asciiOf(bytes, end - first, end);
  const sizes = [first];
  for (let at = end; at < to && bytes[at] === separator; ) {
    const from = ++at;
    while (at < to && at - from < MOST_CARD && has(DIGIT, bytes[at])) at++;
    const size = at - from;
    // Of groups of four, or four and six, the second tells most texts apart.
    if (
      size === 0 ||
      digits.length + size > MOST_CARD ||
      (sizes.length === 1 && first === GROUP && size !== 4 && size !== 6)
    )
      return false;
    digits += asciiOf(bytes, from, at);
    sizes.push(size);
    if (digits.length < LEAST_CARD || !isCardGrouping(sizes)) continue;
    if (first === 1 || (isIssued(digits) && passesLuhn(digits))) return true; // digit by digit: too rare to be weighed
  }
  return false;
}

function isCardsEnd(digits: string): boolean {
  for (let length = LEAST_CARD; length <= digits.length; length++) {
    const card = digits.slice(-length);
    if (isIssued(card) && passesLuhn(card)) return true;
  }
  return false;
}

function asciiOf(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
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
