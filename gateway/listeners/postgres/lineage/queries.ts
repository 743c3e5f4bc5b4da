/** Queries: WITH, SELECT, VALUES, set operations; the columns each gives. */
import type { Tree } from '../inspect/parser.ts';
import { isTree, listOf, nodeOf, stringOf, stringsOf, textOf, treeOf, unwrap } from '../inspect/tree.ts';
import { namedWindows, SETS_ROWS } from './calls.ts';
import { type Columns, columnsOf, concatenated, type Named, openColumns } from './columns.ts';
import { grouped, sorted } from './conditions.ts';
import { withMembers } from './ctes.ts';
import { rowNamed } from './expressions.ts';
import { fromList } from './from.ts';
import { labelOf } from './labels.ts';
import { inside, ownerOf, type Scope } from './scope.ts';
import { either, isMasked, isSame, ROW, union, type Value, varying } from './value.ts';
import { ask, askOperator, type Walk } from './walk.ts';

const MAX_COLUMNS = 1_664; // of one result; PostgreSQL's own limit

export function selectColumns(walk: Walk, body: Tree, outer: Scope): Columns {
  const scope = withMembers(walk, body.withClause, inside(outer));
  if (isTree(body.intoClause)) walk.ledger.hold('makes a table from a query');
  if (body.op !== undefined && body.op !== 'SETOP_NONE') {
    const columns = setOperation(walk, body, scope);
    // ORDER BY and LIMIT of the whole know its output columns only.
    return finished(walk, body, columns, { ...scope, groups: [columns] });
  }
  if (listOf(body.valuesLists).length > 0) {
    return finished(walk, body, valuesColumns(walk, listOf(body.valuesLists), scope), scope);
  }
  const inner = fromList(walk, body.fromClause, scope);
  if (body.whereClause !== undefined) walk.condition(body.whereClause, inner);
  const full = namedWindows(walk, body.windowClause, inner);
  const columns = targetColumns(walk, body.targetList, full);
  groups(walk, body, columns, full);
  return finished(walk, body, columns, full);
}

/** A target list, `*` expanded; where one cannot be, the list is not known. */
export function targetColumns(walk: Walk, list: unknown, scope: Scope): Columns {
  const columns: Named[] = [];
  const unlisted: Value[] = [];
  for (const item of listOf(list)) {
    const target = nodeOf(item, 'ResTarget') ?? {};
    const star = starred(walk, target.val, scope);
    if (star?.list) columns.push(...star.list);
    else if (star) unlisted.push(star.whole);
    else
      columns.push({ name: textOf(target.name) || labelOf(target.val), value: targetValue(walk, target.val, scope) });
    if (columns.length > MAX_COLUMNS) {
      ask(walk, 'has more columns than can be followed');
      break;
    }
  }
  if (unlisted.length === 0) return columnsOf(columns);
  const known = columnsOf(columns);
  const unknown = either(unlisted);
  return {
    list: undefined,
    find: (name) => either([...[known.find(name)].filter((value) => value !== undefined), unknown]),
    whole: union([known.whole, unknown]),
    open: true,
    stored: false,
  };
}

/** Of many rows, anything but a constant may differ with them: an aggregate does, even one of constants. */
function targetValue(walk: Walk, node: unknown, scope: Scope): Value {
  const value = walk.value(node, scope);
  return scope.groups.length === 0 || isFixed(node) ? value : varying(value);
}

const FIXED = new Set(['A_Const', 'ParamRef', 'SQLValueFunction']);
const isFixed = (node: unknown): boolean =>
  FIXED.has(unwrap(node)?.type ?? '') || FIXED.has(unwrap(nodeOf(node, 'TypeCast')?.arg)?.type ?? '');

/** `*`, `c.*`, `(c).*`, `(f(x)).*`; undefined: it is no star. */
function starred(walk: Walk, node: unknown, scope: Scope): Columns | undefined {
  const reference = nodeOf(node, 'ColumnRef');
  if (reference) {
    const fields = listOf(reference.fields);
    if (!isTree(fields.at(-1)) || nodeOf(fields.at(-1), 'A_Star') === undefined) return undefined;
    if (fields.length === 1) return concatenated(scope.groups);
    return ownerOf(stringsOf(fields), scope) ?? openColumns(walk.value(node, scope));
  }
  const indirection = nodeOf(node, 'A_Indirection');
  const steps = listOf(indirection?.indirection);
  if (!indirection || nodeOf(steps.at(-1), 'A_Star') === undefined) return undefined;
  const row = steps.length === 1 ? rowNamed(indirection.arg, scope) : undefined;
  return row ?? openColumns(walk.value(node, scope));
}

function valuesColumns(walk: Walk, lists: readonly unknown[], scope: Scope): Columns {
  const columns: Value[][] = [];
  for (const row of lists) {
    for (const [at, item] of listOf(nodeOf(row, 'List')?.items).entries()) {
      const values = columns[at] ?? [];
      columns[at] = values;
      values.push(walk.value(item, scope));
    }
  }
  const many = lists.length > 1;
  return columnsOf(
    columns.map((values, at) => ({ name: `column${at + 1}`, value: many ? varying(either(values)) : either(values) })),
  );
}

