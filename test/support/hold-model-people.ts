/** Who there is in the hold model's workspace, what a rule may ask, and who may answer: read as plainly as possible. */
import type { LinkedPerson } from '../../gateway/holds/linked.ts';
import type { Principal } from '../../gateway/operation.ts';
import type { Demand, Policy, Verdict } from '../../gateway/policy/policy.ts';
import type { Attestation } from '../../queue/votes.ts';
import { demand } from './hold-stage.ts';

export const TEAM = 'T0ACME';
const ISSUER = 'https://login.example.com';

/** Everybody who clicks, those who may not included. */
export const USERS = [
  'U0ALICE',
  'U0CAROL',
  'U0DAVE',
  'U0ERIN',
  'U0ALICE2', // a second account with Alice's address
  'U0BOB', // the sponsor
  'U0BOB2', // a second account with the sponsor's address
  'U0RITA', // the requester, by configuration
  'U0GINA', // a guest
  'U0TOM', // of another team
  'U0GRACE', // an admin whom no rule names
] as const;
export type User = (typeof USERS)[number];

export const GROUPS = { '@dba': 'S0DBA', '@security': 'S0SEC' } as const;
export const OIDC = { dba: ['U0CAROL', 'U0DAVE', 'U0BOB'] } as const;
export const PEOPLE: readonly LinkedPerson[] = [{ slack: 'U0RITA', issuer: ISSUER, subject: 'report-bot' }];
export const REQUESTER: Principal = {
  issuer: ISSUER,
  subject: 'report-bot',
  kind: 'agent',
  name: 'report-bot',
  groups: [],
  sponsor: 'U0BOB',
};

/** What Slack says now; commands change it. */
export class Workspace {
  readonly deactivated = new Set<User>();
  readonly members: Record<keyof typeof GROUPS, Set<User>> = {
    '@dba': new Set<User>(['U0ALICE', 'U0CAROL', 'U0DAVE', 'U0ALICE2', 'U0BOB', 'U0BOB2', 'U0GINA', 'U0TOM']),
    '@security': new Set<User>(['U0ERIN', 'U0ALICE']),
  };

  attest(user: string, now: number): Attestation {
    const groups = Object.entries(GROUPS).filter(([name]) =>
      this.members[name as keyof typeof GROUPS].has(user as User),
    );
    return {
      team: user === 'U0TOM' ? 'T0OTHER' : TEAM,
      user,
      name: user.toLowerCase(),
      email: `${user.replace(/2$/, '').toLowerCase()}@example.com`,
      emailConfirmed: true,
      deleted: this.deactivated.has(user as User),
      bot: false,
      guest: user === 'U0GINA',
      stranger: user === 'U0TOM',
      invited: false,
      groups: groups.map(([name, id]) => ({ id, handle: name.slice(1), readAt: now })),
      readAt: now,
      unknown: [],
    };
  }
}

/**
 * May whoever looks like this decide about what is demanded? Written without a look at quorum.ts. A click is counted
 * (and shown) before the addresses of requester and sponsor are known; `finally`, at an approval, they are.
 */
export function may(person: Attestation, asked: Demand, when: 'at first' | 'finally'): boolean {
  if (person.team !== TEAM || person.deleted || person.guest || person.bot || person.stranger || person.invited)
    return false;
  if (['U0BOB', 'U0RITA'].includes(person.user)) return false;
  if (when === 'finally' && ['u0bob@example.com', 'u0rita@example.com'].includes(person.email ?? '')) return false;
  return asked.approvers.some((name) => {
    if (name.startsWith('oidc:')) return (OIDC.dba as readonly string[]).includes(person.user);
    if (name.startsWith('@')) return person.groups.some(({ id }) => id === GROUPS[name as keyof typeof GROUPS]);
    return name === person.user;
  });
}

const one = demand({ approvers: ['@dba'], expiresMs: 30_000 });
const security = demand({ rule: 'security', approvers: ['@security'], expiresMs: 25_000 });
/** What the rules may ask, from nothing to no. */
const VERDICTS = {
  allow: { kind: 'allow', rules: ['default'] },
  deny: { kind: 'deny', rules: ['never'], rule: 'never', why: 'not today' },
  one: hold(one),
  two: hold({ ...one, quorum: 2 }),
  three: hold({ ...one, quorum: 3 }),
  both: hold(one, security),
  security: hold(security),
  named: hold({ ...one, rule: 'named', approvers: ['U0ALICE', 'U0CAROL'], quorum: 2, requireReason: true }),
  oidc: hold({ ...one, rule: 'oidc', approvers: ['oidc:dba'] }),
  nobody: hold({ ...one, rule: 'nobody', approvers: ['U0BOB'] }),
} satisfies Record<string, Verdict>;
export type Rules = keyof typeof VERDICTS;
export const RULES = Object.keys(VERDICTS) as Rules[];

function hold(...demands: Demand[]): Verdict {
  return { kind: 'hold', rules: demands.map(({ rule }) => rule), demands };
}

/** Each call is a new version, whatever it says. */
export const policyOf = (rules: Rules, version: number): Policy => ({
  version: `v${version}`,
  rules: [],
  evaluate: () => VERDICTS[rules],
});
