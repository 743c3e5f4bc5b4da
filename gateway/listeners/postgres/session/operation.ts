/** What a session asks the gate about: statements and the names they use, made into one Operation. Knows no wire. */
import { GatewayError } from '../../../errors.ts';
import type { Action, Effect, Operation, Parameter } from '../../../operation.ts';
import type { PredicateUse } from '../lineage/plan.ts';
import type { StatementFacts } from '../types.ts';
import { confirmable } from './confirmable.ts';

/** Everything of an Operation that does not change from one execution to the next. */
export type Subject = {
  readonly text: string;
  readonly shown: string;
  readonly effects: readonly Effect[];
  readonly headline: string;
  readonly risks: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly shownParameters: readonly string[];
  /** Types (OIDs) that the client declared for them; 0 or missing: left to the server. */
  readonly types: readonly number[];
  /** Texts of the prepared statements and cursors it runs by name: part of what an approval covers. */
  readonly uses: readonly string[];
  readonly copyIn: boolean;
  /** As of an Operation. */
  readonly unconfirmable: string | undefined;
  readonly uncounted: true | undefined;
  /** Why masking wants somebody asked. */
  readonly guard: readonly string[];
  /** Conditions on masked columns. */
  readonly predicates: readonly PredicateUse[];
  /** What a reveal of it would show; undefined where nothing of it is masked by column. */
  readonly masks: readonly string[] | undefined;
};

/** What the operation is asked in, as far as it is the same for the whole session. */
export type Asker = Pick<Operation, 'connection' | 'environment' | 'principal' | 'session'>;

export type Caps = { readonly rows: number; readonly bytes: number };

/** Worst first: whose headline stands for several statements. */
const WORST: readonly Action[] = [
  'dcl',
  'ddl',
  'delete',
  'update',
  'unknown',
  'call',
  'copy-in',
  'insert',
  'copy-out',
  'read',
  'transaction',
  'session',
];

const rank = (effects: readonly Effect[]): number =>
  effects.reduce((worst, { action, where }) => {
    const at = WORST.indexOf(action) - (where === 'absent' ? 0.5 : 0);
    return Math.min(worst, at);
  }, WORST.length);

/** One statement with what it names looked up. */
export type Resolved = { readonly facts: StatementFacts; readonly inner: StatementFacts | undefined };

export type Bound = Pick<Subject, 'parameters' | 'shownParameters' | 'types'>;

export const NOTHING_BOUND: Bound = Object.freeze({ parameters: [], shownParameters: [], types: [] });

/** Values compared with, or assigned to, masked columns are nobody's to read, approvers included. */
export function hideBound(shown: readonly string[], { guarded }: StatementFacts): readonly string[] {
  const hidden = guarded?.plan.hiddenParameters ?? [];
  return hidden.length === 0 ? shown : shown.map((text, at) => (hidden.includes(at + 1) ? '‹masked›' : text));
}

/** A single statement that names nothing is the same subject each time but for what is bound. */
const subjects = new WeakMap<StatementFacts, Subject>();

/** The subject of one or several statements that run, or do not run, together. `text` is what the client sent. */
export function subjectOf(text: string, statements: readonly Resolved[], bound: Bound): Subject {
  const [first] = statements;
  if (statements.length !== 1 || !first || first.inner) return newSubject(text, statements, bound);
  const { facts } = first;
  const same = facts.like ?? facts;
  let subject = subjects.get(same);
  if (!subject || (same === facts && subject.text !== text)) {
    subject = newSubject(text, [{ facts: same, inner: undefined }], NOTHING_BOUND);
    subjects.set(same, subject);
  }
  if (same === facts && bound.parameters.length === 0) return subject;
  // Member by member: made for every execution, and all of one shape.
  return {
    text,
    shown: facts.shown,
    effects: subject.effects,
    headline: subject.headline,
    risks: subject.risks,
    parameters: bound.parameters,
    shownParameters: bound.shownParameters,
    types: bound.types,
    uses: subject.uses,
    copyIn: subject.copyIn,
    unconfirmable: subject.unconfirmable,
    uncounted: subject.uncounted,
    guard: subject.guard,
    predicates: subject.predicates,
    masks: subject.masks,
  };
}

function newSubject(text: string, statements: readonly Resolved[], bound: Bound): Subject {
  const effects = statements.map(({ facts, inner }) => (inner ? [...facts.effects, ...inner.effects] : facts.effects));
  const headlines = statements.map(({ facts, inner }) =>
    inner && facts.session.kind === 'execute' ? inner.headline : facts.headline,
  );
  const uses = statements.flatMap(({ facts, inner }) =>
    inner && facts.session.kind !== 'declare' ? [inner.text] : [],
  );
  const risks = new Set(statements.flatMap(({ facts, inner }) => [...facts.risks, ...(inner?.risks ?? [])]));
  const copyIn = statements.some(({ facts }) => facts.copy === 'in');
  return {
    text,
    shown: statements.length === 1 ? shown(statements[0]!) : statements.map(shown).join(';\n'),
    effects: statements.length === 1 ? unique(effects[0]!) : unique(effects.flat()),
    headline: statements.length === 1 ? headlines[0]! : severalHeadlines(headlines, effects),
    risks: [...risks],
    ...bound,
    uses,
    copyIn,
    ...confirmable(statements),
    ...guardOf(statements),
  };
}

