/** Ten rules or ten thousand: one evaluation in process, and point selects through the gateway. */
import type { Effect, Principal } from '../../gateway/operation.ts';
import { compile } from '../../gateway/policy/compile.ts';
import type { Rule } from '../../gateway/policy/policy.ts';
import { shown, shownSpread, spread } from './figures.ts';
import { startGateway } from './gateway.ts';
import { pgbench } from './pgbench.ts';
import type { Row } from './report.ts';
import type { Part, Stage } from './stage.ts';

const FEW = 10;
const MANY = 10_000;
const CLIENTS = 8;
const ABOUT_THE_SAME = 0.9; // DESIGN 4: ten thousand cost about what ten do
/** More than the policy remembers, so that each of them is judged anew. */
const TABLES = 8_192;
const EVALUATIONS = 5 * TABLES;

export const rules: Part = {
  name: 'rules',
  about: `${FEW} or ${MANY.toLocaleString('en-US')} rules: µs for an evaluation in process, tps through the gateway`,
  run: async (stage) => [evaluation(stage), await throughput(stage)],
};

const agent: Principal = {
  issuer: 'https://login.example.com',
  subject: 'report-bot',
  kind: 'agent',
  name: 'report-bot',
  groups: [],
};

function policyOf(count: number) {
  const fileRules = Array.from(
    { length: count },
    (_, n): Rule => ({
      id: `archive-${n}`,
      source: 'file',
      match: { connection: ['orders'], object: [`archive.table_${n}`], action: ['delete', 'update'] },
      verdict: 'hold',
      why: 'The archive is not touched without asking',
      approvers: [],
      quorum: 1,
      requireReason: false,
      expiresMs: undefined,
      channel: undefined,
    }),
  );
  return compile({
    fileRules,
    slackRules: [],
    defaults: { channel: 'C0MAIN', approvers: ['@dba'], expiresMs: 900_000, expiresInTransactionMs: 120_000 },
    connections: [{ name: 'orders', default: { read: 'allow', write: 'allow', unknown: 'hold' }, channel: undefined }],
  });
}

/** Deletes from thousands of tables, each judged anew: of the many rules each matches one. */
function evaluation({ options }: Stage): Row {
  const effects = Array.from(
    { length: TABLES },
    (_, n): Effect => ({ action: 'delete', object: `archive.table_${n}` }),
  );
  const micros = (policy: ReturnType<typeof policyOf>) => {
    const from = performance.now();
    for (let n = 0; n < EVALUATIONS; n++) {
      const effect = effects[n % TABLES];
      if (effect) policy.evaluate({ connection: 'orders', principal: agent, effects: [effect], inTransaction: false });
    }
    return ((performance.now() - from) * 1_000) / EVALUATIONS;
  };
  const [few, many] = [policyOf(FEW), policyOf(MANY)];
  micros(few);
  micros(many);
  const rounds = Array.from({ length: options.rounds }, () => ({ few: micros(few), many: micros(many) }));
  const [ofFew, ofMany] = [spread(rounds.map((round) => round.few)), spread(rounds.map((round) => round.many))];
  return {
    part: 'rules',
    what: 'one evaluation, nothing remembered: µs',
    cells: { gateway: shown(ofMany.median) },
    compared: `${MANY.toLocaleString('en-US')} rules; with ${FEW}: ${shown(ofFew.median)}`,
    figures: { few: ofFew, many: ofMany },
  };
}

async function throughput({ ground, options }: Stage): Promise<Row> {
  const gateways = [await startGateway(ground, { rules: FEW })];
  try {
    gateways.push(await startGateway(ground, { rules: MANY }));
    const routes = await Promise.all(gateways.map((gateway) => gateway.route()));
    const tps: number[][] = [];
    const load = { mode: 'simple', clients: CLIENTS, seconds: options.quick ? 1 : 2 } as const;
    for (const route of routes) await pgbench(route, { ...load, transactions: 3_000 });
    for (let round = 0; round < options.rounds; round++) {
      const now: number[] = [];
      for (const route of routes) now.push((await pgbench(route, load)).tps);
      tps.push(now);
    }
    const of = (at: number) => spread(tps.map((round) => round[at] ?? 0));
    const ratio = spread(tps.map(([few = 0, many = 0]) => many / few));
    return {
      part: 'rules',
      what: `point select, simple, ${CLIENTS} clients, ${MANY.toLocaleString('en-US')} rules: tps`,
      cells: { gateway: shown(of(1).median) },
      compared: `${shownSpread(ratio)} of the same with ${FEW} rules, ${shown(of(0).median)}`,
      goal: { text: 'about the same', met: ratio.median >= ABOUT_THE_SAME ? 'met' : 'not met' },
      figures: { few: of(0), many: of(1), ratio },
    };
  } finally {
    for (const gateway of gateways) await gateway.end();
  }
}
