/** `npm run bench -- postgres […]`, `-- masking […]`: reads the command line; `--help` says what there is. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { bench, PARTS } from './postgres.ts';
import { ROUTES } from './routes.ts';
import { isRoute, type Part } from './stage.ts';

const MODES = ['simple', 'extended', 'prepared'];
const partsOf = (parts: readonly Part[]) => parts.map(({ name, about }) => `  ${name.padEnd(9)} ${about}`).join('\n');
const USAGE = `Usage: npm run bench -- postgres|masking|recordings [options]

Measures the built product, run by plain node, beside the direct connection, pgbouncer (session pooling) and a
do-nothing Node pipe, in interleaved rounds. Prints one Markdown table.

  --only PART,…      of the parts below
  --quick            one short round of everything: does it work?
  --json FILE        every figure
  --readme           put the table of a whole run of postgres into README.md
  --rounds N         interleaved rounds (5)
  --workers N|auto   the gateway's processes (left out: the product's default)
  --clients N,…      of the point selects (1,8,32)
  --sessions N,…     recorded at once (8,500,1000)
  --modes MODE,…     of ${MODES.join(', ')}
  --routes ROUTE,…   of ${ROUTES.join(', ')}
  --held N           connections that wait (9000)
  --dist DIR         measure that compiled product; left out: this tree is compiled, types unchecked
  --profile DIR      CPU profiles of the gateways go there, and a summary to stderr

Parts of postgres:
${partsOf(PARTS.postgres)}

Parts of masking:
${partsOf(PARTS.masking)}

Parts of recordings:
${partsOf(PARTS.recordings)}

Where to look first, for instance: npm run bench -- postgres --only select --modes extended --clients 8 --routes gateway --profile /tmp/profiles
`;

function misused(why: string): never {
  console.error(`${why}\n\n${USAGE}`);
  process.exit(2);
}

function read() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        readme: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string' },
        workers: { type: 'string' },
        clients: { type: 'string' },
        sessions: { type: 'string' },
        modes: { type: 'string' },
        routes: { type: 'string' },
        held: { type: 'string' },
        dist: { type: 'string' },
        profile: { type: 'string' },
      },
    });
  } catch (error) {
    misused(error instanceof Error ? error.message : String(error));
  }
}

/** A comma-separated choice; left out: all of them. */
function chosen(option: string, text: string | undefined, known: readonly string[]): string[] {
  const names = text?.split(',') ?? [...known];
  for (const name of names) if (!known.includes(name)) misused(`--${option}: ${name} is none of ${known.join(', ')}`);
  return names;
}

function count(option: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) misused(`--${option}: expected a number above 0, not ${text}`);
  return Number(text);
}

const { values, positionals } = read();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
if (values.readme && (values.only || values.quick)) misused('--readme wants a whole run: leave out --only and --quick');
const [what, ...more] = positionals;
if ((what !== 'postgres' && what !== 'masking' && what !== 'recordings') || more.length > 0)
  misused('expected what to measure: postgres, masking or recordings');
if (values.readme && what !== 'postgres') misused('--readme is for postgres');

await bench(
  what,
  chosen(
    'only',
    values.only,
    PARTS[what].map(({ name }) => name),
  ),
  {
    quick: values.quick,
    rounds: values.rounds === undefined ? (values.quick ? 1 : 5) : count('rounds', values.rounds),
    workers:
      values.workers === undefined || values.workers === 'auto' ? values.workers : count('workers', values.workers),
    clients: (values.clients ?? '1,8,32').split(',').map((text) => count('clients', text)),
    sessions: (values.sessions ?? (values.quick ? '50' : '8,500,1000'))
      .split(',')
      .map((text) => count('sessions', text)),
    modes: chosen('modes', values.modes, MODES),
    routes: chosen('routes', values.routes, ROUTES).filter(isRoute),
    held: values.held === undefined ? undefined : count('held', values.held),
    dist: values.dist && resolve(values.dist),
    profile: values.profile && resolve(values.profile),
  },
  { json: values.json, readme: values.readme, command: ['npm run bench --', ...process.argv.slice(2)].join(' ') },
);
