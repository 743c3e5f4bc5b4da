/** `countersign policy explain`: what a gateway would do with a text, in words. Looks at the target's catalogue; runs nothing. */
import { postgresConnection, vouchedBy } from '../compose/connections.ts';
import { sideClient } from '../compose/side-client.ts';
import { configPath } from '../config/path.ts';
import { type Config, loadConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { createCatalog } from '../listeners/postgres/catalog/catalog.ts';
import { createInspector } from '../listeners/postgres/inspect.ts';
import { explainPlan } from '../listeners/postgres/lineage/lineage.ts';
import { splitSearchPath } from '../listeners/postgres/session/frame.ts';
import { checkTogether, NOTHING_BOUND, subjectOf } from '../listeners/postgres/session/operation.ts';
import type { StatementFacts } from '../listeners/postgres/types.ts';
import { maskText } from '../masking/detectors.ts';
import type { Profile } from '../masking/profile.ts';
import { createProfiles } from '../masking/profiles.ts';
import type { Principal } from '../operation.ts';
import { compile } from '../policy/compile.ts';
import type { Verdict } from '../policy/policy.ts';
import { Misuse, type Output, parse, type Status } from './command.ts';

const PARSER_MS = 5_000;

/** @throws GatewayError CONFIG | UPSTREAM | UNPARSEABLE; Misuse */
export async function explain(args: readonly string[], { out }: Output): Promise<Status> {
  const { values, positionals } = parse(
    args,
    {
      config: { type: 'string' },
      connection: { type: 'string' },
      issuer: { type: 'string' },
      subject: { type: 'string' },
      group: { type: 'string', multiple: true },
    },
    ['"explain"', 'the statement'],
  );
  const config = loadConfig(configPath(values.config));
  const connection = config.connections.find(({ name }) => name === values.connection);
  if (!connection)
    throw new Misuse(`--connection: expected one of ${config.connections.map((c) => c.name).join(', ')}`);
  const principal: Principal = {
    issuer: values.issuer ?? config.identity.issuers[0]?.issuer ?? '',
    subject: values.subject ?? 'nobody in particular',
    kind: 'agent',
    name: values.subject ?? 'nobody in particular',
    groups: values.group ?? [],
  };
  const profile = createProfiles(config).profileFor(connection.name, principal);
  const facts = await inspected(config, connection.name, positionals[1] ?? '', profile);
  if (facts.length === 0) out('An empty query: nothing is asked, nothing is run.');
  else for (const line of report(config, connection.name, principal, facts, profile)) out(line);
  return 0;
}

async function inspected(
  config: Config,
  name: string,
  sql: string,
  profile: Profile | undefined,
): Promise<readonly StatementFacts[]> {
  const connection = config.connections.find((one) => one.name === name)!;
  const target = postgresConnection(connection);
  const client = await sideClient(target, { purpose: 'catalogue' }).catch((cause) => {
    throw new GatewayError('UPSTREAM', `${name}: the target cannot be asked for its catalogue`, { cause });
  });
  const { rows } = await client.query<{ server_version_num: string }>('show server_version_num');
  const catalog = createCatalog({ connect: async () => client, vouched: vouchedBy(connection) });
  const inspector = createInspector({
    serverMajor: Math.floor(Number(rows[0]?.server_version_num ?? 0) / 10_000),
    catalog,
    maskLiteral: (text) => maskText(text).text,
    cacheEntries: 1,
    workerDeadlineMs: PARSER_MS,
  });
  try {
    const facts = await inspector.inspect(sql, { frame: '', searchPath: splitSearchPath(target.searchPath), profile });
    checkTogether(facts, false);
    return facts;
  } finally {
    await inspector.close();
  }
}

function* report(
  config: Config,
  connection: string,
  principal: Principal,
  facts: readonly StatementFacts[],
  profile: Profile | undefined,
): Generator<string> {
  const { rules: fileRules, connections, approvals, identity } = config;
  const policy = compile({ fileRules, slackRules: [], connections, defaults: approvals, issuers: identity.issuers });
  const subject = subjectOf('', facts.map(resolved), NOTHING_BOUND);
  const { effects, guard } = subject;
  yield subject.headline;
  yield `  does: ${effects.map(({ action, object }) => `${action} ${object}`.trim()).join(', ')}`;
  const question = { connection, principal, effects, inTransaction: false };
  yield `  verdict: ${words(policy.evaluate(guard.length > 0 ? { ...question, guard } : question))}`;
  if (!profile) yield '  masking: no masking rule applies to this principal on this connection';
  else if (!profile.hasColumns) yield '  masking: no column is masked; detectors look at every text';
  for (const { guarded, headline } of facts) {
    if (!guarded) continue;
    if (facts.length > 1) yield `  ${headline}`;
    for (const line of explainPlan(guarded.plan)) yield `  ${line}`;
  }
}

const resolved = (facts: StatementFacts) => ({ facts, inner: undefined });

function words(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'allow':
      return `allow (${verdict.rules.join(', ')})`;
    case 'deny':
      return `deny by ${verdict.rule}: ${verdict.why}`;
    case 'hold':
      return `hold: ${verdict.demands.map(({ rule, why, quorum, approvers }) => `${rule} (${why}; ${quorum} of ${approvers.join(', ')})`).join('; ')}`;
  }
}
