/** Finders for cards, SSNs, IBANs and e-mail addresses: a pattern proposes, a check digit or a range decides. Pure. */
import type { Find } from './find.ts';

/** Between the groups of one number, single and the same throughout. */
const CARD_SEPARATORS = ' -._/\t';
const MIN_CARD_DIGITS = 12;
const MAX_CARD_DIGITS = 19; // ISO/IEC 7812-1

/** Every group of digits may begin a card of one or more groups: `12 4111 1111 1111 1111` has one behind the 12. */
export function findCards(text: string): Find[] {
  if (!/\d/.test(text)) return [];
  const groups: { start: number; end: number }[] = [];
  for (const match of text.matchAll(/\d+/g)) groups.push({ start: match.index, end: match.index + match[0].length });
  const finds: Find[] = [];
  for (let first = 0; first < groups.length; first++) {
    const last = longestCard(text, groups, first);
    if (last === undefined) continue;
    const start = groups[first]?.start ?? 0;
    const end = groups[last]?.end ?? 0;
    const digits = text.slice(start, end).replace(/\D/g, '');
    finds.push({ start, end, mask: `•••${digits.slice(-4)}` });
    first = last;
  }
  return finds;
}

function longestCard(text: string, groups: readonly { start: number; end: number }[], first: number) {
  let digits = '';
  let best: number | undefined;
  const sizes: number[] = [];
  const separator = text[groups[first]?.end ?? 0] ?? '';
  for (let at = first; at < groups.length; at++) {
    const { start, end } = groups[at] as { start: number; end: number };
    const before = groups[at - 1];
    if (at > first && before) {
      if (start - before.end !== 1 || text[before.end] !== separator || !CARD_SEPARATORS.includes(separator)) break;
    }
    if (digits.length + end - start > MAX_CARD_DIGITS) break;
    digits += text.slice(start, end);
    sizes.push(end - start);
    if (digits.length < MIN_CARD_DIGITS || !isCardGrouping(sizes)) continue;
    if (sizes.length === 1 && isFraction(text, start)) continue;
    if (isIssued(digits) && passesLuhn(digits)) best = at;
  }
  return best;
}

/** Ways that people and programs write one: in a piece, by four, American Express, Diners, digit by digit. */
export function isCardGrouping(sizes: readonly number[]): boolean {
  if (sizes.length === 1) return true;
  if (sizes.every((size) => size === 1)) return true;
  if (sizes[0] !== 4) return false;
  if (sizes.length === 3 && sizes[1] === 6) return sizes[2] === 5 || sizes[2] === 4;
  return sizes.slice(0, -1).every((size) => size === 4) && (sizes.at(-1) ?? 0) <= 4;
}

/** `0.4111111111111111` is a measurement, not a card. */
function isFraction(text: string, start: number): boolean {
  const before = text.charCodeAt(start - 2);
  return text[start - 1] === '.' && before >= 48 && before <= 57;
}

/** The ranges that issuers of payment cards really use; Luhn alone passes one identifier in ten. */
export function isIssued(digits: string): boolean {
  const n = digits.length;
  const two = Number(digits.slice(0, 2));
  const three = Number(digits.slice(0, 3));
  const four = Number(digits.slice(0, 4));
  if (digits[0] === '4') return n === 13 || n === 16 || n === 19; // Visa
  if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) return n === 16; // Mastercard
  if (two === 34 || two === 37) return n === 15; // American Express
  if (four >= 3528 && four <= 3589) return n >= 16; // JCB
  if ((three >= 300 && three <= 305) || four === 3095 || two === 36 || two === 38 || two === 39) return n === 14; // Diners
  if (four === 6011 || (three >= 644 && three <= 649) || two === 65 || two === 62) return n >= 16; // Discover, UnionPay
  if (four >= 2200 && four <= 2204) return n === 16; // Mir
  if (two === 60 || two === 81 || two === 82 || three === 508) return n === 16; // RuPay
  if (two === 50 || (two >= 56 && two <= 58) || two === 63 || two === 67) return n >= 16; // Maestro
  return false;
}

/** ISO/IEC 7812-1, annex B. */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = digits.length - 1, double = false; i >= 0; i--, double = !double) {
    const digit = digits.charCodeAt(i) - 48;
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return sum % 10 === 0;
}

