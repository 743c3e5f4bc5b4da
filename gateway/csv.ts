/** A cell of a table (RFC 4180) that no spreadsheet runs and no terminal obeys. Pure. */

/** Excel and its kin run a cell that begins so, behind white space and in full-width forms too. */
const FORMULA = /^\s*[=+\-@|%＝＋－＠｜％]|^[\t\r\n]/;

/**
 * Quoted where it must be; nothing where there is nothing. Texts that a spreadsheet would take for a formula begin with
 * an apostrophe, numbers stay numbers.
 */
export function csvCell(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  const written = typeof value === 'object' ? JSON.stringify(value) : String(value);
  const shown = visible(FORMULA.test(written) ? `'${written}` : written);
  return /[",;']/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
}

/** Line breaks, controls, bidirectional and zero-width marks are written out: a row stays a line, and says what it says. */
const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
