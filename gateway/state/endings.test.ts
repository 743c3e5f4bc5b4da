/** A session of another gateway is ended by that one alone, once, and only for a gateway; silence is told as such. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectBlocking, connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, type SigningKey, signingKey, verifyingKey } from '../../queue/sign.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { systemClock } from '../holds/clock.ts';
import { createEndRelay, type Ended, type EndRelay, type EndWish } from './endings.ts';
import { SignedStore } from './signed.ts';

const CHANNEL = 'countersign:end-session';
let redis: TestRedis;
let commands: Redis;
let subscriber: Redis;
const key = signingKey(newKeyPair().secret);
const relays: EndRelay[] = [];
const said: string[] = [];
before(async () => {
  redis = await startRedis();
  commands = connectCommands(redis.url, () => {});
  subscriber = connectBlocking(redis.url, () => {});
  await connected(commands, 5_000);
  await subscriber.subscribe(CHANNEL);
});
afterEach(() => {
  for (const relay of relays.splice(0)) relay.stop();
  said.length = 0;
});
after(async () => {
  commands.disconnect();
  subscriber.disconnect();
  await redis.stop();
});

const storeOf = (own: SigningKey, store = commands) =>
  new SignedStore(store, { own, trusted: () => [verifyingKey(key.public)] });
const wish: EndWish = { session: 's-1', by: 'https://login.example.com#alice', name: 'Alice', reason: 'it leaks' };
/** A gateway that answers so, and what it was asked. */
const gateway = (name: string, how: () => Promise<Ended>, store = storeOf(key)) => {
  const asked: EndWish[] = [];
  const relay = createEndRelay({
    store,
    subscriber,
    clock: systemClock,
    newId: randomUUID,
    gateway: name,
    endOwn: (of) => {
      asked.push(of);
      return how();
    },
    log: (message) => said.push(message),
    answerMs: 400,
  });
  relays.push(relay);
  return { relay, asked };
};

it('is asked of the gateway that has it, whose answer is told', async () => {
  for (const how of ['ended', 'gone', 'unrecorded'] as const) {
    const [one, two, three] = ['one', 'two', 'three'].map((name) => gateway(name, async () => how));
    assert.equal(await one?.relay.end('two', wish), how);
    assert.deepEqual([one?.asked, two?.asked, three?.asked], [[], [wish], []]);
    assert.equal(await one?.relay.end('one', wish), how);
    assert.deepEqual(one?.asked, [wish], 'its own');
    for (const relay of relays.splice(0)) relay.stop();
  }
});

it('is unknown where that gateway is silent, fails, or answers with a key that nobody trusts', async () => {
  const { relay } = gateway('one', async () => 'ended');
  assert.equal(await relay.end('nobody', wish), undefined);
  gateway('failing', () => Promise.reject(new Error('no')));
  assert.equal(await relay.end('failing', wish), undefined);
  const stranger = new SignedStore(commands, {
    own: signingKey(newKeyPair().secret),
    trusted: () => [verifyingKey(key.public)],
  });
  const { asked } = gateway('strange', async () => 'ended', stranger);
  assert.equal(await relay.end('strange', wish), undefined);
  assert.equal(asked.length, 1);
});

it('is not done for anybody but a gateway, nor again, nor late', async () => {
  const { relay, asked } = gateway('one', async () => 'ended');
  const own = storeOf(key);
  const message = { v: 1, id: 'm', at: Date.now(), gateway: 'one', ...wish };
  const stranger = new SignedStore(commands, { own: signingKey(newKeyPair().secret), trusted: () => [] });
  const raw = own.sealed(message, CHANNEL);
  await commands.publish(CHANNEL, stranger.sealed({ ...message, id: 'forged' }, CHANNEL));
  await commands.publish(CHANNEL, own.sealed({ ...message, id: 'elsewhere' }, 'countersign:cancel'));
  await commands.publish(CHANNEL, own.sealed({ ...message, id: 'late', at: Date.now() - 11_000 }, CHANNEL));
  await commands.publish(CHANNEL, own.sealed({ ...message, id: 'long', reason: 'x'.repeat(401) }, CHANNEL));
  await commands.publish(CHANNEL, 'x'.repeat(20_000));
  for (let n = 0; n < 3; n++) await commands.publish(CHANNEL, raw);
  const other = gateway('two', async () => 'gone');
  assert.equal(await other.relay.end('one', { ...wish, session: 's-2' }), 'ended'); // all before it was heard
  assert.deepEqual(
    asked.map(({ session }) => session),
    ['s-1', 's-2'],
  );
  assert.equal(said.filter((one) => one.includes('no gateway sent')).length >= 3, true, said.join());
  assert.ok(relay);
});

it('is unknown while Redis is away', async () => {
  const lost = connectCommands('redis://127.0.0.1:1', () => {});
  const { relay } = gateway('one', async () => 'ended', storeOf(key, lost));
  assert.equal(await relay.end('two', wish), undefined);
  assert.ok(said.some((one) => one.includes('could not be asked')));
  lost.disconnect();
});