const MAX_HEADLINES = 3;

/** `3 statements: ` the worst first, in as many words; the rest is counted. */
function severalHeadlines(headlines: readonly string[], effects: readonly (readonly Effect[])[]): string {
  const ranked = headlines.map((headline, at) => ({ headline, rank: rank(effects[at]!) }));
  const said = [...new Set(ranked.sort((a, b) => a.rank - b.rank).map(({ headline }) => headline))];
  const rest = said.length - MAX_HEADLINES;
  const more = rest > 0 ? ` and ${rest} more` : '';
  return `${headlines.length} statements: ${said.slice(0, MAX_HEADLINES).join('; ')}${more}`;
}

/** What the plans of these statements ask for, and would show. PREPARE runs nothing: its statement is asked about when it runs. */
function guardOf(statements: readonly Resolved[]): Pick<Subject, 'guard' | 'masks' | 'predicates'> {
  const predicates: PredicateUse[] = [];
  const guard = new Set<string>();
  const masks = new Set<string>();
  for (const { facts, inner } of statements) {
    const plans = facts.session.kind === 'prepare' ? [] : [facts.guarded?.plan, inner?.guarded?.plan];
    for (const plan of plans) {
      if (!plan) continue;
      for (const reason of plan.holds) guard.add(reason);
      predicates.push(...plan.predicates);
      for (const output of plan.outputs ?? []) if (output.kind === 'plain') masks.add(output.column);
      for (const relation of plan.touches) {
        if (![...masks].some((column) => column.startsWith(`${relation}.`))) masks.add(relation);
      }
    }
    const ran = facts.session.kind === 'prepare' ? [] : [...facts.effects, ...(inner?.effects ?? [])];
    if ((facts.guarded ?? inner?.guarded) && ran.some(({ action }) => action === 'call')) guard.add(RUNS_CODE);
  }
  return { guard: [...guard], predicates, masks: masks.size > 0 ? [...masks] : undefined };
}

const RUNS_CODE = 'runs code that could read masked columns';

/** For people: EXECUTE and FETCH say little without what they run. */
function shown({ facts, inner }: Resolved): string {
  const { kind } = facts.session;
  if (!inner || kind === 'declare') return facts.shown;
  return `${facts.shown}\n-- ${kind === 'execute' ? 'prepared statement' : 'cursor'}: ${inner.shown}`;
}

function unique(effects: readonly Effect[]): readonly Effect[] {
  if (effects.length < 2) return effects;
  const seen = new Set<string>();
  const once = effects.filter(({ action, object, where, rows }) => {
    const key = `${action}\0${object}\0${where ?? ''}\0${rows ?? ''}`;
    return !seen.has(key) && seen.add(key);
  });
  return Object.freeze(once);
}

/**
 * Several statements in one string run one after another, while names and frame are known only as they stand now.
 * `frameTouched`: what ends the transaction takes settings back.
 * @throws GatewayError SESSION_FRAME | UNSUPPORTED
 */
export function checkTogether(statements: readonly StatementFacts[], frameTouched: boolean): void {
  if (statements.length < 2) return;
  if (frameTouched && statements.some(({ session }) => session.kind === 'transaction' && session.verb !== 'begin')) {
    throw new GatewayError('SESSION_FRAME', 'settings or names were touched in this transaction: end it on its own', {
      hint: 'Send COMMIT or ROLLBACK as a statement of its own.',
    });
  }
  let changed = false;
  const last = statements.at(-1);
  for (const statement of statements) {
    const { session, effects } = statement;
    // Behind the last one nothing runs that was judged by the old frame: what drivers' pools send ends in RESET ALL.
    if (session.kind === 'frame' && statement !== last) {
      throw new GatewayError('SESSION_FRAME', `${session.setting} cannot be changed together with other statements`, {
        hint: 'Send it as a statement of its own.',
      });
    }
    const uses = session.kind === 'execute' || session.kind === 'fetch';
    if (uses && changed) {
      throw new GatewayError('UNSUPPORTED', `"${session.name}" is used in the string that may define it`, {
        hint: 'Send the statement that prepares or declares it on its own first.',
      });
    }
    changed ||= ['prepare', 'deallocate', 'declare', 'close', 'discard'].includes(session.kind) || opaque(effects);
  }
}

/** May have done more than its text says, to names and settings too. */
export const opaque = (effects: readonly Effect[]): boolean =>
  effects.some(({ action }) => action === 'call' || action === 'unknown');

const READING: ReadonlySet<Action> = new Set(['read', 'copy-out', 'session', 'transaction']);
/** Whether it came to its end or not: nothing but its result tells. */
export const onlyReads = (effects: readonly Effect[]): boolean => effects.every(({ action }) => READING.has(action));

export const changesSchema = (effects: readonly Effect[]): boolean =>
  effects.some(({ action }) => action === 'ddl' || action === 'dcl' || action === 'call' || action === 'unknown');

