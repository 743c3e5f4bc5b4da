/** The demo's people and its countersign.yaml: what the world's gateways are configured with. */
import type { Oidc } from './oidc.ts';
import type { TestPostgres } from './postgres.ts';
import { UPSTREAM_ROLE } from './seed.ts';

// Tests change what lies several keys deep in it, and write what no type would let them: the gateway is who checks it.
// biome-ignore lint/suspicious/noExplicitAny: with `unknown` each of those changes would be a cast that proves nothing
export type Config = Record<string, any>;

export const PEOPLE = { alice: 'U0ALICE', bob: 'U0BOB', carol: 'U0CAROL', guest: 'U0GUEST' } as const;

/** The demo's countersign.yaml, less what differs from gateway to gateway. */
export function demoConfig(parts: {
  oidc: Oidc;
  upstream: TestPostgres;
  channel: string;
  approvers: readonly string[];
  sponsored: boolean;
}): Config {
  const { oidc, upstream, channel, approvers, sponsored } = parts;
  const person = (name: keyof typeof PEOPLE) => ({ slack: PEOPLE[name], issuer: oidc.issuer, subject: name });
  return {
    identity: {
      issuers: [{ issuer: oidc.issuer, audience: 'countersign', groups: 'groups' }],
      agents: [
        {
          issuer: oidc.issuer,
          subject: 'report-bot',
          purpose: 'nightly revenue report',
          ...(sponsored ? { sponsor: PEOPLE.bob } : {}),
        },
        { issuer: oidc.issuer, subject: 'deploy-bot', purpose: 'schema migrations' },
      ],
      people: sponsored ? [person('alice'), person('bob'), person('carol')] : [],
    },
    approvals: { channel, approvers, admins: sponsored ? ['@gate-admins'] : approvers, expires: '60m' },
    connections: [
      {
        name: 'orders',
        protocol: 'postgres',
        environment: 'production',
        upstream: {
          host: '127.0.0.1',
          port: upstream.port,
          database: 'orders',
          user: UPSTREAM_ROLE.user,
          password: `\${env:ORDERS_PW}`,
          tls: 'disable',
        },
        default: { read: 'allow', write: 'allow', unknown: 'hold' },
      },
    ],
    masking: [
      { connection: 'orders', columns: ['*.*.ssn', '*.*.card', '*.*.card_number'], as: 'last4' },
      { connection: 'orders', columns: ['*.*.email'], as: 'partial' },
      { connection: 'orders', columns: ['*.*.secret_no'], as: 'redact' },
      { connection: 'orders', detect: ['card', 'ssn', 'email', 'iban', 'secret', 'jwt'], as: 'redact' },
    ],
    rules: [
      {
        id: 'no-where',
        match: { connection: 'orders', action: ['update', 'delete'], where: 'absent' },
        verdict: 'hold',
        why: 'A write without a condition touches every row',
      },
      {
        id: 'schema-changes',
        match: { connection: 'orders', action: ['ddl'] },
        verdict: 'hold',
        why: 'Schema changes are reviewed by a DBA',
      },
      {
        id: 'opaque-code',
        match: { connection: 'orders', action: ['call'] },
        verdict: 'hold',
        why: 'Code can do anything; a DBA reads it first',
      },
      {
        id: 'exports',
        match: {
          connection: 'orders',
          action: ['read', 'copy-out'],
          rows: '>1000',
          except: { group: ['auditors'] },
        },
        verdict: 'hold',
        why: 'More than a thousand rows at once is an export',
      },
      { id: 'privileges', match: { action: ['dcl'] }, verdict: 'deny', why: 'Privileges change through Terraform' },
    ],
  };
}
