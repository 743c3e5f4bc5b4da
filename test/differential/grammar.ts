/** Random statements that mostly run, from a seed: queries of every shape, and what can be wrapped around them. */
import { Random } from '../soak/random.ts';
import { type Column, ExpressionMaker, type Type } from './expressions.ts';

type Table = { readonly name: string; readonly columns: readonly Column[] };

const column = (name: string, type: Type): Column => ({ name, type });
const x = [column('x', 'int')];
const n = [column('n', 'int')];
const id = [column('id', 'int')];
const QUIET: readonly Table[] = [
  {
    name: 'den.base',
    columns: [
      ...x,
      column('y', 'int'),
      column('note', 'text'),
      column('j', 'jsonb'),
      column('m', 'mood'),
      column('at', 'time'),
    ],
  },
  {
    name: 'public.customers',
    columns: [...id, column('name', 'text'), column('email', 'text'), column('created_at', 'time')],
  },
  {
    name: 'orders',
    columns: [...id, column('customer_id', 'int'), column('status', 'text'), column('placed_at', 'time')],
  },
  { name: 'v_customers', columns: [...id, column('name', 'text')] },
  { name: 'den.v_clean', columns: [...x, column('y', 'int'), column('note', 'text')] },
  { name: 'den.stored', columns: [...x, column('y', 'int')] },
  { name: 'den.virtual', columns: [...x, column('y', 'int')] },
  { name: 'den.column_index', columns: [...x, column('note', 'text')] },
  { name: 'ONLY den.base', columns: x },
  { name: 'measurements', columns: [column('value', 'int')] },
  { name: 'den.split', columns: [...id, column('region', 'text')] },
  { name: 'pg_catalog.pg_namespace', columns: [] },
  { name: 'information_schema.schemata', columns: [] },
];
const TRAPPED: readonly Table[] = [
  ...[
    'den.v_json',
    'den.v_record',
    'den.v_table',
    'den.v_xml',
    'den.v_populate',
    'den.v_via',
    'den.v_array',
    'den.v_window',
    'den.v_sub',
    'den.v_outer',
    'v_evil',
    'v_nested',
  ].map((name) => ({ name, columns: n })),
  ...[
    'den.inlined_index',
    'den.partial_index',
    'den.parent',
    'den.counted',
    'den.keyed',
    'den.class_split',
    'den.class_index',
    'den.v_sample',
    'den.v_limit',
    'den.expression_index',
    'den.paired',
  ].map((name) => ({ name, columns: x })),
  { name: 'den.guarded', columns: id },
  { name: 'secrets', columns: id },
  { name: 'app.rows_of()', columns: id },
];
const WRITABLE = [
  'den.owner',
  'den.thing',
  'den.watched',
  'den.split',
  'den.owners',
  'den.numbered',
  'den.redirected',
  'den.guarded',
  'orders',
  'v_customers',
];

export class Grammar {
  readonly #random: Random;
  readonly #expressions: ExpressionMaker;
  readonly #rarity: number;
  #names = 0;

