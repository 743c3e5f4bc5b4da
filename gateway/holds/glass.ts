/** Breaking the glass: one of `approvals.break_glass` releases a hold alone, with a reason; another admin looks at it after. */
import type { Attestation, VoteMessage } from '../../queue/votes.ts';
import type { Demand } from '../policy/policy.ts';
import type { Hold, Vote } from './hold.ts';
import { type Authority, entitlement, groupNames, type Tally } from './quorum.ts';

type Click = Extract<VoteMessage, { kind: 'vote' }>;

const MIN_REASON = 10; // characters: a word that says nothing is no reason

/** What somebody must be, to release this alone; undefined where nobody may. */
export function glassDemand(approvers: readonly string[], { operation, demands }: Hold): Demand | undefined {
  const [first] = demands;
  // What is not known may change privileges, which nobody does alone; nor does anybody change the gateway's own rules,
  // or approve what is to come.
  const never = operation.effects.some(({ action }) => action === 'dcl' || action === 'unknown');
  if (!first || approvers.length === 0 || never || operation.protocol === 'gate' || operation.plan) return undefined;
  const why = 'an emergency: one of these may release it alone, and another admin reviews it after';
  return { ...first, rule: 'break-glass', why, approvers, quorum: 1, requireReason: true };
}

/** Names of groups that say whether the votes suffice: of the demands, and of the glass where somebody broke it. */
export function namesOf(approvers: readonly string[], hold: Hold): string[] {
  const glass = breakingOf(hold) ? glassDemand(approvers, hold) : undefined;
  return groupNames(glass ? [...hold.demands, glass] : hold.demands);
}

export const breakingOf = (hold: Hold): Vote | undefined => [...hold.votes.values()].find(({ breaks }) => breaks);

/** Why this click may not release it alone; undefined when it may. `voter` is attested for the glass' groups. */
export function objection(
  glass: Demand | undefined,
  hold: Hold,
  click: Click,
  voter: Attestation,
  authority: Authority,
): string | undefined {
  if (!glass) return 'this cannot be released by one person alone';
  if ((click.reason ?? '').trim().length < MIN_REASON) return `say why, in at least ${MIN_REASON} characters`;
  const entitled = entitlement(voter, hold.operation.principal, [glass], authority);
  return entitled.ok ? undefined : entitled.why;
}

/** The count with the glass: met by whoever broke it, as long as that person may. */
export function withGlass(approvers: readonly string[], hold: Hold, counted: Tally, authority: () => Authority): Tally {
  const vote = breakingOf(hold);
  if (!vote) return counted;
  const glass = glassDemand(approvers, hold);
  const entitled = glass && entitlement(vote.voter, hold.operation.principal, [glass], authority());
  if (entitled?.ok) return { ...counted, met: true };
  const why = entitled ? entitled.why : 'this cannot be released by one person alone';
  return { ...counted, voided: [...counted.voided, { user: vote.user, why }] };
}

/** What is remembered of it until another admin signs. */
export type GlassBroken = {
  readonly hold: string;
  readonly shortId: string;
  readonly connection: string;
  readonly environment: string;
  readonly headline: string;
  readonly requester: string;
  readonly user: string;
  readonly name: string;
  readonly reason: string;
  readonly at: number;
};

export const glassBroken = (hold: Hold, voter: Attestation, reason: string, at: number): GlassBroken => ({
  hold: hold.id,
  shortId: hold.shortId,
  connection: hold.operation.connection,
  environment: hold.operation.environment,
  headline: hold.operation.headline.slice(0, 300),
  requester: hold.operation.principal.name.slice(0, 200),
  user: voter.user,
  name: voter.name,
  reason,
  at,
});
