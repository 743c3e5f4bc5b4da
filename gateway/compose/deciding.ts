/** Where operations are decided: the gate, the holds behind it, and what goes along with a hold. */
import { randomUUID } from 'node:crypto';
import type { Card } from '../../queue/cards.ts';
import { cardPublisher } from '../../queue/carry.ts';
import type { Audit } from '../audit/entry.ts';
import type { Config } from '../config.ts';
import { History } from '../gate/history.ts';
import { createGate, type Gate } from '../gate.ts';
import { inheritReview } from '../holds/alarm.ts';
import { createHolds, type Holds } from '../holds/broker.ts';
import { systemClock } from '../holds/clock.ts';
import { Decisions } from '../holds/decisions.ts';
import { keepingNotices } from '../holds/notices.ts';
import type { SessionRegistry } from '../listeners/listener.ts';
import type { Operation } from '../operation.ts';
import { Reviews } from '../state/reviews.ts';
import type { Metrics } from '../web/metrics.ts';
import { type Changes, createChanges } from './changes.ts';
import type { Crew } from './crew.ts';
import { followersOf } from './followers.ts';
import type { Identity } from './identity.ts';
import { redact, type Say } from './log.ts';
import { endOf, metered } from './metered.ts';
import { counted } from './places.ts';
import type { Rulebook } from './rulebook.ts';
import type { Keys, Shared } from './shared.ts';
import { createStanding, type StandingApprovals } from './standing.ts';

const CARDS_MS = 5_000; // how long an end waits until its last cards are in Redis

export type Deciding = {
  readonly gate: Gate;
  readonly holds: Holds;
  /** What people propose to change, and what they approved beyond one operation. */
  readonly changes: Changes;
  readonly standing: StandingApprovals;
  readonly history: History;
  readonly decisions: Decisions;
  /** What a dead gateway's hold leaves besides its end. @throws Error while Redis is gone */
  readonly inherit: (card: Card) => Promise<void>;
  /** Ends every hold, on its card, too. */
  close(): Promise<void>;
};

/** @param deps `closed`: why nothing is admitted now; `places`: of open holds, shared with the other workers */
export function createDeciding(deps: {
  readonly gateway: string;
  readonly config: () => Config;
  readonly keys: Keys;
  readonly shared: Shared;
  readonly rulebook: Rulebook;
  readonly identity: Identity;
  readonly registry: SessionRegistry;
  readonly metrics: Metrics;
  readonly audit: Audit;
  readonly places: Crew['places'];
  readonly closed: () => string | undefined;
  readonly say: Say;
}): Deciding {
  const { gateway, config, keys, shared, rulebook, identity, registry, metrics, audit, places, closed, say } = deps;
  const frozen = (operation: Operation) => shared.freezes.refusal(operation);
  const publish = keepingNotices(cardPublisher(shared.redis, keys.own), { clock: systemClock, log: say });
  const reviews = new Reviews(shared.store);
  const history = new History();
  const decisions = new Decisions(systemClock.now);
  const late = () => holds;
  const changes = createChanges({ config, rulebook, holds: late, audit, publish, redact, say });
  const standing = createStanding({
    shared,
    rulebook,
    audit,
    publish,
    frozen,
    history,
    holds: late,
    redact,
    say,
  });
  const people = () => config().identity.people;
  const admins = () => config().approvals.admins;
  const oidcMembers = (group: string) => identity.oidcMembers(group);
  const limits = () => ({
    openPerPrincipal: config().limits.openHoldsPerPrincipal,
    openPerConnection: config().limits.openHoldsPerConnection,
  });
  const followers = followersOf({
    standing: standing.followers,
    proposals: changes.proposals,
    publish,
    reviews,
    history,
    decisions,
    show: (hold) => holds.show(hold),
    gateway,
    approvals: () => config().approvals,
    people,
    members: (name) => holds.people.members(name),
    oidcMembers,
    admins,
    clock: systemClock,
    redact,
    log: say,
  });
  const holds: Holds = createHolds({
    gateway,
    audit,
    policy: rulebook.policy,
    publish,
    store: shared.store,
    lease: shared.lease,
    people,
    oidcMembers,
    names: () => rulebook.names(),
    admins,
    breakGlass: () => config().approvals.breakGlass,
    isRevoked: (what) => identity.revocations.isRevoked(what),
    reviews,
    frozen,
    followers,
    channel: () => config().approvals.channel,
    expiresInTransactionMs: () => config().approvals.expiresInTransactionMs,
    endSession: (session, reason) => {
      const live = registry.get(session);
      live?.end(reason);
      return live !== undefined;
    },
    evidence: evidenceOf(config),
    redact,
    limits,
    clock: systemClock,
    newId: randomUUID,
    log: say,
    onEnd: ({ state, ms }) => metrics.decided(endOf(state), ms),
  });
  const gate = metered(
    metrics,
    (timed) =>
      createGate({
        policy: rulebook.policy,
        holds: timed,
        audit,
        closed,
        frozen,
        redact,
        history,
        confirm: () => config().approvals.confirm,
        log: say,
      }),
    standing.before(counted(holds, { places, limits, audit })),
    (operation) => registry.asked(operation),
  );
  return {
    gate,
    holds,
    changes,
    standing,
    history,
    decisions,
    inherit: (card) => inheritReview({ publish, reviews, admins, clock: systemClock }, card),
    close: async () => {
      await holds.stop(CARDS_MS);
      await publish.close();
    },
  };
}

/** Where whoever may can see an operation's session, at that operation. */
const evidenceOf =
  (config: () => Config) =>
  ({ protocol, plan, session, id }: Operation): string | undefined => {
    const { web, recordings } = config();
    return web && recordings && protocol !== 'gate' && !plan
      ? `${web.url}/sessions/${session}?op=${id}#op-${id}`
      : undefined;
  };
