/** Rules in Redis: newer is taken within seconds, older, empty and forged never. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectBlocking, connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { GatewayError } from '../errors.ts';
import { systemClock } from '../holds/clock.ts';
import type { Rule } from '../policy/policy.ts';
import { ruleSchema } from '../policy/schema.ts';
import { RULES_KEY, type RuleSet, RuleStore } from './rules.ts';
import { SignedStore } from './signed.ts';

const rule = (id: string): Rule => ({
  id,
  source: 'slack',
  match: { connection: ['orders'], action: ['ddl'] },
  verdict: 'hold',
  why: 'because',
  approvers: ['@dba-oncall'],
  quorum: 1,
  requireReason: false,
  expiresMs: undefined,
  channel: undefined,
});
const ids = (set: RuleSet) => set.rules.map(({ id }) => id);

describe('the rule set', () => {
  let redis: TestRedis;
  let commands: Redis;
  let dir: string;
  const key = signingKey(newKeyPair().secret);
  const open: { stop(): void }[] = [];
  let files = 0;
  before(async () => {
    redis = await startRedis();
    commands = connectCommands(redis.url, () => {});
    await connected(commands, 5_000);
    dir = await mkdtemp(join(tmpdir(), 'countersign-rules-'));
  });
  after(async () => {
    for (const it of open) it.stop();
    commands.disconnect();
    await redis.stop();
    await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    for (const it of open.splice(0)) it.stop();
    await commands.flushall();
  });

  const start = async (
    options: { file?: string; own?: typeof key; subscriber?: Redis; onChange?: (set: RuleSet) => void } = {},
  ) => {
    const file = options.file ?? join(dir, `rules-${++files}.json`);
    const trusted = () => [verifyingKey(key.public)];
    const store = new SignedStore(commands, { own: options.own ?? key, trusted });
    const troubles: (string | undefined)[] = [];
    const rules = new RuleStore({
      store,
      rule: ruleSchema,
      file,
      clock: systemClock,
      onChange: options.onChange ?? (() => {}),
      onTrouble: (trouble) => troubles.push(trouble),
      ...(options.subscriber ? { subscriber: options.subscriber } : {}),
    });
    open.push(rules);
    await rules.start();
    return { rules, file, troubles };
  };
  const add = (id: string) => (rules: readonly Rule[]) => [...rules, rule(id)];

  it('reaches every other gateway at once, signed and one version higher', async () => {
    const subscriber = connectBlocking(redis.url, () => {});
    const heard = new Promise<RuleSet>((resolve) => {
      start({ subscriber, onChange: resolve }).then(async () => {
        const { rules } = await start();
        await rules.write(add('one'), 'U0CAROL');
      });
    });
    const set = await heard;
    assert.deepEqual([set.version, ids(set), set.by], [1, ['one'], 'U0CAROL']);
    subscriber.disconnect();
  });

  it('keeps both when two gateways write at once', async () => {
    const [a, b] = [await start(), await start()];
    await Promise.all([a.rules.write(add('a'), 'U0ALICE'), b.rules.write(add('b'), 'U0CAROL')]);
    await Promise.all([a.rules.look(), b.rules.look()]);
    assert.deepEqual(ids(a.rules.current()).sort(), ['a', 'b']);
    assert.deepEqual(a.rules.current(), b.rules.current());
    assert.equal(a.rules.current().version, 2);
  });

  it('set back to an older version is refused, and put right', async () => {
    const { rules, troubles } = await start();
    await rules.write(add('one'), 'U0ALICE');
    const old = (await commands.get(RULES_KEY)) ?? '';
    await rules.write(add('two'), 'U0ALICE');
    await commands.set(RULES_KEY, old);
    await rules.look();
    assert.deepEqual(ids(rules.current()), ['one', 'two']);
    assert.notEqual(await commands.get(RULES_KEY), old);
    assert.deepEqual(troubles, []);
  });

  it('set back while the gateway was down is refused after the restart as well', async () => {
    const { rules, file } = await start();
    await rules.write(add('one'), 'U0ALICE');
    const old = (await commands.get(RULES_KEY)) ?? '';
    await rules.write(add('two'), 'U0ALICE');
    rules.stop();
    await commands.set(RULES_KEY, old);
    const again = await start({ file });
    assert.deepEqual(ids(again.rules.current()), ['one', 'two']);
    await commands.del(RULES_KEY);
    again.rules.stop();
    const third = await start({ file });
    assert.deepEqual(ids(third.rules.current()), ['one', 'two']);
    assert.equal(third.rules.ready(), true);
  });

  it('deleted is not taken for empty', async () => {
    const { rules } = await start();
    await rules.write(add('one'), 'U0ALICE');
    await commands.del(RULES_KEY);
    await rules.look();
    assert.deepEqual(ids(rules.current()), ['one']);
    assert.ok(await commands.get(RULES_KEY), 'and written again');
  });

  it('forged, damaged or meant for another key is refused and said, and the last verified one stays', async () => {
    const { rules, troubles } = await start();
    await rules.write(add('one'), 'U0ALICE');
    const good = (await commands.get(RULES_KEY)) ?? '';
    const stranger = new SignedStore(commands, { own: signingKey(newKeyPair().secret), trusted: () => [] });
    const own = new SignedStore(commands, { own: key, trusted: () => [] });
    const set = { v: 1, version: 9, rules: [], by: 'U0EVIL', at: 1 };
    for (const raw of [
      stranger.sealed(set, RULES_KEY),
      own.sealed(set, 'countersign:other'),
      own.sealed({ ...set, v: 2 }, RULES_KEY),
      '{',
      '',
      good.slice(0, -4),
    ]) {
      await commands.set(RULES_KEY, raw);
      await rules.look();
      assert.match(rules.trouble() ?? '', /not written by a trusted gateway/);
      assert.deepEqual(ids(rules.current()), ['one']);
      await assert.rejects(rules.write(add('x'), 'U0ALICE'), GatewayError);
    }
    await commands.set(RULES_KEY, good);
    await rules.look();
    assert.equal(troubles.at(-1), undefined);
  });

  it('of the same version but other content is refused', async () => {
    const { rules } = await start();
    await rules.write(add('one'), 'U0ALICE');
    const own = new SignedStore(commands, { own: key, trusted: () => [] });
    await commands.set(RULES_KEY, own.sealed({ v: 1, version: 1, rules: [], by: 'U0EVIL', at: 1 }, RULES_KEY));
    await rules.look();
    assert.match(rules.trouble() ?? '', /another version 1/);
    assert.deepEqual(ids(rules.current()), ['one']);
  });

  it('is not ready while Redis cannot be asked, and never from a damaged memory', async () => {
    const { rules, file } = await start();
    await rules.write(add('one'), 'U0ALICE');
    rules.stop();
    await redis.kill();
    const without = await start({ file });
    assert.equal(without.rules.ready(), false);
    without.rules.stop();
    await redis.start();
    await writeFile(file, '{');
    await assert.rejects(start({ file }), (error) => error instanceof GatewayError && error.code === 'CONFIG');
    await connected(commands, 5_000);
  });

  it('takes no rule that does not fit, and no more than can be reviewed', async () => {
    const { rules } = await start();
    await assert.rejects(
      rules.write(() => [{ ...rule('x'), quorum: 0 }], 'U0ALICE'),
      (error) => error instanceof GatewayError && error.code === 'CONFIG',
    );
    const many = Array.from({ length: 1_001 }, (_, i) => rule(`r${i}`));
    await assert.rejects(
      rules.write(() => many, 'U0ALICE'),
      (error) => error instanceof GatewayError && error.code === 'LIMIT',
    );
    assert.equal(await commands.get(RULES_KEY), null);
  });

  it('keeps all when several write at once through one gateway, and remembers the newest', async () => {
    const { rules, file, troubles } = await start();
    const long = (id: string) => (now: readonly Rule[]) => [...now, { ...rule(id), why: 'x'.repeat(400) }];
    for (let round = 0; round < 5; round++) {
      await Promise.all(['a', 'b', 'c'].map((id) => rules.write(long(`${id}${round}`), 'U0ALICE')));
      // Shorter ones behind longer ones.
      await rules.write(() => [], 'U0ALICE');
    }
    assert.deepEqual(troubles, []);
    rules.stop();
    const memory = JSON.parse(await readFile(file, 'utf8'));
    assert.equal(memory.version, rules.current().version);
  });

  it('is never written larger than what gateways read back', async () => {
    const [a, b] = [await start(), await start()];
    const wide = (id: string) => ({
      ...rule(id),
      match: { by: Array.from({ length: 9 }, (_, i) => `${i}`.repeat(400)) },
    });
    const many = Array.from({ length: 300 }, (_, i) => wide(`r${i}`));
    await assert.rejects(
      a.rules.write(() => many, 'U0ALICE'),
      (error) => {
        assert.ok(error instanceof GatewayError && error.code === 'LIMIT', String(error));
        return true;
      },
    );
    await b.rules.look();
    assert.equal(b.rules.trouble(), undefined);
    assert.equal((await a.rules.write(add('one'), 'U0ALICE')).version, 1);
  });
});
