/** One hold in memory, and what it looks like on a card. The broker moves it; this file only knows its shape. */
import type { Card } from '../../queue/cards.ts';
import { reviewOf } from '../../queue/review.ts';
import type { Attestation, Receipt } from '../../queue/votes.ts';
import { amount } from '../amount.ts';
import type { AdmitContext, Permit } from '../gate.ts';
import type { Operation, Outcome, Reach, Stopped } from '../operation.ts';
import type { Demand } from '../policy/policy.ts';
import { type ExpiresBy, executed, type Phase } from './lifecycle.ts';

/** Who voted at a terminal, as a verified token said, when that token ends, and by what it can be revoked. */
export type TerminalVoter = {
  readonly issuer: string;
  readonly subject: string;
  readonly name: string;
  readonly email?: string;
  readonly endsAt: number;
  readonly jti?: string | undefined;
  readonly hash?: string | undefined;
};

export type Vote = {
  readonly user: string;
  readonly reason: string | undefined;
  readonly at: number;
  readonly remark: string | undefined;
  voter: Attestation;
  /** Monotonic ms of the newest attestation. */
  attestedAt: number;
  /** Given for what has the same shape, too, for so many minutes. */
  readonly grantMinutes?: number;
  /** Given to release it alone: counts for no rule, and for nothing but breaking the glass. */
  readonly breaks?: boolean;
  /** What was estimated when it was given, rows: what comes later is no number that its voter saw. */
  readonly estimated?: number | undefined;
  /** Given at a signed-in terminal: attested by the issuer's token, where Slack may be out of reach. */
  readonly terminal?: TerminalVoter;
};

export type Hold = {
  readonly id: string;
  readonly shortId: string;
  readonly operation: Operation;
  readonly context: AdmitContext;
  readonly salt: Uint8Array;
  /** Epoch and monotonic ms. */
  readonly openedAt: number;
  readonly openedMonotonic: number;
  /** The lease's term it was opened in: it is released in no other. */
  readonly term: number;
  demands: readonly Demand[];
  policyVersion: string;
  digest: string;
  revision: number;
  sequence: number;
  phase: Phase;
  /** All rules that matched when it was asked for. */
  readonly rules: readonly string[];
  /** Is its opening in the audit trail? */
  opened: boolean;
  /** How far it got towards people: `index` where Redis may know of it, `queue` where a bot may have its card. */
  reached: 'nobody' | 'index' | 'queue';
  releasedAt: number | undefined;
  /** Approvals in order, by Slack user. (A denial settles at once.) */
  readonly votes: Map<string, Vote>;
  // Made with the first click: most of thousands of holds wait without one.
  /** Names of people who voted, for the client. */
  names: Map<string, string> | undefined;
  /** Clicks seen, per Slack user. */
  clicks: Map<string, number> | undefined;
  receipts: Map<string, Promise<Receipt>> | undefined;
  counted: readonly number[];
  deadline: { readonly at: number; readonly by: ExpiresBy };
  /** People in the `oidc:` groups that the demands name, as last read. */
  oidc: ReadonlyMap<string, readonly string[]>;
  /** E-mail addresses of the Slack accounts that may not vote (see `partial`), once a bot has been asked. */
  partialEmails: ReadonlyMap<string, string | undefined> | undefined;
  confirming: boolean;
  /** Its glass: somebody's word is being looked at, or may be remembered for review. */
  glass: 'breaking' | 'remembered' | undefined;
  /** Why nobody sees its card yet, as the bot last said. */
  unseen: string | undefined;
  /** Where its card hangs, once a bot has said so. */
  posted: { readonly channel: string; readonly ts: string; readonly permalink: string | undefined } | undefined;
  /** The audit trail's head when it was decided. */
  auditHead: string | undefined;
  /** What goes along with it has to say on its card; made when there is something. */
  extra: CardExtra | undefined;
  /** What it would touch, once its target has said. */
  reach: Reach | undefined;
  cancelDeadline: () => void;
  cancelReminder: () => void;
  stopListening: () => void;
  readonly resolve: (permit: Permit) => void;
  readonly reject: (error: Error) => void;
};

/** Parts of a card that come from elsewhere, as they must stand there: within the card's limits, past the detectors. */
export type CardExtra = {
  -readonly [K in
    | 'estimate'
    | 'blast'
    | 'history'
    | 'fallbackChannel'
    | 'notify'
    | 'ring'
    | 'people'
    | 'grants'
    | 'granted'
    | 'breakGlass'
    | 'collectedBy'
    | 'offers']?: Card[K];
};

/** At most `max` UTF-16 units, never half a surrogate pair. */
function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = /[\uD800-\uDBFF]/.test(text.charAt(max - 2)) ? max - 2 : max - 1;
  return `${text.slice(0, end)}…`;
}

