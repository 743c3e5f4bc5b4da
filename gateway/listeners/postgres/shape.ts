/** When two statements are alike enough for one approval: parse tree and catalogue to a canonical text. Pure. */
import type { Parameter } from '../../operation.ts';
import type { Relation, Snapshot } from './catalog/snapshot.ts';
import type { ParsedStatement, Tree } from './inspect/parser.ts';
import { isTree, listOf, nodeOf, stringOf, stringsOf, textOf, treeOf, unwrap } from './inspect/tree.ts';

export type ShapeContext = {
  readonly snapshot: Snapshot;
  /** Empty: nobody knows it, and with it what the names stand for. */
  readonly searchPath: readonly string[];
};

/** What is bound to `$1`, `$2` … , and the types (OIDs) their client declared; 0 or missing: left to the server. */
export type ShapeBound = { readonly parameters: readonly Parameter[]; readonly types: readonly number[] };

/** Where something stands in its text; what it says is elsewhere. */
const PLACES = new Set([
  'location',
  'stmt_location',
  'stmt_len',
  'list_start',
  'list_end',
  'rexpr_list_start',
  'rexpr_list_end',
  'name_location',
  'arg_location',
]);

/** Types of which one value is equal to one value of the key at most: int2, int4, int8, text, varchar, bpchar, uuid. */
const KEY_OIDS: ReadonlySet<number> = new Set([21, 23, 20, 25, 1043, 1042, 2950]);
const KEY_TYPES: ReadonlySet<string> = new Set(['int2', 'int4', 'int8', 'text', 'varchar', 'bpchar', 'uuid']);
/** Types whose values are data wherever they are stored: none is code, none names anything. */
const VALUE_TYPES: ReadonlySet<string> = new Set(
  [...KEY_TYPES].concat(
    'bool float4 float8 numeric date time timetz timestamp timestamptz interval json jsonb bytea'.split(' '),
  ),
);
const VALUE_OIDS: ReadonlySet<number> = new Set([
  ...KEY_OIDS,
  ...[16, 700, 701, 1700, 1082, 1083, 1266, 1114, 1184, 1186, 114, 3802, 17],
]);

/**
 * The same text for two statements means: the same but for literals compared by `=` with a whole unique key in a
 * condition that every row must meet, and for values inserted. Everything else is in it as it is. Undefined where nobody
 * can be sure.
 */
export function shapeOf(
  parsed: readonly ParsedStatement[],
  bound: ShapeBound,
  context: ShapeContext,
): string | undefined {
  if (parsed.length === 0 || context.searchPath.length === 0) return undefined;
  try {
    return JSON.stringify([
      'shape/1',
      bound.types,
      ...parsed.map(({ stmt }) => new Shape(stmt, bound, context).print()),
    ]);
  } catch (error) {
    if (error instanceof Unsure || error instanceof RangeError) return undefined; // nested too deep to walk
    throw error;
  }
}

class Unsure extends Error {}

class Shape {
  readonly #stmt: Tree;
  readonly #bound: ShapeBound;
  readonly #context: ShapeContext;
  /** Nodes that may be another value, and what is said of them instead. */
  readonly #free = new Map<unknown, string>();

  constructor(stmt: Tree, bound: ShapeBound, context: ShapeContext) {
    this.#stmt = stmt;
    this.#bound = bound;
    this.#context = context;
  }

  print(): unknown {
    const found = unwrap(this.#stmt);
    const relation = found && this.#mark(found.type, found.body);
    return [relation?.oid ?? 0, this.#print(this.#stmt)];
  }

  /** Mark what is free; answers the table that decided it. */
  #mark(type: string, body: Tree): Relation | undefined {
    if (body.withClause !== undefined) return undefined; // other statements within it: each as it is
    switch (type) {
      case 'UpdateStmt':
        return listOf(body.fromClause).length === 0 ? this.#keyed(body.relation, body.whereClause) : undefined;
      case 'DeleteStmt':
        return listOf(body.usingClause).length === 0 ? this.#keyed(body.relation, body.whereClause) : undefined;
      case 'SelectStmt': {
        const [from, ...more] = listOf(body.fromClause);
        const plain = more.length === 0 && (body.op ?? 'SETOP_NONE') === 'SETOP_NONE';
        const table = nodeOf(from, 'RangeVar');
        return plain && table ? this.#keyed(table, body.whereClause) : undefined;
      }
      case 'InsertStmt':
        return this.#inserted(body);
      default:
        return undefined;
    }
  }

  #keyed(range: unknown, where: unknown): Relation | undefined {
    const target = treeOf(range);
    const relation = this.#table(target);
    const renamed = listOf(treeOf(target.alias).colnames).length > 0;
    if (!relation || renamed || where === undefined) return undefined;
    const name = textOf(treeOf(target.alias).aliasname) || textOf(target.relname);
    const equals = new Map<number, { node: unknown; said: string }[]>();
    for (const condition of conditions(where)) {
      const found = this.#equality(condition, name, relation);
      if (found) equals.set(found.column, [...(equals.get(found.column) ?? []), found]);
    }
    const keys = relation.unique.filter((key) => key.length > 0 && key.every((column) => equals.has(column)));
    for (const column of keys.flat()) for (const { node, said } of equals.get(column) ?? []) this.#free.set(node, said);
    return keys.length > 0 ? relation : undefined;
  }

