/** The ways to one database that are compared: direct, pgbouncer, a do-nothing Node pipe, the gateway. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/ports.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { ready } from '../support/redis.ts';
import { UPSTREAM_ROLE } from '../support/seed.ts';
import { eventually } from '../support/workspace.ts';

export const ROUTES = ['direct', 'pgbouncer', 'pipe', 'gateway'] as const;
export type RouteName = (typeof ROUTES)[number];

export type Route = {
  readonly name: RouteName;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Whose CPU time is this route's own; none for the direct one. */
  readonly pid: number | undefined;
};

export const directRoute = (upstream: TestPostgres): Route => ({
  name: 'direct',
  port: upstream.port,
  ...UPSTREAM_ROLE,
  pid: undefined,
});

type Started = { readonly route: Route; stop(): Promise<void> };

/** pgbouncer in session pooling, which logs in by itself as the gateway's own role. */
export async function startPgbouncer(upstream: TestPostgres): Promise<Started> {
  const dir = await mkdtemp(join(tmpdir(), 'countersign-pgbouncer-'));
  const port = await freePort();
  const file = join(dir, 'pgbouncer.ini');
  const target = `host=127.0.0.1 port=${upstream.port} dbname=orders user=${UPSTREAM_ROLE.user} password=${UPSTREAM_ROLE.password}`;
  await writeFile(
    file,
    `[databases]\norders = ${target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = any\npool_mode = session\nmax_client_conn = 200\ndefault_pool_size = 100\n`,
  );
  await chmod(dir, 0o755);
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined; // it refuses to run as root
  if (nobody) await chown(file, nobody.uid, nobody.gid);
  const child = spawn('pgbouncer', [file], {
    ...nobody,
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  const end = ending(child);
  const stop = async () => {
    await end();
    await rm(dir, { recursive: true, force: true });
  };
  const route: Route = { name: 'pgbouncer', port, ...UPSTREAM_ROLE, pid: child.pid };
  const up = await eventually(() => output('psql', ['-X', ...address(route), '-c', 'SELECT 1'], route).catch(() => ''));
  if (up) return { route, stop };
  await stop();
  throw new Error('pgbouncer does not answer');
}

export async function startPipe(upstream: TestPostgres): Promise<Started> {
  const port = await freePort();
  const script = fileURLToPath(new URL('pipe.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, `${port}`, `${upstream.port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = ending(child);
  await ready(child, 'listening');
  return { route: { name: 'pipe', port, ...UPSTREAM_ROLE, pid: child.pid }, stop };
}

/** SIGTERM, and wait for the end; it also ends with this process. */
export function ending(child: ChildProcess): () => Promise<void> {
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const endWithParent = () => child.kill('SIGKILL');
  process.once('exit', endWithParent);
  return async () => {
    process.off('exit', endWithParent);
    child.kill('SIGTERM');
    await gone;
  };
}

/** What psql and pgbench are told of where to go. */
export const address = ({ port, user }: Pick<Route, 'port' | 'user'>, database = 'orders'): string[] => [
  ...['-h', '127.0.0.1', '-p', `${port}`, '-U', user],
  ...['-d', database],
];

/** Everything a command printed. @throws Error when it fails. */
export async function output(
  command: string,
  args: readonly string[],
  route: Pick<Route, 'name' | 'password'>,
): Promise<string> {
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
