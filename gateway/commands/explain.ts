/** `countersign policy explain`: what a gateway would do with a text, in words. Looks at the target's catalogue; runs nothing. */
import { explained } from '../compose/explained.ts';
import { configPath } from '../config/path.ts';
import { loadConfig } from '../config.ts';
import { createProfiles } from '../masking/profiles.ts';
import type { Principal } from '../operation.ts';
import { compile } from '../policy/compile.ts';
import type { Verdict } from '../policy/policy.ts';
import { Misuse, type Output, parse, type Status } from './command.ts';

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
  const { rules: fileRules, connections, approvals, identity } = config;
  const found = await explained({
    connection,
    sql: positionals[1] ?? '',
    profile: createProfiles(config).profileFor(connection.name, principal),
    policy: compile({ fileRules, slackRules: [], connections, defaults: approvals, issuers: identity.issuers }),
    principal,
  });
  if (!found) out('An empty query: nothing is asked, nothing is run.');
  else {
    out(found.headline);
    out(`  does: ${found.does}`);
    out(`  verdict: ${words(found.verdict)}`);
    for (const line of found.masking) out(`  ${line}`);
  }
  return 0;
}

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
