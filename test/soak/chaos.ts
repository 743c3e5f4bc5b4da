/** `npm run soak -- chaos`: every part, failing in every way, at every stage of a hold; and days worse than that. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { builtProduct } from '../support/built.ts';
import { CELLS, type Result, runCell } from './chaos/cell.ts';
import { SPECIALS } from './chaos/special.ts';
import { openStage, type Stage } from './chaos/stage.ts';
import { heard, markdown, withTable } from './chaos/table.ts';

const README = fileURLToPath(new URL('../../README.md', import.meta.url));
const USAGE = `Usage: npm run soak -- chaos [options]

Each part of the product is killed, paused, cut off or slowed at each stage of a hold; then the database, the client,
the card and the audit trail are asked what happened. About 25 minutes.

  --only TEXT      only cells whose name contains TEXT; may be given again
  --list           print the cells' names
  --parallel N     stages at once (2)
  --json FILE      everything that was seen
  --markdown FILE  the table
  --readme         put the table into README.md
`;

type Item = { readonly name: string; readonly run: (stage: () => Promise<Stage>) => Promise<Result> };

export async function chaos(args: readonly string[]): Promise<number> {
  const values = options(args);
  if (typeof values === 'number') return values;
  const wanted = ({ name }: { name: string }) => !values.only || values.only.some((text) => name.includes(text));
  const cells = CELLS.filter(wanted);
  const specials = SPECIALS.filter(wanted);
  if (values.list) {
    for (const { name } of [...cells, ...specials]) console.log(name);
    return 0;
  }
  const built = await builtProduct({ types: false });
  try {
    const items: Item[] = [
      ...cells.map((cell): Item => ({ name: cell.name, run: async (shared) => runCell(await shared(), cell) })),
      ...specials.map(({ name, run }): Item => ({ name, run: (shared) => run(built.dist, shared) })),
    ];
    const results = await runAll(items, built.dist, Number(values.parallel));
    const table = markdown(results);
    if (values.json) await writeFile(values.json, `${JSON.stringify(results, null, 2)}\n`);
    if (values.markdown) await writeFile(values.markdown, table);
    if (values.readme) await writeFile(README, withTable(await readFile(README, 'utf8'), table));
    const failed = results.filter(({ verdict }) => verdict === undefined);
    console.log(`${results.length - failed.length} of ${results.length} cells hold`);
    return failed.length === 0 ? 0 : 1;
  } finally {
    await built.remove();
  }
}

function options(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true },
        parallel: { type: 'string', default: '2' },
        json: { type: 'string' },
        markdown: { type: 'string' },
        readme: { type: 'boolean' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) {
      console.log(USAGE);
      return 0;
    }
    if (!/^[1-8]$/.test(values.parallel)) throw new Error('--parallel: expected 1 to 8');
    if (values.readme && values.only) throw new Error('--readme wants all cells: leave --only out');
    return values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    return 2;
  }
}

/** Cells share a stage for as long as nothing goes wrong on it. */
async function runAll(items: readonly Item[], built: string, parallel: number): Promise<Result[]> {
  const waiting = [...items];
  const results = new Map<string, Result>();
  const worker = async () => {
    let stage: Stage | undefined;
    const shared = async () => {
      stage ??= await openStage(built);
      return stage;
    };
    for (let item = waiting.shift(); item; item = waiting.shift()) {
      const { name } = item;
      const result = await item.run(shared).catch((error): Result => broken(name, error));
      results.set(name, result);
      say(result);
      if (result.verdict !== undefined) continue;
      await stage?.stop();
      stage = undefined;
    }
    await stage?.stop();
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker));
  return items.flatMap(({ name }) => results.get(name) ?? []);
}

function say({ name, seen, wrong, verdict, trueAfter }: Result): void {
  const { runs, client, card, audit } = seen;
  const what = `ran ${runs}, client: ${heard(client)}, card: ${card.says}, trail: ${audit.says}`;
  console.log(`${(verdict ?? 'FAILED').padEnd(8)} ${name.padEnd(36)} ${what}, ${trueAfter.toFixed(1)} s`);
  for (const one of wrong) console.log(`         ${one}`);
  if (wrong.length > 0) console.log(`         ${JSON.stringify(seen)}`);
}

function broken(name: string, error: unknown): Result {
  return {
    name,
    seen: {
      client: { kind: 'waiting' },
      runs: 0,
      card: { says: 'none', text: '', cards: 0 },
      audit: { says: 'none', entries: [] },
    },
    verdict: undefined,
    wrong: [error instanceof Error ? `${error.message}; ${error.cause ?? error.stack}` : String(error)],
    trueAfter: 0,
  };
}
