/** One run of the hold model: a story of commands, and every order in which what it set going can come back. */
import fc from 'fast-check';
import { stories } from './hold-model-commands.ts';
import { comeToRest } from './hold-model-end.ts';
import { turn } from './hold-model-time.ts';
import { World } from './hold-model-world.ts';

/** Counted over all runs, to show that they went where it matters. */
export type Tally = Record<string, number>;

export function holdProperty(maxCommands: number, tally: Tally) {
  const scheduler = fc.scheduler({
    act: async (run) => {
      await run();
      await turn();
    },
  });
  return fc.asyncProperty(scheduler, stories(maxCommands), async (s, commands) => {
    const world = new World((label) => s.schedule(Promise.resolve(), label));
    await world.startGateway();
    for (let i = 0; i < 6 && s.count() > 0; i++) await s.waitOne();
    await fc.scheduledModelRun(s, () => ({ model: {}, real: world }), commands);
    const settle = async () => {
      await turn();
      while (s.count() > 0) await s.waitOne();
    };
    await comeToRest(world, settle);
    count(world, s.report().length, tally);
  });
}

function count(world: World, tasks: number, tally: Tally): void {
  const add = (what: string, n = 1) => {
    tally[what] = (tally[what] ?? 0) + n;
  };
  add('runs');
  add('steps', tasks);
  add('clicks', world.clicks.length);
  for (const { end, permits, inherited, counted } of world.reference.holds.values()) {
    add('holds');
    add('votes counted', counted.size);
    add(`ended ${end ?? 'with its gateway'}`);
    if (inherited !== undefined) add(`inherited ${inherited}`);
    if (permits > 0) add('sent');
  }
}
