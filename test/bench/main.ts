/** `npm run bench -- postgres [--json FILE] [--quick]` */
import { parseArgs } from 'node:util';
import { benchPostgres } from './postgres.ts';

const BENCHES = { postgres: benchPostgres };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, quick: { type: 'boolean', default: false } },
});
const bench = BENCHES[positionals[0] as keyof typeof BENCHES];
if (!bench || positionals.length !== 1) {
  console.error(`Usage: npm run bench -- (${Object.keys(BENCHES).join('|')}) [--json FILE] [--quick]`);
  process.exit(2);
}
await bench({ json: values.json, quick: values.quick });
