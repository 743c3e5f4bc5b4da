/** A statement's plan: what of its results is masked, what must be asked, what its conditions tell. Pure. */
import type { Profile } from '../../../masking/profile.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import { isQuery } from '../inspect/expressions.ts';
import type { Tree } from '../inspect/parser.ts';
import { isTree, listOf, nodeOf, textOf, unwrap } from '../inspect/tree.ts';
import { codeOf } from './code.ts';
import { type Columns, columnsOf, hasMasked, openColumns, relationColumns } from './columns.ts';
import { followCondition } from './conditions.ts';
import { expressionValue, notUnderstood } from './expressions.ts';
import { Ledger } from './ledger.ts';
import type { Masked, Output, Plan } from './plan.ts';
import { selectColumns } from './queries.ts';
import { EMPTY, type Scope } from './scope.ts';
import { isMasked, OPAQUE, outputOf, ROW } from './value.ts';
import { relationsOf, tableColumns, type Walk } from './walk.ts';
import { writeColumns } from './writes.ts';

export { explainPlan } from './explain.ts';

const MAX_ROUNDS = 100; // over recursive members, one of them inside another included
const MAX_SEARCHES = 50_000; // a hundred joins by two columns take 20,000; 2,500 items in one FROM take all
const MAX_DEPTH = 400; // expressions in expressions, queries in queries; the stack holds a few times as many

class TooDeep extends Error {}
class TooMuch extends Error {}

/**
 * What the statement would let through. It reads nothing but the tree and the snapshot, and never throws for a
 * hostile one: what is too deep or not understood is held.
 * @param statement a parser node, as `classifyStatement` gets it
 */
export function planOf(
  statement: unknown,
  context: {
    readonly snapshot: Snapshot;
    readonly searchPath: readonly string[];
    readonly masked: Masked;
    readonly predicates: Profile['predicates'];
  },
): Plan {
  const ledger = new Ledger(context.predicates);
  const walk = walkOf(context, ledger);
  try {
    const found = unwrap(statement);
    return ledger.plan(outputsOf(follow(walk, found?.type ?? '', found?.body ?? {})));
  } catch (error) {
    if (!(error instanceof TooDeep || error instanceof TooMuch || error instanceof RangeError)) throw error;
    ledger.hold(error instanceof TooMuch ? 'joins too much to be followed' : 'is nested too deeply to be followed');
    ledger.opaque();
    return ledger.plan(undefined);
  }
}

function walkOf(context: Pick<Walk, 'snapshot' | 'searchPath' | 'masked'>, ledger: Ledger): Walk {
  let depth = 0;
  let rounds = 0;
  let searches = 0;
  const deeper = <T>(work: () => T): T => {
    if (++depth > MAX_DEPTH) throw new TooDeep();
    const result = work();
    depth--;
    return result;
  };
  const walk: Walk = {
    snapshot: context.snapshot,
    searchPath: context.searchPath,
    masked: context.masked,
    ledger,
    code: codeOf(context.snapshot),
    value: (node, scope) => deeper(() => expressionValue(walk, node, scope)),
    condition: (node, scope) => deeper(() => followCondition(walk, node, scope)),
    select: (body, scope) => deeper(() => selectColumns(walk, body, scope)),
    again: () => {
      if (++rounds > MAX_ROUNDS) throw new TooDeep();
    },
    search: (count) => {
      searches += count;
      if (searches > MAX_SEARCHES) throw new TooMuch();
    },
    query: (node, scope) => deeper(() => queryColumns(walk, node, scope)),
  };
  return walk;
}

function queryColumns(walk: Walk, node: unknown, scope: Scope): Columns {
  const found = unwrap(node);
  if (found?.type === 'SelectStmt') return selectColumns(walk, found.body, scope);
  if (found && isQuery(found.type)) return writeColumns(walk, found.type, found.body, scope);
  return openColumns(notUnderstood(walk, found?.type ?? ''));
}

const outputsOf = (columns: Columns | undefined): readonly Output[] | undefined =>
  columns?.list?.map(({ value }) => outputOf(value));

const NO_ROWS = columnsOf([]);
const ONE_CLEAN = columnsOf([{ name: undefined, value: ROW }]);

