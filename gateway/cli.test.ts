/** The command line from outside: every command by its own process. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { newKeyPair, signingKey, verifyingKey } from '../queue/sign.ts';
import { cliArgs } from '../test/support/cli.ts';
import { freePort } from '../test/support/ports.ts';
import { startRedis, type TestRedis } from '../test/support/redis.ts';
import { runCommand } from './commands/commands.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** As a process of its own. */
function spawned(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    const child = spawn(process.execPath, cliArgs(...args), {
      cwd: root,
      env: { ...process.env, ...env },
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

/** The same within this process, where only the command is of interest. */
async function countersign(args: readonly string[], env: Record<string, string> = {}) {
  const before = Object.keys(env).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, env);
  const said: { out: string[]; err: string[] } = { out: [], err: [] };
  const code = await runCommand(args, {
    out: (text) => void said.out.push(`${text}\n`),
    err: (text) => void said.err.push(`${text}\n`),
  });
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  return { code, out: said.out.join(''), err: said.err.join('') };
}

const COMMANDS = ['gateway', 'bot', 'check', 'keygen', 'policy', 'audit', 'rules'];

describe('countersign', () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-cli-'));
  after(() => rmSync(dir, { recursive: true }));

  for (const command of COMMANDS) {
    it(`${command} --help says how it is used`, async () => {
      const { code, out, err } = await countersign([command, '--help']);
      assert.equal(code, 0, err);
      assert.match(out, new RegExp(`^Usage: countersign ${command}`));
    });
  }

  it('lists its commands when asked, and when used without one exits 2', async () => {
    const [asked, bare] = await Promise.all([countersign(['--help']), countersign([])]);
    assert.equal(asked.code, 0);
    for (const command of COMMANDS) assert.match(asked.out, new RegExp(`^ {2}${command} `, 'm'));
    assert.equal(bare.code, 2);
    assert.equal(bare.out, '');
  });

  it('ends as a process with the status of its command, its words on the right stream', async () => {
    const [fine, failed, misused] = await Promise.all([
      spawned(['check', '--help']),
      spawned(['check', '--config', join(dir, 'missing.yaml')]),
      spawned(['frobnicate']),
    ]);
    assert.deepEqual([fine.code, failed.code, misused.code], [0, 1, 2]);
    assert.deepEqual([fine.err, failed.out, misused.out], ['', '', '']);
    assert.match(fine.out, /^Usage: countersign check/);
    assert.match(failed.err, /missing\.yaml.*ENOENT/);
    assert.match(misused.err, /no command frobnicate/);
  });

  it('tells its version', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    assert.deepEqual(await countersign(['--version']), { code: 0, out: `${version}\n`, err: '' });
  });

  for (const misuse of [
    ['frobnicate'],
    ['constructor'],
    ['keygen', 'extra'],
    ['keygen', '--frobnicate'],
    ['check', '--config'],
    ['policy'],
    ['policy', 'frobnicate', 'x'],
    ['policy', 'test'],
    ['audit', 'frobnicate', 'x'],
    ['rules', 'frobnicate'],
  ]) {
    it(`exits 2 on: ${misuse.join(' ')}`, async () => {
      const { code, out, err } = await countersign(misuse);
      assert.equal(code, 2, out + err);
      assert.notEqual(out + err, '');
    });
  }

  it('makes key pairs that belong together, and never overwrites one', async () => {
    const { out } = await countersign(['keygen']);
    const [, secret = '', open = ''] = /^secret (\S+)\npublic (\S+)\n$/.exec(out) ?? [];
    assert.equal(signingKey(secret).id, verifyingKey(open).id);

    const file = join(dir, 'gateway.key');
    const first = await countersign(['keygen', '--out', file]);
    assert.equal(first.code, 0);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const written = readFileSync(file, 'utf8');
    assert.equal(signingKey(written).public, first.out.trim());
    assert.doesNotMatch(first.out, /secret/);

    const second = await countersign(['keygen', '--out', file]);
    assert.equal(second.code, 1);
    assert.match(second.err, /EEXIST/);
    assert.equal(readFileSync(file, 'utf8'), written);
  });
});

