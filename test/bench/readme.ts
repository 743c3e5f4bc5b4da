/** Puts the table of a whole run between its marks in README.md. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Report, table } from './report.ts';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));
const MARKED = /(<!-- bench: from here on made by [^>]*-->\n)[\s\S]*?(<!-- bench: to here -->)/;

/** @throws Error when the marks are gone */
export async function writeToReadme(report: Report): Promise<void> {
  const text = await readFile(README, 'utf8');
  if (!MARKED.test(text)) throw new Error('README.md has no marks for the table of the benchmark');
  await writeFile(
    README,
    text.replace(MARKED, (_, from: string, to: string) => `${from}\n${section(report)}\n\n${to}`),
  );
}

function section({ machine, rows }: Report): string {
  const { cpus, model, node, postgres, redis, pgbouncer, load } = machine;
  const where = `${cpus} × ${model}, node ${node}, PostgreSQL ${postgres}, pgbouncer ${pgbouncer}, Redis ${redis}`;
  const others = load >= 0.5 ? `; others were at work on it (load ${load} at the start)` : '';
  return `${table(rows)}\n\nMeasured on ${where}${others}.`;
}
