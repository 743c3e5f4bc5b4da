/** Approvals that outlive one operation: kept with the other gateways, tied to the holds and to what people ask. */
import { grantsAnswers } from '../asks/grants.ts';
import type { Audit } from '../audit/entry.ts';
import type { History } from '../gate/history.ts';
import type { Holds } from '../holds/broker.ts';
import { systemClock } from '../holds/clock.ts';
import type { Follower } from '../holds/follower.ts';
import { Grants, type GrantsDeps } from '../holds/grants.ts';
import { Plans } from '../holds/plans.ts';
import { withStanding } from '../holds/standing.ts';
import { grantStore } from '../state/grants.ts';
import { PlanStore } from '../state/plans.ts';
import type { Say } from './log.ts';
import type { Rulebook } from './rulebook.ts';
import type { Shared } from './shared.ts';

export type StandingApprovals = {
  readonly followers: readonly Follower[];
  /** These holds, asked only for what no approval covers. */
  before(holds: Pick<Holds, 'open'>): Pick<Holds, 'open'>;
  readonly answers: ReturnType<typeof grantsAnswers>;
  readonly plans: Plans;
};

export function createStanding(
  deps: Pick<GrantsDeps, 'publish' | 'frozen' | 'redact'> & {
    readonly shared: Pick<Shared, 'store' | 'subscriber'>;
    readonly rulebook: Pick<Rulebook, 'policy'>;
    readonly audit: Audit;
    readonly holds: () => Pick<Holds, 'show' | 'open'>;
    readonly history: Pick<History, 'latest'>;
    readonly say: Say;
  },
): StandingApprovals {
  const { shared, rulebook, audit, publish, frozen, redact, say } = deps;
  const clock = systemClock;
  const { policy } = rulebook;
  const store = grantStore(shared.store, clock.now);
  store.start(shared.subscriber);
  const common = { audit, policy, frozen, redact, history: deps.history, log: say };
  const grants = new Grants({ ...common, store, publish, clock, show: (hold) => deps.holds().show(hold) });
  const plans = new Plans({
    ...common,
    store: new PlanStore(shared.store, clock.now),
    publish,
    clock,
    holds: deps.holds,
  });
  return {
    followers: [grants.follower, plans.follower],
    before: (holds) => withStanding(holds, [grants, plans], { policy, audit }),
    plans,
    answers: grantsAnswers({ store, grants, now: clock.now }),
  };
}
