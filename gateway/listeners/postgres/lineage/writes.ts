/** INSERT, UPDATE, DELETE, MERGE: what is copied from masked columns to where, and what RETURNING shows. */
import { objectName, type Relation, type Snapshot } from '../catalog/snapshot.ts';
import type { Tree } from '../inspect/parser.ts';
import { isTree, listOf, nodeOf, textOf, treeOf } from '../inspect/tree.ts';
import { type Columns, columnsOf } from './columns.ts';
import { grouped } from './conditions.ts';
import { withMembers } from './ctes.ts';
import { fromList } from './from.ts';
import { targetColumns } from './queries.ts';
import { type Item, inside, type Scope } from './scope.ts';
import { isMasked, isSame, union, type Value } from './value.ts';
import { relationsOf, tableColumns, type Walk } from './walk.ts';

type Target = {
  readonly columns: Columns;
  readonly item: Item;
  readonly name: string;
  readonly order: readonly string[];
};

/** @returns what RETURNING gives; no columns without it */
export function writeColumns(walk: Walk, type: string, body: Tree, outer: Scope): Columns {
  const scope = withMembers(walk, body.withClause, inside(outer));
  const target = targetOf(walk, treeOf(body.relation));
  const own: Scope = { ...scope, items: [target.item], groups: [target.columns] };
  switch (type) {
    case 'InsertStmt':
      insert(walk, body, target, scope);
      conflict(walk, treeOf(body.onConflictClause), target, own);
      return returning(walk, body, target, own);
    case 'UpdateStmt':
    case 'DeleteStmt': {
      const from = fromList(walk, body.fromClause ?? body.usingClause, { ...scope, items: [], groups: [] });
      const all = { ...from, items: [target.item, ...from.items], groups: [target.columns, ...from.groups] };
      for (const item of listOf(body.targetList)) set(walk, item, target, all);
      if (body.whereClause !== undefined) walk.condition(body.whereClause, all);
      return returning(walk, body, target, all);
    }
    default:
      return merge(walk, body, target, scope);
  }
}

function targetOf(walk: Walk, range: Tree): Target {
  const columns = tableColumns(walk, range);
  const relations = relationsOf(walk, range);
  for (const relation of relations) below(walk, relation);
  const alias = textOf(treeOf(range.alias).aliasname);
  const [relation] = relations;
  return {
    columns,
    item: { alias: alias || textOf(range.relname), qualifies: alias === '', columns },
    name: relation ? objectName(relation.schema, relation.name) : textOf(range.relname),
    order: (columns.list ?? []).map((column) => column.name ?? ''),
  };
}

/** Triggers, rules and tables a write goes on to: their errors show whole rows, too. */
function below(walk: Walk, relation: Relation): void {
  if (relation.triggers || relation.rules.size > 0 || relation.hazards.length > 0) walk.ledger.opaque();
  const reached = [...relation.writes, ...relation.cascades.map((one) => one.object)];
  for (const object of reached.length > 0 ? new Set(reached) : []) {
    if (byObject(walk.snapshot, object).some((one) => walk.masked.of(one.oid))) walk.ledger.touch(object);
  }
}

const objects = new WeakMap<Snapshot, ReadonlyMap<string, readonly Relation[]>>();

/** Relations by `schema.name`; every session's temporary ones share theirs. */
function byObject(snapshot: Snapshot, object: string): readonly Relation[] {
  let index = objects.get(snapshot);
  if (!index) {
    const made = new Map<string, Relation[]>();
    for (const relation of snapshot.all) {
      const name = objectName(relation.schema, relation.name);
      const known = made.get(name);
      if (known) known.push(relation);
      else made.set(name, [relation]);
    }
    index = made;
    objects.set(snapshot, index);
  }
  return index.get(object) ?? [];
}

function insert(walk: Walk, body: Tree, target: Target, scope: Scope): void {
  const listed = listOf(body.cols).map((one) => textOf(nodeOf(one, 'ResTarget')?.name));
  const names = listed.length > 0 ? listed : target.order;
  const select = nodeOf(body.selectStmt, 'SelectStmt');
  if (!select) return;
  const lists = listOf(select.valuesLists);
  const plain = lists.length > 0 && !select.withClause && !select.sortClause && !select.limitCount;
  if (plain) {
    for (const row of lists) insertRow(walk, listOf(nodeOf(row, 'List')?.items), names, target, scope);
    return;
  }
  const columns = walk.select(select, scope);
  if (!columns.list) {
    assign(walk, columns.whole, names[0] ?? '', target);
    return;
  }
  for (const [at, { value }] of columns.list.entries()) assign(walk, value, names[at] ?? '', target);
  const targets = listOf(select.targetList);
  if (targets.length !== columns.list.length) return;
  for (const [at, one] of targets.entries()) {
    if (isHidden(names[at] ?? '', target)) walk.ledger.hide(nodeOf(one, 'ResTarget')?.val);
  }
}

