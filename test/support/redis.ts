/** A real Redis on a free loopback port, durable as the product wants it, in a directory of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';

export type TestRedis = {
  readonly url: string;
  readonly port: number;
  /** Kill it as a crash would and start it again on the same port and data (or none). */
  restart(options?: { loseData?: boolean }): Promise<void>;
  /** SIGKILL without a new start. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
};

export async function startRedis(
  options: { port?: number; dir?: string; ownGroup?: boolean } = {},
): Promise<TestRedis> {
  const port = options.port ?? (await freePort());
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'countersign-redis-')));
  let child: ChildProcess | undefined;

  const start = async () => {
    child = spawn(
      'redis-server',
      [
        '--port',
        `${port}`,
        '--bind',
        '127.0.0.1',
        '--dir',
        dir,
        '--appendonly',
        'yes',
        '--save',
        '',
        '--maxmemory-policy',
        'noeviction',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'], detached: options.ownGroup ?? false },
    );
    await ready(child, 'Ready to accept connections');
  };
  const kill = async () => {
    const dying = child;
    child = undefined;
    if (!dying || dying.exitCode !== null || dying.signalCode !== null) return;
    const gone = new Promise((resolve) => dying.once('exit', resolve));
    dying.kill('SIGKILL');
    await gone;
  };
  const endWithParent = () => child?.kill('SIGKILL');
  process.once('exit', endWithParent);
  const tidy = () => (options.dir ? undefined : rm(dir, { recursive: true, force: true }));
  try {
    await start();
  } catch (error) {
    process.off('exit', endWithParent);
    await tidy();
    throw error;
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    start,
    kill,
    restart: async ({ loseData = false } = {}) => {
      await kill();
      if (loseData) await rm(join(dir, 'appendonlydir'), { recursive: true, force: true });
      await start();
    },
    stop: async () => {
      process.off('exit', endWithParent);
      await kill();
      await tidy();
    },
  };
}

/** Resolves when a line of the child's output contains `text`; rejects when it ends first. */
export function ready(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = '';
    const output = child.stdout ?? child.stderr;
    const onData = (chunk: Buffer) => {
      seen += chunk;
      if (seen.includes(text)) {
        output?.off('data', onData);
        output?.resume();
        resolve();
      }
    };
    output?.on('data', onData);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it was ready: ${seen}`)));
  });
}
