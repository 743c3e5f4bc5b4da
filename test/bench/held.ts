/** Thousands of held connections on one gateway: what each costs in memory, and what the others notice of it. */
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { selfSigned } from '../support/door.ts';
import { freePort } from '../support/ports.ts';
import { ready } from '../support/redis.ts';
import { withClient } from '../support/seed.ts';
import type { Config } from '../support/world.ts';
import { ask } from './ask.ts';
import { rssBytes } from './cpu.ts';
import type { Place } from './enter.ts';
import { shown, spread } from './figures.ts';
import { type BenchGateway, startGateway } from './gateway.ts';
import { pgbench } from './pgbench.ts';
import { atMost, type Row } from './report.ts';
import { directRoute, ending, type Route } from './routes.ts';
import type { Part, Stage } from './stage.ts';
import { hold } from './waiter.ts';

const CONNECTIONS = 9_000;
const TLS_CONNECTIONS = 1_000;
const QUICK_CONNECTIONS = 200;
const SPARE_FILES = 1_000;
const AT_ONCE = 64; // log-ins under way
const TRIES = 10;
const AGAIN_MS = 1_000;
const MOST_MB = 400;
const UNCHANGED = 0.9;
const STATEMENT = 'DELETE FROM bench_held';
const CLIENTS = 8;

export const held: Part = {
  name: 'held',
  about: `${CONNECTIONS.toLocaleString('en-US')} held connections on one gateway: memory of each (TCP, TLS), the others' throughput`,
  async run(stage) {
    const stub = await startStub(stage);
    try {
      await withClient(stage.ground.world.upstreamUrl, (client) =>
        client.query('CREATE TABLE IF NOT EXISTS bench_held (id int)'),
      );
      const plain = await fill(stage, stub.port, { tls: false });
      const encrypted = await fill(stage, stub.port, { tls: true });
      return [...plain, ...encrypted];
    } finally {
      await stub.stop();
    }
  },
};

async function startStub({ ground }: Stage): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const script = fileURLToPath(new URL('stub.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, `${port}`, `${ground.world.upstream.port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = ending(child);
  await ready(child, 'listening');
  return { port, stop };
}

async function fill(stage: Stage, target: number, { tls }: { tls: boolean }): Promise<Row[]> {
  const { ground, options, say } = stage;
  const wanted = options.held ?? (options.quick ? QUICK_CONNECTIONS : tls ? TLS_CONNECTIONS : CONNECTIONS);
  const count = Math.min(wanted, Math.floor(((await openFiles()) - SPARE_FILES) / 2)); // two sockets a connection
  const certificate = tls ? await writeCertificate(ground.dir) : undefined;
  const gateway = await startGateway(ground, { config: (config) => roomy(config, target, certificate) });
  const leave: (() => void)[] = [];
  try {
    const route = await gateway.route();
    const routes = [directRoute(ground.world.upstream), route];
    const place = { port: gateway.port, user: route.user, password: route.password, database: 'held', tls };
    leave.push((await heldBy(place)).leave); // the catalogue is loaded, the code is warm
    for (const each of routes)
      await pgbench(each, { mode: 'extended', clients: CLIENTS, seconds: 1, transactions: 3_000 });
    const before = tls ? undefined : await share(routes, options);
    const empty = await rssBytes(gateway.pid);

    const from = performance.now();
    let left = count - 1;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (left-- > 0) leave.push((await heldBy(place)).leave);
      }),
    );
    say(`${count} held after ${((performance.now() - from) / 1_000).toFixed(1)} s`);
    await stillOpen(gateway, count);
    const during = before === undefined ? undefined : await share(routes, options);
    const full = await rssBytes(gateway.pid);
    return [
      memory({ count, tls, empty, full }),
      ...(before === undefined || during === undefined ? [] : [neighbours(count, before, during)]),
    ];
  } finally {
    for (const end of leave) end();
    // Thousands of last cards are nobody's concern here; a profile is written by a process that ends by itself.
    await gateway.end(ground.profile ? 'SIGTERM' : 'SIGKILL');
  }
}

