/** `countersign policy test`: statements against expected verdicts, offline; the rules are judged as a gateway would. */
import { readFile } from 'node:fs/promises';
import { asGatewayError } from '../errors.ts';
import { describedCatalog } from '../listeners/postgres/catalog/describe.ts';
import { classify } from '../listeners/postgres/inspect.ts';
import { checkTogether } from '../listeners/postgres/session/operation.ts';
import type { StatementFacts } from '../listeners/postgres/types.ts';
import { compile } from '../policy/compile.ts';
import type { Policy } from '../policy/policy.ts';
import { type Command, Misuse, parse } from './command.ts';
import { explain } from './explain.ts';
import { type PolicyCase, type PolicyFile, parsePolicyFile } from './policy-file.ts';

export const policy: Command = {
  summary: 'explain a statement, or test many against expected verdicts',
  help: `Usage: countersign policy explain SQL --connection NAME [--config FILE] [--group G …]
       countersign policy test FILE

explain says what a gateway would do with SQL: what it does to what, which rules decide, what of the result is masked
and why, what somebody would be asked. It looks at the target's catalogue and runs nothing.

  --connection NAME   whose target and rules
  --group G           a group of the principal (again for more); masking rules may except some
  --issuer, --subject who asks; default: the first issuer, nobody in particular
  --config FILE       default: COUNTERSIGN_CONFIG, else countersign.yaml

test:

Judges each case of FILE, without a database and without Redis, and prints those that are not as expected.

  server: 18                        # PostgreSQL's major version
  search_path: [public]
  connections: [{ name: orders, default: { read: allow, write: hold, unknown: hold } }]
  approvals: { channel: C0X, approvers: ["@dba"] }
  rules: […]                        # as in countersign.yaml
  catalog:                          # what the target has
    tables: { public.orders: [id!, total] }         # ! says NOT NULL
    views: { public.big: { reads: [public.orders] } }
    functions: { public.f: code }                   # or harmless
  cases:
    - sql: DELETE FROM orders
      verdict: hold                 # allow, hold, deny, or refused before any rule is asked
      rules: [no-where]             # exactly those that caused it
      actions: [delete]             # exactly
      not: [read]                   # none of these
      objects: [public.orders]      # at least
      headline: "DELETE on public.orders, no WHERE"
      connection: orders            # default: the first
      principal: { kind: agent, name: report-bot, groups: [data-science] }
      in_transaction: false`,

  run: async (args, output) => {
    if (args[0] === 'explain') return explain(args, output);
    const { out } = output;
    const { positionals } = parse(args, {}, ['"test"', 'the file with the cases']);
    const [what, path = ''] = positionals;
    if (what !== 'test') throw new Misuse(`there is no policy ${what}`);
    const file = parsePolicyFile(await readFile(path, 'utf8'), path);
    let failed = 0;
    for (const [i, { sql, wrong }] of (await judgeAll(file)).entries()) {
      if (wrong.length === 0) continue;
      failed += 1;
      out(`case ${i + 1}: ${sql.length > 200 ? `${sql.slice(0, 200)}…` : sql}`);
      for (const line of wrong) out(`  ${line}`);
    }
    out(`${file.cases.length} cases, ${failed} not as expected`);
    return failed === 0 ? 0 : 1;
  },
};

type Judged = { readonly sql: string; readonly wrong: readonly string[] };

async function judgeAll(file: PolicyFile): Promise<Judged[]> {
  const rules = compile({
    fileRules: file.rules,
    slackRules: [],
    connections: file.connections,
    defaults: file.approvals,
  });
  const catalog = describedCatalog(known(file.catalog));
  const judged: Judged[] = [];
  for (const one of file.cases) {
    const read = await understood(one.sql, { serverMajor: file.server, catalog, searchPath: file.search_path });
    judged.push({ sql: one.sql, wrong: differences(one, read, rules, file.connections[0]?.name ?? '') });
  }
  return judged;
}

type Understood = { readonly facts: readonly StatementFacts[] } | { readonly refused: string };

async function understood(sql: string, options: Parameters<typeof classify>[1]): Promise<Understood> {
  try {
    const facts = await classify(sql, options);
    checkTogether(facts, false); // each case is the first word of a fresh session
    return { facts };
  } catch (error) {
    const { code, message } = asGatewayError(error, 'UNPARSEABLE');
    return { refused: `${code}: ${message}` };
  }
}

/** Each expectation that is not met, as one line with what there is instead. */
function differences(expected: PolicyCase, read: Understood, rules: Policy, first: string): string[] {
  if ('refused' in read) return expected.verdict === 'refused' ? [] : [`refused, ${read.refused}`];
  const effects = read.facts.flatMap((facts) => facts.effects);
  const { in_transaction: inTransaction, principal, connection = first } = expected;
  // An empty query does nothing, and no session asks about it.
  const verdict =
    effects.length === 0
      ? { kind: 'allow' as const, rules: [] }
      : rules.evaluate({ connection, principal, effects, inTransaction });
  const actions = [...new Set(effects.map(({ action }) => action))].sort();
  const objects = effects.map(({ object }) => object);
  const headline = read.facts.map((facts) => facts.headline).join('; ');
  const because = `by ${verdict.rules.join(', ')}; ${effects.map(({ action, object }) => `${action} ${object}`.trim()).join(', ')}`;

  const wrong: string[] = [];
  const differs = (what: string, wanted: unknown, got: unknown) =>
    wrong.push(`${what}: expected ${wanted}, got ${got}`);
  const sorted = (list: readonly string[]) => [...list].sort().join(', ');
  if (expected.verdict && expected.verdict !== verdict.kind) {
    differs('verdict', expected.verdict, `${verdict.kind} (${because})`);
  }
  if (expected.rules && sorted(expected.rules) !== sorted(verdict.rules)) {
    differs('rules', sorted(expected.rules), sorted(verdict.rules));
  }
  if (expected.actions && sorted(expected.actions) !== actions.join(', ')) {
    differs('actions', sorted(expected.actions), actions.join(', '));
  }
  for (const action of expected.not ?? [])
    if (actions.includes(action)) differs('actions', `no ${action}`, actions.join(', '));
  for (const object of expected.objects ?? [])
    if (!objects.includes(object)) differs('objects', object, objects.join(', '));
  if (expected.headline !== undefined && expected.headline !== headline)
    differs('headline', expected.headline, headline);
  return wrong;
}

/** Without the keys that say nothing. */
function known<T extends object>(description: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(description).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
