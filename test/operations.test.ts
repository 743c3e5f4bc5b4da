/** What an operator meets: the compiled product from start to drain, its health and metrics, its complaints, its keys. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newKeyPair } from '../queue/sign.ts';
import { type Built, builtProduct } from './support/built.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, shownBy, Workspace } from './support/workspace.ts';
import { type Config, type GatewayProcess, PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, carol } = PEOPLE;
/** Long enough to be there when a signal comes; ends with the target at the latest. */
const seconds = (rows: number) => `SELECT count(*) AS counted FROM generate_series(1, ${rows});`;

/** Counts of one metric by its labels, as Prometheus reads them. */
async function metric(gateway: GatewayProcess, name: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${gateway.web}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
  return new Map(lines.map((line) => [line.slice(name.length, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

const logged = (part: { log: string }, text: string): Promise<boolean | undefined> =>
  eventually(async () => (await readFile(part.log, 'utf8')).includes(text));

describe('the compiled product', { timeout: 120_000 }, () => {
  let built: Built;
  let world: World;
  let slack: Workspace;
  let gateway: GatewayProcess;
  let dir: string;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-operations-'));
    const fault = join(dir, 'fault.mjs');
    await writeFile(fault, "process.on('SIGUSR2', () => void Promise.reject(new Error('injected by a test')));\n");
    built = await builtProduct();
    world = await startWorld({ built: built.dist, env: { NODE_OPTIONS: `--import=${fault}` } });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    gateway = world.gateways[0] as GatewayProcess;
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
    await built?.remove();
    await rm(dir, { recursive: true, force: true });
  });

  /** `countersign …` with an environment of its own: how it ended and what it said. */
  const countersign = async (args: readonly string[], env: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [join(built.dist, 'gateway/cli.js'), ...args], {
      cwd: dir,
      env: { PATH: process.env.PATH ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, out, err };
  };

  it('holds, asks, is approved and lets it run, with nothing but its own dependencies', async () => {
    await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE compiled (id int)'));
    const psql = new Psql(await world.downstream());
    psql.send('DROP TABLE compiled;');
    const card = await slack.card('DROP TABLE compiled');
    assert.equal((await slack.click(alice, { ts: card.ts }, 'approve')).ok, true);
    await psql.until('DROP TABLE');
    await psql.close();
  });

  it('reads a statement of more than 8 KB in its parser thread', async () => {
    await withClient(await world.downstream(), async (client) => {
      const numbers = Array.from({ length: 3_000 }, (_, i) => i).join(', ');
      const found = await client.query(`SELECT count(*)::int AS n FROM orders WHERE id IN (${numbers})`);
      assert.equal(found.rows[0].n, 2_999);
      await assert.rejects(client.query(`SELECT ${'1 + '.repeat(4_000)};`), { code: '42601' });
    });
  });

  it('counts what it allowed, held and denied, under labels that no client can invent', async () => {
    const count = async (verdict: string) =>
      (await metric(gateway, 'countersign_operations_total')).get(
        `{verdict="${verdict}",protocol="postgres",connection="orders"}`,
      ) ?? 0;
    const verdicts = ['allow', 'hold', 'deny'] as const;
    const earlier = await Promise.all(verdicts.map(count));
    const psql = new Psql(await world.downstream());
    psql.send('SELECT 1; GRANT ALL ON customers TO PUBLIC;');
    await psql.until('Terraform');
    psql.send('DELETE FROM payments;');
    const card = await slack.card('DELETE FROM payments');
    await slack.deny(carol, card.ts, 'no');
    await psql.until('ERROR');
    await psql.close();
    const later = await Promise.all(verdicts.map(count));
    assert.ok(
      later.every((value, i) => value > (earlier[i] ?? 0)),
      `${earlier} then ${later}`,
    );

    const stranger = new Psql(await world.downstream({ connection: 'made-up-by-a-client' }));
    assert.notEqual(await stranger.exited, 0);
    const text = await (await fetch(`${gateway.web}/metrics`)).text();
    assert.doesNotMatch(text, /made-up|report-bot|payments/);
    const decided = await metric(gateway, 'countersign_decision_seconds_count');
    assert.deepEqual([...decided.keys()].sort(), ['{state="approved"}', '{state="denied"}']);
  });

  it('lives without Redis but is not ready, and names what is missing', async () => {
    await world.redis.kill();
    const answer = await eventually(async () => {
      const response = await fetch(`${gateway.web}/readyz`);
      return response.status === 503 ? response.text() : undefined;
    });
    assert.match(answer ?? '', /"redis":"Redis does not answer/);
    assert.equal((await fetch(`${gateway.web}/healthz`)).status, 200);
    await world.redis.start();
    assert.ok(await eventually(async () => (await fetch(`${gateway.web}/readyz`)).ok), 'ready again');
  });

  it('has every command an operator is told of', async () => {
    const { out } = await countersign(['keygen']);
    assert.match(out, /ed25519-secret:|ed25519:/);
    assert.match((await countersign(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
    assert.match(await world.command('check'), /orders/);
    const trail = join(world.dir, 'audit-1');
    assert.match(await world.command('audit', 'verify', trail, '--key', world.auditKey), /\d+ entries/);
    const policy = await countersign(['policy', 'test', join(import.meta.dirname, 'policies.yaml')]);
    assert.equal(policy.code, 0, policy.err);
    assert.equal((await countersign(['bot', '--nonsense'])).code, 2);
    assert.equal((await countersign(['nonsense'])).code, 2);
  });

  it('checks Slack as it is configured: exit 0 where cards can be posted, else 1 and how to repair it', async () => {
    const fine = await world.command('check', '--slack');
    assert.match(fine, /^ok {5}slack: channel C0APPROVALS: the bot is in it$/m);
    assert.match(fine, /^ok {5}slack: group @dba-oncall: 2 members$/m);
    await slack.post('/channel', { channel: world.channel, remove: ['U0GATEBOT'] });
    try {
      const failed = await world.command('check', '--slack').then(
        () => assert.fail('it ended with 0'),
        (error: { code: number; stdout: string }) => error,
      );
      assert.equal(failed.code, 1);
      assert.match(failed.stdout, /^FAILED slack: channel C0APPROVALS: the bot is not in it: \/invite it there$/m);
    } finally {
      await slack.post('/channel', { channel: world.channel, add: ['U0GATEBOT'] });
    }
  });

  it('says what keeps it from starting: short, with the key, exit 1', async () => {
    const file = await readFile(join(world.dir, 'countersign-1.yaml'), 'utf8');
    const env = {
      COUNTERSIGN_GATEWAY_KEY: newKeyPair().secret,
      COUNTERSIGN_AUDIT_KEY: newKeyPair().secret,
      ORDERS_PW: 'x',
      REDIS_URL: world.redis.url,
    };
    const start = async (text: string, given: Record<string, string> = env) => {
      const path = join(dir, 'countersign.yaml');
      await writeFile(path, text);
      return countersign(['gateway', '--config', path], given);
    };
    const { ORDERS_PW: _, ...without } = env;
    const notDirectory = join(dir, 'a-file');
    await writeFile(notDirectory, '');
    const ownAudit = file.replace(/dir: .*/, `dir: ${dir}/trail`);
    const blocker = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => blocker.once('listening', resolve));
    const { port } = blocker.address() as { port: number };
    const cases: [string, { code: number | null; err: string }, RegExp][] = [
      ['no file', await countersign(['gateway', '--config', join(dir, 'absent.yaml')]), /absent\.yaml/],
      ['a missing secret', await start(file, without), /connections.*password.*ORDERS_PW/s],
      ['an audit directory that is none', await start(file.replace(/dir: .*/, `dir: ${notDirectory}`)), /audit/],
      [
        'a port taken',
        await start(
          ownAudit.replace(/web: .*/, 'web: 127.0.0.1:0').replace(/postgres: 127.*/, `postgres: 127.0.0.1:${port}`),
        ),
        /listen\.postgres/,
      ],
      ['a web port taken', await start(ownAudit.replace(/web: .*/, `web: 127.0.0.1:${port}`)), /listen\.web/],
      ['a bot without its environment', await countersign(['bot']), /REDIS_URL/],
    ];
    blocker.close();
    for (const [name, { code, err }, told] of cases) {
      assert.equal(code, 1, `${name}: ${err}`);
      assert.match(err, told, name);
      assert.doesNotMatch(err, /^\s+at /m, `${name}: no stack for an operator`);
    }
  });

  it('lets a running statement end when asked to stop, and exits 0', async () => {
    const second = await world.startGateway();
    const psql = new Psql(await world.downstream({ gateway: second }));
    psql.send(seconds(20_000_000));
    await running(world);
    const ended = second.end('SIGTERM');
    await psql.until('20000000');
    assert.equal(await ended, 0);
  });

  it('ends at once at a second SIGTERM', async () => {
    const third = await world.startGateway();
    const psql = new Psql(await world.downstream({ gateway: third }));
    psql.send(seconds(900_000_000));
    await running(world);
    third.signal('SIGTERM');
    assert.ok(await logged(third, '"draining"'));
    const asked = performance.now();
    assert.equal(await third.end('SIGTERM'), 1);
    assert.ok(performance.now() - asked < 2_000);
    await psql.exited;
  });

  it('drains after a fault nobody foresaw, tells the held client, and exits 1', async () => {
    const fourth = await world.startGateway();
    const psql = new Psql(await world.downstream({ gateway: fourth }), { args: ['--set=VERBOSITY=verbose'] });
    psql.send('DROP TABLE payments;');
    const card = await slack.card('DROP TABLE payments');
    fourth.signal('SIGUSR2');
    await psql.until('57P01');
    assert.ok(await logged(fourth, 'injected by a test'));
    assert.equal(await fourth.end('SIGCONT'), 1, 'ends by itself');
    const record = await slack.message((_, message) => message.ts === card.ts && !/Approve/.test(shownBy(message)));
    assert.match(shownBy(record), /nothing was run/i);
  });
});

describe('keys that change', { timeout: 120_000 }, () => {
  const gatewayKeys = [newKeyPair(), newKeyPair()];
  let world: World;
  let slack: Workspace;
  const next = newKeyPair();

  before(async () => {
    world = await startWorld({ gateways: 2, gatewayKeys });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const held = async (name: string, gateway?: GatewayProcess) => {
    await withClient(world.upstreamUrl, (client) => client.query(`CREATE TABLE ${name} (id int)`));
    const psql = new Psql(await world.downstream(gateway ? { gateway } : {}));
    psql.send(`DROP TABLE ${name};`);
    return { psql, card: await slack.card(`DROP TABLE ${name}`) };
  };
  const trust = async (...keys: string[]) => {
    const reloads = async (gateway: GatewayProcess) =>
      (await readFile(gateway.log, 'utf8')).split('configuration taken up').length;
    const earlier = await Promise.all(world.gateways.map(reloads));
    await world.reconfigure((config: Config) => ({ ...config, keys: { bots: keys } }));
    for (const [n, gateway] of world.gateways.entries())
      assert.ok(await eventually(async () => (await reloads(gateway)) > (earlier[n] ?? 0)), 'taken up');
  };

  it('believes gateways with the old key and with the new one, everywhere', async () => {
    for (const [n, gateway] of world.gateways.entries()) {
      const { psql, card } = await held(`of_gateway_${n}`, gateway);
      await slack.click(alice, { ts: card.ts }, 'approve');
      await psql.until('DROP TABLE');
      await psql.close();
    }
    const token = await world.token('report-bot', world.gateways[1]);
    const other = `postgres://report-bot:${token}@127.0.0.1:${world.gateways[0]?.postgres.port}/orders`;
    await withClient(other, (client) => client.query('SELECT 1'));
  });

  it('counts votes carried by a bot with the old key and by one with the new, while both are listed', async () => {
    await trust(world.botKey.public, next.public);
    const old = await held('by_the_old_key');
    await slack.click(alice, { ts: old.card.ts }, 'approve');
    await old.psql.until('DROP TABLE');
    await world.startBot({ key: next });
    await world.bots[0]?.end();
    const fresh = await held('by_the_new_key');
    await slack.click(alice, { ts: fresh.card.ts }, 'approve');
    await fresh.psql.until('DROP TABLE');
    await Promise.all([old.psql.close(), fresh.psql.close()]);
  });

  it('counts no vote of a key that was removed', async () => {
    const { psql, card } = await held('by_a_removed_key');
    await trust(world.botKey.public);
    await slack.click(alice, { ts: card.ts }, 'approve');
    assert.ok(await logged(world.gateways[0] as GatewayProcess, 'a vote was dropped: no trusted bot wrote it'));
    const still = await withClient(world.upstreamUrl, (client) =>
      client.query("SELECT to_regclass('by_a_removed_key') AS t"),
    );
    assert.equal(still.rows[0].t, 'by_a_removed_key');
    psql.signal('SIGKILL');
    await psql.exited;
  });
});

/** Until the target is at it. */
async function running(world: World): Promise<void> {
  const busy = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()`;
  await withClient(world.upstream.url('postgres'), async (client) => {
    assert.ok(await eventually(async () => (await client.query(busy)).rowCount === 1), 'running on the target');
  });
}
