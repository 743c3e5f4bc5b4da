/** Names that mean something else than they seem to: scopes, shadows, renamed positions, defaults, spellings. */
import { simple } from '../attack.ts';

const one = '(select card from users2 where id=1)';

const scopes = simple('scopes and shadows', [
  ['outer column from an inner table without it', 'select (select card from plain limit 1) from users2'],
  ['outer column without a table', 'select (select card) from users2'],
  ['outer column two levels up', 'select (select (select card from nums limit 1) from plain limit 1) from users2'],
  ['outer column in an inner aggregate', 'select (select max(u.card) from plain limit 1) from users2 u group by id'],
  ['outer column in generate_series', 'select (select count(*) || u.card from generate_series(1, 1)) from users2 u'],
  ['outer column in a window', 'select (select first_value(u.card) over () from plain limit 1) from users2 u'],
  ['outer column in a limit', 'select (select u.card from plain order by id limit 1 offset 0) from users2 u'],
  ['outer row', 'select (select u) from users2 u'],
  ['outer row field', 'select (select (u).card) from users2 u'],
  ['outer attribute notation', 'select (select u.to_jsonb) from users2 u'],
  ['outer column through a cte', 'select (with q as (select u.card k) select k from q) from users2 u'],
  [
    'outer column through lateral twice',
    "select b.y from users2 u, lateral (select u.card x) a, lateral (select a.x || '' y) b",
  ],
  ['alias is the name of a clean table', "select plain.card || '' from users2 plain"],
  ['alias is the name of a clean table, whole row', 'select plain::text from users2 plain'],
  ['alias is a clean column', "select id.card || '' from users2 id"],
  ['alias is a masked column', 'select card::text from users2 card'],
  ['alias is a function', 'select reverse.card::varchar from users2 reverse'],
  [
    'cte named as a masked table, the real one by schema',
    "with users2 as (select 1 id, 'z'::text card) select u.card || '' from public.users2 u",
  ],
  [
    'cte defined after its use',
    "with a as (select card x from users2), users2 as (select 1 id, 'z'::text card) select x || '' from a",
  ],
  [
    'cte shadowed inside',
    "with q as (select label k from plain) select * from (with q as (select card k from users2) select k || '' from q) s",
  ],
  [
    'cte shadowed inside, outer one after',
    "with q as (select card k from users2) select (with q as (select 'x'::text k) select k from q), (select k || '' from q limit 1)",
  ],
  ['cte in a subquery sees the outer one', 'with q as (select card k from users2) select (select max(k) from q)'],
  ['cte in the second branch', "with q as (select ssn k from users2) select 'x' union all select k from q"],
  [
    'recursive cte named as a table',
    'with recursive plain(id, label) as (select 1, card from users2 where id=1 union all select id + 1, label from plain where id < 2) select label from plain',
  ],
  [
    'recursive cte, masked in the second branch',
    "with recursive q(n, k) as (select 1, ''::text union all select n + 1, (select card from users2 where id=1) from q where n < 2) select k from q",
  ],
  [
    'recursive cte, columns turn',
    "with recursive q(n, a, b) as (select 1, card, ''::text from users2 where id=1 union all select n + 1, b, a from q where n < 3) select b from q",
  ],
  [
    'recursive cte, three turns',
    "with recursive q(n, a, b, c) as (select 1, card, ''::text, ''::text from users2 where id=1 union all select n + 1, c, a, b from q where n < 4) select c from q",
  ],
  ['cte of a write', "with w as (update inbox set id = id returning id) select w.id, u.card || '' from w, users2 u"],
  [
    'write with a cte as source',
    'with plain as (select card as label from users2) update inbox set body = label from plain where inbox.id=1 returning label',
  ],
  [
    'merge with a cte as source',
    "with s as (select 1 id, card k from users2 where id=1) merge into inbox t using s on t.id = s.id when matched then update set body = 'x' returning s.k || ''",
  ],
  ['union of a cte with itself', 'with q as (select card k from users2) table q union all table q'],
  [
    'lateral join chain',
    "select d.z from plain p join lateral (select card c from users2 where users2.id = p.id) e on true join lateral (select e.c z) f on true join lateral (select f.z || '') d(z) on true",
  ],
  [
    'sublink in join condition reaching out',
    "select x.y from users2 u join lateral (select concat(u.card, '') y) x on (select true)",
  ],
  [
    'in a from function',
    'select x from users2 u, lateral unnest(string_to_array(u.card, null)) with ordinality t(x, o) where u.id = 1 order by o',
  ],
  [
    'in rows from',
    'select a, b from users2 u, lateral rows from (unnest(array[u.card]), unnest(array[u.ssn])) t(a, b)',
  ],
  ['in values of from', 'select v.* from users2 u, lateral (values (u.id, u.card)) v'],
  ['in json_table', "select t.* from users2 u, lateral json_table(to_jsonb(u.card), '$' columns (k text path '$')) t"],
  [
    'ordered by an output alias of the same name',
    'select label as card, (select max(ssn) from users2) as label from plain order by card limit 1',
  ],
  ['grouped by an output alias', "select card || '' as id from users2 group by 1"],
  ['aliases swapped', 'select note as card, card as note from (select note, card::varchar from users2) s'],
]);