function insertRow(
  walk: Walk,
  values: readonly unknown[],
  names: readonly string[],
  target: Target,
  scope: Scope,
): void {
  for (const [at, node] of values.entries()) {
    assign(walk, walk.value(node, scope), names[at] ?? '', target);
    if (isHidden(names[at] ?? '', target)) walk.ledger.hide(node);
  }
}

const isHidden = (name: string, { columns }: Target): boolean => {
  const there = columns.find(name);
  return there !== undefined && isMasked(there);
};

/** A masked value may only go back to where it is from. */
function assign(walk: Walk, value: Value, name: string, target: Target): void {
  if (!isMasked(value)) return;
  const there = target.columns.find(name);
  const [only] = value.of;
  const own = there?.kind === 'plain' ? there.of[0] : undefined;
  if (only && own && value.of.length === 1 && isSame(only, own)) return;
  const from = value.of.length > 0 ? value.of.map((column) => column.name).join(', ') : 'a value nobody can trace';
  walk.ledger.hold(`copies ${from.slice(0, 300)} to ${target.name}.${name}`);
}

/** One `column = value` of SET. */
function set(walk: Walk, item: unknown, target: Target, scope: Scope): void {
  const { name, val, indirection } = nodeOf(item, 'ResTarget') ?? {};
  const value = union([walk.value(indirection, scope)]);
  const multiple = nodeOf(val, 'MultiAssignRef');
  const assigned = multiple ? partOf(walk, multiple, scope) : walk.value(val, scope);
  const column = textOf(name);
  assign(walk, isMasked(value) ? union([value, assigned]) : assigned, column, target);
  if (isHidden(column, target)) walk.ledger.hide(multiple ? rowItem(multiple) : val);
}

const rowItem = ({ source, colno }: Tree): unknown =>
  nodeOf(source, 'RowExpr') ? listOf(nodeOf(source, 'RowExpr')?.args)[Number(colno ?? 1) - 1] : source;

/** `(a, b) = ROW(…)` and `(a, b) = (SELECT …)`: the tree repeats the source for each column. */
function partOf(walk: Walk, body: Tree, scope: Scope): Value {
  if (nodeOf(body.source, 'RowExpr')) return walk.value(rowItem(body), scope);
  const link = nodeOf(body.source, 'SubLink');
  if (!link) return walk.value(body.source, scope);
  const at = Number(body.colno ?? 1);
  const mark = walk.ledger.mark();
  const columns = walk.query(link.subselect, scope);
  if (at > 1) walk.ledger.rewind(mark); // written down with the first
  return columns.list?.[at - 1]?.value ?? columns.whole;
}

function conflict(walk: Walk, body: Tree, target: Target, scope: Scope): void {
  if (body.action === undefined) return;
  const infer = treeOf(body.infer);
  for (const one of listOf(infer.indexElems)) {
    const element = nodeOf(one, 'IndexElem') ?? {};
    const column = target.columns.find(textOf(element.name));
    const value = element.expr === undefined ? column : walk.value(element.expr, scope);
    if (value) grouped(walk, element.expr, value);
  }
  if (infer.whereClause !== undefined) walk.condition(infer.whereClause, scope);
  const excluded: Item = { alias: 'excluded', qualifies: false, columns: target.columns };
  const inner = { ...scope, items: [...scope.items, excluded] };
  for (const item of listOf(body.targetList)) set(walk, item, target, inner);
  if (body.whereClause !== undefined) walk.condition(body.whereClause, inner);
}

function merge(walk: Walk, body: Tree, target: Target, scope: Scope): Columns {
  const source = fromList(walk, [body.sourceRelation], { ...scope, items: [], groups: [] });
  const all = { ...source, items: [...source.items, target.item], groups: [...source.groups, target.columns] };
  walk.condition(body.joinCondition, all);
  for (const one of listOf(body.mergeWhenClauses)) {
    const clause = nodeOf(one, 'MergeWhenClause') ?? {};
    if (clause.condition !== undefined) walk.condition(clause.condition, all);
    const targets = listOf(clause.targetList);
    if (clause.commandType === 'CMD_INSERT') {
      const listed = targets.map((item) => textOf(nodeOf(item, 'ResTarget')?.name));
      insertRow(walk, listOf(clause.values), listed.length > 0 ? listed : target.order, target, all);
    } else for (const item of targets) set(walk, item, target, all);
  }
  return returning(walk, body, target, all);
}

function returning(walk: Walk, body: Tree, target: Target, scope: Scope): Columns {
  const clause = treeOf(body.returningClause);
  const list = isTree(body.returningClause) ? clause.exprs : body.returningList;
  if (listOf(list).length === 0) return columnsOf([]);
  const names = new Map([
    ['RETURNING_OPTION_OLD', 'old'],
    ['RETURNING_OPTION_NEW', 'new'],
  ]);
  for (const one of listOf(clause.options)) {
    const option = nodeOf(one, 'ReturningOption') ?? {};
    names.set(textOf(option.option), textOf(option.value));
  }
  const rows: Item[] = [...names.values()].map((alias) => ({ alias, qualifies: false, columns: target.columns }));
  return targetColumns(walk, list, { ...scope, items: [...scope.items, ...rows] });
}
