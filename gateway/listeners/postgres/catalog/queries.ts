/** The catalogue's questions to the target, all to pg_catalog (the side connection's whole search path). */
import { REVEALING_FUNCTIONS } from './sensitive.ts';

const WATCHED = [
  'pg_namespace',
  'pg_class',
  'pg_attribute',
  'pg_attrdef',
  'pg_rewrite',
  'pg_proc',
  'pg_operator',
  'pg_type',
  'pg_range',
  'pg_cast',
  'pg_policy',
  'pg_trigger',
  'pg_inherits',
  'pg_constraint',
  'pg_extension',
  'pg_index',
  'pg_opclass',
  'pg_amop',
  'pg_amproc',
  'pg_statistic_ext',
  'pg_partitioned_table',
];

/**
 * One text that changes with anything a verdict may depend on. Counts and sums of xmin: a maximum would miss a
 * transaction that began earlier and commits later. An xmin becomes a number soonest as how much older it is than
 * transaction 3, the first there ever was; what `initdb` wrote has no age (2^31 - 1), and counts alone.
 */
export const VERSION_QUERY = `select concat_ws('/', current_user, ${WATCHED.map(
  (table) => `(select concat(count(*), '.', sum(nullif(age(xmin), 2147483647)::int8 - age('3'::xid))) from ${table})`,
).join(', ')})`;

/** Name → query; every row is an array of texts as PostgreSQL writes them, nulls kept. Oids below 16384 are initdb's. */
export const LOAD_QUERIES = {
  user: 'select current_user',
  schemas: `select oid, nspname, has_schema_privilege(oid, 'USAGE') from pg_namespace`,
  relations: `select concat_ws(' ', oid, relnamespace, relkind, relrowsecurity,
      relhastriggers and exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal), relname)
    from pg_class c where relkind in ('r', 'p', 'v', 'm', 'f', 'S') or relkind in ('i', 'I') and oid >= 16384`,
  indexes: `select concat_ws(' ', indexrelid, indrelid, indclass) from pg_index where indexrelid >= 16384`,
  /**
   * Keys of which no two rows have the same values, at any time and by the column's own `=`: of plain tables without
   * children (whose rows would not count), and of partitioned ones. `indkey` also has the columns that are only included.
   */
  uniqueKeys: `select i.indrelid, i.indkey::text, i.indnkeyatts from pg_index i join pg_class c on c.oid = i.indrelid
    where i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
      and i.indrelid >= 16384
      and (c.relkind = 'p' or c.relkind = 'r' and (not c.relhassubclass or not exists
        (select from pg_inherits where inhparent = c.oid)))
      and not i.indclass::oid[] && array(select oid from pg_opclass where not opcdefault or opcmethod <> 403)
      and (0 = all (i.indcollation::oid[]) or not exists (select from generate_subscripts(i.indcollation, 1) k
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k]
        where a.attcollation <> i.indcollation[k]))`,
  /** Types that an `=` of somebody's own compares. */
  ownEquals: `select unnest(array[oprleft, oprright]) from pg_operator where oprname = '=' and oid >= 16384`,
  /** Expressions that belong to a table and are simplified whenever a read of it is planned. */
  planned: `select indrelid, concat(indexprs, ' ', indpred) from pg_index
      where indexrelid >= 16384 and (indexprs is not null or indpred is not null)
    union all select conrelid, conbin::text from pg_constraint where contype = 'c' and conrelid >= 16384
    union all select stxrelid, stxexprs::text from pg_statistic_ext
    union all select partrelid, partexprs::text from pg_partitioned_table`,
  partitionKeys: 'select partrelid, partclass from pg_partitioned_table',
  operatorClasses: 'select oid, opcintype, opcdefault, opcfamily from pg_opclass',
  /** Operator families with members that are no part of PostgreSQL: operators, and functions that index scans call. */
  familyOperators: 'select amopfamily, amopopr from pg_amop where amopopr >= 16384',
  familyFunctions: 'select amprocfamily, amproc::oid from pg_amproc where amproc >= 16384',
  /** One row a relation or composite type: read by `columnsOf`. */
  columns: `select oid, array_to_json(array(
      select concat(attnum, case when attnotnull then '!' else ' ' end, atttypid, ' ', attname) from pg_attribute
      where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum))::text
    from pg_class c where relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')`,
  /** PostgreSQL's own views that functions show as well. */
  revealed: `select c.relname, c.oid, attnum, attname from pg_class c join pg_attribute on attrelid = c.oid
    where c.oid < 16384 and attnum > 0 and c.relname in (${[...new Set(REVEALING_FUNCTIONS.values())].map((view) => `'${view}'`).join(', ')})`,
  generated: `select adrelid, adbin, adnum, attgenerated from pg_attrdef
      join pg_attribute on attrelid = adrelid and attnum = adnum where attgenerated <> ''`,
  rules: `select ev_class, ev_type, ev_action from pg_rewrite where ev_class >= 16384 or ev_type <> '1'`,
  policies: 'select polrelid, polqual, polwithcheck from pg_policy',
  inherits: 'select inhrelid, inhparent from pg_inherits',
  foreignKeys: `select conrelid, confrelid, confupdtype, confdeltype from pg_constraint where contype = 'f'`,
  domainChecks: `select contypid, conbin from pg_constraint where contype = 'c' and contypid <> 0`,
  functions: `select concat_ws(' ', oid, pronamespace, prokind, provolatile, prolang, proretset, proname) from pg_proc`,
  ofExtensions: `select objid, extname from pg_depend d join pg_extension e on e.oid = d.refobjid
    where classid = 'pg_proc'::regclass and deptype = 'e' and objid >= 16384`,
  /** SQL functions that stored expressions call: text of the body, or its tree. */
  bodies: `select oid, prosrc, prosqlbody from pg_proc p where prolang = 14 and oid >= 16384 and exists (
      select from pg_depend where refclassid = 'pg_proc'::regclass and refobjid = p.oid and deptype = 'n')`,
  operators: `select concat_ws(' ', oid, oprnamespace, oprcode::oid, oprname) from pg_operator`,
  types: `select concat_ws(' ', oid, typnamespace, typtype, typbasetype, typelem, typrelid, typinput::oid, typoutput::oid,
    typname) from pg_type`,
  ranges: 'select rngtypid, rngsubtype, rngcanonical::oid, rngsubdiff::oid, rngsubopc, rngmultitypid from pg_range',
  casts: 'select castsource, casttarget, castfunc, castcontext from pg_cast where castfunc <> 0 and oid >= 16384',
} as const;

