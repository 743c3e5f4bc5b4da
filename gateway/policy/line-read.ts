/** Values within a rule's line: patterns, lists, limits, durations, people. Pure. */
import type { z } from 'zod';
import { ACTIONS, type Action } from '../operation.ts';
import { misread, type Part, type Piece, type Word } from './line-words.ts';
import {
  approver,
  channel,
  MAX_EXPIRES_MS,
  MIN_EXPIRES_MS,
  MOST_BYTES,
  MOST_ROWS,
  pattern,
  plainPattern,
} from './schema.ts';

/** Words of the grammar: in quotes where a name is meant. */
export const KEYWORDS: ReadonlySet<string> = new Set([
  'on',
  'where',
  'by',
  'rows',
  'bytes',
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
]);

const MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES: Readonly<Record<string, number>> = { B: 1, K: 1 << 10, M: 1 << 20, G: 1 << 30 };

/** Goes through the words of one line, never back. */
export class Reader {
  readonly #words: readonly Word[];
  #next = 0;

  constructor(words: readonly Word[]) {
    this.#words = words;
  }

  peek(): Word {
    return this.#words[this.#next]!;
  }

  take(): Word {
    const word = this.peek();
    if (word.kind !== 'end') this.#next += 1;
    return word;
  }

  is(kind: Word['kind']): boolean {
    return this.peek().kind === kind;
  }

  /** The next word, where it is this one of the grammar's. */
  takeKeyword(keyword: string): boolean {
    const found = keywordOf(this.peek()) === keyword;
    if (found) this.#next += 1;
    return found;
  }

  /** A name or a number: no punctuation, no word of the grammar. */
  value(part: Part, expected: string): Word {
    const word = this.peek();
    const keyword = keywordOf(word);
    if (word.kind !== 'word' || word.text === '') throw misread(part, word, expected);
    if (keyword !== undefined && KEYWORDS.has(keyword)) {
      throw misread(part, word, `${expected} (in quotes, where “${word.raw}” is its name)`);
    }
    return this.take();
  }

  /** One of these words. */
  oneOf<const W extends string>(part: Part, words: readonly W[]): W {
    const word = this.peek();
    const found = words.find((candidate) => candidate === keywordOf(word));
    if (found === undefined) throw misread(part, word, alternatives(words));
    this.take();
    return found;
  }

  /** Values with commas between them. */
  list<T>(part: Part, expected: string, read: (word: Word) => T): T[] {
    const found = [read(this.value(part, expected))];
    while (this.is(',')) {
      this.take();
      found.push(read(this.value(part, expected)));
    }
    return found;
  }
}

/** A phone begins lines with a capital; the grammar's own words may have them. */
export const keywordOf = ({ kind, pieces }: Word): string | undefined =>
  kind === 'word' && pieces.length === 1 && !pieces[0]!.quoted ? pieces[0]!.text.toLowerCase() : undefined;

export const alternatives = (words: readonly string[]): string =>
  words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

/** What a schema says of a word, as a mistake of the line. */
export function fitting<T>(part: Part, word: Word, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw misread(part, word, issue?.message.replace(/^.*?expected /, '') ?? 'something else');
}

const ACTION_EXPECTED = `an action (${ACTIONS.join(', ')}) or * for any`;

/** Undefined for `*`. */
export function readActions(reader: Reader): Action[] | undefined {
  const any = keywordOf(reader.peek()) === '*';
  if (any) {
    reader.take();
    if (reader.is(',')) throw misread('action', reader.peek(), '* to stand alone');
    return undefined;
  }
  return reader.list('action', ACTION_EXPECTED, (word) => {
    const action = ACTIONS.find((candidate) => candidate === keywordOf(word));
    if (!action) throw misread('action', word, ACTION_EXPECTED);
    return action;
  });
}

const CONNECTION_EXPECTED = 'a connection, like orders, or * for any';
const OBJECT_EXPECTED = 'an object behind the dot, like customers or public.customers';

