/** Signed HTTP instead of Socket Mode, two gateways and two bots, and parts that fail at the wrong moment. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { cliArgs } from './support/cli.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { Browser } from './support/sign-in-browser.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';
import { trailOf as recordsOf } from './support/world-trail.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { alice, carol } = PEOPLE;

describe('two gateways and two bots over signed HTTP', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    world = await startWorld({ slackMode: 'http', gateways: 2, bots: 2, recorded: true });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const table = async (name: string): Promise<string> => {
    await withClient(world.upstreamUrl, (client) =>
      client.query(`CREATE TABLE ${name} (id int); INSERT INTO ${name} VALUES (1)`),
    );
    return name;
  };
  const exists = (name: string): Promise<boolean> =>
    withClient(
      world.upstreamUrl,
      async (client) => (await client.query('SELECT to_regclass($1) AS t', [name])).rows[0].t !== null,
    );
  const held = async (name: string, gateway = world.gateways[0]): Promise<{ psql: Psql; card: Message }> => {
    const psql = new Psql(await world.downstream({ gateway }));
    psql.send(`DROP TABLE ${name};`);
    return { psql, card: await slack.card(`DROP TABLE ${name}`) };
  };
  const trailOf = async (n: number): Promise<string> => {
    const args = cliArgs('audit', 'show', `${world.dir}/audit-${n}`);
    return (await promisify(execFile)(process.execPath, args, { cwd: root })).stdout;
  };
  const cardsAbout = async (name: string): Promise<Message[]> =>
    (await slack.messages()).filter((message) => !message.thread_ts && shownBy(message).includes(`DROP TABLE ${name}`));

  it('decides a hold of either gateway, and a token of one opens the other', async () => {
    for (const [n, gateway] of world.gateways.entries()) {
      const name = await table(`fleet_${n}`);
      const { psql, card } = await held(name, gateway);
      assert.equal((await slack.click(alice, { ts: card.ts }, 'approve')).ok, true);
      await psql.until('DROP TABLE');
      await psql.close();
    }
    const token = await world.token('report-bot', world.gateways[0]);
    const other = `postgres://report-bot:${token}@127.0.0.1:${world.gateways[1]?.postgres.port}/orders`;
    await withClient(other, async (client) => assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1));
  });

  it('ends a session of one gateway on a page of the other, on record where it was, and tells its client why', async () => {
    const { psql } = await held(await table('ended_elsewhere'));
    const operation = (await eventually(async () =>
      (await recordsOf(world, 'operation')).find(({ statement }) => String(statement).includes('ended_elsewhere')),
    )) as { session: string };
    const other = world.gateways[1]?.web ?? '';
    const browser = new Browser();
    await browser.signIn({ url: other }, 'alice');
    const page = `${other}/sessions/${operation.session}/end`;
    const body = await eventually(async () => {
      const asked = await browser.go(page);
      return asked.status === 200 && asked.body;
    });
    const csrf = /name="csrf" value="([^"]+)"/.exec(body || '')?.[1] ?? assert.fail('no form came');
    const { url, status } = await browser.go(page, { form: { csrf, reason: 'it leaks' } });
    assert.deepEqual([url, status], [`${other}/sessions/${operation.session}`, 200]);
    assert.match(await psql.until('connection to server was lost'), /ended this session: it leaks/);
    assert.equal(await exists('ended_elsewhere'), true);
    const [kill] = (await recordsOf(world, 'kill')).filter(({ session }) => session === operation.session);
    assert.deepEqual([kill?.reason, kill?.counted], ['it leaks', true]);
    assert.match(await trailOf(1), / kill /);
    await psql.close();
  });

  it('posts one card when the reply to the post is lost', async () => {
    const name = await table('lost_reply');
    await slack.fault({ kind: 'lose_reply', method: 'chat.postMessage', count: 1 });
    const { psql, card } = await held(name);
    await slack.click(alice, { ts: card.ts }, 'approve');
    await psql.until('DROP TABLE');
    await psql.close();
    await slack.message((shown, message) => message.ts === card.ts && /DROP TABLE in/.test(shown));
    assert.equal((await cardsAbout(name)).length, 1);
  });

  it('counts a click once when Slack delivers it twice', async () => {
    const name = await table('redelivered');
    const { psql, card } = await held(name);
    await slack.fault({ kind: 'redeliver', count: 1 });
    await slack.click(alice, { ts: card.ts }, 'approve');
    await psql.until('DROP TABLE');
    assert.equal(await psql.close(), 0);
    const released = (await trailOf(1)).split('\n').filter((line) => line.includes('hold.released'));
    assert.equal(new Set(released).size, released.length);
    assert.equal(await exists(name), false);
  });

  it('keeps a hold through a restart of Redis with its data', async () => {
    const name = await table('redis_restarts');
    const { psql, card } = await held(name);
    await world.redis.restart();
    const answers: unknown[] = [];
    const clicked = await eventually(async () => {
      const acted = await slack.click(carol, { ts: card.ts }, 'approve');
      answers.push(acted);
      const now = await slack.message((_, message) => message.ts === card.ts);
      return acted.ok && !hasButton(now, 'approve');
    }, 60_000);
    assert.ok(clicked, `the click was never counted after Redis came back: ${JSON.stringify(answers)}`);
    await psql.until('DROP TABLE', 30_000);
    await psql.close();
    assert.equal(await exists(name), false);
  });

  it('puts new rules into force without dropping sessions, and keeps the old ones when the file is bad', async () => {
    const name = await table('reloaded');
    const psql = new Psql(await world.downstream());
    psql.send('SELECT 1;');
    await psql.until('1 row');
    const before = { id: 'no-drops', match: { object: name }, verdict: 'deny', why: 'Reloaded rule' };
    await world.reconfigure((config: Config) => ({ ...config, rules: [...config.rules, before] }));
    psql.send(`TRUNCATE ${name};`); // held when it is quicker than the reload: then the new rule ends the wait
    await psql.until(/ERROR: .*Reloaded rule.*\n/);
    await world.reconfigure((config: Config) => ({ ...config, nonsense: true }));
    const gateway = world.gateways[0];
    assert.ok(gateway);
    assert.ok(
      await eventually(async () => (await readFile(gateway.log, 'utf8')).includes('nonsense')),
      'the log does not name the bad key',
    );
    psql.send(`TRUNCATE ${name};`);
    await psql.until(/ERROR: .*Reloaded rule/);
    await psql.close();
    await world.reconfigure(({ nonsense, ...config }: Config) => config);
  });

  it('tells a held client natively when the gateway is stopped, and its card too', async () => {
    const name = await table('drained');
    const gateway = await world.startGateway();
    const { psql, card } = await held(name, gateway);
    const ended = gateway.end('SIGTERM');
    await psql.until(/57P01|terminating|stopping|shut/i);
    assert.equal(await ended, 0);
    await psql.close();
    const record = await slack.message(
      (shown, message) => message.ts === card.ts && !hasButton(message, 'approve') && /withdrawn/i.test(shown),
    );
    assert.match(shownBy(record), /nothing was run/i);
    assert.equal(await exists(name), true);
  });

  it('declares the holds of a killed gateway lost, and nothing of them runs', async () => {
    const name = await table('killed');
    const gateway = await world.startGateway();
    const { psql, card } = await held(name, gateway);
    await gateway.end('SIGKILL');
    await psql.exited.catch(() => undefined);
    psql.signal('SIGKILL');
    const record = await slack.message(
      (shown, message) => message.ts === card.ts && !hasButton(message, 'approve') && /lost/i.test(shown),
      { ms: 90_000 },
    );
    assert.match(shownBy(record), /nothing was run/i);
    assert.equal(await exists(name), true);
    const dead = /"gateway":"([0-9a-f-]{36})"/.exec(await readFile(gateway.log, 'utf8'))?.[1] ?? '';
    const redis = new Redis(world.redis.url);
    try {
      const kept = (key: string) => key.includes(':audit:') || key === `countersign:connection:${dead}`;
      assert.ok(
        await eventually(async () => (await redis.keys(`*${dead}*`)).every(kept)),
        `left in Redis: ${await redis.keys(`*${dead}*`)}`,
      );
      for (const key of await redis.keys(`*${dead}*`)) assert.ok((await redis.pttl(key)) > 0, `${key} stays for ever`);
    } finally {
      redis.disconnect();
    }
    const lost = (await Promise.all([1, 2].map((n) => trailOf(n))))
      .flatMap((trail) => trail.split('\n'))
      .filter((line) => line.includes('hold.settled') && line.includes('lost'));
    assert.equal(lost.length, 1, `one survivor puts it on record, once: ${lost.join('\n')}`);
  });

  it('leaves trails that verify, of every gateway, the killed one too', async () => {
    for (const n of [1, 2, 3, 4]) {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        cliArgs('audit', 'verify', `${world.dir}/audit-${n}`, '--key', world.auditKey),
        { cwd: root },
      );
      assert.match(stdout, /\d+ entries/);
    }
  });

  it('writes no statement, parameter or token into a log', async () => {
    for (const { log } of [...world.gateways, ...world.bots]) {
      const text = await readFile(log, 'utf8');
      assert.doesNotMatch(text, /DROP TABLE|TRUNCATE|cst_|xoxb-|xapp-|upstream-secret/);
    }
  });
});
