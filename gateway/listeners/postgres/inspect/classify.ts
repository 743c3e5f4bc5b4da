/** One parsed statement to its facts: effects, headline, risks, what it means for the session. Pure; knows no policy. */
import type { Guard } from '../catalog/masked-columns.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import { copyOutOf } from '../mask/copy-columns.ts';
import type { SessionEffect, StatementFacts } from '../types.ts';
import { definitionOf, SECRET_STATEMENTS } from './ddl.ts';
import { isQuery, Walker } from './expressions.ts';
import { Findings } from './findings.ts';
import { guardedBy, hiddenIn } from './guarded.ts';
import { graspOf, lockOf } from './locks.ts';
import { displayName, displayNames } from './names.ts';
import type { Tree } from './parser.ts';
import { judgeSetting, REVEAL, revealReason } from './settings.ts';
import { show } from './show.ts';
import { tiesOf } from './transaction.ts';
import { isTree, listOf, nodeOf, stringOf, textOf, treeOf, unwrap } from './tree.ts';

export type ClassifyContext = {
  readonly snapshot: Snapshot;
  /** False: nobody could look at the target for too long; what needs the catalogue is `unknown` besides. */
  readonly fresh: boolean;
  readonly searchPath: readonly string[];
  readonly maskLiteral: (text: string) => string;
  /** What is masked for the principal; undefined: nothing by column. */
  readonly guard?: Guard | undefined;
  /** Detectors look at what comes back. */
  readonly scans?: boolean | undefined;
  /** Where the statement's own text begins in what was parsed, bytes. */
  readonly from?: number;
};

export type Classified = { readonly facts: StatementFacts; readonly missing: boolean };
type Judged = { readonly headline: string; readonly session: SessionEffect; readonly copy?: 'in' | 'out' };

const NONE: SessionEffect = { kind: 'none' };
const CURSOR_HOLD = 0x20;

/** @throws GatewayError SESSION_FRAME when it would change a pinned setting */
export function classifyStatement(stmt: unknown, text: string, context: ClassifyContext): Classified {
  const found = unwrap(stmt);
  const findings = new Findings();
  const walker = new Walker({ snapshot: context.snapshot, searchPath: context.searchPath, findings });
  const secret = found !== undefined && SECRET_STATEMENTS.has(found.type);
  const judge = new Judge(findings, walker, (inner) => classifyStatement(inner, text, context).facts);
  const judged = judge.statement(found?.type ?? '', found?.body ?? {});
  if (findings.effects.length === 0) findings.add('unknown', '');
  if (findings.consulted && !context.fresh) {
    findings.add('unknown', 'stale catalogue', { derived: true });
    findings.risk('the catalogue is stale: the gateway cannot reach the target to look at it');
  }
  const { headline, session, copy } = judged;
  const guarded = context.guard && guardedBy(context.guard, stmt, context);
  const copyOut = copy === 'out' ? copyOutOf(found?.body ?? {}, guarded, context) : undefined;
  const hidden = hiddenIn(text, guarded?.plan.hiddenLiterals ?? [], context.from ?? 0);
  const shown = show(text, context.maskLiteral, secret, hidden);
  return {
    missing: findings.missing,
    facts: {
      text,
      shown,
      effects: findings.effects,
      headline,
      risks: findings.risks,
      session,
      ...(copy && { copy }),
      ...(guarded && { guarded }),
      ...(copyOut && { copyOut }),
      parameters: findings.parameters,
      ...graspOf(found, findings),
      ...tiesOf(found),
    },
  };
}

class Judge {
  readonly #findings: Findings;
  readonly #walker: Walker;
  readonly #inner: (node: unknown) => StatementFacts;

  constructor(findings: Findings, walker: Walker, inner: (node: unknown) => StatementFacts) {
    this.#findings = findings;
    this.#walker = walker;
    this.#inner = inner;
  }

