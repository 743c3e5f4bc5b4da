/** Text as a detector should read it, with the way back to the original. Pure; knows no patterns. */

export type Normalised = {
  /** Full-width digits as digits, every dash as `-`, every space as a space, invisible characters gone. */
  readonly text: string;
  /** Where in the original the normalised range [start, end) begins and ends. */
  original(start: number, end: number): readonly [start: number, end: number];
};

const BEYOND_ASCII = /[\u0080-\uffff]/;
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Mn}\p{Me}]/u; // zero-width, soft hyphen, bidi, combining
const DASH = /\p{Pd}|\u2212/u;
const SPACE = /\p{Zs}/u;
const DIGIT = /\p{Nd}/u;

/** Linear in the text's length; an ASCII text comes back as it is. */
export function normalise(text: string): Normalised {
  if (!BEYOND_ASCII.test(text)) return { text, original: (start, end) => [start, end] };
  const parts: string[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const character of text) {
    const next = at + character.length;
    const plain = plainForm(character);
    parts.push(plain);
    for (let unit = 0; unit < plain.length; unit++) {
      starts.push(at);
      ends.push(next);
    }
    at = next;
  }
  return {
    text: parts.join(''),
    original: (start, end) => [starts[start] ?? text.length, ends[end - 1] ?? text.length],
  };
}

function plainForm(character: string): string {
  if (character.length === 1 && character.charCodeAt(0) < 0x80) return character;
  if (INVISIBLE.test(character)) return '';
  const folded = character.normalize('NFKC');
  if (DASH.test(folded)) return '-';
  if (SPACE.test(folded)) return ' ';
  if (DIGIT.test(folded)) return [...folded].map(asciiDigit).join('');
  return folded;
}

/** Decimal digits of every script come in runs of ten, zero first (Unicode, chapter 4.6). */
function asciiDigit(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80 || !DIGIT.test(character)) return character;
  let value = 0;
  while (value < 9 && DIGIT.test(String.fromCodePoint(code - value - 1))) value++;
  return String(value);
}
