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
      exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
    from pg_class c where relkind in ('r', 'p', 'v', 'm', 'f', 'S') or relkind in ('i', 'I') and oid >= 16384`,
  indexes: 'select indexrelid, indrelid from pg_index where indexrelid >= 16384',
  columns: `select attrelid, attname, attnotnull, atttypid from pg_attribute a
    where attnum > 0 and not attisdropped and attrelid >= 16384
      and exists (select from pg_class c where c.oid = a.attrelid and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c'))`,
  generated: `select adrelid, adbin from pg_attrdef join pg_attribute on attrelid = adrelid and attnum = adnum
    where attgenerated = 'v'`,
  rules: `select ev_class, ev_type, ev_action from pg_rewrite where ev_class >= 16384 or ev_type <> '1'`,
  policies: 'select polrelid, polqual, polwithcheck from pg_policy',
  inherits: 'select inhrelid, inhparent from pg_inherits',
  foreignKeys: `select conrelid, confrelid, confupdtype, confdeltype from pg_constraint where contype = 'f'`,
  domainChecks: `select contypid, conbin from pg_constraint where contype = 'c' and contypid <> 0`,
  functions: `select p.oid, proname, pronamespace, prokind, provolatile, extname
    from pg_proc p left join (pg_depend d join pg_extension e on e.oid = d.refobjid)
      on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e' and p.oid >= 16384`,
  operators: 'select oid, oprname, oprnamespace, oprcode::oid from pg_operator',
  types: `select t.oid, typname, typnamespace, typtype, typbasetype, typelem, typrelid, typinput::oid, typoutput::oid,
      rngsubtype, rngcanonical::oid, rngsubdiff::oid
    from pg_type t left join pg_range r on r.rngtypid = t.oid`,
  casts: 'select castsource, casttarget, castfunc, castcontext from pg_cast where castfunc >= 16384',
} as const;

export type LoadedRows = { readonly [name in keyof typeof LOAD_QUERIES]: readonly (readonly string[])[] };