  statement(type: string, body: Tree): Judged {
    if (isQuery(type)) {
      this.#query({ [type]: body });
      return { headline: this.#queryHeadline(type), session: NONE };
    }
    switch (type) {
      case 'PrepareStmt':
        return this.#prepare(body);
      case 'ExecuteStmt':
        return this.#execute(body);
      case 'DeallocateStmt':
        return this.#session('DEALLOCATE', { kind: 'deallocate', name: textOf(body.name) || 'ALL' });
      case 'DeclareCursorStmt':
        return this.#declare(body);
      case 'FetchStmt':
        return this.#session(body.ismove ? 'MOVE' : 'FETCH', { kind: 'fetch', name: textOf(body.portalname) });
      case 'ClosePortalStmt':
        return this.#session('CLOSE', { kind: 'close', name: textOf(body.portalname) || 'ALL' });
      case 'DiscardStmt':
        return this.#discard(body);
      case 'TransactionStmt':
        return this.#transaction(body);
      case 'VariableSetStmt':
        return this.#reveal(body) ?? this.#set(body);
      case 'VariableShowStmt':
        this.#findings.add('session', textOf(body.name));
        return { headline: `SHOW ${displayName(textOf(body.name))}`, session: NONE };
      case 'ListenStmt':
      case 'UnlistenStmt':
        return this.#session(type === 'ListenStmt' ? 'LISTEN' : 'UNLISTEN', NONE);
      case 'ConstraintsSetStmt':
        return this.#session('SET CONSTRAINTS', NONE);
      case 'ExplainStmt':
        return this.#explain(body);
      case 'CopyStmt':
        return this.#copy(body);
      case 'CallStmt':
        return this.#call(body);
      case 'DoStmt':
        this.#findings.add('call', 'DO');
        this.#findings.risk('runs code that is not checked here');
        return { headline: 'DO block (runs code)', session: NONE };
      case 'LockStmt':
        return this.#lock(body);
      case 'NotifyStmt':
        return this.#unknown('NOTIFY');
      case 'CheckPointStmt':
        return this.#unknown('CHECKPOINT');
      case 'LoadStmt':
        return this.#unknown('LOAD (loads code into the server)');
      default:
        return this.#definition(type, body);
    }
  }

  #query(node: unknown): void {
    this.#walker.walk(node);
    if (this.#findings.effects.length === 0) this.#findings.add('read', '');
  }

  /** What the statement itself names, worst first; everything in it but names comes from here. */
  #queryHeadline(type: string): string {
    const parts: string[] = [];
    for (const [action, words] of [
      ['delete', 'DELETE on'],
      ['update', 'UPDATE on'],
      ['insert', 'INSERT on'],
    ] as const) {
      const names = this.#findings.named(action);
      if (names.length === 0) continue;
      const unlimited = this.#findings.where(action) === 'absent' ? ', no WHERE' : '';
      if (action === 'insert' && parts[0]?.startsWith('INSERT or')) continue;
      const verb =
        type === 'SelectStmt' && action === 'update' && this.#findings.risks.includes('locks rows')
          ? 'row locks on'
          : type === 'InsertStmt' && action === 'update' && this.#upserts(names)
            ? 'INSERT or UPDATE on'
            : words;
      parts.push(`${verb} ${displayNames(names)}${unlimited}`);
    }
    const created = this.#findings.named('ddl');
    if (created.length > 0) parts.unshift(`CREATE TABLE ${displayNames(created)}`);
    const calls = this.#findings.named('call');
    if (calls.length > 0)
      parts.push(
        `CALL of ${calls
          .slice(0, 5)
          .map((name) => `${displayName(name)}()`)
          .join(', ')}`,
      );
    const reads = this.#findings.named('read').filter((name) => name !== '');
    if (parts.length === 0 || type === 'SelectStmt') {
      const select = reads.length > 0 ? `SELECT from ${displayNames(reads)}` : 'SELECT';
      return parts.length > 0 ? `${parts.join('; ')} (in ${select})` : select;
    }
    return type === 'MergeStmt' ? `MERGE: ${parts.join('; ')}` : parts.join('; ');
  }

