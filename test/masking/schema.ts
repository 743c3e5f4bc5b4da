/** The lab: a database in which every way that a masked value can be stored, copied or computed is there once. */
import type pg from 'pg';
import type { TestPostgres } from '../support/postgres.ts';
import { withClient } from '../support/seed.ts';
import { Canaries } from './canaries.ts';

export const OWNER = { user: 'lab_owner', password: 'owner-of-the-lab' } as const;
/** Reads and writes, makes temporary things, owns one schema and two tables; no superuser. */
export const APP = { user: 'app', password: 'app-of-the-lab' } as const;

/** What a masking rule of the lab names; the rest (views, generated columns, partitions) has to follow from it. */
export const MASKED_COLUMNS = [
  '*.*.card',
  '*.*.ssn',
  '*.*.email',
  '*.*.secret_no',
  'public.comp.person',
  'public.dom.c',
  'public.docs.doc',
  'public.docs.docj',
  'public.docs.docx',
  'public.bin.blob',
  'public.arr.cards',
  'public.arr.numbers',
  'public.ext.tags',
  'public.ext.loose',
  'public.typed.*',
] as const;

export const EXTENSIONS = [
  'hstore',
  'citext',
  'tablefunc',
  'xml2',
  'dblink',
  'pg_trgm',
  'intarray',
  'pgcrypto',
  'unaccent',
  'ltree',
  'fuzzystrmatch',
  'btree_gist',
  'cube',
  'isn',
] as const;

const VIRTUAL = ', v text GENERATED ALWAYS AS (left(card, 8)) VIRTUAL';