/** `orders`, `*`, `orders.customers`, `orders,billing.public.*,private.*`: connections, a dot, objects. */
export function readTarget(reader: Reader): { connection?: string[]; object?: string[] } {
  const connections: { word: Word; text: string }[] = [];
  const objects: string[] = [];
  let dots = 0; // of the first target: what has as many later on could be meant as a target of its own
  reader.list('on', CONNECTION_EXPECTED, (word) => {
    if (objects.length > 0) {
      if (dotsIn(word.pieces) >= dots) {
        const what = 'connections first, then a dot and objects, as in orders,billing.customers,payments';
        throw misread('on', word, `${what}; a schema and its table behind a comma in quotes`);
      }
      objects.push(fitting('on', word, plainPattern, word.text));
      return;
    }
    const [before, behind] = cutAtDot(word.pieces);
    if (before === '') throw misread('on', word, CONNECTION_EXPECTED);
    if (behind === '') throw misread('on', word, OBJECT_EXPECTED);
    connections.push({ word, text: fitting('on', word, plainPattern, before) });
    if (behind === undefined) return;
    dots = dotsIn(word.pieces);
    objects.push(fitting('on', word, plainPattern, behind));
  });
  const [first] = connections;
  const any = connections.length === 1 && first?.text === '*' && !first.word.pieces[0]?.quoted;
  return {
    ...(any ? {} : { connection: connections.map(({ text }) => text) }),
    ...(objects.length > 0 ? { object: objects } : {}),
  };
}

const dotsIn = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, { text, quoted }) => sum + (quoted ? 0 : text.split('.').length - 1), 0);

function cutAtDot(pieces: readonly Piece[]): [before: string, behind: string | undefined] {
  let before = '';
  for (const [i, { text, quoted }] of pieces.entries()) {
    const dot = quoted ? -1 : text.indexOf('.');
    if (dot !== -1) {
      const rest = pieces.slice(i + 1).map((piece) => piece.text);
      return [before + text.slice(0, dot), text.slice(dot + 1) + rest.join('')];
    }
    before += text;
  }
  return [before, undefined];
}

const BY_EXPECTED = 'an agent, like report-bot or https://issuer#subject, or group:NAME';

export type By = { readonly kind: 'by' | 'group'; readonly patterns: string[] };

/** Agents, or groups: one list is one condition. */
export function readBy(reader: Reader): By {
  const found = reader.list('by', BY_EXPECTED, (word) => {
    const [first] = word.pieces;
    const isGroup = first?.quoted === false && first.text.toLowerCase().startsWith('group:');
    const text = isGroup ? word.text.slice('group:'.length) : word.text;
    if (text === '') throw misread('by', word, 'the name of a group behind group:');
    return { word, isGroup, text: fitting('by', word, pattern, text) };
  });
  const [first] = found;
  const other = found.find(({ isGroup }) => isGroup !== first?.isGroup);
  if (other) throw misread('by', other.word, 'agents or groups in one list; for both at once write by … by group:…');
  return { kind: first?.isGroup ? 'group' : 'by', patterns: found.map(({ text }) => text) };
}

export type LimitKey = 'rows' | 'bytes' | 'rowsPerHour' | 'bytesPerHour';

/** Behind `rows` or `bytes`: `[per hour] > N`. */
export function readLimit(reader: Reader, of: 'rows' | 'bytes'): [LimitKey, number] {
  const hourly = reader.takeKeyword('per');
  if (hourly && !reader.takeKeyword('hour')) throw misread('rows', reader.peek(), 'hour');
  if (!reader.is('>')) throw misread('rows', reader.peek(), hourly ? '> and a number' : '> and a number, or per hour');
  reader.take();
  const most = of === 'rows' ? readCount(reader) : readSize(reader);
  return [hourly ? `${of}PerHour` : of, most];
}

const ROWS_EXPECTED = 'a number of rows, like 1000';

