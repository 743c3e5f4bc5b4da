/** Which characters beyond ASCII a detector would read as something else, or not at all. Pure. */
import { normalise } from './normalise.ts';

const UNKNOWN = 0;
const PLAIN = 1;
const ODD = 2;
/** By code point, filled in as they are met: 1.1 MB that the system gives page by page. */
const kinds = new Uint8Array(0x11_0000);
/** What no rule of the gate takes for evidence: a wide comma may become a comma. */
const HARMLESS = /^[,;()?\u0080-\u{10ffff}]+$/u;

/**
 * The length in bytes of the character beyond ASCII at `at`; 0 where normalising makes it vanish or become something that
 * counts (a digit of any script, a wide letter, a dash, a space), and where it is not UTF-8.
 */
export function plainLength(bytes: Uint8Array, at: number, to: number): number {
  const lead = bytes[at] as number;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > to) return 0;
  let code = lead & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] as number;
    if ((byte & 0xc0) !== 0x80) return 0;
    code = (code << 6) | (byte & 0x3f);
  }
  if (code < 0x80 || code > 0x10_ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  if (kinds[code] === UNKNOWN) kinds[code] = HARMLESS.test(normalise(String.fromCodePoint(code)).text) ? PLAIN : ODD;
  return kinds[code] === PLAIN ? length : 0;
}
