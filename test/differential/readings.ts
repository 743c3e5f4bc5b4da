/** Texts made of PostgreSQL's odd lexical corners: does the gateway's grammar read each as the server does? */
import { createRequire } from 'node:module';
import type pg from 'pg';
import { Random } from '../soak/random.ts';
import type { Stage } from './stage.ts';

/** Values in as many spellings as the lexer has; several stand on the edge of being something else. */
const PIECES: readonly string[] = [
  "'a'",
  "'it''s'",
  "'back\\slash'",
  "'quote\\'",
  "E'\\''",
  "E'\\x41\\u0042\\103'",
  "e'\\\\'",
  "U&'\\0061'",
  "u&'\\+000061'",
  "U&'d!0061' UESCAPE '!'",
  "'a'\n'b'",
  "'a' -- x\n'b'",
  "'a' /* x */ 'b'",
  "'a'\r\n 'b'",
  "'a'\f'b'",
  "'a'\v\n'b'",
  "N'x'",
  "n'x'",
  "B'101'",
  "X'1F'",
  "b'1'\n'0'",
  '$$a$$',
  '$a$ $$ $a$',
  '$é$x$é$',
  '$a$b$A$c$a$',
  "$$'$$",
  '1$$a$$',
  'a$$b',
  '$1$$1$',
  '1',
  '1.',
  '.5',
  '1e5',
  '1e+5',
  '1_000',
  '1_0.0_1',
  '0x1F',
  '0XfF_1',
  '0b1_0',
  '0o17',
  '1__0',
  '1_',
  '0x',
  '1a',
  '123abc',
  '1..2',
  '1.e1',
  '1 .5',
  '0_1',
  '9223372036854775808',
  '1e',
  '1.5.5',
  '--x\n1',
  '/* /* */ */ 1',
  '/* * / */ 1',
  '/*!50000 1 */ 2',
  '/**/1',
  '/***/1',
  '/*/*/**/*/*/1',
  '-- \r 1',
  '--\x0b\n1',
  '1 --',
  '/* -- */ 1',
  "'/*' || '*/'",
  "1 /* ' */ + 1 /* ' */",
  '+1',
  '- -1',
  '-(-1)',
  '@-1',
  '~1',
  '1+-1',
  '1*-1',
  '1-@1',
  '1<-1',
  '1--1\n',
  '1-/* */-1',
  '2^-1',
  '4!=5',
  '4<>5',
  '1=-1',
  '1>=-1',
  "'a'~'b'",
  "'a'!~'b'",
  "1::text||'a'",
  '"x"',
  '"X"',
  '"a""b"',
  'U&"\\0078"',
  'U&"d!0078" UESCAPE \'!\'',
  '"\u0130"',
  '\u0130',
  '\u0131',
  '\uff38',
  '\u212a',
  'É',
  'é',
  'x\u00a0',
  '\u00a0x',
  '\u2028',
  '\ufeff1',
  '\u3000 1',
  '\u200bx',
  `x${'y'.repeat(62)}`,
  `x${'y'.repeat(63)}`,
  `x${'é'.repeat(40)}`,
  `"${'é'.repeat(31)}zz"`,
  "'orders'::regclass",
  "'public.orders'::regclass::text",
  "regclass 'orders'",
  '\'"orders"\'::regclass',
  "'upper'::regproc",
  "'int4'::regtype",
  "'now'::timestamptz IS NULL",
  "CAST('1' AS int)",
  "int4 '1'",
  "int '1'",
  "float(3) '1'",
  "interval '1' day",
  "interval(3) '1'",
  "'1'::interval second(3)",
  "bit(3) '101'",
  "char 'ab'",
  '"char" \'ab\'',
  "national character varying(3) 'abc'",
  "time with time zone '01:00+00' IS NULL",
  'x.y',
  'null',
  'NULL',
  'true',
  'current_user',
  'CURRENT_USER',
  '"current_user"',
  'user',
  'session_user',
  'not true',
  'NOT/**/true',
  'a IS JSON',
  '\'x\' COLLATE "C"',
  "'x' collate c",
  'row(1)',
  '(1,2)',
  'array[1,2][1]',
  '(array[1,2])[1:2]',
  '1 in (1)',
  '1 between 1 and 2',
  "'a' like 'a' escape 'b'",
  "'x' is normalized",
  "extract(year from date '2024-01-01')",
  "position('a' in 'b')",
  "substring('abc' from 1 for 2)",
  "trim(both 'a' from 'b')",
  "overlay('a' placing 'b' from 1)",
  "xmlparse(content 'a')",
  "json_object('a': 1)",
  'grouping(1)',
  'coalesce(1)',
  'greatest(1,2)',
  'nullif(1,2)',
];
const JOINTS: readonly string[] = [
  ' ',
  '',
  '\n',
  '/**/',
  ' || ',
  ' + ',
  ', ',
  ' AS x, ',
  '\t',
  '\f',
  '\v',
  '--\n',
  '::text || ',
  ' ; ',
  ' AS "X", ',
  '\u00a0',
  ' = ',
  '-',
  '~',
  '@',
  '!',
  '<',
  '$',
  '::',
];
const PRELUDES: readonly string[] = ['', '', '', '\n', '/* */', ' ', '-- x\n', ';', '\ufeff', '\u00a0', '\x0b'];

export type Readings = { compared: number; refused: number; readonly wrong: string[] };

