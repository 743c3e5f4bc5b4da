/** How a run of the hold model ends: everything comes back, time passes, and what is left is looked at. */
import { getEventListeners } from 'node:events';
import { isOver } from '../../bot/words.ts';
import { holdsKey } from '../../queue/leases.ts';
import { isEnd, type World } from './hold-model-world.ts';

const STEP_MS = 5_000;
const ENOUGH_MS = 180_000; // past every deadline of the model, and the time in which the dead are looked after
const OWN_TIMERS = 3; // the lease's renewal and watch, the next question about groups

/** Let everything end. @throws Error with the first promise that was broken. */
export async function comeToRest(world: World, settle: () => Promise<void>): Promise<void> {
  world.redis.down = false;
  world.faults.length = 0;
  world.bot.answers = true;
  for (const gateway of world.gateways) {
    await gateway.process.wake(true);
    gateway.connection.reconnected();
  }
  await settle();
  for (let passed = 0; passed < ENOUGH_MS && !resting(world, passed); passed += STEP_MS) {
    await world.time.advance(STEP_MS);
    await settle();
    for (const client of world.clients)
      world.settle(client, { kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 1 });
    if (world.gateways.some(({ process }) => process.state === 'dead')) {
      world.heir.look();
      void world.bot.look();
    }
    await settle();
    world.check();
  }
  for (const click of world.clicks) world.deliver(click);
  await settle();
  world.check();
  lookAround(world);
  world.check();
}

/** Nothing waits any more. A dead gateway takes its lease's time, and two looks; an emptied collecting card lingers. */
function resting(world: World, passed: number): boolean {
  const dead = world.gateways.filter(({ process }) => process.state === 'dead');
  if (dead.length > 0 && passed < 65_000) return false;
  const owed = ({ permit, settled, gateway }: World['clients'][number]) =>
    permit?.hold !== undefined && !settled && gateway.process.state === 'live';
  if (world.clients.some(owed)) return false;
  return world.gateways.every(
    ({ process, holds, id, trail }) =>
      process.state === 'dead' ||
      (holds.stats().open === 0 &&
        ((trail.broken && passed > 40_000) ||
          (world.redis.hash(holdsKey(id)).size === 0 && world.time.of(process) <= OWN_TIMERS))),
  );
}

function lookAround(world: World): void {
  const { reference } = world;
  const must = (holds: boolean, claim: string, about: string) => reference.must(holds, claim, about);
  for (const gateway of world.gateways) {
    const { process, id, holds, stopping, trail } = gateway;
    if (process.state === 'live') {
      must(holds.stats().open === 0, 'holds that never end', id);
      must(trail.broken || world.redis.hash(holdsKey(id)).size === 0, 'holds left in the index', id);
      must(trail.broken || world.time.of(process) <= OWN_TIMERS, `timers left: ${world.time.of(process)}`, id);
    }
    for (const known of reference.holds.values()) {
      if (known.gateway !== id) continue;
      const onDisk = trail.disk.filter(({ hold }) => hold === known.id);
      if (!onDisk.some(({ kind }) => kind === 'hold.open')) continue;
      const ended = onDisk.some(isEnd);
      const excused = world.unrecorded || (world.forgetful && process.state === 'dead');
      must(
        ended || known.inherited !== undefined || excused,
        `no recorded end${stopping ? ' after a drain' : ''}`,
        known.id,
      );
    }
  }
  for (const client of world.clients) {
    const { gateway, controller, ended, operation } = client;
    const known = reference.ofOperation(operation);
    // One whose opening was still on its way to Redis is withdrawn, and learns of it by its connection.
    const over = ended || known?.end !== undefined || known?.approved;
    if (gateway.leftInOrder && known) must(over === true, 'a client that a drain left waiting', operation);
    if (gateway.process.state !== 'live') continue;
    must(ended, 'a client that waits for ever', operation);
    must(getEventListeners(controller.signal, 'abort').length === 0, 'a listener left on a signal', operation);
  }
  for (const [hold, { card }] of world.bot.entries) {
    const shown = card && world.bot.shown(hold);
    if (shown && !world.forgetful) must(isOver(shown), `a card that still says ${shown.state}`, hold);
  }
}
