/**
 * A rule in one line, as people type it in Slack: read here, printed by line-print.ts. Pure; the time is linear in the
 * line's length. `(hold|deny|allow) <actions> on <connections>[.<objects>] …`: README, *Rules by command*.
 */

import * as read from './line-read.ts';
import { alternatives, type By, fitting, KEYWORDS, keywordOf, type LimitKey, Reader } from './line-read.ts';
import { MAX_LINE, Misread, type Mistake, misread, type Part, type Word, wordsOf } from './line-words.ts';
import type { Rule, RuleMatch } from './policy.ts';
import { name as nameSchema, ruleMistake, ruleSchema, why as whySchema } from './schema.ts';

export type { Mistake, Part } from './line-words.ts';

export type Parsed =
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'mistake'; readonly mistake: Mistake };

type Reading = {
  match: { -readonly [K in keyof RuleMatch]: RuleMatch[K] };
  rule: { -readonly [K in keyof Rule]?: Rule[K] };
  /** Where each part stands, for what turns out wrong when all is known. */
  readonly seen: Map<Part | LimitKey | 'group', Word>;
};

const VERDICTS = ['hold', 'deny', 'allow'] as const;
const NEXT =
  'where, by, rows, bytes, except, approvers, quorum, expires, require, confirm, in, notify, escalate, id or a “why” in quotes';

/** What `ruleMistake` says about a key, by the part of the line it comes from. */
const PART_OF = {
  verdict: 'verdict',
  approvers: 'approvers',
  quorum: 'quorum',
  expires: 'expires',
  require_reason: 'require',
  channel: 'in',
  confirm: 'confirm',
  notify: 'notify',
  escalate: 'escalate',
} as const satisfies Record<string, Part>;

/** `taken`: ids that are in use. A line without `id` gets one made of its actions and object that is not. */
export function parseLine(line: string, { taken = () => false }: { taken?: (id: string) => boolean } = {}): Parsed {
  try {
    if (line.length > MAX_LINE) {
      throw misread('verdict', { kind: 'word', raw: line, at: 1 }, `a line of at most ${MAX_LINE} characters`);
    }
    return { kind: 'rule', rule: readRule(new Reader(wordsOf(line)), taken) };
  } catch (error) {
    if (error instanceof Misread) return { kind: 'mistake', mistake: error.mistake };
    throw error;
  }
}

function readRule(reader: Reader, taken: (id: string) => boolean): Rule {
  const start = reader.peek();
  const verdict = reader.oneOf('verdict', VERDICTS);
  const reading: Reading = { match: {}, rule: {}, seen: new Map([['verdict', start]]) };
  const action = read.readActions(reader);
  if (action) reading.match.action = action;
  if (!reader.takeKeyword('on')) throw misread('on', reader.peek(), 'on and a connection (on * for any)');
  Object.assign(reading.match, read.readTarget(reader));
  while (!reader.is('end')) readClause(reader, reading);

  const id = reading.rule.id ?? freeId(verdict, reading.match, taken);
  const rule: Rule = {
    id,
    source: 'slack',
    match: reading.match,
    verdict,
    why: reading.rule.why ?? defaultWhy(id),
    approvers: reading.rule.approvers ?? [],
    quorum: reading.rule.quorum ?? 1,
    requireReason: reading.rule.requireReason ?? false,
    expiresMs: reading.rule.expiresMs,
    channel: reading.rule.channel,
    ...(reading.rule.confirm === undefined ? {} : { confirm: reading.rule.confirm }),
    ...(reading.rule.notify === undefined ? {} : { notify: reading.rule.notify }),
    ...(reading.rule.escalate === undefined ? {} : { escalate: reading.rule.escalate }),
  };
  const mistake = ruleMistake(rule);
  if (mistake) {
    const part = PART_OF[mistake.key];
    throw misread(part, reading.seen.get(part) ?? start, mistake.message);
  }
  return fitting('verdict', start, ruleSchema, rule);
}

/** A rule without a sentence of its own says its name, as in countersign.yaml. */
export const defaultWhy = (id: string): string => `rule ${id}`;

