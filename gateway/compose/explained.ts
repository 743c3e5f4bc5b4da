/** What a gateway would do with a text: read as a session reads it, judged, its masking planned. Runs nothing. */
import type { ConnectionConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { createCatalog } from '../listeners/postgres/catalog/catalog.ts';
import { createInspector } from '../listeners/postgres/inspect.ts';
import { explainPlan } from '../listeners/postgres/lineage/lineage.ts';
import { splitSearchPath } from '../listeners/postgres/session/frame.ts';
import { checkTogether, NOTHING_BOUND, subjectOf } from '../listeners/postgres/session/operation.ts';
import type { Inspector, StatementFacts } from '../listeners/postgres/types.ts';
import { maskText } from '../masking/detectors.ts';
import type { Profile } from '../masking/profile.ts';
import type { Principal } from '../operation.ts';
import type { Policy, Verdict } from '../policy/policy.ts';
import { postgresConnection, vouchedBy } from './connections.ts';
import { sideClient } from './side-client.ts';

const PARSER_MS = 5_000;

export type Explained = {
  readonly headline: string;
  /** `delete public.customers, read public.orders` */
  readonly does: string;
  readonly verdict: Verdict;
  /** What of the result is masked and why, what somebody is asked: the plan in words. */
  readonly masking: readonly string[];
};

/** Undefined for an empty query. @throws GatewayError UPSTREAM | UNPARSEABLE | SESSION_FRAME | UNSUPPORTED */
export async function explained({
  connection,
  sql,
  profile,
  policy,
  principal,
  live,
}: {
  readonly connection: ConnectionConfig;
  readonly sql: string;
  readonly profile: Profile | undefined;
  readonly policy: Pick<Policy, 'evaluate'>;
  readonly principal: Principal;
  /** Of the sessions on this connection; without it the target's catalogue is looked at for this alone. */
  readonly live?: Inspector | undefined;
}): Promise<Explained | undefined> {
  const facts = await inspected(connection, sql, profile, live);
  if (facts.length === 0) return undefined;
  const { headline, effects, guard } = subjectOf(sql, facts.map(resolved), NOTHING_BOUND);
  const question = { connection: connection.name, principal, effects, inTransaction: false };
  return {
    headline,
    does: effects.map(({ action, object }) => `${action} ${object}`.trim()).join(', '),
    verdict: policy.evaluate(guard.length > 0 ? { ...question, guard } : question),
    masking: [...planned(facts, profile)],
  };
}

const resolved = (facts: StatementFacts) => ({ facts, inner: undefined });

function* planned(facts: readonly StatementFacts[], profile: Profile | undefined): Generator<string> {
  if (!profile) yield 'masking: no masking rule applies to this principal on this connection';
  else if (!profile.hasColumns) yield 'masking: no column is masked; detectors look at every text';
  for (const { guarded, headline } of facts) {
    if (!guarded) continue;
    if (facts.length > 1) yield headline;
    yield* explainPlan(guarded.plan);
  }
}

async function inspected(
  connection: ConnectionConfig,
  sql: string,
  profile: Profile | undefined,
  live: Inspector | undefined,
): Promise<readonly StatementFacts[]> {
  const inspector = live ?? (await ownInspector(connection));
  try {
    const searchPath = splitSearchPath(connection.searchPath);
    const facts = await inspector.inspect(sql, { frame: '', searchPath, profile });
    checkTogether(facts, false);
    return facts;
  } finally {
    if (inspector !== live) await inspector.close();
  }
}

async function ownInspector(connection: ConnectionConfig): Promise<Inspector> {
  const client = await sideClient(postgresConnection(connection), { purpose: 'catalogue' }).catch((cause) => {
    throw new GatewayError('UPSTREAM', `${connection.name}: the target cannot be asked for its catalogue`, { cause });
  });
  const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
  return createInspector({
    serverMajor: Math.floor(Number(rows[0]?.server_version_num ?? 0) / 10_000),
    catalog: createCatalog({ connect: async () => client, vouched: vouchedBy(connection) }),
    maskLiteral: (text) => maskText(text).text,
    cacheEntries: 1,
    workerDeadlineMs: PARSER_MS,
  });
}