  /** ON CONFLICT DO UPDATE, and nothing else that inserts or updates. */
  #upserts(names: readonly string[]): boolean {
    const inserts = this.#findings.named('insert');
    return this.#findings.where('update') !== 'absent' && inserts.join() === names.join();
  }

  #session(headline: string, session: SessionEffect): Judged {
    this.#findings.add('session', '');
    const name = 'name' in session && session.name !== '' ? ` ${displayName(session.name)}` : '';
    return { headline: `${headline}${name}`, session };
  }

  #unknown(headline: string): Judged {
    this.#findings.add('unknown', headline.split(' ')[0]!.toLowerCase());
    return { headline, session: NONE };
  }

  #prepare(body: Tree): Judged {
    const query = this.#inner(body.query);
    const inner = { ...query, effects: [...query.effects, ...this.#making(body.argtypes)] };
    this.#findings.add('session', '');
    // Literals become values, by their types' own code, as soon as the server parses the statement.
    for (const { action, object } of query.effects) {
      if (object.startsWith('type ')) this.#findings.add(action, object, { derived: true });
    }
    const headline = `PREPARE ${displayName(textOf(body.name))}: ${inner.headline}`;
    return { headline, session: { kind: 'prepare', name: textOf(body.name), inner } };
  }

  /** What values of these types run when they are made. */
  #making(types: unknown): StatementFacts['effects'] {
    if (listOf(types).length === 0) return [];
    return this.#inner({ SelectStmt: { targetList: types } }).effects.filter(({ action }) => action !== 'read');
  }

  #execute(body: Tree): Judged {
    if (listOf(body.params).length > 0) this.#walker.walk(body.params);
    this.#findings.add('session', '');
    const name = textOf(body.name);
    return { headline: `EXECUTE ${displayName(name)}`, session: { kind: 'execute', name } };
  }

  #declare(body: Tree): Judged {
    const inner = this.#inner(body.query);
    this.#take(inner, inner.effects);
    const name = textOf(body.portalname);
    const hold = (Number(body.options ?? 0) & CURSOR_HOLD) !== 0;
    return {
      headline: `DECLARE ${displayName(name)}: ${inner.headline}`,
      session: { kind: 'declare', name, hold, inner },
    };
  }

  #take(inner: StatementFacts, effects: StatementFacts['effects']): void {
    for (const { action, object, where } of effects) this.#findings.add(action, object, { where, derived: true });
    for (const risk of inner.risks) this.#findings.risk(risk);
    this.#findings.parameters = Math.max(this.#findings.parameters, inner.parameters);
  }

  #discard(body: Tree): Judged {
    const what = (
      { DISCARD_ALL: 'all', DISCARD_PLANS: 'plans', DISCARD_SEQUENCES: 'sequences', DISCARD_TEMP: 'temp' } as const
    )[textOf(body.target) || 'DISCARD_ALL'];
    if (!what) return this.#unknown('DISCARD');
    return this.#session(`DISCARD ${what.toUpperCase()}`, { kind: 'discard', what });
  }

  #transaction(body: Tree): Judged {
    const verbs = {
      TRANS_STMT_BEGIN: 'begin',
      TRANS_STMT_START: 'begin',
      TRANS_STMT_COMMIT: 'commit',
      TRANS_STMT_ROLLBACK: 'rollback',
      TRANS_STMT_SAVEPOINT: 'savepoint',
      TRANS_STMT_RELEASE: 'release',
      TRANS_STMT_ROLLBACK_TO: 'rollback-to',
      TRANS_STMT_PREPARE: 'prepare',
      TRANS_STMT_COMMIT_PREPARED: 'two-phase',
      TRANS_STMT_ROLLBACK_PREPARED: 'two-phase',
    } as const;
    const kind = textOf(body.kind) || 'TRANS_STMT_BEGIN';
    const verb = verbs[kind as keyof typeof verbs];
    const savepoint = verb === 'rollback-to' || verb === 'release' ? ' SAVEPOINT' : '';
    const headline = kind.replace('TRANS_STMT_', '').replaceAll('_', ' ') + savepoint;
    if (!verb) return this.#unknown('TRANSACTION');
    if (verb === 'prepare' || verb === 'two-phase') {
      this.#findings.add('unknown', 'two-phase');
      this.#findings.risk('two-phase: the outcome is decided elsewhere');
      return {
        headline: verb === 'prepare' ? 'PREPARE TRANSACTION' : headline,
        session: { kind: 'transaction', verb },
      };
    }
    this.#findings.add('transaction', '');
    return { headline, session: { kind: 'transaction', verb } };
  }

  #set(body: Tree): Judged {
    const session = judgeSetting(body, this.#findings);
    const verb = textOf(body.kind).startsWith('VAR_RESET') ? 'RESET' : 'SET';
    return { headline: `${verb} ${displayName(textOf(body.name) || 'ALL')}`, session };
  }

  /** The gateway's own setting: the target takes it as one nobody reads. */
  #reveal(body: Tree): Judged | undefined {
    const reason = revealReason(body);
    if (reason === undefined) return undefined;
    this.#findings.add('session', REVEAL);
    return { headline: `SET ${REVEAL}`, session: { kind: 'reveal', reason } };
  }

  #explain(body: Tree): Judged {
    const inner = this.#inner(body.query);
    const runs = listOf(body.options).some((option) => {
      const element = nodeOf(option, 'DefElem');
      return element?.defname === 'analyze' && !isOff(element.arg);
    });
    const planned = new Findings();
    for (const { action, object } of inner.effects) planned.add(action, object);
    const risks = runs ? inner.risks : inner.risks.filter((risk) => risk !== 'no WHERE');
    this.#take({ ...inner, risks }, runs ? inner.effects : planned.asPlanned());
    // EXPLAIN EXECUTE looks the statement up by name; any other session effect of the inner one does not happen.
    const session = inner.session.kind === 'execute' ? inner.session : NONE;
    if (runs) this.#findings.risk('EXPLAIN ANALYZE executes it');
    return { headline: `EXPLAIN ${runs ? 'ANALYZE ' : 'of '}${inner.headline}`, session };
  }

  #copy(body: Tree): Judged {
    const range = isTree(body.relation) ? body.relation : undefined;
    const toOrFrom = body.is_from ? 'FROM' : 'TO';
    if (range && body.is_from) this.#walker.write(range, 'copy-in');
    if (range && body.is_from) this.#walker.write(range, 'insert');
    if (range && !body.is_from) {
      this.#walker.read(range, 'copy-out');
      this.#walker.read(range);
    }
    if (body.query !== undefined) {
      this.#walker.walk(body.query);
      const sources = this.#findings.named('read', 'insert', 'update', 'delete');
      for (const object of sources.length > 0 ? sources : ['']) this.#findings.add('copy-out', object);
    }
    if (body.whereClause !== undefined) this.#walker.walk(body.whereClause);
    const names = displayNames(
      this.#findings.named(body.is_from ? 'copy-in' : 'copy-out').filter((name) => name !== ''),
    );
    const what = names || 'a query';
    if (body.is_program || body.filename !== undefined) {
      const means = body.is_program ? 'program' : 'file';
      this.#findings.add('unknown', `copy-${means}`, { derived: true });
      this.#findings.add('call', `copy-${means}`, { derived: true });
      this.#findings.risk(body.is_program ? 'runs a program on the server' : 'touches a file on the server');
      return { headline: `COPY ${what} ${toOrFrom} a ${means} on the server`, session: NONE };
    }
    if (!body.is_from) return { headline: `COPY ${what} TO STDOUT`, session: NONE, copy: 'out' };
    this.#findings.risk('data is not reviewed');
    return { headline: `COPY ${what} FROM STDIN (data is not reviewed)`, session: NONE, copy: 'in' };
  }

  #call(body: Tree): Judged {
    const call = treeOf(body.funccall);
    const objects = this.#walker.objectsNamed(call.funcname);
    this.#walker.walk(listOf(call.args));
    for (const object of objects) this.#findings.add('call', object);
    this.#findings.risk('runs code that is not checked here');
    return { headline: `CALL of ${displayName(objects[0] ?? '')}()`, session: NONE };
  }

  #lock(body: Tree): Judged {
    const ranges = listOf(body.relations).map((item) => nodeOf(item, 'RangeVar') ?? {});
    const objects = ranges.flatMap((range) => this.#walker.resolve(range).objects);
    for (const object of objects) this.#findings.add('unknown', object);
    this.#findings.risk('makes others wait');
    return { headline: `LOCK TABLE ${displayNames(objects)} in ${lockOf('LockStmt', body)} mode`, session: NONE };
  }

  #definition(type: string, body: Tree): Judged {
    const definition = definitionOf(type, body, this.#walker);
    if (!definition) {
      this.#findings.add('unknown', type);
      return { headline: `Statement of a kind the gateway does not know (${displayName(type)})`, session: NONE };
    }
    for (const action of definition.actions) {
      for (const object of definition.objects) this.#findings.add(action, object);
      for (const object of definition.derived) this.#findings.add(action, object, { derived: true });
    }
    for (const risk of definition.risks) this.#findings.risk(risk);
    const session = this.#runsWhileDefining(type, body);
    const names = displayNames(definition.heads.filter((name) => name !== ''));
    const what = names ? `${definition.words} ${names}` : definition.words;
    return { headline: `${what}${definition.particulars}`, session };
  }

  /** CREATE TABLE AS and materialised views run their query; defaults, indexes and USING run expressions. */
  #runsWhileDefining(type: string, body: Tree): SessionEffect {
    for (const element of listOf(body.schemaElts)) {
      const inner = this.#inner(element);
      this.#take(inner, inner.effects);
    }
    if (type !== 'CreateTableAsStmt') {
      this.#walker.walkCode(body);
      return NONE;
    }
    const inner = this.#inner(body.query);
    this.#take(inner, inner.effects);
    return inner.session.kind === 'execute' ? inner.session : NONE;
  }
}

/** An option's value that is positively off; EXPLAIN (ANALYZE) without one is on. */
function isOff(value: unknown): boolean {
  const text = stringOf(value);
  if (text !== undefined) return ['off', 'false'].includes(text.toLowerCase());
  const integer = nodeOf(value, 'Integer');
  return integer !== undefined && (integer.ival ?? 0) === 0;
}
