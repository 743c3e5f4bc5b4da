/** Who may vote, and whether the votes suffice. Pure: facts in, counted or refused with a sentence out. */
import type { Attestation } from '../../queue/votes.ts';
import type { Principal } from '../operation.ts';
import type { Demand } from '../policy/policy.ts';

/** What the gateway knows about people, beside what a bot attests of the voter. */
export type Authority = {
  /** The workspace the bot is installed in; undefined while unknown. */
  readonly team: string | undefined;
  /** The group id a name (`@handle`, `S…`) is pinned to; undefined while unknown or when it no longer fits its pin. */
  readonly groupId: (name: string) => string | undefined;
  /** Slack ids linked by configuration to people whom their issuer put into this group when last seen. */
  readonly oidcMembers: (group: string) => readonly string[];
  /** Slack ids linked by configuration to the requester. */
  readonly requesterSlack: readonly string[];
  /** All Slack accounts that the configuration links to the person behind this one, itself included. */
  readonly accountsOf: (user: string) => readonly string[];
  /** E-mail addresses of the sponsor's and of the requester's Slack accounts, as Slack attested them. */
  readonly sponsorEmail: string | undefined;
  readonly requesterEmails: readonly string[];
};

export type Cast = {
  readonly decision: 'approve' | 'deny';
  readonly reason: string | undefined;
  readonly voter: Attestation;
};

export type Entitlement =
  | { readonly ok: true; readonly rules: readonly string[] }
  | { readonly ok: false; readonly why: string };

/** May this person vote here, and for which of the demands? */
export function entitlement(
  voter: Attestation,
  principal: Principal,
  demands: readonly Demand[],
  authority: Authority,
): Entitlement {
  const objection = standing(voter, authority) ?? partiality(voter, principal, authority);
  if (objection) return { ok: false, why: objection };
  const named = demands.filter((demand) => demand.approvers.some((approver) => isNamed(voter, approver, authority)));
  if (named.length > 0) return { ok: true, rules: named.map((demand) => demand.rule) };
  return { ok: false, why: absence(voter, demands, authority) };
}

/** Full, present member of the installed workspace? */
export function standing(
  voter: Attestation,
  { team }: Pick<Authority, 'team'>,
  doing: 'vote' | 'use /gate' = 'vote',
): string | undefined {
  const again = doing === 'vote' ? 'click again' : 'ask again';
  if (voter.bot) return `bots cannot ${doing}`;
  if (team === undefined) return `it is not known yet which workspace is installed here; ${again} in a moment`;
  if (voter.team !== team || voter.stranger) return `only members of this workspace can ${doing}`;
  if (voter.deleted) return 'this account is deactivated';
  if (voter.guest)
    return `guests cannot ${doing}; ${doing === 'vote' ? 'a full member named by the rule' : 'a full member'} must`;
  if (voter.invited) return 'this account has not accepted its invitation yet';
  return undefined;
}

/** Neither the one who asks nor the one who answers for it. An e-mail address counts only against a voter. */
function partiality(voter: Attestation, principal: Principal, authority: Authority): string | undefined {
  const own = principal.slack === voter.user || authority.requesterSlack.includes(voter.user);
  const ownEmail =
    (principal.emailVerified === true && sameEmail(principal.email, voter.email)) ||
    authority.requesterEmails.some((email) => sameEmail(email, voter.email));
  if (own || ownEmail) return 'you made this request; someone else must decide';
  const { sponsor } = principal;
  const sponsors =
    (sponsor !== undefined && authority.accountsOf(sponsor).includes(voter.user)) ||
    sameEmail(authority.sponsorEmail, voter.email);
  if (sponsors) return `you are the sponsor of ${principal.name}; someone else must decide`;
  return undefined;
}

function isNamed(voter: Attestation, approver: string, authority: Authority): boolean {
  if (approver.startsWith('oidc:')) return authority.oidcMembers(approver.slice('oidc:'.length)).includes(voter.user);
  if (!isGroupName(approver)) return approver === voter.user;
  const id = authority.groupId(approver);
  return id !== undefined && voter.groups.some((group) => group.id === id);
}

function absence(voter: Attestation, demands: readonly Demand[], authority: Authority): string {
  const names = [...new Set(demands.flatMap((demand) => demand.approvers))];
  const unread = names.filter(
    (name) => isGroupName(name) && (authority.groupId(name) === undefined || voter.unknown.includes(name)),
  );
  if (unread.length > 0) return `who is in ${unread.join(', ')} could not be read from Slack; click again in a moment`;
  return `you are not among ${names.join(', ')}`;
}