const TABLES = `
  CREATE TYPE mood AS ENUM ('good', 'bad');
  CREATE TYPE person AS (name text, card text);
  CREATE DOMAIN cardt AS text CHECK (length(value) > 0);
  CREATE TABLE users (id int PRIMARY KEY, name text, card text, ssn text, email text, secret_no bigint, note text, pad int, joined date);
  CREATE TABLE kid (age int) INHERITS (users);
  CREATE TABLE users2 (id int PRIMARY KEY, card text, ssn text, note text, n int);
  CREATE TABLE orders (id int PRIMARY KEY, user_id int, total text, status text, card text, placed timestamptz);
  CREATE TABLE part (id int, card text, region text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
  CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
  CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (100) TO (200);
  CREATE TABLE comp (id int PRIMARY KEY, person person, label text);
  CREATE TABLE dom (id int PRIMARY KEY, c cardt, label text);
  CREATE TABLE gen (id int PRIMARY KEY, card text, g text GENERATED ALWAYS AS (reverse(card)) STORED${VIRTUAL}, twice int GENERATED ALWAYS AS (id * 2) STORED);
  CREATE TABLE strict (id int PRIMARY KEY, card text NOT NULL UNIQUE, ssn text NOT NULL, qty int NOT NULL CHECK (qty < 100), span int4range, CONSTRAINT card_shape CHECK (card ~ '^[0-9]{16}$'), EXCLUDE USING gist (card WITH =, span WITH &&));
  CREATE TABLE refers (id int PRIMARY KEY, card text REFERENCES strict (card), label text);
  CREATE TABLE docs (id int PRIMARY KEY, doc jsonb, docj json, docx xml, label text);
  CREATE TABLE bin (id int PRIMARY KEY, blob bytea, label text);
  CREATE TABLE arr (id int PRIMARY KEY, cards text[], numbers bigint[], label text);
  CREATE TABLE ext (id int PRIMARY KEY, tags hstore, loose citext, label text);
  CREATE TABLE typed (num numeric, flt float8, bits bit(64), chars varchar(30), fixed char(20), bid uuid, cash money);
  CREATE TABLE nums (n int PRIMARY KEY, t text);
  CREATE TABLE plain (id int PRIMARY KEY, label text, amount numeric(10,2), tags text[], doc jsonb, at timestamptz);
  CREATE TABLE notes (id serial PRIMARY KEY, body text, num bigint, extra jsonb);
  CREATE TABLE vault (id int PRIMARY KEY, card text, ssn text, note text);
  CREATE TABLE inbox (id int PRIMARY KEY, body text);
  CREATE SEQUENCE counter;
  CREATE VIEW v_users AS SELECT id, name, card, card AS c2, reverse(card) AS c3, secret_no AS s2 FROM users;
  CREATE VIEW v_of_view AS SELECT id, c2 AS cc, upper(c3) AS dd FROM v_users;
  CREATE VIEW v_expr AS SELECT id, card || ssn AS both, length(card) AS long, (SELECT max(z.ssn) FROM users2 z) AS top FROM users2;
  CREATE VIEW v_star AS SELECT * FROM users;
  CREATE VIEW v_union AS SELECT id, card FROM users UNION ALL SELECT id, card FROM orders;
  CREATE VIEW v_distinct AS SELECT DISTINCT card AS only_card FROM users;
  CREATE VIEW v_json AS SELECT u.id, row_to_json(u) AS j FROM users2 u;
  CREATE VIEW v_row AS SELECT u.id, u AS whole FROM users2 u;
  CREATE VIEW v_func AS SELECT id, f.card AS fc FROM users2, LATERAL (SELECT users2.card || '' AS card) f;
  CREATE VIEW v_agg AS SELECT count(*) AS n, string_agg(card, '/') AS all_cards FROM users2;
  CREATE VIEW v_cte AS WITH q AS (SELECT id, ssn AS s FROM users2) SELECT id, s AS renamed FROM q;
  CREATE VIEW v_clean AS SELECT id, label, amount FROM plain;
  CREATE MATERIALIZED VIEW mv AS SELECT id, card, reverse(ssn) AS backwards FROM users2;
  CREATE FUNCTION f_card(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT card FROM users2 WHERE id = $1';
  CREATE FUNCTION f_plain(int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT card FROM users2 WHERE id = $1); END $$;
  CREATE FUNCTION f_setof() RETURNS SETOF users LANGUAGE sql STABLE AS 'SELECT * FROM ONLY users';
  CREATE FUNCTION f_tab() RETURNS TABLE (a int, b text) LANGUAGE sql STABLE AS 'SELECT id, card FROM users2';
  CREATE FUNCTION f_out(IN k int, OUT a text, OUT b text) LANGUAGE sql STABLE AS 'SELECT left(card, 8), right(card, 8) FROM users2 WHERE id = k';
  CREATE FUNCTION f_cursor() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE r refcursor := 'rr'; BEGIN OPEN r FOR SELECT card AS q FROM users2 WHERE id = 1; RETURN r; END $$;
  CREATE FUNCTION leak2(users2) RETURNS text LANGUAGE sql STABLE AS 'SELECT reverse($1.card)';
  CREATE FUNCTION leak3(part) RETURNS text LANGUAGE sql STABLE AS 'SELECT reverse(max(card)) FROM users2';
  CREATE FUNCTION leak4(plain) RETURNS text LANGUAGE sql STABLE AS 'SELECT reverse(max(card)) FROM users2';
  CREATE PROCEDURE p_say() LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', (SELECT reverse(card) FROM users2 WHERE id = 1); END $$;
  CREATE PROCEDURE p_out(INOUT a text) LANGUAGE plpgsql AS $$ BEGIN a := (SELECT reverse(card) FROM users2 WHERE id = 1); END $$;
`;

/** Whose rows are put back after an attempt. Order: who is referred to stands first. */
export const BASE_TABLES = [
  'users',
  'kid',
  'users2',
  'orders',
  'part',
  'comp',
  'dom',
  'gen',
  'strict',
  'refers',
  'docs',
  'bin',
  'arr',
  'ext',
  'typed',
  'nums',
  'plain',
  'notes',
  'vault',
  'inbox',
] as const;

/** Parts of the lab that older releases do not have, and the first that has them. */
const NEWER: readonly (readonly [part: string, since: number])[] = [[VIRTUAL, 18]];

