/** `npm run soak -- differential`: what the inspector says of statements, beside what a real PostgreSQL did with them. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { readOptions } from '../soak/options.ts';
import { builtinCalls } from './builtins.ts';
import { Grammar } from './grammar.ts';
import { Observer } from './observer.ts';
import { differentReadings } from './readings.ts';
import { compare, compareMany, newTally, type Shares, type Tally } from './run.ts';
import { openStage, type Role, type Stage } from './stage.ts';

const ABOUT = `Every statement is judged by the product's own inspector and run against a real PostgreSQL that is full of traps;
rows, definitions, sequences, locks, settings, cursors and notifications are looked at before and after. Nothing that
changed something may have passed as a read; a write may change no table its effects do not name; being parsed does nothing.`;
const ROLES: readonly Role[] = ['gate', 'postgres'];
const SUPERUSER_SHARE = 10; // one in so many generated statements runs as the superuser too

/** The cases of test/policies.yaml, each a script of one text. */
export async function policyCases(): Promise<string[][]> {
  const file = parse(await readFile(new URL('../policies.yaml', import.meta.url), 'utf8')) as {
    cases: { sql: string }[];
  };
  return file.cases.map(({ sql }) => [sql]);
}

export async function hostileScripts(): Promise<string[][]> {
  const file = await readFile(new URL('hostile.sql', import.meta.url), 'utf8');
  return file
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('--'))
    .map((line) => line.split(' ;; '));
}

export async function compareAll(
  stage: Stage,
  scripts: readonly (readonly string[])[],
  role: Role,
  { fresh = false, ...shares }: Shares & { fresh?: boolean },
): Promise<Tally> {
  const tally = newTally();
  const observer = new Observer(stage, role, { fresh });
  for (const script of scripts) await compare(stage, observer, script, tally, shares);
  await observer.close();
  return tally;
}

/** @param every one in so many of PostgreSQL's own functions, operators, casts and relations */
export async function compareBuiltins(stage: Stage, role: Role, every = 1): Promise<Tally> {
  const client = await stage.connect('postgres');
  const files = async () =>
    (
      await client.query(`SELECT string_agg(name, ' ' ORDER BY name) AS all FROM (
      SELECT pg_ls_dir('.') UNION ALL SELECT pg_ls_dir('pg_replslot') UNION ALL SELECT pg_ls_dir('pg_snapshots')
      UNION ALL SELECT f FROM pg_ls_dir('/tmp') f WHERE f LIKE 'countersign-differential%') q (name)`)
    ).rows[0].all as string;
  const { calls } = await builtinCalls(client);
  const before = await files();
  const tally = newTally();
  const observer = new Observer(stage, role);
  for (const [at, { sql }] of calls.entries()) {
    // What is not harmless is not run: it may well stop the server.
    if (at % every === 0)
      await compare(stage, observer, [sql], tally, {
        held: Number.POSITIVE_INFINITY,
        parsed: Number.POSITIVE_INFINITY,
      });
  }
  await observer.close();
  const after = await files();
  if (after !== before) tally.wrong.push(`files came or went: ${before} → ${after}`);
  await client.end();
  return tally;
}

export async function compareGenerated(
  stage: Stage,
  role: Role,
  seed: number,
  cases: number,
  shares: Shares,
): Promise<Tally> {
  const tally = newTally();
  const grammar = new Grammar(seed);
  const observer = new Observer(stage, role);
  await compareMany(stage, observer, () => grammar.script(), cases, tally, shares);
  await observer.close();
  return tally;
}

/** @returns the exit code */
export async function differential(args: readonly string[]): Promise<number> {
  const options = readOptions(
    'differential',
    ABOUT,
    {
      cases: { value: 50_000, about: 'how many statements are generated (50,000)' },
      seed: { value: Math.trunc(Math.random() * 0x7fff_ffff), about: 'which run (another each time)' },
    },
    args,
  );
  if ('exit' in options) return options.exit;
  const { cases = 50_000, seed = 1 } = options;
  console.log(`seed ${seed}`);
  const stage = await openStage();
  let found = 0;
  const report = (what: string, { wrong, ...counts }: Tally) => {
    console.log(`${what}: ${JSON.stringify(counts)}`);
    for (const one of wrong) console.error(`FOUND ${one}`);
    found += wrong.length;
  };
  const all = { held: 1, parsed: 1 };
  try {
    for (const role of ROLES) {
      report(`policies as ${role}`, await compareAll(stage, await policyCases(), role, all));
      report(`hostile as ${role}`, await compareAll(stage, await hostileScripts(), role, { ...all, fresh: true }));
      report(`built in as ${role}`, await compareBuiltins(stage, role));
    }
    const sampled = { held: 60, parsed: 40 };
    report('generated as gate', await compareGenerated(stage, 'gate', seed, cases, sampled));
    report(
      'generated as postgres',
      await compareGenerated(stage, 'postgres', seed + 1, Math.ceil(cases / SUPERUSER_SHARE), sampled),
    );
    const readings = await differentReadings(stage, seed, Math.ceil(cases / SUPERUSER_SHARE));
    console.log(`readings: ${readings.compared} texts read by both, ${readings.refused} refused by the gateway alone`);
    for (const one of readings.wrong) console.error(`FOUND ${one}`);
    return found + readings.wrong.length === 0 ? 0 : 1;
  } finally {
    await stage.close();
  }
}
