/** What the rules were: kept with every version, signed, and no more than fifty of them. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { systemClock } from '../holds/clock.ts';
import { parseLine } from '../policy/line.ts';
import type { Rule } from '../policy/policy.ts';
import { ruleSchema } from '../policy/schema.ts';
import { RuleStore } from './rules.ts';
import { HISTORY_KEY, KEPT, RulesHistory } from './rules-history.ts';
import { SignedStore } from './signed.ts';

const rule = (id: string): Rule => {
  const parsed = parseLine(`hold ddl on orders id ${id}`);
  assert.equal(parsed.kind, 'rule');
  return (parsed as { rule: Rule }).rule;
};

describe('the history of the rules', () => {
  let redis: TestRedis;
  let commands: Redis;
  let dir: string;
  let store: SignedStore;
  let rules: RuleStore;
  let history: RulesHistory;
  before(async () => {
    redis = await startRedis();
    commands = connectCommands(redis.url, () => {});
    await connected(commands, 5_000);
    dir = await mkdtemp(join(tmpdir(), 'countersign-history-'));
    const key = signingKey(newKeyPair().secret);
    store = new SignedStore(commands, { own: key, trusted: () => [verifyingKey(key.public)] });
    const file = join(dir, 'rules.json');
    rules = new RuleStore({
      store,
      rule: ruleSchema,
      file,
      clock: systemClock,
      onChange: () => {},
      onTrouble: () => {},
    });
    await rules.start();
    history = new RulesHistory(store, ruleSchema);
  });
  after(async () => {
    rules.stop();
    commands.disconnect();
    await redis.stop();
    await rm(dir, { recursive: true });
  });

  it('keeps each version with who made it and who agreed; before the first there were no rules', async () => {
    await rules.write(() => [rule('a')], 'U0ALICE', { approvedBy: [], ask: 'ask-1' });
    await rules.write((now) => [...now, rule('b')], 'U0ALICE', { approvedBy: ['U0CAROL'], ask: 'ask-2' });
    assert.deepEqual(await history.rules(0), []);
    assert.deepEqual(
      (await history.rules(1))?.map(({ id }) => id),
      ['a'],
    );
    const second = await history.read(2);
    assert.deepEqual(
      [second?.rules.map(({ id }) => id), second?.by, second?.approvedBy, second?.ask],
      [['a', 'b'], 'U0ALICE', ['U0CAROL'], 'ask-2'],
    );
    assert.equal(await history.read(3), undefined);
  });

  it('takes nothing for a version that was not written for it', async () => {
    const [first, other] = await commands.hmget(HISTORY_KEY, '1', '2');
    await commands.hset(HISTORY_KEY, '1', String(other));
    await assert.rejects(history.read(1), /was not written by a trusted gateway/);
    assert.deepEqual(
      (await history.recent(5)).map(({ version }) => version),
      [2],
    );
    await commands.hset(HISTORY_KEY, '1', String(first));
  });

  it(`keeps ${KEPT} and lets go of older ones; what is put back in place is no version of its own`, async () => {
    for (let n = 0; n < KEPT; n++) await rules.write(() => [rule(`r${n}`)], 'U0ALICE');
    assert.equal(await commands.hlen(HISTORY_KEY), KEPT);
    assert.equal(await history.rules(2), undefined);
    assert.deepEqual(
      (await history.recent(2)).map(({ version }) => version),
      [52, 51],
    );
    await commands.del('countersign:rules');
    await rules.look();
    assert.equal(rules.trouble(), undefined);
    assert.equal(await commands.hlen(HISTORY_KEY), KEPT);
  });
});