export type Lab = {
  readonly database: string;
  readonly canaries: Canaries;
  /** `15` */
  readonly release: number;
};

/** Creates both roles, once for a server. */
export async function createRoles(server: TestPostgres): Promise<void> {
  await withClient(server.url('postgres'), async (client) => {
    for (const { user, password } of [OWNER, APP])
      await client.query(`CREATE ROLE ${user} LOGIN PASSWORD '${password}'`);
    await client.query(`ALTER ROLE ${APP.user} REPLICATION`); // so that a start-up with `replication` shows what it would give
  });
}

/** Creates the database with its extensions, tables and rows. @param salt another one gives other values */
export async function createLab(server: TestPostgres, database: string, salt: string): Promise<Lab> {
  const canaries = new Canaries(salt);
  const release = await withClient(server.url('postgres'), async (client) => {
    await client.query(`CREATE DATABASE ${database} OWNER ${OWNER.user}`);
    return Math.floor((await client.query('SHOW server_version_num')).rows[0].server_version_num / 10_000);
  });
  const tables = NEWER.reduce((all, [part, since]) => (release < since ? all.replace(part, '') : all), TABLES);
  await withClient(server.url(database), async (client) => {
    for (const name of EXTENSIONS) await client.query(`CREATE EXTENSION ${name}`);
    await client.query(`GRANT CREATE ON SCHEMA public TO ${OWNER.user}`);
  });
  await withClient(server.url(database, OWNER.user, OWNER.password), async (client) => {
    await client.query(tables);
    await fill(client, canaries);
    await client.query(`
      REFRESH MATERIALIZED VIEW mv;
      ANALYZE;
      COMMENT ON COLUMN users.name IS 'as on the passport';
      GRANT USAGE, CREATE ON SCHEMA public TO ${APP.user};
      GRANT ALL ON ALL TABLES IN SCHEMA public TO ${APP.user};
      GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${APP.user};`);
  });
  await withClient(server.url(database), async (client) => {
    await client.query(`
      ALTER TABLE vault OWNER TO ${APP.user};
      ALTER TABLE inbox OWNER TO ${APP.user};
      CREATE SCHEMA app_s AUTHORIZATION ${APP.user};
      CREATE SCHEMA tenant;
      CREATE TABLE tenant.typed (chars varchar(30));
      CREATE TABLE tenant.users2 (label text);
      INSERT INTO tenant.typed VALUES ('of no interest');
      GRANT USAGE ON SCHEMA tenant TO ${APP.user};
      GRANT SELECT ON ALL TABLES IN SCHEMA tenant TO ${APP.user};
      CREATE SCHEMA saved;`);
    for (const table of BASE_TABLES)
      await client.query(`CREATE TABLE saved.${table} AS SELECT * FROM ONLY ${table === 'part' ? 'part1' : table}`);
    await client.query('INSERT INTO saved.part SELECT * FROM part2');
  });
  return { database, canaries, release };
}

const COLUMN_TYPES = { card: 'card', ssn: 'ssn', email: 'email', number: 'number' } as const;

