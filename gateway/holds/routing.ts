/** Who is asked, and where: what a card has to say about it, from the demands as they are. */
import type { Demand, Notify } from '../policy/policy.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';
import { type QuietHours, rungIn } from './quiet.ts';

const MOST_PEOPLE = 200;

export type RoutingDeps = {
  /** The default channel: where a card goes that its own channel cannot take. */
  readonly channel: () => string;
  readonly quietHours: () => QuietHours | undefined;
  readonly now: () => number;
};

export function routing({ channel, quietHours, now }: RoutingDeps): Follower {
  const route = (hold: Hold) => {
    const { notify: _, ring: __, people: ___, fallbackChannel: ____, ...rest } = hold.extra ?? {};
    const notify = union(hold.demands);
    const ring = rungIn(quietHours(), now());
    const people = [...new Set([...hold.oidc.values()].flat())].slice(0, MOST_PEOPLE);
    const elsewhere = hold.demands[0] !== undefined && hold.demands[0].channel !== channel();
    hold.extra = {
      ...rest,
      ...(notify === 'channel' ? {} : { notify }),
      ...(ring ? { ring: [...ring] } : {}),
      ...(people.length > 0 ? { people } : {}),
      ...(elsewhere ? { fallbackChannel: channel() } : {}),
    };
  };
  return { opening: route, changed: route };
}

/** What any of the demands asks for. */
export function union(demands: readonly Pick<Demand, 'notify'>[]): Notify {
  const asked = new Set(demands.map(({ notify }) => notify ?? 'channel'));
  if (asked.has('both') || asked.size > 1) return 'both';
  return asked.has('dm') ? 'dm' : 'channel';
}
