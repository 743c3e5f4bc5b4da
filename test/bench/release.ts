/** From the click to the target: vote job enqueued → the statement's first byte upstream, beside a bare BullMQ round. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import pg from 'pg';
import { freePort } from '../support/ports.ts';
import { withClient } from '../support/seed.ts';
import { startBot } from './bot.ts';
import { percentile, shown } from './figures.ts';
import { startGateway } from './gateway.ts';
import { atMost, type Row } from './report.ts';
import { ending } from './routes.ts';
import type { Part, Stage } from './stage.ts';
import { startTap } from './tap.ts';

const HOLDS = 500;
const QUICK_HOLDS = 25;
const WARM_HOLDS = 25;
const P50_MS = 2;
const P99_MS = 10;
const QUEUE = 'bare';
const STATEMENT = 'DELETE FROM bench_released';

export const release: Part = {
  name: 'release',
  about: `${HOLDS} holds, one by one: vote enqueued → first byte upstream, p50 and p99, beside a bare BullMQ round`,
  async run(stage) {
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const { measure, floor } = await prepare(stage, undo);
      const count = stage.options.quick ? QUICK_HOLDS : HOLDS;
      for (let n = 0; n < WARM_HOLDS; n++) {
        await floor();
        await measure();
      }
      const own: number[] = [];
      const bare: number[] = [];
      for (let n = 0; n < count; n++) {
        bare.push(await floor());
        own.push(await measure());
      }
      return rows(own, bare);
    } finally {
      for (const step of undo.reverse()) await step();
    }
  },
};

async function prepare({ ground }: Stage, undo: (() => Promise<unknown>)[]) {
  const { world } = ground;
  const tap = await startTap(await freePort(), world.upstream.port);
  undo.push(() => tap.stop());
  await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE IF NOT EXISTS bench_released (id int)'));
  const bot = await startBot(ground);
  undo.push(() => bot.stop());
  const gateway = await startGateway(ground, {
    config: (config) => {
      const [orders] = config.connections;
      return { ...config, connections: [{ ...orders, upstream: { ...orders.upstream, port: tap.port } }] };
    },
  });
  undo.push(() => gateway.end());
  const { port, user, password } = await gateway.route();
  const client = new pg.Client({ host: '127.0.0.1', port, user, password, database: 'orders' });
  await client.connect();
  undo.push(() => client.end());
  const floor = await bareRounds(world.redis.url, undo);
  return {
    floor,
    measure: async (): Promise<number> => {
      const answer = client.query(STATEMENT);
      const card = await bot.card('open');
      const arrived = tap.next(STATEMENT);
      const from = await bot.approve(card);
      const ms = (await arrived) - from;
      await answer;
      await bot.card('done'); // the next one finds nothing under way
      return ms;
    },
  };
}

/** Milliseconds from `add` here to the worker's function in another process, one at a time. */
async function bareRounds(url: string, undo: (() => Promise<unknown>)[]): Promise<() => Promise<number>> {
  const script = fileURLToPath(new URL('bare-worker.ts', import.meta.url));
  const child = fork(script, [url, QUEUE], { execArgv: ['--import', 'tsx'] });
  undo.push(ending(child));
  await once(child, 'message');
  const queue = new Queue(QUEUE, { connection: { url } });
  undo.push(() => queue.close());
  return async () => {
    const came = once(child, 'message');
    const from = process.hrtime.bigint();
    await queue.add('bare', {}, { removeOnComplete: true });
    const [at] = (await came) as [string];
    return Number(BigInt(at) - from) / 1e6;
  };
}

function rows(own: readonly number[], bare: readonly number[]): Row[] {
  const row = (name: string, share: number, most: number): Row => {
    const [ms, floor] = [percentile(own, share), percentile(bare, share)];
    return {
      part: 'release',
      what: `click to release, ${own.length} holds: ${name}, ms`,
      cells: { gateway: shown(ms) },
      compared: `a bare BullMQ round ${shown(floor)}`,
      goal: atMost(ms, most, 'ms'),
      figures: { gateway: ms, bare: floor },
    };
  };
  return [row('p50', 0.5, P50_MS), row('p99', 0.99, P99_MS)];
}
