/** Who goes along with every hold, in the order they are told. */
import type { Proposals } from '../asks/propose.ts';
import type { Config } from '../config.ts';
import type { History } from '../gate/history.ts';
import { glassAlarm } from '../holds/alarm.ts';
import type { HoldsDeps } from '../holds/book.ts';
import type { Decisions } from '../holds/decisions.ts';
import type { Follower } from '../holds/follower.ts';
import { historian } from '../holds/history.ts';
import type { Hold } from '../holds/hold.ts';
import { reachFollower } from '../holds/reach.ts';
import { reminders } from '../holds/reminders.ts';
import { routing } from '../holds/routing.ts';
import { threads } from '../holds/thread.ts';
import { toldRequesters } from '../holds/told.ts';
import type { Reviews } from '../state/reviews.ts';

export function followersOf(
  deps: Pick<HoldsDeps, 'gateway' | 'publish' | 'admins' | 'clock' | 'log' | 'redact' | 'people' | 'oidcMembers'> & {
    readonly reviews: Reviews;
    readonly history: History;
    readonly decisions: Pick<Decisions, 'follower'>;
    readonly show: (hold: Hold) => void;
    readonly proposals: Pick<Proposals, 'follower'>;
    /** Approvals that outlive one operation. */
    readonly standing: readonly Follower[];
    readonly approvals: () => Pick<Config['approvals'], 'channel' | 'quietHours'>;
    readonly members: (name: string) => readonly string[] | undefined;
  },
): readonly Follower[] {
  const { publish, reviews, proposals, standing, history, show, admins, clock, redact, log } = deps;
  const quietHours = () => deps.approvals().quietHours;
  return [
    proposals.follower,
    glassAlarm({ publish, reviews, admins, clock, log }),
    ...standing,
    historian(history, redact),
    deps.decisions.follower,
    reachFollower({ show, redact, clock }),
    routing({ channel: () => deps.approvals().channel, quietHours, now: clock.now }),
    threads({ ...deps, quietHours }),
    reminders({ ...deps, quietHours }),
    toldRequesters(deps),
  ];
}
