/** Redis goes, comes back, or comes back empty: what waits, what is refused, what is given up. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { CardJob } from '../../queue/cards.ts';
import { holdsKey, openHolds } from '../../queue/leases.ts';
import { verifyingKey } from '../../queue/sign.ts';
import { demand, type HoldStage, holding, operation, policyOf, startHoldStage } from '../../test/support/hold-stage.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { GatewayError } from '../errors.ts';
import { systemClock } from './clock.ts';
import { keepingNotices } from './notices.ts';

const refusedWith = (code: string) => (error: unknown) => {
  assert.ok(error instanceof GatewayError, String(error));
  assert.equal(error.code, code);
  return true;
};

describe('without Redis', () => {
  let redis: TestRedis;
  let stage: HoldStage;
  before(async () => {
    redis = await startRedis();
    stage = await startHoldStage({ redis });
  });
  after(async () => {
    await stage.stop();
    await redis.stop();
  });

  it('refuses at once what needs a hold, lets allowed operations pass, keeps what waits, and counts the click after', async () => {
    const { answer, card } = await stage.hold();
    const indexed = await openHolds(stage.commands, stage.gateway, [verifyingKey(stage.keys.gateway.public)]);
    assert.deepEqual(
      indexed.map(({ hold }) => hold),
      [card.hold],
    );
    await redis.kill();
    const asked = performance.now();
    await assert.rejects(
      Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)),
      refusedWith('UNAVAILABLE'),
    );
    assert.ok(performance.now() - asked < 3_000, 'nobody is left waiting for Redis');
    stage.settings.policy = policyOf({ kind: 'allow', rules: ['default:read'] });
    const read = operation({ effects: [{ action: 'read', object: 'public.orders' }] });
    assert.ok(!(stage.gate.admit(read, stage.waiting().context) instanceof Promise));
    stage.settings.policy = holding(demand());
    await redis.start();
    const receipt = await eventually(() => stage.vote(card, 'U0ALICE'));
    assert.equal(receipt.counted, true);
    (await answer).settle({ kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 1 });
    await stage.card(({ hold, state }) => hold === card.hold && state === 'done');
  });

  it('still ends a hold at its deadline, and puts the end onto the card when Redis is back', async () => {
    stage.settings.policy = holding(demand({ expiresMs: 600 }));
    const { answer, card } = await stage.hold();
    await redis.kill();
    await assert.rejects(answer, refusedWith('EXPIRED'));
    await redis.start();
    await stage.card(({ hold, state }) => hold === card.hold && state === 'expired');
    stage.settings.policy = holding(demand());
  });

  it('writes its open cards again when Redis comes back with nothing', async () => {
    const { answer, card, waiting } = await stage.hold();
    await redis.restart({ loseData: true });
    await eventually(() => stage.commands.ping());
    assert.equal(await stage.commands.hlen(holdsKey(stage.gateway)), 0);
    stage.holds.republish();
    await stage.card(({ hold, sequence }) => hold === card.hold && sequence > card.sequence);
    const again = await openHolds(stage.commands, stage.gateway, [verifyingKey(stage.keys.gateway.public)]);
    assert.deepEqual(
      again.map(({ hold }) => hold),
      [card.hold],
    );
    waiting.controller.abort();
    await assert.rejects(answer, refusedWith('WITHDRAWN'));
  });
});

describe('what follows a card while Redis is away', () => {
  let redis: TestRedis;
  let stage: HoldStage;
  before(async () => {
    redis = await startRedis();
    stage = await startHoldStage({ redis });
  });
  after(async () => {
    await stage.stop();
    await redis.stop();
  });
  /** A gateway's publisher, on a clock that runs ahead by `later`. */
  const keeping = (later: () => number, mostKept?: number) => {
    const logs: Record<string, unknown>[] = [];
    const clock = { ...systemClock, monotonic: () => performance.now() + later() };
    const log = (_: string, details: Record<string, unknown> = {}) => void logs.push(details);
    // Closed with the stage: it is the stage's own underneath.
    return { logs, publish: keepingNotices(stage.publish, { clock, log, ...(mostKept ? { mostKept } : {}) }) };
  };
  const notice = (id: string): CardJob => ({
    kind: 'notice',
    v: 2,
    id,
    channel: 'C0APPROVALS',
    text: id,
    at: 1,
    ring: ['@dba-oncall'],
  });
  const reply = (id: string) => ({ kind: 'reply', v: 2, id, user: 'U0BOB', text: id, hold: randomUUID() }) as const;
  const said = (prefix: string) =>
    stage.jobs.filter((job) => (job.kind === 'notice' || job.kind === 'reply') && job.id.startsWith(prefix));

  it('is said when it is back, and nobody is rung that late', async () => {
    let later = 0;
    const { publish, logs } = keeping(() => later);
    await redis.kill();
    for (const id of ['kept-1', 'kept-2']) await publish.send(notice(id), id);
    await publish.send(reply('kept-3'), 'kept-3');
    later = 60_000;
    await publish.send(notice('kept-4'), 'kept-4');
    await assert.rejects(publish.send({ kind: 'forget', v: 1, gateway: 'gone', holds: [] }, 'kept-no'));
    await redis.start();
    await stage.until('what was kept', () => said('kept').length === 4);
    const sent = said('kept').sort((a, b) => ('id' in a && 'id' in b ? a.id.localeCompare(b.id) : 0));
    assert.deepEqual(
      sent.map((job) => job.kind === 'notice' && job.ring !== undefined),
      [false, false, false, true],
    );
    assert.deepEqual(logs, []);
  });

  it('is bounded: the oldest is given up, and how many is logged', async () => {
    const { publish, logs } = keeping(() => 0, 2);
    await redis.kill();
    for (const id of ['full-1', 'full-2', 'full-3', 'full-4']) await publish.send(notice(id), id);
    await redis.start();
    await stage.until('what was kept', () => said('full').length === 2);
    assert.deepEqual(
      said('full')
        .map((job) => 'id' in job && job.id)
        .sort(),
      ['full-3', 'full-4'],
    );
    await eventually(async () => assert.deepEqual(logs, [{ notices: 2 }]));
  });
});

