/** The hold model without chance: a world whose every step is taken when the test says so. */
import assert from 'node:assert/strict';
import { turn } from './hold-model-time.ts';
import { World } from './hold-model-world.ts';

/** `run` lets everything happen that waits, and what follows from it, but for what is `kept` back by its label. */
export function scripted(): { readonly world: World; run(kept?: (label: string) => boolean): Promise<void> } {
  const waiting: { readonly label: string; readonly go: () => void }[] = [];
  const world = new World((label) => new Promise((go) => void waiting.push({ label, go })));
  const run = async (kept = (_: string) => false) => {
    await turn();
    for (;;) {
      const next = waiting.findIndex(({ label }) => !kept(label));
      if (next === -1) return;
      waiting.splice(next, 1)[0]?.go();
      await turn();
    }
  };
  return { world, run };
}

/** A gateway with one hold of an hour, whose card has been seen. */
export async function scriptedHold() {
  const { world, run } = scripted();
  await world.startGateway();
  await run();
  world.open(0, false, 3_600_000);
  await run();
  const [entry] = world.bot.entries.values();
  assert.ok(entry?.card);
  return { world, run, card: entry.card };
}