/** `@handle` and `S…` are looked up in Slack; users and `oidc:` groups are not. */
export const isGroupName = (approver: string): boolean => approver.startsWith('@') || /^S[A-Z0-9]+$/.test(approver);

/** Names of Slack groups among the approvers. */
export const groupNames = (demands: readonly Demand[]): string[] => [
  ...new Set(demands.flatMap(({ approvers }) => approvers.filter(isGroupName))),
];

const sameEmail = (a: string | undefined, b: string | undefined): boolean =>
  a !== undefined &&
  b !== undefined &&
  a !== '' &&
  a.normalize('NFKC').toLowerCase() === b.normalize('NFKC').toLowerCase();

export type Tally = {
  /** Per demand, in order: how many people count for it. */
  readonly counted: readonly number[];
  readonly met: boolean;
  /** Voters that are not (or no longer) counted for anything, and why. */
  readonly voided: readonly { readonly user: string; readonly why: string }[];
};

/** Count the approvals: each human once, each for every demand that names them, with a reason where one is required. */
export function tally(
  votes: readonly Cast[],
  principal: Principal,
  demands: readonly Demand[],
  authority: Authority,
): Tally {
  const counted = demands.map(() => 0);
  const voided: { user: string; why: string }[] = [];
  const seen: Attestation[] = [];
  for (const vote of votes) {
    if (vote.decision !== 'approve') continue;
    const { voter } = vote;
    const entitled = entitlement(voter, principal, demands, authority);
    if (!entitled.ok) {
      voided.push({ user: voter.user, why: entitled.why });
      continue;
    }
    if (seen.some((other) => isSameHuman(other, voter, authority))) {
      voided.push({ user: voter.user, why: 'you have voted already, from another account' });
      continue;
    }
    seen.push(voter);
    demands.forEach((demand, index) => {
      const reasoned = !demand.requireReason || vote.reason !== undefined;
      if (reasoned && entitled.rules.includes(demand.rule)) counted[index] = (counted[index] ?? 0) + 1;
    });
  }
  const met = demands.length > 0 && demands.every((demand, index) => (counted[index] ?? 0) >= demand.quorum);
  return { counted, met, voided };
}

/** By account, by address, or by what the configuration says of both. */
export const isSameHuman = (
  a: Pick<Attestation, 'user' | 'email'>,
  b: Pick<Attestation, 'user' | 'email'>,
  { accountsOf }: Pick<Authority, 'accountsOf'>,
): boolean => a.user === b.user || sameEmail(a.email, b.email) || accountsOf(a.user).includes(b.user);

/**
 * Why a demand can no longer be met: requester and sponsor leave too few people. `members` answers undefined where
 * membership is unknown (groups and `oidc:` alike): then nothing is claimed.
 */
export function unmeetable(
  principal: Principal,
  demands: readonly Demand[],
  { requesterSlack, accountsOf }: Pick<Authority, 'requesterSlack' | 'accountsOf'>,
  members: (name: string) => readonly string[] | undefined,
): string | undefined {
  const sponsors = principal.sponsor === undefined ? [] : accountsOf(principal.sponsor);
  const excluded = new Set([...requesterSlack, ...sponsors]);
  for (const { rule, approvers, quorum } of demands) {
    const named = approvers.map((name) => (name.startsWith('oidc:') || isGroupName(name) ? members(name) : [name]));
    if (named.includes(undefined)) continue;
    const free = named.flatMap((users) => users ?? []).filter((user) => !excluded.has(user));
    const people = new Set(free.map((user) => [...accountsOf(user)].sort()[0])); // each human once
    if (people.size >= quorum) continue;
    const left = people.size === 0 ? 'nobody' : people.size === 1 ? 'one person' : `${people.size} people`;
    return `${rule} asks for ${quorum} of ${approvers.join(', ')}; without the requester and the sponsor ${left} can decide`;
  }
  return undefined;
}

/** What of a demand says how much an approval of it is worth. */
export type Asked = Pick<Demand, 'rule' | 'approvers' | 'quorum' | 'requireReason' | 'confirm' | 'expiresMs'>;

/** Does an approval of `asked` say at least as much as `demand` now wants? */
export function covers(asked: Asked, demand: Demand): boolean {
  const sameApprovers =
    asked.approvers.length === demand.approvers.length &&
    asked.approvers.every((name) => demand.approvers.includes(name));
  return (
    asked.rule === demand.rule &&
    sameApprovers &&
    asked.quorum >= demand.quorum &&
    (asked.requireReason || !demand.requireReason) &&
    (asked.confirm !== undefined || demand.confirm === undefined) &&
    asked.expiresMs <= demand.expiresMs
  );
}
