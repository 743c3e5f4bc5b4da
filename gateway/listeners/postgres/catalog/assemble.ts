/** Rows of pg_catalog to a Snapshot: who runs what, who reads what, followed through views, policies and types. */
import { type Code, call, codeOf } from './code.ts';
import type { Vouched } from './harmless.ts';
import { madeOfExpression, madeOfView, type Runs } from './made.ts';
import type { Columns, Memory } from './memory.ts';
import { type TreeReferences, treeReferences } from './nodetree.ts';
import type { LoadedRows } from './queries.ts';
import { groupBy, isUser, truthy } from './rows.ts';
import { rowsIn } from './rowtypes.ts';
import { REVEALING_FUNCTIONS, SENSITIVE_COLUMNS } from './sensitive.ts';
import {
  type Column,
  type Made,
  objectName,
  type Relation,
  Snapshot,
  type Source,
  type WriteKind,
} from './snapshot.ts';

const RULE_EVENTS: Readonly<Record<string, WriteKind>> = { '2': 'update', '3': 'insert', '4': 'delete' };
const KINDS: Readonly<Record<string, Relation['kind']>> = {
  r: 'table',
  p: 'table',
  v: 'view',
  m: 'matview',
  f: 'foreign',
  S: 'sequence',
  i: 'other',
  I: 'other',
};

const NO_COLUMNS: Columns = new Map();
const NOTHING_MADE: ReadonlyMap<number, Made> = new Map();

/** `memory`: of the same server, or a new one. `vouched`: what an administrator answers for. */
export function assemble(rows: LoadedRows, version: string, memory: Memory, vouched: Vouched): Snapshot {
  const schemas = new Map(rows.schemas.map(([oid, name]) => [oid!, name!]));
  const schemaOf = (oid: string): string => schemas.get(oid) ?? '?';
  const columnsOf = new Map(rows.columns.map(([oid, json]) => [oid!, memory.columns.of(json!)]));
  const code = codeOf(rows, schemaOf, columnsOf, vouched);
  const relations = relationsOf(rows, schemaOf, code, { columnsOf, memory });
  memory.turn();
  return new Snapshot({
    version,
    user: rows.user[0]?.[0] ?? '',
    schemas: new Set(rows.schemas.filter(([, , usable]) => truthy(usable)).map(([, name]) => name!)),
    relations,
    functions: [...code.functions.values()],
    operators: [...code.operators.values()],
    types: [...code.types.values()],
    typesByOid: new Map([...code.types].map(([oid, type]) => [Number(oid), type])),
    rowsIn: rowsIn(rows, columnsOf),
    ownEquals: new Set(rows.ownEquals.map(([oid]) => Number(oid))),
  });
}

