/** The catalogue's questions to the target, all to pg_catalog (the side connection's whole search path). */

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
 * transaction that began earlier and commits later.
 */
export const VERSION_QUERY = `select concat_ws('/', current_user, ${WATCHED.map(
  (table) => `(select concat(count(*), '.', sum(xmin::text::bigint)) from ${table})`,
).join(', ')})`;

/** Name → query; every row is an array of texts, nulls kept. Oids below 16384 are initdb's. */
export const LOAD_QUERIES = {
  user: 'select current_user',
  schemas: `select oid, nspname, has_schema_privilege(oid, 'USAGE') from pg_namespace`,
  relations: `select oid, relname, relnamespace, relkind, relrowsecurity,
      relhastriggers and exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
    from pg_class c where relkind in ('r', 'p', 'v', 'm', 'f', 'S') or relkind in ('i', 'I') and oid >= 16384`,
  indexes: 'select indexrelid, indrelid, indclass from pg_index where indexrelid >= 16384',
  /**
   * Keys of which no two rows have the same values, at any time and by the column's own `=`: of plain tables without
   * children (whose rows would not count), and of partitioned ones. `indkey` also has the columns that are only included.
   */
  uniqueKeys: `select i.indrelid, i.indkey::text, i.indnkeyatts from pg_index i join pg_class c on c.oid = i.indrelid
    where i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
      and i.indrelid >= 16384
      and (c.relkind = 'p' or c.relkind = 'r' and not exists (select from pg_inherits where inhparent = c.oid))
      and not exists (select from generate_subscripts(i.indclass, 1) k join pg_opclass o on o.oid = i.indclass[k]
        where not o.opcdefault or o.opcmethod <> 403)
      and not exists (select from generate_subscripts(i.indcollation, 1) k join pg_attribute a
          on a.attrelid = i.indrelid and a.attnum = i.indkey[k] where a.attcollation <> i.indcollation[k])`,
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
  columns: `select attrelid, json_agg(json_build_array(attname, attnum, attnotnull, atttypid::int8) order by attnum)::text
    from pg_attribute a where attnum > 0 and not attisdropped
      and exists (select from pg_class c where c.oid = a.attrelid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c'))
    group by attrelid`,
  generated: `select adrelid, adbin, adnum, attgenerated from pg_attrdef
      join pg_attribute on attrelid = adrelid and attnum = adnum where attgenerated <> ''`,
  rules: `select ev_class, ev_type, ev_action from pg_rewrite where ev_class >= 16384 or ev_type <> '1'`,
  policies: 'select polrelid, polqual, polwithcheck from pg_policy',
  inherits: 'select inhrelid, inhparent from pg_inherits',
  foreignKeys: `select conrelid, confrelid, confupdtype, confdeltype from pg_constraint where contype = 'f'`,
  domainChecks: `select contypid, conbin from pg_constraint where contype = 'c' and contypid <> 0`,
  functions: `select p.oid, proname, pronamespace, prokind, provolatile, extname, prolang, proretset
    from pg_proc p left join (pg_depend d join pg_extension e on e.oid = d.refobjid)
      on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e' and p.oid >= 16384`,
  /** SQL functions that stored expressions call: text of the body, or its tree. */
  bodies: `select oid, prosrc, prosqlbody from pg_proc p where prolang = 14 and oid >= 16384 and exists (
      select from pg_depend where refclassid = 'pg_proc'::regclass and refobjid = p.oid and deptype = 'n')`,
  operators: 'select oid, oprname, oprnamespace, oprcode::oid from pg_operator',
  types: `select t.oid, typname, typnamespace, typtype, typbasetype, typelem, typrelid, typinput::oid, typoutput::oid,
      rngsubtype, rngcanonical::oid, rngsubdiff::oid, rngsubopc, rngmultitypid
    from pg_type t left join pg_range r on r.rngtypid = t.oid`,
  casts: 'select castsource, casttarget, castfunc, castcontext from pg_cast where castfunc <> 0 and oid >= 16384',
} as const;

export type LoadedRows = { readonly [name in keyof typeof LOAD_QUERIES]: readonly (readonly string[])[] };
