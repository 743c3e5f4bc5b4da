/** Conditions: what each term of one tells of a masked value, one comparison at a time. */
import type { Tree } from '../inspect/parser.ts';
import { listOf, nodeOf, qualified, textOf, unwrap } from '../inspect/tree.ts';
import type { PredicateUse } from './plan.ts';
import type { Scope } from './scope.ts';
import { isMasked, union, type Value } from './value.ts';
import { askOperator, type Walk } from './walk.ts';

/** WHERE, ON, HAVING, FILTER: AND, OR and NOT are followed, each term is one question. */
export function followCondition(walk: Walk, node: unknown, scope: Scope): void {
  const found = unwrap(node);
  if (!found) return;
  if (found.type === 'BoolExpr') for (const part of listOf(found.body.args)) walk.condition(part, scope);
  else if (found.type === 'A_Expr') comparison(walk, node, found.body, scope);
  else if (found.type === 'SubLink') membership(walk, node, found.body, scope);
  else if (found.type === 'BooleanTest') asked(walk, node, walk.value(found.body.arg, scope), 'equality');
  else asked(walk, node, walk.value(node, scope), 'equality');
}

/**
 * Something masked decides which rows there are, or their order.
 * @param whole what it is when the column itself is used, as it stands
 */
export function asked(walk: Walk, node: unknown, value: Value, whole: 'equality' | 'order'): void {
  if (!isMasked(value)) return;
  walk.ledger.use(value, value.kind === 'plain' ? whole : kindOf(value));
  walk.ledger.hide(node);
}

const kindOf = (value: Value): PredicateUse['kind'] => (value.varies || value.of.length > 1 ? 'relational' : 'pattern');

/** Every side is looked at once: nesting must not double the work. */
function comparison(walk: Walk, node: unknown, body: Tree, scope: Scope): void {
  askOperator(walk, body);
  const left = nodeOf(body.lexpr, 'RowExpr');
  const lefts = (left ? listOf(left.args) : [body.lexpr]).map((one) => walk.value(one, scope));
  const rights = rightsOf(body, lefts.length, left !== undefined).map((row) =>
    row.map((one) => walk.value(one, scope)),
  );
  const whole = comparesWhole(body);
  for (const row of rights) {
    if (row.length === lefts.length)
      for (const [at, one] of lefts.entries()) compared(walk, node, one, row[at]!, whole);
    else compared(walk, node, union(lefts), union(row), false);
  }
}

/** The right side: one value, a row, or the rows of an IN list. */
function rightsOf({ kind, rexpr }: Tree, width: number, isRow: boolean): readonly (readonly unknown[])[] {
  const rows = kind === 'AEXPR_IN' && isRow ? listOf(nodeOf(rexpr, 'List')?.items) : [rexpr];
  return rows.map((row) => {
    const items = listOf(nodeOf(row, 'RowExpr')?.args);
    return isRow && items.length === width ? items : [row];
  });
}

function compared(walk: Walk, node: unknown, left: Value, right: Value, whole: boolean): void {
  const both = isMasked(left) && isMasked(right);
  if (!isMasked(left) && !isMasked(right)) return;
  const masked = isMasked(left) ? left : right;
  const other = isMasked(left) ? right : left;
  walk.ledger.hide(node);
  if (both) {
    const equal = whole && left.kind === 'plain' && right.kind === 'plain';
    walk.ledger.use(left, equal ? 'equality' : 'relational');
    if (!equal || left.of[0] !== right.of[0]) walk.ledger.use(right, equal ? 'equality' : 'relational');
  } else if (other.varies) walk.ledger.use(masked, 'relational');
  else walk.ledger.use(masked, masked.kind === 'plain' && whole ? 'equality' : kindOf(masked));
}

const EQUAL = new Set(['=', '<>', '!=']);

/** Is it asked whether two values are the same, and nothing else? */
function comparesWhole(body: Tree): boolean {
  const { name, schema } = qualified(body.name);
  if (schema !== undefined && schema !== 'pg_catalog') return false;
  switch (body.kind) {
    case 'AEXPR_OP':
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL':
    case 'AEXPR_IN':
    case 'AEXPR_DISTINCT':
    case 'AEXPR_NOT_DISTINCT':
      return EQUAL.has(name);
    default:
      return false;
  }
}

/** IN (SELECT …), = ANY (SELECT …): the tested value against each column; EXISTS and scalars like every other term. */
function membership(walk: Walk, node: unknown, body: Tree, scope: Scope): void {
  if (body.subLinkType !== 'ANY_SUBLINK' && body.subLinkType !== 'ALL_SUBLINK') {
    asked(walk, node, walk.value(node, scope), 'equality');
    return;
  }
  askOperator(walk, { name: body.operName });
  const row = nodeOf(body.testexpr, 'RowExpr');
  const tested = (row ? listOf(row.args) : [body.testexpr]).map((one) => walk.value(one, scope));
  const { list, whole: all } = walk.query(body.subselect, scope);
  const operator = textOf(qualified(body.operName).name);
  const whole = operator === '' || EQUAL.has(operator);
  const columns = list?.length === tested.length ? list : undefined;
  for (const [at, one] of tested.entries()) compared(walk, body.testexpr, one, columns?.[at]?.value ?? all, whole);
}

/** What GROUP BY, DISTINCT and set operations tell: which values are equal. */
export const grouped = (walk: Walk, node: unknown, value: Value): void => asked(walk, node, value, 'equality');
/** What ORDER BY tells: which value is greater. */
export const sorted = (walk: Walk, node: unknown, value: Value): void => asked(walk, node, value, 'order');
