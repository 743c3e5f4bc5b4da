/** Who goes along with every hold, in the order they are told. */
import type { Proposals } from '../asks/propose.ts';
import type { History } from '../gate/history.ts';
import { glassAlarm } from '../holds/alarm.ts';
import type { HoldsDeps } from '../holds/book.ts';
import type { Follower } from '../holds/follower.ts';
import { historian } from '../holds/history.ts';
import type { Hold } from '../holds/hold.ts';
import { reachFollower } from '../holds/reach.ts';
import type { Reviews } from '../state/reviews.ts';

export function followersOf(
  deps: Pick<HoldsDeps, 'publish' | 'admins' | 'clock' | 'log' | 'redact'> & {
    readonly reviews: Reviews;
    readonly history: History;
    readonly show: (hold: Hold) => void;
    readonly proposals: Pick<Proposals, 'follower'>;
    /** Approvals that outlive one operation. */
    readonly standing: readonly Follower[];
  },
): readonly Follower[] {
  const { publish, reviews, proposals, standing, history, show, admins, clock, redact, log } = deps;
  return [
    proposals.follower,
    glassAlarm({ publish, reviews, admins, now: clock.now, log }),
    ...standing,
    historian(history, redact),
    reachFollower({ show, redact }),
  ];
}
