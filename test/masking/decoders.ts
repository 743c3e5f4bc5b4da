/** What a patient reader could make of what a client was told: every canary that can be put together again from it. */
import type { Canary } from './canaries.ts';
import type { Evidence } from './client.ts';
import { streamsOf } from './streams.ts';

/** So many characters in a row of a canary are a part of it; fewer come up by chance. */
const PART = 6;
/** The more ways a text is read, the longer a part has to be to mean anything. */
const PART_DECODED = 8;
const PART_TWICE = 10;
/** Longer texts are read to here: nothing in the lab is larger, and a flood of rows must not stop a run. */
const MOST_READ = 400_000;
/** Characters that are decoded in all of one evidence, and of them in two steps; the rest is read as it stands. */
const MOST_DECODED = 1_500_000;
const MOST_TWICE = 1_000_000;

export type Found = {
  readonly canary: Canary;
  /** The longest run of its characters that was there. */
  readonly length: number;
  readonly whole: boolean;
  /** Where it was read, and how it was decoded: `rows, reversed`. */
  readonly how: string;
};

/** How a value's beginning was found that is the number of rows somebody got or changed. */
export const COUNTED = 'a number of rows';

/** Texts a probe's own decoder makes of the evidence. */
export type Decoder = (evidence: Evidence) => readonly string[];

/** Looks for many canaries in a text at once, by their runs of six characters. */
export class Finder {
  readonly #runs = new Map<string, { canary: Canary; at: number }[]>();
  /** The first four characters of every run, as numbers of base 36: most of a text is passed over by this alone. */
  readonly #begins = new Uint8Array(36 ** 4);

  constructor(readonly canaries: readonly Canary[]) {
    for (const canary of canaries) {
      for (let at = 0; at + PART <= canary.core.length; at++) {
        const run = canary.core.slice(at, at + PART);
        const places = this.#runs.get(run) ?? [];
        places.push({ canary, at });
        this.#runs.set(run, places);
        this.#begins[Number.parseInt(run.slice(0, 4), 36)] = 1;
      }
    }
  }

  /** @param text already folded to lower-case letters and digits */
  in(text: string, how: string, into: Map<Canary, Found>, least = PART): void {
    let begin = 0;
    for (let from = -3; from + PART <= text.length; from++) {
      begin = (begin % 36 ** 3) * 36 + digit36(text.charCodeAt(from + 3));
      if (from < 0 || this.#begins[begin] === 0) continue;
      const places = this.#runs.get(text.slice(from, from + PART));
      if (places === undefined) continue;
      for (const { canary, at } of places) {
        let length = PART;
        while (at + length < canary.core.length && text[from + length] === canary.core[at + length]) length++;
        if (length < least) continue;
        const known = into.get(canary);
        if (known && known.length >= length) continue;
        into.set(canary, { canary, length, whole: length === canary.core.length, how });
      }
    }
  }
}

/** Of one of 0-9 and a-z, as base 36 has it. */
const digit36 = (code: number): number => (code < 58 ? code - 48 : code - 87);

/** Every canary, whole or in part, that the evidence gives away. */
export function recover(evidence: Evidence, finder: Finder, own?: Decoder): readonly Found[] {
  const found = new Map<Canary, Found>();
  const looked = new Map<string, number>();
  const reading: Reading = {
    look: (text, how, least) => {
      const folded = fold(text);
      if (folded.length < PART || (looked.get(folded) ?? Number.POSITIVE_INFINITY) <= least) return;
      looked.set(folded, least);
      finder.in(folded, how, found, least);
    },
    once: MOST_DECODED,
    twice: MOST_TWICE,
    seen: new Set(),
  };
  for (const text of own?.(evidence) ?? []) readEveryWay(text.slice(0, MOST_READ), 'own decoder', reading);
  for (const { name, text, weak } of streamsOf(evidence))
    readEveryWay(text.slice(0, MOST_READ), name, reading, weak ? PART_TWICE : PART);
  const counted = [...rowCounts(evidence)].flatMap((number) =>
    finder.canaries
      .filter(({ core }) => core.startsWith(number))
      .map((canary) => ({ canary, length: number.length, whole: false, how: COUNTED })),
  );
  return [...found.values(), ...counted];
}

/** Four digits or more, from tags and from rows that came. */
function rowCounts({ results }: Evidence): Set<string> {
  const counts = results.flatMap(({ tag, rows }) => [`${rows.length}`, / (\d+)$/.exec(tag)?.[1] ?? '']);
  return new Set(counts.filter((count) => count.length >= 4));
}

type Reading = {
  readonly look: (text: string, how: string, least: number) => void;
  once: number;
  twice: number;
  readonly seen: Set<string>;
};

/** As it stands and reversed, in every alphabet, and once more through what a first decoding gave. */
function readEveryWay(text: string, name: string, reading: Reading, least = PART): void {
  if (text.length < 4 || reading.seen.has(text)) return;
  reading.seen.add(text);
  readPlain(text, name, reading, least);
  if (reading.once < 0) return;
  for (const [how, decoded] of decodings(text)) {
    reading.once -= decoded.length;
    readPlain(decoded, `${name}, ${how}`, reading, Math.max(least, PART_DECODED));
    if (decoded.length > 2_000 || decoded.length < 6 || reading.twice < 0 || reading.seen.has(decoded)) continue;
    for (const [again, twice] of decodings(decoded)) {
      reading.twice -= twice.length;
      readPlain(twice, `${name}, ${how}, ${again}`, reading, PART_TWICE);
    }
  }
}

function readPlain(text: string, name: string, { look }: Reading, least: number): void {
  look(text, name, least);
  look([...text].reverse().join(''), `${name}, reversed`, least);
}

/** Compatibility forms made one, invisible things and separators gone: what is left are letters and digits. */
function fold(text: string): string {
  if (/^[0-9a-z]*$/.test(text)) return text;
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase().replace(/[^0-9a-z]+/g, '');
  return text
    .normalize('NFKC')
    .replace(/\p{Nd}/gu, digitOf)
    .toLowerCase()
    .replace(/[^0-9a-z]+/g, '');
}

/** Digits of any script stand in blocks of ten that start at zero. */
function digitOf(char: string): string {
  if (char >= '0' && char <= '9') return char;
  let zero = char.codePointAt(0) ?? 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1)) && zero > 0) zero--;
  return String(((char.codePointAt(0) ?? 0) - zero) % 10);
}