  /** `column = value` or `value = column`, of a type for which that says: one row at most. */
  #equality(
    node: unknown,
    target: string,
    relation: Relation,
  ): { readonly column: number; readonly node: unknown; readonly said: string } | undefined {
    const body = nodeOf(node, 'A_Expr');
    const operator = listOf(body?.name);
    if (body?.kind !== 'AEXPR_OP' || operator.length !== 1 || stringOf(operator[0]) !== '=') return undefined;
    const sides = [
      [body.lexpr, body.rexpr],
      [body.rexpr, body.lexpr],
    ];
    for (const [reference, value] of sides) {
      const fields = listOf(nodeOf(reference, 'ColumnRef')?.fields);
      const names = stringsOf(fields);
      if (names.length !== fields.length || names.length === 0 || names.length > 2) continue;
      if (names.length === 2 && names[0] !== target) continue;
      const column = relation.columns?.get(names.at(-1) ?? '');
      const said = column && this.#value(value, KEY_TYPES, KEY_OIDS);
      if (!column || said === undefined) continue;
      if (!KEY_OIDS.has(column.type) || this.#context.snapshot.ownEquals.has(column.type)) return undefined;
      return { column: column.number, node: value, said };
    }
    return undefined;
  }

  #inserted(body: Tree): Relation | undefined {
    const relation = this.#table(treeOf(body.relation));
    const query = nodeOf(body.selectStmt, 'SelectStmt');
    const rows = listOf(query?.valuesLists);
    if (!relation || relation.rules.size > 0 || !query || rows.length === 0) return undefined;
    const besides = Object.keys(query).filter((key) => !['valuesLists', 'limitOption', 'op'].includes(key));
    if (besides.length > 0 || (query.op ?? 'SETOP_NONE') !== 'SETOP_NONE') return undefined;
    for (const cell of rows.flatMap((row) => listOf(nodeOf(row, 'List')?.items))) {
      const said = this.#value(cell, VALUE_TYPES, VALUE_OIDS);
      if (said !== undefined) this.#free.set(cell, said);
    }
    return relation;
  }

  /** The one stored table that a name stands for, reached by nothing that rewrites what is asked of it. */
  #table(range: Tree): Relation | undefined {
    const name = textOf(range.relname);
    const schema = textOf(range.schemaname) || undefined;
    if (textOf(range.catalogname) !== '') return undefined;
    const [relation, ...more] = this.#context.snapshot.relations(name, schema, this.#context.searchPath);
    return relation?.kind === 'table' && more.length === 0 && relation.rules.size === 0 ? relation : undefined;
  }

  /** What is said of a value that may be another of its kind; undefined where it is more than a value. */
  #value(node: unknown, types: ReadonlySet<string>, oids: ReadonlySet<number>): string | undefined {
    const found = unwrap(node);
    switch (found?.type) {
      case 'A_Const':
        return kindOf(found.body);
      case 'ParamRef': {
        const number = Number(found.body.number ?? 0);
        const declared = this.#bound.types[number - 1] ?? 0;
        const known = number >= 1 && number <= this.#bound.parameters.length;
        return known && (declared === 0 || oids.has(declared)) ? `$${number}` : undefined;
      }
      case 'TypeCast': {
        const type = this.#builtin(treeOf(found.body.typeName));
        if (type === undefined || !types.has(type)) return undefined;
        const inner = this.#value(found.body.arg, types, oids);
        return inner === undefined ? undefined : `${inner}::${JSON.stringify(withoutPlaces(found.body.typeName))}`;
      }
      default:
        return undefined;
    }
  }

  /** The name of a type of PostgreSQL's own, no array, that no other schema can stand in for. */
  #builtin(typeName: Tree): string | undefined {
    const names = stringsOf(typeName.names);
    const name = names.at(-1) ?? '';
    if (typeName.setof || typeName.pct_type || listOf(typeName.arrayBounds).length > 0) return undefined;
    if (names.length === 2) return names[0] === 'pg_catalog' ? name : undefined;
    const all = this.#context.snapshot.types(name);
    return names.length === 1 && all.length > 0 && all.every(({ schema }) => schema === 'pg_catalog')
      ? name
      : undefined;
  }

  #print(node: unknown): unknown {
    if (Array.isArray(node)) return node.map((one) => this.#print(one));
    if (!isTree(node)) return node;
    const free = this.#free.get(node);
    if (free !== undefined) return { '?': free };
    const parameter = nodeOf(node, 'ParamRef');
    if (parameter) return this.#parameter(Number(parameter.number ?? 0));
    const printed: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(node)) if (!PLACES.has(key)) printed[key] = this.#print(value);
    return printed;
  }

  /** Where a parameter is more than a value, what is bound to it is part of the shape. */
  #parameter(number: number): unknown {
    const bound = this.#bound.parameters[number - 1];
    if (!bound) throw new Unsure();
    const { format, value } = bound;
    return { $: number, format, value: value === null ? null : Buffer.from(value).toString('base64') };
  }
}

/** What every row has to meet: the parts of a conjunction, as deep as nothing but AND goes. */
function conditions(where: unknown): unknown[] {
  const body = nodeOf(where, 'BoolExpr');
  return body?.boolop === 'AND_EXPR' ? listOf(body.args).flatMap(conditions) : [where];
}

function withoutPlaces(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutPlaces);
  if (!isTree(node)) return node;
  return Object.fromEntries(
    Object.entries(node).flatMap(([key, value]) => (PLACES.has(key) ? [] : [[key, withoutPlaces(value)]])),
  );
}

/** The kind of a literal; whole numbers of any length are of one kind. */
function kindOf(body: Tree): string | undefined {
  if (body.isnull) return 'null';
  if (body.ival !== undefined) return 'whole';
  if (body.fval !== undefined) return /^-?\d{1,19}$/.test(textOf(treeOf(body.fval).fval)) ? 'whole' : 'number';
  if (body.sval !== undefined) return 'text';
  return body.boolval === undefined ? undefined : 'boolean';
}
