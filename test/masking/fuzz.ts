/** `npm run soak -- masking`: random work through the gateway; no masked value may be read out of any answer. */
import { readOptions } from '../soak/options.ts';
import { type Evidence, LabClient } from './client.ts';
import { Finder, type Found, recover } from './decoders.ts';
import { LabGrammar, type Sent } from './grammar.ts';
import { Resetter } from './reset.ts';
import { openRoute, type Route } from './route.ts';
import { speak } from './speak.ts';

const ABOUT = `Random queries, writes, copies and cursors over a lab full of masked values, through the gateway, in both protocols,
text and binary. What a client is told is decoded every way a reader might; a masked value in it is a failure, unless a
lab with other values answers it, too: then the reading made it up.`;

const STEP_MS = 5_000;
const CANCEL_MS = 2_000;
/** Scripts that share a session; then the lab is put right. */
const BATCH = 25;
/** A part of a value this long does not come up by chance. */
const LEAST = 10;

export type FuzzReport = {
  scripts: number;
  held: number;
  failed: number;
  silent: number;
  /** As silent without a gateway: the target itself takes that long. */
  slow: number;
  /** Of the scripts with a step that got no answer in time. */
  readonly hung: number[];
  /** Finds that the other lab's answer gives, too, though it has other values. */
  chance: number;
  /** Scripts that gave a value away. */
  readonly leaks: { readonly seed: number; readonly sent: Sent; readonly found: Found }[];
};

/** Plays scripts of seeds from `seed` on until `seconds` are over or `scripts` were played. */
export async function fuzzMasking(
  route: Route,
  { seed, seconds, scripts = Number.POSITIVE_INFINITY }: { seed: number; seconds: number; scripts?: number },
): Promise<FuzzReport> {
  const report: FuzzReport = { scripts: 0, held: 0, failed: 0, silent: 0, slow: 0, hung: [], chance: 0, leaks: [] };
  const finder = new Finder(route.lab.canaries.all);
  const resetter = await Resetter.open(route.server, route.lab.database);
  const until = performance.now() + seconds * 1_000;
  try {
    while (performance.now() < until && report.scripts < scripts) {
      const client = await LabClient.open(await route.target());
      for (let at = 0; at < BATCH && !client.closed && report.scripts < scripts; at++) {
        const of = (seed + report.scripts++) >>> 0;
        const sent = new LabGrammar(of).script();
        const silent = report.silent;
        const evidence = await play(client, sent, report);
        if (report.silent > silent && (await isSlow(route, sent))) {
          report.silent = silent;
          report.slow++;
        } else if (report.silent > silent) report.hung.push(of);
        if (evidence.errors.length > 0) report.failed++;
        const found = recover(evidence, finder).find(({ whole, length }) => whole || length >= LEAST);
        if (!found) continue;
        if (await isChance(route, sent, found)) report.chance++;
        else report.leaks.push({ seed: of, sent, found });
      }
      client.close();
      await resetter.reset();
    }
  } finally {
    await resetter.close();
  }
  return report;
}

/** Is it read out of what the other lab answers to the same, too? None of this lab's values are there. */
export async function isChance(route: Route, sent: Sent, { canary, length }: Found): Promise<boolean> {
  const client = await LabClient.open(await route.twinTarget());
  const evidence = await play(client, sent);
  client.close();
  return recover(evidence, new Finder([canary])).some((again) => again.length >= length);
}

/** Does the target, asked by nobody else, not answer in time either? */
async function isSlow(route: Route, sent: Sent): Promise<boolean> {
  const client = await LabClient.open(route.twin);
  const counts = { held: 0, silent: 0 };
  await play(client, sent, counts);
  client.close();
  return counts.silent > 0;
}

/** In a transaction that is rolled back. Resolves to all that the client was told since the last script. */
async function play(
  client: LabClient,
  { statements, ...how }: Sent,
  counts: Pick<FuzzReport, 'held' | 'silent'> = { held: 0, silent: 0 },
): Promise<Evidence> {
  await speak(client, { sql: 'begin', protocol: 'simple' }, STEP_MS);
  for (const sql of statements) {
    let end = await speak(client, { sql, ...how }, STEP_MS);
    if (end === 'held') {
      counts.held++;
      end = await client.cancel(CANCEL_MS);
    }
    if (end === 'silent') counts.silent++;
    if (end !== 'ready') {
      client.close();
      break;
    }
  }
  await speak(client, { sql: 'rollback', protocol: 'simple' }, STEP_MS);
  const { evidence } = client;
  client.forget();
  return evidence;
}

/** @returns the exit code */
export async function masking(args: readonly string[]): Promise<number> {
  const options = readOptions(
    'masking',
    ABOUT,
    {
      seconds: { value: 3_600, about: 'how long (an hour)' },
      scripts: { value: undefined, about: 'stop after so many' },
      seed: { value: Math.trunc(Math.random() * 0x7fff_ffff), about: 'which run (another each time)' },
    },
    args,
  );
  if ('exit' in options) return options.exit;
  const { seconds = 3_600, seed = 1, scripts } = options;
  console.log(`seed ${seed}`);
  const route = await openRoute(process.env.MASKING_ROUTE === 'direct' ? 'direct' : 'gateway');
  try {
    const report = await fuzzMasking(route, { seed, seconds, ...(scripts === undefined ? {} : { scripts }) });
    const { leaks, ...counts } = report;
    console.log(`${route.name}: ${JSON.stringify(counts)}, ${leaks.length} gave a value away`);
    for (const { seed: of, sent, found } of leaks.slice(0, 20))
      console.error(
        `FOUND (seed ${of}) ${found.canary.where} ${found.length}/${found.canary.core.length} by ${found.how}\n  ${JSON.stringify(sent)}`,
      );
    return leaks.length === 0 && report.silent === 0 ? 0 : 1;
  } finally {
    await route.close();
  }
}
