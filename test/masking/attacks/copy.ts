/** COPY, both ways and in every format. */
import { say, simple } from '../attack.ts';

const id1 = 'from users2 where id=1';
const one = `(select card ${id1})`;

const copyOut = simple('COPY', [
  ['122 copy table', 'copy users2 to stdout'],
  ['123 copy expression', `copy (select reverse(card) ${id1}) to stdout`],
  ['124 copy columns', 'copy users2 (ssn) to stdout'],
  ['125 copy csv', 'copy users2 (id, card) to stdout (format csv, header)'],
  ['126 copy binary', `copy (select card::bigint ${id1}) to stdout (format binary)`],
  ['127 copy binary text', 'copy users2 to stdout (format binary)'],
  [
    '128 copy delimiter',
    "copy users2 (card) to stdout (delimiter '4')",
    "copy (select regexp_replace(card, '(.)', '\\1,', 'g') from users2) to stdout (format csv, force_quote *, quote '''')",
  ],
  ['copy null', "copy (select nullif(card, ''), null from users2) to stdout (null 'x')"],
  ['copy returning', "copy (update users2 set n = n returning card || '') to stdout"],
  ['copy delete returning', 'copy (delete from users2 returning reverse(card)) to stdout'],
  ['copy with', 'copy (with q as (select card k from users2) select k from q) to stdout'],
  ['copy table command', 'copy (table users2) to stdout'],
  ['copy values', `copy (values (${one})) to stdout`],
  ['copy view', 'copy (select * from v_expr) to stdout'],
  ['copy function', 'copy (select f_card(1)) to stdout'],
  ['copy json', 'copy (select row_to_json(u) from users2 u) to stdout'],
  ['copy partitions', 'copy (select * from part) to stdout', 'copy part1 to stdout'],
  ['copy matview', 'copy (select * from mv) to stdout'],
  ['copy encoding', "copy users2 (card) to stdout (encoding 'EUC_JP')"],
  [
    'copy utf-16 like',
    "copy (select translate(card,'0123456789','０１２３４５６７８９') from users2) to stdout (encoding 'UTF8')",
  ],
  ['copy old syntax', 'copy users2 to stdout with csv header', 'copy binary users2 to stdout'],
  ['copy bytea', 'copy (select card::bytea from users2) to stdout'],
  ['copy array', 'copy (select array_agg(card) from users2) to stdout'],
  ['copy two', 'copy (select 1) to stdout; copy (select card from users2) to stdout'],
]);

const copyIn = [
  {
    id: 'copy in error',
    steps: [say('copy nums (n) from stdin', { copy: 'x\n' }), say(`select (${one} || 'x')::int`)],
  },
  {
    id: 'copy in then read',
    steps: [
      say('create temp table ci (a int, b text default f_card(1))'),
      say('copy ci (a) from stdin', { copy: '1\n' }),
      say('table ci'),
    ],
  },
  {
    id: 'copy in where',
    steps: [
      say('create temp table ci (a int, b text default f_card(1))'),
      say('copy ci (a) from stdin where b::int = 1', { copy: '1\n' }),
    ],
  },
  {
    id: 'copy in with a trigger',
    steps: [
      say(
        "create function app_s.tf() returns trigger language plpgsql as $$ begin raise notice '%', (select card from users2 where id=1); return new; end $$",
      ),
      say('create trigger tt before insert on inbox for each row execute function app_s.tf()'),
      say('copy inbox from stdin', { copy: '40\tx\n' }),
    ],
  },
  {
    id: 'copy in duplicates',
    steps: [
      say(`create temp table k (x text unique)`),
      say(`insert into k select card ${id1}`),
      say(`update k set x = x`),
      say(`insert into k select card ${id1}`),
      say('copy k from stdin', { copy: 'a\na\n' }),
    ],
  },
  {
    id: 'copy in default',
    steps: [
      say(`create temp table ci (a int, b text default f_card(1))`),
      say("copy ci from stdin (default '\\D')", { copy: '1\t\\D\n' }),
      say('select b from ci'),
    ],
  },
].map((attack) => ({ technique: 'COPY', ...attack }));

export const COPY = [...copyOut, ...copyIn];