const SSN = /(?<!\d)(?<!\d-)(\d{3})([- ])(\d{2})\2(\d{4})(?!-?\d)/g;
/** Nine bare digits are one only where a word says so. */
const NAMED_SSN = /(?:ssn|social.security(?:.n(?:umber|o))?)["'`]?[ :=]{1,4}["'`]?(\d{3})(\d{2})(\d{4})(?!\d)/gi;

export function findSsns(text: string): Find[] {
  const finds: Find[] = [];
  for (const match of text.matchAll(SSN)) {
    if (!isSsn(match[1], match[3], match[4])) continue;
    if (match[2] === ' ' && isAmongNumbers(text, match.index, match.index + match[0].length)) continue;
    finds.push({ start: match.index, end: match.index + match[0].length, mask: '•••' });
  }
  for (const match of text.matchAll(NAMED_SSN)) {
    if (!isSsn(match[1], match[2], match[3])) continue;
    const end = match.index + match[0].length;
    finds.push({ start: end - 9, end, mask: '•••' });
  }
  return finds;
}

/** `7 123 45 6789` is a list of numbers as likely as not; with hyphens there is no such doubt. */
function isAmongNumbers(text: string, start: number, end: number): boolean {
  return /\d[ .,]$/.test(text.slice(Math.max(0, start - 2), start)) || /^[ .,]\d/.test(text.slice(end, end + 2));
}

/** The Social Security Administration's ranges since 2011; areas from 900 are tax numbers (ITIN), as sensitive. */
function isSsn(area = '', group = '', serial = ''): boolean {
  if (area === '000' || area === '666' || group === '00' || serial === '0000') return false;
  return area < '900' || (group >= '50' && group !== '66' && group !== '89' && group !== '93');
}

/** Length by country, from the IBAN registry (SWIFT, release 99). */
export const IBAN_LENGTHS: Readonly<Record<string, number>> = Object.fromEntries(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ' +
    'ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 ' +
    'LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 ' +
    'PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);
const IBAN_START = /(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}/g;

export function findIbans(text: string): Find[] {
  const finds: Find[] = [];
  for (const match of text.matchAll(IBAN_START)) {
    const length = IBAN_LENGTHS[match[0].slice(0, 2).toUpperCase()];
    const iban = length === undefined ? undefined : readIban(text, match.index, length);
    if (iban && ibanRemainder(iban.compact) === 1) finds.push({ start: match.index, end: iban.end, mask: '•••' });
  }
  return finds;
}

/**
 * `length` letters and digits from `start`, in one piece or by four with one separator throughout (a UUID is neither),
 * and nothing glued to the end.
 */
function readIban(text: string, start: number, length: number): { compact: string; end: number } | undefined {
  const separator = /[ -]/.exec(text[start + 4] ?? '')?.[0] ?? '';
  let compact = '';
  let at = start;
  while (compact.length < length) {
    if (separator && compact.length > 0 && compact.length % 4 === 0 && text[at++] !== separator) return undefined;
    const character = text[at++] ?? '';
    if (!/[A-Za-z0-9]/.test(character)) return undefined;
    compact += character.toUpperCase();
  }
  return /[A-Za-z0-9]/.test(text[at] ?? '') ? undefined : { compact, end: at };
}

/** ISO 7064 MOD 97-10 over the rearranged number; 1 is right. */
function ibanRemainder(compact: string): number {
  let remainder = 0;
  for (const character of compact.slice(4) + compact.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97;
  }
  return remainder;
}

// RFC 5321 4.5.3.1: local part 64 octets, domain 255. Read outwards from each @, so that no pattern can backtrack.
const MAX_LOCAL = 64;
const MAX_DOMAIN = 255;
const LOCAL = /[\p{L}\p{N}.!#$%&*+/=?^_{|}~-]/u;
const DOMAIN = /[\p{L}\p{N}.-]/u;
const DOMAIN_SHAPE =
  /^[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62}\.)(?:[\p{L}\p{N}-]{1,63}\.){0,8}(?:\p{L}{2,24}|xn--[a-z0-9-]{2,59})$/u;

export function findEmails(text: string): Find[] {
  const finds: Find[] = [];
  for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
    let start = at;
    while (start > 0 && at - start < MAX_LOCAL && LOCAL.test(text[start - 1] ?? '')) start--;
    while (start < at && /[.!#$%&*+/=?^{|}~-]/.test(text[start] ?? '')) start++; // `=a@b.test`: the sign is not the name
    if (start === at || isUrlPassword(text, start)) continue;
    let end = at + 1;
    while (end < text.length && end - at <= MAX_DOMAIN && DOMAIN.test(text[end] ?? '')) end++;
    while (end > at && /[.-]/.test(text[end - 1] ?? '')) end--;
    if (DOMAIN_SHAPE.test(text.slice(at + 1, end))) finds.push({ start, end, mask: '•••@•••' });
  }
  return finds;
}

/** `://user:password@host` is no address, and the host should stay readable; the secret finder takes the password. */
function isUrlPassword(text: string, start: number): boolean {
  return text[start - 1] === ':' && /:\/\/[^\s:@/'"]{0,64}:$/.test(text.slice(Math.max(0, start - 68), start));
}
