/** `last4` of plain ASCII, on the bytes themselves: what nearly every masked value is. Pure; knows no formats but this. */

export const MAX_ASCII = 64; // bytes; longer values are shown another way
const CARD_DIGITS = [12, 19] as const;
const SHOWN_AT_LEAST = 8; // letters and digits: of fewer, four would be half
const CARD = Buffer.from('**** **** **** ');
const DOTS = Buffer.from('•••');
const DOT = [0xe2, 0x80, 0xa2] as const; // •

const DIGIT = 1;
const LETTER = 2;
/** Kept where they stand: ` -._/:,()+` */
const KEPT = 3;
/** Class of each ASCII character; 0: anything else. */
const CLASSES = new Uint8Array(128);
for (const [characters, kind] of [
  ['0123456789', DIGIT],
  ['abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', LETTER],
  [' -._/:,()+', KEPT],
] as const) {
  for (const character of characters) CLASSES[character.charCodeAt(0)] = kind;
}
/** One of these may stand between two digits of a card. */
const BETWEEN = new Uint8Array(128);
for (const character of ' -._/\t') BETWEEN[character.charCodeAt(0)] = 1;

/** Undefined for what is longer, or not ASCII. The same bytes as the general way gives. */
export function lastFourOfAscii(value: Buffer): Buffer | undefined {
  const { length } = value;
  if (length > MAX_ASCII) return undefined;
  let digits = 0;
  let letters = 0;
  let card = length > 0;
  let gap = true; // behind a separator, or at the beginning: a digit must come
  for (let at = 0; at < length; at++) {
    const byte = value[at]!;
    if (byte >= 0x80) return undefined;
    if (CLASSES[byte] === DIGIT) {
      digits++;
      gap = false;
      continue;
    }
    if (CLASSES[byte] === LETTER) letters++;
    if (gap || BETWEEN[byte] !== 1) card = false;
    gap = true;
  }
  if (card && !gap && digits >= CARD_DIGITS[0] && digits <= CARD_DIGITS[1]) return cardOf(value);
  return digits + letters < SHOWN_AT_LEAST ? DOTS : dotted(value, digits + letters);
}

function cardOf(value: Buffer): Buffer {
  const out = Buffer.allocUnsafe(CARD.length + 4);
  out.set(CARD);
  let to = out.length;
  for (let at = value.length - 1; to > CARD.length; at--) {
    const byte = value[at]!;
    if (CLASSES[byte] === DIGIT) out[--to] = byte;
  }
  return out;
}

/** All but the last four letters and digits as dots, what separates them kept. */
function dotted(value: Buffer, counted: number): Buffer {
  const out = Buffer.allocUnsafe(value.length * DOT.length);
  let to = 0;
  let left = counted;
  for (let at = 0; at < value.length; at++) {
    const byte = value[at]!;
    const kind = CLASSES[byte];
    const shown = kind === KEPT || ((kind === DIGIT || kind === LETTER) && left-- <= 4);
    if (shown) out[to++] = byte;
    else {
      out[to++] = DOT[0];
      out[to++] = DOT[1];
      out[to++] = DOT[2];
    }
  }
  return out.subarray(0, to);
}
