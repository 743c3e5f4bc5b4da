/** Rows of pg_catalog to a Snapshot: who runs what, who reads what, followed through views, policies and types. */
import { type Code, call, codeOf } from './code.ts';
import type { Vouched } from './harmless.ts';
import { madeOfExpression, madeOfView, type Runs } from './made.ts';
import type { Columns, Memory } from './memory.ts';
import { type TreeReferences, treeReferences } from './nodetree.ts';
import type { EarlyRows, LoadedRows } from './queries.ts';
import { edges, groupBy, isUser, truthy } from './rows.ts';
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

/** Of a rule: what a view shows. */
const SELECTED = '1';
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
/** Most relations have no rule, child or foreign key, and there may be very many: they share what is empty. */
const NONE: readonly never[] = [];
const NOBODY: ReadonlySet<string> = new Set();
const NO_RULES: ReadonlySet<WriteKind> = new Set();

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

/** Works out ahead what trees tell by themselves: of a view's columns, where nothing that it runs is in doubt. */
export function study(rows: EarlyRows, memory: Memory): void {
  const runs: Runs = { allHarmless: true, harmless: () => true, reveals: revealing(rows) };
  for (const [relation, event, action] of rows.rules) {
    if (event !== SELECTED || !isUser(relation!)) continue;
    memory.references.of(action!);
    memory.views.of(action!, (text) => madeOfView(text, runs) ?? null);
  }
}

