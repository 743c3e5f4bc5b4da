/** `npm run soak -- holds`: the model of a hold's life, over as many stories and orders as there is time for. */
import fc from 'fast-check';
import { holdProperty, type Tally } from '../support/hold-model-run.ts';
import { readOptions } from './options.ts';

const TAIL = 60; // steps before a broken promise that are shown

export async function holds(args: readonly string[]): Promise<number> {
  const options = readOptions(
    'holds',
    'Stories of what happens to holds, each in an order of its own; every promise is checked after every step.',
    {
      runs: { value: 100_000, about: 'stories (100,000)' },
      seed: { value: Date.now() % 2 ** 31, about: 'to repeat what was found' },
      seconds: { value: undefined, about: 'end in order after so long, whatever is left' },
      story: { value: undefined, about: 'only this one of the seed, told whole' },
      commands: { value: 40, about: 'most commands in a story (40)' },
    },
    args,
  );
  if ('exit' in options) return options.exit;
  const { runs = 0, seed = 0, commands = 0, story: only } = options;
  console.log(`seed ${seed}`);
  const tally: Tally = {};
  const began = performance.now();
  const limit = options.seconds === undefined ? {} : { interruptAfterTimeLimit: options.seconds * 1_000 };
  const chosen = only === undefined ? { numRuns: runs } : { numRuns: 1, path: String(only) };
  const found = await fc.check(holdProperty(commands, tally), { seed, ...chosen, ...limit, endOnFailure: true });
  for (const [what, n] of Object.entries(tally)) console.log(`${what.padEnd(28)} ${n.toLocaleString('en-US')}`);
  console.log(`${((performance.now() - began) / 1_000).toFixed(0)} s`);
  if (!found.failed) return 0;
  const [scheduler, story] = found.counterexample ?? [];
  console.error(`\n${found.errorInstance instanceof Error ? found.errorInstance.stack : found.errorInstance}`);
  console.error(`\nseed ${found.seed}, story ${found.counterexamplePath}\n ${String(story)}`);
  console.error(
    String(scheduler)
      .split('\n')
      .slice(only === undefined ? -TAIL : 0)
      .join('\n'),
  );
  return 1;
}