/** The card as it must look now. Raises the hold's sequence: every card made is newer than all before it. */
export function cardOf(hold: Hold, gateway: string, redact: (text: string) => string): Card {
  const { operation } = hold;
  const { principal } = operation;
  hold.sequence += 1;
  const settled = settledOf(hold, redact);
  const outcome = hold.phase.kind === 'done' || hold.phase.kind === 'unknown' ? hold.phase.outcome : undefined;
  return {
    hold: hold.id,
    shortId: hold.shortId,
    gateway,
    revision: hold.revision,
    sequence: hold.sequence,
    state: hold.phase.kind,
    channel: hold.demands[0]?.channel ?? '',
    digest: hold.digest,
    environment: cut(operation.environment, 64),
    connection: cut(operation.connection, 64),
    protocol: operation.protocol,
    headline: cut(redact(operation.headline), 500), // it names tables, and a client names its own
    risks: operation.risks.slice(0, 10).map((risk) => cut(redact(risk), 120)),
    requester: {
      name: cut(principal.name, 200),
      kind: principal.kind,
      subject: cut(principal.subject, 400),
      issuer: cut(principal.issuer, 400),
      ...(principal.sponsor === undefined ? {} : { sponsor: principal.sponsor }),
      ...(principal.slack === undefined ? {} : { slack: principal.slack }),
      ...(principal.purpose === undefined ? {} : { purpose: cut(principal.purpose, 500) }),
    },
    statement: operation.shown,
    parameters: parametersOf(operation),
    demands: hold.demands.map((demand, index) => ({
      rule: demand.rule,
      why: cut(demand.why, 500),
      approvers: [...demand.approvers],
      quorum: demand.quorum,
      counted: hold.counted[index] ?? 0,
      requireReason: demand.requireReason,
    })),
    votes: [...hold.votes.values()].map((vote) => ({
      user: vote.user,
      decision: 'approve' as const,
      at: vote.at,
      ...(vote.reason === undefined ? {} : { reason: cut(redact(vote.reason), 1000) }),
      ...(vote.remark === undefined ? {} : { remark: cut(vote.remark, 200) }),
    })),
    openedAt: hold.openedAt,
    expiresAt: Math.max(0, Math.round(hold.deadline.at)),
    expiresBy: hold.deadline.by,
    warnings: warningsOf(operation),
    ...(operation.plan ? { plan: true } : {}),
    ...(operation.stopped ? { stopped: stoppedOf(operation.stopped, redact) } : {}),
    ...(settled ? { settled } : {}),
    ...(hold.releasedAt === undefined ? {} : { releasedAt: hold.releasedAt }),
    ...(outcome ? { outcome: outcomeOf(outcome, operation.plan ? 'gate' : operation.protocol, redact) } : {}),
    ...(hold.auditHead === undefined ? {} : { auditHead: hold.auditHead }),
    ...hold.extra,
  };
}

const parametersOf = ({ shownParameters }: Operation): string[] =>
  shownParameters.map((parameter) => cut(parameter, 2_100));

/** Can it be approved from the last page of Details only? */
export const needsDetails = (operation: Operation): boolean =>
  reviewOf({ statement: operation.shown, parameters: parametersOf(operation) }).needed;

function warningsOf({ caps }: Operation): string[] {
  if (!caps) return [];
  const rows = caps.rows.toLocaleString('en-US');
  const bytes = caps.bytes.toLocaleString('en-US');
  return [`the data that follows is not reviewed (at most ${rows} rows, ${bytes} bytes)`];
}

/** The detectors see a value before it is cut: half a number is none to them. */
const stoppedOf = (
  { rows, preview, touched }: Stopped,
  redact: (text: string) => string,
): NonNullable<Card['stopped']> => ({
  after: amount('rows', rows),
  ...(touched ? { commits: true } : {}),
  preview: preview.slice(0, 3).map((row) => row.slice(0, 10).map((value) => cut(redact(value), 200))),
});

function settledOf(hold: Hold, redact: (text: string) => string): Card['settled'] {
  const { phase } = hold;
  switch (phase.kind) {
    case 'open':
      return undefined;
    case 'approved':
    case 'released':
    case 'done':
    case 'unknown':
      return { at: hold.releasedAt ?? phase.at, executed: executed(phase) };
    case 'denied':
      return { at: phase.at, by: cut(phase.by, 64), reason: cut(redact(phase.reason), 1000), executed: 'no' };
    case 'withdrawn':
      return { at: phase.at, reason: cut(redact(phase.reason), 1000), executed: 'no' };
    case 'expired':
      return { at: phase.at, reason: `nobody decided in time (${phase.clock})`, executed: 'no' };
  }
}

/** `DELETE 41,207 rows in 1.3 s`; the target's own words only past the detectors. */
function outcomeOf(
  outcome: Outcome,
  protocol: Operation['protocol'],
  redact: (text: string) => string,
): NonNullable<Card['outcome']> {
  const ms = Math.max(0, outcome.ms);
  const took = ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
  switch (outcome.kind) {
    case 'done': {
      // Of a change of the gateway itself, and of a plan: what was done, in as many words.
      if (protocol === 'gate') return { kind: 'done', text: cut(redact(outcome.tag), 500), ms };
      const verb = /^[A-Z][A-Z ]{0,60}/.exec(outcome.tag)?.[0].trim() ?? 'done';
      const rows = outcome.rows === undefined ? '' : ` ${amount('rows', outcome.rows)}`;
      return {
        kind: 'done',
        text: `${verb}${rows} in ${took}${outcome.note === undefined ? '' : `, ${outcome.note}`}`,
        ms,
        ...(outcome.rows === undefined ? {} : { rows: outcome.rows }),
      };
    }
    case 'failed':
      // Without a SQLSTATE before it: what the gateway did itself.
      return {
        kind: 'failed',
        text: cut(`${outcome.here ? '' : `${outcome.sqlstate}: `}${redact(outcome.message)}`, 500),
        ms,
      };
    case 'unknown':
      return { kind: 'unknown', text: cut(`outcome unknown, check the target: ${redact(outcome.reason)}`, 500), ms };
  }
}
