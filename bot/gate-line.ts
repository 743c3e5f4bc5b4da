/** What a `/gate` line says: a command, help, a form, or what in it was not understood. Pure. */
import type { GateCommand } from '../queue/asks.ts';
import { nearest, TOPICS } from './gate-help.ts';
import { argument, asTyped, split, withIds } from './gate-words.ts';
import { cut } from './text.ts';

export type Line =
  /** `said`: what was understood, as it could be said again. */
  | { readonly kind: 'command'; readonly command: GateCommand; readonly said: string }
  | { readonly kind: 'help'; readonly topic: string | undefined }
  /** `rules add` without a line, or `rules edit` with the id of a rule. */
  | { readonly kind: 'builder'; readonly rule: string | undefined }
  /** `text` names what was not understood; `topic` is what may help. */
  | { readonly kind: 'wrong'; readonly text: string; readonly topic: string | undefined };

const MOST_CHARACTERS = { what: 400, why: 300, line: 4_000, statement: 40_000, connection: 64, id: 128 };

/** `escaped`: as Slack sends what was typed; a button's own line is as it is. */
export function parseLine(raw: string, { escaped }: { escaped: boolean }): Line {
  const trimmed = raw.trim();
  const word = /^\S+/.exec(trimmed)?.[0] ?? '';
  const rest = trimmed.slice(word.length).trim();
  const name = plainWord(escaped ? asTyped(word) : word);
  if (name === '') return { kind: 'help', topic: undefined };
  if (name === 'rules' || name === 'rule') return rules(rest, escaped);
  const plain = escaped ? withIds(rest) : rest;
  const parsed = split(plain);
  if (!parsed.ok) return wrong(`a quote is opened and never closed, at ${cut(parsed.open, 80)}`, known(name));
  return simple(name, parsed.words);
}

function simple(name: string, words: readonly string[]): Line {
  switch (name) {
    case 'status':
    case 'holds':
      return words.length === 0 ? command({ do: name }, name) : nothingAfter(name, words);
    case 'sessions': {
      const [connection, ...more] = words;
      if (connection === undefined) return command({ do: 'sessions' }, name);
      if (more.length > 0) return tooMuch(name, more);
      if (connection.length > MOST_CHARACTERS.connection) return wrong(`${cut(connection, 80)} is no connection`, name);
      return command({ do: 'sessions', connection }, `sessions ${argument(connection)}`);
    }
    case 'kill':
    case 'unfreeze': {
      const [what, ...more] = words;
      if (what === undefined || what === '') return wrong(`${name} needs to be told what`, name);
      if (more.length > 0) return tooMuch(name, more);
      if (what.length > MOST_CHARACTERS.what) return wrong(`${cut(what, 80)} is too long to be a name`, name);
      return command({ do: name, what }, `${name} ${argument(what)}`);
    }
    case 'freeze':
      return freeze(words);
    case 'grants':
    case 'grant':
      if (words.length === 0) return command({ do: 'grants' }, 'grants');
      if (words[0] === 'revoke') return revoke(words.slice(1));
      return wrong(
        `“${cut(words.join(' '), 80)}” after grants; it is followed by nothing, or by revoke and an id`,
        'grants',
      );
    case 'revoke':
      return revoke(words);
    case 'review': {
      const [hold = '', ...more] = words;
      if (more.length > 0) return tooMuch(name, more);
      if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(hold)) {
        return wrong(`review needs the whole id of a request, not ${hold === '' ? 'nothing' : cut(hold, 80)}`, name);
      }
      return command({ do: 'review', hold }, `review ${hold}`);
    }
    case 'help': {
      const [topic, ...more] = words;
      if (more.length > 0) return tooMuch(name, more);
      if (topic !== undefined && !known(topic)) return noSuch(topic, 'topic');
      return { kind: 'help', topic };
    }
    default:
      return noSuch(name, 'subcommand');
  }
}

function freeze([what, ...rest]: readonly string[]): Line {
  if (what === undefined || what === '') return wrong('freeze needs to be told what', 'freeze');
  const why = rest.join(' ').trim();
  if (what.length > MOST_CHARACTERS.what) return wrong(`${cut(what, 80)} is too long to be a name`, 'freeze');
  if (why.length > MOST_CHARACTERS.why) {
    return wrong(`the reason is longer than ${MOST_CHARACTERS.why} characters`, 'freeze');
  }
  const said = `freeze ${argument(what)}`;
  if (why === '') return command({ do: 'freeze', what }, said);
  return command({ do: 'freeze', what, why }, `${said} ${argument(why)}`);
}

function revoke([grant, ...more]: readonly string[]): Line {
  if (grant === undefined || grant === '')
    return wrong('revoke needs the id of a grant, as /gate grants lists it', 'grants');
  if (more.length > 0) return tooMuch('grants', more);
  if (grant.length > 64) return wrong(`${cut(grant, 80)} is no id of a grant`, 'grants');
  return command({ do: 'revoke', grant }, `grants revoke ${argument(grant)}`);
}

