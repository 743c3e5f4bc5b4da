/** A catalogue from a plain description, for judging statements without a database (`policy test`, tests). */
import {
  BUILTIN_FUNCTIONS,
  BUILTIN_OPERATORS,
  BUILTIN_RELATIONS,
  BUILTIN_TYPES,
  UNSAFE_FUNCTIONS,
} from './builtins.ts';
import { SET_FUNCTIONS } from './sets.ts';
import { type Made, type Named, objectName, type Relation, Snapshot, type WriteKind } from './snapshot.ts';

const FIRST_INVENTED_OID = 1_000_000;
const TEXT = 25; // every described column's type

/** Names are `schema.name`. */
export type CatalogDescription = {
  /** Columns by table; a trailing `!` on a column says NOT NULL. */
  readonly tables?: Readonly<Record<string, readonly string[]>>;
  readonly foreign?: Readonly<Record<string, readonly string[]>>;
  /** A column named like one of the only table that is read is that column; any other could be made of anything. */
  readonly views?: Readonly<
    Record<
      string,
      { readonly columns?: readonly string[]; readonly reads?: readonly string[]; readonly runs?: readonly string[] }
    >
  >;
  /** `harmless`: an extension's function that only computes; everything else runs code. */
  readonly functions?: Readonly<Record<string, 'harmless' | 'code'>>;
  readonly operators?: Readonly<Record<string, 'harmless' | 'code'>>;
  /** Domains, enums and other types; `code`: making a value runs code. */
  readonly types?: Readonly<Record<string, 'harmless' | 'code'>>;
  readonly triggers?: readonly string[];
  readonly rules?: Readonly<Record<string, readonly WriteKind[]>>;
  /** Row security policies and the like: reading the table runs this. */
  readonly policies?: Readonly<Record<string, readonly string[]>>;
  /** Columns of each unique key, by table. */
  readonly unique?: Readonly<Record<string, readonly (readonly string[])[]>>;
  /** Child → parent, for partitions and inheritance. */
  readonly partitions?: Readonly<Record<string, string>>;
  /** Child → parent, for foreign keys with ON DELETE CASCADE. */
  readonly cascades?: Readonly<Record<string, string>>;
};

