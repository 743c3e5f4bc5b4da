/** `countersign …`, for a process of its own. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const sources = ['--import', 'tsx', fileURLToPath(new URL('../../gateway/cli.ts', import.meta.url))];

/**
 * What node is given to run the product: what the whole suite has bundled ($COUNTERSIGN_BUNDLE, the command's file), else
 * the sources.
 * @param built the compiled product, as `builtProduct()` lays it out
 */
export const entryOf = (built?: string): readonly string[] => {
  if (built) return [join(built, 'gateway/cli.js')];
  return process.env.COUNTERSIGN_BUNDLE ? [process.env.COUNTERSIGN_BUNDLE] : sources;
};

/** Node's arguments for `countersign` with these. */
export const cliArgs = (...args: readonly string[]): string[] => [...entryOf(), ...args];
