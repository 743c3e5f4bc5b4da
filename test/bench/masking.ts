/** What masking costs: a 64 MB result unmasked, with two masked columns, with every detector on; plans, cold and cached. */

import pg from 'pg';
import { createCatalog } from '../../gateway/listeners/postgres/catalog/catalog.ts';
import { MaskedColumns } from '../../gateway/listeners/postgres/catalog/masked-columns.ts';
import { Parser } from '../../gateway/listeners/postgres/inspect/parser.ts';
import { createInspector } from '../../gateway/listeners/postgres/inspect.ts';
import { planOf } from '../../gateway/listeners/postgres/lineage/lineage.ts';
import type { Profile } from '../../gateway/masking/profile.ts';
import { UPSTREAM_ROLE, withClient } from '../support/seed.ts';
import type { Config } from '../support/world.ts';
import { catalogRows } from './catalog.ts';
import { drain } from './drain.ts';
import { percentile, shown, shownSpread, spread } from './figures.ts';
import { startGateway } from './gateway.ts';
import { atLeast, atMost, type Row } from './report.ts';
import { directRoute, type Route } from './routes.ts';
import type { Part, Stage } from './stage.ts';

const MEGABYTES = 64;
const WARM = 4; // results by each route before one is counted: code is compiled where it turns out to be hot
const SELECT = 'SELECT * FROM bench_mask';
const SEED = `CREATE TABLE bench_mask AS
  SELECT i AS id, 'Customer ' || i AS name, lpad((i * 7919 % 1000000000)::text, 9, '0') AS ssn,
    '411111' || lpad(i::text, 10, '0') AS card, now() AS at, i * 1.25 AS total, repeat('plain text of a note, ', 12) AS note
  FROM generate_series(1, 180000) i`;
const DETECT = ['card', 'ssn', 'email', 'iban', 'secret', 'jwt'];

const rulesOf = (masking: readonly unknown[]) => ({
  config: (config: Config): Config => ({
    ...config,
    masking,
    rules: (config.rules as { match: Record<string, unknown> }[]).filter(({ match }) => match.rows === undefined),
  }),
});

export const results: Part = {
  name: 'results',
  about: 'a 64 MB result direct, unmasked, with two masked columns, with detectors on every column; text and binary',
  async run(stage) {
    await withClient(stage.ground.world.upstreamUrl, (client) => client.query(SEED));
    const kinds = [
      ['unmasked', [], 1.15],
      [
        'two masked columns',
        [{ connection: 'orders', columns: ['*.bench_mask.ssn', '*.bench_mask.card'], as: 'last4' }],
        1.6,
      ],
      ['detectors on every column', [{ connection: 'orders', detect: DETECT }], undefined],
    ] as const;
    const rows: Row[] = [];
    for (const [what, masking, goal] of kinds) rows.push(...(await measured(stage, what, masking, goal)));
    return rows;
  },
};

async function measured(
  stage: Stage,
  what: string,
  masking: readonly unknown[],
  goal: number | undefined,
): Promise<Row[]> {
  const { ground, options } = stage;
  const gateway = await startGateway(ground, rulesOf(masking));
  try {
    const [direct, own] = [directRoute(ground.world.upstream), await gateway.route()];
    const rows: Row[] = [];
    for (const format of ['text', 'binary'] as const) {
      const seconds = (route: Route) => drain(route, SELECT, format).then((took) => took.seconds);
      for (let n = 0; n < WARM; n++) for (const route of [direct, own]) await seconds(route);
      const ratios: number[] = [];
      const rates = { direct: [] as number[], gateway: [] as number[] };
      const { bytes } = await drain(direct, SELECT, format);
      for (let round = 0; round < options.rounds; round++) {
        const [bare, through] = [await seconds(direct), await seconds(own)];
        ratios.push(through / bare);
        rates.direct.push(bytes / bare / 1e6);
        rates.gateway.push(bytes / through / 1e6);
      }
      const [ratio, rate] = [spread(ratios), spread(rates.gateway)];
      rows.push({
        part: 'results',
        what: `${MEGABYTES} MB result, ${format}, ${what}: MB/s`,
        cells: { direct: shown(spread(rates.direct).median), gateway: shown(rate.median) },
        compared: `${shownSpread(ratio)} × the direct time`,
        goal: goal === undefined ? { ...atLeast(rate.median, 40), text: '≥ 40 MB/s' } : atMost(ratio.median, goal, '×'),
        figures: { ratio, rate, direct: spread(rates.direct) },
      });
    }
    return rows;
  } finally {
    await gateway.end();
  }
}

