/** The columns that one FROM item, subquery or relation offers to names. Pure. */
import { SENSITIVE_COLUMNS } from '../catalog/sensitive.ts';
import { objectName, type Relation } from '../catalog/snapshot.ts';
import type { Masked } from './plan.ts';
import { either, isMasked, type MaskedColumn, OPAQUE, plain, ROW, union, type Value } from './value.ts';

/** `name` undefined: PostgreSQL gives it one that is not worked out here; any name may mean it. */
export type Named = { readonly name: string | undefined; readonly value: Value };

export type Columns = {
  /** In order; undefined: not known, `*` cannot be expanded. */
  readonly list: readonly Named[] | undefined;
  /** What the name means here; undefined: it is no column of this. */
  readonly find: (name: string) => Value | undefined;
  /** A whole row of it. */
  readonly whole: Value;
  /** `find` answers any name, with what is known of all: some column's name is not known. */
  readonly open: boolean;
  /** A relation: it has ctid and its kind. */
  readonly stored: boolean;
};

const MANY = 8; // columns; from there on an index is made at the first question

/** @param list in order */
export function columnsOf(list: readonly Named[]): Columns {
  let whole: Value | undefined;
  let index: Map<string | undefined, Value[]> | undefined;
  const hits = (name: string): Value[] => {
    if (list.length < MANY)
      return list.filter((one) => one.name === name || one.name === undefined).map((one) => one.value);
    if (!index) {
      index = new Map();
      for (const one of list) {
        const known = index.get(one.name);
        if (known) known.push(one.value);
        else index.set(one.name, [one.value]);
      }
    }
    return [...(index.get(name) ?? []), ...(index.get(undefined) ?? [])];
  };
  return {
    list,
    find: (name) => {
      const found = hits(name);
      return found.length === 0 ? undefined : either(found);
    },
    get whole() {
      whole ??= rowOf(list.map((one) => one.value));
      return whole;
    },
    open: list.some(({ name }) => name === undefined),
    stored: false,
  };
}

/** A row of these: never one of them as it stands. */
const rowOf = (values: readonly Value[]): Value => union([...values, ROW]);

/** Columns nobody can name, all of them this. */
export const openColumns = (value: Value): Columns => ({
  list: undefined,
  find: () => value,
  whole: value,
  open: true,
  stored: false,
});

/** The same under new names: the first ones of `names`, the others as they were. */
export function renamed(columns: Columns, names: readonly string[]): Columns {
  if (names.length === 0) return columns;
  const { list } = columns;
  if (!list) return openColumns(columns.whole);
  return {
    ...columnsOf(list.map((one, at) => ({ name: names[at] ?? one.name, value: one.value }))),
    stored: columns.stored,
  };
}

/** What was left out of which: a hundred joins make one layer of it, not a hundred. */
const reduced = new WeakMap<Columns, { readonly from: Columns; readonly gone: ReadonlySet<string> }>();

/** All of them without those of these names, which a USING has merged. */
export function without(columns: Columns, names: ReadonlySet<string>): Columns {
  const before = reduced.get(columns);
  if (before && [...names].every((name) => before.gone.has(name))) return columns;
  const from = before?.from ?? columns;
  const gone = before ? new Set([...before.gone, ...names]) : names;
  const rest: Columns = {
    ...from,
    list: from.list?.filter((one) => one.name === undefined || !gone.has(one.name)),
    find: (name) => (gone.has(name) ? undefined : from.find(name)),
    get whole() {
      return from.whole;
    },
  };
  reduced.set(rest, { from, gone });
  return rest;
}

/** One after the other. */
export function concatenated(groups: readonly Columns[]): Columns {
  const [only] = groups;
  if (only && groups.length === 1) return only;
  const list = groups.every((group) => group.list) ? groups.flatMap((group) => group.list ?? []) : undefined;
  if (list) return columnsOf(list);
  return {
    list,
    find: (name) => {
      const found = groups.map((group) => group.find(name)).filter((value) => value !== undefined);
      return found.length === 0 ? undefined : either(found);
    },
    whole: union([...groups.map((group) => group.whole), ROW]),
    open: groups.some((group) => group.open),
    stored: false,
  };
}

/** One of several, nobody knows which. */
export function anyOf(candidates: readonly Columns[]): Columns {
  const [only] = candidates;
  if (only && candidates.length === 1) return only;
  return {
    list: undefined,
    find: (name) => {
      const found = candidates.map((one) => one.find(name));
      if (found.every((value) => value === undefined)) return undefined;
      return either(candidates.map((one, at) => found[at] ?? one.whole)); // there it may be a function of the row
    },
    whole: union(candidates.map((one) => one.whole)),
    open: candidates.some((one) => one.open),
    stored: true,
  };
}

const known = new WeakMap<Masked, Map<Relation, Columns>>();

/** A relation's, worked out once for each set of masked columns. */
export function relationColumns(relation: Relation, masked: Masked): Columns {
  const of = known.get(masked) ?? new Map<Relation, Columns>();
  known.set(masked, of);
  let columns = of.get(relation);
  if (!columns) {
    columns = { ...read(relation, masked), stored: true };
    of.set(relation, columns);
  }
  return columns;
}

function read(relation: Relation, masked: Masked): Columns {
  const { schema, name, oid } = relation;
  const object = objectName(schema, name);
  const system = schema === 'pg_catalog' || schema === 'information_schema';
  if (!masked.knows(oid)) return openColumns(OPAQUE);
  const formats = masked.of(oid);
  const columnOf = (column: string, number: number, format: MaskedColumn['format'], type: number): Value =>
    plain({ relation: oid, number, name: `${object}.${column}`, format, type });
  if (relation.columns) {
    const sorted = [...relation.columns.values()].sort((a, b) => a.number - b.number);
    return materialised(
      columnsOf(
        sorted.map(({ name: column, number, type }) => {
          const format = formats?.get(number);
          return { name: column, value: format ? columnOf(column, number, format, type) : ROW };
        }),
      ),
    );
  }
  if (!system || formats) return openColumns(OPAQUE);
  const shown = SENSITIVE_COLUMNS.get(name) ?? [];
  if (schema !== 'pg_catalog' || shown.length === 0) return openColumns(ROW);
  const hidden = new Map(shown.map((column, at) => [column, columnOf(column, -1 - at, { kind: 'redact' }, 0)]));
  return { ...openColumns(union([...hidden.values(), ROW])), find: (column) => hidden.get(column) ?? ROW };
}

/** Lazily made parts, made: what is spread afterwards must hold values. */
function materialised(columns: Columns): Columns {
  return { list: columns.list, find: columns.find, whole: columns.whole, open: columns.open, stored: columns.stored };
}

/** Is anything in it masked? */
export const hasMasked = (columns: Columns): boolean => isMasked(columns.whole);
