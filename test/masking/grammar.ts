/** Random work over the lab, from a seed: queries and writes that carry masked columns every way, and how they are sent. */
import { type Column, ExpressionMaker, type Type } from '../differential/expressions.ts';
import { Random } from '../soak/random.ts';

type Table = { readonly name: string; readonly columns: readonly Column[] };

/** `id int, card text` */
const table = (name: string, columns: string): Table => ({
  name,
  columns: columns.split(', ').map((column) => {
    const [of = '', type = 'text'] = column.split(' ');
    return { name: of, type: type as Type };
  }),
});

const TABLES: readonly Table[] = [
  table('users', 'id int, name text, card text, ssn text, email text, note text, pad int'),
  table('ONLY users', 'id int, card text, email text'),
  table('kid', 'id int, card text, ssn text, age int'),
  table('users2', 'id int, card text, ssn text, note text, n int'),
  table('public.users2', 'id int, card text, ssn text'),
  table('orders', 'id int, user_id int, status text, card text, placed time'),
  table('part', 'id int, card text, region text'),
  table('part1', 'id int, card text'),
  table('comp', 'id int, label text'),
  table('dom', 'id int, c text, label text'),
  table('gen', 'id int, card text, g text, twice int'),
  table('strict', 'id int, card text, ssn text, qty int'),
  table('refers', 'id int, card text, label text'),
  table('docs', 'id int, doc jsonb, label text'),
  table('vault', 'id int, card text, note text'),
  table('v_users', 'id int, card text, c2 text, c3 text'),
  table('v_of_view', 'id int, cc text, dd text'),
  table('v_expr', 'id int, both text, top text'),
  table('v_star', 'id int, name text, ssn text'),
  table('v_union', 'id int, card text'),
  table('v_func', 'id int, fc text'),
  table('v_cte', 'id int, renamed text'),
  table('v_clean', 'id int, label text'),
  table('mv', 'id int, card text, backwards text'),
  table('plain', 'id int, label text, doc jsonb, at time'),
  table('plain', 'id int, label text'),
  table('notes', 'id int, body text, extra jsonb'),
  table('inbox', 'id int, body text'),
];

/** Ways to write one text: `@` is the column. */
const WRAPS = [
  'reverse(@)',
  "@ || ''",
  'upper(@)',
  'substr(@, 1, 20)',
  "translate(@, '0123456789', 'abcdefghij')",
  "encode(@::bytea, 'hex')",
  "encode(@::bytea, 'base64')",
  '@::varchar',
  '@ COLLATE "C"',
  "coalesce(@, 'x')",
  "regexp_replace(@, '(.)', '\\1.', 'g')",
  'to_jsonb(@)::text',
  '(array[@])[1]',
  'md5(@)',
  "concat_ws('-', @, 1)",
  "format('%s', @)",
  "nullif(@, '')",
  "greatest(@, '')",
  'CASE WHEN true THEN @ END',
  '(SELECT @)',
  '(SELECT q.v FROM (VALUES (@)) q(v))',
  'string_to_array(@, NULL)::text',
  "json_build_object('k', @)::text",
  'xmlforest(@ AS a)::text',
  'quote_literal(@)',
  '(ROW(@, 1))::text',
  "array_to_string(array[@, @], '/')",
  "(@ || 'x')::int::text",
  "split_part(@, '|', 1)",
  '@::bytea::text',
  "lpad(@, 40, '.')",
  '(jsonb_build_array(@) ->> 0)',
  "(SELECT string_agg(c, '.' ORDER BY o) FROM string_to_table(@, NULL) WITH ORDINALITY s(c, o))",
] as const;
/** Ways to write a whole row: `@` is its alias. */
const ROWS = [
  '@::text',
  'to_jsonb(@)::text',
  'row_to_json(@)::text',
  '@.to_jsonb::text',
  '@.row_to_json::text',
  'row(@.*)::text',
  "concat(@, '')",
  '(SELECT @)::text',
  "format('%s', @)",
  'array[@]::text',
  '(array_agg(@) OVER ())::text',
  '@.quote_literal',
  "json_build_object('r', @)::text",
  '(coalesce(@, NULL))::text',
] as const;
const AGGREGATES = [
  'min(@)',
  'max(@)',
  "string_agg(@, ',')",
  'array_agg(@)::text',
  'json_agg(@)::text',
  'mode() WITHIN GROUP (ORDER BY @)',
  'any_value(@)',
  'count(DISTINCT @)::text',
] as const;
const WINDOWS = [
  'first_value(@) OVER ()',
  'lag(@) OVER (ORDER BY 1)',
  'min(@) OVER ()',
  "string_agg(@, '') OVER ()",
] as const;

