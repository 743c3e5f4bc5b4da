/** Names of database objects, made fit for a sentence that people trust: nothing in them can pose as wording. */

const MAX_NAME = 64; // characters; PostgreSQL's own limit is 63 bytes
const MAX_LISTED = 5;
const PLAIN = /^[\p{Script=Latin}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\d_$.?]$/u;
const WORD = /^[\p{L}_?][\p{L}\d_$?]*(?:\.[\p{L}_?][\p{L}\d_$?]*)*$/u;

/**
 * One name for a headline: control, bidi, zero-width and look-alike characters as `\u{…}`, everything that is not
 * one word per part in double quotes, cut at 64 characters. Full-width Latin counts as look-alike.
 */
export function displayName(name: string): string {
  let escaped = '';
  for (const character of name.slice(0, MAX_NAME)) {
    const code = character.codePointAt(0)!;
    const ascii = code >= 0x20 && code < 0x7f;
    const fullWidth = code >= 0xff00 && code <= 0xffef;
    if (ascii || (PLAIN.test(character) && !fullWidth)) escaped += character;
    else escaped += `\\u{${code.toString(16).toUpperCase()}}`;
  }
  if (name.length > MAX_NAME) escaped += '…';
  return WORD.test(escaped) ? escaped : `"${escaped.replaceAll('"', "'")}"`;
}

/** `a, b, c`; beyond five the rest is counted. */
export function displayNames(names: readonly string[]): string {
  const shown = names.slice(0, MAX_LISTED).map(displayName);
  const rest = names.length - shown.length;
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ');
}
