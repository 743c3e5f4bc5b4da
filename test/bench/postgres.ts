/** `npm run bench -- postgres`, `-- masking` and `-- recordings`: every part in one run, one table, and every figure as JSON. */
import { writeFile } from 'node:fs/promises';
import { held } from './held.ts';
import { large } from './large.ts';
import { catalogue, plans, results } from './masking.ts';
import { summarize } from './profile.ts';
import { writeToReadme } from './readme.ts';
import { recorded } from './recorded.ts';
import { release } from './release.ts';
import { machine, type Report, type Row, reportSchema, table } from './report.ts';
import { output } from './routes.ts';
import { rules } from './rules.ts';
import { searched } from './searched.ts';
import { select } from './select.ts';
import { type Options, type Part, startStage } from './stage.ts';
import { start } from './start.ts';

export const PARTS = {
  postgres: [select, large, release, rules, start, held],
  masking: [results, plans, catalogue],
  recordings: [recorded, searched],
} as const satisfies Record<string, readonly Part[]>;

/** Runs the parts named (or all) and prints a Markdown table; with `json` also writes every figure. */
export async function bench(
  what: keyof typeof PARTS,
  only: readonly string[],
  options: Options,
  { json, readme, command }: { json: string | undefined; readme: boolean; command: string },
): Promise<Report> {
  const from = performance.now();
  const stage = await startStage(options);
  try {
    const { upstream } = stage.ground.world;
    const version = await output('psql', ['-X', '-A', '-t', '-c', 'SHOW server_version', upstream.url('postgres')], {
      name: 'direct',
      password: upstream.password,
    });
    const about = machine(version.trim());
    const rows: Row[] = [];
    for (const part of PARTS[what]) if (only.includes(part.name)) rows.push(...(await part.run(stage)));
    const seconds = Math.round((performance.now() - from) / 1_000);
    const report = reportSchema.parse({ command, machine: about, seconds, rows });
    if (json) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
    if (readme) await writeToReadme(report);
    console.log(table(rows));
    console.error(`${seconds} s`);
    if (options.profile) console.error(await summarize(options.profile));
    return report;
  } finally {
    await stage.stop();
  }
}
