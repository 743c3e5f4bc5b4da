/** A 64 MB result through each route. */
import { shown, spread } from './figures.ts';
import { startGateway } from './gateway.ts';
import { atMost, type Row } from './report.ts';
import { address, output, type Route } from './routes.ts';
import { interleaved, type Part } from './stage.ts';

const TEXT = "SELECT i, repeat('x', 1000) FROM generate_series(1, 65536) i"; // 64 MB of row data
const MEGABYTES = 64;

export const large: Part = {
  name: 'large',
  about: 'a 64 MB result',
  async run({ ground, options, others }) {
    const gateway = await startGateway(ground);
    try {
      const routes = [...others, await gateway.route()];
      for (const route of routes) await seconds(route);
      const runs = await interleaved(routes, options.rounds, seconds);
      const rate = (of: readonly number[]) => spread(of.map((took) => MEGABYTES / took));
      const own = runs.get('gateway') ?? [];
      const direct = runs.get('direct');
      const ratio = direct && spread(own.map((took, round) => took / (direct[round] ?? took)));
      const row: Row = {
        part: 'large',
        what: '64 MB result: MB/s',
        cells: Object.fromEntries([...runs].map(([name, of]) => [name, shown(rate(of).median)])),
        compared: ratio ? `${shown(ratio.median)} × the direct time` : '',
        ...(ratio ? { goal: atMost(ratio.median, 1.15, '×') } : {}),
        figures: {
          ...Object.fromEntries([...runs].map(([name, of]) => [`${name} MB/s`, rate(of)])),
          ...(ratio ? { ratio } : {}),
        },
      };
      return [row];
    } finally {
      await gateway.end();
    }
  },
};

async function seconds(route: Route): Promise<number> {
  const from = performance.now();
  await output('psql', ['-X', '-q', '-o', '/dev/null', ...address(route), '-c', TEXT], route);
  return (performance.now() - from) / 1_000;
}