/** PostgreSQL's own objects (release 18) and what the description adds. */
export function describedCatalog(description: CatalogDescription): Snapshot {
  const {
    tables = {},
    foreign = {},
    views = {},
    partitions = {},
    cascades = {},
    rules = {},
    policies = {},
  } = description;
  const children = (of: string) =>
    Object.entries(partitions)
      .filter(([, parent]) => parent === of)
      .map(([child]) => child);
  const userNames = [tables, foreign, views].flatMap((kind) => Object.keys(kind));
  const oids = new Map(
    [...userNames, ...BUILTIN_RELATIONS].map((name, n) => [canonical(name), FIRST_INVENTED_OID + n]),
  );
  const oidOf = (object: string): number => oids.get(canonical(object)) ?? 0;
  const relation = (object: string, kind: Relation['kind'], parts: Partial<Relation>): Relation => ({
    oid: oidOf(object),
    ...split(object),
    kind,
    columns: new Map(),
    made: new Map(),
    unique: (description.unique?.[object] ?? []).map((key) =>
      key.map((column) => columnsOf(tables[object] ?? []).get(column)?.number ?? 0),
    ),
    kin: [...children(object), ...(partitions[object] ? [partitions[object]] : [])].map(oidOf),
    reads: children(object).map(canonical),
    hazards: (policies[object] ?? []).map(canonical),
    writes: [...children(object), ...(partitions[object] ? [partitions[object]] : [])].map(canonical),
    cascades: Object.entries(cascades)
      .filter(([, parent]) => parent === object)
      .map(([child]) => ({ on: 'delete', action: 'delete', object: canonical(child) })),
    referencedBy: Object.entries(cascades)
      .filter(([, parent]) => parent === object)
      .map(([child]) => canonical(child)),
    triggers: (description.triggers ?? []).includes(object),
    rules: new Set(rules[object] ?? []),
    ...parts,
  });
  const columnsOf = (names: readonly string[]) =>
    new Map(
      names.map((entry, n) => {
        const name = entry.replace(/!$/, '');
        return [name, { name, number: n + 1, notNull: entry.endsWith('!'), type: TEXT }];
      }),
    );
  const described = new Map(
    [tables, foreign, Object.fromEntries(Object.entries(views).map(([name, { columns = [] }]) => [name, columns]))]
      .flatMap((kind) => Object.entries(kind))
      .map(([name, columns]) => [canonical(name), columnsOf(columns)]),
  );
  const madeOf = (columns: readonly string[], reads: readonly string[]): ReadonlyMap<number, Made> => {
    const source = reads.length === 1 ? described.get(canonical(reads[0] ?? '')) : undefined;
    return new Map(
      [...columnsOf(columns).values()].map(({ name, number }) => {
        const same = source?.get(name);
        const of = same && { relation: oidOf(reads[0] ?? ''), column: same.number };
        return [number, of ? { kind: 'same', of } : { kind: 'opaque' }];
      }),
    );
  };
  const relations = [
    ...Object.entries(tables).map(([name, columns]) => relation(name, 'table', { columns: columnsOf(columns) })),
    ...Object.entries(foreign).map(([name, columns]) =>
      relation(name, 'foreign', { columns: columnsOf(columns), hazards: [`foreign table ${canonical(name)}`] }),
    ),
    ...Object.entries(views).map(([name, { columns = [], reads = [], runs = [] }]) =>
      relation(name, 'view', {
        columns: columnsOf(columns),
        made: madeOf(columns, reads),
        reads: reads.map(canonical),
        writes: reads.map(canonical),
        hazards: runs.map(canonical),
      }),
    ),
    ...[...BUILTIN_RELATIONS].map((name) =>
      relation(name, 'table', {
        columns: undefined,
        ...(name === 'pg_catalog.pg_settings' && { rules: new Set(['update'] as const) }), // an UPDATE of it is a SET
      }),
    ),
  ];
  const own = Object.entries(description.types ?? {});
  const rowTypes: [string, 'harmless'][] = relations.map(({ schema, name }) => [`${schema}.${name}`, 'harmless']);
  return new Snapshot({
    version: 'described',
    user: '',
    schemas: new Set(['pg_catalog', 'information_schema', ...relations.map((one) => one.schema)]),
    relations,
    functions: [
      ...builtin(BUILTIN_FUNCTIONS, true),
      ...builtin(UNSAFE_FUNCTIONS, false),
      ...named(Object.entries(description.functions ?? {})),
    ],
    operators: [...builtin(BUILTIN_OPERATORS, true), ...named(Object.entries(description.operators ?? {}))],
    types: [...builtin(BUILTIN_TYPES, true), ...named([...own, ...rowTypes])],
    typesByOid: new Map(),
    rowsIn: new Map(),
    ownEquals: new Set(Object.keys(description.operators ?? {}).some((name) => split(name).name === '=') ? [TEXT] : []),
  });
}

const builtin = (names: ReadonlySet<string>, harmless: boolean): Named[] =>
  [...names].map((name) => ({ schema: 'pg_catalog', name, harmless, set: SET_FUNCTIONS.has(name) }));

const named = (entries: readonly (readonly [string, string])[]): Named[] =>
  entries.map(([name, kind]) => ({ ...split(name), harmless: kind === 'harmless' }));

function split(object: string): { readonly schema: string; readonly name: string } {
  const dot = object.indexOf('.');
  return dot < 0 ? { schema: 'public', name: object } : { schema: object.slice(0, dot), name: object.slice(dot + 1) };
}

const canonical = (object: string): string => {
  const { schema, name } = split(object);
  return objectName(schema, name);
};