function readCount(reader: Reader): number {
  const word = reader.value('rows', ROWS_EXPECTED);
  const digits = word.text + groups(reader);
  const count = /^\d{1,13}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(count <= MOST_ROWS)) throw misread('rows', word, ROWS_EXPECTED);
  return count;
}

/** `,000,000`: as people write large numbers. */
function groups(reader: Reader): string {
  let digits = '';
  while (reader.is(',')) {
    const comma = reader.take();
    const word = reader.value('rows', 'three digits behind the comma');
    if (!/^\d{3}$/.test(word.text) || word.at !== comma.at + 1) {
      throw misread('rows', word, 'three digits behind the comma');
    }
    digits += word.text;
    if (digits.length > 15) throw misread('rows', word, ROWS_EXPECTED);
  }
  return digits;
}

const SIZE_EXPECTED = 'a size, like 64KB, 10MB or 1GB';

function readSize(reader: Reader): number {
  const word = reader.value('rows', SIZE_EXPECTED);
  const [, count = '', ownUnit] = /^(\d{1,16})(B|KB|KiB|MB|MiB|GB|GiB)?$/i.exec(word.text) ?? [];
  let unit = ownUnit ?? 'B';
  if (ownUnit === undefined && /^(B|KB|KiB|MB|MiB|GB|GiB)$/i.test(reader.peek().text)) unit = reader.take().text;
  const bytes = count === '' ? Number.NaN : Number(count) * (BYTES[unit[0]!.toUpperCase()] ?? Number.NaN);
  if (!(bytes <= MOST_BYTES)) throw misread('rows', word, SIZE_EXPECTED);
  return bytes;
}

const DURATION_EXPECTED = 'a time from 1s to 24h, like 30s, 15m or 2h';

export function readDuration(reader: Reader, part: Part): number {
  const word = reader.value(part, DURATION_EXPECTED);
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(word.text.toLowerCase()) ?? [];
  const ms = count === undefined ? Number.NaN : Number(count) * MS[unit as keyof typeof MS];
  if (!(ms >= MIN_EXPIRES_MS && ms <= MAX_EXPIRES_MS)) throw misread(part, word, DURATION_EXPECTED);
  return ms;
}

export function readQuorum(reader: Reader): number {
  const expected = 'a number of people from 1 to 20';
  const word = reader.value('quorum', expected);
  const people = /^\d{1,2}$/.test(word.text) ? Number(word.text) : 0;
  if (people < 1 || people > 20) throw misread('quorum', word, expected);
  return people;
}

const APPROVER_EXPECTED = 'a user group (@dba), a person (@alice, from Slack’s list) or oidc:GROUP';
const looksLikeApprover = ({ kind, mention, text, pieces }: Word): boolean =>
  kind === 'word' && (mention !== undefined || (!pieces[0]!.quoted && /^(?:@|oidc:|[SUW][A-Z0-9]{2})/.test(text)));

export function readApprover(reader: Reader, part: Part): string {
  const word = reader.value(part, APPROVER_EXPECTED);
  if (word.mention === 'channel' || !looksLikeApprover(word)) throw misread(part, word, APPROVER_EXPECTED);
  return fitting(part, word, approver, word.text);
}

/** As many as there are, with or without commas. */
export function readApprovers(reader: Reader): string[] {
  const found = [readApprover(reader, 'approvers')];
  while (reader.is(',') || looksLikeApprover(reader.peek())) {
    if (reader.is(',')) reader.take();
    found.push(readApprover(reader, 'approvers'));
  }
  return found;
}

export function readChannel(reader: Reader): string {
  const expected = 'a channel (#dba-approvals, from Slack’s list) or its id';
  const word = reader.value('in', expected);
  if (word.mention !== undefined && word.mention !== 'channel') throw misread('in', word, expected);
  if (word.mention === undefined && word.text.startsWith('#')) throw misread('in', word, expected);
  return fitting('in', word, channel, word.text);
}
