/** The same values by other roads of the protocol: binary, undescribed, prepared, cursors, pipelines, start-up. */
import * as build from '../../../gateway/listeners/postgres/builders.ts';
import { type Attack, bySecond, extended, raw, say, simple } from '../attack.ts';
import { bindTo } from '../speak.ts';

const id1 = 'from users2 where id=1';

const binary = extended(
  'binary results',
  [
    ['129 int8', 'select secret_no as k, secret_no+0 as k2 from users where id=1'],
    ['130 text', 'select reverse(card) from users2'],
    ['131 numeric', 'select secret_no::numeric from users'],
    ['132 int8 array', 'select array_agg(card::int8) as k2 from users2 where id=1'],
    ['133 float8', 'select secret_no::float8 from users'],
    ['bytea', 'select card::bytea from users2'],
    ['bytea column', 'select blob from bin'],
    ['bit', 'select secret_no::bit(64) from users where id=1'],
    ['money', 'select (secret_no / 100.0)::numeric::money from users where id=1'],
    ['jsonb', 'select to_jsonb(u) from users2 u'],
    ['record', 'select u from users2 u'],
    ['row of number', 'select row(secret_no, 1) from users'],
    ['composite column', 'select person from comp'],
    ['array column', 'select cards, numbers from arr'],
    ['range', 'select int8range(secret_no, null) from users'],
    ['timestamp', "select timestamptz '2000-01-01' + secret_no / 1e6 * interval '1 second' from users where id=1"],
    ['interval', "select secret_no / 1e6 * interval '1 second' from users where id=1"],
    ['uuid', "select lpad(card, 32, '0')::uuid from users2"],
    ['int4 halves', 'select left(card,8)::int4, right(card,8)::int4 from users2 where id=1'],
    [
      'int2 quarters',
      'select substr(card,1,4)::int2, substr(card,5,4)::int2, substr(card,9,4)::int2, substr(card,13,4)::int2 from users2 where id=1',
    ],
    ['xid8', 'select card::xid8 from users2 where id=1'],
    ['name', 'select card::name from users2'],
    ['char', 'select substr(card,i,1)::"char" from users2, generate_series(1,16) i where id=1 order by i'],
    ['hstore', 'select tags from ext'],
    ['typed columns', 'select num + 1 - 1, flt + 0, bits | bits, chars || chars from typed'],
    ['view', 'select c3, s2 from v_users'],
    ['function', 'select f_card(1)'],
    ['pg_lsn', "select '0/0'::pg_lsn + card::numeric from users2 where id=1"],
    ['point', 'select point(left(card,8)::float, right(card,8)::float) from users2 where id=1'],
    ['bool bits', 'select ((secret_no >> i) & 1) = 1 from users, generate_series(63,0,-1) i where id=1'],
    ['tsvector', "select to_tsvector('simple', card) from users2"],
  ],
  { binary: true },
);

const undescribed = [
  ...extended(
    'without a Describe',
    [
      ['134 text', `select reverse(card) ${id1}`],
      ['plain column', 'select card from users2'],
      ['whole row', 'select * from users2'],
      ['attribute', 'select u.to_jsonb from users2 u'],
      ['returning', "update users2 set n = n returning card || ''"],
      ['copy', 'copy users2 to stdout'],
      ['fetch', 'select card::varchar from users2'],
    ],
    { describe: 'none' },
  ),
  ...extended(
    'without a Describe',
    [
      ['binary number', 'select secret_no from users'],
      ['binary text', 'select card from users2'],
      ['binary array', 'select numbers from arr'],
    ],
    { describe: 'none', binary: true },
  ),
  ...extended('without a Describe', [['statement described', 'select upper(o.card), secret_no from orders o, users']], {
    describe: 'statement',
  }),
  ...extended(
    'without a Describe',
    [['in pieces', 'select substr(card,i,1) from users2, generate_series(1,16) i where id=1 order by i']],
    { describe: 'none', fetch: 1 },
  ),
];

