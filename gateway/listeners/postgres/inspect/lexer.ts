/** PostgreSQL's tokens, as far as showing a statement needs them. Decides nothing about what a statement does. */

export type Token = {
  readonly kind: 'word' | 'string' | 'dollar' | 'quoted-name' | 'number' | 'comment' | 'space' | 'other';
  /** Offsets in UTF-16 units; together the tokens are the whole text. */
  readonly start: number;
  readonly end: number;
  /** What stands between the delimiters, raw; of a comment everything. */
  readonly inner: readonly [number, number];
};

const SPACE = /\s/;
const WORD_START = /[\p{L}_\u0080-\uffff]/u;
const WORD = /[\p{L}\d_$\u0080-\uffff]/u;
const NUMBER = /[\d._a-zA-Z]/;

/** Linear in the text; with standard_conforming_strings on, as the gateway pins it. */
export function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  const push = (kind: Token['kind'], end: number, inner: readonly [number, number] = [at, end]) => {
    found.push({ kind, start: at, end, inner });
    at = end;
  };
  while (at < text.length) {
    const c = text[at]!;
    const next = text[at + 1] ?? '';
    if (SPACE.test(c)) push('space', whileTrue(text, at, SPACE));
    else if (c === '-' && next === '-') push('comment', lineEnd(text, at));
    else if (c === '/' && next === '*') push('comment', blockEnd(text, at));
    else if (c === "'") pushQuoted(0, false);
    else if ((c === 'e' || c === 'E') && next === "'") pushQuoted(1, true);
    else if (/[bBxXnN]/.test(c) && next === "'") pushQuoted(1, false);
    else if (/[uU]/.test(c) && next === '&' && text[at + 2] === "'") pushQuoted(2, false);
    else if (/[uU]/.test(c) && next === '&' && text[at + 2] === '"') pushName(2);
    else if (c === '"') pushName(0);
    else if (c === '$') pushDollar();
    else if (/\d/.test(c) || (c === '.' && /\d/.test(next))) push('number', whileTrue(text, at, NUMBER));
    else if (WORD_START.test(c)) push('word', whileTrue(text, at, WORD));
    else push('other', at + 1);
  }
  return found;

  function pushQuoted(prefix: number, escapes: boolean): void {
    const end = quoteEnd(text, at + prefix, "'", escapes);
    push('string', end, [at + prefix + 1, Math.max(at + prefix + 1, end - 1)]);
  }
  function pushName(prefix: number): void {
    const end = quoteEnd(text, at + prefix, '"', false);
    push('quoted-name', end, [at + prefix + 1, Math.max(at + prefix + 1, end - 1)]);
  }
  function pushDollar(): void {
    const tagEnd = dollarTagEnd(text, at);
    if (tagEnd === undefined) {
      push('other', at + 1);
      return;
    }
    const tag = text.slice(at, tagEnd);
    const close = text.indexOf(tag, tagEnd);
    if (close < 0) push('dollar', text.length, [tagEnd, text.length]);
    else push('dollar', close + tag.length, [tagEnd, close]);
  }
}

function whileTrue(text: string, from: number, pattern: RegExp): number {
  let at = from + 1;
  while (at < text.length && pattern.test(text[at]!)) at++;
  return at;
}

function lineEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '\n' && text[at] !== '\r') at++;
  return at;
}

function blockEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '/' && text[at + 1] === '*') {
      depth++;
      at++;
    } else if (text[at] === '*' && text[at + 1] === '/') {
      depth--;
      at++;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

/** The offset behind the closing quote; a doubled quote stays inside, and with `escapes` a backslash hides one. */
function quoteEnd(text: string, open: number, quote: string, escapes: boolean): number {
  for (let at = open + 1; at < text.length; at++) {
    if (escapes && text[at] === '\\') at++;
    else if (text[at] === quote) {
      if (text[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  return text.length;
}

function dollarTagEnd(text: string, from: number): number | undefined {
  let at = from + 1;
  if (/\d/.test(text[at] ?? '')) return undefined; // $1 is a parameter
  while (at < text.length && WORD.test(text[at]!) && text[at] !== '$') at++;
  return text[at] === '$' ? at + 1 : undefined;
}
