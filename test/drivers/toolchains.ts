/** Brings in each client by its own package manager, pinned by its own lock, into a cache beside the packages. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import type { Program } from './story.ts';

const run = promisify(execFile);
export const repository = fileURLToPath(new URL('../..', import.meta.url));
const sources = join(repository, 'test/drivers');
/** Not in the tree: what walks the sources finds nobody else's. */
const cache = join(repository, 'node_modules/.cache/countersign-drivers');

type Had = { program: Program; version: string } | { skipped: string };

/** The longest that a package manager or compiler may take: a cold cache on a slow line. */
const INSTALL_MS = 480_000;

async function tool(command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}) {
  const { stdout } = await run(command, args, {
    cwd,
    env: { ...process.env, ...env },
    timeout: INSTALL_MS,
    maxBuffer: 1 << 26,
  });
  return stdout;
}

async function attempt(missing: string, command: string, have: () => Promise<Had>): Promise<Had> {
  try {
    await run('sh', ['-c', `command -v ${command}`]);
  } catch {
    return { skipped: `no ${missing}` };
  }
  try {
    return await have();
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    const lines = stripVTControlCharacters(`${message}\n${stderr}`)
      .split('\n')
      .filter((line) => line.trim() !== '');
    const last = lines.slice(-3).join(' / ');
    return { skipped: `${missing} could not bring it in: ${last}` };
  }
}

/** Copies `folder` into the cache and runs `install` there, unless what is there came from these very `locks`. */
async function fresh(folder: string, locks: readonly string[], install: (dir: string) => Promise<unknown>) {
  const dir = join(cache, folder);
  await mkdir(dir, { recursive: true });
  const hash = createHash('sha256');
  for (const lock of locks) hash.update(await readFile(join(sources, folder, lock)));
  const digest = hash.digest('hex');
  await cp(join(sources, folder), dir, { recursive: true });
  const stamp = join(dir, '.installed');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === digest) return dir;
  await rm(stamp, { force: true });
  await install(dir);
  await writeFile(stamp, digest);
  return dir;
}

/** A program of the system's, spoken for by one of ours. */
export function installed(name: string, args: readonly string[]): Promise<Had> {
  return attempt(name, name, async () => ({
    program: { argv: [process.execPath, ...args], cwd: repository },
    version: /\d+(\.\d+)+/.exec(await tool(name, ['--version'], repository))?.[0] ?? '',
  }));
}

export function node(packageName: string, file: string): Promise<Had> {
  return attempt('npm', 'npm', async () => {
    const dir = await fresh('node', ['package-lock.json', 'schema.prisma'], async (at) => {
      await tool('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit', '--loglevel=error'], at);
      // The query compiler comes in the package; the CLI would fetch a schema engine that `generate` has no use for.
      const env = { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' };
      await tool(
        process.execPath,
        ['node_modules/prisma/build/index.js', 'generate', '--schema=schema.prisma'],
        at,
        env,
      );
    });
    const { version } = JSON.parse(await readFile(join(dir, 'node_modules', packageName, 'package.json'), 'utf8'));
    return { program: { argv: [process.execPath, file], cwd: dir }, version };
  });
}

export function python(packageName: string, file: string): Promise<Had> {
  return attempt('python3', 'python3', async () => {
    const dir = await fresh('python', ['requirements.txt'], async (at) => {
      await tool('python3', ['-m', 'venv', '.'], at);
      await tool('bin/pip', ['install', '--quiet', '--no-deps', '--requirement', 'requirements.txt'], at);
    });
    const pinned = await readFile(join(sources, 'python/requirements.txt'), 'utf8');
    const version = new RegExp(`^${packageName}==(.+)$`, 'm').exec(pinned)?.[1] ?? '';
    return { program: { argv: [join(dir, 'bin/python'), file], cwd: dir }, version };
  });
}

export function go(): Promise<Had> {
  return attempt('go', 'go', async () => {
    const dir = await fresh('go', ['go.mod', 'go.sum', 'main.go', 'scenarios.go'], (at) =>
      tool('go', ['build', '-mod=readonly', '-o', 'client', '.'], at),
    );
    const version = /pgx\/v5 v(\S+)/.exec(await readFile(join(dir, 'go.mod'), 'utf8'))?.[1] ?? '';
    return { program: { argv: [join(dir, 'client')], cwd: dir }, version };
  });
}

export function cargo(): Promise<Had> {
  return attempt('cargo', 'cargo', async () => {
    const dir = await fresh('rust', ['Cargo.lock', 'src/main.rs'], (at) =>
      tool('cargo', ['build', '--quiet', '--locked', '--target-dir', 'target'], at),
    );
    const version = /name = "tokio-postgres"\nversion = "([^"]+)"/.exec(
      await readFile(join(dir, 'Cargo.lock'), 'utf8'),
    );
    return {
      program: { argv: [join(dir, 'target/debug/countersign-drivers')], cwd: dir },
      version: version?.[1] ?? '',
    };
  });
}

const PGJDBC = '42.7.8';

export function java(): Promise<Had> {
  return attempt('javac', 'javac', () =>
    attempt('mvn', 'mvn', async () => {
      const jar = `postgresql-${PGJDBC}.jar`;
      const dir = await fresh('java', ['Client.java'], async (at) => {
        const artifact = `-Dartifact=org.postgresql:postgresql:${PGJDBC}`;
        await tool(
          'mvn',
          ['-q', '-B', 'dependency:copy', artifact, '-DoutputDirectory=.', '-Dmdep.useBaseVersion'],
          at,
        );
        await tool('javac', ['-cp', jar, 'Client.java'], at);
      });
      return { program: { argv: ['java', '-Xshare:auto', '-cp', `${jar}:.`, 'Client'], cwd: dir }, version: PGJDBC };
    }),
  );
}
