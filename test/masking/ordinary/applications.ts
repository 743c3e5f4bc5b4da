/** What applications do: writes, upserts, transactions, cursors, prepared statements, COPY; as drivers and ORMs phrase it. */
import { type Ordinary, work } from './types.ts';

const plain = work([
  ['insert', "insert into notes (body, num) values ('a', 1)"],
  ['insert returning', "insert into plain (id, label) values (500, 'x') returning id, label"],
  ['bulk insert', "insert into plain (id, label, amount) values (501, 'a', 1), (502, 'b', 2), (503, 'c', 3)"],
  ['bulk insert by unnest', "insert into plain (id, label) select * from unnest(array[510, 511], array['a', 'b'])"],
  [
    'insert a customer',
    "insert into users (id, name, card, ssn, email, secret_no) values (700, 'New', '4111111111111111', '123-45-6789', 'a@b.example', 5)",
  ],
  [
    'insert a customer returning id',
    "insert into users (id, name, card) values (701, 'New', '4111111111111111') returning id",
  ],
  [
    'insert a customer returning star',
    "insert into users2 (id, card, note) values (702, '4111111111111111', 'n') returning *",
    'card',
    'ssn',
  ],
  ['insert select clean', 'insert into notes (body, num) select label, id from plain where id < 3'],
  ['update', "update plain set label = 'z' where id = 3"],
  ['update returning', 'update plain set amount = amount + 1 where id = 3 returning id, amount'],
  ['update a customer', "update users set name = 'Renamed' where id = 1"],
  ['update a masked column to a constant', "update users set card = '4111111111111111' where id = 2"],
  ['update by a masked key', "update users set pad = 4 where email = 'nobody@mail.example'"],
  ['update from', 'update plain p set label = o.status from orders o where o.id = p.id'],
  ['update case', "update plain set label = case when amount > 10 then 'hi' else 'lo' end where id < 5"],
  ['delete', 'delete from plain where id = 4'],
  ['delete returning', 'delete from plain where id = 5 returning id, label'],
  ['delete using', "delete from plain p using orders o where o.id = p.id and o.status = 'open'"],
  [
    'upsert',
    "insert into plain (id, label) values (1, 'up') on conflict (id) do update set label = excluded.label returning id, label",
  ],
  ['upsert nothing', "insert into plain (id, label) values (1, 'up') on conflict do nothing"],
  [
    'upsert a customer',
    "insert into users2 (id, card) values (1, '4111111111111111') on conflict (id) do update set card = excluded.card",
  ],
  [
    'merge',
    "merge into plain t using (values (1, 'm'), (900, 'n')) s(id, label) on t.id = s.id when matched then update set label = s.label when not matched then insert (id, label) values (s.id, s.label)",
  ],
  [
    'cte write',
    'with moved as (delete from plain where id > 38 returning id, label) insert into notes (body, num) select label, id from moved',
  ],
  ['json update', "update plain set doc = jsonb_set(doc, '{k}', '99') where id = 1 returning doc"],
  ['array append', "update plain set tags = array_append(tags, 'new') where id = 1 returning tags"],
  ['counter', "select nextval('notes_id_seq') > 0"],
  ['lock a row', 'select id from plain where id = 1 for update'],
  ['lock skip', 'select id from plain order by id limit 1 for update skip locked'],
  [
    'transaction',
    ['begin', "update plain set label = 't' where id = 6", 'commit', 'select label from plain where id = 6'],
  ],
  [
    'rollback',
    ['begin', "update plain set label = 'gone' where id = 7", 'rollback', 'select label from plain where id = 7'],
  ],
  [
    'savepoint',
    [
      'begin',
      "update plain set label = 'a' where id = 8",
      'savepoint s',
      "update plain set label = 'b' where id = 8",
      'rollback to savepoint s',
      'release savepoint s',
      'commit',
      'select label from plain where id = 8',
    ],
  ],
  ['read only', ['begin read only', 'select count(*) from plain', 'commit']],
  ['isolation', ['begin isolation level serializable', 'select count(*) from plain', 'commit']],
  ['failed transaction', ['begin', 'select 1/0', 'select 1', 'rollback', 'select 2']],
  [
    'cursor',
    [
      'begin',
      'declare c cursor for select id, label from plain order by id',
      'fetch 3 from c',
      'fetch 2 from c',
      'close c',
      'commit',
    ],
  ],
  [
    'cursor of masked rows',
    ['begin', 'declare c cursor for select id, card from users2 order by id', 'fetch all from c', 'commit'],
    'card',
  ],
  [
    'scroll cursor',
    [
      'begin',
      'declare c scroll cursor for select id from plain order by id',
      'fetch last from c',
      'fetch prior from c',
      'move first in c',
      'fetch next from c',
      'commit',
    ],
  ],
  [
    'prepare',
    ['prepare p(int) as select id, label from plain where id = $1', 'execute p(3)', 'execute p(4)', 'deallocate p'],
  ],
  [
    'prepare masked',
    ['prepare pm(int) as select id, card from users2 where id = $1', 'execute pm(1)', 'deallocate pm'],
    'card',
  ],
  ['copy out', 'copy plain (id, label) to stdout'],
  ['copy out csv', 'copy (select id, label, amount from plain order by id limit 5) to stdout (format csv, header)'],
  ['copy out clean columns of a masked table', 'copy (select id, name from users order by id) to stdout'],
  ['application_name', ["set application_name = 'report'", 'select 1']],
  ['timeouts', ["set statement_timeout = '30s'", "set lock_timeout = '5s'", 'select 1']],
  ['timezone', ["set timezone = 'Europe/Berlin'", 'select at from plain where id = 1']],
  ['datestyle', ["set datestyle = 'ISO, MDY'", 'select at from plain where id = 1']],
  ['reset', ['reset statement_timeout', 'select 1']],
  ['listen', ['listen jobs', 'select 1', 'unlisten *']],
  ['is in recovery', 'select pg_is_in_recovery()'],
  ['backend', 'select pg_backend_pid() > 0'],
  [
    'temp table',
    [
      'create temp table work (id int, label text)',
      'insert into work select id, label from plain where id < 4',
      'select * from work order by id',
      'drop table work',
    ],
  ],
]);

