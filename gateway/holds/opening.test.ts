/** Between the question and the first card: whatever happens there, what is on record began, and what began is ended. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { holdsKey } from '../../queue/leases.ts';
import { scripted } from '../../test/support/hold-model-script.ts';
import type { World } from '../../test/support/hold-model-world.ts';

const kinds = (world: World): string[] =>
  world.gateway.trail.disk
    .filter(({ hold }) => hold !== undefined)
    .map(({ kind, state }) => `${kind} ${state ?? ''}`.trim());
const index = (world: World) => world.redis.hash(holdsKey(world.gateway.id)).size;

describe('a hold that is being opened', () => {
  it('is on record only once an heir could find it', async () => {
    const { world, run } = scripted();
    await world.startGateway();
    await run();
    world.open(0, false, 3_600_000);
    await run((label) => label === 'note');
    assert.deepEqual(kinds(world), []);
    world.gateway.kill(true);
    await run();
    assert.deepEqual(kinds(world), []);
  });

  it('opens on record before it ends there, and nobody sees a card, when the client cancels meanwhile', async () => {
    const { world, run } = scripted();
    await world.startGateway();
    await run();
    world.open(0, false, 3_600_000);
    await run((label) => label === 'note');
    const [client] = world.clients;
    assert.ok(client);
    world.abort(client, 'the client cancelled');
    await run();
    assert.deepEqual(kinds(world), ['hold.open', 'hold.settled withdrawn']);
    assert.equal(world.bot.entries.size, 0);
    assert.equal(index(world), 0);
    world.check();
  });

  it('leaves the index in the end, however often Redis refuses that at first', async () => {
    const { world, run } = scripted();
    await world.startGateway();
    await run();
    world.faults.push('unanswered', 'refused', 'refused'); // noted, and nobody knows; then two vain attempts to take it out
    world.open(0, false, 3_600_000);
    await run();
    assert.equal(world.clients[0]?.ended, true);
    for (let i = 0; i < 3; i++) {
      await world.time.advance(1_000);
      await run();
    }
    assert.equal(index(world), 0);
    assert.equal(world.bot.entries.size, 0);
    world.check();
  });

  it('asks by the rules of then, once, when they change meanwhile', async () => {
    const { world, run } = scripted();
    await world.startGateway();
    await run();
    world.open(0, false, 3_600_000);
    await run((label) => label === 'note');
    world.rules('two');
    await run();
    const [entry] = world.bot.entries.values();
    assert.deepEqual([entry?.card?.revision, entry?.card?.demands[0]?.quorum, entry?.past.length], [2, 2, 0]);
    assert.deepEqual(kinds(world), ['hold.open', 'hold.vote']);
    world.check();
  });
});
