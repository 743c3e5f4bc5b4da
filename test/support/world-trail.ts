/** What the gateways of a world have put on record so far. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { World } from './world.ts';

export async function trailOf({ dir, gateways }: World, kind: string): Promise<Record<string, unknown>[]> {
  const entries: Record<string, unknown>[] = [];
  for (const n of gateways.keys()) {
    const trail = join(dir, `audit-${n + 1}`);
    for (const name of (await readdir(trail)).filter((file) => file.endsWith('.jsonl'))) {
      // The last line may be half written.
      const lines = (await readFile(join(trail, name), 'utf8')).split('\n').slice(0, -1);
      for (const line of lines) entries.push(JSON.parse(line) as Record<string, unknown>);
    }
  }
  return entries.filter((entry) => entry.kind === kind);
}
