/** Values moved to where they are not masked, or handed back by a write: DML, copies, definitions. */
import { simple } from '../attack.ts';

const id1 = 'from users2 where id=1';
const one = `(select card ${id1})`;

const returning = simple('RETURNING', [
  ['76 update note returning', `begin; update users2 set note=reverse(card) where id=1 returning note; rollback`],
  ['77 update note then read', 'update users2 set note=card where id=1', 'select note from users2'],
  ['78 insert select returning', `insert into inbox select 50, card ${id1} returning body`],
  [
    '79 insert returning expression',
    `insert into users2 (id, card) values (77, 'x') returning (select card from users2 where id=1)`,
  ],
  ['update returning expression', "update users2 set n = n where id=1 returning card || ''"],
  ['update returning whole row', 'update users2 set n = n where id=1 returning users2'],
  ['update returning json', 'update users2 u set n = n where id=1 returning to_jsonb(u)'],
  ['update returning attribute', 'update users2 u set n = n where id=1 returning u.to_jsonb'],
  ['18 returning old', "update users2 set card = 'x' where id=1 returning old.card || ''"],
  ['18 returning new', 'update users2 set note = card where id=1 returning new.note'],
  [
    '18 returning with aliases',
    "update users2 set ssn = 'x' where id=1 returning with (old as before, new as after) before.ssn || '', after.id",
  ],
  ['18 delete returning old', 'delete from users2 where id=1 returning old::text'],
  ['18 insert returning new', `insert into inbox select 51, card ${id1} returning new.body, old.body`],
  ['18 old whole row', 'update users2 set n = 5 where id=1 returning row(old.*), new'],
  ['delete returning', "delete from users2 where id=1 returning card || ''"],
  ['delete using', "delete from inbox using users2 u where inbox.id = 1 returning u.card || ''"],
  ['update from', 'update inbox set body = body from users2 u where inbox.id = 1 returning reverse(u.card)'],
  ['update from into', 'update inbox set body = u.card from users2 u where inbox.id = 1 returning body'],
  ['update sublink', `update inbox set body = ${one} where id = 1 returning body`],
  ['update row', `update inbox set (id, body) = (select 5, card ${id1}) where id = 1 returning *`],
  ['update default', `update inbox set body = default where id = 1 returning ${one}`],
  [
    'on conflict do update',
    `insert into inbox values (1, 'z') on conflict (id) do update set body = ${one} returning body`,
  ],
  [
    'on conflict excluded',
    `insert into inbox select 1, ssn ${id1} on conflict (id) do update set body = excluded.body`,
    'table inbox',
  ],
  [
    'on conflict existing',
    `insert into users2 (id, card) values (1, 'q') on conflict (id) do update set note = users2.card returning note`,
  ],
  [
    'on conflict where',
    `insert into users2 (id) values (1) on conflict (id) do update set note = users2.ssn || excluded.id where users2.id = 1 returning note`,
  ],
  [
    'merge returning',
    `merge into inbox t using users2 s on t.id = s.id when matched then update set body = s.card returning t.body`,
  ],
  [
    'merge returning source',
    "merge into inbox t using users2 s on t.id = s.id when matched then do nothing when not matched then insert values (s.id, 'x') returning s.card || ''",
  ],
  [
    'merge returning action',
    "merge into inbox t using users2 s on t.id = s.id when matched then update set body = 'k' returning merge_action(), reverse(s.ssn)",
  ],
  [
    'merge returning old',
    "merge into users2 t using plain s on t.id = s.id when matched then update set card = 'k' returning old.card::varchar",
  ],
  [
    'merge insert',
    'merge into inbox t using users2 s on t.id = s.id + 500 when not matched then insert values (s.id + 500, s.card)',
    'table inbox',
  ],
  [
    'merge not matched by source',
    'merge into users2 t using (select 99 id) s on t.id = s.id when not matched by source then update set note = t.card returning new.note',
  ],
  ['cte write', `with w as (insert into inbox select 60, card ${id1} returning body) select * from w`],
  ['cte update', 'with w as (update users2 set note = card returning note) select note from w'],
  ['cte delete', "with w as (delete from users2 returning card as label) select label || '' from w"],
  ['insert into notes', `insert into notes (body) select card ${id1}`, 'select body from notes'],
  ['insert number', 'insert into notes (num) select secret_no from users where id=1', 'select num from notes'],
  ['insert json', 'insert into notes (extra) select to_jsonb(u) from users2 u where id=1', 'select extra from notes'],
  ['insert values sublink', `insert into inbox values (70, ${one})`, 'select body from inbox where id = 70'],
  [
    'insert default columns',
    `insert into inbox (id, body) values (71, (select s.ssn from users2 s where id=1)) returning body`,
  ],
  [
    'insert by a chain',
    `insert into inbox select 72, card ${id1}`,
    'insert into notes (body) select body from inbox',
    'select reverse(body) from notes',
  ],
  [
    'insert into a masked column and back',
    `update users2 set card = ssn where id=1`,
    'select left(card,3), substr(card,4) from users2 where id=1',
  ],
  ['swap with an unmasked column', 'update users2 set note = card, card = note', 'select note from users2'],
  ['copy out of partition', 'insert into inbox select id + 900, card from part', 'table inbox'],
  ['update through a view', 'create temp view uv as select * from inbox', `update uv set body = ${one}`, 'table inbox'],
  ['update partition unmasked', 'update part set region = card', 'select region from part'],
  ['array column into text', 'update arr set label = cards[1]', 'select label from arr'],
  ['composite into text', 'update comp set label = (person).card', 'select label from comp'],
  [
    'jsonb subscript assignment',
    `update notes set extra['k'] = (select to_jsonb(card) ${id1}) where id = 1`,
    'select extra from notes where id = 1',
  ],
  ['array element assignment', `update plain set tags[1] = ${one} where id = 1`, 'select tags from plain where id = 1'],
  ['field assignment', 'update notes set body = u.card from users2 u where u.id = 1', 'select body from notes'],
]);

