/** A rule's line cut into words: quotes of phones and keyboards, mentions of Slack. One pass, no look back. Pure. */

/** What was not understood, where (characters, from 1), and what was expected there. */
export type Mistake = {
  /** Which part of the line it is about: a form marks that field. */
  readonly part: Part;
  readonly word: string;
  readonly at: number;
  readonly expected: string;
  /** All of it as one sentence. */
  readonly message: string;
};

export const PARTS = [
  'verdict',
  'action',
  'on',
  'where',
  'by',
  'rows',
  'except',
  'approvers',
  'quorum',
  'expires',
  'require',
  'confirm',
  'in',
  'notify',
  'escalate',
  'id',
  'why',
] as const;
export type Part = (typeof PARTS)[number];

/** Thrown while reading, caught where reading began. */
export class Misread extends Error {
  readonly mistake: Mistake;
  constructor(mistake: Mistake) {
    super(mistake.message);
    this.mistake = mistake;
  }
}

/** A stretch of a word: what stands in quotes separates nothing and names no part of the grammar. */
export type Piece = { readonly text: string; readonly quoted: boolean };

export type Word = {
  readonly kind: 'word' | ',' | '(' | ')' | '>' | 'end';
  readonly pieces: readonly Piece[];
  /** Without its quotes. */
  readonly text: string;
  /** As it stands in the line. */
  readonly raw: string;
  readonly mention?: 'user' | 'group' | 'channel' | undefined;
  readonly at: number;
};

export const MAX_LINE = 1 << 20; // far more than the longest rule that can be kept
const MAX_MENTION = 1_000; // a link's address and label together
const SHOWN_WORD = 60;

const SPACE = /\s/;
const SINGLE = "'‘’‚";
const DOUBLE = '"“”„';
const PUNCTUATION = ',()>';

/** `“whre” at character 34 is not understood: expected …` */
export function misread(part: Part, { raw, at, kind }: Pick<Word, 'raw' | 'at' | 'kind'>, expected: string): Misread {
  const shown = raw.length > SHOWN_WORD ? `${raw.slice(0, SHOWN_WORD)}…` : raw;
  const what = kind === 'end' ? `the line ends at character ${at}` : `“${shown}” at character ${at} is not understood`;
  return new Misread({ part, word: raw, at, expected, message: `${what}: expected ${expected}` });
}

/** The words, an `end` behind the last. @throws Misread for a quote or a mention that does not end */
export function wordsOf(line: string): Word[] {
  const words: Word[] = [];
  let at = 0;
  while (at < line.length) {
    const character = line[at]!;
    if (SPACE.test(character)) at += 1;
    else if (PUNCTUATION.includes(character)) {
      words.push({ kind: character as ',', pieces: [], text: character, raw: character, at: at + 1 });
      at += 1;
    } else {
      const [word, end] = readWord(line, at);
      words.push(word);
      at = end;
    }
  }
  words.push({ kind: 'end', pieces: [], text: '', raw: '', at: line.length + 1 });
  return words;
}

function readWord(line: string, start: number): [Word, end: number] {
  const pieces: Piece[] = [];
  let mention: Word['mention'];
  let at = start;
  while (at < line.length) {
    const character = line[at]!;
    if (SPACE.test(character) || PUNCTUATION.includes(character)) break;
    if (DOUBLE.includes(character) || (SINGLE.includes(character) && opensHere(line, at, start))) {
      const [text, end] = readQuoted(line, at);
      pieces.push({ text, quoted: true });
      at = end;
    } else if (character === '<') {
      const found = readMention(line, at);
      pieces.push({ text: found.text, quoted: true });
      mention = found.mention;
      at = found.end;
    } else {
      const from = at;
      while (at < line.length && isPlain(line, at, start)) at += 1;
      pieces.push({ text: line.slice(from, at), quoted: false });
    }
  }
  const word: Word = {
    kind: 'word',
    pieces,
    text: pieces.map(({ text }) => text).join(''),
    raw: line.slice(start, at),
    at: start + 1,
    ...(mention !== undefined && pieces.length === 1 ? { mention } : {}),
  };
  return [word, at];
}

function isPlain(line: string, at: number, start: number): boolean {
  const character = line[at]!;
  if (SPACE.test(character) || PUNCTUATION.includes(character) || character === '<') return false;
  return !DOUBLE.includes(character) && !(SINGLE.includes(character) && opensHere(line, at, start));
}

/** An apostrophe within a word is none that opens a quotation. */
const opensHere = (line: string, at: number, start: number): boolean => at === start || '.:#'.includes(line[at - 1]!);

/** What stands between quotes of one kind, whichever way they lean; a straight one is closed by a straight one alone. */
function readQuoted(line: string, start: number): [text: string, end: number] {
  const open = line[start]!;
  const single = SINGLE.includes(open);
  const closing = open === '"' ? '"' : single ? SINGLE : DOUBLE;
  let text = '';
  let at = start + 1;
  while (at < line.length) {
    const character = line[at]!;
    if (character === '\\') {
      const [meant, end] = readEscape(line, at);
      text += meant;
      at = end;
    } else if (closing.includes(character) && !(single && isApostrophe(line, at))) return [text, at + 1];
    else {
      text += character;
      at += 1;
    }
  }
  const raw = line.slice(start);
  throw misread('why', { kind: 'word', raw, at: start + 1 }, `the quotation that begins here to end with ${open}`);
}

const isApostrophe = (line: string, at: number): boolean => {
  const next = line[at + 1];
  return next !== undefined && !SPACE.test(next) && !'.,)'.includes(next);
};

/** `\"`, `\\`, `\n` and `\u{…}`; before anything else a backslash is one. */
function readEscape(line: string, start: number): [meant: string, end: number] {
  const next = line[start + 1];
  if (next === 'n') return ['\n', start + 2];
  if (next !== undefined && (next === '\\' || DOUBLE.includes(next) || SINGLE.includes(next))) return [next, start + 2];
  const code = /^u\{([0-9a-f]{1,6})\}/.exec(line.slice(start + 1, start + 10))?.[1];
  const point = code === undefined ? Number.NaN : Number.parseInt(code, 16);
  return point <= 0x10ffff ? [String.fromCodePoint(point), start + 4 + code!.length] : ['\\', start + 1];
}

/** `<@U123|name>`, `<!subteam^S123|@dba>`, `<#C1|approvals>`, `<https://…|…>`: Slack's ids, never its labels. */
function readMention(line: string, start: number): { text: string; mention: Word['mention']; end: number } {
  const close = line.slice(start, start + MAX_MENTION).indexOf('>');
  const inner = close === -1 ? '' : (line.slice(start + 1, start + close).split('|', 1)[0] ?? '');
  const end = start + close + 1;
  if (/^@[UW][A-Z0-9]{2,30}$/.test(inner)) return { text: inner.slice(1), mention: 'user', end };
  if (/^!subteam\^S[A-Z0-9]{2,30}$/.test(inner)) return { text: inner.slice(9), mention: 'group', end };
  if (/^#[CG][A-Z0-9]{2,30}$/.test(inner)) return { text: inner.slice(1), mention: 'channel', end };
  if (/^https?:\/\//.test(inner)) return { text: inner, mention: undefined, end };
  const raw = close === -1 ? line.slice(start) : line.slice(start, end);
  throw misread(
    'on',
    { kind: 'word', raw, at: start + 1 },
    'a mention of Slack’s, like <@U0ALICE>, or a word without <',
  );
}