const unqualified = simple('scopes and shadows', [
  ['unqualified, out of generate_series 0', "select (select card || '' from generate_series(1, 1) g) from users2"],
  [
    'unqualified, out of unnest 1',
    "select (select card || '' from unnest(array[1]) with ordinality g(a, b)) from users2",
  ],
  [
    'unqualified, out of jsonb_each_text 2',
    "select (select card || '' from jsonb_each_text('{\"k\": 1}') g) from users2",
  ],
  ['unqualified, out of a subquery 3', "select (select card || '' from (values (1)) g) from users2"],
  [
    'unqualified, out of rows 4',
    "select (select card || '' from rows from (generate_series(1, 1), generate_series(1, 1)) g) from users2",
  ],
  [
    'unqualified, out of jsonb_to_record 5',
    "select (select card || '' from jsonb_to_record('{}') g(x int)) from users2",
  ],
  ['unqualified, out of regexp_matches 6', "select (select card || '' from regexp_matches('a', 'a') g) from users2"],
  ['unqualified, out of pg_namespace 7', "select (select card || '' from pg_namespace g limit 1) from users2"],
  ['unqualified, out of v_clean 8', "select (select card || '' from v_clean g limit 1) from users2"],
  ['unqualified, out of a subquery 9', "select (select card || '' from (select 1 as one) g) from users2"],
  [
    'unqualified, out of xmltable 10',
    "select (select card || '' from xmltable('/a' passing xmlelement(name a) columns x text path '.') g) from users2",
  ],
  [
    'unqualified, out of json_table 11',
    "select (select card || '' from json_table('1'::jsonb, '$' columns (x int path '$')) g) from users2",
  ],
  ['unqualified, out of f_out 12', "select (select card || '' from f_out(0) g) from users2"],
  ['unqualified in an aggregate', "select (select string_agg(card, '') from generate_series(1, 1) g) from users2"],
  ['unqualified as it stands', 'select (select card from generate_series(1, 1) g) from users2'],
  ['unqualified row', 'select (select users2 from generate_series(1, 1) g) from users2'],
  ['unqualified row text', 'select (select users2::text from generate_series(1, 1) g) from users2'],
  ['unqualified in lateral', "select x.y from users2, lateral (select card || '' y from generate_series(1, 1) g) x"],
  [
    'unqualified in lateral, of two rows',
    'select x.y from users2, lateral (select card::varchar y from unnest(array[1, 2]) g) x',
  ],
]);