/** A busy machine's gateway may refuse one for a moment (its disk lags): then the client tries again, as clients do. */
async function heldBy(place: Place): ReturnType<typeof hold> {
  for (let left = TRIES; ; left--) {
    try {
      return await hold(place, STATEMENT);
    } catch (error) {
      if (left <= 1) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/** What the process may open: Node has raised its soft limit to the hard one already. */
async function openFiles(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'latin1');
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1_024);
}

function roomy(config: Config, target: number, certificate: { cert: string; key: string } | undefined): Config {
  const [orders] = config.connections;
  return {
    ...config,
    ...(certificate ? { tls: certificate } : {}),
    limits: {
      ...config.limits,
      sessions_per_principal: 20_000,
      open_holds_per_principal: 10_000,
      open_holds_per_connection: 10_000,
    },
    connections: [orders, { ...orders, name: 'held', upstream: { ...orders.upstream, port: target } }],
    rules: config.rules.map((rule: Config) =>
      rule.id === 'no-where' ? { ...rule, match: { ...rule.match, connection: ['orders', 'held'] } } : rule,
    ),
  };
}

async function writeCertificate(dir: string): Promise<{ cert: string; key: string }> {
  const { cert, key } = await selfSigned('IP:127.0.0.1');
  const at = { cert: join(dir, 'held.crt'), key: join(dir, 'held.key') };
  await writeFile(at.cert, cert);
  await writeFile(at.key, key, { mode: 0o600 });
  return at;
}

/** The gateway's throughput as a share of the direct one, in rounds, which a drifting machine does not change. */
async function share([direct, own]: readonly Route[], { rounds, quick }: Stage['options']) {
  if (!direct || !own) throw new Error('two routes are compared');
  const load = { mode: 'extended', clients: CLIENTS, seconds: quick ? 1 : 2 } as const;
  const tps: number[] = [];
  const shares: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const theirs = await pgbench(direct, load);
    const mine = await pgbench(own, load);
    tps.push(mine.tps);
    shares.push(mine.tps / theirs.tps);
  }
  return { tps: spread(tps), share: spread(shares) };
}

/** @throws Error when the gateway itself counts fewer: what is measured has to be there. */
async function stillOpen({ web }: BenchGateway, count: number): Promise<void> {
  const { body: metrics } = await ask(`${web}/metrics`);
  const open = Number(/^countersign_holds_open(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1]);
  if (open !== count) throw new Error(`${count} connections should be held, the gateway counts ${open}`);
}

function memory(found: { count: number; tls: boolean; empty: number; full: number }): Row {
  const { count, tls, empty, full } = found;
  const each = (full - empty) / count;
  const megabytes = (bytes: number) => bytes / 2 ** 20;
  const total = megabytes(empty + each * CONNECTIONS);
  const extrapolated =
    count === CONNECTIONS ? '' : `, ${Math.round(total)} MB at ${CONNECTIONS.toLocaleString('en-US')} (extrapolated)`;
  return {
    part: 'held',
    what: `${count.toLocaleString('en-US')} held connections, ${tls ? 'TLS' : 'plain TCP'}: MB resident in all`,
    cells: { gateway: shown(megabytes(full)) },
    compared: `${shown(each / 1_024)} KB each; ${shown(megabytes(empty))} MB before${extrapolated}`,
    ...(tls ? {} : { goal: atMost(total, MOST_MB, 'MB') }),
    figures: { count, megabytes: megabytes(full), before: megabytes(empty), kilobytesEach: each / 1_024 },
  };
}

type Share = Awaited<ReturnType<typeof share>>;

function neighbours(count: number, before: Share, during: Share): Row {
  const kept = during.share.median / before.share.median;
  return {
    part: 'held',
    what: `point select meanwhile, extended, ${CLIENTS} clients beside ${count.toLocaleString('en-US')} held: tps`,
    cells: { gateway: shown(during.tps.median) },
    compared: `${shown(before.tps.median)} before; ${shown(kept)} of its share of the direct one`,
    goal: { text: 'unchanged', met: kept >= UNCHANGED ? 'met' : 'not met' },
    figures: { before: before.tps, during: during.tps, kept },
  };
}