describe('countersign check', () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-check-'));
  const keys = newKeyPair();
  let redis: TestRedis;
  let issuer = '';
  const provider = createServer((request, response) => {
    const found = request.url === '/.well-known/openid-configuration';
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ issuer, authorization_endpoint: `${issuer}/auth` }));
  });
  before(async () => {
    redis = await startRedis();
    const port = await freePort();
    await new Promise<void>((resolve) => provider.listen(port, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${port}`;
  });
  after(async () => {
    provider.close();
    await redis.stop();
    rmSync(dir, { recursive: true });
  });

  const check = async (
    change: { redis?: string; issuer?: string; audit?: string; web?: Record<string, string> } = {},
  ) => {
    const upstream = await freePort(); // nobody listens there
    const file = join(dir, 'countersign.yaml');
    writeFileSync(
      file,
      stringify({
        listen: { postgres: '127.0.0.1:0', web: '127.0.0.1:0' },
        ...(change.web
          ? { web: { url: 'http://127.0.0.1:1', sign_in: { issuer, client_id: 'x', ...change.web } } }
          : {}),
        state: { redis: change.redis ?? redis.url },
        keys: { own: `\${env:KEY}` },
        audit: { dir: change.audit ?? dir, key: `\${env:KEY}` },
        identity: { issuers: [{ issuer: change.issuer ?? issuer, audience: 'countersign' }] },
        approvals: { channel: 'C0MAIN', approvers: ['@dba'] },
        connections: [
          {
            name: 'orders',
            protocol: 'postgres',
            environment: 'test',
            upstream: {
              host: '127.0.0.1',
              port: upstream,
              database: 'd',
              user: 'u',
              password: `\${env:KEY}`,
              tls: 'disable',
            },
          },
        ],
      }),
    );
    return countersign(['check', '--config', file], { KEY: keys.secret });
  };

  it('names each part that answers, and the one that does not', async () => {
    const { code, out, err } = await check();
    assert.equal(code, 1);
    assert.match(out, /^ok {5}redis: reachable$/m);
    assert.match(out, /^ok {5}audit .*: writable/m);
    assert.match(out, /^ok {5}issuer http:.*: discovery answers$/m);
    assert.match(err, /^FAILED connection orders: /m);
    assert.doesNotMatch(out + err, /ed25519-secret/);
  });

  it('takes an audit directory that the gateway will make, and none that it cannot', async () => {
    const [made, cannot] = [
      await check({ audit: join(dir, 'made-later') }),
      await check({ audit: join(dir, 'no', 'where') }),
    ];
    assert.match(made.out, /^ok {5}audit .*made-later: made at the start, [\d,]+ MB free$/m);
    assert.match(cannot.err, /^FAILED audit .*: ENOENT/m);
  });

  it('says what sign-in lacks of its issuer', async () => {
    const [inBrowsers, atTerminals] = [
      await check({ web: { client_secret: `\${env:KEY}` } }),
      await check({ web: {} }),
    ];
    assert.match(inBrowsers.out, /^ok {5}web\.sign_in: in browsers only: no device_client_id$/m);
    assert.match(atTerminals.err, /^FAILED web\.sign_in: http:.* has no device_authorization_endpoint$/m);
  });

  it('says so when Redis is not there, and when an issuer answers for another', async () => {
    const { code, err } = await check({ redis: `redis://127.0.0.1:${await freePort()}`, issuer: `${issuer}/tenant` });
    assert.equal(code, 1);
    assert.match(err, /^FAILED redis: .*ECONNREFUSED/m);
    assert.match(err, /^FAILED issuer .*answers 404/m);
  });

  it('stops at a configuration with mistakes, with all of them', async () => {
    const file = join(dir, 'bad.yaml');
    writeFileSync(file, 'listen: {}\nnonsense: 1\n');
    const { code, out, err } = await countersign(['check', '--config', file]);
    assert.equal(code, 1);
    assert.equal(out, '');
    assert.match(err, /nonsense: unknown key/);
    assert.match(err, /listen: expected postgres, web or both/);
  });

  it('stops at a configuration that is not there', async () => {
    const { code, err } = await countersign(['check'], { COUNTERSIGN_CONFIG: join(dir, 'missing.yaml') });
    assert.equal(code, 1);
    assert.match(err, /missing\.yaml.*ENOENT/);
  });
});