function setOperation(walk: Walk, body: Tree, scope: Scope): Columns {
  const left = walk.select(treeOf(body.larg), scope);
  const right = walk.select(treeOf(body.rarg), scope);
  const compares = body.all !== true || body.op !== 'SETOP_UNION';
  if (compares) ask(walk, walk.code.comparing());
  if (!left.list || !right.list || left.list.length !== right.list.length) {
    const whole = union([left.whole, right.whole]);
    if (compares) grouped(walk, undefined, whole);
    return openColumns(whole);
  }
  const other = right.list;
  return columnsOf(
    left.list.map(({ name, value }, at) => {
      const beside = other[at]?.value ?? value;
      if (compares) crossed(walk, value, beside, body.op === 'SETOP_UNION');
      return { name, value: varying(either([value, beside])) };
    }),
  );
}

/** What is left of two columns after UNION, INTERSECT, EXCEPT: equal values of theirs are found. */
function crossed(walk: Walk, left: Value, right: Value, unites: boolean): void {
  if (!isMasked(left) && !isMasked(right)) return;
  const both = isMasked(left) && isMasked(right);
  for (const value of [left, right]) {
    if (!isMasked(value)) continue;
    if (both && left.kind === 'plain' && right.kind === 'plain') walk.ledger.use(value, 'equality');
    else if (unites && !both) grouped(walk, undefined, value);
    else
      walk.ledger.use(
        value,
        both && left.of.every((one) => right.of.some((same) => isSame(one, same))) ? 'pattern' : 'relational',
      );
    if (both && left === right) return;
  }
}

function groups(walk: Walk, body: Tree, columns: Columns, scope: Scope): void {
  const items = listOf(body.groupClause);
  if (items.length > 0) ask(walk, walk.code.comparing());
  for (const item of items) group(walk, item, columns, scope);
  if (body.groupDistinct) ask(walk, walk.code.comparing());
  if (body.havingClause !== undefined) walk.condition(body.havingClause, scope);
}

function group(walk: Walk, item: unknown, columns: Columns, scope: Scope): void {
  const found = unwrap(item);
  if (
    found?.type === 'GroupingSet' ||
    (found?.type === 'RowExpr' && found.body.row_format === 'COERCE_IMPLICIT_CAST')
  ) {
    for (const part of listOf(found.body.content ?? found.body.args)) group(walk, part, columns, scope);
    return;
  }
  const position = positionOf(item, columns);
  const name = onlyName(item);
  // A column of FROM comes before an output column of that name.
  const input = name !== undefined && scope.groups.some((one) => !one.open && one.find(name) !== undefined);
  const output = name !== undefined && !input ? columns.find(name) : undefined;
  grouped(walk, item, position ?? output ?? walk.value(item, scope));
}

/** DISTINCT, ORDER BY, LIMIT. */
function finished(walk: Walk, body: Tree, columns: Columns, scope: Scope): Columns {
  const distinct = listOf(body.distinctClause);
  if (distinct.length > 0) {
    ask(walk, walk.code.comparing());
    const on = distinct.filter((item) => unwrap(item) !== undefined);
    if (on.length > 0) for (const item of on) grouped(walk, item, sortedValue(walk, item, columns, scope));
    else if (columns.list) for (const { value } of columns.list) grouped(walk, undefined, value);
    else grouped(walk, undefined, columns.whole);
  }
  for (const item of listOf(body.sortClause)) {
    const { node, useOp } = nodeOf(item, 'SortBy') ?? {};
    askOperator(walk, { name: useOp });
    sorted(walk, node, sortedValue(walk, node, columns, scope));
  }
  for (const [what, node] of [
    ['LIMIT', body.limitCount],
    ['OFFSET', body.limitOffset],
  ] as const) {
    if (isMasked(walk.value(node, scope))) walk.ledger.hold(`${SETS_ROWS} (${what})`);
  }
  return columns;
}

/** A position, an output column's name, or an expression over what is in FROM. */
function sortedValue(walk: Walk, node: unknown, columns: Columns, scope: Scope): Value {
  const position = positionOf(node, columns);
  if (position) return position;
  const name = onlyName(node);
  const output = name === undefined ? undefined : columns.find(name);
  if (output && !columns.open) return output;
  const input = walk.value(node, scope);
  return output ? either([output, input]) : input;
}

function positionOf(node: unknown, { list, whole }: Columns): Value | undefined {
  const constant = nodeOf(node, 'A_Const');
  if (!isTree(constant?.ival)) return undefined;
  return list ? (list[Number(constant.ival.ival ?? 0) - 1]?.value ?? ROW) : whole;
}

function onlyName(node: unknown): string | undefined {
  const fields = listOf(nodeOf(node, 'ColumnRef')?.fields);
  return fields.length === 1 ? stringOf(fields[0]) : undefined;
}
