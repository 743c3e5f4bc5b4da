/** A CancelRequest that arrives at another gateway reaches its owner, once, and only from a gateway. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectBlocking, connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { systemClock } from '../holds/clock.ts';
import { createCancelRelay } from './cancel.ts';
import { SignedStore } from './signed.ts';

let redis: TestRedis;
let commands: Redis;
let subscriber: Redis;
before(async () => {
  redis = await startRedis();
  commands = connectCommands(redis.url, () => {});
  subscriber = connectBlocking(redis.url, () => {});
  await connected(commands, 5_000);
});
after(async () => {
  commands.disconnect();
  subscriber.disconnect();
  await redis.stop();
});

it('acts once on a request of a trusted gateway, and on nothing forged, replayed or late', async () => {
  const key = signingKey(newKeyPair().secret);
  const store = new SignedStore(commands, { own: key, trusted: () => [verifyingKey(key.public)] });
  const stranger = new SignedStore(commands, { own: signingKey(newKeyPair().secret), trusted: () => [] });
  const handled: string[] = [];
  let wake = () => {};
  const relay = createCancelRelay({
    store,
    subscriber,
    clock: systemClock,
    newId: randomUUID,
    handleOwn: async (pid, secret) => {
      handled.push(`${pid} ${secret.toString('hex')}`);
      wake();
    },
    log: () => {},
  });
  const channel = 'countersign:cancel';
  while ((await commands.pubsub('NUMSUB', channel))[1] !== 1);
  const seen: string[] = [];
  subscriber.on('message', (_channel, raw: string) => void seen.push(raw));
  await relay.forward(7, Buffer.from('a1b2', 'hex'));
  while (handled.length < 1)
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  const replay = seen[0] ?? assert.fail('nothing was sent');
  const request = { v: 1, id: 'x', at: Date.now(), pid: 8, secret: 'ff' };
  await commands.publish(channel, replay);
  await commands.publish(channel, stranger.sealed(request, channel));
  await commands.publish(channel, store.sealed(request, 'countersign:other'));
  await commands.publish(channel, store.sealed({ ...request, at: Date.now() - 11_000 }, channel));
  await commands.publish(channel, store.sealed({ ...request, secret: '' }, channel));
  await commands.publish(channel, 'x'.repeat(10_000));
  await relay.forward(9, Buffer.from('00', 'hex'));
  while (handled.length < 2)
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  assert.deepEqual(handled, ['7 a1b2', '9 00']);
  relay.stop();
});
