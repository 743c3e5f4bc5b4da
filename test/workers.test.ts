/** One gateway of two processes: what holds for one process holds for both together, whichever of them ends. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { withClient } from './support/seed.ts';
import {
  type Client,
  connect,
  isAlive,
  sendCancel,
  sqlstate,
  type WorkerProcess,
  workerOf,
  workersOf,
} from './support/workers.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type Config, type GatewayProcess, PEOPLE, startWorld, type World } from './support/world.ts';

const SESSIONS = 8;
const HOLDS = 3;
const SLOW = 'SELECT count(*) FROM generate_series(1, 900000000)';

describe('a gateway of two workers', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;
  let gateway: GatewayProcess;
  let open: Client[] = [];
  /** The card of a hold whose worker was killed. */
  let orphan: Message | undefined;

  before(async () => {
    world = await startWorld({
      config: (config: Config) => ({
        ...config,
        workers: 2,
        limits: { sessions_per_principal: SESSIONS, open_holds_per_principal: HOLDS },
      }),
    });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    gateway = world.gateways[0] as GatewayProcess;
  });
  after(async () => {
    await Promise.all(open.map((client) => client.end().catch(() => {})));
    await world?.stop();
  });

  const closeAll = async () => {
    await Promise.all(open.splice(0).map((client) => client.end().catch(() => {})));
    assert.ok(await eventually(async () => (await metric('countersign_sessions')) === 0), 'all sessions have ended');
  };
  const client = async (name = 'report-bot'): Promise<Client> => {
    const one = await connect(await world.downstream({ client: name }));
    open.push(one);
    return one;
  };
  /** A session on each worker. */
  const onEach = async (name = 'report-bot'): Promise<[Client, Client]> => {
    const both = [await client(name), await client(name)] as [Client, Client];
    assert.notEqual(numberOf(both[0]), numberOf(both[1]), 'the second goes to the worker that has none');
    return both;
  };
  const worker = (one: Client): WorkerProcess => workerOf(one, workersOf(gateway));
  const numberOf = (one: Client): number => worker(one).number;
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${gateway.web}/metrics`)).text();
    const values = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const table = (name: string) =>
    withClient(world.upstreamUrl, (direct) => direct.query(`CREATE TABLE ${name} (id int)`));
  const ready = () => eventually(async () => (await fetch(`${gateway.web}/readyz`)).ok, 60_000);
  const logged = (text: string): number => readFileSync(gateway.log, 'utf8').split(text).length - 1;

  it('spreads sessions evenly, a burst of them too, and counts them together', async () => {
    const url = await world.downstream();
    open = await Promise.all(Array.from({ length: 6 }, () => connect(url)));
    const numbers = open.map(numberOf).sort();
    assert.deepEqual(numbers, [1, 1, 1, 2, 2, 2]);
    assert.equal(await metric('countersign_sessions'), 6);
    await closeAll();
  });

  it('releases a hold of either worker when it is approved', async () => {
    for (const [n, one] of (await onEach()).entries()) {
      await table(`approved_${n}`);
      const dropped = one.query(`DROP TABLE approved_${n}`);
      const card = await slack.card(`DROP TABLE approved_${n}`);
      assert.equal((await slack.click(PEOPLE.alice, { ts: card.ts }, 'approve')).ok, true);
      assert.equal((await dropped).command, 'DROP');
    }
    await closeAll();
  });

  it('withdraws a hold, and ends what runs, by a cancel that another worker takes; Redis or not', async () => {
    const [one, other] = await onEach();
    const crowd = [await client(), await client(), await client()].filter((each) => numberOf(each) === numberOf(other));
    for (const each of crowd) await each.end();
    open = open.filter((each) => !crowd.includes(each));
    // The cancel goes to the worker with fewer sessions: not to the one that has two.
    assert.ok(open.filter((each) => numberOf(each) === numberOf(one)).length > 1);
    const held = sqlstate(one.query('DROP TABLE customers'));
    await slack.card('DROP TABLE customers');
    await sendCancel(one, gateway.postgres.port);
    assert.equal(await held, '57014');
    const runs = sqlstate(one.query(SLOW));
    await running(world, 1);
    await world.redis.kill();
    await sendCancel(one, gateway.postgres.port);
    assert.equal(await runs, '57014');
    await world.redis.start();
    assert.ok(await ready());
    await closeAll();
  });

  it('lets a principal have no more sessions than one process would', async () => {
    const url = await world.downstream();
    const tried = await Promise.all(
      Array.from({ length: SESSIONS + 4 }, async () => {
        const one = connect(url);
        const code = await sqlstate(one);
        if (code === 'none') open.push(await one);
        return code;
      }),
    );
    assert.equal(tried.filter((code) => code === 'none').length, SESSIONS);
    assert.equal(tried.filter((code) => code === '53400').length, 4);
    await open.pop()?.end();
    assert.ok(
      await eventually(() =>
        connect(url).then(
          (one) => open.push(one),
          () => undefined,
        ),
      ),
      'a place is free again',
    );
    await closeAll();
  });

  it('lets a principal have no more open holds than one process would', async () => {
    open = await Promise.all(Array.from({ length: 6 }, async () => connect(await world.downstream())));
    const refused: string[] = [];
    const asked = open.map((one) => sqlstate(one.query('DROP TABLE payments')));
    for (const each of asked) void each.then((code) => refused.push(code));
    assert.ok(await eventually(() => refused.length === 6 - HOLDS), `refused: ${refused}`);
    assert.ok(await eventually(async () => (await metric('countersign_holds_open')) === HOLDS), 'the others wait');
    assert.deepEqual(new Set(refused), new Set(['53400']));
    await closeAll();
    await Promise.all(asked);
  });

  it('takes up a new configuration in all workers, and a bad one in none', async () => {
    const both = await onEach();
    const deny = { id: 'no-drops', match: { action: ['ddl'] }, verdict: 'deny', why: 'Reloaded rule' };
    await world.reconfigure((config: Config) => ({ ...config, rules: [...config.rules, deny] }));
    assert.ok(await eventually(() => logged('configuration taken up') >= 2));
    for (const one of both) assert.equal(await sqlstate(one.query('DROP TABLE payments')), '42501');
    await world.reconfigure((config: Config) => ({ ...config, rules: [], nonsense: true }));
    assert.ok(await eventually(() => logged('the configuration was refused') >= 2));
    for (const one of both) assert.equal(await sqlstate(one.query('DROP TABLE payments')), '42501');
    await world.reconfigure(({ nonsense: _, ...config }: Config) => ({ ...config, rules: RULES }));
    assert.ok(await eventually(() => logged('configuration taken up') >= 4));
    await closeAll();
  });

  it('ends a revoked principal’s sessions in every worker', async () => {
    const both = await onEach('deploy-bot');
    const [staying] = await onEach();
    const revoked = [{ issuer: world.oidc.issuer, subject: 'deploy-bot' }];
    await world.reconfigure((config: Config) => ({ ...config, identity: { ...config.identity, revoked } }));
    assert.deepEqual(await Promise.all(both.map(({ ended }) => ended)), ['57P01', '57P01']);
    assert.equal(await sqlstate(staying.query('SELECT 1')), 'none');
    await closeAll();
  });

  it('goes on without a killed worker, says so, and has it back', async () => {
    const [doomed, staying] = await onEach();
    const operations = await metric('countersign_operations_total');
    void sqlstate(doomed.query('DROP TABLE orders'));
    orphan = await slack.card('DROP TABLE orders');
    const { pid, number } = worker(doomed);
    process.kill(pid, 'SIGKILL');
    await doomed.ended;
    assert.equal(await sqlstate(staying.query('SELECT 1')), 'none');
    assert.ok(
      await eventually(() => workersOf(gateway).find((one) => one.number === number)?.pid !== pid),
      `worker ${number} was not replaced`,
    );
    assert.equal(logged('a worker has ended'), 1);
    assert.ok(await ready());
    assert.ok((await metric('countersign_operations_total')) > operations, 'what it counted still counts');
    await closeAll();
    await onEach();
    await closeAll();
  });

  it('gives nobody to a worker that stands still, and ends it', async () => {
    const url = await world.downstream();
    const [stuck, staying] = await onEach();
    const { pid, number } = worker(stuck);
    process.kill(pid, 'SIGSTOP');
    for (let n = 0; n < 3; n++) {
      const late = await connect(url);
      open.push(late);
      assert.notEqual(numberOf(late), number);
    }
    assert.equal(await sqlstate(staying.query('SELECT 1')), 'none');
    await stuck.ended;
    assert.ok(
      await eventually(() => workersOf(gateway).find((one) => one.number === number)?.pid !== pid),
      `worker ${number} was not replaced`,
    );
    assert.equal(isAlive(pid), false);
    assert.ok(await ready());
    await closeAll();
  });

  it('says on the card of a killed worker that nothing was run', async () => {
    const record = await slack.message(
      (shown, message) => message.ts === orphan?.ts && !hasButton(message, 'approve') && /lost/i.test(shown),
      { ms: 60_000 },
    );
    assert.match(shownBy(record), /nothing was run/i);
  });

  it('drains every worker at SIGTERM, tells who waits, and leaves a trail that verifies', async () => {
    const both = await onEach();
    const told = both.map((one) => sqlstate(one.query('DROP TABLE customers')));
    assert.ok(await eventually(async () => (await metric('countersign_holds_open')) === 2));
    const workers = workersOf(gateway);
    open = [];
    assert.equal(await gateway.end('SIGTERM'), 0);
    assert.deepEqual(await Promise.all(told), ['57P01', '57P01']);
    assert.ok(workers.every(({ pid }) => !isAlive(pid)));
    assert.match(
      await world.command('audit', 'verify', `${world.dir}/audit-1`, '--key', world.auditKey),
      /\d+ entries/,
    );
  });

  it('leaves no worker behind when the process that accepts is killed, and they tell who waits', async () => {
    const second = await world.startGateway();
    const [one, other] = [
      await connect(await world.downstream({ gateway: second })),
      await connect(await world.downstream({ gateway: second })),
    ];
    const told = [one, other].map((each) => sqlstate(each.query('DROP TABLE customers')));
    const waiting = async () => (await slack.messages()).filter((card) => hasButton(card, 'approve')).length === 2;
    assert.ok(await eventually(waiting), 'both are held');
    const workers = workersOf(second);
    assert.equal(new Set([one, other].map((each) => workerOf(each, workers).number)).size, 2);
    await second.end('SIGKILL');
    assert.deepEqual(await Promise.all(told), ['57P01', '57P01']);
    assert.ok(await eventually(() => workers.every(({ pid }) => !isAlive(pid))));
  });

  let RULES: unknown[] = [];
  before(async () => {
    await world.reconfigure((config: Config) => {
      RULES = config.rules;
      return config;
    });
  });
});

async function running(world: World, count: number): Promise<void> {
  const busy = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()`;
  await withClient(world.upstream.url('postgres'), async (direct) => {
    assert.ok(await eventually(async () => (await direct.query(busy)).rowCount === count), 'running on the target');
  });
}
