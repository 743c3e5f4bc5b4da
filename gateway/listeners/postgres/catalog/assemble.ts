/** Rows of pg_catalog to a Snapshot: who runs what, who reads what, followed through views, policies and types. */
import { FIRST_USER_OID, isHarmless } from './harmless.ts';
import { constantParts, type TreeReferences, treeReferences } from './nodetree.ts';
import type { LoadedRows } from './queries.ts';
import { rowsIn } from './rowtypes.ts';
import { type Named, objectName, type Relation, Snapshot, type WriteKind } from './snapshot.ts';

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
/** json and jsonb: functions that make them look for a cast by themselves. */
const JSON_TYPES = new Set(['114', '3802']);
const isUser = (oid: string): boolean => Number(oid) >= FIRST_USER_OID;
const ofUser = ([oid]: readonly string[]): boolean => isUser(oid!);

export function assemble(rows: LoadedRows, version: string): Snapshot {
  const schemas = new Map(rows.schemas.map(([oid, name]) => [oid!, name!]));
  const schemaOf = (oid: string): string => schemas.get(oid) ?? '?';
  const code = codeOf(rows, schemaOf);
  return new Snapshot({
    version,
    user: rows.user[0]?.[0] ?? '',
    schemas: new Set(rows.schemas.filter(([, , usable]) => truthy(usable)).map(([, name]) => name!)),
    relations: relationsOf(rows, schemaOf, code),
    functions: [...code.functions.values()],
    operators: [...code.operators.values()],
    types: [...code.types.values()],
    typesByOid: new Map([...code.types].map(([oid, type]) => [Number(oid), type])),
    rowsIn: rowsIn(rows),
  });
}

type Code = {
  readonly functions: ReadonlyMap<string, Named>;
  readonly operators: ReadonlyMap<string, Named>;
  /** `harmless` false: making a value of it runs code. */
  readonly types: ReadonlyMap<string, Named>;
  /** Comparing a column of it with a literal, or showing it, runs code. */
  readonly heldBadly: (type: string) => boolean;
  /** A cast that nobody has to write runs code. */
  readonly castsAway: (type: string) => boolean;
  /** What in an expression is not known to be harmless, by name. */
  readonly hazards: (references: TreeReferences) => string[];
  /** What of an expression runs when it is simplified, by name. */
  readonly plannedHazards: (tree: string) => string[];
  /** Ordering, hashing or an index scan by this operator class runs code. */
  readonly badClass: (operatorClass: string) => boolean;
};

