/** A requester who is a person with a Slack account hears of their request: that it waits, and what became of it. */
import { utc } from './clock.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';
import { type LinkedPerson, requesterSlack } from './linked.ts';
import { type SayingDeps, sayTo } from './saying.ts';
import { endOf } from './thread.ts';
import { oneLine } from './words.ts';

const RUNNING_MS = 3_000; // what ends sooner is told with its outcome

export type ToldDeps = SayingDeps & {
  readonly gateway: string;
  readonly redact: (text: string) => string;
  readonly people: () => readonly LinkedPerson[];
};

export function toldRequesters(deps: ToldDeps): Follower {
  const { clock, redact, gateway, people } = deps;
  const running = new Map<string, () => void>();
  const asker = (hold: Hold): string | undefined => {
    // A flood is told by its collecting card; who asks with /gate is answered there.
    const { kind } = hold.operation.principal;
    return kind === 'human' && hold.extra?.collectedBy === undefined ? requesterSlack(people(), hold)[0] : undefined;
  };
  const what = ({ operation, shortId }: Hold): string =>
    `${operation.environment.toUpperCase()} · ${operation.connection}: ${oneLine(redact(operation.headline)).slice(0, 500)} (request ${shortId})`;
  return {
    opened: (hold) => {
      const user = asker(hold);
      if (user === undefined || hold.operation.protocol === 'gate') return;
      const asked = [...new Set(hold.demands.flatMap(({ approvers }) => approvers))].join(', ');
      const text = `Your request waits for approval until ${utc(hold.deadline.at)}, by ${asked}. ${what(hold)}.`;
      sayTo(deps, hold, user, `held-${hold.id}`, text);
    },
    released: (hold) => {
      const user = asker(hold);
      if (user === undefined) return;
      const say = () => {
        const text = `Your request was approved by ${approvers(hold, redact)} and is running since ${utc(hold.releasedAt ?? clock.now())}. ${what(hold)}.`;
        sayTo(deps, hold, user, `running-${hold.id}`, text);
      };
      running.set(hold.id, clock.after(RUNNING_MS, say));
    },
    ended: (hold) => {
      running.get(hold.id)?.();
      running.delete(hold.id);
      const user = asker(hold);
      const { phase } = hold;
      // Who cancelled knows it; what nobody was asked about never waited.
      if (user === undefined || hold.reached !== 'queue' || (phase.kind === 'withdrawn' && phase.code === 'WITHDRAWN'))
        return;
      const passed = phase.kind === 'done' || phase.kind === 'unknown';
      const lead = passed ? `Your request was approved by ${approvers(hold, redact)}.` : 'Your request is over.';
      sayTo(deps, hold, user, `over-${hold.id}`, `${lead} ${endOf(hold, gateway, redact)} ${what(hold)}.`);
    },
  };
}

/** `Alice Moreau (“checked”) and Carol Lindqvist` */
const approvers = (hold: Hold, redact: (text: string) => string): string =>
  [...hold.votes.values()]
    .map(({ user, voter, reason }) => {
      const name = oneLine(hold.names?.get(user) ?? voter.name);
      return reason === undefined ? name : `${name} (“${oneLine(redact(reason)).slice(0, 300)}”)`;
    })
    .join(' and ') || 'nobody';
