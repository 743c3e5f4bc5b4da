/** `npm run soak -- load`: half an hour of everything clients do, with holds; does anything grow? */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { builtProduct } from '../support/built.ts';
import { withClient } from '../support/seed.ts';
import { Workspace } from '../support/workspace.ts';
import { type Config, startWorld } from '../support/world.ts';
import { heapFileIn, median, metricsOf, partSample, RULE, redisSample, risings, type Sample } from './load-samples.ts';
import { startWork, type Tally } from './load-work.ts';

const SAMPLE_MS = 10_000;
const HEAP_EVERY = 3; // samples: a collection is work, too
const ROWS = 10;

const USAGE = `Usage: npm run soak -- load [--minutes N] [--json FILE] [--markdown FILE]

Mixed load with holds for N minutes (30); prints memory, handles, event-loop lag and Redis over time, and whether they
stay flat: ${RULE}.
`;

export async function load(args: readonly string[]): Promise<number> {
  let values: { minutes: string; json?: string; markdown?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '30' },
        json: { type: 'string' },
        markdown: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
    if (!/^\d{1,4}$/.test(values.minutes) || values.minutes === '0') throw new Error('--minutes: expected 1 to 9999');
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    return 2;
  }
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const { samples, tally, failure } = await soak(Number(values.minutes));
  const wrong = [...risings(samples), ...(failure === undefined ? [] : [failure])];
  const report = `${table(samples)}\n${counted(tally)}\n\n${wrong.length === 0 ? 'Flat.' : `Not flat: ${wrong.join('; ')}.`}\n`;
  console.log(report);
  if (values.json)
    await writeFile(
      values.json,
      `${JSON.stringify({ samples, tally: Object.fromEntries(tally), wrong, rule: RULE }, null, 2)}\n`,
    );
  if (values.markdown) await writeFile(values.markdown, report);
  return wrong.length === 0 ? 0 : 1;
}

async function soak(minutes: number): Promise<{ samples: Sample[]; tally: Tally; failure: string | undefined }> {
  const dir = await mkdtemp(join(tmpdir(), 'countersign-soak-'));
  const built = await builtProduct({ types: false });
  try {
    const world = await startWorld({
      built: built.dist,
      env: {
        NODE_OPTIONS: `--require ${fileURLToPath(new URL('load-heap.cjs', import.meta.url))}`,
        SOAK_HEAP: heapFileIn(dir),
      },
      config: (config: Config) => {
        const match = { object: 'soaked_briefly', action: ['update'] };
        const brief = { id: 'brief', match, verdict: 'hold', expires: '10s', why: 'It ends soon' };
        return { ...config, rules: [...config.rules, brief] };
      },
    });
    const redis = new Redis(world.redis.url);
    try {
      await withClient(world.upstreamUrl, (client) =>
        client.query('CREATE TABLE soaked (id bigint, note text); CREATE TABLE soaked_briefly (id bigint, note text)'),
      );
      const work = await startWork(world, new Workspace(world.slack?.controlUrl ?? '', world.channel));
      const samples: Sample[] = [];
      const began = performance.now();
      for (let n = 1; performance.now() - began < minutes * 60_000; n++) {
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + n * SAMPLE_MS - performance.now())));
        const heap = n % HEAP_EVERY === 0 ? heapFileIn(dir) : undefined;
        const [gateway, bot] = [world.gateways[0], world.bots[0]];
        samples.push({
          minute: (performance.now() - began) / 60_000,
          ...(await metricsOf(gateway?.web ?? '')), // before the collections, which it would see
          gateway: await partSample(gateway?.pid ?? 0, heap),
          bot: await partSample(bot?.pid ?? 0, heap),
          ...(await redisSample(redis)),
        });
        if (heap !== undefined) console.error(row(samples.slice(-HEAP_EVERY)));
      }
      const failure = await work.stop().then(
        () => undefined,
        (error: Error) => error.message,
      );
      return { samples, tally: work.tally, failure };
    } finally {
      redis.disconnect();
      await world.stop();
    }
  } finally {
    await built.remove();
    await rm(dir, { recursive: true, force: true });
  }
}

const HEAD = `| minute | gateway RSS | heap | handles | bot RSS | heap | handles | loop lag p99 | audit queue | Redis | keys |
|---|---|---|---|---|---|---|---|---|---|---|`;

function row(some: readonly Sample[]): string {
  const mb = (value: number | undefined) => (value === undefined ? '' : `${value.toFixed(1)} MB`);
  const mid = (of: (sample: Sample) => number | undefined) => {
    const values = some.flatMap((sample) => of(sample) ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  const cells = [
    (some.at(-1)?.minute ?? 0).toFixed(1),
    ...(['gateway', 'bot'] as const).flatMap((part) => [
      mb(mid((sample) => sample[part].rssMb)),
      mb(mid((sample) => sample[part].heapMb)),
      `${mid((sample) => sample[part].handles)}`,
    ]),
    `${mid(({ lagMs }) => lagMs)?.toFixed(1)} ms`,
    `${mid(({ auditQueue }) => auditQueue)}`,
    mb(mid(({ redisMb }) => redisMb)),
    `${mid(({ redisKeys }) => redisKeys)}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Ten rows, medians of each tenth: one for three minutes of thirty. */
function table(samples: readonly Sample[]): string {
  const size = Math.max(1, Math.ceil(samples.length / ROWS));
  const rows: string[] = [];
  for (let from = 0; from < samples.length; from += size) rows.push(row(samples.slice(from, from + size)));
  return [HEAD, ...rows, ''].join('\n');
}

const counted = (tally: Tally): string =>
  [...tally].map(([kind, count]) => `${count.toLocaleString('en-US')} ${kind}`).join(', ');