type Tree = Record<string, unknown>;
type Grammar = { loadModule(): Promise<void>; parseSync(text: string): { stmts?: { stmt: Tree }[] } };
/** What the server made of a text. `unreadable`: its grammar stopped; `many`: more than one statement; else it got as far as meaning. */
type Told =
  | { readonly kind: 'unreadable' | 'many' }
  | { readonly kind: 'rows'; readonly names: readonly string[]; readonly values: readonly (string | null)[] }
  | { readonly kind: 'error'; readonly message: string };

/**
 * Constants, names of columns and the number of statements as the gateway's grammar reads them, against the server's
 * rows, or against the name it says it does not know. What only the server can read is refused, and so only counted.
 * @param before sent first: a setting under which the server reads otherwise
 */
export async function differentReadings(
  stage: Stage,
  seed: number,
  count: number,
  before = 'SELECT',
): Promise<Readings> {
  const grammar = createRequire(import.meta.url)('libpg-query') as Grammar;
  await grammar.loadModule();
  const client = await stage.connect('gate');
  await client.query(before);
  const random = new Random(seed);
  const found: Readings = { compared: 0, refused: 0, wrong: [] };
  for (let i = 0; i < count; i++) {
    let text = random.pick(PIECES);
    for (let more = random.below(3); more > 0; more--) text += random.pick(JOINTS) + random.pick(PIECES);
    const sql = `${random.pick(PRELUDES)}SELECT ${text}`;
    const told = await readThere(client, sql);
    const own = readHere(grammar, sql);
    if (own === undefined) {
      if (told.kind !== 'unreadable') found.refused++;
      continue;
    }
    if (told.kind === 'unreadable') {
      if (TYPED_PARAMETER.test(JSON.stringify(own))) continue;
      found.wrong.push(`only the gateway can read ${JSON.stringify(sql)}`);
      continue;
    }
    found.compared++;
    const difference = differenceOf(own, told);
    if (difference) found.wrong.push(`${difference}: ${JSON.stringify(sql)}`);
  }
  await client.end();
  return found;
}

function readHere(grammar: Grammar, sql: string): readonly Tree[] | undefined {
  try {
    return (grammar.parseSync(sql).stmts ?? []).map(({ stmt }) => stmt);
  } catch {
    return undefined;
  }
}

async function readThere(client: pg.Client, text: string): Promise<Told> {
  const types = { getTypeParser: () => (value: unknown) => value };
  try {
    const query = { text, rowMode: 'array' as const, queryMode: 'extended', types: types as never };
    const { fields, rows } = await client.query(query);
    return { kind: 'rows', names: fields.map(({ name }) => name), values: (rows[0] ?? []) as (string | null)[] };
  } catch (error) {
    const { message } = error as Error;
    if (/multiple commands/.test(message)) return { kind: 'many' };
    return GRAMMAR_STOPPED.test(message) ? { kind: 'unreadable' } : { kind: 'error', message };
  }
}

/** `date $1`: libpg_query reads what normalising makes of `date '…'`; the server refuses it, and nothing runs. */
const TYPED_PARAMETER = /"TypeCast":\{"arg":\{"ParamRef"/;

const GRAMMAR_STOPPED = / at or near | at end of input|^invalid Unicode|^unsafe use|UESCAPE|^invalid hexadecimal digit/;

function differenceOf(own: readonly Tree[], told: Exclude<Told, { kind: 'unreadable' }>): string | undefined {
  if (own.length > 1 !== (told.kind === 'many')) return `${own.length} statements here, ${told.kind} there`;
  if (told.kind === 'error') {
    const unknown = /(?:column|for table|type) "(.*)" does not exist|FROM-clause entry for table "(.*)"$/s.exec(
      told.message,
    );
    const name = unknown?.[1] ?? unknown?.[2];
    return name === undefined || textsIn(own).has(name.split('.').at(-1)!)
      ? undefined
      : `no ${name} here, as the server has it`;
  }
  if (told.kind !== 'rows') return undefined;
  const targets = ((own[0]?.SelectStmt as Tree | undefined)?.targetList ?? []) as { ResTarget: Tree }[];
  if (targets.length !== told.names.length) return `${targets.length} columns here, ${told.names.length} there`;
  for (const [at, { ResTarget: target }] of targets.entries()) {
    if (target.name !== undefined && target.name !== told.names[at])
      return `column ${target.name} here, ${told.names[at]} there`;
    const here = constantOf(target.val);
    const there = told.values[at];
    if (here !== undefined && there !== here && !(there != null && Number(there) === Number(here)))
      return `${JSON.stringify(here)} here, ${JSON.stringify(there)} there`;
  }
  return undefined;
}

/** The text of a plain constant; undefined for anything else. */
function constantOf(value: unknown): string | null | undefined {
  const constant = (value as { A_Const?: Record<string, Tree | boolean> } | undefined)?.A_Const;
  if (!constant) return undefined;
  if (constant.isnull) return null;
  if ('sval' in constant) return String((constant.sval as Tree).sval ?? '');
  if ('ival' in constant) return String((constant.ival as Tree).ival ?? 0);
  if ('fval' in constant) return Number(String((constant.fval as Tree).fval).replaceAll('_', '')).toString();
  if ('boolval' in constant) return (constant.boolval as Tree).boolval ? 't' : 'f';
  return undefined;
}

function textsIn(node: unknown, found = new Set<string>()): Set<string> {
  if (typeof node === 'string') found.add(node);
  else if (typeof node === 'object' && node !== null) for (const value of Object.values(node)) textsIn(value, found);
  return found;
}
