/** `npm run drivers`: real clients, each held in every way; fails where one does not behave as written down. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { CLIENTS } from './clients.ts';
import { intoReadme, type Row, table } from './report.ts';
import { SCENARIOS } from './scenarios.ts';
import { Stage } from './stage.ts';

const USAGE = `npm run drivers -- [--only NAME…] [--json FILE] [--readme]
  --only NAME…   these clients: ${CLIENTS.map(({ name }) => `"${name}"`).join(', ')}
  --json FILE    what each client saw, step by step
  --readme       put the table into README.md`;

const { values, positionals } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    readme: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const only = [...values.only, ...positionals];
const unknown = only.filter((wanted) => !CLIENTS.some(({ name }) => name === wanted));
if (values.help || unknown.length > 0) {
  console.log(unknown.length > 0 ? `no client "${unknown.join('", "')}"\n${USAGE}` : USAGE);
  process.exit(unknown.length > 0 ? 2 : 0);
}
const wanted = CLIENTS.filter(({ name }) => only.length === 0 || only.includes(name));

const rows: Row[] = [];
const stage = await Stage.start();
const interrupted = () => void stage.stop().finally(() => process.exit(130));
process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
try {
  for (const client of wanted) {
    const had = await client.have();
    if ('skipped' in had) {
      console.log(`${client.name}: skipped: ${had.skipped}`);
      rows.push({ client, skipped: had.skipped, played: {} });
      continue;
    }
    console.log(`${client.name} ${had.version}`);
    const row: Row = { client, version: had.version, played: {} };
    rows.push(row);
    for (const scenario of SCENARIOS) {
      const none = client.without?.[scenario.name];
      if (none) {
        console.log(`  –  ${scenario.name}: ${none}`);
        continue;
      }
      const from = performance.now();
      const { story, failure } = await stage.play(client.name, had.program, client, scenario);
      const took = ((performance.now() - from) / 1_000).toFixed(1);
      console.log(
        failure ? `  ✖  ${scenario.name}: ${failure}` : `  ✔  ${scenario.name}: ${scenario.claim} (${took} s)`,
      );
      row.played[scenario.name] = {
        steps: Object.fromEntries(story.steps),
        notices: story.notices,
        ...(failure ? { failure } : {}),
      };
    }
  }
} finally {
  await stage.stop();
}

console.log(`\n${table(rows)}\n`);
if (values.json) {
  const told = rows.map(({ client, ...rest }) => ({ client: client.name, ...rest }));
  await writeFile(values.json, `${JSON.stringify(told, null, 2)}\n`);
}
const played = rows.flatMap((row) => Object.values(row.played));
const failures = played.filter(({ failure }) => failure).length;
const skipped = rows.filter((row) => row.skipped).length;
console.log(`${played.length - failures} passed, ${failures} failed, ${skipped} clients skipped`);
if (values.readme && failures === 0) await intoReadme(table(rows));
process.exit(failures > 0 || played.length === 0 ? 1 : 0);
