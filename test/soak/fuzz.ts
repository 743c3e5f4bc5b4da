/** `npm run soak -- fuzz`: hostile bytes until the count is reached. */
import { readOptions } from './options.ts';

export async function fuzz(args: readonly string[]): Promise<number> {
  const options = readOptions('fuzz', 'Hostile bytes.', { messages: { value: 1_000_000, about: 'how many' } }, args);
  return 'exit' in options ? options.exit : 0;
}