const positions = simple('renamed positions', [
  ['column aliases shifted', "select id || '' from users2 as u(card, id)"],
  ['column aliases shifted, bare', 'select u.harmless::varchar from users2 as u(a, harmless)'],
  ['subquery aliases turned', "select id || '' from (select card, id from users2) as s(id, card)"],
  ['cte columns turned', 'with s(id, card) as (select card, id from users2) select id::varchar from s'],
  ['values names', 'select column1 from (values ((select card from users2 where id=1))) v'],
  ['values in a cte', 'with v as (values ((select card from users2 where id=1))) select column1 from v'],
  ['function alias as a column', 'select x from unnest(array(select card from users2)) x'],
  ['function name as a column', 'select unnest from unnest(array(select card from users2))'],
  ['default name of a function', 'select reverse from (select reverse(card) from users2) s'],
  ['default name of an expression', `select "?column?" from (select card || '' from users2) s`],
  ['default name of case', 'select "case" from (select case when true then card end from users2) s'],
  ['default name of row', 'select "row" from (select row(card, 1) from users2) s'],
  ['default name of array', 'select "array" from (select array[card] from users2) s'],
  ['default name of coalesce', 'select coalesce from (select coalesce(card, null) from users2) s'],
  ['default name of greatest', "select greatest from (select greatest(card, '') from users2) s"],
  [
    'default name of a cast',
    'select "varchar" from (select (card)::varchar from users2) s, lateral (select s.card as "varchar") t',
  ],
  ['default name of a sublink', 'select s.card::varchar from (select (select card from users2 where id=1)) s'],
  ['default name of exists beside', 'select "exists", max from (select exists (select 1), max(card) from users2) s'],
  ['default name of a field', "select card || '' from (select (person).card from comp) s"],
  ['default name of xml', 'select xmlelement::text from (select xmlelement(name a, card) from users2) s'],
  ['join alias columns', "select j.b || '' from (users2 join plain using (id)) as j(a, b)"],
  [
    'join of joins',
    "select j.c3 || '' from ((users2 a join plain b using (id)) join orders o using (id)) as j(c1, c2, c3)",
  ],
  ['using alias', "select k.id, x.card || '' from users2 x join plain y using (id) as k"],
  [
    'natural join of renamed',
    "select z || '' from (select id, card z from users2) a natural join (select id, label from plain) b",
  ],
  [
    'set operation positions',
    'select id, label from plain where id < 2 union all select id, card from users2 union all select n, t from nums where n < 2',
  ],
  ['set operation nested', "(select 'a' k union all (select 'b' union all select card from users2))"],
  ['set operation except all', "select k from (select card k from users2 except all select 'x') s"],
  ['set operation ordered by position', "select 1 a, ssn b from users2 union select 2, 'x' order by 1, 2"],
  [
    'insert columns turned',
    'insert into users2 (id, note, card) select id + 100, card, note from users2 returning note',
  ],
  ['insert without a column list', 'insert into inbox select 88, card from users2 where id=1 returning *'],
  ['update of two by a row', 'update users2 set (note, n) = row(card, 1) where id=1 returning note'],
  [
    'update of two by a query',
    'update users2 u set (note, n) = (select s.card, 1 from users2 s where s.id = u.id) returning note',
  ],
  ['update of two by a list', 'update users2 set (note, n) = (ssn, 2) where id=1 returning note'],
  [
    'merge insert turned',
    'merge into vault t using users2 s on t.id = s.id + 50 when not matched then insert (id, note, card) values (s.id + 50, s.card, s.note) returning t.note',
  ],
  ['star after columns', "select s.* from (select id, card || '' as x, * from users2) s"],
  [
    'star of a cte with aliases',
    "with q(a, b) as (select id, card from users2) select q.* from (select a, b || '' from q) q",
  ],
  ['star expanded of a record function', 'select (f_out(1)).*'],
  ['star of a function in from', 'select (t).* from (select f_out(1) t) s'],
  ['field of a row constructor', 'select (row(card, id)::text) from users2'],
  ['column of a row in a cte', "with q as (select u r from users2 u) select (r).card || '' from q"],
  ['column of a row in an array', 'select (a[1]).card from (select array_agg(u) a from users2 u) s'],
  ['column of a row from a sublink', 'select ((select u from users2 u where id=1)).card'],
  ['column of a row of a view', 'select ((v).c3) from (select v_users v from v_users) s'],
  [
    'column of a row after a union',
    'select (r).card from (select u r from users2 u union all select u from users2 u) s',
  ],
  ['column of a row through max', 'select (min(u.person::text)) from comp u'],
]);

