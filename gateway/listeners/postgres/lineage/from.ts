/** FROM: what each item offers to the names beside and below it. */
import type { Tree } from '../inspect/parser.ts';
import { isTree, listOf, nodeOf, qualified, stringsOf, textOf, treeOf, unwrap } from '../inspect/tree.ts';
import { SETS_ROWS } from './calls.ts';
import { type Columns, columnsOf, concatenated, openColumns, renamed, without } from './columns.ts';
import { asked } from './conditions.ts';
import { askType, notUnderstood } from './expressions.ts';
import { EMPTY, type Item, type Scope, withItems } from './scope.ts';
import { either, isMasked, OPAQUE, ROW, union, type Value, varying } from './value.ts';
import { ask, rangeColumns, type Walk } from './walk.ts';

const BESIDE = 64; // items passed over in the time that one is searched

type Sight = Pick<Scope, 'items' | 'groups'>;

/** @param around where the query stands; @returns everything the list brings into sight */
export function fromList(walk: Walk, list: unknown, around: Scope): Scope {
  let scope = around;
  for (const item of listOf(list)) scope = withItems(scope, fromItem(walk, item, scope));
  return scope;
}

/** @param scope what stands before it: LATERAL and functions see that, others only what is around the query */
function fromItem(walk: Walk, node: unknown, scope: Scope): Sight {
  walk.search(scope.items.length / BESIDE);
  const { type, body } = unwrap(node) ?? { type: '', body: {} };
  switch (type) {
    case 'RangeVar':
      return named(body, rangeColumns(walk, body, scope), textOf(body.relname), true);
    case 'RangeSubselect':
      return named(body, walk.query(body.subquery, body.lateral ? scope : around(scope)));
    case 'RangeFunction':
      return rangeFunction(walk, body, scope);
    case 'RangeTableFunc':
    case 'JsonTable':
      return documentTable(walk, body, scope, type === 'JsonTable' ? 'json_table' : 'xmltable');
    case 'RangeTableSample': {
      ask(walk, walk.code.call(qualified(body.method).name, qualified(body.method).schema));
      const value = union([walk.value(body.args, scope), walk.value(body.repeatable, scope)]);
      if (isMasked(value)) walk.ledger.hold(`${SETS_ROWS} (TABLESAMPLE)`);
      return fromItem(walk, body.relation, scope);
    }
    case 'JoinExpr':
      return join(walk, body, scope);
    default:
      notUnderstood(walk, type);
      return { items: [], groups: [openColumns(OPAQUE)] };
  }
}

/** Without what stands beside it in FROM. */
const around = (scope: Scope): Scope => ({ ...(scope.outer ?? EMPTY), ctes: scope.ctes });

/** One item under its alias. Without one, its columns can only be named alone. */
function named(body: Tree, columns: Columns, name = '', qualifies = false): Sight {
  const alias = treeOf(body.alias);
  const given = textOf(alias.aliasname);
  const shown = renamed(columns, stringsOf(alias.colnames));
  const item: Item = { alias: given || name, qualifies: qualifies && !given, columns: shown };
  return { items: item.alias ? [item] : [], groups: [shown] };
}

function rangeFunction(walk: Walk, body: Tree, scope: Scope): Sight {
  const functions = listOf(body.functions).map((one) => listOf(nodeOf(one, 'List')?.items));
  const groups = functions.map(([call, defined]) => {
    const value = varying(walk.value(call, scope));
    if (isMasked(value) && value !== OPAQUE) walk.ledger.hold(`${SETS_ROWS} (a function in FROM)`);
    const columns = [
      ...listOf(nodeOf(defined, 'List')?.items),
      ...listOf(functions.length === 1 ? body.coldeflist : []),
    ];
    return functionColumns(walk, call, columns, value);
  });
  if (body.ordinality) groups.push(columnsOf([{ name: 'ordinality', value: ROW }]));
  const [first] = functions;
  const { name } = qualified(nodeOf(first?.[0], 'FuncCall')?.funcname);
  return named(body, concatenated(groups), name);
}

function functionColumns(walk: Walk, call: unknown, defined: readonly unknown[], value: Value): Columns {
  if (defined.length > 0) {
    return columnsOf(
      defined.map((one) => {
        const column = nodeOf(one, 'ColumnDef') ?? {};
        askType(walk, treeOf(column.typeName));
        return { name: textOf(column.colname), value };
      }),
    );
  }
  const found = nodeOf(call, 'FuncCall');
  const { name, schema } = qualified(found?.funcname);
  const shape = found && (name === 'unnest' ? unnested(walk, listOf(found.args)) : walk.code.shape(name, schema));
  return shape ? columnsOf(shape.map((column) => ({ name: column, value }))) : openColumns(value);
}

