/** countersign.yaml, section by section: which keys, of what kind, with which defaults. */
import { z } from 'zod';
import type { Rule } from '../policy/policy.ts';
import {
  approver,
  approvers,
  channel,
  confirm,
  name,
  notify,
  quorum,
  ruleMistake,
  slackUser,
  verdict,
  why,
  writtenMatch,
} from '../policy/schema.ts';
import type { SecretSources } from '../secrets.ts';
import { connectionMaskingShape, maskingSection } from './masking.ts';
import { section } from './problems.ts';
import { quietHours } from './quiet.ts';
import { recordingsSection } from './recordings.ts';
import { sinksSection } from './sinks.ts';
import { absolutePath, address, count, duration, host, issuerUrl, line, outside, publicKey, size } from './units.ts';
import { webSection } from './web.ts';
import { MOST_WORKERS } from './workers.ts';

const expiry = duration('1s', '24h');
const list = <T extends z.ZodType>(item: T, expected: string) => z.array(item, { error: expected }).max(10_000);
const subject = line('expected the subject (sub) that the issuer gives', 255);
const accessSubject = line('expected issuer#subject').regex(/^[^#]+#./, 'expected issuer#subject');
const required = z.union(
  [line('expected a text or a list of texts'), list(line('expected a text'), 'expected a list').min(1)],
  {
    error: 'expected a text or a list of texts',
  },
);

const connectionDefault = section({
  read: verdict.default('hold'),
  write: verdict.default('hold'),
  unknown: verdict.default('hold'),
});

const escalation = section({ to: approver, after: expiry }).transform(({ to, after }) => ({ to, afterMs: after }));

/** A rule as written, turned into the Rule that the policy room takes. */
export const writtenRule = section({
  id: name,
  match: writtenMatch(section, size),
  verdict,
  why: why.optional(),
  approvers: approvers.min(1, 'expected at least one approver').optional(),
  quorum: quorum.default(1),
  require_reason: z.boolean({ error: 'expected true or false' }).default(false),
  expires: expiry.optional(),
  channel: channel.optional(),
  confirm: confirm.optional(),
  notify: notify.optional(),
  escalate: escalation.optional(),
}).transform((written, context): Rule => {
  const rule: Rule = {
    id: written.id,
    source: 'file',
    match: written.match,
    verdict: written.verdict,
    why: written.why ?? `rule ${written.id}`,
    approvers: written.approvers ?? [],
    quorum: written.quorum,
    requireReason: written.require_reason,
    expiresMs: written.expires,
    channel: written.channel,
    confirm: written.confirm,
    notify: written.notify,
    escalate: written.escalate,
  };
  const mistake = ruleMistake(rule);
  if (mistake) context.addIssue({ code: 'custom', path: [mistake.key], message: mistake.message });
  return rule;
});

const FACTOR_EXPECTED = 'expected a number from 1 to 1000';

export const approvalsSection = section({
  channel,
  approvers: approvers.min(1, 'expected at least one approver'),
  admins: z.array(approver, { error: 'expected a list of admins' }).max(50).default([]),
  break_glass: z.array(approver, { error: 'expected a list of people' }).max(50).default([]),
  expires: expiry.default(15 * 60_000),
  expires_in_transaction: expiry.default(2 * 60_000),
  notify: notify.optional(),
  escalate: escalation.optional(),
  quiet_hours: quietHours.optional(),
  confirm: section({
    factor: z.number({ error: FACTOR_EXPECTED }).min(1, FACTOR_EXPECTED).max(1_000, FACTOR_EXPECTED).default(2),
    within: duration('1s', '5m').default(60_000), // the write waits with its locks
  })
    .transform(({ factor, within }) => ({ factor, withinMs: within }))
    .prefault({}),
}).transform(({ expires, expires_in_transaction, break_glass, quiet_hours, ...rest }) => ({
  ...rest,
  quietHours: quiet_hours,
  breakGlass: break_glass,
  expiresMs: expires,
  expiresInTransactionMs: expires_in_transaction,
}));

const WORKERS_EXPECTED = `expected a whole number from 1 to ${MOST_WORKERS}, or auto`;
const workersKey = z
  .union([z.literal('auto'), z.number().int().min(1).max(MOST_WORKERS)], { error: WORKERS_EXPECTED })
  .default(1); // as many as the machine has cores is the operator's choice: each takes memory and connections

/** Every default with its reason. */
const limitsSection = section({
  login: duration('1s', '5m').default(15_000), // a person pasting a token, not a machine
  idle: duration('1s', '7d').default(3_600_000), // an hour without a word
  sessions_per_principal: count(1, 100_000).default(50),
  statement_bytes: size(1 << 10, 16 << 20).default(1 << 20), // what is held is limited to 48 KB besides
  pipelined_bytes: size(1 << 10, 64 << 20).default(1 << 20), // kept per session while a hold waits
  open_holds_per_principal: count(1, 10_000).default(10), // more than that floods its approvers
  open_holds_per_connection: count(1, 100_000).default(100),
}).transform((limits) => ({
  loginMs: limits.login,
  idleMs: limits.idle,
  sessionsPerPrincipal: limits.sessions_per_principal,
  statementBytes: limits.statement_bytes,
  pipelinedBytes: limits.pipelined_bytes,
  openHoldsPerPrincipal: limits.open_holds_per_principal,
  openHoldsPerConnection: limits.open_holds_per_connection,
}));

const identityShape = {
  issuers: list(
    section({
      issuer: issuerUrl,
      audience: line('expected the audience that tokens for this gateway carry'),
      groups: line('expected the name of the claim that lists groups', 100).optional(),
      require: z.record(line('expected a claim'), required, { error: 'expected claims with their values' }).optional(),
    }),
    'expected a list of issuers',
  ).min(1, 'expected at least one issuer'),
  agents: list(
    section({
      issuer: issuerUrl,
      subject,
      sponsor: slackUser.optional(),
      purpose: line('expected a sentence', 500).optional(),
    }),
    'expected a list of agents',
  ).default([]),
  people: list(section({ slack: slackUser, issuer: issuerUrl, subject }), 'expected a list of people').default([]),
  revoked: list(section({ issuer: issuerUrl, subject }), 'expected a list of revoked principals').default([]),
};

/** One entry of `connections` without what only a gateway needs: `policy test` files may stop here. */
export const connectionPolicyShape = {
  name,
  default: connectionDefault.prefault({}),
  channel: channel.optional(),
  notify: notify.optional(),
};

/** The schema of each top-level key, with secrets and files looked up in `sources`. */
export function sections(sources: SecretSources) {
  const { secret, privateKey, certificateFile, keyFile, redisUrl } = outside(sources);
  const connection = section({
    ...connectionPolicyShape,
    protocol: z.literal('postgres', { error: 'expected postgres' }),
    environment: name,
    access: section({
      groups: list(line('expected a group'), 'expected a list of groups').min(1, 'expected at least one').optional(),
      subjects: list(accessSubject, 'expected a list of issuer#subject').min(1, 'expected at least one').optional(),
    })
      .refine(
        (access) => access.groups ?? access.subjects,
        'expected groups or subjects; leave access out to admit everyone',
      )
      .optional(),
    upstream: section({
      host,
      port: count(1, 65_535).default(5432),
      database: line('expected the name of a database', 63),
      user: line('expected the name of a role', 63),
      password: secret,
      tls: z
        .enum(['disable', 'require', 'verify-ca', 'verify-full'], {
          error: 'expected disable, require, verify-ca or verify-full',
        })
        .default('verify-full'),
      ca: certificateFile.optional(),
    }),
    search_path: line('expected schemas, like: "$user", public', 500).default('"$user", public'),
    ...connectionMaskingShape,
  }).transform(({ search_path, trusted_extensions, ...rest }) => ({
    ...rest,
    searchPath: search_path,
    trustedExtensions: trusted_extensions,
  }));
  return {
    listen: section({ postgres: address.optional(), web: address.optional() }).refine(
      (listen) => listen.postgres ?? listen.web,
      'expected postgres, web or both',
    ),
    tls: section({ cert: certificateFile, key: keyFile }).optional(),
    state: section({ redis: redisUrl, grace: duration('0s', '1h').default(60_000) }).transform(({ redis, grace }) => ({
      redis,
      graceMs: grace,
    })),
    keys: section({
      own: privateKey,
      bots: z.array(publicKey, { error: 'expected a list of public keys' }).max(100).default([]),
      gateways: z.array(publicKey, { error: 'expected a list of public keys' }).max(100).default([]),
      masking: privateKey.optional(),
    }),
    audit: section({
      dir: absolutePath,
      key: privateKey,
      mode: z.literal('strict', { error: 'expected strict' }).default('strict'),
      retention: duration('1d', '3650d').optional(),
      min_free: size(0, 1024 ** 4).optional(),
      sinks: sinksSection({ secret, certificateFile, keyFile }),
    }).transform(({ retention, min_free, ...rest }) => ({ ...rest, retentionMs: retention, minFreeBytes: min_free })),
    recordings: recordingsSection(secret).optional(),
    identity: section(identityShape),
    approvals: approvalsSection,
    limits: limitsSection.prefault({}),
    workers: workersKey,
    web: webSection(secret).optional(),
    connections: z
      .array(connection, { error: 'expected a list of connections' })
      .min(1, 'expected at least one')
      .max(10_000),
    masking: maskingSection.default([]),
    rules: z.array(writtenRule, { error: 'expected a list of rules' }).max(100_000).default([]),
  };
}

export type Sections = ReturnType<typeof sections>;