async function fill(client: pg.Client, canaries: Canaries): Promise<void> {
  /** `$card`, `$ssn`, … in a template become a fresh canary of that kind, quoted unless in `#number`. */
  const insert = async (table: string, columns: string, rows: readonly (readonly string[])[]) => {
    const names = columns.split(', ');
    for (const [at, row] of rows.entries()) {
      const values = row.map((value, column) =>
        value.replace(/<(card|ssn|email|number)(\d?)>/g, (_, kind: keyof typeof COLUMN_TYPES, copy: string) =>
          canaries.make(COLUMN_TYPES[kind], `${table}.${names[column]}${copy}#${at + 1}`),
        ),
      );
      await client.query(`INSERT INTO ${table} (${columns}) VALUES (${values.join(', ')})`);
    }
  };
  const person = (id: number, name: string) => [
    `${id}`,
    `'${name}'`,
    "'<card>'",
    "'<ssn>'",
    "'<email>'",
    '<number>',
    "'n'",
    `${id}`,
    "'2024-05-01'",
  ];
  await insert('users', 'id, name, card, ssn, email, secret_no, note, pad, joined', [
    person(1, 'Ada'),
    person(2, 'Bruno'),
    person(3, 'Chiara'),
  ]);
  await insert('kid', 'id, name, card, ssn, email, secret_no, note, pad, joined, age', [[...person(99, 'Kit'), '7']]);
  await insert('users2', 'id, card, ssn, note, n', [
    ['1', "'<card>'", "'<ssn>'", "'first'", '10'],
    ['2', "'<card>'", "'<ssn>'", "'second'", '20'],
  ]);
  await insert(
    'orders',
    'id, user_id, total, status, card, placed',
    [1, 2, 3, 4].map((id) => [
      `${id}`,
      `${1 + (id % 3)}`,
      `'${id}0.50'`,
      id % 2 ? "'paid'" : "'open'",
      "'<card>'",
      `'2024-0${id}-10 12:00+00'`,
    ]),
  );
  await insert('part', 'id, card, region', [
    ['1', "'<card>'", "'eu'"],
    ['101', "'<card>'", "'us'"],
  ]);
  await insert('comp', 'id, person, label', [
    ['1', "ROW('Ada', '<card>')", "'one'"],
    ['2', "ROW('Bruno', '<card>')", "'two'"],
  ]);
  await insert('dom', 'id, c, label', [
    ['1', "'<card>'", "'one'"],
    ['2', "'<card>'", "'two'"],
  ]);
  await insert('gen', 'id, card', [
    ['1', "'<card>'"],
    ['2', "'<card>'"],
  ]);
  await insert('strict', 'id, card, ssn, qty, span', [
    ['1', "'<card>'", "'<ssn>'", '1', "'[1,5)'"],
    ['2', "'<card>'", "'<ssn>'", '2', "'[1,5)'"],
  ]);
  await client.query("INSERT INTO refers SELECT id, card, 'r' FROM strict");
  await insert('docs', 'id, doc, docj, docx, label', [
    [
      '1',
      '\'{"card": "<card>", "list": ["<card2>"]}\'',
      '\'{"ssn": "<ssn>"}\'',
      "'<doc><c><card3></c></doc>'::xml",
      "'one'",
    ],
  ]);
  await insert('bin', 'id, blob, label', [['1', "convert_to('<card>', 'UTF8')", "'one'"]]);
  await insert('arr', 'id, cards, numbers, label', [
    ['1', "ARRAY['<card>', '<card2>']", 'ARRAY[<number>, <number2>]', "'one'"],
  ]);
  await insert('ext', 'id, tags, loose, label', [['1', "hstore('card', '<card>')", "'<card>'", "'one'"]]);
  await insert('typed', 'num, flt, bits, chars, fixed, bid, cash', [
    [
      '<number>',
      '<number>',
      '<number>::bigint::bit(64)',
      "'<card>'",
      "'<card>'",
      "lpad('<number>', 32, '0')::uuid",
      '(<number>::numeric / 100)::money',
    ],
  ]);
  await client.query('INSERT INTO nums SELECT n, n::text FROM generate_series(0, 9999) n');
  await client.query(
    `INSERT INTO plain SELECT i, 'label ' || i, i * 1.5, ARRAY['t' || i, 'all'], jsonb_build_object('k', i, 'deep', jsonb_build_object('x', 'v' || i)), '2024-01-01'::timestamptz + i * interval '1 day' FROM generate_series(1, 40) i`,
  );
  await client.query(`INSERT INTO notes (body, num, extra) SELECT 'note ' || i, i, '{}' FROM generate_series(1, 5) i`);
  await insert('vault', 'id, card, ssn, note', [
    ['1', "'<card>'", "'<ssn>'", "'v'"],
    ['2', "'<card>'", "'<ssn>'", "'w'"],
  ]);
  await client.query("INSERT INTO inbox VALUES (1, 'hello')");
}