const paramsOf = (id: string, sql: string, ...params: string[]): Attack => ({
  id,
  technique: 'parameters',
  steps: [{ sql, protocol: 'extended', params }],
});
const parameters = [
  paramsOf('substr', 'select substr(card, $1::int, $2::int), substr(card, 9) from users2 where id = 1', '1', '8'),
  paramsOf('concat', 'select card || $1 from users2', ''),
  paramsOf('offset', 'select right(card, 17 - $1::int) from users2', '1'),
  paramsOf('translate', 'select translate(card, $1, $2) from users2', '0123456789', 'abcdefghij'),
  paramsOf('nullif', 'select nullif(card, $1) from users2', 'x'),
  paramsOf('case', 'select case when $1::int = 1 then card end from users2', '1'),
  paramsOf('format', 'select format($1, card) from users2', 'c %s'),
  paramsOf('jsonb path', 'select jsonb_path_query(to_jsonb(u), $1::jsonpath) from users2 u', '$.card'),
  paramsOf('json key', 'select to_jsonb(u) -> $1 from users2 u', 'card'),
  paramsOf('array index', 'select (array[note, card])[$1::int] from users2', '2'),
  paramsOf('xml of a text', 'select query_to_xml($1, true, false, $2)', 'select card from users2', ''),
  paramsOf('regclass', 'select table_to_xml($1::regclass, true, false, $2)', 'users2', ''),
  paramsOf('key', 'select (json_build_object($1::text, card))::text from users2', 'k'),
  paramsOf('limit', 'select reverse(card) from users2 limit $1', '1'),
  paramsOf('error', 'select (card || $1)::int from users2', 'x'),
  paramsOf('returning', 'update users2 set note = card || $1 where id = $2 returning note', '.', '1'),
];

