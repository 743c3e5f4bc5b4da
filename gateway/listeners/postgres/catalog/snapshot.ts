/** What a database holds, as far as verdicts need it: names to relations, functions, operators, types. Immutable. */

export type WriteKind = 'insert' | 'update' | 'delete';

/** `number`: its attribute number, from 1. `type`: the oid of its type. */
export type Column = {
  readonly name: string;
  readonly number: number;
  readonly notNull: boolean;
  readonly type: number;
};

/** A column of a relation: oid and attribute number. */
export type Source = { readonly relation: number; readonly column: number };

/**
 * What a view's or a generated column's value is made of. `same`: that column as it stands. `from`: worked out from
 * these by code known to be harmless; from none: it depends on no row's value. `opaque`: nobody can say.
 */
export type Made =
  | { readonly kind: 'same'; readonly of: Source }
  | { readonly kind: 'from'; readonly of: readonly Source[] }
  | { readonly kind: 'opaque' };

export type Relation = {
  /** Described catalogues invent them, from 1,000,000 up, in order. */
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: 'table' | 'view' | 'matview' | 'foreign' | 'sequence' | 'other';
  /** By name; undefined where they are not known (system relations of a described catalogue). */
  readonly columns: ReadonlyMap<string, Column> | undefined;
  /** By column number, for columns of views and generated ones; absent: a stored column. */
  readonly made: ReadonlyMap<number, Made>;
  /** Attribute numbers of each key of which no two rows of it, nor of its children, have the same values. */
  readonly unique: readonly (readonly number[])[];
  /** Parents and children by inheritance and partitioning: oids. */
  readonly kin: readonly number[];
  /** Relations that a read of this one reads besides: what a view, a policy, a generated column looks at. */
  readonly reads: readonly string[];
  /** Code not known to be harmless that a read of it runs (`public.f()`), or a server it reaches. */
  readonly hazards: readonly string[];
  /** Relations a write to this one also changes: what is below a view, partitions and parents. */
  readonly writes: readonly string[];
  /** Foreign keys that carry a write on to other tables. */
  readonly cascades: readonly { readonly on: WriteKind; readonly action: WriteKind; readonly object: string }[];
  /** Relations with foreign keys to this one: what TRUNCATE … CASCADE empties too. */
  readonly referencedBy: readonly string[];
  readonly triggers: boolean;
  /** Writes for which a rule runs other commands. */
  readonly rules: ReadonlySet<WriteKind>;
};

/** A function, operator or type under its name; `harmless` says that using it runs nothing not known. */
export type Named = {
  readonly schema: string;
  readonly name: string;
  readonly harmless: boolean;
  /** A function that returns a set of rows. */
  readonly set?: boolean;
};

export type SnapshotData = {
  readonly version: string;
  /** Whom `$user` stands for. */
  readonly user: string;
  /** Schemas the role may look into; names in others do not resolve. */
  readonly schemas: ReadonlySet<string>;
  readonly relations: readonly Relation[];
  readonly functions: readonly Named[];
  readonly operators: readonly Named[];
  readonly types: readonly Named[];
  readonly typesByOid: ReadonlyMap<number, Named>;
  /** Types whose values hold rows of relations (row types, arrays, domains, ranges, composites of them): oid → oids. */
  readonly rowsIn: ReadonlyMap<number, readonly number[]>;
  /** Types (oids) for which somebody made an operator `=` of their own. */
  readonly ownEquals: ReadonlySet<number>;
};

const TEMP_SCHEMA = 'pg_temp';
const isTemp = (schema: string): boolean => schema === TEMP_SCHEMA || schema.startsWith('pg_temp_');

export class Snapshot {
  readonly version: string;
  /** All of them, in no order. */
  readonly all: readonly Relation[];
  readonly ownEquals: ReadonlySet<number>;
  readonly #user: string;
  readonly #schemas: ReadonlySet<string>;
  readonly #relations: ReadonlyMap<string, readonly Relation[]>;
  readonly #relationsByOid: ReadonlyMap<number, Relation>;
  readonly #functions: ReadonlyMap<string, readonly Named[]>;
  readonly #operators: ReadonlyMap<string, readonly Named[]>;
  readonly #types: ReadonlyMap<string, readonly Named[]>;
  readonly #typesByOid: ReadonlyMap<number, Named>;
  readonly #rowsIn: ReadonlyMap<number, readonly number[]>;

  constructor(data: SnapshotData) {
    this.version = data.version;
    this.#user = data.user;
    this.#schemas = data.schemas;
    this.all = data.relations;
    this.ownEquals = data.ownEquals;
    this.#relations = byName(data.relations);
    this.#relationsByOid = new Map(data.relations.map((relation) => [relation.oid, relation]));
    this.#functions = byName(data.functions);
    this.#operators = byName(data.operators);
    this.#types = byName(data.types);
    this.#typesByOid = data.typesByOid;
    this.#rowsIn = data.rowsIn;
  }

  /**
   * Every relation the name may stand for. Unqualified: the temporary ones, and the first hit on the search path;
   * an empty path means that it is not known, and every schema counts.
   */
  relations(name: string, schema: string | undefined, searchPath: readonly string[]): readonly Relation[] {
    const all = this.#relations.get(name) ?? [];
    if (schema !== undefined) return all.filter((relation) => inSchema(relation, schema));
    if (searchPath.length === 0) return all;
    const found = all.filter((relation) => isTemp(relation.schema));
    const path = searchPath.map((entry) => (entry === '$user' ? this.#user : entry));
    if (!path.includes('pg_catalog')) path.unshift('pg_catalog');
    for (const entry of path) {
      if (!this.#schemas.has(entry)) continue;
      const hit = all.find((relation) => relation.schema === entry);
      if (hit) return [...found, hit];
    }
    return found;
  }

  relationOf(oid: number): Relation | undefined {
    return this.#relationsByOid.get(oid);
  }

  /** Relations (by oid) of which a value of this type holds whole rows. */
  rowsIn(type: number): readonly number[] {
    return this.#rowsIn.get(type) ?? [];
  }

  /** Every function of that name, whatever its arguments; unqualified: in every schema there is. */
  functions(name: string, schema?: string): readonly Named[] {
    return named(this.#functions, name, schema);
  }

  operators(name: string, schema?: string): readonly Named[] {
    return named(this.#operators, name, schema);
  }

  typeOf(oid: number): Named | undefined {
    return this.#typesByOid.get(oid);
  }

  types(name: string, schema?: string): readonly Named[] {
    return named(this.#types, name, schema);
  }
}

/** `schema.name`; a part that could be misread (dots, quotes, globs) is quoted. */
export function objectName(schema: string, name: string): string {
  return `${part(isTemp(schema) ? TEMP_SCHEMA : schema)}.${part(name)}`;
}

const part = (name: string): string => (/[."*\s]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);

function inSchema(entry: { readonly schema: string }, schema: string): boolean {
  return entry.schema === schema || (schema === TEMP_SCHEMA && isTemp(entry.schema));
}

function named(index: ReadonlyMap<string, readonly Named[]>, name: string, schema?: string): readonly Named[] {
  const all = index.get(name) ?? [];
  return schema === undefined ? all : all.filter((entry) => inSchema(entry, schema));
}

function byName<T extends { readonly name: string }>(entries: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const index = new Map<string, T[]>();
  for (const entry of entries) {
    const same = index.get(entry.name);
    if (same) same.push(entry);
    else index.set(entry.name, [entry]);
  }
  return index;
}
