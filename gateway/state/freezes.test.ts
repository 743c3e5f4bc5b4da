/** What is frozen, on a real Redis: what it covers, and that nobody can set it back behind the gateways. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { operation } from '../../test/support/hold-stage.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { freezeAnswers } from '../asks/freeze.ts';
import { redact } from '../compose/log.ts';
import { systemClock } from '../holds/clock.ts';
import type { Operation } from '../operation.ts';
import { type Freeze, Freezes } from './freezes.ts';
import { SignedStore } from './signed.ts';

const KEY = 'countersign:freezes';
const freeze = (of: Freeze['of'], name: string, more: Partial<Freeze> = {}): Freeze => ({
  of,
  name,
  by: 'U0CAROL',
  byName: 'Carol',
  at: 1_700_000_000_000,
  ...more,
});

describe('freezes', { timeout: 60_000 }, () => {
  let redis: TestRedis;
  let commands: Redis;
  let store: SignedStore;
  let dir: string;
  let troubles: (string | undefined)[];
  const open = async (name: string): Promise<Freezes> => {
    const freezes = new Freezes({
      store,
      file: join(dir, name),
      clock: systemClock,
      onChange: () => {},
      onTrouble: (trouble) => troubles.push(trouble),
    });
    await freezes.start();
    return freezes;
  };

  before(async () => {
    redis = await startRedis();
    commands = connectCommands(redis.url, () => {});
    await connected(commands, 5_000);
    const pair = newKeyPair();
    store = new SignedStore(commands, { own: signingKey(pair.secret), trusted: () => [verifyingKey(pair.public)] });
  });
  after(async () => {
    commands.disconnect();
    await redis.stop();
    await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-freezes-'));
    troubles = [];
    await commands.flushall();
  });

  it('cover a connection, a principal by name, subject or both parts of it, or everything; never the gateway itself', async () => {
    const freezes = await open('a.json');
    const refused = (change = {}) => freezes.refusal(operation(change)) !== undefined;
    const cases: [Freeze['of'], string, boolean][] = [
      ['connection', 'orders', true],
      ['connection', 'report-bot', false],
      ['agent', 'report-bot', true],
      ['agent', 'https://login.example.com#report-bot', true],
      ['agent', 'https://evil.example.com#report-bot', false],
      ['agent', 'orders', false],
      ['all', '', true],
    ];
    for (const [of, name, covers] of cases) {
      const it = freeze(of, name);
      await freezes.add(it);
      assert.equal(refused(), covers, `${of} ${name}`);
      assert.equal(refused({ protocol: 'gate' }), false);
      await freezes.lift(it, 'U0ALICE');
      assert.equal(refused(), false);
    }
    await freezes.add(freeze('connection', 'orders', { why: 'looks stolen' }));
    assert.equal(
      freezes.refusal(operation()),
      'the connection orders is frozen, by Carol at 2023-11-14 22:13:20 UTC: looks stolen',
    );
    freezes.stop();
  });

  it('let ROLLBACK pass, and no more than that', async () => {
    const freezes = await open('a.json');
    await freezes.add(freeze('all', ''));
    const transaction = [{ action: 'transaction', object: '' } as const];
    const passes = (headline: string, effects: Operation['effects']) =>
      freezes.refusal(operation({ headline, effects })) === undefined;
    assert.equal(passes('ROLLBACK', transaction), true);
    assert.equal(passes('COMMIT', transaction), false);
    assert.equal(passes('ROLLBACK', [...transaction, { action: 'delete', object: 'public.orders' }]), false);
    assert.equal(passes('ROLLBACK', []), false);
    freezes.stop();
  });

  it('are refused where they are older than those once verified, missing or not sealed by a gateway, also after a restart', async () => {
    const first = await open('a.json');
    const older = await commands.get(KEY);
    assert.equal(older, null);
    await first.add(freeze('connection', 'crm'));
    const before = (await commands.get(KEY)) ?? '';
    await first.add(freeze('connection', 'orders'));
    first.stop();
    for (const planted of [before, undefined, '{"v":1,"version":9,"frozen":[]}']) {
      if (planted === undefined) await commands.del(KEY);
      else await commands.set(KEY, planted);
      const again = await open('a.json');
      assert.ok(again.refusal(operation()), `still frozen over ${planted?.slice(0, 30)}`);
      again.stop();
    }
  });

  it('lifts what was frozen then, not what was frozen since', async () => {
    const freezes = await open('a.json');
    const first = freeze('connection', 'orders');
    await freezes.add(first);
    await freezes.add(freeze('connection', 'orders', { at: first.at + 1 }));
    await assert.rejects(freezes.lift(first, 'U0ALICE'), { code: 'WITHDRAWN' });
    assert.ok(freezes.refusal(operation()));
    freezes.stop();
  });

  it('are all made when many gateways freeze at once', async () => {
    const many = await Promise.all(Array.from({ length: 24 }, (_, at) => open(`gateway-${at}.json`)));
    await Promise.all(many.map((freezes, at) => freezes.add(freeze('agent', `bot-${at}`))));
    const [one] = many;
    await one?.look();
    assert.equal(one?.list().length, 24);
    for (const freezes of many) freezes.stop();
  });

  it('are made although they cannot be remembered, and that is said until they are', async () => {
    const freezes = await open('gone/a.json');
    await freezes.add(freeze('connection', 'orders'));
    assert.ok(freezes.refusal(operation()));
    for (let look = 0; look < 3; look++) {
      await freezes.look();
      assert.match(freezes.trouble() ?? 'nothing', /cannot be remembered in .*a\.json/);
    }
    await freezes.add(freeze('connection', 'crm'));
    await freezes.look();
    assert.match(troubles.at(-1) ?? 'nothing', /cannot be remembered/);
    await mkdir(join(dir, 'gone'));
    await freezes.look();
    assert.equal(freezes.trouble(), undefined);
    assert.equal(troubles.at(-1), undefined);
    freezes.stop();
    await commands.flushall();
    const again = await open('gone/a.json');
    assert.equal(again.list().length, 2, 'as it was remembered at last');
    again.stop();
  });

  it('are not refused for a reason that is longer without what is sensitive in it', async () => {
    const freezes = await open('a.json');
    const { freeze: ask } = freezeAnswers({
      freezes,
      propose: () => Promise.reject(new Error('nobody is asked')),
      connections: () => ['orders'],
      isKnown: async () => false,
      announce: () => {},
      redact,
      now: () => 1_700_000_000_000,
    });
    const asker = { user: 'U0CAROL', team: 'T0ACME', name: 'Carol', admin: true, approver: false, own: () => false };
    const why = 'a@b.co '.repeat(42);
    const said = await ask({ do: 'freeze', what: 'orders', why }, { ...asker, channel: 'C0APPROVALS', ask: 'ask-1' });
    assert.equal(said.ok, true);
    assert.match(freezes.refusal(operation()) ?? '', /the connection orders is frozen, by Carol/);
    assert.doesNotMatch(freezes.refusal(operation()) ?? '', /a@b\.co/);
    freezes.stop();
  });
});
