/** The gateway as a whole, in this process: starts without its parts, takes up a new configuration, ends in order. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import pg from 'pg';
import { pino } from 'pino';
import { parse, stringify } from 'yaml';
import { newKeyPair } from '../queue/sign.ts';
import { type Oidc, startOidc } from '../test/support/oidc.ts';
import { freePort } from '../test/support/ports.ts';
import { startPostgres, type TestPostgres } from '../test/support/postgres.ts';
import { startRedis, type TestRedis } from '../test/support/redis.ts';
import { runCommand } from './commands/commands.ts';
import { parseConfig } from './config.ts';
import { type Gateway, startGateway } from './main.ts';

const keys = newKeyPair();
const silent = pino({ level: 'silent' });

describe('a gateway', { timeout: 60_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-main-'));
  let redis: TestRedis;
  let target: TestPostgres;
  let oidc: Oidc;
  let gateway: Gateway;
  let file: Record<string, unknown>;

  const config = (change: Record<string, unknown> = {}) => {
    const text = stringify({ ...file, ...change });
    writeFileSync(join(dir, 'countersign.yaml'), text);
    return parseConfig(text, { sources: { env: { KEY: keys.secret, PW: target.password }, readFile: () => '' } });
  };
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: gateway.addresses.postgres?.port ?? 0,
      user: 'anyone',
      password: await oidc.token('report-bot'),
      database: 'orders',
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  const sqlstate = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error: { code?: string }) => error.code ?? String(error),
    );
  const ready = async (): Promise<{ status: number; body: { notReady?: Record<string, string> } }> => {
    const response = await fetch(`http://127.0.0.1:${gateway.addresses.web?.port}/readyz`);
    return { status: response.status, body: (await response.json()) as { notReady?: Record<string, string> } };
  };
  /** Until it is so; fails after ten seconds. */
  const until = async (holds: () => Promise<boolean> | boolean, what: string): Promise<void> => {
    const deadline = performance.now() + 10_000;
    while (!(await holds())) {
      if (performance.now() > deadline) assert.fail(`never: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const trail = (kind: string): Record<string, unknown>[] =>
    readdirSync(join(dir, 'audit'))
      .filter((name) => !name.startsWith('rules.'))
      .flatMap((name) => readFileSync(join(dir, 'audit', name), 'utf8').split('\n'))
      .filter((line) => line.includes(`"${kind}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  before(async () => {
    const port = await freePort();
    [redis, target, oidc] = await Promise.all([
      startRedis({ port }),
      startPostgres(),
      startOidc({ port: await freePort(), clients: [{ id: 'report-bot', secret: 'x' }], tokenSeconds: 3_600 }),
    ]);
    await redis.kill();
    file = {
      listen: { postgres: '127.0.0.1:0', web: '127.0.0.1:0' },
      state: { redis: redis.url, grace: '2s' },
      keys: { own: `\${env:KEY}` },
      audit: { dir: join(dir, 'audit'), key: `\${env:KEY}` },
      identity: { issuers: [{ issuer: oidc.issuer, audience: 'countersign' }] },
      approvals: { channel: 'C0MAIN', approvers: ['@dba'] },
      connections: [
        {
          name: 'orders',
          protocol: 'postgres',
          environment: 'test',
          upstream: {
            host: '127.0.0.1',
            port: target.port,
            database: 'postgres',
            user: 'postgres',
            password: `\${env:PW}`,
            tls: 'disable',
          },
          default: { read: 'allow', write: 'allow', unknown: 'deny' },
        },
      ],
    };
    gateway = await startGateway(config(), { id: 'gateway-under-test', log: silent });
  });
  after(async () => {
    await gateway?.stop();
    await Promise.all([redis.stop(), target.stop(), oidc.stop()]);
    rmSync(dir, { recursive: true });
  });

  it('listens without Redis, says that it is not ready, and admits nobody', async () => {
    const { status, body } = await ready();
    assert.equal(status, 503);
    assert.match(body.notReady?.redis ?? '', /Redis does not answer/);
    assert.notEqual(await sqlstate(connect()), 'none');
  });

  it('serves as soon as Redis is there', async () => {
    await redis.start();
    await until(async () => (await ready()).status === 200, 'ready');
    const client = await connect();
    assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
    await client.end();
  });

  it('judges an open session by the rules of a new configuration at once', async () => {
    const client = await connect();
    assert.equal(await sqlstate(client.query('CREATE TABLE first (id int)')), 'none');
    const rules = [{ id: 'no-ddl', match: { action: 'ddl' }, verdict: 'deny', why: 'Reloaded' }];
    gateway.reload(() => config({ rules }));
    assert.equal(await sqlstate(client.query('CREATE TABLE second (id int)')), '42501');
    assert.equal(await sqlstate(client.query('SELECT 1')), 'none');
    await client.end();
  });

  it('refuses a bad configuration, records that, and keeps the one before', async () => {
    const client = await connect();
    gateway.reload(() => config({ nonsense: 1 }));
    assert.equal(await sqlstate(client.query('CREATE TABLE third (id int)')), '42501');
    await client.end();
    await until(() => trail('reload').some((entry) => JSON.stringify(entry).includes('nonsense')), 'recorded');
    assert.ok(trail('reload').some((entry) => JSON.stringify(entry).includes('"accepted":true')));
    gateway.reload(() => config());
  });

  it('ends a session whose connection is closed to it by a new configuration', async () => {
    const client = await connect();
    const ended = new Promise<{ code?: string }>((resolve) => client.once('error', resolve));
    const [connection] = file.connections as object[];
    gateway.reload(() => config({ connections: [{ ...connection, access: { groups: ['others'] } }] }));
    assert.equal((await ended).code, '57P01');
    assert.equal(await sqlstate(connect()), '28000');
    gateway.reload(() => config());
  });

  it('takes up rules that were imported, and hands them back as they are', async () => {
    const client = await connect();
    assert.equal(await sqlstate(client.query('CREATE TABLE fourth (id int)')), 'none');
    const rule = {
      id: 'imported',
      source: 'slack',
      match: { action: ['ddl'] },
      verdict: 'deny',
      why: 'Imported',
      approvers: [],
      quorum: 1,
      requireReason: false,
    };
    const rules = join(dir, 'rules.json');
    writeFileSync(rules, JSON.stringify({ rules: [rule] }));
    config();
    Object.assign(process.env, { KEY: keys.secret, PW: target.password });
    const said: string[] = [];
    const output = { out: (text: string) => void said.push(text), err: (text: string) => void said.push(text) };
    const path = join(dir, 'countersign.yaml');
    assert.equal(await runCommand(['rules', 'import', rules, '--config', path], output), 0, said.join('\n'));
    await until(
      async () => (await sqlstate(client.query('CREATE TABLE IF NOT EXISTS fourth (id int)'))) === '42501',
      'in force',
    );
    await until(() => trail('rules.changed').length > 0, 'recorded');
    said.length = 0;
    assert.equal(await runCommand(['rules', 'export', '--config', path], output), 0, said.join('\n'));
    const { match, verdict, why } = rule;
    assert.deepEqual(parse(said.join('')).rules, [{ id: 'imported', match, verdict, why }]);
    writeFileSync(rules, said.join(''));
    said.length = 0;
    assert.equal(await runCommand(['rules', 'diff', rules, '--config', path], output), 0, said.join('\n'));
    writeFileSync(rules, stringify({ rules: [{ id: 'other', match: { action: ['dcl'] }, verdict: 'deny' }] }));
    assert.equal(await runCommand(['rules', 'diff', rules, '--config', path], output), 1);
    assert.deepEqual(said, ['- deny ddl on * id imported "Imported"', '+ deny dcl on * id other']);

    writeFileSync(rules, JSON.stringify({ rules: [{ ...rule, source: 'file' }] }));
    assert.equal(await runCommand(['rules', 'import', rules, '--config', path], output), 1);
    await client.end();
  });

  it('goes on without Redis for the grace, then ends its sessions natively, and comes back', async () => {
    const client = await connect();
    const ended = new Promise<{ code?: string }>((resolve) => client.once('error', resolve));
    await redis.kill();
    assert.equal(await sqlstate(client.query('SELECT 1')), 'none');
    assert.equal((await ended).code, '57P01');
    assert.equal((await ready()).status, 503);
    assert.notEqual(await sqlstate(connect()), 'none');
    await redis.start();
    await until(async () => (await ready()).status === 200, 'ready again');
    await until(async () => (await sqlstate(connect().then((again) => again.end()))) === 'none', 'admits again');
  });

  it('drains: a running statement ends, an idle session is told, nobody new comes in', async () => {
    const [running, idle] = [await connect(), await connect()];
    const told = new Promise<{ code?: string }>((resolve) => idle.once('error', resolve));
    const slow = running.query('SELECT count(*) FROM generate_series(1, 20000000)');
    const { port } = gateway.addresses.postgres ?? { port: 0 };
    const direct = new pg.Client({ connectionString: target.url('postgres') });
    await direct.connect();
    const runs = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()`;
    await until(async () => (await direct.query(runs)).rowCount === 1, 'running on the target');
    await direct.end();
    const draining = gateway.drain(10_000);
    assert.equal((await told).code, '57P01');
    assert.equal((await slow).rows[0].count, '20000000');
    await draining;
    const late = new pg.Client({ host: '127.0.0.1', port, user: 'x', password: 'x', database: 'orders' });
    assert.equal(await sqlstate(late.connect()), 'ECONNREFUSED');
    assert.equal(trail('stop').length, 1);
    const [last] = readdirSync(join(dir, 'audit'))
      .filter((name) => name.endsWith('.jsonl'))
      .sort()
      .slice(-1);
    const end = JSON.parse(
      readFileSync(join(dir, 'audit', last ?? ''), 'utf8')
        .trim()
        .split('\n')
        .at(-1) ?? '{}',
    );
    const store = new Redis(redis.url);
    try {
      const heads = await Promise.all((await store.keys('countersign:audit:*')).map((key) => store.get(key)));
      assert.ok(
        heads.some((head) => head?.includes(end.hash)),
        'the last head is in Redis',
      );
    } finally {
      store.disconnect();
    }
  });
});
