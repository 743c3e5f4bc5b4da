/** The index of open holds on a real Redis: writes of a connection that broke come too late to change it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { it } from 'node:test';
import { openHolds } from '../../queue/leases.ts';
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
