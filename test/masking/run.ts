/** `node --import tsx test/masking/run.ts --route direct|gateway`: every attack, and what came of it. */
import { parseArgs } from 'node:util';
import { debianPostgres } from '../support/postgres.ts';
import { ATTACKS } from './attacks/all.ts';
import { possibleOn } from './attacks/releases.ts';
import { Comparison } from './compare.ts';
import { Harness, type Played, type Protocol } from './harness.ts';
import { ORDINARY } from './ordinary.ts';
import { comparePsql } from './psql.ts';
import { openRoute, type RouteName } from './route.ts';

const USAGE = `Usage: node --import tsx test/masking/run.ts [--route direct|gateway] [--only ID] [--protocol simple|extended|binary] [--server RELEASE|DIR] [--all] [--ordinary]
  --only ID    those whose id or technique contains this
  --server X   the target is this release of Debian's (15), or the one whose programs are in this directory
  --all        print a line for each, not only for those that did not go as they should
  --show       print what the client was told, too
  --ordinary   ordinary work instead, at the target and through the gateway: what is different`;

const { values } = parseArgs({
  options: {
    route: { type: 'string', default: process.env.MASKING_ROUTE ?? 'direct' },
    only: { type: 'string', default: '' },
    protocol: { type: 'string' },
    server: { type: 'string' },
    all: { type: 'boolean', default: false },
    show: { type: 'boolean', default: false },
    ordinary: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help || !['direct', 'gateway'].includes(values.route)) {
  console.log(USAGE);
  process.exitCode = values.help ? 0 : 2;
} else {
  process.exitCode = values.ordinary ? await ordinary() : await main(values.route as RouteName);
}

async function main(name: RouteName): Promise<number> {
  const route = await openRoute(name, { bin: programs() });
  const wanted = ATTACKS.filter(({ id, technique }) => `${id} ${technique}`.includes(values.only));
  const chosen = wanted.filter((attack) => possibleOn(route.lab.release, attack));
  const harness = await Harness.open(route);
  const byTechnique = new Map<string, Map<string, number>>();
  let wrong = 0;
  try {
    for (const attack of chosen) {
      const played = await harness.play(attack, values.protocol as Protocol | undefined);
      const counts = byTechnique.get(attack.technique) ?? new Map<string, number>();
      const verdict = `${attack.oracle ? 'oracle ' : attack.race ? 'race ' : ''}${played.verdict}`;
      counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
      byTechnique.set(attack.technique, counts);
      const bad = mistake(name, played);
      if (bad !== undefined) wrong++;
      if (bad !== undefined || values.all || values.show) console.log(line(played, bad));
      if (values.show) console.log(shown(played));
    }
  } finally {
    await harness.close();
    await route.close();
  }
  const total = new Map<string, number>();
  for (const [technique, counts] of byTechnique) {
    console.log(`${technique.padEnd(34)} ${[...counts].map(([verdict, count]) => `${verdict} ${count}`).join(', ')}`);
    for (const [verdict, count] of counts) total.set(verdict, (total.get(verdict) ?? 0) + count);
  }
  console.log(
    `${chosen.length} attacks (${name}, PostgreSQL ${route.lab.release}${chosen.length < wanted.length ? `, which lacks what ${wanted.length - chosen.length} more need` : ''}): ${[...total].map(([verdict, count]) => `${verdict} ${count}`).join(', ')}; ${wrong} not as they should`,
  );
  return wrong === 0 ? 0 : 1;
}

/** Where the target's programs are; undefined: the tests' own release. */
function programs(): string | undefined {
  const { server } = values;
  if (server === undefined) return undefined;
  const bin = /^\d+$/.test(server) ? debianPostgres(Number(server)) : server;
  if (bin === undefined) throw new Error(`PostgreSQL ${server} is not below /usr/lib/postgresql`);
  return bin;
}

/** Everything that is different where it should be the same. */
async function ordinary(): Promise<number> {
  const chosen = ORDINARY.filter(({ id }) => id.includes(values.only));
  const route = await openRoute('gateway', { bin: programs() });
  const comparison = await Comparison.open(route);
  let wrong = 0;
  let held = 0;
  try {
    for (const work of chosen) {
      const what = await comparison.compare(work);
      if (what.held) held++;
      if (what.wrong.length > 0) wrong++;
      const mark = what.wrong.length > 0 ? '!!' : what.held ? '? ' : '  ';
      if (mark !== '  ' || values.all) console.log(`${mark} ${work.id}: ${what.wrong.join('; ').slice(0, 600)}`);
    }
    for (const what of await comparePsql(route)) {
      wrong++;
      console.log(`!! ${what}`);
    }
  } finally {
    await comparison.close();
    await route.close();
  }
  console.log(`${chosen.length} pieces of ordinary work: ${wrong} wrong, somebody was asked about ${held} ("?")`);
  return wrong === 0 ? 0 : 1;
}

/** Directly each has to give what it promises, or it proves nothing; through the gateway none may give anything. */
function mistake(name: RouteName, { attack, verdict, spoilt }: Played): string | undefined {
  if (spoilt) return 'left the lab changed';
  if (name === 'gateway') {
    if (verdict === 'silent') return 'no answer';
    return !attack.oracle && !attack.race && (verdict === 'recovered' || verdict === 'partial') ? 'LEAK' : undefined;
  }
  const expected = attack.gives === 'nothing' ? 'masked refused' : attack.gives === 'part' ? 'partial' : 'recovered';
  return expected.includes(verdict) ? undefined : `expected ${expected}`;
}

function line({ attack, verdict, found, evidence, ms }: Played, bad: string | undefined): string {
  const best = [...found].sort((a, b) => b.length - a.length)[0];
  const error = evidence.errors.map(({ C, M }) => `${C} ${M}`).join(' | ');
  return [
    bad === undefined ? '  ' : '!!',
    verdict.padEnd(9),
    attack.technique,
    attack.id,
    `${ms.toFixed(0)} ms`,
    best ? `${best.canary.where} ${best.length}/${best.canary.core.length} by ${best.how}` : '',
    bad ?? '',
    bad ? error : '',
  ].join(' · ');
}

function shown({ evidence }: Played): string {
  const rows = evidence.results.map(({ rows, tag, copied }) =>
    [
      tag,
      ...rows.slice(0, 5).map((row) => row.map((cell) => cell?.toString('latin1') ?? 'NULL').join(' | ')),
      ...copied.map(String),
    ].join('\n    '),
  );
  return `    ${evidence.types}\n    ${rows.join('\n    ')}\n    ${JSON.stringify([evidence.errors, evidence.notices, evidence.notified])}`;
}
