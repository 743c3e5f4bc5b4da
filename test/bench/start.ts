/** From the start of the process to the first accepted connection, and to ready. */
import { connect } from 'node:net';
import { type Spread, shown, spread } from './figures.ts';
import { answering, type GatewayOptions, spawnGateway } from './gateway.ts';
import { atMost, type Row } from './report.ts';
import type { Part, Stage } from './stage.ts';

const MOST_SECONDS = 1.5;
const LOOK_MS = 5;
const WAIT_MS = 30_000;

export const start: Part = {
  name: 'start',
  about: 'start of the process to listening: the compiled product under node, the sources under tsx',
  async run(stage) {
    const built: Started[] = [];
    const sources: Started[] = [];
    for (let round = 0; round < stage.options.rounds; round++) {
      built.push(await once(stage, {}));
      sources.push(await once(stage, { sources: true }));
    }
    const of = (runs: readonly Started[], key: keyof Started) => spread(runs.map((run) => run[key]));
    const goal = atMost(of(built, 'listening').median, MOST_SECONDS, 's');
    return [
      row('compiled, under node', of(built, 'listening'), of(built, 'ready'), goal),
      row('the sources, under tsx', of(sources, 'listening'), of(sources, 'ready'), undefined),
    ];
  },
};

/** Seconds. */
type Started = { readonly listening: number; readonly ready: number };

async function once({ ground }: Stage, options: GatewayOptions): Promise<Started> {
  const { gateway, from } = await spawnGateway({ ...ground, profile: undefined }, options);
  try {
    const seconds = () => (performance.now() - from) / 1_000;
    while (!(await accepts(gateway.port))) {
      if (!gateway.alive() || performance.now() - from > WAIT_MS) throw new Error(`${gateway.name} does not listen`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    const listening = seconds();
    await answering(gateway);
    return { listening, ready: seconds() };
  } finally {
    await gateway.end();
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

const row = (what: string, listening: Spread, ready: Spread, goal: Row['goal']): Row => ({
  part: 'start',
  what: `start to listening, ${what}: s`,
  cells: { gateway: shown(listening.median) },
  compared: `${shown(listening.min)} to ${shown(listening.max)}`,
  ...(goal ? { goal } : {}),
  figures: { listening, ready },
});