function codeOf(rows: LoadedRows, schemaOf: (oid: string) => string): Code {
  const riskyTypes = new Set<string>();
  const functionsWith = (anyRisky: boolean) =>
    new Map(
      rows.functions.map(([oid, name, schema, kind, volatility, extension, language]) => {
        const builtin = !isUser(oid!) && ['pg_catalog', 'information_schema'].includes(schemaOf(schema!));
        const traits = {
          name: name!,
          builtin,
          kind: kind!,
          volatility: volatility!,
          extension: extension ?? undefined,
          language: language!,
        };
        return [oid!, { schema: schemaOf(schema!), name: name!, harmless: isHarmless(traits, anyRisky) }] as const;
      }),
    );
  let functions: ReadonlyMap<string, Named> = functionsWith(false);
  const runs = (oid: string): boolean => oid !== '0' && functions.get(oid)?.harmless !== true;
  const operators = new Map(
    rows.operators.map(([oid, name, schema, fn]) => [
      oid!,
      { schema: schemaOf(schema!), name: name!, harmless: !runs(fn!) },
    ]),
  );
  const byOid = new Map(rows.types.map((row) => [row[0]!, row]));
  const columnTypes = groupBy(rows.columns.filter(ofUser), 0);
  const checks = groupBy(rows.domainChecks, 0);
  const badCasts = rows.casts.filter(([, , fn]) => runs(fn!));
  const castEnds = new Set(badCasts.flatMap(([source, target]) => [source!, target!]));
  const castSources = new Set(
    badCasts.filter(([, target, , context]) => context !== 'e' || JSON_TYPES.has(target!)).map(([source]) => source!),
  );

  const badFamilies = new Set([
    ...rows.familyFunctions.filter(([, fn]) => runs(fn!)).map(([family]) => family!),
    ...rows.familyOperators.filter(([, oid]) => operators.get(oid!)?.harmless !== true).map(([family]) => family!),
  ]);
  const badClasses = new Set(rows.operatorClasses.filter(([, , , f]) => badFamilies.has(f!)).map(([oid]) => oid!));
  /** Types that ORDER BY, DISTINCT, GROUP BY and the like compare by code, without an operator being named. */
  const badlyOrdered = new Set(
    rows.operatorClasses.filter(([oid, , isDefault]) => truthy(isDefault) && badClasses.has(oid!)).map(([, t]) => t!),
  );

  /** Follow a type into its parts; `making` also counts casts towards it, which a column's use does not need. */
  const bad = (type: string, making: boolean, seen = new Set<string>()): boolean => {
    if (type === '0' || seen.has(type)) return false;
    seen.add(type);
    const row = byOid.get(type);
    if (!row) return true;
    if ((making ? castEnds : castSources).has(type) || badlyOrdered.has(type)) return true;
    const [oid, , , kind, base, element, relation, input, output, ...range] = row as string[];
    const within = (part: string | undefined) => part !== undefined && bad(part, making, seen);
    if (kind === 'd') {
      const checked = (checks.get(oid!) ?? []).some(([, tree]) => hazards(treeReferences(tree!)).length > 0);
      return checked || within(base);
    }
    if (kind === 'c') return (columnTypes.get(relation!) ?? []).some((column) => within(column[3]));
    if (kind === 'r') {
      const [subtype, canonical = '0', subdiff = '0', subclass = '0'] = range;
      return runs(canonical) || runs(subdiff) || badClasses.has(subclass) || within(subtype);
    }
    if (element !== '0') return within(element);
    if (kind === 'b' && isUser(oid!)) return runs(input!) || runs(output!);
    return false;
  };
  const hazards = (references: TreeReferences): string[] => [
    ...references.functions.filter(runs).map((oid) => call(functions.get(oid))),
    ...references.operators
      .filter((oid) => operators.get(oid)?.harmless !== true)
      .map((o) => `operator ${call(operators.get(o))}`),
    ...references.types.filter((oid) => riskyTypes.has(oid)).map((oid) => `type ${call(types.get(oid))}`),
  ];
  const types = new Map<string, Named>();
  // A domain's check may make values of a type that comes later: again until no more turn out to be risky.
  for (let known = -1; known < riskyTypes.size; ) {
    known = riskyTypes.size;
    for (const [oid, name, schema] of rows.types) {
      const harmless = !bad(oid!, true);
      if (!harmless) riskyTypes.add(oid!);
      types.set(oid!, { schema: schemaOf(schema!), name: name!, harmless });
    }
    if (riskyTypes.size > 0) functions = functionsWith(true);
  }
  const inlined = inlinedHazards(rows, { functions, operators, types }, (tree) => hazards(treeReferences(tree)));
  return {
    functions,
    operators,
    types,
    hazards,
    heldBadly: (type) => bad(type, false),
    castsAway: (type) => castSources.has(type),
    // The body of an SQL function may take the place of its call, and be simplified in turn.
    plannedHazards: (tree) => [
      ...hazards(treeReferences(constantParts(tree))),
      ...treeReferences(tree)
        .functions.filter((oid) => inlined.has(oid))
        .map((oid) => call(functions.get(oid))),
    ],
    badClass: (operatorClass) => badClasses.has(operatorClass),
  };
}

