/** `npm run bench -- postgres`: point selects and a large result, side by side with the direct connection and pgbouncer. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/ports.ts';
import { UPSTREAM_ROLE } from '../support/seed.ts';
import { eventually } from '../support/workspace.ts';
import { type Config, startWorld, type World } from '../support/world.ts';

const ROUNDS = 5; // interleaved: direct, pgbouncer, gateway, direct, …
const SECONDS = 3; // a round's length
const WARM_SECONDS = 1;
const CLIENTS = [1, 8, 32];
const MODES = ['simple', 'extended', 'prepared'] as const;
const LARGE = "SELECT i, repeat('x', 1000) FROM generate_series(1, 65536) i"; // 64 MB of row data
const POINT = '\\set id random(1, 5000)\nSELECT name FROM customers WHERE id = :id;\n';

type Route = { readonly name: string; readonly port: number; readonly user: string; readonly password: string };
type Row = {
  what: string;
  clients: number;
  direct: Spread;
  pgbouncer: Spread;
  gateway: Spread;
  versusPgbouncer: Spread;
};
type Spread = { median: number; min: number; max: number };

/** Runs it all and prints a Markdown table; with `json` also writes every figure. */
export async function benchPostgres({ json, quick }: { json: string | undefined; quick: boolean }): Promise<void> {
  const world = await startWorld({ config: withManyRules, bots: 0 });
  const dir = await mkdtemp(join(tmpdir(), 'countersign-bench-'));
  const pooler = await startPgbouncer(world, dir);
  try {
    const routes: Route[] = [
      { name: 'direct', port: world.upstream.port, ...UPSTREAM_ROLE },
      { name: 'pgbouncer', port: pooler.port, ...UPSTREAM_ROLE },
      {
        name: 'gateway',
        port: world.gateways[0]?.postgres.port ?? 0,
        user: 'report-bot',
        password: await world.token(),
      },
    ];
    const script = join(dir, 'point.sql');
    await writeFile(script, POINT);
    const rounds = quick ? 1 : ROUNDS;
    const rows: Row[] = [];
    for (const mode of MODES) {
      for (const clients of CLIENTS) {
        const run = (route: Route, seconds: number) => pgbench(route, { mode, clients, seconds, script });
        for (const route of routes) await run(route, WARM_SECONDS);
        rows.push(
          await compare(`point select, ${mode}, tps`, clients, routes, rounds, (route) =>
            run(route, quick ? 1 : SECONDS),
          ),
        );
      }
    }
    rows.push(await compare('64 MB result, MB/s', 1, routes, rounds, async (route) => 64_000 / (await large(route))));
    console.log(table(rows));
    if (json)
      await writeFile(json, `${JSON.stringify({ cpus: cpus().length, node: process.version, rows }, null, 2)}\n`);
  } finally {
    await pooler.stop();
    await world.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** A hundred rules that match other tables, as a grown installation has. */
function withManyRules(config: Config): Config {
  const others = Array.from({ length: 100 - config.rules.length }, (_, n) => ({
    id: `other-${n}`,
    match: { connection: 'orders', object: `archive_${n}.*`, action: ['delete', 'update'] },
    verdict: 'hold',
    why: 'The archive is not touched without asking',
  }));
  return { ...config, rules: [...config.rules, ...others], limits: { ...config.limits, sessions_per_principal: 200 } };
}

/** Measures each route in turn, `rounds` times, so that a machine that drifts drifts for all. */
async function compare(
  what: string,
  clients: number,
  routes: readonly Route[],
  rounds: number,
  measure: (route: Route) => Promise<number>,
): Promise<Row> {
  const figures: Record<string, number[]> = {};
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const now: Record<string, number> = {};
    for (const route of routes) {
      const figure = await measure(route);
      now[route.name] = figure;
      figures[route.name] = [...(figures[route.name] ?? []), figure];
    }
    ratios.push((now.gateway ?? 0) / (now.pgbouncer ?? 1));
  }
  const of = (name: string) => spread(figures[name] ?? []);
  const row = {
    what,
    clients,
    direct: of('direct'),
    pgbouncer: of('pgbouncer'),
    gateway: of('gateway'),
    versusPgbouncer: spread(ratios),
  };
  console.error(
    `${what}, ${clients} clients: ${Math.round(row.gateway.median)}, ${row.versusPgbouncer.median.toFixed(2)} of pgbouncer`,
  );
  return row;
}

function spread(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? 0, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}

function table(rows: readonly Row[]): string {
  const cell = ({ median }: Spread) => String(Math.round(median)).padStart(8);
  const lines = rows.map(({ what, clients, direct, pgbouncer, gateway, versusPgbouncer: ratio }) => {
    const shares = `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)})`;
    return `| ${what.padEnd(32)} | ${String(clients).padStart(7)} | ${cell(direct)} | ${cell(pgbouncer)} | ${cell(gateway)} | ${shares} |`;
  });
  const head = `| ${'what'.padEnd(32)} | clients |   direct | pgbouncer | gateway | gateway / pgbouncer |`;
  return [head, '|---|---|---|---|---|---|', ...lines].join('\n');
}

/** Transactions per second, as pgbench counts them without the time to connect. */
async function pgbench(
  route: Route,
  options: { mode: string; clients: number; seconds: number; script: string },
): Promise<number> {
  const { mode, clients, seconds, script } = options;
  // biome-ignore format: one flag a word
  const said = await output('pgbench', ['-n', '-M', mode, '-c', `${clients}`, '-j', '1', '-T', `${seconds}`, '-f', script, ...address(route), 'orders'], route);
  const tps = /^tps = ([\d.]+)/m.exec(said)?.[1];
  if (!tps) throw new Error(`pgbench said no figure: ${said}`);
  return Number(tps);
}

/** Milliseconds for psql to read the large result. */
async function large(route: Route): Promise<number> {
  const from = performance.now();
  await output('psql', ['-X', '-q', '-o', '/dev/null', ...address(route), '-d', 'orders', '-c', LARGE], route);
  return performance.now() - from;
}

const address = ({ port, user }: Route): string[] => ['-h', '127.0.0.1', '-p', `${port}`, '-U', user];

async function output(command: string, args: readonly string[], route: Route): Promise<string> {
  const child = spawn(command, args, {
    env: { ...process.env, PGPASSWORD: route.password },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${command} through ${route.name} ended with ${code}: ${said}`);
  return said;
}

/** pgbouncer in session pooling, which logs in by itself as the gateway's own role. */
async function startPgbouncer(world: World, dir: string): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const file = join(dir, 'pgbouncer.ini');
  const target = `host=127.0.0.1 port=${world.upstream.port} dbname=orders user=${UPSTREAM_ROLE.user} password=${UPSTREAM_ROLE.password}`;
  await writeFile(
    file,
    `[databases]\norders = ${target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\npool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 100\n`,
  );
  await chmod(dir, 0o755);
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined; // it refuses to run as root
  if (nobody) await chown(file, nobody.uid, nobody.gid);
  const child: ChildProcess = spawn('pgbouncer', [file], {
    ...nobody,
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const up = await eventually(() =>
    output(
      'psql',
      ['-X', '-h', '127.0.0.1', '-p', `${port}`, '-U', UPSTREAM_ROLE.user, '-d', 'orders', '-c', 'SELECT 1'],
      { name: 'pgbouncer', port, ...UPSTREAM_ROLE },
    ).catch(() => undefined),
  );
  if (!up) throw new Error('pgbouncer does not answer');
  return {
    port,
    stop: async () => {
      child.kill('SIGTERM');
      await gone;
    },
  };
}
