/** Sessions recorded and encrypted, few and hundreds at once, beside the same load that nobody records. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../support/world.ts';
import { shown, shownSpread, spread } from './figures.ts';
import { startGateway } from './gateway.ts';
import { pgbench } from './pgbench.ts';
import type { Row } from './report.ts';
import type { Part, Stage } from './stage.ts';

const SESSIONS = 500; // a thousand that log in within seconds make the trail lag, recorded or not, and are refused
const LEAST = 0.9;

export const recorded: Part = {
  name: 'recorded',
  about: `${SESSIONS.toLocaleString('en-US')} sessions at once, recorded and not: tps through the gateway`,
  run: async (stage) => {
    const rows: Row[] = [];
    for (const clients of stage.options.quick ? [50] : [8, SESSIONS]) rows.push(await load(stage, clients));
    return rows;
  },
};

async function load({ ground, options, say }: Stage, clients: number): Promise<Row> {
  const many = (config: Config): Config => ({
    ...config,
    limits: { ...config.limits, sessions_per_principal: SESSIONS + 10 },
  });
  const key = randomBytes(32).toString('base64');
  const kept = join(ground.dir, `recordings-${clients}`);
  process.env.BENCH_RECORDINGS_KEY = key;
  const gateways = [await startGateway(ground, { config: many })];
  try {
    gateways.push(
      await startGateway(ground, {
        config: (config) => ({ ...many(config), recordings: { dir: kept, key: `\${env:BENCH_RECORDINGS_KEY}` } }),
      }),
    );
    const routes = await Promise.all(gateways.map((gateway) => gateway.route()));
    const tps: number[][] = [];
    const cpu: number[][] = [];
    // A thousand take a while to connect, which counts.
    const seconds = options.quick ? 1 : clients > 100 ? 30 : 5;
    const work = { mode: 'simple', clients, seconds } as const;
    for (const route of routes) await pgbench(route, { ...work, transactions: 3 * clients });
    for (let round = 0; round < options.rounds; round++) {
      const runs = [];
      for (const route of round % 2 === 0 ? routes : [...routes].reverse()) runs.push(await pgbench(route, work));
      if (round % 2 === 1) runs.reverse();
      tps.push(runs.map((run) => run.tps));
      cpu.push(runs.map((run) => run.cpu));
      say(
        `recorded, ${clients} sessions: ${runs.map((run) => `${shown(run.tps)} tps, ${shown(run.cpu)} ms/1000`).join(' | ')}`,
      );
    }
    const ratio = spread(tps.map(([plain = 0, taped = 0]) => taped / plain));
    const of = (figures: number[][], at: number) => spread(figures.map((round) => round[at] ?? 0));
    return {
      part: 'recorded',
      what: `point select, simple, ${clients.toLocaleString('en-US')} sessions, recorded and encrypted: tps`,
      cells: { gateway: shown(of(tps, 1).median) },
      compared: `${shownSpread(ratio)} of the same unrecorded, ${shown(of(tps, 0).median)}; CPU ${shown(of(cpu, 1).median)} ms a thousand beside ${shown(of(cpu, 0).median)}`,
      goal: { text: '≥ 0.9', met: ratio.median >= LEAST ? 'met' : 'not met' },
      figures: { plain: of(tps, 0), recorded: of(tps, 1), ratio, cpuPlain: of(cpu, 0), cpuRecorded: of(cpu, 1) },
    };
  } finally {
    for (const gateway of gateways) await gateway.end();
  }
}
