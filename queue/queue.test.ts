/** The queues on a real Redis: sealed, idempotent, bounded, quick to fail and quick to recover. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { startRedis, type TestRedis } from '../test/support/redis.ts';
import { CARDS_VERSION, type Card, type CardJob } from './cards.ts';
import { cardPublisher, consume, consumeCards, publisher } from './carry.ts';
import { connectCommands, connected, openQueue, redisWarnings } from './connection.ts';
import { afterDeath, GATEWAYS_KEY, holdContext, holdsKey, LeaseWatch, leaseKey, openHolds } from './leases.ts';
import { readPayload } from './payload.ts';
import { newKeyPair, seal, signingKey, verifyingKey } from './sign.ts';
import { votesQueue } from './votes.ts';

const quiet = () => {};
const key = signingKey(newKeyPair().secret);
const keys = () => [verifyingKey(key.public)];
const notice = (text: string): CardJob => ({ kind: 'notice', v: 1, id: 'n', channel: 'C', text, at: 1 });
const card = (change: Partial<Card> = {}): Card => ({
  hold: randomUUID(),
  shortId: 'a1b2c3',
  gateway: 'gw-1',
  revision: 1,
  sequence: 3,
  state: 'open',
  channel: 'C',
  digest: 'ab'.repeat(32),
  environment: 'production',
  connection: 'orders',
  protocol: 'postgres',
  headline: 'DROP TABLE public.orders',
  risks: [],
  requester: { name: 'report-bot', kind: 'agent', subject: 'report-bot', issuer: 'i' },
  statement: 'DROP TABLE orders',
  parameters: [],
  demands: [{ rule: 'r', why: 'w', approvers: ['@a'], quorum: 1, counted: 0, requireReason: false }],
  votes: [],
  openedAt: 1,
  expiresAt: 2,
  expiresBy: 'rule',
  warnings: [],
  ...change,
});
/** What is written in the version before arrives in this one. */
const read = (text: string): CardJob => ({ ...notice(text), v: CARDS_VERSION });

let redis: TestRedis;
let commands: Redis;
before(async () => {
  redis = await startRedis();
  commands = connectCommands(redis.url, quiet);
  await connected(commands, 5_000);
});
after(async () => {
  commands.disconnect();
  await redis.stop();
});

