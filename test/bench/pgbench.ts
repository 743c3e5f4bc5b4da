/** pgbench, one run: transactions a second, each one's latency, and the CPU time that the route itself took. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuMs } from './cpu.ts';
import { address, output, type Route } from './routes.ts';

export type Load = {
  readonly mode: 'simple' | 'extended' | 'prepared';
  readonly clients: number;
  readonly seconds: number;
  /** Until so many are through instead, however long it takes: to warm up. */
  readonly transactions?: number;
  /** A script of its own; left out: pgbench's select-only, one of 100,000 accounts by its key. */
  readonly script?: string;
};

export type Run = {
  /** As pgbench counts them, without the time to connect. */
  readonly tps: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  /** CPU milliseconds that 1,000 transactions cost the route's own processes; 0 for the direct one. */
  readonly cpu: number;
};

const TRIES = 5;

export const seedAccounts = (route: Route): Promise<string> =>
  output('pgbench', ['-i', '-q', '-s', '1', ...address(route).slice(0, -2), 'orders'], route);

/** @throws Error when pgbench fails, or has counted nothing in several runs (then the machine is too busy to measure) */
export async function pgbench(route: Route, load: Load): Promise<Run> {
  for (let left = TRIES; left > 0; left--) {
    const run = await once(route, load);
    if (run) return run;
  }
  throw new Error(`not one transaction through ${route.name} within ${load.seconds} s, ${TRIES} times`);
}

async function once(route: Route, load: Load): Promise<Run | undefined> {
  const { mode, clients, seconds, transactions, script } = load;
  const dir = await mkdtemp(join(tmpdir(), 'countersign-pgbench-'));
  try {
    const before = route.pid === undefined ? 0 : await cpuMs(route.pid);
    const said = await output(
      'pgbench',
      [
        ...['-n', '-M', mode, '-c', `${clients}`, '-j', '1'],
        ...(transactions ? ['-t', `${Math.ceil(transactions / clients)}`] : ['-T', `${seconds}`]),
        ...(script === undefined ? ['-S'] : ['-f', script]),
        ...['--log', '--log-prefix', join(dir, 'log')],
        ...address(route).slice(0, -2),
        'orders',
      ],
      route,
    );
    const used = route.pid === undefined ? 0 : (await cpuMs(route.pid)) - before;
    const tps = /^tps = ([\d.]+)/m.exec(said)?.[1];
    const count = /^number of transactions actually processed: (\d+)/m.exec(said)?.[1];
    if (count === '0') return undefined;
    if (!tps || !count) throw new Error(`pgbench said no figure: ${said}`);
    const { p50, p99 } = await latencies(dir);
    return { tps: Number(tps), p50, p99, cpu: used / (Number(count) / 1_000) };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Of the log's lines `client transaction latency-µs script epoch epoch-µs`. */
async function latencies(dir: string): Promise<{ p50: number; p99: number }> {
  const micros: number[] = [];
  for (const name of await readdir(dir)) {
    const log = await readFile(join(dir, name), 'latin1');
    for (const line of log.split('\n')) if (line !== '') micros.push(Number(line.split(' ', 3)[2]));
  }
  const sorted = Float64Array.from(micros).sort();
  const at = (share: number) => sorted[Math.floor(sorted.length * share)];
  const [p50, p99] = [at(0.5), at(0.99)];
  if (p50 === undefined || p99 === undefined) throw new Error('pgbench logged no transaction');
  return { p50, p99 };
}