const STATEMENTS = [
  'SELECT * FROM customers WHERE id = 17',
  'SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.status = $1 ORDER BY o.id LIMIT 20',
  "SELECT date_trunc('month', placed_at) AS m, sum(total) FROM orders GROUP BY 1 ORDER BY 1",
  'SELECT reverse(ssn), upper(name) FROM customers WHERE email = $1',
];
const TIMES = 2_000;

export const plans: Part = {
  name: 'plans',
  about: 'what a plan costs: worked out from the parse, parse included, and found again',
  async run({ ground, options }): Promise<readonly Row[]> {
    const url = ground.world.upstream.url('orders', UPSTREAM_ROLE.user, UPSTREAM_ROLE.password);
    const catalog = createCatalog({
      connect: async () => {
        const client = new pg.Client(url);
        await client.connect();
        return client;
      },
    });
    const inspector = createInspector({
      serverMajor: 18,
      catalog,
      maskLiteral: (text) => text,
      cacheEntries: 100,
      workerDeadlineMs: 5_000,
    });
    try {
      const snapshot = await catalog.refresh();
      const guard = new MaskedColumns().guardOf(snapshot, PROFILE);
      const parser = new Parser({ serverMajor: 18, deadlineMs: 5_000 });
      const cold: number[] = [];
      const cached: number[] = [];
      const context = { frame: '', searchPath: ['public'], profile: PROFILE };
      for (let n = 0; n < TIMES * Math.max(1, options.rounds); n++) {
        const sql = STATEMENTS[n % STATEMENTS.length]!;
        const from = performance.now();
        const [tree] = await parser.parse(sql);
        if (guard) planOf(tree?.stmt, { snapshot, searchPath: ['public'], ...guard });
        cold.push((performance.now() - from) * 1_000);
        if (n < STATEMENTS.length) await inspector.inspect(sql, context);
      }
      for (let round = 0; round < options.rounds; round++) {
        const from = performance.now();
        for (let n = 0; n < TIMES; n++) void inspector.inspect(STATEMENTS[n % STATEMENTS.length]!, context);
        cached.push(((performance.now() - from) * 1_000) / TIMES);
      }
      const [first, again] = [percentile(cold, 0.5), spread(cached)];
      return [
        {
          part: 'plans',
          what: 'a plan, parse included, short statements: µs, p50',
          cells: { gateway: shown(first) },
          compared: `p99 ${shown(percentile(cold, 0.99))}`,
          goal: atMost(first, 150, 'µs'),
          figures: { p50: first, p99: percentile(cold, 0.99) },
        },
        {
          part: 'plans',
          what: 'a plan found again: µs',
          cells: { gateway: shown(again.median) },
          compared: 'with everything else the gateway knows of the text',
          goal: atMost(again.median, 2, 'µs'),
          figures: { again },
        },
      ];
    } finally {
      await inspector.close();
    }
  },
};

const PROFILE: Profile = {
  id: 'bench',
  maskOf: (_schema, _table, column) =>
    ['ssn', 'email', 'card_number', 'secret_no'].includes(column) ? { kind: 'last4' } : undefined,
  hasColumns: true,
  detection: undefined,
  predicates: 'audit',
};

export const catalogue: Part = {
  name: 'catalogue',
  about: 'the catalogue of a thousand tables and three hundred views: loading it, looking at it again',
  run: ({ ground, options }) =>
    catalogRows(ground.dist, (database) => ground.world.upstream.url(database), options.rounds),
};