const copies = simple(
  'copies',
  [
    ['72 ctas', `create temp table l1 as select reverse(card) k ${id1}`, 'select k from l1'],
    ['73 ctas plain', `create temp table l1 as select card ${id1}`, "select card || '' from l1"],
    ['74 select into', `select reverse(card) k into temp l3 ${id1}`, 'table l3'],
    ['75 create view', 'create temp view tv as select card as k from users2', 'select k from tv'],
    ['ctas renamed', 'create temp table l1 (harmless) as select card from users2', 'select harmless from l1'],
    [
      'ctas execute',
      'prepare p1 as select card as zz from users2',
      'create temp table tp as execute p1',
      'select zz from tp',
    ],
    ['ctas table', 'create temp table l2 as table users2', 'select card::varchar from l2'],
    ['ctas then select as', 'create temp table l1 as select card as k from users2', 'select k from l1'],
    ['permanent', 'create table app_s.mine as select card as k from users2', 'select k from app_s.mine'],
    [
      'materialized view',
      'create materialized view app_s.mm as select card as k from users2',
      'select k from app_s.mm',
    ],
    ['recursive view', 'create temp recursive view rv(k) as select card from users2', 'select k from rv'],
    ['view of attribute notation', 'create temp view tv as select u.to_jsonb as k from users2 u', 'select k from tv'],
    [
      'like including',
      'create temp table tl (like users2 including all)',
      'insert into tl select * from users2',
      "select card || '' from tl",
    ],
    [
      'inherits',
      'create table app_s.child () inherits (vault)',
      'insert into app_s.child select * from vault',
      'select reverse(card) from app_s.child',
    ],
    [
      '95 pg_temp shadow',
      `create temp table orders as select reverse(card) as total ${id1}`,
      'select total from orders',
    ],
    [
      'pg_temp shadow of a clean table',
      `create temp table plain as select id, card as label from users2`,
      'select label from plain',
    ],
    [
      'search_path shadow',
      'create table app_s.plain as select id, card as label from users2',
      'set search_path = app_s, public',
      'select label from plain',
    ],
    [
      '94 search_path of a table',
      'set search_path = app_s',
      'create table app_s.users2 as select id, card as note from public.users2',
      'select note from users2',
    ],
    [
      'rename a column',
      'alter table vault rename card to harmless',
      "select harmless || '' from vault",
      'select harmless from vault',
    ],
    [
      'rename a table',
      'alter table vault rename to box',
      'select card, reverse(ssn) from box',
      'alter table box rename to vault',
    ],
    ['change the type', 'alter table vault alter card type varchar using reverse(card)', 'select card from vault'],
    [
      'add a column',
      'alter table vault add k text',
      'update vault set k = card',
      'select k from vault',
      'alter table vault drop k',
    ],
    [
      '80 generated column',
      'begin; alter table vault add g text generated always as (reverse(card)) stored; select g from vault; rollback',
    ],
    [
      '81 default',
      `begin; create function app_s.d() returns text language sql as 'select card from public.users2 where id=1'; alter table inbox alter body set default app_s.d(); insert into inbox (id) values (5) returning body; rollback`,
    ],
    [
      '82 trigger',
      "begin; create function app_s.tf() returns trigger language plpgsql as $$ begin new.body := (select card from users2 where id=1); return new; end $$; create trigger tt before insert on inbox for each row execute function app_s.tf(); insert into inbox values (6, 'x') returning body; rollback",
    ],
    [
      '83 trigger notice',
      "begin; create function app_s.tf() returns trigger language plpgsql as $$ begin raise notice '%', (select card from users2 where id=1); return new; end $$; create trigger tt before update on inbox for each row execute function app_s.tf(); update inbox set id = id; rollback",
    ],
    [
      '84 rule',
      'begin; create rule rr as on insert to inbox do also select reverse(card) k from users2 where id=1; insert into inbox(id) values (777); rollback',
    ],
    [
      'rule instead',
      'begin; create rule rr as on delete to inbox do instead select card as k from users2; delete from inbox where id = 1; rollback',
    ],
    [
      'rule to notify',
      'begin; create rule rr as on update to inbox do also insert into notes (body) select card from users2; update inbox set id = id; select body from notes; rollback',
    ],
    [
      'policy',
      "begin; create function app_s.pf() returns boolean language plpgsql as $$ begin raise notice '%', (select card from users2 where id=1); return true; end $$; create policy pp on inbox using (app_s.pf()); alter table inbox enable row level security; alter table inbox force row level security; select * from inbox; rollback",
    ],
    [
      'check constraint',
      "alter table vault add constraint never check (card = '')",
      'alter table vault add constraint never check (length(card) < 5) not valid',
      'alter table vault validate constraint never',
      "update vault set note = 'q'",
    ],
    [
      'unique index',
      'begin; insert into vault select 9, card from vault where id=1; create unique index vu on vault (card); rollback',
      'create unique index on vault ((1), (left(card, 0)))',
      'insert into vault select 10, card from vault where id = 1',
    ],
    ['expression index error', 'create index on vault ((card::int))', 'select card::int from vault'],
    [
      'partition attach',
      'create temp table ps(card text) partition by list (card)',
      "create temp table px partition of ps for values in ('1')",
      'insert into px select card from users2',
    ],
  ],
  {
    undo: [
      'ALTER TABLE vault DROP CONSTRAINT IF EXISTS never',
      "DO $$ BEGIN IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'vault'::regclass AND attname = 'harmless') THEN ALTER TABLE vault RENAME harmless TO card; END IF; END $$",
      "DO $$ BEGIN IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'vault'::regclass AND attname = 'card' AND atttypid = 'varchar'::regtype) THEN ALTER TABLE vault ALTER card TYPE text; END IF; END $$",
      'DROP INDEX IF EXISTS vault_expr_left_idx',
    ],
  },
);

