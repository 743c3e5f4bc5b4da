/** A gateway that slept while its release was being written: by the time it wakes, others may have called the hold lost. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { scripted } from '../../test/support/hold-model-script.ts';

it('does not send what was approved before the lease lapsed, although the lease is back', async () => {
  const { world, run } = scripted();
  await world.startGateway();
  await run();
  world.open(0, false, 3_600_000);
  await run();
  const [entry] = world.bot.entries.values();
  assert.ok(entry?.card);
  world.click('U0ALICE', entry.card, {});
  await run((label) => label === 'fsync'); // approved, and the disk is slow
  world.gateway.process.state = 'stopped';
  for (const ms of [45_000, 11_000]) {
    await world.time.advance(ms);
    world.heir.look();
    void world.bot.look();
    await run();
  }
  assert.equal(world.bot.shown(entry.card.hold)?.state, 'lost');
  await world.gateway.process.wake(true); // what is overdue fails before the lease can be back
  await run((label) => label === 'fsync');
  assert.equal(world.gateway.lease.valid(), true);
  await run();
  assert.equal(world.clients[0]?.permit, undefined);
  world.check();
});