const prepared: readonly Attack[] = [
  ...simple('prepared statements and cursors', [
    ['prepare/execute', 'prepare p1 as select card as zz from users2', 'execute p1'],
    ['prepare expression', 'prepare p2 as select reverse(card) from users2', 'execute p2'],
    ['prepare with a parameter', 'prepare p3(int) as select substr(card, $1) from users2', 'execute p3(1)'],
    [
      'prepare value from a sublink',
      'prepare p4(text) as select $1',
      'execute p4((select 1)::text)',
      'prepare p5(text) as select $1 || (select card from users2 where id=1)',
      "execute p5('')",
    ],
    ['prepare dml', 'prepare p6 as update users2 set note = card returning note', 'execute p6'],
    ['prepare and explain', 'prepare p7 as select card::int from users2', 'explain analyze execute p7'],
    ['118 cursor', `begin; declare cc cursor for select reverse(card) ${id1}; fetch all from cc; commit`],
    [
      'cursor plain',
      'begin',
      'declare c1 cursor for select card as zz from users2',
      'fetch 1 from c1',
      "declare c2 cursor for select card || '' from users2",
      'fetch all c2',
      'rollback',
    ],
    ['cursor with hold', 'declare ch cursor with hold for select upper(card) from users2', 'fetch all from ch'],
    [
      'cursor scroll back',
      'begin',
      'declare cs scroll cursor for select substr(card,i,1) from users2, generate_series(1,16) i where id=1 order by i',
      'move all from cs',
      'fetch backward all from cs',
      'rollback',
    ],
    [
      'cursor absolute',
      'begin',
      'declare cs scroll cursor for select substr(card,i*4-3,4) from users2, generate_series(1,4) i where id=1 order by i',
      ...[4, 3, 2, 1].map((at) => `fetch absolute ${at} from cs`),
      'rollback',
    ],
    [
      'cursor binary',
      'begin',
      'declare cb binary cursor for select secret_no, secret_no + 0 from users',
      'fetch all from cb',
      'rollback',
    ],
    ['cursor over a view', 'begin', 'declare cv cursor for select c3 from v_users', 'fetch all from cv', 'rollback'],
    [
      'cursor renamed by another',
      'begin',
      "declare cx cursor for select 'x'",
      'close cx',
      'declare cx cursor for select ssn::varchar from users2',
      'fetch all cx',
      'rollback',
    ],
    [
      'cursor after a failed redeclare',
      'begin',
      'declare cy cursor for select reverse(card) from users2',
      'savepoint s',
      "declare cy cursor for select 'x'",
      'rollback to s',
      'fetch all cy',
      'rollback',
    ],
    ['cursor from a function', 'begin; select f_cursor(); fetch all from rr; rollback'],
    [
      'prepare after a failed prepare',
      'prepare q as select card::varchar from users2',
      "prepare q as select 'x'",
      'execute q',
    ],
    [
      'deallocate in a failed transaction',
      "prepare q as select 'x'",
      'begin',
      'deallocate q',
      'prepare q as select card::varchar from users2',
      'rollback',
      'execute q',
    ],
    ['138 several statements', `select 1; select reverse(card) ${id1}; select 2`],
    ['139 comments', `select /* ; */ reverse/**/(card) -- x\n ${id1}`],
    ['140 dollar quotes', `select $a$x$a$ || card ${id1}`],
    ['several with a transaction', `begin; select 1; select upper(card) from users2; commit`],
    ['after an error', 'select 1/0', `select reverse(card) ${id1}`],
    [
      'in a failed transaction',
      'begin',
      'savepoint s',
      'select 1/0',
      'rollback to s',
      `select reverse(card) ${id1}`,
      'rollback',
    ],
  ]),
  {
    id: 'protocol statement, SQL execute',
    technique: 'prepared statements and cursors',
    steps: [raw([build.parse('s1', `select reverse(card) ${id1}`), build.sync()]), say('execute s1')],
  },
  {
    id: 'SQL prepare, protocol bind',
    technique: 'prepared statements and cursors',
    steps: [
      say(`prepare s2 as select reverse(card) ${id1}`),
      raw([bindTo('', 's2', [], false), build.execute(''), build.sync()]),
    ],
  },
  {
    id: 'described, then parsed anew under the same name',
    technique: 'prepared statements and cursors',
    steps: [
      raw([build.parse('s3', 'select label from plain'), build.describe('S', 's3'), build.sync()]),
      raw([
        build.close('S', 's3'),
        build.parse('s3', 'select card::varchar from users2'),
        bindTo('', 's3', [], false),
        build.execute(''),
        build.sync(),
      ]),
    ],
  },
  {
    id: 'parsed anew, the parse failing',
    technique: 'prepared statements and cursors',
    steps: [
      raw([build.parse('s4', 'select upper(card) from users2'), build.sync()]),
      raw([build.parse('s4', 'select 1'), build.sync()]),
      raw([bindTo('', 's4', [], false), build.describe('P', ''), build.execute(''), build.sync()]),
    ],
  },
  {
    id: 'portal described before another took its name',
    technique: 'prepared statements and cursors',
    steps: [
      raw([
        build.parse('a', 'select label from plain'),
        build.parse('b', 'select card::varchar from users2'),
        bindTo('p', 'a', [], false),
        build.describe('P', 'p'),
        build.close('P', 'p'),
        bindTo('p', 'b', [], true),
        build.execute('p'),
        build.sync(),
      ]),
    ],
  },
  {
    id: 'portal in parts',
    technique: 'prepared statements and cursors',
    steps: [
      raw([
        build.parse('', 'select substr(card,i,1) from users2, generate_series(1,16) i where id=1 order by i'),
        bindTo('p', '', [], false),
        build.execute('p', 3),
        build.execute('p', 5),
        build.execute('p', 0),
        build.sync(),
      ]),
    ],
  },
  {
    id: 'portal fetched by SQL',
    technique: 'prepared statements and cursors',
    steps: [
      say('begin'),
      raw([build.parse('', 'select reverse(card) from users2'), bindTo('pp', '', [], false), build.sync()]),
      say('fetch all from pp'),
      say('rollback'),
    ],
  },
  {
    id: 'cursor executed as a portal',
    technique: 'prepared statements and cursors',
    steps: [
      say('begin'),
      say('declare dd cursor for select reverse(card) from users2'),
      raw([build.describe('P', 'dd'), build.execute('dd'), build.sync()]),
      say('rollback'),
    ],
  },
  {
    id: 'pipeline',
    technique: 'prepared statements and cursors',
    steps: [
      raw([
        ...[
          'select 1',
          `select reverse(card) ${id1}`,
          'select ssn::varchar from users2',
          'select label from plain limit 1',
        ].flatMap((sql) => [build.parse('', sql), bindTo('', '', [], false), build.execute('')]),
        build.sync(),
      ]),
    ],
  },
  {
    id: 'pipeline with queries between',
    technique: 'prepared statements and cursors',
    steps: [
      raw(
        [
          build.query('select 1'),
          build.parse('', 'select label from plain limit 1'),
          build.describe('S', ''),
          build.sync(),
          build.query(`select reverse(card) ${id1}`),
          build.query('select 2'),
        ],
        4,
      ),
    ],
  },
  {
    id: 'mixed formats',
    technique: 'prepared statements and cursors',
    steps: [
      raw([
        build.parse('', 'select card, secret_no, secret_no + 0 from users'),
        mixed(),
        build.describe('P', ''),
        build.execute(''),
        build.sync(),
      ]),
    ],
  },
  {
    id: 'bound twice in other formats',
    technique: 'prepared statements and cursors',
    steps: [
      raw([
        build.parse('m', 'select secret_no + 0 from users'),
        bindTo('x', 'm', [], false),
        bindTo('y', 'm', [], true),
        build.describe('P', 'x'),
        build.execute('y'),
        build.execute('x'),
        build.sync(),
      ]),
    ],
  },
  {
    id: 'cursor held by another session',
    technique: 'prepared statements and cursors',
    steps: [bySecond('declare ch cursor with hold for select upper(card) from users2'), bySecond('fetch all from ch')],
  },
];

/** Result formats text, binary, binary. */
function mixed(): Buffer {
  const texts = build.bind('', '');
  const body = Buffer.concat([texts.subarray(0, texts.length - 2), Buffer.from([0, 3, 0, 0, 0, 1, 0, 1])]);
  body.writeUInt32BE(body.length - 1, 1);
  return body;
}

export const PROTOCOL: readonly Attack[] = [...binary, ...undescribed, ...parameters, ...prepared];
