/** Where a gateway spent its time, from the profiles that `--profile DIR` makes node write: self time by function. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const MOST = 30;

type CpuProfile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/** A table for each profile in the directory: share of the busy time, milliseconds, function and place. */
export async function summarize(dir: string): Promise<string> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.cpuprofile')).sort();
  const parts: string[] = [];
  for (const name of names) {
    const profile = JSON.parse(await readFile(join(dir, name), 'utf8')) as CpuProfile;
    parts.push(`${join(dir, name)}\n${busiest(profile)}`);
  }
  return parts.join('\n\n');
}

function busiest({ nodes, samples, timeDeltas }: CpuProfile): string {
  const places = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const file = url.replace(/^file:\/\//, '').replace(/^.*\/(dist|node_modules)\//, '');
      return [id, `${functionName || '(anonymous)'}  ${file ? `${file}:${lineNumber + 1}` : ''}`];
    }),
  );
  const micros = new Map<string, number>();
  samples.forEach((id, at) => {
    const place = places.get(id) ?? '?';
    micros.set(place, (micros.get(place) ?? 0) + (timeDeltas[at] ?? 0));
  });
  const idle = micros.get('(idle)  ') ?? 0;
  micros.delete('(idle)  ');
  const busy = [...micros.values()].reduce((sum, one) => sum + one, 0);
  const lines = [...micros]
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST)
    .map(
      ([place, spent]) =>
        `${((100 * spent) / busy).toFixed(1).padStart(5)} % ${(spent / 1_000).toFixed(0).padStart(7)} ms  ${place}`,
    );
  return [`busy ${(busy / 1_000).toFixed(0)} ms, idle ${(idle / 1_000).toFixed(0)} ms`, ...lines].join('\n');
}
