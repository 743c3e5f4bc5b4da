/** Expressions: what went into a value. A node that is not understood is tainted and asked about. */
import { LEAVES, PLAIN_NODES, typeOfField } from '../inspect/nodes.ts';
import type { Tree } from '../inspect/parser.ts';
import { isTree, listOf, nodeOf, qualified, stringOf, stringsOf, textOf, treeOf, unwrap } from '../inspect/tree.ts';
import { callValue } from './calls.ts';
import type { Columns } from './columns.ts';
import { fieldOf, ownerOf, type Reference, resolve, type Scope } from './scope.ts';
import { CONSTANT, computed, guessed, isMasked, OPAQUE, ROW, union, type Value } from './value.ts';
import { ask, askOperator, type Walk } from './walk.ts';

export function expressionValue(walk: Walk, node: unknown, scope: Scope, field = ''): Value {
  if (Array.isArray(node)) return union(node.map((item) => walk.value(item, scope)));
  if (!isTree(node) || Object.keys(node).length === 0) return CONSTANT; // `{}` stands for nothing
  const found = unwrap(node);
  const type = found?.type ?? typeOfField(field);
  if (type === undefined) return notUnderstood(walk, field);
  return nodeValue(walk, type, found?.body ?? node, node, scope);
}

function nodeValue(walk: Walk, type: string, body: Tree, node: Tree, scope: Scope): Value {
  switch (type) {
    case 'ColumnRef':
      return columnValue(walk, body, scope);
    case 'ParamRef':
      return CONSTANT;
    case 'FuncCall':
      return callValue(walk, body, node, scope);
    case 'A_Expr':
      askOperator(walk, body);
      return union([walk.value(body.lexpr, scope), walk.value(body.rexpr, scope)]);
    case 'SubLink':
      return subLinkValue(walk, body, scope);
    case 'NullTest':
      return nullTestValue(walk, body, node, scope);
    case 'TypeCast':
      return castValue(walk, body, scope);
    case 'TypeName':
      askType(walk, body);
      return CONSTANT;
    case 'A_Indirection':
      return indirectionValue(walk, body, scope);
    case 'CaseExpr':
      if (body.arg !== undefined) ask(walk, walk.code.comparing());
      break;
    case 'MinMaxExpr':
      ask(walk, walk.code.comparing());
      break;
    case 'GroupingFunc':
    case 'MergeSupportFunc':
      return ROW;
    case 'SelectStmt':
      return walk.select(body, scope).whole; // JSON_ARRAY(SELECT …)
    case 'SortBy':
      askOperator(walk, { name: body.useOp });
      return walk.value(body.node, scope);
    default:
      if (LEAVES.has(type)) return CONSTANT;
      if (!PLAIN_NODES.has(type)) return notUnderstood(walk, type);
  }
  return partsValue(walk, body, scope, PASSES.has(type));
}

/** They hand on what is in them, of which the server knows the origin no more. */
const PASSES = new Set(['List']);

/** Of everything in it. */
function partsValue(walk: Walk, body: Tree, scope: Scope, passes = false): Value {
  const parts: Value[] = [];
  for (const [field, part] of Object.entries(body)) {
    if (Array.isArray(part)) for (const item of part) parts.push(fieldValue(walk, item, scope, field));
    else if (isTree(part)) parts.push(fieldValue(walk, part, scope, field));
  }
  const [only] = parts;
  return passes && only && parts.length === 1 ? only : union(parts);
}

function fieldValue(walk: Walk, part: unknown, scope: Scope, field: string): Value {
  if (unwrap(part)) return walk.value(part, scope);
  if (field === 'typeName' && isTree(part)) {
    askType(walk, part);
    return CONSTANT;
  }
  return expressionValue(walk, part, scope, field);
}

export function notUnderstood(walk: Walk, what: string): Value {
  ask(walk, `uses syntax the gateway cannot follow (${what})`);
  return OPAQUE;
}

function columnValue(walk: Walk, body: Tree, scope: Scope): Value {
  const fields = listOf(body.fields);
  const names = stringsOf(fields);
  if (names.length < fields.length) {
    // `ROW(c.*)`, `count(c.*)`: the whole row, or all there is.
    const owner = names.length > 0 ? ownerOf(names, scope)?.whole : undefined;
    return owner ?? union([...scope.groups.map((group) => group.whole), ROW]);
  }
  return referenceValue(walk, resolve(names, scope));
}

/** A name that is no column calls the function of that name with the row. */
function referenceValue(walk: Walk, { value, call }: Reference): Value {
  if (call === undefined) return value;
  if (!walk.code.names(call)) return guessed(value);
  return ask(walk, walk.code.call(call, undefined)) ? OPAQUE : computed(value);
}

function subLinkValue(walk: Walk, body: Tree, scope: Scope): Value {
  const rows = walk.query(body.subselect, scope);
  switch (body.subLinkType) {
    case 'EXISTS_SUBLINK':
      return ROW; // what it depends on is in its own conditions
    case 'EXPR_SUBLINK': {
      const [only] = rows.list ?? [];
      return only && rows.list?.length === 1 ? only.value : rows.whole;
    }
    case 'ARRAY_SUBLINK':
      return computed(rows.whole);
    case 'ANY_SUBLINK':
    case 'ALL_SUBLINK':
      askOperator(walk, { name: body.operName });
      return union([walk.value(body.testexpr, scope), rows.whole]);
    default:
      return notUnderstood(walk, textOf(body.subLinkType));
  }
}

/** Whether a column is null says little: it passes, and is written down. */
function nullTestValue(walk: Walk, body: Tree, node: Tree, scope: Scope): Value {
  const value = walk.value(body.arg, scope);
  if (!isMasked(value)) return value.varies ? ROW : CONSTANT;
  const name = listOf(nodeOf(body.arg, 'ColumnRef')?.fields);
  const isRow = value.kind === 'tainted' && name.length === 1 && ownerOf(stringsOf(name), scope) !== undefined;
  if (value.kind !== 'plain' && !isRow) return value;
  walk.ledger.use(value, 'equality');
  walk.ledger.hide(node);
  return ROW;
}

function castValue(walk: Walk, body: Tree, scope: Scope): Value {
  askType(walk, treeOf(body.typeName));
  return computed(walk.value(body.arg, scope));
}

export function askType(walk: Walk, body: Tree): void {
  const { name, schema } = qualified(body.names);
  ask(walk, walk.code.type(name, schema));
}

/** `(u).card`, `(f(x)).*`, `a[1:2]`. */
function indirectionValue(walk: Walk, body: Tree, scope: Scope): Value {
  const steps = listOf(body.indirection);
  const row = rowNamed(body.arg, scope);
  const first = stringOf(steps[0]);
  const field = row && first !== undefined ? fieldOf(row, first) : undefined;
  if (field && steps.length === 1) return field;
  const base = field ?? walk.value(body.arg, scope);
  const rest = (field ? steps.slice(1) : steps).map((step) => {
    const name = stringOf(step);
    if (name !== undefined) return ask(walk, walk.code.attribute(name)) ? OPAQUE : CONSTANT;
    return walk.value(step, scope);
  });
  return computed(union([base, ...rest]));
}

/** The FROM item whose whole row this expression is. */
export function rowNamed(node: unknown, scope: Scope): Columns | undefined {
  const fields = listOf(nodeOf(node, 'ColumnRef')?.fields);
  const names = stringsOf(fields);
  return names.length > 0 && names.length === fields.length ? resolve(names, scope).whole : undefined;
}