function rules(rest: string, escaped: boolean): Line {
  const word = /^\S+/.exec(rest)?.[0] ?? '';
  const after = rest.slice(word.length).trim();
  const sub = plainWord(word);
  // Its parser knows phones' quotes, and says what it does not understand: the line goes there as it was typed.
  const line = escaped ? withIds(after) : after;
  switch (sub) {
    case '':
    case 'list':
      return after === '' ? command({ do: 'rules' }, 'rules') : nothingAfter('rules list', [after]);
    case 'add':
      if (line === '') return { kind: 'builder', rule: undefined };
      return withLine(line, 'add', { do: 'rule-add', line });
    case 'check':
      return withLine(line, 'check', { do: 'rule-check', line });
    case 'simulate':
      return withLine(line, 'simulate', { do: 'rule-simulate', line });
    case 'test':
      return test(escaped ? asTyped(after) : after);
    case 'edit':
    case 'remove': {
      const id = oneWord(line);
      if (id === undefined || id === '' || id.length > MOST_CHARACTERS.id) {
        return wrong(`rules ${sub} needs the id of one rule, not ${line === '' ? 'nothing' : cut(line, 80)}`, 'rules');
      }
      if (sub === 'edit') return { kind: 'builder', rule: id };
      return command({ do: 'rule-remove', rule: id }, `rules remove ${argument(id)}`);
    }
    case 'revert': {
      const version = /^\d{1,9}$/.test(line) ? Number(line) : 0;
      if (version < 1) {
        return wrong(`rules revert needs a version number, not ${line === '' ? 'nothing' : cut(line, 80)}`, 'rules');
      }
      return command({ do: 'rule-revert', version }, `rules revert ${version}`);
    }
    default:
      return wrong(`rules ${cut(word, 80)} is none of add, edit, remove, revert, test, simulate`, 'rules');
  }
}

function withLine(line: string, sub: string, it: Extract<GateCommand, { line: string }>): Line {
  if (line === '') return wrong(`rules ${sub} needs a rule`, 'rules');
  if (line.length > MOST_CHARACTERS.line) return wrong('the rule is longer than 4,000 characters', 'rules');
  return command(it, `rules ${sub} ${line}`);
}

/** What begins a statement and so is no connection's name. */
const VERBS = new Set(
  'abort alter analyse analyze begin call checkpoint close cluster comment commit copy create deallocate declare delete discard do drop end execute explain fetch grant import insert listen load lock merge move notify prepare reassign refresh reindex release reset revoke rollback savepoint security select set show start table truncate unlisten update vacuum values with'.split(
    ' ',
  ),
);

/** The statement is not touched: what is tested is what was typed. */
function test(typed: string): Line {
  const first = /^[a-z][a-z0-9-]{0,63}(?=\s)/.exec(typed)?.[0];
  const connection = first !== undefined && !VERBS.has(first) ? first : undefined;
  const statement = connection === undefined ? typed : typed.slice(connection.length).trim();
  if (statement === '') return wrong('rules test needs a statement', 'rules');
  if (statement.length > MOST_CHARACTERS.statement) {
    return wrong('the statement is longer than 40,000 characters', 'rules');
  }
  const said = `rules test ${connection === undefined ? '' : `${connection} `}${statement}`;
  return command({ do: 'rule-test', ...(connection === undefined ? {} : { connection }), statement }, said);
}

const command = (it: GateCommand, said: string): Line => ({ kind: 'command', command: it, said });
const wrong = (what: string, topic: string | undefined): Line => ({
  kind: 'wrong',
  text: `Not understood: ${what}.`,
  topic,
});
const tooMuch = (name: string, words: readonly string[]): Line =>
  wrong(`“${cut(words.join(' '), 80)}” after ${name}; what has blanks needs quotes`, known(name));
const nothingAfter = (name: string, words: readonly string[]): Line =>
  wrong(`nothing belongs after ${name}, but there is “${cut(words.join(' '), 80)}”`, known(name.split(' ')[0] ?? ''));

function noSuch(name: string, what: string): Line {
  const meant = nearest(name);
  const text = `there is no ${what} “${cut(name, 80)}”${meant === undefined ? '' : `; did you mean ${meant}?`}`;
  return { kind: 'wrong', text: `Not understood: ${text}${meant === undefined ? '.' : ''}`, topic: meant };
}

const known = (name: string): string | undefined => (Object.hasOwn(TOPICS, name) ? name : undefined);
/** Phones begin sentences with a capital. */
const plainWord = (word: string): string => word.toLowerCase().replace(/^\//, '');
function oneWord(line: string): string | undefined {
  const parsed = split(line);
  return parsed.ok && parsed.words.length === 1 ? parsed.words[0] : undefined;
}