const LETTERS = ['abcdefghij', 'qwertyuiop', 'zyxwvutsrq', 'klmnopqrst', 'oabcdefghi'];

function* decodings(text: string): Generator<readonly [how: string, text: string]> {
  const hex = text.replace(/\\x|0x|[\s:,{}()"\n-]/g, '');
  if (/^(?:[0-9a-f]{2}){3,}$/i.test(hex)) {
    yield ['hex', Buffer.from(hex, 'hex').toString('latin1')];
    yield ['hex as base64', Buffer.from(hex, 'hex').toString('base64')];
  }
  for (const [, high = '', low = ''] of text.matchAll(/\b([0-9A-F]{1,8})\/([0-9A-F]{1,8})\b/g)) {
    yield ['a position in the log', `${BigInt(`0x${high}${low.padStart(8, '0')}`)}`];
  }
  for (const [piece] of text.matchAll(/(?:[0-9a-f]{2}){6,200}/gi)) {
    yield ['hex in it', Buffer.from(piece, 'hex').toString('latin1')];
  }
  for (const [piece] of text.matchAll(/[0-9a-f]{10,16}/gi)) yield ['hex number', `${BigInt(`0x${piece}`)}`];
  const tight = text.replace(/\s/g, '');
  for (const [piece] of tight.matchAll(/[0-9A-Za-z+/_-]{8,2000}={0,2}/g)) {
    yield ['base64', Buffer.from(piece, 'base64').toString('latin1')];
  }
  for (const line of text.split('\n')) {
    if (/^[0-9A-Za-z+/]{8,}={0,2}$/.test(line))
      yield ['a line of base64', Buffer.from(line, 'base64').toString('latin1')];
  }
  for (const [piece] of text.replace(/[^01]/g, '').matchAll(/[01]{24,4096}/g)) yield* bits(piece);
  for (const [piece] of text.matchAll(/[0-7]{12,24}/g)) yield ['octal number', `${BigInt(`0o${piece}`)}`];
  const numbers = text.match(/\d+/g) ?? [];
  if (numbers.length < 50) yield* singleNumbers(numbers);
  if (numbers.length >= 4 && numbers.length < 20_000) yield* numberLists(numbers);
  if (text.includes('%')) yield ['percent', text.replace(/%([0-9a-f]{2})/gi, (_, code) => charOf(code, 16))];
  if (text.includes('\\')) {
    yield ['octal escapes', text.replace(/\\([0-7]{3})/g, (_, code) => charOf(code, 8))];
    yield ['unicode escapes', text.replace(/\\u([0-9a-f]{4})/gi, (_, code) => charOf(code, 16))];
  }
  if (text.includes('&#')) {
    yield ['entities', text.replace(/&#(x?)([0-9a-f]+);/gi, (_, x, code) => charOf(code, x === '' ? 10 : 16))];
  }
  if (/e\+?\d/i.test(text)) yield ['exponent', text.replace(/(\d)\.(\d+)e\+?\d+/gi, '$1$2')];
  if (text.length < 20_000) {
    const letters = text.toLowerCase();
    for (const alphabet of LETTERS) {
      yield [`letters ${alphabet}`, letters.replace(/[a-z]/g, (char) => `${numberOr(alphabet.indexOf(char), char)}`)];
    }
    yield ['shifted by 13', text.replace(/[a-z]/gi, thirteen)];
    yield ['inverted digits', text.replace(/\d/g, (digit) => `${9 - Number(digit)}`)];
    for (const by of [1, 5]) {
      yield [`digits less ${by}`, text.replace(/\d/g, (digit) => `${(Number(digit) + 10 - by) % 10}`)];
    }
    yield ['every other', [...text].filter((_, at) => at % 2 === 0).join('')];
    yield ['every other, from the second', [...text].filter((_, at) => at % 2 === 1).join('')];
  }
}

function* bits(piece: string): Generator<readonly [string, string]> {
  yield ['bits', `${BigInt(`0b${piece}`)}`];
  if (piece.length % 8 === 0) {
    const bytes = (piece.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2));
    yield ['bits as characters', Buffer.from(bytes).toString('latin1')];
  }
  if (piece.length % 4 === 0) {
    yield ['bits as decimals', (piece.match(/.{4}/g) ?? []).map((four) => Number.parseInt(four, 2)).join(' ')];
  }
}

function* numberLists(numbers: readonly string[]): Generator<readonly [string, string]> {
  const values = numbers.map(Number);
  const printable = values.filter((value) => value >= 32 && value < 127);
  if (printable.length >= 4) yield ['codes', String.fromCharCode(...printable.slice(0, 5_000))];
  const small = values.filter((value) => value >= 0 && value <= 9);
  if (small.length >= PART) yield ['single digits', small.join('')];
  const tens = values.filter((value) => value >= 10 && value <= 19).map((value) => value - 10);
  if (tens.length >= PART) yield ['digits plus ten', tens.join('')];
  const less = values.filter((value) => value >= 1 && value <= 10).map((value) => value - 1);
  if (less.length >= PART) yield ['digits plus one', less.join('')];
  // (position, digit) in any order: the positions are a run of whole numbers.
  if (values.length % 2 === 0 && values.length <= 128) {
    for (const first of [0, 1]) {
      const pairs = values.flatMap((value, at) =>
        at % 2 === first ? [[value, numbers[at + 1 - 2 * first]] as const] : [],
      );
      pairs.sort(([a], [b]) => a - b);
      yield ['by position', pairs.map(([, digits]) => digits).join('')];
    }
  }
}

function* singleNumbers(numbers: readonly string[]): Generator<readonly [string, string]> {
  for (const [at, high] of numbers.entries()) {
    const low = numbers[at + 1] ?? '';
    if (high.length > 10 || low.length < 5 || low.length > 10) continue;
    yield ['two halves of 64 bits', `${(BigInt(high) << 32n) + BigInt(low)}`];
  }
  for (const piece of numbers) {
    if (piece.length < 9 || piece.length > 40) continue;
    const number = BigInt(piece);
    yield ['a number in hex', number.toString(16)];
    if (piece.length > 16)
      yield ['hex of a number as characters', Buffer.from(number.toString(16), 'hex').toString('latin1')];
    yield ['halved', `${number / 2n}`];
    yield ['doubled', `${number * 2n}`];
    yield ['less one', `${number - 1n}`];
    yield ['xor 2^63', `${BigInt.asUintN(64, number) ^ (1n << 63n)}`];
  }
}

const charOf = (code: string, base: number): string => {
  const value = Number.parseInt(code, base);
  return value > 0 && value <= 0x10ffff ? String.fromCodePoint(value) : '';
};
const numberOr = (number: number, otherwise: string): number | string => (number < 0 ? otherwise : number);
const thirteen = (char: string): string => {
  const base = char <= 'Z' ? 65 : 97;
  return String.fromCharCode(base + ((char.charCodeAt(0) - base + 13) % 26));
};
