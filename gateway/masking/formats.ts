/** What a client gets in place of a masked value: the same each time, bounded in length, fit for its type. Pure. */
import { createHmac } from 'node:crypto';
import { lastFourOfAscii, MAX_ASCII } from './ascii.ts';
import type { MaskFormat } from './profile.ts';

export type Formatter = {
  /** The mask of a text; null where the format says NULL. Masking a mask shows nothing more. Never throws. */
  mask(format: MaskFormat, text: string): string | null;
  /**
   * The mask of one value as the wire has it, by its type's oid: texts get the mask, json and jsonb a JSON string of it,
   * everything else NULL (null), because no mask is a value of it. The bytes are UTF-8. Never throws.
   */
  maskTyped(format: MaskFormat, typeOid: number, wireFormat: 'text' | 'binary', value: Buffer): Buffer | null;
};

const DOTS = '•••';
const DOTS_BYTES = Buffer.from(DOTS);
const HASH_CHARACTERS = 16; // 64 bits: two of a million values collide with a chance of one in 30 million
const MAX_SHOWN = MAX_ASCII; // characters whose separators are kept; the shape of a longer text is of no use to anybody

const BPCHAR = 1042;
const JSONB = 3802;
/** name, text, unknown, bpchar, varchar: the same bytes in both formats. `"char"` (18) has room for one. */
const TEXTS: ReadonlySet<number> = new Set([19, 25, 705, BPCHAR, 1043]);
const JSONS: ReadonlySet<number> = new Set([114, JSONB]);

/** @param key 32 bytes for `hash`, from nobody's but the gateway's own key: with it values can be tried out */
export function createFormatter(key: Buffer): Formatter {
  const mask = (format: MaskFormat, text: string): string | null => {
    switch (format.kind) {
      case 'redact':
        return DOTS;
      case 'last4':
        return lastFour(text);
      case 'partial':
        return partial(text);
      case 'hash':
        return `h:${createHmac('sha256', key).update(text).digest('hex').slice(0, HASH_CHARACTERS)}`;
      case 'fixed':
        return format.text;
      case 'null':
        return null;
    }
  };
  return {
    mask,
    maskTyped: (format, typeOid, wireFormat, value) => {
      if (format.kind === 'null') return null;
      if (TEXTS.has(typeOid)) {
        if (format.kind === 'redact') return DOTS_BYTES;
        const plain = format.kind === 'last4' && typeOid !== BPCHAR ? lastFourOfAscii(value) : undefined;
        if (plain) return plain;
        // `char(n)` is padded with blanks that belong to no value: without them it hashes like its equals elsewhere.
        const text = value.toString();
        const masked = mask(format, typeOid === BPCHAR ? text.replace(/ +$/, '') : text);
        return masked === null ? null : Buffer.from(masked);
      }
      if (!JSONS.has(typeOid)) return null;
      const versioned = typeOid === JSONB && wireFormat === 'binary';
      const masked = mask(format, (versioned ? value.subarray(1) : value).toString());
      if (masked === null) return null;
      const json = JSON.stringify(masked);
      return versioned ? Buffer.from(`\x01${json}`) : Buffer.from(json);
    },
  };
}

const COUNTED = /[\p{L}\p{N}]/u;
const SEPARATOR = /[ \-._/:,()+]/;
const CARD = /^[0-9](?:[ \-._/\t]?[0-9]){11,18}$/;
const SHOWN_AT_LEAST = 8; // letters and digits: of fewer, four would be half

/** `**** **** **** 1111` for what is written like a card, else `•••-••-1120`; nothing of a short value. */
function lastFour(text: string): string {
  if (text.length <= MAX_SHOWN && CARD.test(text)) return `**** **** **** ${text.replace(/[^0-9]/g, '').slice(-4)}`;
  // Behind so many characters no four are wanted any more.
  const characters = [...text.slice(-2 * MAX_SHOWN)].slice(-MAX_SHOWN);
  const counted = characters.filter((character) => COUNTED.test(character)).length;
  if (counted < SHOWN_AT_LEAST) return DOTS;
  let left = counted;
  const shown = characters.map((character) => {
    if (SEPARATOR.test(character)) return character;
    if (!COUNTED.test(character)) return '•';
    return left-- <= 4 ? character : '•';
  });
  return text.length > MAX_SHOWN
    ? `${DOTS}${characters
        .filter((c) => COUNTED.test(c))
        .slice(-4)
        .join('')}`
    : shown.join('');
}

const EMAIL = /^([^\s@])[^\s@]{0,63}@[^\s@.][^\s@]{0,252}\.([A-Za-z]{2,24})$/u;
const LETTER = /^\p{L}$/u;
const LONG = 8;

/** `j•••@•••.com`; of anything else the first letter and whether it is long. Never more than a third of the value. */
function partial(text: string): string {
  const [, first = '', top = ''] = (text.length <= 320 && EMAIL.exec(text)) || [];
  if (top !== '') {
    const letter = LETTER.test(first) ? first : '';
    return 3 * (letter.length + top.length) <= text.length ? `${letter}•••@•••.${top}` : '•••@•••';
  }
  const head = [...text.slice(0, 2)][0] ?? '';
  const dots = text.length > LONG ? DOTS + DOTS : DOTS;
  return LETTER.test(head) && text.length >= 3 * head.length ? head + dots : dots;
}
