/** Point selects: throughput, latency and CPU, each protocol, by number of clients. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Spread, shown, shownSpread, spread } from './figures.ts';
import { startGateway } from './gateway.ts';
import { type Load, pgbench, type Run } from './pgbench.ts';
import { atLeast, atMost, type Row } from './report.ts';
import type { Route, RouteName } from './routes.ts';
import { interleaved, type Part, type Stage } from './stage.ts';

const WARM = 3_000; // transactions: code is compiled by how often it ran, not by how long
const GOALS: Record<number, number> = { 1: 0.75, 8: 0.65, 32: 0.65 }; // DESIGN 11: of pgbouncer, for a start
const ADDED_P50_US = 100;
const REPEATED = '\\set id random(1, 5000)\nSELECT name FROM customers WHERE id = :id;\n';

type Cell = Load & { readonly name: string };

export const select: Part = {
  name: 'select',
  about: 'pgbench select-only, simple, extended, prepared; 1, 8, 32 clients: tps, p50 and p99, CPU',
  async run(stage) {
    const gateway = await startGateway(stage.ground);
    try {
      const routes = [...stage.others, ...(stage.options.routes.includes('gateway') ? [await gateway.route()] : [])];
      const rows: Row[] = [];
      for (const cell of await cells(stage)) rows.push(...(await measure(stage, routes, cell)));
      return rows;
    } finally {
      await gateway.end();
    }
  },
};

async function cells({ ground, options }: Stage): Promise<Cell[]> {
  const script = join(ground.dir, 'repeated.sql');
  await writeFile(script, REPEATED);
  const kinds: (Omit<Cell, 'clients'> & { readonly only?: number })[] = [
    { name: 'simple', mode: 'simple', seconds: 2 },
    { name: 'extended', mode: 'extended', seconds: 2 },
    { name: 'prepared', mode: 'prepared', seconds: 1 },
    { name: 'simple, 5,000 texts', mode: 'simple', seconds: 1, script, only: 8 },
  ];
  return kinds
    .filter(({ mode }) => options.modes.includes(mode))
    .flatMap(({ only, ...kind }) =>
      options.clients
        .filter((clients) => only === undefined || clients === only)
        .map((clients) => ({ ...kind, clients, seconds: options.quick ? 1 : kind.seconds })),
    );
}

async function measure({ options, say }: Stage, routes: readonly Route[], cell: Cell): Promise<Row[]> {
  for (const route of routes) await pgbench(route, { ...cell, transactions: WARM });
  const runs = await interleaved(routes, options.rounds, (route) => pgbench(route, cell));
  const rows = [throughput(cell, runs), latency(cell, runs), cpu(cell, runs)];
  for (const { what, cells, compared } of rows)
    say(
      `${what}: ${Object.entries(cells)
        .map(([name, text]) => `${name} ${text}`)
        .join(', ')}; ${compared}`,
    );
  return rows;
}

type Runs = ReadonlyMap<RouteName, readonly Run[]>;
const what = ({ name, clients }: Cell, unit: string) =>
  `point select, ${name}, ${clients} ${clients === 1 ? 'client' : 'clients'}: ${unit}`;

function throughput(cell: Cell, runs: Runs): Row {
  const figures = figuresOf(runs, ['tps']);
  const ratio = pairs(runs, 'gateway', 'pgbouncer', (own, other) => own.tps / other.tps);
  const floor = pairs(runs, 'pipe', 'pgbouncer', (own, other) => own.tps / other.tps);
  const parts = [ratio && `${shownSpread(ratio)} of pgbouncer`, floor && `pipe ${shown(floor.median)}`];
  return {
    part: 'select',
    what: what(cell, 'tps'),
    cells: byRoute(runs, (of) => shown(spread(of.map(({ tps }) => tps)).median)),
    compared: parts.filter(Boolean).join('; '),
    ...(ratio ? { goal: atLeast(ratio.median, 1, GOALS[cell.clients]) } : {}),
    figures: { ...figures, ...(ratio ? { ratio } : {}), ...(floor ? { pipeRatio: floor } : {}) },
  };
}

function latency(cell: Cell, runs: Runs): Row {
  const added = (to: RouteName, key: 'p50' | 'p99') =>
    pairs(runs, 'gateway', to, (own, other) => own[key] - other[key]);
  const overDirect = { p50: added('direct', 'p50'), p99: added('direct', 'p99') };
  const overPooler = { p50: added('pgbouncer', 'p50'), p99: added('pgbouncer', 'p99') };
  const said = (name: string, { p50, p99 }: { p50: Spread | undefined; p99: Spread | undefined }) =>
    p50 && p99 && `${signed(p50)} / ${signed(p99)} over ${name}`;
  const goal =
    cell.clients === 1 && overDirect.p50 ? atMost(overDirect.p50.median, ADDED_P50_US, 'µs added p50') : undefined;
  return {
    part: 'select',
    what: what(cell, 'p50 / p99, µs'),
    cells: byRoute(runs, (of) => [middle(of, 'p50'), middle(of, 'p99')].map(shown).join(' / ')),
    compared: [said('direct', overDirect), said('pgbouncer', overPooler)].filter(Boolean).join('; '),
    ...(goal ? { goal } : {}),
    figures: {
      ...figuresOf(runs, ['p50', 'p99']),
      ...named('overDirect', overDirect),
      ...named('overPgbouncer', overPooler),
    },
  };
}

function cpu(cell: Cell, runs: Runs): Row {
  const ratio = pairs(runs, 'gateway', 'pgbouncer', (own, other) => own.cpu / other.cpu);
  const own = new Map([...runs].filter(([name]) => name !== 'direct'));
  return {
    part: 'select',
    what: what(cell, 'CPU ms per 1,000'),
    cells: byRoute(own, (of) => shown(middle(of, 'cpu'))),
    compared: ratio ? `${shown(ratio.median)} × pgbouncer` : '',
    figures: { ...figuresOf(own, ['cpu']), ...(ratio ? { ratio } : {}) },
  };
}

const middle = (runs: readonly Run[], key: keyof Run): number => spread(runs.map((run) => run[key])).median;
const signed = ({ median }: Spread): string => `${median < 0 ? '−' : '+'}${shown(Math.abs(median))}`;

const byRoute = (runs: Runs, text: (runs: readonly Run[]) => string): Row['cells'] =>
  Object.fromEntries([...runs].map(([name, of]) => [name, text(of)]));

const named = (name: string, { p50, p99 }: { p50: Spread | undefined; p99: Spread | undefined }) =>
  p50 && p99 ? { [`${name} p50`]: p50, [`${name} p99`]: p99 } : {};

/** Within each round, then the spread over the rounds. Undefined where one of the two was left out. */
function pairs(
  runs: Runs,
  own: RouteName,
  other: RouteName,
  compare: (own: Run, other: Run) => number,
): Spread | undefined {
  const [mine, theirs] = [runs.get(own), runs.get(other)];
  if (!mine || !theirs) return undefined;
  return spread(mine.flatMap((run, round) => (theirs[round] ? [compare(run, theirs[round])] : [])));
}

function figuresOf(runs: Runs, keys: readonly (keyof Run)[]): Row['figures'] {
  const entries = [...runs].flatMap(([name, of]) =>
    keys.map((key): [string, Spread] => [`${name} ${key}`, spread(of.map((run) => run[key]))]),
  );
  return Object.fromEntries(entries);
}