const definitions = simple('functions and operators', [
  [
    '88 create function',
    `create function app_s.f() returns text language sql as 'select card from public.users2 where id=1'`,
    'select app_s.f()',
  ],
  [
    '92 temp function',
    `create function pg_temp.f() returns text language sql as 'select card from public.users2 where id=1'`,
    'select pg_temp.f()',
  ],
  [
    '93 shadowing',
    "create or replace function app_s.upper(text) returns text language sql as 'select reverse($1)'; set search_path=app_s,pg_catalog,public; select upper(card) z from users2 where id=1",
  ],
  [
    'shadowed by temp',
    "create function pg_temp.lower(text) returns text language sql as 'select reverse($1)'",
    'select pg_temp.lower(card) from users2',
  ],
  [
    'operator',
    "create function app_s.mix(text, text) returns text language sql as 'select reverse($1) || $2'; create operator app_s.@@@ (leftarg=text, rightarg=text, function=app_s.mix); select card operator(app_s.@@@) 'x' from users2",
  ],
  [
    'cast',
    "create type app_s.w as (x text); create function app_s.tow(text) returns app_s.w language sql as 'select row(reverse($1))::app_s.w'",
    'select app_s.tow(card) from users2',
  ],
  [
    'aggregate',
    "create aggregate app_s.agg(text) (sfunc = textcat, stype = text, initcond = '')",
    'select app_s.agg(card) from users2',
  ],
  [
    'atomic body',
    'create function app_s.at() returns setof text begin atomic select card from users2; end',
    'select * from app_s.at()',
  ],
  [
    'returns table',
    "create function app_s.rt() returns table (k text) language plpgsql as 'begin return query select card from users2; end'",
    'select k from app_s.rt()',
  ],
  [
    'refcursor',
    "create function app_s.rc() returns refcursor language plpgsql as $$ declare r refcursor := 'rr'; begin open r for select card as q from users2; return r; end $$",
    'begin',
    'select app_s.rc()',
    'fetch all from rr',
    'rollback',
  ],
  ['refcursor that was there', 'begin', 'select f_cursor()', 'fetch all from rr', 'rollback'],
  [
    'replace a function',
    "create function app_s.safe(text) returns int language sql as 'select 1'",
    'select app_s.safe(card) from users2',
    "create or replace function app_s.safe(text) returns int language plpgsql as $$ begin raise notice '%', $1; return 1; end $$",
    'select app_s.safe(card) from users2',
  ],
  [
    'language plpgsql dynamic',
    'create function app_s.dy(q text) returns text language plpgsql as $$ declare r text; begin execute q into r; return r; end $$',
    "select app_s.dy('select card from users2 where id=1')",
  ],
  [
    'procedure',
    "create procedure app_s.pr() language plpgsql as $$ begin raise notice '%', (select ssn from users2 where id=1); end $$",
    'call app_s.pr()',
  ],
  [
    'procedure out',
    'create procedure app_s.po(out k text) language plpgsql as $$ begin k := (select ssn from users2 where id=1); end $$',
    'call app_s.po(null)',
  ],
  [
    'in a domain default',
    "create domain app_s.dd as text default 'x'",
    `create function app_s.f2() returns app_s.dd language sql as 'select card::app_s.dd from public.users2 where id=1'`,
    'select app_s.f2()',
  ],
  [
    'function default',
    "create function app_s.fd(x text default (select 'a')) returns text language sql as 'select x'",
    "create function app_s.fe(x int default 1) returns text language sql as 'select card from public.users2 where id = x'",
    'select app_s.fe()',
  ],
  [
    'polymorphic',
    "create function app_s.id(anyelement) returns anyelement language sql as 'select $1'",
    'select app_s.id(card) from users2',
    'select (app_s.id(u)).card from users2 u',
  ],
  [
    'variadic',
    "create function app_s.va(variadic text[]) returns text language sql as 'select $1[1]'",
    'select app_s.va(card, ssn) from users2',
  ],
  [
    'security definer',
    "create function app_s.sd() returns text security definer language sql as 'select ssn from public.users2 where id=1'",
    'select app_s.sd()',
  ],
  [
    'text search',
    "select ts_lexize('simple', card) from users2",
    "select alias, token from users2 u, ts_debug('simple', u.card) where u.id=1",
  ],
]);

export const WRITES = [...returning, ...copies, ...definitions];
