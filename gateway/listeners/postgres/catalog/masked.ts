/** Which columns are masked, once views, generated columns, partitions and row types have been followed. Pure. */
import type { MaskFormat, Profile } from '../../../masking/profile.ts';
import type { Masked } from '../lineage/plan.ts';
import { FIRST_USER_OID } from './harmless.ts';
import { SENSITIVE_COLUMNS } from './sensitive.ts';
import { type Column, objectName, type Relation, type Snapshot } from './snapshot.ts';

const REDACT: MaskFormat = { kind: 'redact' };
const TEMP = 'pg_temp';
const COLUMNS = 2_048; // more than a relation can have (1,600)

/** One column, as a key. */
type Key = number;
const keyOf = (relation: number, column: number): Key => relation * COLUMNS + column;

/** What a masked column, or a relation with one, masks in turn. The same for every profile. */
type Edges = {
  /** A column that is this one as it stands. */
  readonly same: ReadonlyMap<Key, readonly Key[]>;
  /** A column this one went into. */
  readonly into: ReadonlyMap<Key, readonly Key[]>;
  /** Columns that may hold anything of this relation (by oid): whole rows of it, or nobody can say what. */
  readonly anyOf: ReadonlyMap<number, readonly Key[]>;
  /** Columns that code nobody knows makes. */
  readonly unknown: readonly Key[];
};

const edgesOf = new WeakMap<Snapshot, Edges>();

/**
 * The masked columns of a snapshot: those the profile names (temporary tables are in `pg_temp` for it), what is made
 * of them, and PostgreSQL's own that show values. A column keeps the format of the rule that names it; a view's plain
 * column, and its namesake in a partition, take that of their source; anything computed is redacted.
 */
export function maskedOf(snapshot: Snapshot, profile: Pick<Profile, 'maskOf' | 'hasColumns'>): Masked {
  const found = new Map<number, Map<number, MaskFormat>>();
  const knows = (oid: number): boolean => snapshot.relationOf(oid) !== undefined;
  if (!profile.hasColumns) return { of: () => undefined, knows, any: false };

  const edges = edgesOf.get(snapshot) ?? connect(snapshot);
  edgesOf.set(snapshot, edges);
  const queue: { readonly key: Key; readonly format: MaskFormat }[] = [];
  const mask = (key: Key, format: MaskFormat): void => {
    const relation = Math.floor(key / COLUMNS);
    const columns = found.get(relation) ?? new Map<number, MaskFormat>();
    found.set(relation, columns);
    if (columns.has(key % COLUMNS)) return;
    columns.set(key % COLUMNS, format);
    queue.push({ key, format });
  };

  for (const relation of snapshot.all) {
    for (const { column, format } of named(relation, profile)) mask(keyOf(relation.oid, column.number), format);
  }
  for (const key of edges.unknown) mask(key, REDACT);
  const spread = new Set<number>();
  for (let next = queue.pop(); next; next = queue.pop()) {
    const relation = Math.floor(next.key / COLUMNS);
    for (const key of edges.same.get(next.key) ?? []) mask(key, next.format);
    for (const key of edges.into.get(next.key) ?? []) mask(key, REDACT);
    if (spread.has(relation)) continue;
    spread.add(relation);
    for (const key of edges.anyOf.get(relation) ?? []) mask(key, REDACT);
  }
  return { of: (oid) => found.get(oid), knows, any: found.size > 0 };
}

function named(
  relation: Relation,
  profile: Pick<Profile, 'maskOf'>,
): { readonly column: Column; readonly format: MaskFormat }[] {
  const { schema, name, columns = new Map<string, Column>() } = relation;
  const found: { column: Column; format: MaskFormat }[] = [];
  const sensitive = schema === 'pg_catalog' || name === 'pg_stat_statements' ? SENSITIVE_COLUMNS.get(name) : undefined;
  for (const column of sensitive?.map((one) => columns.get(one)) ?? [])
    if (column) found.push({ column, format: REDACT });
  if (relation.oid < FIRST_USER_OID) return found;
  const shown = schema.startsWith('pg_temp_') ? TEMP : schema;
  for (const column of columns.values()) {
    const format = profile.maskOf(shown, name, column.name);
    if (format) found.push({ column, format });
  }
  return found;
}

function connect(snapshot: Snapshot): Edges {
  const same = new Map<Key, Key[]>();
  const into = new Map<Key, Key[]>();
  const anyOf = new Map<number, Key[]>();
  const unknown: Key[] = [];
  const byName = new Map<string, number[]>();
  for (const { schema, name, oid } of snapshot.all) add(byName, objectName(schema, name), oid);

  for (const relation of snapshot.all) {
    const { oid, columns, kind } = relation;
    const hazardous = relation.hazards.length > 0;
    const opaque: Key[] = [];
    for (const [number, made] of relation.made) {
      const key = keyOf(oid, number);
      if (made.kind === 'same') add(same, keyOf(made.of.relation, made.of.column), key);
      else if (made.kind === 'from') for (const of of made.of) add(into, keyOf(of.relation, of.column), key);
      // What a table's own expression could not be told from ran when the row was written: nothing says what it read.
      else if (hazardous || (kind !== 'view' && kind !== 'matview')) unknown.push(key);
      else opaque.push(key);
    }
    if (opaque.length > 0) {
      for (const read of relation.reads) {
        for (const source of byName.get(read) ?? []) for (const key of opaque) add(anyOf, source, key);
      }
    }
    for (const column of columns?.values() ?? []) {
      for (const other of relation.kin) {
        const namesake = snapshot.relationOf(other)?.columns?.get(column.name);
        if (namesake) add(same, keyOf(oid, column.number), keyOf(other, namesake.number));
      }
      for (const row of snapshot.rowsIn(column.type)) add(anyOf, row, keyOf(oid, column.number));
    }
  }
  return { same, into, anyOf, unknown };
}

function add<K, V>(index: Map<K, V[]>, key: K, value: V): void {
  const known = index.get(key);
  if (known) known.push(value);
  else index.set(key, [value]);
}
