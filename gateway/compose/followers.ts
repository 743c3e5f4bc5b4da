/** Who goes along with every hold, in the order they are told. */
import type { Proposals } from '../asks/propose.ts';
import { glassAlarm } from '../holds/alarm.ts';
import type { HoldsDeps } from '../holds/book.ts';
import type { Follower } from '../holds/follower.ts';
import type { Reviews } from '../state/reviews.ts';

export function followersOf(
  deps: Pick<HoldsDeps, 'publish' | 'admins' | 'clock' | 'log'> & {
    readonly reviews: Reviews;
    readonly proposals: Pick<Proposals, 'follower'>;
  },
): readonly Follower[] {
  const { publish, reviews, proposals, admins, clock, log } = deps;
  return [proposals.follower, glassAlarm({ publish, reviews, admins, now: clock.now, log })];
}
