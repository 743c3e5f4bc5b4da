/** Function calls: aggregates, windows, sets of rows, and code nobody knows. */

import type { Tree } from '../inspect/parser.ts';
import { harmlessSetConfig } from '../inspect/settings.ts';
import { isTree, listOf, nodeOf, qualified, textOf } from '../inspect/tree.ts';
import { isAggregate } from './code.ts';
import { grouped, sorted } from './conditions.ts';
import type { Scope } from './scope.ts';
import { CONSTANT, computed, isMasked, OPAQUE, ROW, union, type Value, varying } from './value.ts';
import { ask, askOperator, type Walk } from './walk.ts';

export const SETS_ROWS = 'lets masked values decide how many rows there are';

export function callValue(walk: Walk, body: Tree, node: Tree, scope: Scope): Value {
  const { name, schema } = qualified(body.funcname);
  const unknown = askCall(walk, body);
  const args = listOf(body.args).map((arg) => walk.value(arg, scope));
  const order = listOf(body.agg_order).map((item) => sortValue(walk, item, scope));
  if (body.agg_filter !== undefined) walk.condition(body.agg_filter, scope);
  const window = isTree(body.over) ? windowValue(walk, body.over, scope) : undefined;
  if (unknown) return OPAQUE;

  const [arg] = args;
  if (name === 'count' && args.length === 1 && arg?.kind === 'plain' && !order.some(isMasked)) {
    grouped(walk, node, arg);
    return window ? varying(union([ROW, window])) : ROW;
  }
  const value = union([...args, ...order, ...(window ? [window] : [])]);
  const set = walk.code.returnsSet(name);
  if (set && isMasked(value)) walk.ledger.hold(`${SETS_ROWS} (${schema ? `${schema}.` : ''}${name})`);
  const changes = window !== undefined || body.agg_star === true || body.agg_within_group === true || set;
  return changes || isAggregate(name) ? varying(value) : value;
}

/** Hold what nobody knows to be harmless. Whether it was. */
export function askCall(walk: Walk, body: Tree): boolean {
  const { name, schema } = qualified(body.funcname);
  const args = listOf(body.args);
  const own = schema === undefined || schema === 'pg_catalog';
  if (name === 'set_config' && own && harmlessSetConfig(args) !== undefined) {
    const all = walk.snapshot.functions(name, schema);
    if (all.length > 0 && all.every((one) => one.schema === 'pg_catalog')) return false;
  }
  if (name === 'current_setting' && own && !readsServerSetting(args)) {
    return ask(walk, 'reads a setting of the session, where values can be kept');
  }
  if (body.agg_order !== undefined || body.agg_distinct === true) ask(walk, walk.code.comparing());
  return ask(walk, walk.code.call(name, schema));
}

/** A constant name without a dot: one of PostgreSQL's own settings. */
function readsServerSetting([name]: readonly unknown[]): boolean {
  const constant = nodeOf(name, 'A_Const') ?? nodeOf(nodeOf(name, 'TypeCast')?.arg, 'A_Const');
  const text = isTree(constant?.sval) ? textOf(constant.sval.sval) : '';
  return text !== '' && !text.includes('.');
}

/** ORDER BY inside an aggregate or a window. */
function sortValue(walk: Walk, item: unknown, scope: Scope): Value {
  const { node, useOp } = nodeOf(item, 'SortBy') ?? {};
  askOperator(walk, { name: useOp });
  const value = walk.value(node, scope);
  sorted(walk, node, value);
  return value;
}

/** What a window's rows and ranks depend on. */
export function windowValue(walk: Walk, body: Tree, scope: Scope): Value {
  const base = textOf(body.refname) || textOf(body.over) || textOf(body.name);
  const parts: Value[] = [];
  const inherited = base ? scope.windows.get(base) : undefined;
  if (inherited) parts.push(inherited);
  for (const item of listOf(body.partitionClause)) {
    ask(walk, walk.code.comparing());
    const value = walk.value(item, scope);
    grouped(walk, item, value);
    parts.push(value);
  }
  for (const item of listOf(body.orderClause)) parts.push(sortValue(walk, item, scope));
  parts.push(walk.value(body.startOffset, scope), walk.value(body.endOffset, scope));
  return parts.length === 0 ? CONSTANT : computed(union(parts));
}

/** WINDOW w AS (…), in order: a later one may build on an earlier one. */
export function namedWindows(walk: Walk, clause: unknown, scope: Scope): Scope {
  const defined = listOf(clause).map((item) => nodeOf(item, 'WindowDef') ?? {});
  if (defined.length === 0) return scope;
  let inner = scope;
  for (const body of defined) {
    const { name: own, ...rest } = body;
    const windows = new Map(inner.windows).set(textOf(own), windowValue(walk, rest, inner));
    inner = { ...inner, windows };
  }
  return inner;
}