/** Asked first: with these the trees of views are read while the target works on the others. */
export const EARLY = ['functions', 'revealed', 'rules', 'operators', 'types'] as const;

/**
 * Queries of thousands of rows send each as one text, which costs both sides a fraction of many: so many fields, the last
 * of which may hold spaces and takes its place at `last`.
 */
export const PACKED: { readonly [name in keyof typeof LOAD_QUERIES]?: { fields: number; last: number } } = {
  relations: { fields: 6, last: 1 },
  indexes: { fields: 3, last: 2 },
  functions: { fields: 7, last: 1 },
  operators: { fields: 4, last: 1 },
  types: { fields: 9, last: 1 },
};

/** A row that was sent as one text. @throws RangeError when it has fewer fields than it should */
export function unpacked(text: string, { fields, last }: { fields: number; last: number }): string[] {
  const row: string[] = [];
  let from = 0;
  while (row.length < fields - 1) {
    const to = text.indexOf(' ', from);
    if (to < 0) throw new RangeError('a row of the catalogue is cut short');
    row.push(text.slice(from, to));
    from = to + 1;
  }
  row.splice(last, 0, text.slice(from));
  return row;
}

export type LoadedRows = { readonly [name in keyof typeof LOAD_QUERIES]: readonly (readonly string[])[] };
export type EarlyRows = Pick<LoadedRows, (typeof EARLY)[number]>;