  /** @param rarity one place in so many holds a trap */
  constructor(seed: number, rarity = 60) {
    this.#random = new Random(seed);
    this.#rarity = rarity;
    this.#expressions = new ExpressionMaker(this.#random, rarity, {
      query: (type, depth) => this.#query([type], depth),
    });
  }

  /** One or more texts, to be sent one after the other. */
  script(): readonly string[] {
    const random = this.#random;
    this.#names = 0;
    const query = this.#query(random.list(2, () => this.#expressions.type()).concat('int'), 3);
    const e = (type: Type) => this.#expressions.make(type, [], 2);
    if (random.below(10) < 5) return [this.#dressed(query)];
    return random.pick<() => readonly string[]>([
      () => [
        `EXPLAIN ${random.pick(['', 'VERBOSE ', '(COSTS off) ', '(ANALYZE off) ', '(ANALYZE 0, BUFFERS off) ', '(FORMAT json) ', '(SETTINGS) '])}${query}`,
      ],
      () => [
        `EXPLAIN ${random.pick(['ANALYZE ', '(ANALYZE) ', '(ANALYZE, TIMING off) ', "(ANALYZE 'on') ", '(ANALYZE, SERIALIZE text) '])}${query}`,
      ],
      () => [`EXPLAIN ${random.once(2) ? 'ANALYZE ' : ''}${this.#write()}`],
      () => [`COPY (${query}) TO STDOUT${random.pick(['', ' (FORMAT csv)', ' (FORMAT binary)', ' WITH CSV HEADER'])}`],
      () => [`COPY (${this.#write()} RETURNING 1) TO STDOUT`],
      () => [
        `DECLARE c ${random.pick(['', 'SCROLL ', 'INSENSITIVE '])}CURSOR ${random.pick(['', 'WITH HOLD '])}FOR ${query}`,
        ...(random.once(2) ? ['FETCH 3 FROM c', 'MOVE c', 'CLOSE c'] : []),
      ],
      () => [`PREPARE s AS ${query}`, `${random.pick(['', 'EXPLAIN ', 'EXPLAIN ANALYZE '])}EXECUTE s`],
      () => [`PREPARE s (int, text) AS SELECT $1, $2, EXISTS (${query})`, `EXECUTE s (${e('int')}, ${e('text')})`],
      () => [`PREPARE s AS ${this.#write()}`, ...(random.once(2) ? [`EXECUTE s`] : [])],
      () => [`CREATE ${random.pick(['TABLE den.made', 'TEMP TABLE made', 'UNLOGGED TABLE den.made'])} AS ${query}`],
      () => [`PREPARE s AS ${query}`, 'CREATE TABLE den.made AS EXECUTE s'],
      () => [`SELECT ${e('int')} AS v INTO ${random.pick(['', 'TEMP '])}made FROM den.base`],
      () => [this.#write()],
      () => [this.#write()],
      () => [`${this.#write()} RETURNING ${e('int')}`],
      () => [`VALUES (${e('int')}, ${e('text')}), (${e('int')}, ${e('text')}) ORDER BY 1 LIMIT ${e('int')}`],
      () => [`TABLE ${this.#table().name}`],
      () => [
        `${random.pick(['SELECT 1;', "SET TIME ZONE 'UTC';", '/* ; */', '--;\n'])} ${query}; ${random.pick(['', 'SELECT 2', this.#write()])}`,
      ],
      () => [
        random.pick([
          'SET enable_seqscan = off',
          'SET LOCAL work_mem = 1000',
          "SET application_name = 'a'",
          'SET search_path = den',
          'RESET ALL',
          'SHOW ALL',
          'SET ROLE gate',
          'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
          "SET attack.mark = 'x'",
          'LISTEN other',
          'UNLISTEN *',
          'NOTIFY canary',
          'DISCARD PLANS',
          'SET CONSTRAINTS ALL IMMEDIATE',
          'LOCK den.base',
          'SET default_transaction_isolation = serializable',
        ]),
      ],
      () => [`DO $$ BEGIN PERFORM ${e('int')}; END $$`],
      () => ['CALL den.clean()'],
      () => [`CREATE VIEW den.made AS ${query}`, 'SELECT * FROM den.made'],
    ])();
  }

  /** Comments, parentheses and spaces around it, as people and hostile clients write them. */
  #dressed(query: string): string {
    return this.#random.pick([
      query,
      query,
      query,
      `(${query})`,
      `/* read only */ ${query}`,
      `${query} -- DELETE`,
      `${query};`,
      `((${query}))`,
      `/* /* nested */ */${query}`,
    ]);
  }

  #write(): string {
    const random = this.#random;
    const target = random.pick(WRITABLE);
    const e = (type: Type) => this.#expressions.make(type, [], 2);
    const withs = random.once(4) ? `WITH w AS (${this.#query(['int'], 1)}) ` : '';
    return (
      withs +
      random.pick([
        () =>
          `INSERT INTO ${target} (id) ${random.pick(['', 'OVERRIDING SYSTEM VALUE '])}${random.pick([`VALUES (${e('int')} + 50)`, `SELECT g + 60 FROM generate_series(1, 2) g WHERE ${e('bool')}`])}`,
        () =>
          `INSERT INTO den.owner VALUES (${random.pick(['1', '77'])}) ON CONFLICT ${random.pick(['DO NOTHING', `(id) DO UPDATE SET id = excluded.id + 200 WHERE ${e('bool')}`])}`,
        () =>
          `UPDATE ${target} SET id = id + ${random.pick(['100', e('int')])} WHERE ${random.pick(['true', e('bool'), 'id = 1'])}`,
        () =>
          `DELETE FROM ${target} ${random.pick(['', `WHERE ${e('bool')}`, 'WHERE id = 1', 'USING den.base b WHERE b.x = 1'])}`,
        () => `UPDATE den.split SET region = ${random.pick(["'us'", "'eu'", e('text')])} WHERE id = 1`,
        () =>
          `MERGE INTO den.thing t USING (${this.#query(['int'], 1)}) s (v) ON t.id = s.v WHEN MATCHED AND ${e('bool')} THEN ${random.pick(['DELETE', 'DO NOTHING', 'UPDATE SET owner = 2'])} WHEN NOT MATCHED THEN ${random.pick(['DO NOTHING', 'INSERT (id) VALUES (s.v + 500)'])}`,
        () =>
          `MERGE INTO den.watched t USING den.base s ON t.id = s.x WHEN NOT MATCHED BY SOURCE THEN ${random.pick(['DELETE', 'DO NOTHING'])} WHEN MATCHED THEN DO NOTHING`,
      ])()
    );
  }

  #query(types: readonly Type[], depth: number): string {
    const random = this.#random;
    const withs = depth > 1 && random.once(5) ? this.#with(depth) : undefined;
    let body = this.#select(types, depth, withs ? [withs.table] : []);
    if (depth > 1 && random.once(7)) {
      const operation = random.pick(['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT ALL']);
      body = `(${body}) ${operation} (${this.#select(types, depth - 1, [])})`;
    }
    return withs ? `${withs.text} ${body}` : body;
  }

  #with(depth: number): { readonly text: string; readonly table: Table } {
    const random = this.#random;
    const name = `w${this.#names++}`;
    const table = { name, columns: [column('v', 'int')] };
    const member = random.pick([
      () =>
        `WITH ${name} (v) AS ${random.pick(['', 'MATERIALIZED ', 'NOT MATERIALIZED '])}(${this.#query(['int'], depth - 1)})`,
      () => `WITH ${name} (v) AS (${this.#query(['int'], depth - 1)})`,
      () =>
        `WITH RECURSIVE ${name} (v) AS (SELECT 1 UNION ALL SELECT v + ${this.#expressions.make('int', [column('v', 'int')], 1)} FROM ${name} WHERE v < 3 AND v > 0)`,
      () =>
        `WITH RECURSIVE ${name} (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM ${name} WHERE v < 3) SEARCH BREADTH FIRST BY v SET o`,
      () =>
        `WITH RECURSIVE ${name} (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM ${name} WHERE v < 3) CYCLE v SET k USING p`,
      () =>
        random.once(4) && depth === 3
          ? `WITH ${name} (v) AS (${this.#write()} RETURNING 1)`
          : `WITH ${name} (v) AS (VALUES (1), (2))`,
    ])();
    return { text: member, table };
  }

  #select(types: readonly Type[], depth: number, extra: readonly Table[]): string {
    const random = this.#random;
    const { text: from, columns, lockable } = this.#from(depth, extra);
    const e = (type: Type) => this.#expressions.make(type, columns, depth);
    const targets = types.map((type) => e(type));
    const parts = [`SELECT ${random.pick(['', '', '', 'ALL ', 'DISTINCT '])}${this.#targets(targets, columns, depth)}`];
    if (from) parts.push(`FROM ${from}`);
    if (random.once(3)) parts.push(`WHERE ${e('bool')}`);
    if (random.once(6))
      parts.push(`ORDER BY ${random.pick(['1', '1 DESC NULLS LAST', '1 USING <', `${types.length}`])}`);
    if (random.once(5)) parts.push(`LIMIT ${random.pick(['3', 'ALL', '2 + 1', this.#expressions.make('int', [], 1)])}`);
    if (random.once(9)) parts.push(`OFFSET ${random.pick(['1', this.#expressions.make('int', [], 1)])}`);
    if (lockable && random.once(25))
      parts.push(`FOR ${random.pick(['UPDATE', 'SHARE', 'NO KEY UPDATE', 'KEY SHARE SKIP LOCKED'])}`);
    return parts.join(' ');
  }

  /** Plain, aggregated or windowed: all of one kind, so that the statement stays valid. */
  #targets(targets: readonly string[], columns: readonly Column[], depth: number): string {
    const random = this.#random;
    if (!random.once(8)) return targets.join(', ');
    const ints = columns.filter(({ type }) => type === 'int');
    const over = random.pick([
      'OVER ()',
      `OVER (ORDER BY ${this.#expressions.make('int', columns, depth - 1)} ROWS ${random.pick(['1', this.#expressions.make('int', [], 1)])} PRECEDING)`,
      `OVER (PARTITION BY ${this.#expressions.make('text', columns, depth - 1)})`,
    ]);
    return targets
      .map((target) => (ints.length > 0 && random.once(2) ? `first_value(${target}) ${over}` : target))
      .join(', ');
  }

  #table(): Table {
    return this.#random.once(Math.max(4, this.#rarity >> 2)) ? this.#random.pick(TRAPPED) : this.#random.pick(QUIET);
  }

  #from(
    depth: number,
    extra: readonly Table[],
  ): { readonly text: string; readonly columns: readonly Column[]; readonly lockable: boolean } {
    const random = this.#random;
    const pieces: string[] = [];
    const columns: Column[] = [];
    let lockable = true;
    for (const [at, table] of [...extra, ...random.list(depth > 1 ? 2 : 1, () => undefined)].entries()) {
      const alias = `t${this.#names++}`;
      const item = table
        ? { text: `${table.name} AS ${alias}`, columns: table.columns, plain: false }
        : this.#item(alias, columns, depth);
      lockable &&= item.plain;
      if (at === 0) pieces.push(item.text);
      else
        pieces.push(
          random.pick([
            `CROSS JOIN ${item.text}`,
            `, ${item.text}`,
            `LEFT JOIN ${item.text} ON ${this.#expressions.make('bool', columns, 1)}`,
            `JOIN ${item.text} ON true`,
          ]),
        );
      columns.push(...item.columns.map(({ name, type }) => ({ name: `${alias}.${name}`, type })));
    }
    // A comma binds less than JOIN: what stands before it is out of sight of an ON behind it, so keep commas out of mixes.
    const text = pieces.join(' ').replaceAll(' , ', ' CROSS JOIN ');
    return { text, columns, lockable: lockable && pieces.length > 0 };
  }

  #item(
    alias: string,
    before: readonly Column[],
    depth: number,
  ): { readonly text: string; readonly columns: readonly Column[]; readonly plain: boolean } {
    const random = this.#random;
    const v = [column('v', 'int')];
    const e = (type: Type, columns: readonly Column[] = []) => this.#expressions.make(type, columns, depth - 1);
    const table = this.#table();
    const plain = () => ({
      text: `${table.name} AS ${alias}`,
      columns: table.columns,
      plain: !/^(?:app\.rows|den\.v|v_|info|pg_)|stored/.test(table.name),
    });
    if (depth <= 0 || random.below(3) < 2) return plain();
    const made = random.pick([
      () => `(${this.#query(['int'], depth - 1)}) AS ${alias} (v)`,
      () => `LATERAL (SELECT ${e('int', before)} AS v) AS ${alias}`,
      () => `(VALUES (${e('int')}), (${e('int')})) AS ${alias} (v)`,
      () => `generate_series(1, ${e('int')} % 5) AS ${alias} (v)`,
      () => `unnest(ARRAY[${e('int')}]) WITH ORDINALITY AS ${alias} (v, o)`,
      () => `ROWS FROM (generate_series(1, 2), unnest(ARRAY[${e('int')}])) AS ${alias} (v, o)`,
      () =>
        `JSON_TABLE(${e('jsonb')}, '$' COLUMNS (v int PATH '$.a' DEFAULT ${random.pick(['1', e('int')])} ON EMPTY)) AS ${alias}`,
      () =>
        `JSON_TABLE('{"a": "x"}'::jsonb, '$' COLUMNS (v ${random.once(this.#rarity >> 2) ? 'app.checked' : 'text'} PATH '$.a')) AS ${alias}`,
      () =>
        `XMLTABLE('/r' PASSING xmlparse(DOCUMENT '<r>1</r>') COLUMNS v int PATH '.' DEFAULT ${random.pick(['1', e('int')])}) AS ${alias}`,
      () =>
        `jsonb_to_record('{"v": 1}'::jsonb) AS ${alias} (v ${random.once(this.#rarity >> 2) ? 'den.twice' : 'int'})`,
      () =>
        `den.base AS ${alias} TABLESAMPLE ${random.pick(['bernoulli', 'system'])} (${random.pick(['50', e('int')])})${random.pick(['', ' REPEATABLE (1)'])}`,
      () => `(den.base AS ${alias} JOIN orders AS ${alias}o ON ${e('bool')})`,
    ])();
    const known = /JSON_TABLE\('|TABLESAMPLE|jsonb_to_record|JOIN orders/.test(made) ? [] : v;
    return { text: made, columns: known, plain: false };
  }
}