function relationsOf(
  rows: LoadedRows,
  schemaOf: (oid: string) => string,
  code: Code,
  { columnsOf, memory }: { readonly columnsOf: ReadonlyMap<string, Columns>; readonly memory: Memory },
): Relation[] {
  const byOid = new Map(rows.relations.map((row) => [row[0]!, row]));
  const columns = (oid: string): readonly Column[] => [...(columnsOf.get(oid)?.values() ?? [])];
  const ancestors = groupBy(rows.inherits, 0);
  const rules = groupBy(rows.rules, 0);
  const policies = groupBy(rows.policies, 0);
  const generated = groupBy(rows.generated, 0);
  const parents = groupBy([...rows.inherits, ...rows.indexes], 0); // an index is part of its table, for DDL
  const children = groupBy(rows.inherits, 1);
  const planned = groupBy(
    rows.planned.filter(([, tree]) => tree !== null),
    0,
  );
  const classes = groupBy([...rows.indexes.map(([, table, list]) => [table!, list!]), ...rows.partitionKeys], 0);
  const referencing = groupBy(rows.foreignKeys, 1);
  const keys = groupBy(rows.uniqueKeys, 0);
  const rowTypes = new Map(rows.types.map((row) => [row[6]!, row[0]!]));
  const objectOf = (oid: string): string => {
    const row = byOid.get(oid);
    return row ? objectName(schemaOf(row[2]!), row[1]!) : '?.?';
  };

  /** Expressions that run when this one relation is read. */
  const trees = (oid: string): string[] => [
    ...(rules.get(oid) ?? []).filter(([, event]) => event === '1').map(([, , action]) => action!),
    ...(truthy(byOid.get(oid)?.[4])
      ? (policies.get(oid) ?? [])
          .flatMap(([, using, check]) => [using, check])
          .filter((tree) => tree !== undefined && tree !== null)
      : []),
    ...(generated.get(oid) ?? []).filter(([, , , when]) => when === 'v').map(([, tree]) => tree!),
  ];
  const kindOf = (oid: string): string => byOid.get(oid)?.[3] ?? '';
  const descend = (oid: string, edges: (oid: string) => readonly string[], seen = new Set<string>()): Set<string> => {
    for (const next of edges(oid)) {
      if (seen.has(next)) continue;
      seen.add(next);
      descend(next, edges, seen);
    }
    return seen;
  };
  const referenced = new Map<string, readonly TreeReferences[]>();
  const referencesOf = (oid: string): readonly TreeReferences[] => {
    if (!isUser(oid)) return [];
    const found = referenced.get(oid) ?? trees(oid).map((tree) => memory.references.of(tree));
    referenced.set(oid, found);
    return found;
  };
  const childrenOf = (oid: string) => (children.get(oid) ?? []).map(([child]) => child!);
  const inherited = (oid: string) => (ancestors.get(oid) ?? []).map(([, parent]) => parent!);
  const parentsOf = (oid: string) => (parents.get(oid) ?? []).map(([, parent]) => parent!);
  const below = (oid: string) => [...referencesOf(oid).flatMap((r) => r.relations), ...childrenOf(oid)];
  /** Many tables have the same columns, and then share one object for them. */
  const badly = new Map<Columns, readonly string[]>();
  const heldBadly = (of: Columns): readonly string[] => {
    const types = () => [...of.values()].map(({ type }) => `${type}`).filter(code.heldBadly);
    const found = badly.get(of) ?? types().map((type) => `type ${call(code.types.get(type))}`);
    badly.set(of, found);
    return found;
  };
  const hazardsOf = (oid: string): string[] => [
    ...referencesOf(oid).flatMap(code.hazards),
    ...(kindOf(oid) === 'f' ? [`foreign table ${objectOf(oid)}`] : []),
    ...(planned.get(oid) ?? []).flatMap(([, tree]) => code.plannedHazards(tree!)),
    ...((classes.get(oid) ?? []).some(([, list]) => list!.split(' ').some(code.badClass))
      ? [`operator class on ${objectOf(oid)}`]
      : []),
    ...(byOid.has(oid) ? [] : ['a relation the catalogue does not know']),
    ...(code.castsAway(rowTypes.get(oid) ?? '') ? [`type ${objectOf(oid)}`] : []),
    ...(isUser(oid) ? heldBadly(columnsOf.get(oid) ?? NO_COLUMNS) : []),
  ];

  const reveals = revealing(rows, columns);
  const made = (oid: string): ReadonlyMap<number, Made> => {
    const runsOf = (references: TreeReferences): Runs => ({
      allHarmless: code.hazards(references).length === 0,
      harmless: (part) => code.hazards(treeReferences(part)).length === 0,
      reveals,
    });
    const found = new Map<number, Made>();
    for (const [, tree, number] of generated.get(oid) ?? []) {
      found.set(Number(number), madeOfExpression(tree!, Number(oid), runsOf(memory.references.of(tree!))));
    }
    if (kindOf(oid) !== 'v' && kindOf(oid) !== 'm') return found;
    const action = (rules.get(oid) ?? []).find(([, event]) => event === '1')?.[2];
    const references = referencesOf(oid)[0]; // the first of its trees
    const runs = references && runsOf(references);
    const told = (text: string) => (runs && madeOfView(text, runs)) ?? null;
    const view = action === undefined ? null : runs?.allHarmless ? memory.views.of(action, told) : told(action);
    // Whatever its rule says, a column of a view is never taken for a stored one.
    for (const { number } of columns(oid)) found.set(number, view?.get(number) ?? { kind: 'opaque' });
    return found;
  };

  return rows.relations.map(([oid, name, schema, kind, , triggers]) => {
    const reads = isUser(oid!) ? descend(oid!, below) : new Set<string>();
    reads.delete(oid!);
    const hazards = isUser(oid!) ? [oid!, ...reads].flatMap(hazardsOf) : [];
    // A view is written through to what it shows; a partition is part of its parents, a parent made of partitions.
    const writes = new Set<string>(kind === 'v' ? reads : [...descend(oid!, parentsOf), ...descend(oid!, childrenOf)]);
    writes.delete(oid!);
    const cascades = [oid!, ...writes].flatMap((target) => cascadesOf(target, referencing, objectOf));
    return {
      oid: Number(oid),
      schema: schemaOf(schema!),
      name: name!,
      kind: KINDS[kind!] ?? 'other',
      columns: columnsOf.get(oid!) ?? NO_COLUMNS,
      made: isUser(oid!) ? made(oid!) : NOTHING_MADE,
      unique: (keys.get(oid!) ?? []).map(([, columns, count]) =>
        columns!.split(' ').slice(0, Number(count)).map(Number),
      ),
      kin: [...childrenOf(oid!), ...inherited(oid!)].map(Number),
      reads: [...reads].map(objectOf),
      hazards: [...new Set(hazards)],
      writes: [...writes].map(objectOf),
      cascades,
      referencedBy: [...descend(oid!, (one) => (referencing.get(one) ?? []).map(([table]) => table!))].map(objectOf),
      triggers: truthy(triggers) || [...writes].some((target) => truthy(byOid.get(target)?.[5])),
      rules: new Set(
        [oid!, ...writes]
          .flatMap((target) => rules.get(target) ?? [])
          .map(([, event]) => RULE_EVENTS[event!])
          .filter((event) => event !== undefined),
      ),
    };
  });
}

