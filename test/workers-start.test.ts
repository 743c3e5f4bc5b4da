/** A gateway of several processes that cannot start: said once, with the key, status 1, and nothing is left running. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { newKeyPair } from '../queue/sign.ts';
import { cliArgs } from './support/cli.ts';
import { isAlive } from './support/workers.ts';
import { eventually } from './support/workspace.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const key = newKeyPair().secret;

describe('a gateway of two workers that cannot start', { timeout: 120_000 }, () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-workers-start-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const file = (change: object = {}) =>
    stringify({
      listen: { postgres: '127.0.0.1:0', web: '127.0.0.1:0' },
      workers: 2,
      state: { redis: 'redis://127.0.0.1:1' },
      keys: { own: `\${env:KEY}` },
      audit: { dir: join(dir, 'audit'), key: `\${env:KEY}` },
      identity: { issuers: [{ issuer: 'http://127.0.0.1:1', audience: 'countersign' }] },
      approvals: { channel: 'C0START', approvers: ['@dba'] },
      connections: [
        {
          name: 'orders',
          protocol: 'postgres',
          environment: 'test',
          upstream: { host: '127.0.0.1', database: 'x', user: 'x', password: `\${env:KEY}`, tls: 'disable' },
        },
      ],
      ...change,
    });
  const started = async (name: string, text: string, env: Record<string, string> = {}) => {
    const path = join(dir, `${name}.yaml`);
    await writeFile(path, text);
    const args = cliArgs('gateway', '--config', path);
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, KEY: key, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, out, err };
  };

  it('tells a mistake in the file once, however many workers found it', async () => {
    const { code, err } = await started('mistake', file({ nonsense: 1 }));
    assert.equal(code, 1);
    assert.equal(err.split('nonsense').length - 1, 1, err);
  });

  it('names the key of an address that is taken, once', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => blocker.once('listening', resolve));
    const { port } = blocker.address() as { port: number };
    const listen = { postgres: '127.0.0.1:0', web: `127.0.0.1:${port}` };
    const { code, err } = await started('taken', file({ listen }));
    blocker.close();
    assert.equal(code, 1);
    assert.match(err, /listen\.web: 127\.0\.0\.1:\d+ cannot be had \(EADDRINUSE\)/);
    assert.equal(err.split('listen.web').length - 1, 1, err);
  });

  it('gives up after five starts that ended at once, and leaves nothing behind', async () => {
    const fault = join(dir, 'fault.mjs');
    const pids = join(dir, 'pids');
    await writeFile(
      fault,
      `import { appendFileSync } from 'node:fs';
if (process.env.COUNTERSIGN_WORKER) {
  appendFileSync(${JSON.stringify(pids)}, process.pid + '\\n');
  process.kill(process.pid, 'SIGKILL');
}`,
    );
    const { code, err } = await started('crash', file(), { NODE_OPTIONS: `--import=${fault}` });
    assert.equal(code, 1);
    assert.match(err, /workers end as soon as they start, 5 times in a row: the last one ended with SIGKILL/);
    const all = (await readFile(pids, 'utf8')).trim().split('\n').map(Number);
    assert.ok(all.length >= 5);
    assert.ok(await eventually(() => all.every((pid) => !isAlive(pid))));
  });
});