/** A consumer that hands out what came, one by one. */
function collecting(options: { handle?: (job: CardJob) => Promise<unknown> } = {}) {
  const came: CardJob[] = [];
  const forged: string[] = [];
  let wake = quiet;
  const consumer = consumeCards({
    url: redis.url,
    keys,
    concurrency: 5,
    handle: async (job) => {
      const result = await options.handle?.(job);
      came.push(job);
      wake();
      return result;
    },
    onForged: (why) => {
      forged.push(why);
      wake();
    },
    onTrouble: quiet,
  });
  const until = async (condition: () => boolean) => {
    while (!condition())
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  return { came, forged, until, close: () => consumer.close() };
}

describe('the queues', () => {
  it('carry a job once, however often its id is sent', async () => {
    const publish = cardPublisher(commands, key);
    const bot = collecting();
    for (const text of ['first', 'again', 'and again']) await publish.send(notice(text), 'notice-1');
    await publish.send(notice('last'), 'notice-2');
    await bot.until(() => bot.came.length === 2);
    assert.deepEqual(bot.came, [read('first'), read('last')]);
    await publish.send(notice('after it was done'), 'notice-1');
    await publish.send(notice('end'), 'notice-3');
    await bot.until(() => bot.came.length === 3);
    assert.deepEqual(bot.came.at(-1), read('end'));
    await bot.close();
    await publish.close();
  });

  it('refuse ids and payloads that do not fit before anything is sent', async () => {
    const publish = cardPublisher(commands, key);
    await assert.rejects(publish.send(notice('x'), 'with:colon'), /a job id is/);
    await assert.rejects(publish.send(notice('x'.repeat(3_001)), 'long'), z.ZodError);
    await publish.close();
  });

  it('try a failing job again within a second, and drop what is forged without stopping', async () => {
    let failures = 2;
    const bot = collecting({
      handle: async () => {
        if (failures-- > 0) throw new Error('Slack is down');
      },
    });
    const publish = cardPublisher(commands, key);
    const stranger = cardPublisher(commands, signingKey(newKeyPair().secret));
    await stranger.send(notice('forged'), 'forged-1');
    await publish.send(notice('real'), 'real-1');
    await bot.until(() => bot.came.length === 1);
    assert.deepEqual([bot.came, bot.forged.length], [[read('real')], 1]);
    await bot.close();
    await publish.close();
    await stranger.close();
  });

  it('read the version before the current one, and no other', () => {
    const schema = z.strictObject({ v: z.literal(2), name: z.string() });
    const reader = { schema, version: 2, upcasters: { 1: ({ title }: Record<string, unknown>) => ({ name: title }) } };
    const read = (payload: unknown) => readPayload(seal(payload, 'q', key), 'q', keys(), reader);
    assert.deepEqual(read({ v: 2, name: 'a' }), { ok: true, value: { v: 2, name: 'a' }, by: key.id });
    assert.deepEqual(read({ v: 1, title: 'a' }), { ok: true, value: { v: 2, name: 'a' }, by: key.id });
    for (const payload of [
      { v: 0 },
      { v: 3, name: 'a' },
      { v: '2', name: 'a' },
      { name: 'a' },
      { v: 1, name: 'a' },
      null,
      [],
    ]) {
      assert.equal(read(payload).ok, false, JSON.stringify(payload));
    }
  });

  it('fail at once while Redis is gone, and go on by themselves when it is back', async () => {
    const bot = collecting();
    const publish = cardPublisher(commands, key);
    await publish.send(notice('before'), 'outage-1');
    await bot.until(() => bot.came.length === 1);
    await redis.kill();
    const asked = performance.now();
    await assert.rejects(publish.send(notice('during'), 'outage-2'));
    assert.ok(performance.now() - asked < 3_000);
    await redis.start();
    await connected(commands, 5_000);
    await publish.send(notice('after'), 'outage-3');
    await bot.until(() => bot.came.length === 2);
    await bot.close();
    await publish.close();
  });

  it('can be opened while Redis is gone, and are not spoilt by it', async () => {
    const bot = collecting();
    await redis.kill();
    const fresh = connectCommands(redis.url, quiet);
    const publish = cardPublisher(fresh, key);
    await assert.rejects(publish.send(notice('during'), 'spoilt-1'));
    await redis.start();
    await connected(fresh, 5_000);
    await publish.send(notice('after'), 'spoilt-2');
    await bot.until(() => bot.came.length === 1);
    await redis.kill(); // and one whose very opening is under way when Redis goes
    await redis.start();
    const torn = cardPublisher(fresh, key);
    await connected(fresh, 5_000);
    const sending = torn.send(notice('torn'), 'spoilt-3').catch(() => {});
    await redis.kill();
    await sending;
    await redis.start();
    await connected(fresh, 5_000);
    await torn.send(notice('mended'), 'spoilt-4');
    await bot.until(() => bot.came.some((job) => 'text' in job && job.text === 'mended'));
    await bot.close();
    await publish.close();
    await torn.close();
    fresh.disconnect();
  });

  it('keep nothing for ever: every job has an age and a number after which it goes', async () => {
    const { removeOnComplete, removeOnFail } = await openQueue('bounds', commands, { jobMs: 60_000 }).use(
      async (queue) => queue.defaultJobOptions,
    );
    assert.deepEqual(
      [removeOnComplete, removeOnFail],
      [
        { age: 60, count: 2_000 },
        { age: 60, count: 500 },
      ],
    );
  });

  it('say when Redis would lose what it is given', async () => {
    assert.deepEqual(await redisWarnings(commands), []);
    await commands.config('SET', 'appendonly', 'no');
    await commands.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const warnings = await redisWarnings(commands);
    assert.equal(warnings.length, 2);
    assert.match(warnings.join(), /set appendonly yes.*set maxmemory-policy noeviction/);
    await commands.config('SET', 'appendonly', 'yes');
    await commands.config('SET', 'maxmemory-policy', 'noeviction');
  });

  it('say when Redis is too old, and nothing where it does not tell', async () => {
    const told = (info: () => Promise<string>) => redisWarnings({ config: commands.config.bind(commands), info });
    assert.match((await told(async () => '# Server\r\nredis_version:6.0.16\r\n')).join(), /is 6\.0: 6\.2 or newer/);
    for (const version of ['6.2.0', '7.0.15', '10.1.2']) {
      assert.deepEqual(await told(async () => `redis_version:${version}\r\n`), [], version);
    }
    assert.deepEqual(await told(() => Promise.reject(new Error('NOPERM'))), []);
  });
});

describe('what a dead gateway leaves', () => {
  it('is its open holds as lost and its released ones as unknown, once its lease is gone for good', async () => {
    await commands.flushall();
    let now = 0;
    const watch = new LeaseWatch(commands, keys, () => now);
    const cards = [card(), card({ state: 'released', releasedAt: 5, settled: { at: 5, executed: 'unknown' } })];
    await commands.sadd(GATEWAYS_KEY, 'gw-1', 'not a gateway:id');
    for (const it of cards) {
      await commands.hset(holdsKey('gw-1'), it.hold, JSON.stringify(seal(it, holdContext('gw-1', it.hold), key)));
    }
    const [first, second] = cards;
    // Forged, moved from elsewhere or under another id: not shown to anybody.
    await commands.hset(
      holdsKey('gw-1'),
      randomUUID(),
      JSON.stringify(seal(first, holdContext('gw-1', first?.hold ?? ''), key)),
    );
    await commands.hset(holdsKey('gw-1'), 'junk', '{');
    await commands.set(leaseKey('gw-1'), JSON.stringify(seal({ v: 1, gateway: 'gw-1', at: 1 }, leaseKey('gw-1'), key)));
    assert.deepEqual([await watch.live(), await watch.dead(9)], [['gw-1'], []]);
    await commands.set(leaseKey('gw-1'), 'forged');
    assert.deepEqual(await watch.dead(9), [], 'it may come back');
    now = 10_000;
    const [dead] = await watch.dead(9);
    assert.equal(dead?.gateway, 'gw-1');
    const states = new Map(
      dead?.cards.map(({ hold, state, sequence, settled }) => [hold, [state, sequence, settled?.executed]]),
    );
    assert.deepEqual(states.get(first?.hold ?? ''), ['lost', 4, 'no']);
    assert.deepEqual(states.get(second?.hold ?? ''), ['unknown', 4, 'unknown']);
    assert.equal(states.size, 2);
  });

  it('is removed with its queues when its cards are settled', async () => {
    const publish = publisher(votesQueue('gw-1'), commands, key, z.strictObject({ kind: z.literal('x') }), 60_000);
    await publish.send({ kind: 'x' }, 'left');
    await publish.close();
    assert.ok((await commands.keys('*votes.gw-1*')).length > 0);
    await new LeaseWatch(commands, keys).clear('gw-1');
    assert.deepEqual(await commands.keys('*gw-1*').then((left) => left.filter((it) => it !== leaseKey('gw-1'))), []);
    assert.equal(await commands.sismember(GATEWAYS_KEY, 'gw-1'), 0);
    assert.deepEqual(await openHolds(commands, 'gw-1', keys()), []);
  });

  it('does not change what had ended', () => {
    for (const state of ['done', 'denied', 'expired', 'withdrawn', 'lost', 'unknown'] as const) {
      assert.deepEqual(afterDeath(card({ state }), 9).state, state);
    }
  });

  it('is a queue nobody must wait for: its payloads are read by any consumer with the keys', async () => {
    const schema = z.strictObject({ kind: z.literal('x'), v: z.literal(1) });
    const got = new Promise((resolve) => {
      const consumer = consume('asks', { schema, version: 1, upcasters: {} }, 60_000, {
        url: redis.url,
        keys,
        concurrency: 1,
        onForged: quiet,
        onTrouble: quiet,
        handle: async (payload) => {
          resolve(payload);
          setImmediate(() => consumer.close());
        },
      });
    });
    const publish = publisher('asks', commands, key, schema, 60_000);
    await publish.send({ kind: 'x', v: 1 }, 'one');
    assert.deepEqual(await got, { kind: 'x', v: 1 });
    await publish.close();
  });
});
