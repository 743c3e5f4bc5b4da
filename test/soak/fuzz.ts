/** `npm run soak -- fuzz`: hostile bytes until the count is reached; what fails is made small and printed as hex. */
import { faultOf, makeStream, minimise } from './fuzz-codec.ts';
import { type Budget, type Report, spend } from './fuzz-run.ts';
import { nextBatch, playBatch, Stage, shorten } from './fuzz-sessions.ts';
import { readOptions } from './options.ts';
import { Random } from './random.ts';

const ABOUT = `Hostile bytes, from a seed that makes them again. Two kinds, each for so many messages:
  codec     generated, spoilt and cut streams of both directions, against a naive reader
  sessions  a random client before an oracle: a target that knows what was judged, and lies in every third session`;
const MOST_GROWTH = 48 << 20; // bytes of heap: what leaks, leaks more than that in a million messages

/** Something that must not be, with what shows it. */
export class Finding extends Error {}

export async function fuzzCodec(seed: number, budget: Budget): Promise<Report> {
  const r = new Random(seed);
  return await spend('codec', budget, () => {
    const { stream, messages } = makeStream(r);
    if (faultOf(stream) === undefined) return messages;
    const least = minimise(stream);
    throw new Finding(
      `${least.direction}: ${faultOf(least)}\n  bytes ${least.bytes.toString('hex')}\n  cut at ${least.cuts.join(' ')}`,
    );
  });
}

export async function fuzzSessions(seed: number, budget: Budget): Promise<Report> {
  const stage = new Stage();
  let next = seed >>> 0;
  try {
    const report = await spend('sessions', budget, async () => {
      const played = await playBatch(stage, next);
      next = nextBatch(next);
      if (typeof played === 'number') return played;
      const { session, fault, steps } = await shorten(played, stage);
      const shown = steps.map((step) =>
        step.kind === 'send'
          ? `send ${step.bytes.toString('hex')}`
          : 'turns' in step
            ? `wait ${step.turns}`
            : step.kind,
      );
      throw new Finding(`session ${session}: ${played.fault}\n  in short: ${fault}\n  ${shown.join('\n  ')}`);
    });
    if (stage.registry.size > 0) throw new Finding(`${stage.registry.size} sessions are left in the registry`);
    return report;
  } finally {
    stage.close();
  }
}

export async function fuzz(args: readonly string[]): Promise<number> {
  const options = readOptions(
    'fuzz',
    ABOUT,
    {
      messages: { value: 1_000_000, about: 'how many messages of each kind (1,000,000)' },
      seed: { value: Math.trunc(Math.random() * 0x7fff_ffff), about: 'which run (another each time)' },
      seconds: { value: undefined, about: 'stop each kind after so long' },
    },
    args,
  );
  if ('exit' in options) return options.exit;
  const { messages = 1_000_000, seed = 1, seconds } = options;
  console.log(`seed ${seed}`);
  try {
    for (const [name, run] of [
      ['codec', fuzzCodec],
      ['sessions', fuzzSessions],
    ] as const) {
      const { messages: done, grown } = await run(seed, { messages, seconds });
      console.log(`${name}: ${done.toLocaleString('en')} messages, nothing found; heap ${grown >> 10} KB larger`);
      if (grown > MOST_GROWTH) throw new Finding(`${name}: the heap grew by ${grown >> 20} MB`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    console.error(`FOUND (seed ${seed}) ${error.message}`);
    return 1;
  }
}
