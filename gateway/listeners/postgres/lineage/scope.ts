/** What names mean at one place of a query: FROM items, the queries around it, common table expressions. Pure. */
import { anyOf, type Columns } from './columns.ts';
import { either, guessed, ROW, union, type Value } from './value.ts';

/** Something with an alias. */
export type Item = {
  readonly alias: string;
  /** It can be named with a schema in front: a relation under its own name. */
  readonly qualifies: boolean;
  readonly columns: Columns;
};

/** A common table expression's columns; asked for when it is used. */
export type Ctes = { readonly of: ReadonlyMap<string, () => Columns>; readonly outer: Ctes | undefined };

export type Scope = {
  readonly items: readonly Item[];
  /** What unqualified names and `*` see, in order: a USING has merged columns here. */
  readonly groups: readonly Columns[];
  readonly outer: Scope | undefined;
  readonly ctes: Ctes | undefined;
  /** Named windows: what they partition and sort by. */
  readonly windows: ReadonlyMap<string, Value>;
};

const NO_WINDOWS: ReadonlyMap<string, Value> = new Map();
export const EMPTY: Scope = Object.freeze({
  items: [],
  groups: [],
  outer: undefined,
  ctes: undefined,
  windows: NO_WINDOWS,
});

/** A query inside another: it sees what is around it. */
export const inside = (outer: Scope): Scope => ({
  items: [],
  groups: [],
  outer: outer.items.length > 0 || outer.groups.length > 0 ? outer : outer.outer,
  ctes: outer.ctes,
  windows: NO_WINDOWS,
});

export const withItems = (scope: Scope, from: Pick<Scope, 'items' | 'groups'>): Scope => ({
  ...scope,
  items: [...scope.items, ...from.items],
  groups: [...scope.groups, ...from.groups],
});

export function cteOf(scope: Scope, name: string): Columns | undefined {
  for (let ctes = scope.ctes; ctes; ctes = ctes.outer) {
    const found = ctes.of.get(name);
    if (found) return found();
  }
  return undefined;
}

/** `whole`: the name stands for a row of this. `call`: it may be a function of a row, in disguise. */
export type Reference = { readonly value: Value; readonly whole?: Columns; readonly call?: string };

const SYSTEM_COLUMNS = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);

/** @param names a column reference's parts, database and schema first */
export function resolve(names: readonly string[], scope: Scope): Reference {
  const name = names.at(-1) ?? '';
  if (names.length === 1) return unqualified(name, scope);
  const owner = ownerOf(names.slice(0, -1), scope);
  if (!owner) return { value: guessed(unknownIn(scope)) };
  const value = fieldOf(owner, name);
  return value ? { value } : { value: owner.whole, call: name };
}

/** A column of it, its own or one that every table has. */
export const fieldOf = (columns: Columns, name: string): Value | undefined =>
  columns.find(name) ?? (columns.stored && SYSTEM_COLUMNS.has(name) ? ROW : undefined);

function unqualified(name: string, scope: Scope): Reference {
  const maybe: Value[] = [];
  for (let level: Scope | undefined = scope; level; level = level.outer) {
    const found: Value[] = [];
    for (const group of level.groups) {
      const value = group.find(name);
      const certain = !group.open || group.list?.some((column) => column.name === name);
      if (value) (certain ? found : maybe).push(value);
    }
    if (found.length > 0) return { value: either([...found, ...maybe]) };
    // A group of unknown columns may have it, or one further out; what is nearer does not hide what is not known.
  }
  const whole = ownerOf([name], scope);
  if (whole) return maybe.length > 0 ? { value: union([whole.whole, ...maybe]) } : { value: whole.whole, whole };
  if (maybe.length > 0) return { value: either(maybe) };
  return SYSTEM_COLUMNS.has(name) ? { value: ROW } : { value: guessed(unknownIn(scope)) };
}

/** The FROM item of this name, nearest first; several of one level are one of them. */
export function ownerOf(names: readonly string[], scope: Scope): Columns | undefined {
  const alias = names.at(-1);
  for (let level: Scope | undefined = scope; level; level = level.outer) {
    const found = level.items.filter((item) => item.alias === alias && (names.length === 1 || item.qualifies));
    const [first] = found;
    if (!first) continue;
    if (found.length === 1) return first.columns;
    return anyOf(found.map((item) => item.columns));
  }
  return undefined;
}

/** A name nobody knows: whatever is in sight. */
function unknownIn(scope: Scope): Value {
  const all: Value[] = [];
  for (let level: Scope | undefined = scope; level; level = level.outer) {
    for (const item of level.items) all.push(item.columns.whole);
    for (const group of level.groups) all.push(group.whole);
  }
  return union(all);
}
