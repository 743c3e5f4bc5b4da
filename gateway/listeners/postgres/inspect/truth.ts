/** Does a WHERE limit anything? Constant conditions are told apart from those that look at the row. */
import type { Tree } from './parser.ts';
import { isTree, listOf, nodeOf, stringOf, textOf, treeOf, unwrap } from './tree.ts';

type Truth = 'always' | 'never' | 'depends';

const NEVER_NULL = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);

/** `notNull` says whether a column of that name cannot be null. Absent also means: does not depend on the row. */
export function whereOf(condition: unknown, notNull: (column: string) => boolean): 'present' | 'absent' {
  return condition !== undefined && truth(condition, notNull) !== 'always' ? 'present' : 'absent';
}

function truth(node: unknown, notNull: (column: string) => boolean): Truth {
  const found = unwrap(node);
  if (!found) return 'depends';
  const { type, body } = found;
  if (type === 'CurrentOfExpr') return 'depends';
  if (type === 'A_Const') return constantTruth(body);
  if (type === 'TypeCast') return truth(body.arg, notNull);
  if (type === 'BoolExpr') {
    const parts = listOf(body.args).map((arg) => truth(arg, notNull));
    if (body.boolop === 'NOT_EXPR') return negated(parts[0] ?? 'depends');
    const decisive: Truth = body.boolop === 'AND_EXPR' ? 'never' : 'always';
    if (parts.includes(decisive)) return decisive;
    return parts.every((part) => part === negated(decisive)) ? negated(decisive) : 'depends';
  }
  if (type === 'NullTest') return nullTruth(body, notNull);
  if (type === 'BooleanTest') {
    const inner = truth(body.arg, notNull);
    if (inner === 'depends') return 'depends';
    const asked = textOf(body.booltesttype);
    const says = asked.endsWith('UNKNOWN') ? 'never' : asked.includes('TRUE') ? inner : negated(inner);
    return asked.startsWith('IS_NOT') ? negated(says) : says;
  }
  if (type === 'A_Expr') {
    const compared = comparison(body);
    if (compared) return compared;
  }
  if (type === 'CoalesceExpr') {
    const parts = listOf(body.args).map((arg) => truth(arg, notNull));
    if (parts.includes('always')) return 'always'; // some rows' condition is "true unless …": not a limit to rely on
  }
  return looksAtRow(node) ? 'depends' : 'always';
}

const negated = (value: Truth): Truth => (value === 'depends' ? value : value === 'always' ? 'never' : 'always');

function constantTruth(body: Tree): Truth {
  if (body.isnull) return 'never';
  if ('boolval' in body) return treeOf(body.boolval).boolval === true ? 'always' : 'never';
  if ('ival' in body) return treeOf(body.ival).ival ? 'always' : 'never';
  if ('sval' in body) {
    const text = textOf(treeOf(body.sval).sval).trim().toLowerCase();
    return text !== '' && ['false', 'no', 'off', '0'].some((no) => no.startsWith(text) && text !== 'o')
      ? 'never'
      : 'always';
  }
  return 'always';
}

function nullTruth(body: Tree, notNull: (column: string) => boolean): Truth {
  const isNotNull = body.nulltesttype === 'IS_NOT_NULL';
  const column = columnOf(body.arg);
  if (column !== undefined) {
    if (!notNull(column) && !NEVER_NULL.has(column)) return 'depends';
    return isNotNull ? 'always' : 'never';
  }
  const constant = nodeOf(body.arg, 'A_Const');
  if (constant) return (constant.isnull === true) === isNotNull ? 'never' : 'always';
  return looksAtRow(body.arg) ? 'depends' : 'always';
}

/** Comparisons whose answer is plain: of two constants, of something with itself, LIKE '%'. */
function comparison(body: Tree): Truth | undefined {
  const operator = stringOf(listOf(body.name).at(-1));
  const [left, right] = [body.lexpr, body.rexpr];
  if (body.kind === 'AEXPR_LIKE' || body.kind === 'AEXPR_ILIKE') {
    const pattern = scalar(right);
    if (typeof pattern === 'string' && /^%+$/.test(pattern) && operator?.startsWith('~~')) return 'always';
  }
  if (body.kind === 'AEXPR_NOT_DISTINCT' && same(left, right)) return 'always';
  if (body.kind !== 'AEXPR_OP') return undefined;
  if (same(left, right) && ['=', '<=', '>=', '~~'].includes(operator!)) return 'always';
  if (same(left, right) && ['<>', '<', '>'].includes(operator!)) return 'never';
  const column = columnOf(left) ?? columnOf(right);
  if (column !== undefined) return undefined;
  const [a, b] = [scalar(left), scalar(right)];
  if (a === undefined || b === undefined || typeof a !== typeof b) return undefined;
  const answer = { '=': a === b, '<>': a !== b, '<': a < b, '>': a > b, '<=': a <= b, '>=': a >= b }[operator!];
  return answer === undefined ? undefined : answer ? 'always' : 'never';
}

function scalar(node: unknown): number | string | boolean | undefined {
  const cast = nodeOf(node, 'TypeCast');
  if (cast) return scalar(cast.arg);
  const body = nodeOf(node, 'A_Const');
  if (!body || body.isnull) return undefined;
  if ('ival' in body) return Number(treeOf(body.ival).ival ?? 0);
  if ('fval' in body) return Number(treeOf(body.fval).fval);
  if ('boolval' in body) return treeOf(body.boolval).boolval === true;
  if ('sval' in body) return textOf(treeOf(body.sval).sval);
  return undefined;
}

function columnOf(node: unknown): string | undefined {
  const cast = nodeOf(node, 'TypeCast');
  if (cast) return columnOf(cast.arg);
  const fields = nodeOf(node, 'ColumnRef')?.fields;
  return fields === undefined ? undefined : stringOf(listOf(fields).at(-1));
}

/** Equal but for where in the text they stand; volatile calls are never equal to themselves, and are not compared. */
function same(left: unknown, right: unknown): boolean {
  const bare = (node: unknown): string =>
    JSON.stringify(node, (key, value) => (key === 'location' ? undefined : value)) ?? '';
  return columnOf(left) !== undefined && bare(left) === bare(right);
}

/** Does the expression name a column anywhere? In a subquery only one under a condition can tie it to the row. */
function looksAtRow(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(looksAtRow);
  if (!isTree(node)) return false;
  const found = unwrap(node);
  if (found?.type === 'ColumnRef') return true;
  if (found?.type === 'SubLink') {
    if (looksAtRow(found.body.testexpr)) return true;
    const inner = nodeOf(found.body.subselect, 'SelectStmt');
    return looksAtRow(inner?.whereClause) || looksAtRow(inner?.havingClause);
  }
  return Object.values(node).some(looksAtRow);
}
