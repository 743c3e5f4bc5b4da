/** Sessions recorded and encrypted, few and a thousand at once, beside the same load that nobody records. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../support/world.ts';
import { shown, shownSpread, spread } from './figures.ts';
import { startGateway } from './gateway.ts';
import { Herd } from './herd.ts';
import type { Row } from './report.ts';
import type { Part, Stage } from './stage.ts';

const LEAST = 0.9;
const WARM = 20; // statements of each client before anything is counted
const WINDOW_S = 5; // of each session a seal falls into it; short, so that a machine that drifts drifts for both

export const recorded: Part = {
  name: 'recorded',
  about: 'sessions (8, 500 and 1,000 at once), recorded and not: tps through the gateway',
  run: async (stage) => {
    const rows: Row[] = [];
    for (const sessions of stage.options.sessions) rows.push(await load(stage, sessions));
    return rows;
  },
};

/** All log in before anything is counted, and stay: what is compared is the same sessions at the same work. */
async function load({ ground, options, say }: Stage, sessions: number): Promise<Row> {
  const many = (config: Config): Config => ({
    ...config,
    limits: { ...config.limits, sessions_per_principal: sessions + 10 },
  });
  const key = randomBytes(32).toString('base64');
  const kept = join(ground.dir, `recordings-${sessions}`);
  process.env.BENCH_RECORDINGS_KEY = key;
  const gateways = [await startGateway(ground, { config: many })];
  const herds: Herd[] = [];
  try {
    gateways.push(
      await startGateway(ground, {
        config: (config) => ({ ...many(config), recordings: { dir: kept, key: `\${env:BENCH_RECORDINGS_KEY}` } }),
      }),
    );
    for (const gateway of gateways) {
      const from = performance.now();
      herds.push(await Herd.enter(await gateway.route(), sessions));
      say(`${sessions} sessions let in after ${((performance.now() - from) / 1_000).toFixed(1)} s`);
    }
    const tps: number[][] = [];
    const cpu: number[][] = [];
    const seconds = options.quick ? 1 : WINDOW_S;
    for (const herd of herds) await herd.graze({ each: WARM });
    for (let round = 0; round < options.rounds; round++) {
      const runs = [];
      for (const herd of round % 2 === 0 ? herds : [...herds].reverse()) runs.push(await herd.graze({ seconds }));
      if (round % 2 === 1) runs.reverse();
      tps.push(runs.map((run) => run.tps));
      cpu.push(runs.map((run) => run.cpu));
      say(
        `recorded, ${sessions} sessions: ${runs.map((run) => `${shown(run.tps)} tps, ${shown(run.cpu)} ms/1000`).join(' | ')}`,
      );
    }
    const ratio = spread(tps.map(([plain = 0, taped = 0]) => taped / plain));
    const of = (figures: number[][], at: number) => spread(figures.map((round) => round[at] ?? 0));
    return {
      part: 'recorded',
      what: `point select, simple, ${sessions.toLocaleString('en-US')} sessions, recorded and encrypted: tps`,
      cells: { gateway: shown(of(tps, 1).median) },
      compared: `${shownSpread(ratio)} of the same unrecorded, ${shown(of(tps, 0).median)}; CPU ${shown(of(cpu, 1).median)} ms a thousand beside ${shown(of(cpu, 0).median)}`,
      goal: { text: '≥ 0.9', met: ratio.median >= LEAST ? 'met' : 'not met' },
      figures: { plain: of(tps, 0), recorded: of(tps, 1), ratio, cpuPlain: of(cpu, 0), cpuRecorded: of(cpu, 1) },
    };
  } finally {
    for (const herd of herds) herd.leave();
    for (const gateway of gateways) await gateway.end();
  }
}
