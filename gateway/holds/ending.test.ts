/** The end of a hold, on its way to the disk: what is not there yet can still be found by an heir. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { holdsKey } from '../../queue/leases.ts';
import { scriptedHold } from '../../test/support/hold-model-script.ts';

/** Denied, with everything done but what is `kept`. */
async function denied(kept: (label: string) => boolean) {
  const { world, run, card } = await scriptedHold();
  world.click('U0CAROL', card, { decision: 'deny' });
  await run(kept);
  assert.equal(world.bot.shown(card.hold)?.state, 'denied');
  return { world, run, inIndex: () => world.redis.hash(holdsKey(world.gateway.id)).size };
}

describe('a hold that ended', () => {
  it('leaves the index only once its end is on disk', async () => {
    const { world, run, inIndex } = await denied((label) => label === 'fsync');
    assert.equal(inIndex(), 1);
    await run();
    assert.equal(inIndex(), 0);
    world.check();
  });

  it('is put on record by an heir when its gateway died before the disk had it', async () => {
    const { world, run } = await denied((label) => label === 'fsync');
    world.gateway.kill(false);
    for (const ms of [45_000, 11_000]) {
      await world.time.advance(ms);
      world.heir.look();
      await run();
    }
    assert.deepEqual(
      world.heir.trail.disk.map(({ kind, state }) => [kind, state]),
      [['hold.settled', 'lost']],
    );
    world.check();
  });

  it('stays in the index when the disk is gone, and its gateway goes on', async () => {
    const { world, run, inIndex } = await denied((label) => label === 'fsync');
    world.gateway.trail.fails = true;
    await run();
    assert.equal(inIndex(), 1);
    assert.equal(world.gateway.holds.stats().open, 0);
  });
});