/**
 * SQL functions whose body, put in the place of their call, may run something. A text is not parsed here: none of its
 * words may name a function or type that is not harmless, none of its signs such an operator, and nothing in it is quoted.
 */
function inlinedHazards(
  rows: LoadedRows,
  code: Pick<Code, 'functions' | 'operators' | 'types'>,
  hazards: (tree: string) => readonly string[],
): ReadonlySet<string> {
  if (rows.bodies.length === 0) return new Set();
  const risky = (all: ReadonlyMap<string, Named>) =>
    new Set([...all.values()].filter(({ harmless }) => !harmless).map(({ name }) => name));
  const names = new Set([...risky(code.functions), ...risky(code.types)]);
  const signs = [...risky(code.operators)];
  const plain = ([, text, tree]: readonly string[]): boolean => {
    if (tree !== null) return hazards(tree!).length === 0;
    if (/["\\]|u&/i.test(text!)) return false;
    const words = text!.toLowerCase().match(/[a-z_\u0080-\uffff][\w$\u0080-\uffff]*/g) ?? [];
    return !words.some((word) => names.has(word)) && !signs.some((sign) => text!.includes(sign));
  };
  return new Set(rows.bodies.filter((row) => !plain(row)).map(([oid]) => oid!));
}

const call = (named: Named | undefined): string => (named ? objectName(named.schema, named.name) : '?');

function relationsOf(rows: LoadedRows, schemaOf: (oid: string) => string, code: Code): Relation[] {
  const byOid = new Map(rows.relations.map((row) => [row[0]!, row]));
  const allColumns = groupBy(rows.columns, 0);
  const columns = groupBy(rows.columns.filter(ofUser), 0);
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
    ...(generated.get(oid) ?? []).map(([, tree]) => tree!),
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
    const found = referenced.get(oid) ?? trees(oid).map(treeReferences);
    referenced.set(oid, found);
    return found;
  };
  const childrenOf = (oid: string) => (children.get(oid) ?? []).map(([child]) => child!);
  const inherited = (oid: string) => (ancestors.get(oid) ?? []).map(([, parent]) => parent!);
  const parentsOf = (oid: string) => (parents.get(oid) ?? []).map(([, parent]) => parent!);
  const below = (oid: string) => [...referencesOf(oid).flatMap((r) => r.relations), ...childrenOf(oid)];
  const hazardsOf = (oid: string): string[] => [
    ...referencesOf(oid).flatMap(code.hazards),
    ...(kindOf(oid) === 'f' ? [`foreign table ${objectOf(oid)}`] : []),
    ...(planned.get(oid) ?? []).flatMap(([, tree]) => code.plannedHazards(tree!)),
    ...((classes.get(oid) ?? []).some(([, list]) => list!.split(' ').some(code.badClass))
      ? [`operator class on ${objectOf(oid)}`]
      : []),
    ...(byOid.has(oid) ? [] : ['a relation the catalogue does not know']),
    ...(code.castsAway(rowTypes.get(oid) ?? '') ? [`type ${objectOf(oid)}`] : []),
    ...(columns.get(oid) ?? []).filter((c) => code.heldBadly(c[3]!)).map((c) => `type ${call(code.types.get(c[3]!))}`),
  ];

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
      columns: new Map(
        (allColumns.get(oid!) ?? []).map(([, column, notNull, type, number]) => [
          column!,
          { name: column!, number: Number(number), notNull: truthy(notNull), type: Number(type) },
        ]),
      ),
      made: new Map(),
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

const truthy = (value: string | undefined): boolean => value === 'true';

function groupBy(rows: readonly (readonly string[])[], key: number): Map<string, (readonly string[])[]> {
  const groups = new Map<string, (readonly string[])[]>();
  for (const row of rows) {
    const group = groups.get(row[key]!);
    if (group) group.push(row);
    else groups.set(row[key]!, [row]);
  }
  return groups;
}
