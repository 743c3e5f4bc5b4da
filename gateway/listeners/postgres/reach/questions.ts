/** What is asked of the target's catalogue about a write's reach. They lock no relation but where sizes are asked for. */

/** Rows as they were counted, negative where nobody did: up to release 13 such a one has none in no pages, as has one counted empty. */
const COUNTED = `case when c.reltuples = 0 and c.relpages <= 0 then -1 else c.reltuples end::float8`;

/** The named relations, each with what is below it by partitioning and inheritance. $1 schemas, $2 names. */
export const RELATIONS = `with recursive named as (
    select c.oid from unnest($1::text[], $2::text[]) as o (schema, name)
      join pg_namespace n on n.nspname = o.schema
      join pg_class c on c.relnamespace = n.oid and c.relname = o.name
  ), tree (root, oid) as (
    select oid, oid from named union select root, inhrelid from tree join pg_inherits on inhparent = tree.oid
  )
  select t.root::int8 as root, t.oid::int8 as oid, n.nspname as schema, c.relname as name, c.relkind::text as kind,
    ${COUNTED} as rows, c.relpages::float8 * current_setting('block_size')::int as bytes
  from tree t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace limit 5000`;

/** One of these that nobody has counted: the planner invents its rows. $1 schemas, $2 names. */
export const UNCOUNTED = `select n.nspname as schema, c.relname as name
  from unnest($1::text[], $2::text[]) as o (schema, name) join pg_namespace n on n.nspname = o.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = o.name
  where ${COUNTED} < 0 order by 1, 2 limit 1`;

/**
 * One default of these, or generated column, that a planner may run code of to insert or update: it evaluates what is not
 * volatile, and looks into SQL. Of PostgreSQL's own functions no dependency is kept. $1 schemas, $2 names.
 */
export const RUNNING_DEFAULTS = `select 1 as one
  from unnest($1::text[], $2::text[]) as o (schema, name) join pg_namespace n on n.nspname = o.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = o.name
    join pg_attrdef a on a.adrelid = c.oid
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
    left join pg_operator op on d.refclassid = 'pg_operator'::regclass and op.oid = d.refobjid
    join pg_proc p on p.oid = op.oprcode or (d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid)
    join pg_language l on l.oid = p.prolang
  where p.provolatile <> 'v' or l.lanname = 'sql' limit 1`;

/** What the server says they take up, indexes and long values included; waits for who has one locked. $1 oids. */
export const SIZES = `select oid::int8 as oid, pg_total_relation_size(oid)::float8 as bytes
  from unnest($1::int8[]::oid[]) as t (oid)`;

const MAX_DEPTH = 8;

/**
 * Where foreign keys carry a write on to, and which of them stop it. $1 oids, $2 what happens to each: delete, update,
 * truncate. An update goes on only over the columns it was seen to change; of the first nobody knows them.
 */
export const CASCADES = `with recursive reached (oid, event, columns, depth) as (
    select * from (select unnest($1::int8[])::oid, unnest($2::text[]), null::int2[], 0) as start
    union
    select k.conrelid, case when r.event = 'truncate' then 'truncate'
        when r.event = 'delete' and k.confdeltype = 'c' then 'delete' else 'update' end,
      case when r.event = 'truncate' or (r.event = 'delete' and k.confdeltype = 'c') then null else k.conkey end,
      r.depth + 1
    from reached r join pg_constraint k on k.contype = 'f' and k.confrelid = r.oid
    where r.depth < ${MAX_DEPTH} and case r.event
      when 'truncate' then true
      when 'delete' then k.confdeltype in ('c', 'n', 'd')
      else k.confupdtype in ('c', 'n', 'd') and (r.columns is null or r.columns && k.confkey) end
  ), links as (
    select distinct r.event as cause, r.oid as of, k.conrelid as oid, min(r.depth) over (partition by k.oid, r.event) as depth,
      case r.event when 'delete' then k.confdeltype when 'truncate' then 'c' else k.confupdtype end::text as action
    from reached r join pg_constraint k on k.contype = 'f' and k.confrelid = r.oid
    where r.event <> 'update' or r.columns is null or r.columns && k.confkey
  )
  select l.cause, l.of::int8 as of, l.oid::int8 as oid, l.depth, l.action, n.nspname as schema, c.relname as name,
    ${COUNTED} as rows, c.relkind::text as kind, pn.nspname as of_schema, p.relname as of_name
  from links l join pg_class c on c.oid = l.oid join pg_namespace n on n.oid = c.relnamespace
    join pg_class p on p.oid = l.of join pg_namespace pn on pn.oid = p.relnamespace
  where not c.relispartition and not p.relispartition
  order by l.depth, n.nspname, c.relname limit 200`;

/** Triggers and rules that run for what happens to these relations. $1 oids, $2 what happens to each. */
export const TRIGGERS = `with touched as (select unnest($1::int8[])::oid as oid, unnest($2::text[]) as event)
  select distinct n.nspname as schema, c.relname as name, t.tgname as trigger, fn.nspname as function_schema, f.proname as function
  from touched e join pg_trigger t on t.tgrelid = e.oid and not t.tgisinternal and t.tgenabled in ('O', 'A')
      and t.tgtype & case e.event when 'insert' then 4 when 'delete' then 8 when 'update' then 16 when 'truncate' then 32 else 0 end <> 0
    join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    join pg_proc f on f.oid = t.tgfoid join pg_namespace fn on fn.oid = f.pronamespace
  where not c.relispartition
  order by 1, 2, 3 limit 100`;

export const RULES = `with touched as (select unnest($1::int8[])::oid as oid, unnest($2::text[]) as event)
  select distinct n.nspname as schema, c.relname as name, r.rulename as rule
  from touched e join pg_rewrite r on r.ev_class = e.oid and r.rulename <> '_RETURN' and r.ev_enabled <> 'D'
      and r.ev_type = case e.event when 'update' then '2' when 'insert' then '3' when 'delete' then '4' end
    join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
  order by 1, 2, 3 limit 100`;

/** Views that are made of these relations, and views made of those. $1 oids. */
export const VIEWS = `with recursive made (oid) as (
    select unnest($1::int8[])::oid
    union
    select r.ev_class from made join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = made.oid
      and d.classid = 'pg_rewrite'::regclass join pg_rewrite r on r.oid = d.objid
  )
  select n.nspname as schema, c.relname as name from made join pg_class c on c.oid = made.oid
    join pg_namespace n on n.oid = c.relnamespace
  where not made.oid::int8 = any ($1::int8[]) order by 1, 2 limit 100`;

/** How long its transaction has been open. No row where a pooler stands in between. $1 process. */
export const AGE = `select extract(epoch from clock_timestamp() - xact_start)::float8 as age from pg_stat_activity
  where pid = $1 and datname = current_database() and usename = current_user and xact_start is not null`;

/** What it has locked besides for reading. $1 process. */
export const LOCKS = `select distinct l.mode, n.nspname as schema, c.relname as name from pg_locks l
    join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
  where l.pid = $1 and l.granted and l.locktype = 'relation' and l.mode <> 'AccessShareLock'
    and l.database = (select oid from pg_database where datname = current_database())
    and c.relkind in ('r', 'p', 'm', 'f', 'v') and n.nspname not in ('pg_catalog', 'pg_toast')
  order by 2, 3, 1 limit 50`;

/** How many sessions wait for it. $1 process. */
export const BLOCKED = `select count(distinct pid)::int as blocked from pg_locks
  where not granted and $1::int = any (pg_blocking_pids(pid))`;
