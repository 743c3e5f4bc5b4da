/** Random SQL expressions that mostly run: typed by what the columns in sight are; now and then one that does something. */
import type { Random } from '../soak/random.ts';

export type Type = 'int' | 'text' | 'bool' | 'jsonb' | 'mood' | 'time';
export type Column = { readonly name: string; readonly type: Type };
export type Expressions = {
  /** A query that gives one column of that type. */
  readonly query: (type: Type, depth: number) => string;
};

/** What leaves a trace, by the type it gives. Some only in the right role or place. */
const TRAPS: Readonly<Record<Type, readonly string[]>> = {
  int: [
    "den.mark('g')",
    'den.stable(1)',
    'den.immutable(2)',
    'den.inlined(3)',
    'den.atomic(4)',
    'den.defaulted(5)',
    'den.definer()',
    'den.many(1, 2)',
    "nextval('den.counter')::int",
    "setval('den.counter', 5)::int",
    'den.ticks()::int',
    '(SELECT den.total(x) FROM den.base)',
    '(SELECT length(p) FROM den.paired LIMIT 1)',
    'lo_create(0)::int',
    'lo_unlink(900001)',
    'app.leak()',
    'length(JSON_VALUE(\'{"a": "x"}\'::jsonb, \'$.a\' RETURNING app.checked))',
    "length(set_config('attack.mark', 'x', false))",
    "lo_from_bytea(0, '\\x00')::int",
    '(SELECT count(*)::int FROM den.rows(1))',
    "app.mood_number('good')",
  ],
  text: [
    "set_config('attack.mark', 'x', false)",
    "set_config('search_path', 'den', true)",
    'den.setter()',
    "'x'::app.checked::text",
    "'x'::den.twice::text",
    "'x'::den.early::text",
    "CAST('x' AS den.late)::text",
    "den.late 'x'",
    "('(1,x)'::app.holder).value::text",
    "('{x}'::den.list)[1]::text",
    "query_to_xml('SELECT den.mark(''x'')', true, true, '')::text",
    "pg_notify('canary', 'x')::text",
    "den.as_text('good')",
    'den.calls()::text',
    "('[a,b)'::den.stretch)::text",
    '(json_populate_record(NULL::app.holder, \'{"value": "x"}\')).value::text',
    'public.upper(1)',
    '(\'["(1,2)","(3,4)")\'::den.span)::text',
    'pg_export_snapshot()',
    'pg_advisory_xact_lock(7)::text',
    '(SELECT c."touch_row" FROM (SELECT app.touch_row(q) FROM customers q) c LIMIT 1)',
  ],
  bool: [
    "'good'::mood <<>> 'bad'",
    "'good'::public.mood OPERATOR(den.<->) 'bad'",
    '1 OPERATOR(app.###) 2',
    'pg_try_advisory_lock(7)',
    'pg_try_advisory_xact_lock(8)',
    "app.accept('x')",
    "den.near('good', 'bad')",
    'EXISTS (SELECT p FROM den.paired ORDER BY p)',
    'EXISTS (SELECT FROM public.v_evil)',
  ],
  jsonb: [
    "to_jsonb(den.mark('j'))",
    "JSON_OBJECT('a': den.mark('k') RETURNING jsonb)",
    'jsonb_populate_record(NULL::app.holder, \'{"value": "x"}\')::text::jsonb',
  ],
  mood: ["CASE den.mark('m') WHEN 1 THEN 'good'::mood END"],
  time: ["now() + den.mark('t') * interval '1 second'"],
};

const LITERALS: Readonly<Record<Type, readonly string[]>> = {
  int: [
    '1',
    '0x1F',
    '0b101',
    '0o17',
    '1_000',
    '-3',
    "'5'::int",
    "int4 '7'",
    'NULL::int',
    "CAST('2' AS integer)",
    '(1)',
    "E'\\x31'::int",
  ],
  text: [
    "''",
    "'a'",
    "E'a\\'b'",
    "U&'\\0061'",
    '$$x$$',
    '$t$ -- den.mark() $t$',
    "'it''s'",
    "N'n'",
    '\'x\' COLLATE "C"',
    'NULL::text',
    "'den.mark(1)'",
    "'a' \n 'b'",
  ],
  bool: ['true', 'false', 'NULL::bool', "'t'::bool", '1 = 1'],
  jsonb: ['\'{"a": 1}\'::jsonb', "'[1, 2]'::jsonb", "jsonb '{}'"],
  mood: ["'good'::mood", "'bad'::public.mood", 'NULL::mood'],
  time: ['now()', "'2024-01-01'::timestamptz", 'CURRENT_TIMESTAMP', 'clock_timestamp()', "timestamptz 'epoch'"],
};

export class ExpressionMaker {
  readonly #random: Random;
  readonly #rest: Expressions;
  /** One expression in so many is a trap. */
  readonly #rarity: number;

