/** What a soak looks at, and the rule by which it calls a curve flat. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { eventually } from '../support/workspace.ts';

export type PartSample = {
  readonly rssMb: number;
  /** After a collection that was asked for; undefined in between. */
  readonly heapMb: number | undefined;
  readonly handles: number;
};
export type Sample = {
  readonly minute: number;
  readonly gateway: PartSample;
  readonly bot: PartSample;
  readonly lagMs: number;
  readonly auditQueue: number;
  readonly redisMb: number;
  readonly redisKeys: number;
  /** Keys that never end by themselves, but for the jobs that BullMQ keeps a number of. */
  readonly lastingKeys: number;
};

const MB = 1 << 20;

export async function partSample(pid: number, heapFile: string | undefined): Promise<PartSample> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const handles = (await readdir(`/proc/${pid}/fd`)).length;
  const rssMb = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1_024;
  return { rssMb, handles, heapMb: heapFile === undefined ? undefined : await heapOf(pid, heapFile) };
}

async function heapOf(pid: number, heapFile: string): Promise<number | undefined> {
  const asked = Date.now();
  process.kill(pid, 'SIGUSR2');
  const file = `${heapFile}-${pid}`;
  return eventually(async () => {
    const { at, used } = JSON.parse(await readFile(file, 'utf8').catch(() => '{"at":0,"used":0}'));
    return at >= asked && used / MB;
  }, 10_000);
}

export async function metricsOf(web: string): Promise<{ lagMs: number; auditQueue: number }> {
  const text = await (await fetch(`${web}/metrics`)).text();
  const value = (name: RegExp) => Number(new RegExp(`^${name.source} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  return {
    lagMs: 1_000 * value(/countersign_event_loop_lag_seconds/),
    auditQueue: value(/countersign_audit_queue_\w+/),
  };
}

export async function redisSample(redis: Redis): Promise<Pick<Sample, 'redisMb' | 'redisKeys' | 'lastingKeys'>> {
  const memory = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]) / MB;
  const keys = new Set<string>();
  for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
    const [next, some] = await redis.scan(cursor, 'COUNT', 1_000);
    for (const key of some) keys.add(key);
    cursor = next;
  }
  const names = [...keys].filter((key) => !/^countersign\.q:[^:]+:[^:]*-/.test(key)); // a job's own keys
  const ttls = await redis.pipeline(names.map((name) => ['pttl', name])).exec();
  const lasting = (ttls ?? []).filter(([, ttl]) => ttl === -1).length;
  return { redisMb: memory, redisKeys: keys.size, lastingKeys: lasting };
}

export const heapFileIn = (dir: string): string => join(dir, 'heap');

const LEAST_MINUTES = 10;
const MOST_MB_A_MINUTE = 0.5;
const MORE_HANDLES = 5;
const MORE_LAG_MS = 20; // above twice what it was
const MORE_LASTING = 5;

export const RULE = `flat: over the last two thirds the heap after a collection and the resident set of gateway and bot each grow by less than ${MOST_MB_A_MINUTE} MB a minute; no more than ${MORE_HANDLES} handles and ${MORE_LASTING} lasting Redis keys above the first third; event-loop lag p99 at most twice that of the first third and ${MORE_LAG_MS} ms`;

/** Why it is not flat; empty when it is. */
export function risings(samples: readonly Sample[]): string[] {
  const third = Math.floor(samples.length / 3);
  const first = samples.slice(Math.floor(third / 3), third); // less the start itself
  const rest = samples.slice(third);
  const last = samples.slice(-third);
  const wrong: string[] = [];
  const minutes = samples.at(-1)?.minute ?? 0;
  if (minutes < LEAST_MINUTES) wrong.push(`${minutes.toFixed(1)} minutes are too short to tell`);
  for (const part of ['gateway', 'bot'] as const) {
    for (const what of ['heapMb', 'rssMb'] as const) {
      const grows = slope(
        rest.flatMap(({ minute, ...all }) => {
          const value = all[part][what];
          return value === undefined ? [] : [[minute, value] as const];
        }),
      );
      if (!(grows < MOST_MB_A_MINUTE)) wrong.push(`${what} of the ${part} grows by ${grows.toFixed(2)} MB a minute`);
    }
    const before = median(first.map((sample) => sample[part].handles));
    const after = median(last.map((sample) => sample[part].handles));
    if (!(after <= before + MORE_HANDLES)) wrong.push(`handles of the ${part} grew from ${before} to ${after}`);
  }
  const before = median(first.map(({ lastingKeys }) => lastingKeys));
  const after = median(last.map(({ lastingKeys }) => lastingKeys));
  if (!(after <= before + MORE_LASTING)) wrong.push(`lasting Redis keys grew from ${before} to ${after}`);
  const lag = [first, last].map((some) => median(some.map(({ lagMs }) => lagMs)));
  if (!((lag[1] ?? Number.NaN) <= 2 * (lag[0] ?? 0) + MORE_LAG_MS))
    wrong.push(`event-loop lag p99 grew from ${lag[0]?.toFixed(0)} to ${lag[1]?.toFixed(0)} ms`);
  return wrong;
}

/** Least squares, per unit of the first. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return over / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
