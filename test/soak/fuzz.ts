/** `npm run soak -- fuzz`: hostile bytes until the count is reached; what fails is made small and printed as hex. */
import { faultOf, makeStream, minimise } from './fuzz-codec.ts';
import { spend } from './fuzz-run.ts';
import { readOptions } from './options.ts';
import { Random } from './random.ts';

const ABOUT = `Hostile bytes, from a seed that makes them again: the codec alone (generated, spoilt and cut messages of both
directions against a naive reader).`;

export async function fuzz(args: readonly string[]): Promise<number> {
  const options = readOptions(
    'fuzz',
    ABOUT,
    {
      messages: { value: 1_000_000, about: 'how many messages, of each kind (1,000,000)' },
      seed: { value: Math.trunc(Math.random() * 0x7fff_ffff), about: 'which run (another each time)' },
      seconds: { value: undefined, about: 'stop earlier, after so long' },
    },
    args,
  );
  if ('exit' in options) return options.exit;
  const { messages = 1_000_000, seed = 1, seconds } = options;
  console.log(`seed ${seed}`);
  const r = new Random(seed);
  const codec = await spend('codec', { messages, seconds }, () => {
    const { stream, messages: used } = makeStream(r);
    const fault = faultOf(stream);
    if (fault === undefined) return used;
    const least = minimise(stream);
    throw new Error(
      `${least.direction}: ${faultOf(least)}\n  bytes ${least.bytes.toString('hex')}\n  cut at ${least.cuts.join(' ')}`,
    );
  });
  console.log(`codec: ${codec.messages} messages, nothing found; heap grew by ${codec.grown >> 10} KB`);
  return 0;
}
