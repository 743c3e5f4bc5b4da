/** The session's frame moved: encodings, string syntax, search path, start-up parameters; calls past SQL. */
import { type Attack, raw, say, simple } from '../attack.ts';

const id1 = 'from users2 where id=1';

/** FunctionCall with text arguments; `table_to_xml(regclass, boolean, boolean, text)` is 2923, `query_to_xml` 2924. */
function functionCall(oid: number, args: readonly string[]): Buffer {
  const int16 = (value: number) => Buffer.from([value >> 8, value & 255]);
  const int32 = (value: number) => {
    const out = Buffer.alloc(4);
    out.writeInt32BE(value);
    return out;
  };
  const body = Buffer.concat([
    int32(oid),
    int16(1),
    int16(0),
    int16(args.length),
    ...args.flatMap((arg) => [int32(Buffer.byteLength(arg)), Buffer.from(arg)]),
    int16(0),
  ]);
  return Buffer.concat([Buffer.from('F'), int32(body.length + 4), body]);
}

const SCS = `select 'x\\', reverse(card) ${id1} --' as z, reverse(ssn) q ${id1}`;
const FULL_WIDTH = `select translate(card,'0123456789',U&'\\FF10\\FF11\\FF12\\FF13\\FF14\\FF15\\FF16\\FF17\\FF18\\FF19') ${id1}`;

export const FRAME: readonly Attack[] = [
  {
    id: '135 function call: table_to_xml',
    technique: 'the session frame',
    steps: [raw([functionCall(2923, ['users2', 't', 'f', ''])])],
  },
  {
    id: '136 function call: query_to_xml',
    technique: 'the session frame',
    steps: [raw([functionCall(2924, ['select card from users2', 't', 'f', ''])])],
  },
  {
    id: '137 replication',
    technique: 'the session frame',
    startup: { replication: 'database' },
    steps: [say(`select reverse(card) ${id1}`)],
  },
  {
    id: '137 replication true',
    technique: 'the session frame',
    gives: 'nothing',
    startup: { replication: 'true' },
    steps: [say('IDENTIFY_SYSTEM')],
  },
  {
    id: '141 standard_conforming_strings',
    technique: 'the session frame',
    steps: [say('set standard_conforming_strings=off'), say(SCS)],
  },
  {
    id: '141 in one text',
    technique: 'the session frame',
    steps: [say(`set standard_conforming_strings=off; select 1`), say(SCS)],
  },
  {
    id: '141 set_config',
    technique: 'the session frame',
    steps: [say("select set_config('standard_conforming_strings', 'off', false)"), say(SCS)],
  },
  {
    id: '141 by options',
    technique: 'the session frame',
    startup: { options: '-c standard_conforming_strings=off' },
    steps: [say(SCS)],
  },
  {
    id: '141 by a start-up parameter',
    technique: 'the session frame',
    startup: { standard_conforming_strings: 'off' },
    steps: [say(SCS)],
  },
  {
    id: '141 in DO',
    technique: 'the session frame',
    steps: [say('do $$ begin set standard_conforming_strings = off; end $$'), say(SCS)],
  },
  ...['SJIS', 'EUC_JP', 'GB18030', 'GBK'].map(
    (encoding): Attack => ({
      id: `142 client_encoding ${encoding}`,
      technique: 'the session frame',
      steps: [say(`set client_encoding='${encoding}'`), say(FULL_WIDTH)],
      decoder: (evidence) =>
        evidence.results.flatMap(({ rows }) => rows.flatMap((row) => row.map((cell) => lowBytes(cell, encoding)))),
    }),
  ),
  {
    id: '142 client_encoding latin1',
    technique: 'the session frame',
    steps: [say("set names 'LATIN1'"), say(`select reverse(card) ${id1}`)],
  },
  {
    id: '142 by a start-up parameter',
    technique: 'the session frame',
    startup: { client_encoding: 'SJIS' },
    steps: [say(FULL_WIDTH)],
    decoder: (evidence) =>
      evidence.results.flatMap(({ rows }) => rows.flatMap((row) => row.map((cell) => lowBytes(cell, 'SJIS')))),
  },
  {
    id: '142 by options',
    technique: 'the session frame',
    startup: { options: '-c client_encoding=EUC_JP' },
    steps: [say(FULL_WIDTH)],
    decoder: (evidence) =>
      evidence.results.flatMap(({ rows }) => rows.flatMap((row) => row.map((cell) => lowBytes(cell, 'EUC_JP')))),
  },
  ...simple('the session frame', [
    ['bytea_output', 'set bytea_output = escape', `select card::bytea ${id1}`],
    ['xmlbinary', 'set xmlbinary = hex', `select xmlelement(name x, card::bytea) ${id1}`],
    ['search_path', 'set search_path = public', 'select reverse(card) from users2'],
    ['datestyle', 'set datestyle = german', `select upper(card) ${id1}`],
    ['intervalstyle', "set intervalstyle = 'sql_standard'", 'select secret_no + 0 from users'],
    ['lc_monetary', "set lc_monetary = 'C'", 'select cash::text from typed'],
    ['extra_float_digits', 'set extra_float_digits = 3', 'select flt * 1 from typed'],
    ['role', 'set role app', `select reverse(card) ${id1}`],
    ['session authorization', 'set session authorization app', `select reverse(card) ${id1}`],
    [
      'client_min_messages',
      'set client_min_messages = debug5',
      "do $$ begin raise debug '%', (select card from users2 where id=1); end $$",
    ],
    [
      'debug_print_plan',
      'set client_min_messages = log',
      'set debug_print_rewritten = on',
      `select (card || 'x')::int ${id1}`,
    ],
    [
      'plan_cache_mode',
      'set plan_cache_mode = force_generic_plan',
      'prepare q as select reverse(card) from users2',
      'execute q',
    ],
    ['application_name literal', "set application_name = 'x'", `select reverse(card) as k ${id1}`],
    ['transform_null_equals', 'set transform_null_equals = on', `select card || '' ${id1}`],
    ['discard', 'discard all', `select reverse(card) ${id1}`],
    ['reset', 'reset all', `select reverse(card) ${id1}`],
    ['backslash_quote', 'set backslash_quote = on', `select E'\\'' || card ${id1}`],
    ['array_nulls', 'set array_nulls = off', `select array[card] ${id1}`],
    ['createrole_self_grant', 'set row_security = off', `select reverse(card) ${id1}`],
  ]),
];

/** The last digit of each two- or four-byte character: full-width digits stand in order in all these character sets. */
function lowBytes(cell: Buffer | null, encoding: string): string {
  if (cell === null) return '';
  const zero = { SJIS: 0x824f, EUC_JP: 0xa3b0, GB18030: 0xa3b0, GBK: 0xa3b0 }[encoding] ?? 0;
  let text = '';
  for (let at = 0; at + 1 < cell.length; at += 2) text += `${cell.readUInt16BE(at) - zero}`;
  return text;
}
