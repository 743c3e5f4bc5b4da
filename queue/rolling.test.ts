/** A fleet being rolled: processes of this version and the next on one queue. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { z } from 'zod';
import { startRedis, type TestRedis } from '../test/support/redis.ts';
import { eventually } from '../test/support/workspace.ts';
import { consume, publisher } from './carry.ts';
import { connectCommands, connected } from './connection.ts';
import { newKeyPair, signingKey, verifyingKey } from './sign.ts';

const key = signingKey(newKeyPair().secret);
const older = { schema: z.strictObject({ v: z.literal(1), kind: z.literal('card') }), version: 1, upcasters: {} };
const newer = {
  schema: z.strictObject({ v: z.literal(2), kind: z.literal('card') }),
  version: 2,
  upcasters: { 1: (payload: Record<string, unknown>) => payload },
};

let redis: TestRedis;
before(async () => {
  redis = await startRedis();
});
after(() => redis.stop());

it('what a newer process wrote is left by an older one until a newer one takes it, and what an older one wrote is read by both', async () => {
  const commands = connectCommands(redis.url, () => {});
  await connected(commands, 20_000);
  const forged: string[] = [];
  const came: string[] = [];
  const consumer = (name: string, reader: typeof older | typeof newer) =>
    consume('rolling', reader as typeof older, 60_000, {
      url: redis.url,
      keys: () => [verifyingKey(key.public)],
      concurrency: 1,
      handle: async (payload) => void came.push(`${name} took ${(payload as { v: number }).v}`),
      onForged: (why) => void forged.push(why),
      onTrouble: () => {},
    });
  const old = consumer('older', older);
  const next = publisher('rolling', commands, key, newer.schema, 60_000);
  const last = publisher('rolling', commands, key, older.schema, 60_000);
  await next.send({ v: 2, kind: 'card' }, 'from-newer');
  const queued = async () => (await commands.zcard('countersign.q:rolling:delayed')) === 1;
  assert.ok(await eventually(queued, 20_000), 'the older one did not leave it for later');
  const young = consumer('newer', newer);
  assert.ok(await eventually(() => came.length === 1, 20_000), 'the newer one did not take it');
  await old.close();
  await last.send({ v: 1, kind: 'card' }, 'from-older');
  assert.ok(await eventually(() => came.length === 2, 20_000), 'the newer one cannot read the version before');
  assert.deepEqual(came, ['newer took 2', 'newer took 2']);
  assert.deepEqual(forged, []);
  for (const one of [young, next, last]) await one.close();
  commands.disconnect();
});
