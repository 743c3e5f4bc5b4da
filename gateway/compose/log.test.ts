/** The log as a process writes it: nobody who reads it, or does not, stops the process. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { newKeyPair } from '../../queue/sign.ts';
import { LogOut, loggingTo } from '../../queue/stdout.ts';
import { cliArgs } from '../../test/support/cli.ts';
import { freePort } from '../../test/support/ports.ts';
import { eventually } from '../../test/support/workspace.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const WITHOUT_WAITING = constants.O_RDWR | constants.O_NONBLOCK;

describe('a log that nobody reads', { timeout: 120_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-log-'));
  after(() => rmSync(dir, { recursive: true }));

  /** A pipe that is held open at both ends, and full from the start. */
  const pipe = (name: string) => {
    const path = join(dir, name);
    execFileSync('mkfifo', [path]);
    const fd = openSync(path, WITHOUT_WAITING);
    fill(fd);
    const chunk = Buffer.alloc(1 << 20);
    let text = '';
    /** Every line that was ever there to be read. */
    const read = () => {
      try {
        text += chunk.subarray(0, readSync(fd, chunk)).toString();
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
      }
      return text.split('\n').filter((line) => line.startsWith('{'));
    };
    return { path, fd, read, close: () => closeSync(fd) };
  };

  it('keeps what fits, counts what does not, and says how many were lost when it is read again', async () => {
    const { path, read, close } = pipe('bounded');
    const out = new LogOut({
      open: () => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK),
      maxWaiting: 1_000,
    });
    const log = loggingTo(out, (to) => pino({ base: null, timestamp: false }, to));
    for (let n = 0; n < 100; n++) log.info(`line ${n}`);
    assert.ok(out.lost > 50 && out.lost < 100, `${out.lost}`);
    const kept = 100 - out.lost;
    const lines = await eventually(() => {
      const seen = read().map((line) => JSON.parse(line) as { msg: string; lost?: number });
      return seen.some(({ lost }) => lost !== undefined) && seen;
    });
    assert.deepEqual(
      lines?.map(({ msg }) => msg),
      [...Array.from({ length: kept }, (_, n) => `line ${n}`), 'nobody read the log: lines are missing here'],
    );
    assert.equal(lines?.at(-1)?.lost, out.lost);
    log.info('as before');
    assert.match(read().at(-1) ?? '', /as before/);
    close();
  });

  it('stops no gateway from starting, from answering, or from ending when it is told to', async () => {
    const { path, fd, read, close } = pipe('gateway');
    const end = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK); // its own, which it may make wait
    const web = `127.0.0.1:${await freePort()}`;
    const file = join(dir, 'countersign.yaml');
    writeFileSync(
      file,
      stringify({
        listen: { postgres: '127.0.0.1:0', web },
        state: { redis: 'redis://127.0.0.1:1' },
        keys: { own: `\${env:KEY}` },
        audit: { dir: join(dir, 'audit'), key: `\${env:KEY}` },
        identity: { issuers: [{ issuer: 'http://127.0.0.1:1', audience: 'countersign' }] },
        approvals: { channel: 'C0LOG', approvers: ['@dba'] },
        connections: [
          {
            name: 'orders',
            protocol: 'postgres',
            environment: 'test',
            upstream: { host: '127.0.0.1', database: 'x', user: 'x', password: `\${env:KEY}`, tls: 'disable' },
          },
        ],
      }),
    );
    const env = { ...process.env, KEY: newKeyPair().secret, LOG_LEVEL: 'info' };
    const answers = () =>
      fetch(`http://${web}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    const args = cliArgs('gateway', '--config', file);
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', end, 'inherit'] });
    closeSync(end);
    const ended = once(child, 'exit');
    try {
      assert.ok(await eventually(answers, 60_000), 'it never answered');
      const started = () => read().find((line) => line.includes('gateway started'));
      assert.ok(await eventually(started), 'what waited never came');
      fill(fd);
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
    } finally {
      child.kill('SIGKILL');
      close();
    }
  });

  /** A process that logs, and no more; node gives it a socket for stdout, as systemd does. */
  const logging = (then: string) => {
    const log = new URL('log.ts', import.meta.url);
    const script = `import { newLog } from ${JSON.stringify(log.href)};\nconst log = newLog('small');\n${then}`;
    return spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      cwd: root,
      env: { ...process.env, LOG_LEVEL: 'info' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  };

  it('stops no process whose stdout is a socket', async () => {
    const child = logging(`process.on('SIGTERM', () => process.exit(0));
setInterval(() => {}, 1_000);
for (let n = 0; n < 20_000; n++) log.info('x'.repeat(200));
process.stderr.write('went on');`);
    const ended = once(child, 'exit');
    try {
      assert.match(String((await once(child.stderr, 'data'))[0]), /^went on$/);
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('has the last words of a process that crashes, as long as somebody reads', async () => {
    const child = logging(`log.fatal('last words');\nthrow new Error('unforeseen');`);
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.resume();
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    assert.match(out, /"last words"/);
  });
});

/** Until nothing more fits. */
function fill(fd: number): void {
  const filling = Buffer.from(`${'.'.repeat(1023)}\n`);
  try {
    for (;;) writeSync(fd, filling);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
  }
}
