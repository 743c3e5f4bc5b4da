/** The file that `countersign policy test` reads: rules as in countersign.yaml, a described catalogue, and cases. */
import { z } from 'zod';
import { quorums, unknownConnections } from '../config/checks.ts';
import { problemsOf, section } from '../config/problems.ts';
import { approvalsSection, connectionPolicyShape, writtenRule } from '../config/sections.ts';
import { parseYaml } from '../config/yaml.ts';
import { GatewayError } from '../errors.ts';
import { ACTIONS } from '../operation.ts';

const list = z.array(z.string()).max(1_000);
const names = <T extends z.ZodType>(value: T) => z.record(z.string(), value).optional();
const trait = z.enum(['harmless', 'code'], { error: 'expected harmless or code' });

const catalog = section({
  tables: names(list),
  foreign: names(list),
  views: names(section({ columns: list.optional(), reads: list.optional(), runs: list.optional() })),
  functions: names(trait),
  operators: names(trait),
  types: names(trait),
  triggers: list.optional(),
  rules: names(z.array(z.enum(['insert', 'update', 'delete']))),
  policies: names(list),
  partitions: names(z.string()),
  cascades: names(z.string()),
});

const actions = z.array(z.enum(ACTIONS, { error: `expected one of ${ACTIONS.join(', ')}` }));

const principal = section({
  kind: z.enum(['agent', 'human'], { error: 'expected agent or human' }).default('agent'),
  name: z.string().default('tester'),
  issuer: z.string().default('https://issuer.test'),
  subject: z.string().default('tester'),
  groups: z.array(z.string()).default([]),
});

const testCase = section({
  sql: z.string({ error: 'expected the statement' }),
  connection: z.string().optional(),
  principal: principal.prefault({}),
  in_transaction: z.boolean({ error: 'expected true or false' }).default(false),
  verdict: z.enum(['allow', 'hold', 'deny', 'refused'], { error: 'expected allow, hold, deny or refused' }).optional(),
  /** The rules that caused it, all of them, in any order. */
  rules: z.array(z.string()).optional(),
  /** Exactly these actions, in any order. */
  actions: actions.optional(),
  /** None of these. */
  not: actions.optional(),
  /** At least these objects. */
  objects: z.array(z.string()).optional(),
  headline: z.string().optional(),
}).refine(
  ({ sql: _, connection: _c, principal: _p, in_transaction: _t, ...expected }) =>
    Object.values(expected).some((value) => value !== undefined),
  'expected at least one of verdict, rules, actions, not, objects, headline',
);

const ANY_CONNECTION = { name: 'test', default: { read: 'allow', write: 'hold', unknown: 'hold' } } as const;

const file = section({
  /** PostgreSQL's major version, whose grammar is used. */
  server: z.number({ error: 'expected a major version' }).int().default(18),
  search_path: z.array(z.string()).default(['public']),
  connections: z.array(section(connectionPolicyShape)).min(1).default([ANY_CONNECTION]),
  rules: z.array(writtenRule).default([]),
  approvals: approvalsSection.prefault({ channel: 'C0TEST', approvers: ['@testers'] }),
  catalog: catalog.prefault({}),
  cases: z.array(testCase, { error: 'expected a list of cases' }).min(1, 'expected at least one case'),
});

export type PolicyFile = z.output<typeof file>;
export type PolicyCase = PolicyFile['cases'][number];

/** @throws GatewayError CONFIG with every mistake of the file */
export function parsePolicyFile(text: string, name: string): PolicyFile {
  const raw = parseYaml(text);
  const parsed = file.safeParse(raw);
  const problems = parsed.success
    ? [
        ...unknownConnections(
          parsed.data.rules.map((value, at) => ({ at, value })),
          parsed.data.connections.map((connection) => connection.name),
          [],
        ),
        ...quorums(
          parsed.data.rules.map((value, at) => ({ at, value })),
          parsed.data.approvals.approvers,
        ),
      ]
    : problemsOf(parsed.error, raw, []);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new GatewayError('CONFIG', [`${name}:`, ...problems.map((p) => `  ${p.path}: ${p.message}`)].join('\n'));
}
