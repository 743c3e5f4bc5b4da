import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { debianPostgres, startPostgres, type TestPostgres } from '../../../../test/support/postgres.ts';
import { type Catalog, createCatalog } from './catalog.ts';
import { maskedOf } from './masked.ts';
import type { Made, Relation, Snapshot } from './snapshot.ts';

const RELEASES = [
  { name: 'PostgreSQL 18', bin: undefined },
  ...[15, 16, 17]
    .map((release) => ({ name: `PostgreSQL ${release}`, bin: debianPostgres(release) }))
    .filter(({ bin }) => bin !== undefined),
];

const TABLES = `
  create table users (id int primary key, name text, card text, ssn text, birth date, tags jsonb, secret_no bigint);
  create table orders (id int primary key, user_id int, total numeric, note text);
  create function echo(text) returns text language sql as 'select $1';
  create function echo_fixed(text) returns text language sql immutable as 'select $1';
  create table "odd ({"" names" (":expr" int, "a b" text, "[ 1" text, "x" text default E'({ \\\\ ": ]');
`;

/** View → its query, and what each column is made of: `relation.column`, `[…]` for from, `?` for opaque. */
const VIEWS: Readonly<Record<string, readonly [query: string, made: Readonly<Record<string, string>>]>> = {
  plain: ['select id, card from users', { id: 'users.id', card: 'users.card' }],
  renamed: ['select card as c, name as card from users', { c: 'users.card', card: 'users.name' }],
  over: ['select c as cc from renamed', { cc: 'renamed.c' }],
  star: [
    'select * from orders',
    { id: 'orders.id', user_id: 'orders.user_id', total: 'orders.total', note: 'orders.note' },
  ],
  computed: [
    `select upper(name) as u, card || ssn as both, 7 as seven, id + 1 as next,
      case when card like '4%' then 'visa' else name end as brand, '({ \\ ":'::text as text from users`,
    {
      u: '[users.name]',
      both: '[users.card users.ssn]',
      seven: '[]',
      next: '[users.id]',
      brand: '[users.card users.name]',
      text: '[]',
    },
  ],
  aggregate: [
    `select count(*) as n, count(card) as c, max(ssn) as m, array_agg(name order by card) as a,
      sum(id) filter (where ssn is not null) as f from users`,
    { n: '[]', c: '[users.card]', m: '[users.ssn]', a: '[users.card users.name]', f: '[users.id users.ssn]' },
  ],
  grouped: [
    'select card, upper(ssn) as s, count(*) as n from users group by card, upper(ssn)',
    { card: 'users.card', s: '[users.ssn]', n: '[]' },
  ],
  sets: [
    'select id, name as x, 1 as y from users union select id, note, 2 from orders union all (select 1, card, 3 from users limit 1)',
    { id: '[orders.id users.id]', x: '[orders.note users.card users.name]', y: '[]' },
  ],
  cte: [
    'with q as (select id, card as k from users), r as (select reverse(k) as z, id from q) select q.k, r.z from q join r using (id)',
    { k: 'users.card', z: '[users.card]' },
  ],
  recursive: [
    `with recursive q(n, z) as (select id, card from users union all select n + 1, z || 'x' from q where n < 2) select n, z from q`,
    { n: '[users.id]', z: '[users.card]' },
  ],
  using_join: [
    'select id, u.card || o.note as x from users u full join orders o using (id)',
    { id: '[orders.id users.id]', x: '[orders.note users.card]' },
  ],
  nested: [
    'select z, length(w) as l from (select card as z, ssn || name as w from users offset 0) s',
    { z: 'users.card', l: '[users.name users.ssn]' },
  ],
  lateral_rows: [
    'select x.z, g.n, e.value from users u, lateral (select u.card || u.name as z) x, generate_series(1, u.id) g(n), jsonb_each_text(u.tags) e',
    { z: '[users.card users.name]', n: '[users.id]', value: '[users.tags]' },
  ],
  listed: [
    'select v.a, v.b from users u, lateral (values (u.card, 1), (u.name, 2)) v(a, b)',
    { a: '[users.card users.name]', b: '[users.card users.name]' },
  ],
  sublink: [
    `select o.id, (select u.card from users u where u.id = o.user_id) as c, exists (select * from users u where u.id = o.user_id) as e,
      o.id in (select id from users) as i from orders o`,
    {
      id: 'orders.id',
      c: '[orders.user_id users.card users.id]',
      e: '[orders.user_id users.id]',
      i: '[orders.id users.id]',
    },
  ],
  windowed: [
    'select rank() over (order by card) as r, lag(name) over (partition by id) as l from users',
    { r: '[users.card users.id]', l: '[users.card users.id users.name]' },
  ],
  whole: [
    'select row_to_json(u)::text as j, u as r, id, ctid as place from users u',
    { j: '?', r: '?', id: 'users.id', place: '[]' },
  ],
  user_code: [
    'select echo(name) as e, upper(name) as u, echo(o.note) as o from users u, orders o',
    { e: '?', u: '[users.name]', o: '?' },
  ],
  odd: [
    'select ":expr", "a b" as ":resorigtbl", "[ 1" || x as "{(" from "odd ({"" names" as ":relid"',
    { ':expr': 'odd ({" names.:expr', ':resorigtbl': 'odd ({" names.a b', '{(': '[odd ({" names.[ 1 odd ({" names.x]' },
  ],
  activity: [
    'select query, pid from pg_stat_activity',
    { query: 'pg_stat_activity.query', pid: 'pg_stat_activity.pid' },
  ],
  activity_function: ['select a.query from pg_stat_get_activity(null) a', { query: '[pg_stat_activity.query]' }],
};

