/** The index of open holds on a real Redis: writes of a connection that broke come too late to change it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { it } from 'node:test';
import { leaseKey, openHolds } from '../../queue/leases.ts';
import { until } from '../../test/support/bot-stage.ts';
import { startHoldStage } from '../../test/support/hold-stage.ts';
import { systemClock } from '../holds/clock.ts';
import { createLease } from './lease.ts';
import { SignedStore } from './signed.ts';

it('an older connection neither puts a card back nor takes one away once a newer one has written', async () => {
  const stage = await startHoldStage();
  const { card, waiting, answer } = await stage.hold();
  const [older, newer] = [stage.commands.duplicate(), stage.commands.duplicate()];
  const on = (redis: typeof older) => {
    const store = new SignedStore(redis, { own: stage.keys.gateway, trusted: () => [stage.keys.gateway] });
    const nothing = () => {};
    return createLease({ store, gateway: 'gw-index', clock: systemClock, onLost: nothing, onTrouble: nothing });
  };
  const [stale, lease] = [on(older), on(newer)];
  try {
    await Promise.all([older, newer].map((redis) => redis.status === 'ready' || once(redis, 'ready')));
    await Promise.all([stale.start(), lease.start()]);
    newer.disconnect(true);
    await once(newer, 'ready');
    const index = async () =>
      (await openHolds(newer, 'gw-index', [stage.keys.gateway])).map(({ state, sequence }) => [state, sequence]);
    const own = { ...card, gateway: 'gw-index' };
    await stale.note(own);
    assert.deepEqual(await index(), [['open', card.sequence]]);
    const released = { ...own, state: 'released' as const, sequence: card.sequence + 1 };
    assert.equal(await lease.release(released, lease.term())(), true);
    await stale.note(own);
    await stale.close(card.hold);
    assert.equal(await stale.release({ ...own, sequence: card.sequence + 2 }, stale.term())(), false);
    assert.deepEqual(await index(), [['released', card.sequence + 1]]);
    await lease.close(card.hold);
    await stale.note(own);
    assert.deepEqual(await index(), []);
  } finally {
    await Promise.all([stale.stop(), lease.stop()]);
    for (const redis of [older, newer]) redis.disconnect();
    waiting.controller.abort();
    await assert.rejects(answer);
    await stage.stop();
  }
});

it('a lease that vanishes twice could have been seen missing all the time: nothing asked before is released after', async () => {
  const stage = await startHoldStage();
  const { card, waiting, answer } = await stage.hold();
  const redis = stage.commands.duplicate();
  const store = new SignedStore(redis, { own: stage.keys.gateway, trusted: () => [stage.keys.gateway] });
  let lost = 0;
  const lease = createLease({
    store,
    gateway: 'gw-vanishes',
    clock: systemClock,
    onLost: () => lost++,
    onTrouble: () => {},
    times: { leaseMs: 40_000, selfMs: 20_000, renewMs: 5 },
  });
  const own = { ...card, gateway: 'gw-vanishes' };
  const vanish = async () => {
    await redis.del(leaseKey('gw-vanishes'));
    await until('it is taken again', async () => (await redis.exists(leaseKey('gw-vanishes'))) === 1);
  };
  try {
    if (redis.status !== 'ready') await once(redis, 'ready');
    await lease.start();
    await lease.note(own);
    const term = lease.term();
    await vanish();
    assert.equal(lease.unbrokenSince(term), true, 'a Redis that came back without its data');
    assert.equal(lost, 0);
    await vanish();
    await until('it is noticed', () => lost === 1);
    assert.equal(lease.unbrokenSince(term), false);
    assert.equal(await lease.release({ ...own, state: 'released', sequence: 2 }, term)(), false);
    assert.equal(lease.valid(), true, 'what is asked from now on counts');
  } finally {
    await lease.stop();
    redis.disconnect();
    waiting.controller.abort();
    await assert.rejects(answer);
    await stage.stop();
  }
});
