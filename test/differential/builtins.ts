/** Every function, operator, cast and relation that the catalogue calls harmless: really called, and looked at. */
import type pg from 'pg';

export type Call = { readonly sql: string; readonly what: string };

/** Values by type; the first is the likeliest to be accepted. An empty list: nothing of that type can be written. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  bool: ['true'],
  int2: ["'1'::int2"],
  int4: ['1', '900001'],
  int8: ["'7'::int8", "'900001'::int8"],
  float4: ["'0.5'::float4"],
  float8: ["'0.5'::float8"],
  numeric: ["'1.5'::numeric"],
  text: [
    "'public.orders'::text",
    "'den.counter'::text",
    "'/tmp/countersign-differential'::text",
    "'select den.mark(''x'')'::text",
  ],
  name: ["'canary'::name", "'public'::name"],
  cstring: ["'1'::cstring", "'public.orders'::cstring"],
  varchar: ["'x'::varchar"],
  bpchar: ["'x'::bpchar"],
  char: [`'x'::"char"`],
  bytea: ["'\\x00010203'::bytea"],
  oid: ["'public.orders'::regclass::oid", "'900001'::oid", "'den.mark'::regproc::oid", "'den.counter'::regclass::oid"],
  regclass: ["'public.orders'::regclass", "'den.counter'::regclass"],
  regproc: ["'den.mark'::regproc"],
  regprocedure: ["'den.mark(text)'::regprocedure"],
  regtype: ["'app.checked'::regtype"],
  regnamespace: ["'public'::regnamespace"],
  regrole: ["'gate'::regrole"],
  json: [`'{"a": 1}'::json`, `'[{"value": "x"}]'::json`],
  jsonb: [`'{"a": 1}'::jsonb`, `'[{"value": "x"}]'::jsonb`],
  jsonpath: ["'$.a'::jsonpath"],
  xml: ["'<a>1</a>'::xml"],
  date: ["'2024-01-01'::date"],
  time: ["'01:00'::time"],
  timetz: ["'01:00+00'::timetz"],
  timestamp: ["'2024-01-01'::timestamp"],
  timestamptz: ["'2024-01-01+00'::timestamptz"],
  interval: ["'1 millisecond'::interval"],
  uuid: ["'00000000-0000-0000-0000-000000000001'::uuid"],
  inet: ["'127.0.0.1'::inet"],
  cidr: ["'127.0.0.0/8'::cidr"],
  macaddr: ["'00:00:00:00:00:01'::macaddr"],
  macaddr8: ["'00:00:00:00:00:00:00:01'::macaddr8"],
  money: ["'1'::money"],
  bit: ["B'1'"],
  varbit: ["B'101'::varbit"],
  point: ["'(1,2)'::point"],
  line: ["'{1,2,3}'::line"],
  lseg: ["'[(0,0),(1,1)]'::lseg"],
  box: ["'(1,1),(0,0)'::box"],
  path: ["'[(0,0),(1,1)]'::path"],
  polygon: ["'((0,0),(1,1),(1,0))'::polygon"],
  circle: ["'<(0,0),1>'::circle"],
  tsvector: ["'a b'::tsvector"],
  tsquery: ["'a & b'::tsquery"],
  regconfig: ["'simple'::regconfig"],
  regdictionary: ["'simple'::regdictionary"],
  pg_lsn: ["'0/1'::pg_lsn"],
  xid: ["'3'::xid"],
  xid8: ["'3'::xid8"],
  cid: ["'1'::cid"],
  tid: ["'(0,1)'::tid"],
  pg_snapshot: ['pg_current_snapshot()'],
  txid_snapshot: ['txid_current_snapshot()'],
  aclitem: ["'gate=r/gate'::aclitem"],
  refcursor: ["'c'::refcursor"],
  int2vector: ["'1 2'::int2vector"],
  oidvector: ["'1 2'::oidvector"],
  int4range: ["'[1,3)'::int4range"],
  anyelement: ['1', "'good'::public.mood"],
  any: ['1', "'x'::text"],
  anynonarray: ['1'],
  anyenum: ["'good'::public.mood"],
  anyarray: ['ARRAY[1, 2]', 'ARRAY[ROW (1, 2)]'],
  anyrange: ["'[1,3)'::int4range"],
  anymultirange: ["'{[1,3)}'::int4multirange"],
  anycompatible: ['1'],
  anycompatiblearray: ['ARRAY[1, 2]'],
  anycompatiblenonarray: ['1'],
  anycompatiblerange: ["'[1,3)'::int4range"],
  anycompatiblemultirange: ["'{[1,3)}'::int4multirange"],
  record: ['ROW (1, 2)'],
};
const MOST_CALLS = 8; // of one function: argument combinations

type Row = Record<string, string>;

/** Calls of what pg_proc, pg_operator and pg_cast list; arguments that cannot be written leave a function out. */
export async function builtinCalls(client: pg.Client): Promise<{ calls: Call[]; uncallable: number }> {
  const rows = async (text: string) => (await client.query(text)).rows as Row[];
  const calls: Call[] = [];
  let uncallable = 0;
  const add = (what: string, types: readonly string[], write: (args: readonly string[]) => string) => {
    const combinations = argumentsOf(types);
    if (combinations.length === 0) uncallable++;
    for (const args of combinations) calls.push({ what, sql: write(args) });
  };
  for (const {
    name,
    kind,
    args,
    variadic,
  } of await rows(`SELECT proname AS name, prokind AS kind, provariadic <> 0 AS variadic,
      array_to_string(ARRAY(SELECT t.typname FROM unnest(proargtypes) WITH ORDINALITY a (o, n) JOIN pg_type t ON t.oid = o ORDER BY n), ' ') AS args
      FROM pg_proc WHERE oid < 16384 AND pronamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`)) {
    const types = args === '' ? [] : args!.split(' ');
    const over = kind === 'w' ? ' OVER ()' : '';
    add(`${name}(${args})`, types, (values) => {
      const list =
        String(variadic) === 'true' && types.at(-1)?.startsWith('_')
          ? [...values.slice(0, -1), `VARIADIC ${values.at(-1)}`]
          : values;
      return `SELECT "${name}"(${list.join(', ')})${over}`;
    });
  }
  for (const {
    name,
    l,
    r,
  } of await rows(`SELECT oprname AS name, coalesce(l.typname, '') AS l, r.typname AS r FROM pg_operator
      LEFT JOIN pg_type l ON l.oid = oprleft JOIN pg_type r ON r.oid = oprright WHERE pg_operator.oid < 16384`)) {
    const types = l === '' ? [r!] : [l!, r!];
    add(`${l} ${name} ${r}`, types, (values) =>
      values.length === 1
        ? `SELECT OPERATOR(pg_catalog.${name}) (${values[0]})`
        : `SELECT (${values[0]}) OPERATOR(pg_catalog.${name}) (${values[1]})`,
    );
  }
  for (const {
    source,
    target,
  } of await rows(`SELECT s.typname AS source, format_type(castTarget, NULL) AS target FROM pg_cast
      JOIN pg_type s ON s.oid = castsource WHERE pg_cast.oid < 16384`)) {
    add(`${source}::${target}`, [source!], ([value]) => `SELECT (${value})::${target}`);
  }
  for (const { name } of await rows(
    `SELECT oid::regclass::text AS name FROM pg_class WHERE oid < 16384 AND relkind IN ('r', 'v')`,
  )) {
    calls.push({ what: name!, sql: `SELECT * FROM ${name}` });
  }
  return { calls, uncallable };
}

/** Every argument list to try: each position takes each of its values at least once. */
function argumentsOf(types: readonly string[]): string[][] {
  const choices = types.map(valuesOf);
  if (choices.some((values) => values.length === 0)) return [];
  const most = Math.min(MOST_CALLS, Math.max(1, ...choices.map((values) => values.length)));
  return Array.from({ length: most }, (_, turn) =>
    choices.map((values, at) => values[(turn + (turn > 0 ? at : 0)) % values.length]!),
  );
}

function valuesOf(type: string): readonly string[] {
  const known = VALUES[type];
  if (known) return known;
  if (type.startsWith('_')) return (VALUES[type.slice(1)] ?? []).slice(0, 1).map((value) => `ARRAY[${value}]`);
  if (type.endsWith('multirange')) return [`'{}'::${type}`];
  if (type.endsWith('range')) return [`'empty'::${type}`];
  return [];
}