describe('a lease that cannot be renewed', () => {
  it('ends the open holds before anybody may call them lost, and nothing is released without it', async () => {
    const redis = await startRedis();
    const stage = await startHoldStage({ redis, leaseTimes: { leaseMs: 2_000, selfMs: 800, renewMs: 100 } });
    const { answer } = await stage.hold();
    assert.equal(stage.lease.valid(), true);
    await redis.kill();
    await assert.rejects(answer, (error) => refusedWith('UNAVAILABLE')(error) && /lost its lease/.test(String(error)));
    assert.equal(stage.lease.valid(), false);
    await assert.rejects(
      Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)),
      refusedWith('UNAVAILABLE'),
    );
    await stage.stop();
    await redis.stop();
  });
});

describe('while it waits', () => {
  it('tells the client once when nobody can see the card, repeats why, and says when they can', async () => {
    const stage = await startHoldStage();
    const { answer, waiting, card } = await stage.hold();
    const report = { kind: 'posted', v: 1, hold: card.hold, sequence: 1, channel: card.channel } as const;
    const error = 'the card could not be posted: the channel is archived\u001b[2K';
    await stage.holds.receive({ ...report, error });
    await stage.holds.receive({ ...report, error });
    await stage.holds.receive({ ...report, ts: '1.000001' });
    const changed = waiting.told.filter(({ kind }) => kind === 'changed').map(({ text }) => text);
    assert.equal(changed.length, 2);
    assert.match(
      String(changed[0]),
      /^held for approval · \w+ · nobody sees it yet, the card could not be posted: the channel is archived \[2K · until/,
    );
    assert.match(String(changed[1]), /^the approvers see it now · \w+ · asking @dba-oncall \(0 of 1\)/);
    await stage.holds.stop(1_000);
    await assert.rejects(answer, refusedWith('SHUTDOWN'));
    await stage.stop();
  });

  it('tells the client again and again who is asked and until when', async () => {
    // Only the reminder's quarter of a minute is shortened.
    const clock = {
      ...systemClock,
      after: (ms: number, run: () => void) => systemClock.after(ms === 15_000 ? 20 : ms, run),
    };
    const stage = await startHoldStage({ clock });
    const { answer, waiting } = await stage.hold();
    await stage.commands.ping();
    const reminded = () => waiting.told.filter(({ kind }) => kind === 'waiting').length;
    for (const end = performance.now() + 5_000; reminded() < 2 && performance.now() < end; )
      await stage.commands.ping();
    assert.match(
      waiting.told.at(-1)?.text ?? '',
      /^still waiting for approval · .* asking @dba-oncall \(0 of 1\) · until/,
    );
    await stage.holds.stop(1_000);
    await assert.rejects(answer, refusedWith('SHUTDOWN'));
    const silent = reminded();
    await assert.rejects(
      Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)),
      refusedWith('SHUTDOWN'),
    );
    assert.equal(reminded(), silent);
    await stage.card(({ state }) => state === 'withdrawn', 'the card that says so');
    await stage.stop();
  });
});

async function eventually<T>(attempt: () => Promise<T>, ms = 8_000): Promise<T> {
  for (const end = performance.now() + ms; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