const spellings = simple('spellings', [
  ['upper case', 'SELECT REVERSE(CARD) FROM USERS2'],
  ['quoted', 'select reverse("card") from "public"."users2"'],
  ['unicode escapes', 'select reverse(U&"\\0063\\0061rd") from U&"us\\0065rs2"'],
  ['unicode escapes of its own', `select reverse(U&"!0063ard" UESCAPE '!') from users2`],
  ['database-qualified', 'select reverse({{db}}.public.users2.card) from {{db}}.public.users2'],
  ['only in parentheses', 'select reverse(card) from only (users2)'],
  ['with a star', 'select reverse(card) from users *'],
  ['schema-qualified function', 'select pg_catalog.reverse(card) from users2'],
  ['operator written out', "select card operator(pg_catalog.||) '' from users2"],
  ['comments in between', 'select/**/reverse/* x */(/*y*/card/**/)--\nfrom/**/users2'],
  ['line ends', 'select\treverse\n(\r\ncard\f)\nfrom\n\nusers2'],
  ['trailing semicolons', ';;select reverse(card) from users2;;'],
  ['cast written out', 'select cast(card as varchar) from users2'],
  [
    'cast as a function',
    'select varchar(card) from (select 1) s, users2 where false union all select card::varchar from users2',
    'select text(card::bpchar) from users2',
  ],
  ['cast before', "select concat(text 'x', card) from users2"],
  [
    'named arguments',
    "select make_interval(secs => 1), format(formatstr => '%s', variadic array[card]) from users2",
    'select concat(variadic array[card]) from users2',
  ],
  ['position syntax', "select overlay('' placing card from 1) from users2"],
  ['trim syntax', "select trim(leading '!' from '!' || card) from users2"],
  ['substring syntax', 'select substring(card from 1 for 16) from users2'],
  ['extract-like', "select substring(card, '.*') from users2"],
  ['xml syntax', 'select xmlserialize(content xmlparse(content card) as text) from users2'],
  ['is distinct beside', 'select card is distinct from null, upper(ssn) from users2'],
  ['dollar quoted function text', 'select regexp_replace(card, $$^(.*)$$, $x$\\1$x$) from users2'],
  ['escape strings', "select card || E'\\x20\\u0020' from users2"],
  ['national string', "select card || N'' from users2"],
  ['bit string', "select card::bigint::bit(64) | B'0'::bit(64) from users2"],
  ['positional alias without as', "select card || '' k from users2"],
  ['keyword aliases', `select card || '' as "select" from users2`],
  ['long alias', `select card || '' as "${'x'.repeat(63)}" from users2`],
  ['empty-looking alias', `select card || '' as " " from users2`],
  [
    'alias with a masked name of a clean value',
    'select label as card, (select reverse(max(card)) from users2) as x from plain limit 1',
  ],
  ['deeply nested', `select ${'('.repeat(40)}reverse(card)${')'.repeat(40)} from users2`],
  [
    'deeply nested subqueries',
    `select k from ${'(select k from '.repeat(15)}(select reverse(card) k from users2) z${Array.from({ length: 15 }, (_, n) => `) s${n}`).join('')}`,
  ],
  [
    'long text',
    `select reverse(card) from users2 where id in (${Array.from({ length: 3_000 }, (_, n) => n).join(',')})`,
  ],
  [
    'many columns',
    `select ${Array.from({ length: 300 }, (_, n) => `n as c${n}`).join(', ')}, reverse(card) from users2`,
  ],
  [
    'many branches',
    `select reverse(k) from (${Array.from({ length: 60 }, () => 'select label k from plain where id = 1').join(' union all ')} union all select card from users2) s`,
  ],
  ['operator precedence', 'select not false, - - secret_no from users'],
  ['array type cast', 'select array[card]::varchar[] from users2'],
  ['collation in a sort', `select string_agg(card, '' order by card collate "C") from users2`],
  [
    'at time zone',
    `select ('2000-01-01'::timestamp + secret_no / 1e6 * interval '1 second') at time zone 'UTC', secret_no + 0 from users where id=1`,
  ],
  ['sublink as an argument', `select reverse(${one})`],
  ['sublink in an array', `select array[${one}, 'x']`],
  ['sublink in a case', `select case ${one} when 'x' then 'y' else ${one} end`],
  ['sublink in coalesce', `select coalesce(null, ${one})`],
  ['sublink in a row', `select row(1, ${one})`],
  ['sublink in a window', `select lag(${one}, 0) over () from plain limit 1`],
  ['sublink in a default of json', `select json_build_object('a', ${one})`],
  ['sublink in returning', `update inbox set id = id returning ${one}`],
]);

export const NAMES = [...scopes, ...unqualified, ...positions, ...spellings];