/** What stands in a subquery that reaches out of it. */
const INNER = [
  'generate_series(1, 1) g',
  'unnest(ARRAY[1]) WITH ORDINALITY g(a, b)',
  'jsonb_each_text(\'{"k": 1}\') g',
  '(VALUES (1)) g',
  'plain g',
  'nums',
  'ROWS FROM (generate_series(1, 1), generate_series(1, 1)) g',
  "jsonb_to_record('{}') g(x int)",
  "regexp_matches('a', 'a') g",
  'pg_namespace g',
  'v_clean g',
  '(SELECT 1 AS one) g',
  'LATERAL (SELECT 2 AS two) g',
] as const;

export type Sent = {
  readonly statements: readonly string[];
  readonly protocol: 'simple' | 'extended';
  readonly binary: boolean;
  readonly describe: 'portal' | 'statement' | 'none';
  readonly fetch: number;
};

export class LabGrammar {
  readonly #random: Random;
  readonly #expressions: ExpressionMaker;
  #names = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#expressions = new ExpressionMaker(this.#random, Number.POSITIVE_INFINITY, {
      query: (type, depth) => this.#query([type], Math.min(depth, 2)),
    });
  }

  script(): Sent {
    const random = this.#random;
    this.#names = 0;
    return {
      statements: this.#statements(),
      protocol: random.pick(['simple', 'extended'] as const),
      binary: random.once(3),
      describe: random.pick(['portal', 'portal', 'statement', 'none'] as const),
      fetch: random.once(5) ? 1 + random.below(3) : 0,
    };
  }

  #statements(): readonly string[] {
    const random = this.#random;
    const query = this.#query(random.list(2, () => this.#expressions.type()).concat('text'), 3);
    if (random.below(10) < 5) return [`${query} LIMIT 30`];
    return random.pick<() => readonly string[]>([
      () => [
        `COPY (${query} LIMIT 30) TO STDOUT${random.pick(['', ' (FORMAT csv)', ' (FORMAT binary)', ' WITH CSV HEADER'])}`,
      ],
      () => [`COPY ${random.pick(['users2', 'orders', 'gen', 'vault', 'part1'])} TO STDOUT`],
      () => [
        `DECLARE c ${random.pick(['', 'SCROLL ', 'BINARY '])}CURSOR FOR ${query}`,
        'FETCH 2 FROM c',
        'FETCH ALL FROM c',
      ],
      () => [`PREPARE s AS ${query}`, 'EXECUTE s', 'DEALLOCATE s'],
      () => [`CREATE TEMP TABLE made AS ${query}`, 'SELECT * FROM made'],
      () => [`SELECT ${this.#wrapped(this.#pick('text'))} AS k INTO TEMP made FROM users2`, 'TABLE made'],
      () => [`CREATE TEMP VIEW made AS ${query}`, 'SELECT * FROM made'],
      () => [`EXPLAIN (ANALYZE, VERBOSE) ${query}`],
      () => [this.#write()],
      () => [`${this.#write()} RETURNING *`],
      () => [`WITH w AS (${this.#write()} RETURNING *) SELECT w::text FROM w`],
      () => [`INSERT INTO notes (body) ${this.#query(['text'], 2)}`, 'SELECT body FROM notes'],
      () => [`INSERT INTO inbox SELECT 5, v FROM (${this.#query(['text'], 2)} LIMIT 1) q(v)`, 'TABLE inbox'],
      () => [`UPDATE inbox SET body = (${this.#query(['text'], 2)} LIMIT 1) RETURNING body`],
      () => [`SELECT 1; ${query} LIMIT 30; SELECT 2`],
      () => [`VALUES ((${this.#query(['text'], 2)} LIMIT 1))`],
      () => [`(${query} LIMIT 5) UNION ALL (${query} LIMIT 5)`],
      () => [`DO $$ BEGIN RAISE NOTICE '%', (${this.#query(['text'], 1)} LIMIT 1); END $$`],
    ])();
  }

  #write(): string {
    const random = this.#random;
    const own = (name: string) => this.#wrapped(name);
    return random.pick([
      () => `UPDATE users2 SET note = ${own(random.pick(['card', 'ssn', 'note']))}`,
      () => `UPDATE orders SET status = ${own(random.pick(['card', 'status', 'total']))} WHERE id < 3`,
      () => `UPDATE strict SET qty = ${random.pick(['qty + 1', '1000', 'NULL', 'length(card)'])}`,
      () => `DELETE FROM vault WHERE ${random.pick(['id = 1', 'true', "note = 'v'"])}`,
      () => `INSERT INTO strict SELECT id, card, ssn, qty FROM strict`,
      () => `INSERT INTO vault (id, card, note) SELECT id + 10, ssn, ${own('card')} FROM users2`,
      () => `MERGE INTO inbox t USING users2 s ON t.id = s.id WHEN MATCHED THEN UPDATE SET body = ${own('s.ssn')}`,
      () =>
        `INSERT INTO inbox SELECT 1, card FROM users2 WHERE id = 1 ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
      () => `UPDATE inbox SET body = ${own('u.card')} FROM users2 u`,
    ])();
  }

  #wrapped(column: string): string {
    const random = this.#random;
    let out = column;
    for (let times = 1 + random.below(2); times > 0; times--) out = random.pick(WRAPS).replaceAll('@', () => out);
    return out;
  }

  #pick(type: Type): string {
    return this.#random.pick(type === 'text' ? ['card', 'ssn', 'note'] : ['id']);
  }

  #query(types: readonly Type[], depth: number): string {
    const random = this.#random;
    const item = this.#from(depth);
    const targets = types.map((type) => this.#target(type, item, depth));
    const cte = depth > 2 && random.once(5);
    const name = `w${this.#names++}`;
    const parts = [`SELECT ${random.pick(['', '', '', 'DISTINCT '])}${targets.join(', ')} FROM ${item.text}`];
    if (random.once(4)) parts.push(`WHERE ${this.#expressions.make('bool', item.columns, 1)}`);
    let body = parts.join(' ');
    if (depth > 1 && random.once(6)) {
      const other = this.#from(1);
      body = `(${body}) ${random.pick(['UNION ALL', 'UNION', 'EXCEPT'])} (SELECT ${types.map((type) => this.#target(type, other, 1)).join(', ')} FROM ${other.text})`;
    }
    return cte ? `WITH ${name} AS ${random.pick(['', 'MATERIALIZED '])}(${body}) SELECT ${name}.* FROM ${name}` : body;
  }

  #target(
    type: Type,
    item: { readonly columns: readonly Column[]; readonly aliases: readonly string[] },
    depth: number,
  ): string {
    const random = this.#random;
    const texts = item.columns.filter((column) => column.type === 'text').map(({ name }) => name);
    if (type === 'text' && texts.length > 0 && random.below(4) > 0) {
      const column = random.pick(texts);
      return random.pick([
        () => this.#wrapped(column),
        () => this.#wrapped(column),
        () => column,
        () => random.pick(ROWS).replaceAll('@', () => random.pick(item.aliases)),
        () => random.pick(WINDOWS).replaceAll('@', () => column),
        () => `(SELECT ${random.pick(AGGREGATES).replaceAll('@', () => 'i.card')} FROM users2 i)`,
        () => `(SELECT ${this.#wrapped(column)})`,
        () => `(SELECT ${random.pick(AGGREGATES).replaceAll('@', () => column)} FROM ${random.pick(INNER)})`,
        () => `(SELECT ${this.#wrapped(column)} FROM ${random.pick(INNER)} LIMIT 1)`,
      ])();
    }
    return this.#expressions.make(type, item.columns, depth - 1);
  }

  #from(depth: number): {
    readonly text: string;
    readonly columns: readonly Column[];
    readonly aliases: readonly string[];
  } {
    const random = this.#random;
    const pieces: string[] = [];
    const columns: Column[] = [];
    const aliases: string[] = [];
    for (let at = 0; at <= (depth > 1 && random.once(3) ? 1 : 0); at++) {
      const alias = `t${this.#names++}`;
      const from = random.pick(TABLES);
      const [text, own] =
        depth > 1 && random.once(5)
          ? [
              `(${this.#query(['text', 'int'], depth - 1)} LIMIT 20) AS ${alias} (v, i)`,
              table('', 'v text, i int').columns,
            ]
          : depth > 1 && at > 0 && random.once(4)
            ? [
                `LATERAL (SELECT ${this.#wrapped(columns.find(({ type }) => type === 'text')?.name ?? "'x'")} AS v) AS ${alias}`,
                table('', 'v text').columns,
              ]
            : [`${from.name} AS ${alias}`, from.columns];
      pieces.push(at === 0 ? text : `${random.pick(['CROSS JOIN', 'CROSS JOIN', 'LEFT JOIN'])} ${text}`);
      if (at > 0 && pieces[at]?.startsWith('LEFT')) pieces[at] += ' ON true';
      aliases.push(alias);
      columns.push(...own.map(({ name, type }) => ({ name: `${alias}.${name}`, type })));
    }
    // Without their alias, names have to be looked for: in a subquery, further out.
    if (pieces.length === 1 && random.once(2))
      return {
        text: pieces.join(' '),
        columns: columns.map(({ name, type }) => ({ name: name.slice(name.indexOf('.') + 1), type })),
        aliases,
      };
    return { text: pieces.join(' '), columns, aliases };
  }
}
