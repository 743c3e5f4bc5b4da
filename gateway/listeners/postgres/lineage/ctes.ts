/** WITH: each member's columns, worked out once; recursive ones until nothing changes. */
import type { Tree } from '../inspect/parser.ts';
import { isTree, listOf, nodeOf, stringsOf, textOf, treeOf } from '../inspect/tree.ts';
import { type Columns, columnsOf, openColumns, renamed } from './columns.ts';
import type { Scope } from './scope.ts';
import { CONSTANT, either, OPAQUE, ROW, sameValue, union, varying } from './value.ts';
import { ask, type Walk } from './walk.ts';

const ROUNDS = 4; // of a recursive member; a masked value gets one column further with each

export function withMembers(walk: Walk, clause: unknown, scope: Scope): Scope {
  const members = listOf(treeOf(clause).ctes).map((member) => nodeOf(member, 'CommonTableExpr') ?? {});
  if (members.length === 0) return scope;
  if (treeOf(clause).recursive === true) return recursive(walk, members, scope);
  let inner = scope;
  for (const member of members) {
    const columns = shown(walk, member, walk.query(member.ctequery, inner));
    inner = { ...inner, ctes: { of: new Map([[textOf(member.ctename), () => columns]]), outer: inner.ctes } };
  }
  return inner;
}

/** Under its own column names; with what SEARCH and CYCLE add. */
function shown(walk: Walk, member: Tree, found: Columns): Columns {
  const columns = renamed(found, stringsOf(member.aliascolnames));
  const { search_clause: search, cycle_clause: cycle } = member;
  if (!isTree(search) && !isTree(cycle)) return columns;
  ask(walk, walk.code.comparing());
  const names = [treeOf(search).search_seq_column, treeOf(cycle).cycle_mark_column, treeOf(cycle).cycle_path_column];
  const more = names
    .filter((name) => textOf(name) !== '')
    .map((name) => ({ name: textOf(name), value: columns.whole }));
  return columns.list ? columnsOf([...columns.list, ...more]) : columns;
}

/** Members see themselves and each other in any order; each is worked out when it is first needed. */
function recursive(walk: Walk, members: readonly Tree[], scope: Scope): Scope {
  const of = new Map<string, () => Columns>();
  const inner: Scope = { ...scope, ctes: { of, outer: scope.ctes } };
  for (const member of members) {
    let state: { readonly columns: Columns } | 'new' | 'open' = 'new';
    const look = (): Columns => {
      if (typeof state === 'object') return state.columns;
      if (state === 'open') return openColumns(OPAQUE); // two that use each other: PostgreSQL refuses them
      state = 'open';
      const columns = settled(walk, member, inner, (columns) => {
        state = { columns };
      });
      state = { columns };
      return columns;
    };
    of.set(textOf(member.ctename), look);
  }
  const mark = walk.ledger.mark();
  for (const look of of.values()) look();
  // Only now is it known what each name stands for: what they ask and tell is written down once.
  walk.ledger.rewind(mark);
  for (const member of members) {
    walk.again();
    walk.query(member.ctequery, inner);
  }
  return inner;
}

/** @param assume the member's own name stands for these columns from now on */
function settled(walk: Walk, member: Tree, scope: Scope, assume: (columns: Columns) => void): Columns {
  const body = nodeOf(member.ctequery, 'SelectStmt');
  walk.again();
  if (body?.op !== 'SETOP_UNION') return shown(walk, member, walk.query(member.ctequery, scope));
  const first = treeOf(body.larg);
  const start = walk.select(first.withClause ? first : { ...first, withClause: body.withClause }, scope);
  let known = shown(walk, member, flowing(start));
  for (let round = 0; round < ROUNDS; round++) {
    walk.again();
    assume(known);
    const found = shown(walk, member, flowing(walk.query(member.ctequery, scope)));
    const more = merged(known, found);
    if (alike(known, more)) return known;
    known = more;
  }
  // It does not settle: every column may hold anything that any of them holds.
  assume(everywhere(known));
  const last = shown(walk, member, walk.query(member.ctequery, scope));
  return everywhere(merged(known, last));
}

/** Rows follow rows: every column differs between them. */
function flowing({ list, whole }: Columns): Columns {
  return list ? columnsOf(list.map(({ name, value }) => ({ name, value: varying(value) }))) : openColumns(whole);
}

function alike(one: Columns, other: Columns): boolean {
  if (!one.list || !other.list) return one.list === other.list && sameValue(one.whole, other.whole);
  return (
    one.list.length === other.list.length &&
    one.list.every(({ value }, at) => sameValue(value, other.list?.[at]?.value ?? CONSTANT))
  );
}

function merged(one: Columns, other: Columns): Columns {
  if (!one.list || !other.list || one.list.length !== other.list.length)
    return openColumns(union([one.whole, other.whole]));
  const second = other.list;
  return columnsOf(
    one.list.map(({ name, value }, at) => ({ name, value: either([value, second[at]?.value ?? value]) })),
  );
}

function everywhere({ list, whole }: Columns): Columns {
  const value = union([whole, ROW]);
  return list ? columnsOf(list.map(({ name }) => ({ name, value }))) : openColumns(value);
}
