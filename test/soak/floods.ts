/** `npm run soak -- floods`: floods. */
import { readOptions } from './options.ts';

export async function floods(args: readonly string[]): Promise<number> {
  const options = readOptions('floods', 'Floods.', { sockets: { value: 10_000, about: 'how many' } }, args);
  return 'exit' in options ? options.exit : 0;
}