/** Functions that show what a view of PostgreSQL's hides, by oid: as good as that view's columns. */
function revealing(
  rows: LoadedRows,
  columnsOf: (oid: string) => readonly Column[],
): ReadonlyMap<string, readonly Source[]> {
  const views = new Map(rows.relations.filter(([oid]) => !isUser(oid!)).map(([oid, name]) => [name!, oid!]));
  const found = new Map<string, readonly Source[]>();
  for (const [oid, name] of rows.functions) {
    const shows = isUser(oid!) ? undefined : REVEALING_FUNCTIONS.get(name!);
    const view = shows === undefined ? undefined : views.get(shows);
    if (shows === undefined || view === undefined) continue;
    const hidden = columnsOf(view).filter(({ name: column }) => SENSITIVE_COLUMNS.get(shows)?.includes(column));
    found.set(
      oid!,
      hidden.map(({ number }) => ({ relation: Number(view), column: number })),
    );
  }
  return found;
}

/** Foreign keys that carry on: c cascade, n set null, d set default. Followed one table further at a time. */
function cascadesOf(
  oid: string,
  referencing: ReadonlyMap<string, readonly (readonly string[])[]>,
  objectOf: (oid: string) => string,
): Relation['cascades'] {
  const found: { on: WriteKind; action: WriteKind; object: string }[] = [];
  const follow = (target: string, on: WriteKind, current: WriteKind, seen: Set<string>): void => {
    for (const [table, , onUpdate, onDelete] of referencing.get(target) ?? []) {
      const rule = current === 'delete' ? onDelete : onUpdate;
      if (!['c', 'n', 'd'].includes(rule!)) continue;
      const action: WriteKind = current === 'delete' && rule === 'c' ? 'delete' : 'update';
      const key = `${table}/${action}`;
      if (seen.has(key)) continue;
      seen.add(key);
      found.push({ on, action, object: objectOf(table!) });
      follow(table!, on, action, seen);
    }
  };
  follow(oid, 'delete', 'delete', new Set());
  follow(oid, 'update', 'update', new Set());
  return found;
}
