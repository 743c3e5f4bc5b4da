/** What tools ask the catalogue: drivers and ORMs as they start, pgjdbc, asyncpg, DBeaver, pgAdmin, Metabase. */
import { type Ordinary, work } from './types.ts';

export const INTROSPECTION: readonly Ordinary[] = work([
  [
    'tables',
    "select table_schema, table_name, table_type from information_schema.tables where table_schema = 'public' order by 1, 2",
  ],
  [
    'columns',
    "select table_name, column_name, data_type, is_nullable, ordinal_position from information_schema.columns where table_schema = 'public' order by 1, 5",
  ],
  [
    'columns of a table',
    "select column_name, column_default, udt_name from information_schema.columns where table_name = 'users' and table_schema = 'public' order by ordinal_position",
  ],
  [
    'constraints',
    "select constraint_name, constraint_type from information_schema.table_constraints where table_schema = 'public' and table_name = 'strict' order by 1",
  ],
  [
    'key columns',
    "select kcu.table_name, kcu.column_name from information_schema.key_column_usage kcu where kcu.table_schema = 'public' order by 1, 2",
  ],
  [
    'referential',
    'select constraint_name, update_rule, delete_rule from information_schema.referential_constraints order by 1',
  ],
  [
    'schemata',
    "select schema_name from information_schema.schemata where schema_name in ('public', 'app_s') order by 1",
  ],
  ['views', "select table_name from information_schema.views where table_schema = 'public' order by 1"],
  ['sequences', "select sequence_name from information_schema.sequences where sequence_schema = 'public' order by 1"],
  [
    'routines',
    "select routine_name from information_schema.routines where specific_schema = 'public' and routine_name like 'f\\_%' order by 1",
  ],
  ['pg_tables', "select tablename from pg_tables where schemaname = 'public' order by 1"],
  ['pg_indexes', "select indexname, indexdef from pg_indexes where schemaname = 'public' order by 1"],
  ['pg_views names', "select viewname from pg_views where schemaname = 'public' order by 1"],
  ['pg_matviews', "select matviewname from pg_matviews where schemaname = 'public'"],
  ['databases', "select datname from pg_database where datname = 'lab'"],
  [
    'psql \\l',
    `SELECT d.datname as "Name", pg_catalog.pg_get_userbyid(d.datdba) as "Owner", pg_catalog.pg_encoding_to_char(d.encoding) as "Encoding", d.datcollate as "Collate" FROM pg_catalog.pg_database d ORDER BY 1`,
  ],
  [
    'psql \\dt',
    `SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'p' THEN 'partitioned table' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2`,
  ],
  [
    'psql \\d step 1',
    `SELECT c.oid > 0, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(users)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3`,
  ],
  [
    'psql \\d step 2',
    `SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasrules, c.relhastriggers, c.relrowsecurity, c.relforcerowsecurity, false AS relhasoids, c.relispartition, '', c.reltablespace, CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, c.relpersistence, c.relreplident, am.amname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid) LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid) WHERE c.oid = 'users'::regclass`,
  ],
  [
    'psql \\d step 3',
    `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation, a.attidentity, a.attgenerated FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'gen'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
  ],
  [
    'psql \\d indexes',
    `SELECT c2.relname, i.indisprimary, i.indisunique, i.indisclustered, i.indisvalid, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), pg_catalog.pg_get_constraintdef(con.oid, true), contype FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i LEFT JOIN pg_catalog.pg_constraint con ON (conrelid = i.indrelid AND conindid = i.indexrelid AND contype IN ('p','u','x')) WHERE c.oid = 'strict'::regclass AND c.oid = i.indrelid AND i.indexrelid = c2.oid ORDER BY i.indisprimary DESC, c2.relname`,
  ],
  [
    'psql \\du',
    `SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolconnlimit, r.rolvaliduntil FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1`,
  ],
  [
    'psql \\dn',
    `SELECT n.nspname AS "Name", pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner" FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1`,
  ],
  [
    'psql \\df',
    `SELECT n.nspname as "Schema", p.proname as "Name", pg_catalog.pg_get_function_result(p.oid) as "Result", pg_catalog.pg_get_function_arguments(p.oid) as "Arguments" FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' AND p.proname like 'f\\_%' ORDER BY 1, 2, 4`,
  ],
  [
    'pg type parsers',
    "SELECT oid, typarray, typname FROM pg_type WHERE typname IN ('hstore', 'citext') ORDER BY typname",
  ],
  [
    'Npgsql types',
    `SELECT ns.nspname, t.typname, t.typtype, t.typnotnull FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace ns ON ns.oid = t.typnamespace WHERE t.typtype IN ('b', 'e', 'd', 'r') AND ns.nspname = 'public' ORDER BY 1, 2`,
  ],
  [
    'Npgsql enums',
    'SELECT pg_type.typname, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid ORDER BY 1, enumsortorder',
  ],
  [
    'asyncpg types',
    `SELECT t.oid > 0, ns.nspname AS ns, t.typname AS name, t.typtype AS kind, (CASE WHEN t.typtype = 'd' THEN (WITH RECURSIVE typebases(oid, depth) AS (SELECT t2.typbasetype AS oid, 0 AS depth FROM pg_type t2 WHERE t2.oid = t.oid UNION ALL SELECT t2.typbasetype AS oid, tb.depth + 1 AS depth FROM pg_type t2, typebases tb WHERE tb.oid = t2.oid AND t2.typbasetype != 0) SELECT oid FROM typebases ORDER BY depth DESC LIMIT 1) ELSE NULL END) AS basetype, t.typelem AS elemtype FROM pg_catalog.pg_type AS t INNER JOIN pg_catalog.pg_namespace ns ON (ns.oid = t.typnamespace) WHERE ns.nspname = 'public' ORDER BY 3`,
  ],
  [
    'pgjdbc getTables',
    `SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema' WHEN true THEN 'SYSTEM' WHEN false THEN CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY TABLE_TYPE, TABLE_SCHEM, TABLE_NAME`,
  ],
  [
    'pgjdbc getColumns',
    `SELECT * FROM (SELECT n.nspname, c.relname, a.attname, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull, a.atttypmod, a.attlen, t.typtypmod, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity, nullif(a.attgenerated, '') as attgenerated, pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc, dsc.description, t.typbasetype, t.typtype FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) JOIN pg_catalog.pg_attribute a ON (a.attrelid = c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum) LEFT JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid) LEFT JOIN pg_catalog.pg_class dc ON (dc.oid = dsc.classoid AND dc.relname = 'pg_class') LEFT JOIN pg_catalog.pg_namespace dn ON (dc.relnamespace = dn.oid AND dn.nspname = 'pg_catalog') WHERE c.relkind in ('r', 'p', 'v', 'f', 'm') and a.attnum > 0 AND NOT a.attisdropped AND c.relname LIKE 'users') c WHERE true ORDER BY nspname, c.relname, attnum`,
  ],
  [
    'pgjdbc getPrimaryKeys',
    `SELECT result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM (SELECT n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME, (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME, information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE true AND ct.relname = 'users' AND i.indisprimary) result where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq`,
  ],
  [
    'pgjdbc getImportedKeys',
    `SELECT con.conname, pn.nspname, pkc.relname, con.confupdtype, con.confdeltype FROM pg_catalog.pg_constraint con JOIN pg_catalog.pg_class pkc ON pkc.oid = con.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = pkc.relnamespace WHERE con.contype = 'f' ORDER BY 1`,
  ],
  [
    'Rails columns',
    `SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid > 0, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment, attidentity AS identity, attgenerated as attgenerated FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '"users"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
  ],
  [
    'Rails primary key',
    `SELECT a.attname FROM (SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx FROM pg_index WHERE indrelid = '"users"'::regclass AND indisprimary) i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.idx] ORDER BY i.idx`,
  ],
  [
    'Rails types',
    `SELECT t.typname, t.typdelim, t.typtype FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid WHERE t.typname IN ('int2', 'int4', 'text', 'jsonb', 'hstore') ORDER BY 1`,
  ],
  [
    'Rails tables',
    `SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r','p') ORDER BY 1`,
  ],
  [
    'Rails indexes',
    `SELECT distinct i.relname, d.indisunique, d.indkey::text, pg_get_indexdef(d.indexrelid), pg_catalog.obj_description(i.oid, 'pg_class') AS comment FROM pg_class t INNER JOIN pg_index d ON t.oid = d.indrelid INNER JOIN pg_class i ON d.indexrelid = i.oid LEFT JOIN pg_namespace n ON n.oid = t.relnamespace WHERE i.relkind IN ('i', 'I') AND d.indisprimary = 'f' AND t.relname = 'strict' AND n.nspname = ANY (current_schemas(false)) ORDER BY i.relname`,
  ],
  [
    'Django tables',
    `SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid) AND n.nspname = 'public' ORDER BY 1`,
  ],
  [
    'Django constraints',
    `SELECT c.conname, array(SELECT attname FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx) JOIN pg_attribute AS ca ON cols.colid = ca.attnum WHERE ca.attrelid = c.conrelid ORDER BY cols.arridx), c.contype, (SELECT fkc.relname || '.' || fka.attname FROM pg_attribute AS fka JOIN pg_class AS fkc ON fka.attrelid = fkc.oid WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]), cl.reloptions FROM pg_constraint AS c JOIN pg_class AS cl ON c.conrelid = cl.oid WHERE cl.relname = 'refers' AND pg_catalog.pg_table_is_visible(cl.oid) ORDER BY 1`,
  ],
  ['SQLAlchemy start', "select pg_catalog.version() like '%', current_schema()"],
  ['SQLAlchemy transaction isolation', 'show transaction isolation level'],
  ['SQLAlchemy strings', 'show standard_conforming_strings'],
  [
    'SQLAlchemy has table',
    `SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relname = 'users' AND pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != 'pg_catalog'`,
  ],
  ['SQLAlchemy hstore', "SELECT typname FROM pg_type WHERE typname = 'hstore'"],
  ['Prisma version', 'SELECT version() IS NOT NULL'],
  [
    'Prisma namespaces',
    `SELECT namespace.nspname as namespace_name FROM pg_namespace as namespace WHERE namespace.nspname = ANY (array['public', 'app_s']) ORDER BY namespace_name`,
  ],
  [
    'Prisma tables',
    `SELECT tbl.relname AS table_name, namespace.nspname as namespace, (tbl.relhassubclass and tbl.relkind = 'p') as is_partition, tbl.relrowsecurity as has_row_level_security FROM pg_class AS tbl INNER JOIN pg_namespace AS namespace ON namespace.oid = tbl.relnamespace WHERE (tbl.relkind = 'r' AND tbl.relispartition = 'f' OR tbl.relkind = 'p') AND namespace.nspname = 'public' ORDER BY namespace, table_name`,
  ],
  [
    'Prisma columns',
    `SELECT info.table_name, info.column_name, format_type(att.atttypid, att.atttypmod) as formatted_type, info.numeric_precision, info.is_nullable, pg_get_expr(attdef.adbin, attdef.adrelid) AS column_default FROM information_schema.columns info JOIN pg_attribute att ON att.attname = info.column_name JOIN (SELECT pg_class.oid, relname, pg_namespace.nspname as namespace FROM pg_class JOIN pg_namespace on pg_namespace.oid = pg_class.relnamespace AND reltype > 0) as oid on oid.oid = att.attrelid AND relname = info.table_name AND namespace = info.table_schema LEFT JOIN pg_attrdef attdef ON attdef.adrelid = att.attrelid AND attdef.adnum = att.attnum AND table_schema = namespace WHERE table_schema = 'public' AND info.table_name = 'users' ORDER BY namespace, table_name, ordinal_position`,
  ],
  [
    'DBeaver schemas',
    `SELECT n.nspname, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass WHERE n.nspname = 'public' ORDER BY nspname`,
  ],
  [
    'DBeaver tables',
    `SELECT c.relname, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr, pg_catalog.pg_get_partkeydef(c.oid) as partition_key FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass WHERE c.relnamespace='public'::regnamespace AND c.relkind not in ('i','I','c') ORDER BY 1`,
  ],
  [
    'DBeaver sizes',
    "SELECT pg_catalog.pg_total_relation_size('plain'::regclass) > 0, pg_catalog.pg_relation_size('plain'::regclass) > 0",
  ],
  ['DBeaver preview', 'SELECT id, "label", amount FROM public.plain ORDER BY id LIMIT 200'],
  ['DBeaver count', 'SELECT count(*) FROM public.users'],
  [
    'pgAdmin server',
    'SELECT gss_authenticated IS NOT NULL FROM pg_catalog.pg_stat_gssapi WHERE pid = pg_backend_pid()',
  ],
  [
    'pgAdmin database',
    "SELECT db.datname, has_database_privilege(db.oid, 'CREATE') as cancreate, datallowconn FROM pg_catalog.pg_database db WHERE db.datname = current_database()",
  ],
  ['pgAdmin roles', 'SELECT rolname, rolcanlogin, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user'],
  ['pgAdmin extensions', 'SELECT extname, extversion FROM pg_extension ORDER BY 1'],
  [
    'Metabase tables',
    `SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' END AS type, stat.n_live_tup >= 0 AS estimated FROM pg_catalog.pg_class c INNER JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid LEFT JOIN pg_catalog.pg_stat_user_tables stat ON n.nspname = stat.schemaname AND c.relname = stat.relname WHERE n.nspname = 'public' AND c.relkind in ('r', 'p', 'v', 'f', 'm') ORDER BY schema, name`,
  ],
  [
    'Metabase privileges',
    `SELECT schemaname, tablename, pg_catalog.has_table_privilege(current_user, '"' || schemaname || '"."' || tablename || '"', 'SELECT') as "select" FROM pg_catalog.pg_tables WHERE schemaname = 'public' ORDER BY 2`,
  ],
  ['Flyway', "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'public')"],
  [
    'Grafana',
    "SELECT CASE WHEN quote_ident(table_schema) IN ('public') THEN quote_ident(table_name) END AS t FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
  ],
  ['to_regclass', "select to_regclass('public.users') is not null"],
  [
    'has_table_privilege',
    "select has_table_privilege('users', 'select'), has_column_privilege('users', 'card', 'select')",
  ],
  ['format_type', "select format_type('int4'::regtype, -1)"],
  [
    'inherits',
    "select inhrelid::regclass, inhparent::regclass from pg_inherits where inhparent = 'part'::regclass order by 1",
  ],
  ['stat tables', 'select count(*) > 0 from pg_stat_user_tables'],
  ['my activity', 'select count(*) >= 1 from pg_stat_activity where pid = pg_backend_pid()'],
  ['settings', "select name, setting from pg_settings where name in ('max_connections', 'server_encoding') order by 1"],
  ['current_setting', "select current_setting('server_version_num')::int > 100000"],
  ['collations', "select collname from pg_collation where collname = 'C'"],
  ['operators', 'select count(*) > 100 from pg_operator'],
  ['comments', "select col_description('users'::regclass, 2), obj_description('users'::regclass)"],
  ['identity of the server', 'select inet_server_port() > 0, pg_postmaster_start_time() < now()'],
]);