function readClause(reader: Reader, reading: Reading): void {
  const { match, rule, seen } = reading;
  const word = reader.peek();
  const once = (part: Part | LimitKey | 'group', of: Part = part as Part) => {
    if (seen.has(part)) throw misread(of, word, `${word.raw} only once`);
    seen.set(part, word);
  };
  if (word.kind === 'word' && word.pieces[0]?.quoted && word.pieces.length === 1 && word.mention === undefined) {
    once('why');
    reader.take();
    rule.why = fitting('why', word, whySchema, word.text);
    return;
  }
  const keyword = keywordOf(word);
  if (keyword === undefined || !KEYWORDS.has(keyword) || keyword === 'on') throw misread('why', word, NEXT);
  if (readCondition(reader, match, once)) return;
  reader.take();
  switch (keyword) {
    case 'rows':
    case 'bytes': {
      const [key, most] = read.readLimit(reader, keyword);
      once(key, 'rows');
      match[key] = most;
      return;
    }
    case 'except':
      once('except');
      match.except = readExcept(reader);
      return;
    case 'approvers':
      once('approvers');
      rule.approvers = read.readApprovers(reader);
      return;
    case 'quorum':
      once('quorum');
      rule.quorum = read.readQuorum(reader);
      return;
    case 'expires':
      once('expires');
      rule.expiresMs = read.readDuration(reader, 'expires');
      return;
    case 'require':
      once('require');
      reader.oneOf('require', ['reason']);
      rule.requireReason = true;
      return;
    case 'confirm':
      once('confirm');
      rule.confirm = reader.oneOf('confirm', ['rows']);
      return;
    case 'in':
      once('in');
      rule.channel = read.readChannel(reader);
      return;
    case 'notify':
      once('notify');
      rule.notify = reader.oneOf('notify', ['channel', 'dm', 'both']);
      return;
    case 'escalate': {
      once('escalate');
      const to = read.readApprover(reader, 'escalate');
      reader.oneOf('escalate', ['after']);
      rule.escalate = { to, afterMs: read.readDuration(reader, 'escalate') };
      return;
    }
    case 'id':
      once('id');
      rule.id = fitting('id', reader.peek(), nameSchema, reader.value('id', 'a name like no-deletes').text);
  }
}

type Once = (part: 'where' | 'by' | 'group', of?: Part) => void;
type Conditions = Pick<Reading['match'], 'where' | 'by' | 'group'>;

/** `where` and `by`, which an exception may have, too. False where the next word begins neither. */
function readCondition(reader: Reader, match: Conditions, once: Once): boolean {
  if (reader.takeKeyword('where')) {
    once('where');
    match.where = reader.oneOf('where', ['absent', 'present']);
    return true;
  }
  if (!reader.takeKeyword('by')) return false;
  const { kind, patterns }: By = read.readBy(reader);
  once(kind, 'by');
  match[kind] = patterns;
  return true;
}

const EXCEPT_EXPECTED = 'actions, on, where or by';

/** `except by ci-bot`: one condition; `except (delete on orders.carts by ci-bot)`: several, all to be met. */
function readExcept(reader: Reader): NonNullable<RuleMatch['except']> {
  const except: Omit<Reading['match'], 'except' | LimitKey> = {};
  const seen = new Map<string, true>();
  const start = reader.peek();
  const several = reader.is('(');
  if (several) reader.take();
  const first = keywordOf(reader.peek());
  const isAction = first !== undefined && !KEYWORDS.has(first);
  if (isAction) {
    const action = read.readActions(reader);
    if (action) except.action = action;
  }
  let conditions = isAction ? 1 : 0;
  while (several ? !reader.is(')') : conditions === 0) {
    const word = reader.peek();
    const once = (part: string) => {
      if (seen.has(part)) throw misread('except', word, `${word.raw} only once`);
      seen.set(part, true);
    };
    if (reader.takeKeyword('on')) {
      once('on');
      Object.assign(except, read.readTarget(reader));
    } else if (!readCondition(reader, except, once)) {
      const expected = conditions === 0 ? EXCEPT_EXPECTED : 'on, where, by or )';
      throw misread('except', word, several ? expected : `${EXCEPT_EXPECTED}, several of them between ( and )`);
    }
    conditions += 1;
  }
  if (several) reader.take();
  if (Object.keys(except).length === 0) {
    throw misread('except', start, `at least one condition (${alternatives(['actions', 'on', 'where', 'by'])})`);
  }
  return except;
}

/** `delete-customers`, `delete-customers-2`, … */
function freeId(verdict: Rule['verdict'], match: RuleMatch, taken: (id: string) => boolean): string {
  const what = match.action ? match.action.slice(0, 3).join('-') : 'any';
  const where = (match.object ?? match.connection)?.[0] ?? '';
  const slug = (text: string) =>
    text
      .toLowerCase()
      .slice(0, 100)
      .split(/[^a-z0-9]/)
      .filter((part) => part !== '')
      .join('-');
  const made = [slug(what), slug(where)].filter((part) => part !== '').join('-');
  const base = `${/^[a-z]/.test(made) ? '' : `${verdict}-`}${made}`.slice(0, 56).replace(/-$/, '');
  if (!taken(base)) return base;
  for (let n = 2; ; n++) if (!taken(`${base}-${n}`)) return `${base}-${n}`;
}