/** They tell nothing of rows: what they do to the session is judged elsewhere. */
const SILENT = new Set([
  'TransactionStmt',
  'VariableSetStmt',
  'ListenStmt',
  'UnlistenStmt',
  'NotifyStmt',
  'ClosePortalStmt',
  'DeallocateStmt',
  'DiscardStmt',
  'ConstraintsSetStmt',
  'LockStmt',
  'TruncateStmt',
  'CheckPointStmt',
]);

/** The columns it gives; undefined where they cannot be told. */
function follow(walk: Walk, type: string, body: Tree): Columns | undefined {
  const { ledger } = walk;
  if (isQuery(type)) return walk.query({ [type]: body }, EMPTY);
  switch (type) {
    case 'PrepareStmt':
    case 'DeclareCursorStmt':
      return follow(walk, unwrap(body.query)?.type ?? '', unwrap(body.query)?.body ?? {});
    case 'ExecuteStmt':
      walk.value(body.params, EMPTY);
      return undefined; // those of what was prepared
    case 'FetchStmt':
    case 'VariableShowStmt':
      return undefined;
    case 'ExplainStmt':
      return explained(walk, body);
    case 'CopyStmt':
      return copied(walk, body);
    case 'CallStmt':
    case 'DoStmt':
      ledger.hold(type === 'DoStmt' ? 'runs a block of code (DO)' : 'runs a procedure (CALL)');
      ledger.opaque();
      return undefined;
    case 'LoadStmt':
      ledger.hold('loads code into the server');
      ledger.opaque();
      return undefined;
    case 'CreateTableAsStmt':
      return stored(walk, body);
    default:
      if (SILENT.has(type)) return NO_ROWS;
      ledger.hold(
        `changes what the database is made of, or is of a kind the gateway does not know (${type.replace(/Stmt$/, '')})`,
      );
      ledger.opaque();
      return undefined;
  }
}

/** CREATE TABLE AS and its kind: a copy that no rule names. */
function stored(walk: Walk, body: Tree): undefined {
  walk.ledger.hold('makes a table from a query');
  walk.ledger.opaque();
  const inner = unwrap(body.query);
  follow(walk, inner?.type ?? '', inner?.body ?? {});
}

/** Its own text is clean; what it says of rows, and how many, answers the conditions. */
function explained(walk: Walk, body: Tree): Columns {
  const inner = unwrap(body.query);
  const columns = follow(walk, inner?.type ?? '', inner?.body ?? {});
  const runs = listOf(body.options).some((option) => textOf(nodeOf(option, 'DefElem')?.defname) === 'analyze');
  if (walk.ledger.used) walk.ledger.hold('explains a condition on masked columns: the estimate answers it');
  else if (runs && (walk.ledger.touched || (columns && hasMasked(columns)))) {
    walk.ledger.hold('measures a statement that touches masked columns');
  }
  return ONE_CLEAN;
}

function copied(walk: Walk, body: Tree): Columns | undefined {
  const { ledger } = walk;
  if (body.is_program || body.filename !== undefined) ledger.hold('copies to or from a file or program of the server');
  if (isTree(body.relation)) return copiedRelation(walk, body, body.relation);
  const inner = unwrap(body.query);
  const columns = follow(walk, inner?.type ?? '', inner?.body ?? {});
  const clean = columns?.list ? columns.list.every(({ value }) => !isMasked(value)) : columns && !hasMasked(columns);
  if (!clean) ledger.hold('copies masked values out');
  return columns;
}

function copiedRelation(walk: Walk, body: Tree, range: Tree): Columns | undefined {
  const columns = tableColumns(walk, range);
  if (body.is_from) {
    if (body.whereClause !== undefined) {
      const item = { alias: textOf(range.relname), qualifies: true, columns };
      walk.condition(body.whereClause, { ...EMPTY, items: [item], groups: [columns] });
    }
    return NO_ROWS;
  }
  const listed = listOf(body.attlist);
  const named = listed.map((one) => columns.find(textOf(nodeOf(one, 'String')?.sval)) ?? OPAQUE);
  const masked =
    listed.length > 0
      ? named.some(isMasked)
      : relationsOf(walk, range).some((one) => hasMasked(relationColumns(one, walk.masked)));
  if (masked) walk.ledger.hold('copies masked values out');
  return listed.length > 0 ? columnsOf(named.map((value) => ({ name: undefined, value }))) : columns;
}