const copied: readonly Ordinary[] = [
  {
    id: 'copy in',
    sql: ['copy plain (id, label) from stdin', 'select label from plain where id = 800'],
    copy: '800\tcopied\n',
  },
  { id: 'copy in csv', sql: ['copy notes (body, num) from stdin (format csv)'], copy: 'a,1\nb,2\n' },
  {
    id: 'copy in customers',
    sql: ['copy users2 (id, card, note) from stdin', 'select id, card, note from users2 where id = 801'],
    copy: '801\t4111111111111111\tn\n',
    masked: ['card'],
  },
];

const bound = (
  id: string,
  sql: string,
  params: readonly (string | null)[],
  masked: readonly string[] = [],
): Ordinary[] =>
  (['extended', 'binary'] as const).map((protocol) => ({
    id: `${id}, ${protocol}`,
    sql: [sql],
    params,
    masked,
    protocol,
  }));

const drivers: readonly Ordinary[] = [
  ...bound('pg select', 'select id, label from plain where id = $1', ['3']),
  ...bound('pg masked', 'select * from users2 where id = $1', ['1'], ['card', 'ssn']),
  ...bound('pg any', 'select id from plain where id = any($1::int[]) order by id', ['{1,2}']),
  ...bound('pg null', 'select $1::text is null', [null]),
  ...bound(
    'Prisma findUnique',
    'SELECT "public"."users"."id", "public"."users"."name", "public"."users"."card" FROM "public"."users" WHERE ("public"."users"."id" = $1::int AND 1=1) LIMIT $2::bigint OFFSET $3::bigint',
    ['1', '1', '0'],
    ['card'],
  ),
  ...bound(
    'Prisma findMany',
    'SELECT "public"."plain"."id", "public"."plain"."label", "public"."plain"."amount" FROM "public"."plain" WHERE "public"."plain"."amount" > $1::numeric ORDER BY "public"."plain"."id" ASC LIMIT $2::bigint OFFSET $3::bigint',
    ['10', '5', '0'],
  ),
  ...bound(
    'Prisma count',
    'SELECT COUNT(*) FROM (SELECT "public"."orders"."id" FROM "public"."orders" WHERE 1=1 OFFSET $1::bigint) AS "sub"',
    ['0'],
  ),
  ...bound(
    'Prisma create',
    'INSERT INTO "public"."plain" ("id","label") VALUES ($1::int,$2::text) RETURNING "public"."plain"."id", "public"."plain"."label"',
    ['600', 'p'],
  ),
  ...bound(
    'SQLAlchemy',
    'SELECT users.id AS users_id, users.name AS users_name, users.email AS users_email FROM users WHERE users.id = $1::INTEGER',
    ['1'],
    ['users_email'],
  ),
  ...bound(
    'SQLAlchemy joined',
    'SELECT users.id AS users_id, users.name AS users_name, orders_1.id AS orders_1_id, orders_1.total AS orders_1_total FROM users LEFT OUTER JOIN orders AS orders_1 ON users.id = orders_1.user_id ORDER BY users.id, orders_1.id LIMIT $1::INTEGER',
    ['10'],
  ),
  ...bound(
    'SQLAlchemy subquery',
    'SELECT anon_1.users_id, anon_1.users_ssn FROM (SELECT users.id AS users_id, users.ssn AS users_ssn FROM users ORDER BY users.id LIMIT $1::INTEGER) AS anon_1 ORDER BY anon_1.users_id',
    ['2'],
    ['users_ssn'],
  ),
  ...bound(
    'Django get',
    'SELECT "users"."id", "users"."name", "users"."email" FROM "users" WHERE "users"."id" = $1::int LIMIT 21',
    ['1'],
    ['email'],
  ),
  ...bound('Django exists', 'SELECT 1 AS "a" FROM "users" WHERE "users"."email" = $1 LIMIT 1', ['nobody@mail.example']),
  ...bound(
    'Django annotate',
    'SELECT "orders"."status", COUNT("orders"."id") AS "n" FROM "orders" GROUP BY "orders"."status" HAVING COUNT("orders"."id") >= $1::int ORDER BY "orders"."status"',
    ['1'],
  ),
  ...bound(
    'Django filter in',
    'SELECT "plain"."id" FROM "plain" WHERE "plain"."id" IN ($1::int, $2::int) ORDER BY "plain"."id" ASC',
    ['1', '2'],
  ),
  ...bound(
    'Rails find',
    'SELECT "users".* FROM "users" WHERE "users"."id" = $1::int LIMIT $2::int',
    ['1', '1'],
    ['card', 'ssn', 'email', 'secret_no'],
  ),
  ...bound('Rails exists', 'SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2::int', [
    'nobody@mail.example',
    '1',
  ]),
  ...bound('Rails pluck', 'SELECT "plain"."label" FROM "plain" WHERE "plain"."id" < $1::int ORDER BY "plain"."id"', [
    '4',
  ]),
  ...bound(
    'Rails includes',
    'SELECT "orders".* FROM "orders" WHERE "orders"."user_id" IN ($1::int, $2::int) ORDER BY id',
    ['1', '2'],
    ['card'],
  ),
  ...bound('Rails touch', 'UPDATE "plain" SET "at" = $1::timestamptz WHERE "plain"."id" = $2::int', [
    '2024-06-01',
    '1',
  ]),
  ...bound('Hibernate', 'select u1_0.id,u1_0.card,u1_0.name from users u1_0 where u1_0.id=$1::int', ['1'], ['card']),
  ...bound(
    'Hibernate page',
    'select p1_0.id,p1_0.label from plain p1_0 order by p1_0.id offset $1::int rows fetch first $2::int rows only',
    ['5', '5'],
  ),
  ...bound('Entity Framework', 'SELECT p."id", p."label" FROM "plain" AS p WHERE p."label" = $1 LIMIT 2', ['label 3']),
  ...bound(
    'Metabase',
    'SELECT CAST(DATE_TRUNC(\'month\', "public"."plain"."at") AS date) AS "at", SUM("public"."plain"."amount") AS "sum" FROM "public"."plain" WHERE "public"."plain"."id" > $1::int GROUP BY CAST(DATE_TRUNC(\'month\', "public"."plain"."at") AS date) ORDER BY CAST(DATE_TRUNC(\'month\', "public"."plain"."at") AS date) ASC',
    ['0'],
  ),
  ...bound(
    'Metabase preview',
    'SELECT "source"."id" AS "id", "source"."card" AS "card" FROM (SELECT "public"."users2"."id" AS "id", "public"."users2"."card" AS "card" FROM "public"."users2") AS "source" ORDER BY "source"."id" LIMIT $1::int',
    ['20'],
    ['card'],
  ),
  ...bound(
    'Tableau',
    'SELECT "plain"."label" AS "label", SUM("plain"."amount") AS "sum:amount:ok" FROM "public"."plain" "plain" WHERE "plain"."id" < $1::int GROUP BY 1 ORDER BY 1',
    ['5'],
  ),
];

export const APPLICATIONS: readonly Ordinary[] = [...plain, ...copied, ...drivers];
