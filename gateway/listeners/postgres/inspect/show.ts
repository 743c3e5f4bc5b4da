/** A statement for people: what detectors find, and every password, masked; all else byte for byte. */
import { type Token, tokens } from './lexer.ts';

const MASK = '‹masked›';
const SECRET_WORDS = /^(?:password|passwd|pwd|passphrase|secret|token|api_?key|private_?key)$/i;
const CONNECTION_SECRET =
  /\b(password|passwd|pwd|passphrase|sslpassword|secret|token)(\s{0,8}=\s{0,8})('[^']{0,1000}'|[^\s'&;]{1,1000})/gi;
const URL_SECRET = /(:\/\/[^\s:/@]{0,200}:)([^\s@/]{1,500})(@)/g;
const SHORTEST = 6; // characters; no shorter word, number or comment is sensitive by its looks
const MAX_DEPTH = 3; // code within code within code

/**
 * @param mask detectors; a text in, the same text with what is sensitive replaced
 * @param secretStrings statements whose every literal may be a password or a connection string (roles, mappings, …)
 * @param hidden where literals begin that are compared with, or assigned to, masked columns
 */
export function show(
  text: string,
  mask: (text: string) => string,
  secretStrings: boolean,
  hidden: ReadonlySet<number> = new Set(),
): string {
  // Once more as a whole: what several tokens spell together (4111-1111-…).
  return mask(tokenwise(text, mask, secretStrings, 0, hidden));
}

function tokenwise(
  text: string,
  mask: (text: string) => string,
  secretStrings: boolean,
  depth: number,
  hidden?: ReadonlySet<number>,
): string {
  const list = tokens(text);
  let shown = '';
  for (let index = 0; index < list.length; index++) {
    const token = list[index]!;
    const raw = text.slice(token.start, token.end);
    if (token.kind === 'space' || token.kind === 'other') shown += raw;
    else if (token.kind === 'string' || token.kind === 'dollar') {
      const last = continuation(text, list, index);
      if (secretStrings || hidden?.has(token.start) || followsSecretWord(text, list, index)) shown += `'${MASK}'`;
      else shown += showString(text, list.slice(index, last + 1), mask, depth);
      index = last;
    } else if (token.kind === 'number' && hidden?.has(token.start)) shown += MASK;
    else shown += raw.length < SHORTEST ? raw : mask(token.kind === 'comment' ? connections(raw) : raw);
  }
  return shown;
}

/** Adjacent literals on separate lines are one literal to the server. */
function continuation(text: string, list: readonly Token[], from: number): number {
  let last = from;
  if (list[from]!.kind !== 'string') return last;
  for (let at = from + 1; at < list.length; at++) {
    const token = list[at]!;
    if (token.kind === 'string' && text[token.start] === "'") last = at;
    else if (token.kind !== 'space' && token.kind !== 'comment') break;
  }
  return last;
}

function showString(text: string, pieces: readonly Token[], mask: (text: string) => string, depth: number): string {
  const first = pieces[0]!;
  const raw = text.slice(first.start, pieces.at(-1)!.end);
  if (first.kind === 'dollar') {
    const inner = text.slice(...first.inner);
    const masked = depth < MAX_DEPTH ? tokenwise(inner, mask, false, depth + 1) : mask(inner);
    return text.slice(first.start, first.inner[0]) + mask(connections(masked)) + text.slice(first.inner[1], first.end);
  }
  const value = pieces
    .filter((piece) => piece.kind === 'string')
    .map((piece) => decoded(text, piece))
    .join('');
  const masked = mask(connections(depth < MAX_DEPTH ? nested(value, mask, depth) : value));
  if (masked === value) return mask(raw) === raw ? raw : `'${MASK}'`;
  return `'${masked.replaceAll("'", "''")}'`;
}

/** A literal may be code (a DO body, dblink's query): a password set inside it is masked as it would be outside. */
function nested(value: string, mask: (text: string) => string, depth: number): string {
  return SECRET_HINT.test(value) ? tokenwise(value, mask, false, depth + 1) : value;
}
const SECRET_HINT = /password|passwd|secret|token/i;

const connections = (value: string): string =>
  value.replace(CONNECTION_SECRET, `$1$2${MASK}`).replace(URL_SECRET, `$1${MASK}$3`);

/** What the literal means, near enough for detectors: quotes undoubled, escapes resolved. */
function decoded(text: string, { start, inner }: Token): string {
  const body = text.slice(...inner).replaceAll("''", "'");
  const prefix = text[start]!.toLowerCase();
  if (prefix === 'u') return body.replace(/\\\+?([\da-f]{6}|[\da-f]{4})/gi, (_, hex: string) => character(hex, 16));
  if (prefix !== 'e') return body;
  return body.replace(
    /\\(?:x([\da-fA-F]{1,2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (...groups) => {
      const [, x, u, long, octal, other] = groups as (string | undefined)[];
      const hex = x ?? u ?? long;
      if (hex !== undefined) return character(hex, 16);
      return octal === undefined ? (other ?? '') : character(octal, 8);
    },
  );
}

function character(digits: string, base: number): string {
  const code = Number.parseInt(digits, base);
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
}

/** PASSWORD '…', password = '…', "password" := '…': the word before the literal, over signs and one keyword. */
function followsSecretWord(text: string, list: readonly Token[], index: number): boolean {
  for (let at = index - 1, steps = 0; at >= 0 && steps < 3; at--) {
    const token = list[at]!;
    if (token.kind === 'space' || token.kind === 'comment') continue;
    const raw = text.slice(token.start, token.end);
    if (token.kind === 'word' || token.kind === 'quoted-name') {
      return (
        SECRET_WORDS.test(text.slice(...token.inner)) ||
        (/^(?:to|is|like)$/i.test(raw) && ++steps < 3 && followsSecretWord(text, list, at))
      );
    }
    if (token.kind !== 'other' || !/^[=:>~]$/.test(raw)) return false;
    steps++;
  }
  return false;
}