/** An array of rows becomes as many columns as they have: only arrays cast to a type of PostgreSQL's own are counted. */
function unnested(walk: Walk, args: readonly unknown[]): readonly undefined[] | undefined {
  const plain = args.every((arg) => {
    const { name } = qualified(treeOf(nodeOf(arg, 'TypeCast')?.typeName).names);
    return name !== '' && name !== 'record' && walk.code.builtinType(name);
  });
  return plain ? args.map(() => undefined) : undefined;
}

/** XMLTABLE, JSON_TABLE: every column may hold anything of the document. */
function documentTable(walk: Walk, body: Tree, scope: Scope, name: string): Sight {
  const { columns, alias: _alias, lateral: _lateral, ...sources } = body;
  const list = tableColumns(columns);
  const value = union([...Object.values(sources).map((part) => documentValue(walk, part, scope)), ROW]);
  const own = union(list.map((column) => partsOf(walk, column, scope)));
  const all = union([value, own]);
  if (isMasked(all)) walk.ledger.hold(`${SETS_ROWS} (${name})`);
  return named(body, columnsOf(list.map((column) => ({ name: columnName(column), value: all }))), name);
}

const columnName = (column: Tree): string => textOf(column.colname) || textOf(column.name);

/** Nested ones stand behind the others; all are made of the same document. */
function tableColumns(columns: unknown): readonly Tree[] {
  return listOf(columns).flatMap((one) => {
    const column = unwrap(one)?.body ?? {};
    return column.coltype === 'JTC_NESTED' ? tableColumns(column.columns) : [column];
  });
}

function partsOf(walk: Walk, column: Tree, scope: Scope): Value {
  if (isTree(column.typeName)) askType(walk, column.typeName);
  return union(
    [column.colexpr, column.coldefexpr, column.on_empty, column.on_error].map((part) =>
      documentValue(walk, part, scope),
    ),
  );
}

/** Wrapped nodes, lists of them, and the bare ones JSON's grammar uses. */
function documentValue(walk: Walk, part: unknown, scope: Scope): Value {
  if (Array.isArray(part)) return union(part.map((one) => documentValue(walk, one, scope)));
  if (!isTree(part)) return union([]);
  const found = unwrap(part);
  if (!found) return union(Object.values(part).map((one) => documentValue(walk, one, scope)));
  return found.type === 'ResTarget' ? walk.value(found.body.val, scope) : walk.value(part, scope);
}

function join(walk: Walk, body: Tree, scope: Scope): Sight {
  const left = fromItem(walk, body.larg, scope);
  const right = fromItem(walk, body.rarg, withItems(scope, left));
  const names = body.isNatural ? shared(left, right) : stringsOf(body.usingClause);
  if (names === undefined) {
    const value = union([...left.groups, ...right.groups].map((group) => group.whole));
    asked(walk, body, isMasked(value) ? union([value, ROW]) : value, 'equality');
  }
  if (names) walk.search(names.length * (left.groups.length + right.groups.length));
  const merged = (names ?? []).map((name) => ({ name, value: mergedColumn(walk, name, left, right) }));
  if (body.isNatural || merged.length > 0) ask(walk, walk.code.comparing());
  const gone = new Set(names);
  const rest = [...left.groups, ...right.groups].map((group) => (gone.size > 0 ? without(group, gone) : group));
  const groups = merged.length > 0 ? [columnsOf(merged), ...rest] : rest;
  const using = textOf(treeOf(body.join_using_alias).aliasname);
  const usingItem: Item[] = using ? [{ alias: using, qualifies: false, columns: columnsOf(merged) }] : [];
  const items = [...left.items, ...right.items, ...usingItem];
  if (body.quals !== undefined) {
    walk.condition(body.quals, { ...scope, items: [...items], groups });
  }
  if (!isTree(body.alias)) return { items, groups };
  return named(body, concatenated(groups));
}

/** NATURAL joins by the names both sides have; undefined: not to be told. */
function shared(left: Sight, right: Sight): readonly string[] | undefined {
  const lists = [left, right].map((side) => concatenated(side.groups).list);
  const [one, other] = lists;
  if (!one || !other) return undefined;
  if ([...one, ...other].some((column) => column.name === undefined)) return undefined;
  const there = new Set(other.map((column) => column.name));
  return [...new Set(one.map((column) => column.name))].filter((name): name is string => there.has(name));
}

function mergedColumn(walk: Walk, name: string, left: Sight, right: Sight): Value {
  const [one, other] = [left, right].map((side) => columnIn(side, name));
  if (!one || !other) return union([...left.groups, ...right.groups].map((group) => group.whole));
  if (isMasked(one) || isMasked(other)) {
    const both = one.kind === 'plain' && other.kind === 'plain';
    for (const value of [one, other]) {
      if (isMasked(value)) walk.ledger.use(value, both ? 'equality' : 'relational');
    }
  }
  return either([one, other]);
}

function columnIn(side: Sight, name: string): Value | undefined {
  const found = side.groups.map((group) => group.find(name)).filter((value): value is Value => value !== undefined);
  return found.length > 0 ? either(found) : undefined;
}