  constructor(random: Random, rarity: number, rest: Expressions) {
    this.#random = random;
    this.#rarity = rarity;
    this.#rest = rest;
  }

  type(): Type {
    return this.#random.pick(['int', 'int', 'int', 'text', 'text', 'bool', 'jsonb', 'mood', 'time'] as const);
  }

  make(type: Type, columns: readonly Column[], depth: number): string {
    const random = this.#random;
    if (random.once(this.#rarity)) return random.pick(TRAPS[type]);
    const fitting = columns.filter((column) => column.type === type);
    if (fitting.length > 0 && random.below(5) < (depth > 0 ? 2 : 4)) return random.pick(fitting).name;
    if (depth <= 0 || random.once(5)) return random.pick(LITERALS[type]);
    const e = (of: Type) => this.make(of, columns, depth - 1);
    if (random.once(9)) return this.#anywhere(type, e, depth);
    return random.pick(this[type](e, depth))();
  }

  /** Forms that any type can take. */
  #anywhere(type: Type, e: (of: Type) => string, depth: number): string {
    const sql = { int: 'int', text: 'text', bool: 'bool', jsonb: 'jsonb', mood: 'mood', time: 'timestamptz' }[type];
    return this.#random.pick([
      () => `CASE WHEN ${e('bool')} THEN ${e(type)} ELSE ${e(type)} END`,
      () => `CASE ${e('int')} WHEN ${e('int')} THEN ${e(type)} END`,
      () => `coalesce(${e(type)}, ${e(type)})`,
      () => `nullif(${e(type)}, ${e(type)})`,
      () => `greatest(${e(type)}, ${e(type)})`,
      () => `(${this.#rest.query(type, depth - 1)} LIMIT 1)`,
      () => `(ARRAY[${e(type)}, ${e(type)}])[${e('int')}]`,
      () => `(ARRAY(${this.#rest.query(type, depth - 1)}))[${e('int')}]`,
      () => `((ARRAY[${e(type)}])[${e('int')}:${e('int')}])[1]`,
      () => `(${e(type)})::${sql}`,
      () => `CAST(${e(type)} AS ${sql})`,
      () => `(SELECT q.v FROM (VALUES (${e(type)})) q (v))`,
      () => `(SELECT min(v) FILTER (WHERE ${e('bool')}) FROM unnest(ARRAY[${e(type)}::text]) v)::${sql}`,
    ])();
  }

  private int(e: (of: Type) => string, depth: number): (() => string)[] {
    const op = () => this.#random.pick(['+', '-', '*', '/', '%', '&', '|', '#', '<<', 'OPERATOR(pg_catalog.+)']);
    return [
      () => `(${e('int')} ${op()} ${e('int')})`,
      () => `(${e('int')} ${op()} ${e('int')})`,
      () => `abs(${e('int')})`,
      () => `length(${e('text')})`,
      () => `pg_catalog.length(${e('text')})`,
      () => `ascii(${e('text')})`,
      () => `position(${e('text')} IN ${e('text')})`,
      () => `extract(year FROM ${e('time')})::int`,
      () => `date_part('day', ${e('time')})::int`,
      () => `cardinality(ARRAY[${e('int')}, ${e('int')}])`,
      () => `(${e('bool')})::int`,
      () => `JSON_VALUE(${e('jsonb')}, '$.a' RETURNING int DEFAULT ${this.#random.pick(['1', e('int')])} ON EMPTY)`,
      () => `length(JSON_QUERY(${e('jsonb')}, '$' RETURNING text))`,
      () => `(SELECT count(*)::int FROM (${this.#rest.query('int', depth - 1)}) c)`,
      () => `(SELECT sum(v ORDER BY v)::int FROM (${this.#rest.query('int', depth - 1)}) c (v))`,
      () =>
        `(SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY v) FROM (${this.#rest.query('int', depth - 1)}) c (v))`,
      () => `width_bucket(${e('int')}, 0, 10, 5)`,
      () => `num_nulls(VARIADIC ARRAY[${e('int')}])`,
      () => `array_position(ARRAY[${e('int')}], ${e('int')})`,
    ];
  }

  private text(e: (of: Type) => string, depth: number): (() => string)[] {
    return [
      () => `(${e('text')} || ${e('text')})`,
      () => `upper(${e('text')})`,
      () => `lower(${e('text')})`,
      () => `substring(${e('text')} FROM ${e('int')})`,
      () => `substring(${e('text')} SIMILAR 'a#"%#"' ESCAPE '#')`,
      () => `trim(BOTH ${e('text')} FROM ${e('text')})`,
      () => `overlay(${e('text')} PLACING 'x' FROM 1)`,
      () => `replace(${e('text')}, 'a', 'b')`,
      () => `format('%s %L', ${e('text')}, ${e('int')})`,
      () => `concat_ws(',', ${e('text')}, ${e('int')}, ${e('bool')})`,
      () => `(${e('int')})::text`,
      () => `(${e('mood')})::text`,
      () => `to_char(${e('time')}, 'YYYY')`,
      () => `(${e('time')} AT TIME ZONE 'UTC')::text`,
      () => `(${e('jsonb')} ->> 'a')`,
      () => `JSON_SERIALIZE(${e('jsonb')} RETURNING text)`,
      () => `xmlserialize(CONTENT xmlelement(NAME a, xmlattributes(${e('int')} AS b), ${e('text')}) AS text)`,
      () => `xmlforest(${e('text')} AS a)::text`,
      () => `quote_literal(${e('text')})`,
      () => `current_setting('application_name')`,
      () => `(SELECT string_agg(v, ',' ORDER BY v) FROM (${this.#rest.query('text', depth - 1)}) c (v))`,
      () => `(${e('text')} COLLATE "C")`,
      () => `(ROW (${e('int')}, ${e('text')}))::text`,
      () => `pg_typeof(${e('int')})::text`,
      () => 'CURRENT_USER::text',
    ];
  }

  private bool(e: (of: Type) => string, depth: number): (() => string)[] {
    const compare = () => this.#random.pick(['=', '<>', '!=', '<', '>=', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM']);
    return [
      () => `(${e('int')} ${compare()} ${e('int')})`,
      () => `(${e('text')} ${compare()} ${e('text')})`,
      () => `(${e('mood')} ${compare()} ${e('mood')})`,
      () => `(${e('int')} BETWEEN SYMMETRIC ${e('int')} AND ${e('int')})`,
      () => `(${e('int')} IN (${e('int')}, ${e('int')}))`,
      () => `(${e('text')} NOT IN (${this.#rest.query('text', depth - 1)}))`,
      () => `(${e('int')} = ANY (${this.#rest.query('int', depth - 1)}))`,
      () => `(${e('int')} < ALL (ARRAY[${e('int')}]))`,
      () => `EXISTS (${this.#rest.query(this.type(), depth - 1)})`,
      () => `(NOT ${e('bool')})`,
      () => `(${e('bool')} AND ${e('bool')})`,
      () => `(${e('bool')} OR ${e('bool')})`,
      () => `(${e('text')} LIKE ${e('text')} ESCAPE '!')`,
      () => `(${e('text')} SIMILAR TO 'a%')`,
      () => `(${e('text')} ~ 'a')`,
      () => `((${e('int')}, ${e('text')}) < (${e('int')}, ${e('text')}))`,
      () => `(ROW (${e('int')}) IS NOT NULL)`,
      () => `(${e('bool')} IS NOT UNKNOWN)`,
      () => `(${e('text')} IS JSON OBJECT)`,
      () => `(${e('jsonb')} @> ${e('jsonb')})`,
      () => `JSON_EXISTS(${e('jsonb')}, '$.a ? (@ > $v)' PASSING ${e('int')} AS v)`,
      () => `((${e('time')}, interval '1 day') OVERLAPS (now(), now()))`,
      () => `(${e('text')} IS NFC NORMALIZED)`,
    ];
  }

  private jsonb(e: (of: Type) => string, depth: number): (() => string)[] {
    return [
      () => `jsonb_build_object('a', ${e('int')}, 'b', ${e('text')})`,
      () => `to_jsonb(${e('text')})`,
      () => `(${e('jsonb')} -> 'a')`,
      () => `JSON_OBJECT('a': ${e('int')}, 'b': ${e('text')} ABSENT ON NULL RETURNING jsonb)`,
      () => `JSON_ARRAY(${e('int')}, ${e('text')} RETURNING jsonb)`,
      () => `JSON_ARRAY(${this.#rest.query('int', depth - 1)} RETURNING jsonb)`,
      () => `JSON_SCALAR(${e('int')})::jsonb`,
      () =>
        `(SELECT JSON_OBJECTAGG(coalesce(v, 0)::text: v RETURNING jsonb) FROM (${this.#rest.query('int', depth - 1)}) c (v))`,
      () => `(SELECT jsonb_agg(v) FROM (${this.#rest.query('text', depth - 1)}) c (v))`,
      () => `(${e('jsonb')} || ${e('jsonb')})`,
      () => `row_to_json(ROW (${e('int')}))::jsonb`,
    ];
  }

  private mood(e: (of: Type) => string): (() => string)[] {
    return [
      () => `enum_first(${e('mood')})`,
      () => `(ARRAY['good'::mood, ${e('mood')}])[1]`,
      () => `(enum_range(${e('mood')}))[${e('int')}]`,
    ];
  }

  private time(e: (of: Type) => string): (() => string)[] {
    return [
      () => `date_trunc('day', ${e('time')})`,
      () => `(${e('time')} + interval '1 day')`,
      () => `((${e('time')} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')`,
      () => `to_timestamp(${e('int')})`,
      () => `make_timestamptz(2024, 1, 1, abs(${e('int')}) % 24, 0, 0)`,
    ];
  }
}
