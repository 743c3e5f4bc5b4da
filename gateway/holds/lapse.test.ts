/** A gateway that slept while its release was being written: by the time it wakes, others may have called the hold lost. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openHolds } from '../../queue/leases.ts';
import { KEYS } from '../../test/support/hold-model-gateway.ts';
import { scriptedHold } from '../../test/support/hold-model-script.ts';

/** Approved, the disk slow, and everything asleep until others have called it lost. */
async function lostWhileAsleep() {
  const { world, run, card } = await scriptedHold();
  world.click('U0ALICE', card, {});
  await run((label) => label === 'fsync');
  world.gateway.process.state = 'stopped';
  for (const ms of [45_000, 11_000]) {
    await world.time.advance(ms);
    world.heir.look();
    void world.bot.look();
    await run();
  }
  assert.equal(world.bot.shown(card.hold)?.state, 'lost');
  return { world, run, hold: card.hold };
}

describe('what was approved before the lease lapsed', () => {
  it('is not sent although the lease is back', async () => {
    const { world, run } = await lostWhileAsleep();
    await world.gateway.process.wake(true); // what is overdue fails before the lease can be back
    await run((label) => label === 'fsync');
    assert.equal(world.gateway.lease.valid(), true);
    await run();
    assert.equal(world.clients[0]?.permit, undefined);
    world.check();
  });

  it('is not sent although the lease is back and the disk was given all the time it took', async () => {
    const { world, run, hold } = await lostWhileAsleep();
    world.gateway.trail.patient = true;
    await world.gateway.process.wake(true);
    await run((label) => label === 'fsync');
    assert.equal(world.gateway.lease.valid(), true);
    await run();
    assert.ok(world.gateway.trail.disk.some((entry) => entry.kind === 'hold.released' && entry.hold === hold));
    assert.equal(world.clients[0]?.permit, undefined);
    assert.equal(world.reference.holds.get(hold)?.end, 'unknown');
  });
});

describe('what a broken connection still had under way', () => {
  /** Sent, while an older note of it, from a connection that broke, has not reached Redis yet. */
  async function sentWithNoteUnderWay() {
    const { world, run, card } = await scriptedHold();
    const [client] = world.clients;
    assert.ok(client);
    const { gateway } = world;
    const late = (label: string) => label === 'note: late';
    const failed = assert.rejects(gateway.lease.note(card));
    world.faults.push('stuck');
    await run();
    gateway.connection.reconnected();
    await run(late);
    world.click('U0ALICE', card, {});
    await run(late);
    assert.ok(client.permit);
    const arrives = async () => {
      await run();
      await failed;
    };
    const states = async () => {
      const cards = openHolds(gateway.connection.redis, gateway.id, KEYS.trusted);
      await run(late);
      return (await cards).map(({ state }) => state);
    };
    return { world, client, arrives, states, run: () => run(late) };
  }

  it('does not put an older card back over one that is released', async () => {
    const { arrives, states } = await sentWithNoteUnderWay();
    assert.deepEqual(await states(), ['released']);
    await arrives();
    assert.deepEqual(await states(), ['released']);
  });

  it('does not bring back a hold that has ended', async () => {
    const { world, client, arrives, states, run } = await sentWithNoteUnderWay();
    world.settle(client, { kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 1 });
    await run();
    assert.deepEqual(await states(), []);
    await arrives();
    assert.deepEqual(await states(), []);
  });
});