const SPREAD = `
  create materialized view mat as select card as k, upper(ssn) as s, count(*) as n from users group by 1, 2;
  create table parent (id int, card text) partition by range (id);
  create table part partition of parent for values from (0) to (10);
  create table base (id int, plain text);
  create table heir (card text, plain_too text) inherits (base);
  create table heirs_heir () inherits (heir);
  alter table heir add column ssn text;
  create table gen (id int, card text, up text generated always as (upper(card)) stored, twice int generated always as (id * 2) stored,
    fixed text generated always as (echo_fixed(id::text)) stored);
  create type pair as (u users, n int);
  create type loose as (a int, b text);
  create domain user_domain as users;
  create table holder (id int, u users, many users[], p pair, ps pair[], d user_domain, l loose);
  create view clean_code as select echo(note) as e, note from orders;
  create view clean_whole as select row_to_json(o)::text as j, note from orders o;
  create view hidden_whole as select row_to_json(o)::text as j, o.note from orders o, plain p;
`;

for (const { name, bin } of RELEASES) {
  describe(`what columns are made of, ${name}`, () => {
    let server: TestPostgres;
    let catalog: Catalog;
    let snapshot: Snapshot;

    const relation = (wanted: string): Relation => {
      const found = snapshot.all.find((one) => one.name === wanted && one.schema !== 'information_schema');
      assert.ok(found, wanted);
      return found;
    };
    const columnName = (oid: number, number: number): string => {
      const of = snapshot.relationOf(oid);
      const column = [...(of?.columns?.values() ?? [])].find((one) => one.number === number);
      return `${of?.name}.${column?.name}`;
    };
    const shown = (made: Made | undefined): string => {
      if (made === undefined) return 'stored';
      if (made.kind === 'opaque') return '?';
      if (made.kind === 'same') return columnName(made.of.relation, made.of.column);
      return `[${made.of
        .map((source) => columnName(source.relation, source.column))
        .sort()
        .join(' ')}]`;
    };
    const madeOf = (wanted: string): Record<string, string> => {
      const { columns, made } = relation(wanted);
      return Object.fromEntries([...(columns?.values() ?? [])].map((one) => [one.name, shown(made.get(one.number))]));
    };
    const maskedIn = (...names: string[]) => {
      const masked = maskedOf(snapshot, {
        hasColumns: true,
        maskOf: (_schema, _table, column) =>
          ['card', 'ssn'].includes(column) ? { kind: column === 'card' ? 'last4' : 'hash' } : undefined,
      });
      return Object.fromEntries(
        names.map((wanted) => {
          const { oid, columns } = relation(wanted);
          const of = masked.of(oid);
          const hidden = [...(columns?.values() ?? [])].filter((one) => of?.has(one.number));
          return [wanted, Object.fromEntries(hidden.map((one) => [one.name, of?.get(one.number)?.kind]))];
        }),
      );
    };

    before(async () => {
      server = await startPostgres({ bin });
      const client = new pg.Client(server.url('postgres'));
      await client.connect();
      await client.query(TABLES);
      for (const [view, [query]] of Object.entries(VIEWS)) await client.query(`create view ${view} as ${query}`);
      await client.query(SPREAD);
      if (name === 'PostgreSQL 18')
        await client.query('create table virtual (card text, v text generated always as (reverse(card)))');
      await client.end();
      catalog = createCatalog({
        connect: async () => {
          const side = new pg.Client(server.url('postgres'));
          await side.connect();
          return side;
        },
      });
      snapshot = await catalog.refresh();
    });
    after(async () => {
      await catalog?.close();
      await server?.stop();
    });

    for (const [view, [, expected]] of Object.entries(VIEWS)) {
      it(`view ${view}`, () => assert.deepEqual(madeOf(view), expected));
    }

    it('materialised views and generated columns', () => {
      assert.deepEqual(madeOf('mat'), { k: 'users.card', s: '[users.ssn]', n: '[]' });
      const { up, twice, fixed } = madeOf('gen');
      assert.deepEqual({ up, twice, fixed }, { up: '[gen.card]', twice: '[gen.id]', fixed: '?' });
      if (name === 'PostgreSQL 18') assert.equal(madeOf('virtual').v, '[virtual.card]');
    });

    it('a mask follows a column through views, and anything computed of it is redacted', () => {
      assert.deepEqual(
        maskedIn('plain', 'renamed', 'over', 'computed', 'aggregate', 'sets', 'cte', 'mat', 'whole', 'star'),
        {
          plain: { card: 'last4' },
          renamed: { c: 'last4', card: 'last4' },
          over: { cc: 'last4' },
          computed: { both: 'redact', brand: 'redact' },
          aggregate: { c: 'redact', m: 'redact', a: 'redact', f: 'redact' },
          sets: { x: 'redact' },
          cte: { k: 'last4', z: 'redact' },
          mat: { k: 'last4', s: 'redact' },
          whole: { j: 'redact', r: 'redact' },
          star: {},
        },
      );
    });

    it('code nobody knows makes a column that is masked; a whole row only where the view looks at masked columns', () => {
      assert.deepEqual(maskedIn('clean_code', 'clean_whole', 'hidden_whole', 'user_code'), {
        clean_code: { e: 'redact' },
        clean_whole: {},
        hidden_whole: { j: 'redact' },
        user_code: { e: 'redact', o: 'redact' },
      });
    });

    it('partitions and heirs are masked both ways, by name', () => {
      const masked = maskedOf(snapshot, {
        hasColumns: true,
        maskOf: (_schema, table, column) =>
          ['part.card', 'heir.card', 'heirs_heir.plain'].includes(`${table}.${column}`) ? { kind: 'last4' } : undefined,
      });
      const formats = (wanted: string) =>
        [...(masked.of(relation(wanted).oid)?.values() ?? [])].map(({ kind }) => kind);
      assert.deepEqual(formats('parent'), ['last4']);
      assert.deepEqual(formats('base'), ['last4']);
      assert.deepEqual(formats('heirs_heir'), ['last4', 'last4']);
    });

    it('generated columns, and columns that hold rows of a masked table', () => {
      assert.deepEqual(maskedIn('gen', 'holder'), {
        gen: { card: 'last4', up: 'redact', fixed: 'redact' },
        holder: { u: 'redact', many: 'redact', p: 'redact', ps: 'redact', d: 'redact' },
      });
    });

    it('PostgreSQL’s own columns that show values, and views of them', () => {
      assert.deepEqual(maskedIn('pg_stat_activity', 'activity', 'activity_function', 'pg_class', 'pg_cursors'), {
        pg_stat_activity: { query: 'redact' },
        activity: { query: 'redact' },
        activity_function: { query: 'redact' },
        pg_class: {},
        pg_cursors: { statement: 'redact' },
      });
      assert.ok('most_common_vals' in (maskedIn('pg_stats').pg_stats ?? {}));
    });

    it('columns of system relations are known, with number and type', () => {
      const column = relation('pg_class').columns?.get('relname');
      assert.deepEqual(column, { name: 'relname', number: 2, notNull: true, type: 19 });
    });

    it('a relation nobody has seen is not known', () => {
      const masked = maskedOf(snapshot, { hasColumns: true, maskOf: () => undefined });
      assert.equal(masked.knows(relation('users').oid), true);
      assert.equal(masked.knows(1_259), true);
      assert.equal(masked.knows(4_000_000), false);
    });

    it('functions that return sets say so', () => {
      assert.equal(
        snapshot.functions('generate_series').every(({ set }) => set),
        true,
      );
      assert.equal(
        snapshot.functions('upper').some(({ set }) => set),
        false,
      );
    });
  });
}