function relationsOf(
  rows: LoadedRows,
  schemaOf: (oid: string) => string,
  code: Code,
  { columnsOf, memory }: { readonly columnsOf: ReadonlyMap<string, Columns>; readonly memory: Memory },
): Relation[] {
  const byOid = new Map(rows.relations.map((row) => [row[0]!, row]));
  const columns = (oid: string): readonly Column[] => [...(columnsOf.get(oid)?.values() ?? [])];
  const rules = groupBy(rows.rules, 0);
  const policies = groupBy(rows.policies, 0);
  const generated = groupBy(rows.generated, 0);
  const children = edges(rows.inherits, 1, 0);
  const ancestors = edges(rows.inherits, 0, 1);
  const parents = edges([...rows.inherits, ...rows.indexes], 0, 1); // an index is part of its table, for DDL
  const planned = groupBy(
    rows.planned.filter(([, tree]) => tree !== null),
    0,
  );
  const classes = groupBy([...rows.indexes.map(([, table, list]) => [table!, list!]), ...rows.partitionKeys], 0);
  const referencing = groupBy(rows.foreignKeys, 1);
  const referrers = edges(rows.foreignKeys, 1, 0);
  const keys = groupBy(rows.uniqueKeys, 0);
  const rowTypes = new Map(rows.types.map((row) => [row[6]!, row[0]!]));
  const objectOf = (oid: string): string => {
    const row = byOid.get(oid);
    return row ? objectName(schemaOf(row[2]!), row[1]!) : '?.?';
  };

  const objectsOf = (oids: ReadonlySet<string>) => (oids.size === 0 ? NONE : [...oids].map(objectOf));

  /** Expressions that run when this one relation is read. */
  const trees = (oid: string): string[] => [
    ...(rules.get(oid) ?? []).filter(([, event]) => event === SELECTED).map(([, , action]) => action!),
    ...(truthy(byOid.get(oid)?.[4])
      ? (policies.get(oid) ?? [])
          .flatMap(([, using, check]) => [using, check])
          .filter((tree) => tree !== undefined && tree !== null)
      : []),
    ...(generated.get(oid) ?? []).filter(([, , , when]) => when === 'v').map(([, tree]) => tree!),
  ];
  const kindOf = (oid: string): string => byOid.get(oid)?.[3] ?? '';
  const descend = (oid: string, next: (oid: string) => readonly string[]): ReadonlySet<string> => {
    if (next(oid).length === 0) return NOBODY;
    const seen = new Set<string>();
    const from = (at: string): void => {
      for (const one of next(at)) {
        if (seen.has(one)) continue;
        seen.add(one);
        from(one);
      }
    };
    from(oid);
    return seen;
  };
  const haveTrees = new Set([...rules.keys(), ...policies.keys(), ...generated.keys()]);
  const referencesOf = remembered((oid: string): readonly TreeReferences[] =>
    haveTrees.has(oid) && isUser(oid) ? trees(oid).map((tree) => memory.references.of(tree)) : NONE,
  );
  const childrenOf = (oid: string) => children.get(oid) ?? NONE;
  const inherited = (oid: string) => ancestors.get(oid) ?? NONE;
  const parentsOf = (oid: string) => parents.get(oid) ?? NONE;
  const referrersOf = (oid: string) => referrers.get(oid) ?? NONE;
  const below = (oid: string): readonly string[] => {
    const references = referencesOf(oid);
    return references.length === 0 ? childrenOf(oid) : [...references.flatMap((r) => r.relations), ...childrenOf(oid)];
  };
  /** Many tables have the same columns, and then share one object for them. */
  const heldBadly = remembered((of: Columns): readonly string[] => {
    const types = [...of.values()].map(({ type }) => `${type}`).filter(code.heldBadly);
    return types.map((type) => `type ${call(code.types.get(type))}`);
  });
  const hazardsOf = remembered((oid: string): readonly string[] => [
    ...referencesOf(oid).flatMap(code.hazards),
    ...(kindOf(oid) === 'f' ? [`foreign table ${objectOf(oid)}`] : []),
    ...(planned.get(oid) ?? []).flatMap(([, tree]) => code.plannedHazards(tree!)),
    ...((classes.get(oid) ?? []).some(([, list]) => list!.split(' ').some(code.badClass))
      ? [`operator class on ${objectOf(oid)}`]
      : []),
    ...(byOid.has(oid) ? [] : ['a relation the catalogue does not know']),
    ...(code.castsAway(rowTypes.get(oid) ?? '') ? [`type ${objectOf(oid)}`] : []),
    ...(isUser(oid) ? heldBadly(columnsOf.get(oid) ?? NO_COLUMNS) : []),
  ]);

  const reveals = revealing(rows);
  const made = (oid: string): ReadonlyMap<number, Made> => {
    const isView = kindOf(oid) === 'v' || kindOf(oid) === 'm';
    if (!isView && !generated.has(oid)) return NOTHING_MADE;
    const runsOf = (references: TreeReferences): Runs => ({
      allHarmless: code.hazards(references).length === 0,
      harmless: (part) => code.hazards(treeReferences(part)).length === 0,
      reveals,
    });
    const found = new Map<number, Made>();
    for (const [, tree, number] of generated.get(oid) ?? []) {
      found.set(Number(number), madeOfExpression(tree!, Number(oid), runsOf(memory.references.of(tree!))));
    }
    if (!isView) return found;
    const action = (rules.get(oid) ?? []).find(([, event]) => event === SELECTED)?.[2];
    const references = referencesOf(oid)[0]; // the first of its trees
    const runs = references && runsOf(references);
    const told = (text: string) => (runs && madeOfView(text, runs)) ?? null;
    const view = action === undefined ? null : runs?.allHarmless ? memory.views.of(action, told) : told(action);
    // Whatever its rule says, a column of a view is never taken for a stored one.
    for (const { number } of columns(oid)) found.set(number, view?.get(number) ?? { kind: 'opaque' });
    return found;
  };

  const rulesOf = (oids: readonly string[]): ReadonlySet<WriteKind> => {
    if (!oids.some((oid) => rules.has(oid))) return NO_RULES;
    const events = oids.flatMap((oid) => rules.get(oid) ?? []).map(([, event]) => RULE_EVENTS[event!]);
    return new Set(events.filter((event) => event !== undefined));
  };

  return rows.relations.map(([oid, name, schema, kind, , triggers]) => {
    const reads = isUser(oid!) ? apart(descend(oid!, below), oid!) : NOBODY;
    const own = isUser(oid!) ? hazardsOf(oid!) : NONE;
    const hazards = reads.size === 0 ? own : [...own, ...[...reads].flatMap(hazardsOf)];
    // A view is written through to what it shows; a partition is part of its parents, a parent made of partitions.
    const writes = kind === 'v' ? reads : apart(union(descend(oid!, parentsOf), descend(oid!, childrenOf)), oid!);
    const written = [oid!, ...writes];
    const cascades =
      referencing.size === 0 ? NONE : written.flatMap((target) => cascadesOf(target, referencing, objectOf));
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
      reads: objectsOf(reads),
      hazards: hazards.length === 0 ? NONE : [...new Set(hazards)],
      writes: objectsOf(writes),
      cascades,
      referencedBy: objectsOf(descend(oid!, referrersOf)),
      triggers: truthy(triggers) || [...writes].some((target) => truthy(byOid.get(target)?.[5])),
      rules: rulesOf(written),
    };
  });
}

function remembered<K, V>(make: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return (key) => {
    const value = known.get(key) ?? make(key);
    known.set(key, value);
    return value;
  };
}

const union = (one: ReadonlySet<string>, other: ReadonlySet<string>): ReadonlySet<string> =>
  other.size === 0 ? one : one.size === 0 ? other : new Set([...one, ...other]);

const apart = (all: ReadonlySet<string>, one: string): ReadonlySet<string> =>
  all.has(one) ? new Set([...all].filter((each) => each !== one)) : all;

/** Functions that show what a view of PostgreSQL's hides, by oid: as good as that view's columns. */
function revealing({ functions, revealed }: EarlyRows): ReadonlyMap<string, readonly Source[]> {
  const columns = groupBy(revealed, 0);
  const found = new Map<string, readonly Source[]>();
  for (const [oid, name] of functions) {
    const shows = isUser(oid!) ? undefined : REVEALING_FUNCTIONS.get(name!);
    if (shows === undefined) continue;
    const hidden = (columns.get(shows) ?? []).filter(([, , , column]) =>
      SENSITIVE_COLUMNS.get(shows)?.includes(column!),
    );
    found.set(
      oid!,
      hidden.map(([, relation, number]) => ({ relation: Number(relation), column: Number(number) })),
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
  if (!referencing.has(oid)) return NONE;
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