/** COMMIT, ROLLBACK and their kind: all that runs in a failed transaction. */
export function leavesTransaction(statements: readonly StatementFacts[]): boolean {
  const session = statements.length === 1 ? statements[0]!.session : undefined;
  return session?.kind === 'transaction' && ['commit', 'rollback', 'rollback-to', 'prepare'].includes(session.verb);
}

/** One of several statements touches tables behind one that may have changed what their names stand for. */
export function changesItsOwnGround(statements: readonly StatementFacts[]): boolean {
  const change = statements.findIndex(({ effects }) => changesSchema(effects));
  return change !== -1 && statements.slice(change + 1).some(({ effects }) => touchesTables(effects));
}

const TOUCHES: ReadonlySet<Action> = new Set(['read', 'copy-out', 'copy-in', 'insert', 'update', 'delete']);
const touchesTables = (effects: readonly Effect[]): boolean => effects.some(({ action }) => TOUCHES.has(action));

/** Values of such a type are made, by code, while the server parses the text: before anything is bound or executed. */
export const runsWhenParsed = (statements: readonly StatementFacts[]): boolean =>
  statements.some(({ effects }) => effects.some(({ object }) => object.startsWith('type ')));

/** After it, names or settings may be others than before. `judged`: its effects as the gate saw them. */
export function unsettles({ session, effects }: StatementFacts, judged = effects): boolean {
  if (opaque(judged) || judged.some(({ action }) => action === 'ddl')) return true;
  switch (session.kind) {
    case 'none':
    case 'fetch':
      return false;
    case 'transaction':
      return !['begin', 'savepoint', 'release'].includes(session.verb);
    default:
      return true;
  }
}

/** What the inspector of a target's committed schema cannot know. */
export const SHADOWED: Effect = { action: 'call', object: '' };
const FOREIGN: Effect = { action: 'unknown', object: 'encoding' };
const UNSYNCED = 'send a Sync before it, what was sent in front has none';
const BEYOND_ASCII = /[^\0-\x7f]/;

export function operationOf(
  subject: Subject,
  asker: Asker,
  now: {
    id: string;
    frame: string;
    inTransaction: boolean;
    /** A Query behind messages without a Sync: whether a transaction block is open, only the target knows. */
    unsynced?: boolean;
    shadowed: boolean;
    foreign: boolean;
    caps: Caps;
    /** Something is masked by column for this principal. */
    guarded: boolean;
    /** The principal has asked about masked columns too often within the hour. */
    tooOften: boolean;
    /** The reason given for showing masked columns. */
    reveal: string | undefined;
    shape: Operation['shape'];
  },
): Operation {
  const { text, shown, effects, headline, risks, parameters, shownParameters, uses, copyIn } = subject;
  const said: string[] = [];
  if (now.inTransaction) said.push('inside a transaction');
  if (copyIn) said.push('data is not reviewed');
  const doubts: Effect[] = [];
  if (now.shadowed && touchesTables(effects)) {
    doubts.push(SHADOWED);
    said.push('schema changed in this session, unseen by the gateway');
  }
  if (now.foreign && BEYOND_ASCII.test(text)) {
    doubts.push(FOREIGN);
    said.push('the database is not in UTF8: names in it may mean something else');
  }
  let { guard } = subject;
  if (now.guarded && doubts.length > 0) guard = [...guard, 'names in it may stand for masked columns'];
  if (now.tooOften) guard = [...guard, 'compares masked columns more than sixty times within an hour'];
  const reveal = now.reveal !== undefined && subject.masks ? { columns: subject.masks, reason: now.reveal } : undefined;
  if (guard.length > 0) said.push(...guard);
  if (reveal) said.push(`shows masked columns as they are: ${reveal.columns.join(', ')}`);
  return {
    id: now.id,
    protocol: 'postgres',
    connection: asker.connection,
    environment: asker.environment,
    principal: asker.principal,
    session: asker.session,
    text,
    shown: reveal ? `SET countersign.reveal = '${reveal.reason.replaceAll("'", "''")}';\n${shown}` : shown,
    parameters,
    shownParameters,
    frame: frameOf(now.frame, uses, reveal),
    effects: doubts.length > 0 ? [...effects, ...doubts] : effects,
    headline: reveal ? `${headline}, masked columns shown` : headline,
    risks: said.length > 0 ? [...new Set([...risks, ...said])] : risks,
    inTransaction: now.inTransaction,
    guard: guard.length > 0 ? guard : undefined,
    predicates: subject.predicates.length > 0 ? subject.predicates : undefined,
    reveal,
    caps: copyIn ? now.caps : undefined,
    stopped: undefined,
    unconfirmable: now.unsynced ? UNSYNCED : subject.unconfirmable,
    uncounted: subject.uncounted,
    shape: now.shape,
  };
}

const frameOf = (frame: string, uses: readonly string[], reveal: Operation['reveal']): string =>
  uses.length === 0 && !reveal ? frame : JSON.stringify([frame, ...uses, ...(reveal ? [reveal] : [])]);
