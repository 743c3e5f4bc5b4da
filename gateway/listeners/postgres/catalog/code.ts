/** What runs in a target: its functions, operators and types, and which of them are not known to be harmless. */
import { isHarmless, type Vouched } from './harmless.ts';
import type { Columns } from './memory.ts';
import { constantParts, type TreeReferences, treeReferences } from './nodetree.ts';
import type { LoadedRows } from './queries.ts';
import { groupBy, isUser, truthy } from './rows.ts';
import { type Named, objectName } from './snapshot.ts';

/** json and jsonb: functions that make them look for a cast by themselves. */
const JSON_TYPES = new Set(['114', '3802']);

export type Code = {
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

export function codeOf(
  rows: LoadedRows,
  schemaOf: (oid: string) => string,
  columnsOf: ReadonlyMap<string, Columns>,
  vouched: Vouched,
): Code {
  const riskyTypes = new Set<string>();
  const extensions = new Map(rows.ofExtensions.map(([oid, name]) => [oid!, name!]));
  const functionsWith = (anyRisky: boolean) =>
    new Map(
      rows.functions.map(([oid, name, schema, kind, volatility, language, set]) => {
        const builtin = !isUser(oid!) && ['pg_catalog', 'information_schema'].includes(schemaOf(schema!));
        const traits = {
          name: name!,
          schema: schemaOf(schema!),
          builtin,
          kind: kind!,
          volatility: volatility!,
          extension: extensions.get(oid!),
          language: language!,
        };
        const harmless = isHarmless(traits, anyRisky, vouched);
        return [oid!, { schema: schemaOf(schema!), name: name!, harmless, set: truthy(set) }] as const;
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
  const ranges = new Map(rows.ranges.map((row) => [row[0]!, row]));
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
    const [oid, , , kind, base, element, relation, input, output] = row as string[];
    const within = (part: string | undefined) => part !== undefined && bad(part, making, seen);
    if (kind === 'd') {
      const checked = (checks.get(oid!) ?? []).some(([, tree]) => hazards(treeReferences(tree!)).length > 0);
      return checked || within(base);
    }
    if (kind === 'c') {
      return isUser(relation!) && [...(columnsOf.get(relation!)?.values() ?? [])].some((one) => within(`${one.type}`));
    }
    if (kind === 'r') {
      const [, subtype, canonical = '0', subdiff = '0', subclass = '0'] = ranges.get(oid!) ?? [];
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
    // What is found harmless is so with all its parts, and those are not followed again.
    let followed = new Set<string>();
    for (const [oid, name, schema] of rows.types) {
      const harmless = !bad(oid!, true, followed);
      if (!harmless) {
        riskyTypes.add(oid!);
        followed = new Set();
      }
      types.set(oid!, { schema: schemaOf(schema!), name: name!, harmless });
    }
    if (riskyTypes.size > 0) functions = functionsWith(true);
  }
  const held = new Map<string, boolean>();
  const inlined = inlinedHazards(rows, { functions, operators, types }, (tree) => hazards(treeReferences(tree)));
  return {
    functions,
    operators,
    types,
    hazards,
    heldBadly: (type) => {
      const known = held.get(type) ?? bad(type, false);
      held.set(type, known);
      return known;
    },
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

export const call = (named: Named | undefined): string => (named ? objectName(named.schema, named.name) : '?');
