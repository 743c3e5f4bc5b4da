/**
 * Fills in what a held operation would touch when its card is out already. Nothing of it is part of what is approved:
 * headline, risks, rules and digest stay, and so does the revision, so that a click made meanwhile counts.
 */
import type { Action, Reach } from '../operation.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';
import { reachedBy } from './reached.ts';

/** Of these people want to know how much they touch. */
const TOUCHING: ReadonlySet<Action> = new Set(['insert', 'update', 'delete', 'ddl', 'dcl', 'copy-in']);
const MAX_LINE = 300;

export function reachFollower({
  show,
  redact,
}: {
  readonly show: (hold: Hold) => void;
  readonly redact: (text: string) => string;
}): Follower {
  const say = (text: string) =>
    redact(text)
      .slice(0, MAX_LINE)
      .replace(/[\uD800-\uDBFF]$/, ''); // never half a character
  const put = (hold: Hold, reach: Reach) => {
    hold.reach = reach;
    if (hold.phase.kind !== 'open' && hold.phase.kind !== 'approved') return; // its record says what it did
    hold.extra = { ...hold.extra, estimate: say(reach.estimate), blast: reach.lines.map(say) };
    show(hold);
  };
  return {
    opened: (hold) => {
      const { operation, extra } = hold;
      if (extra?.collectedBy !== undefined || operation.stopped) return;
      if (!operation.effects.some(({ action }) => TOUCHING.has(action))) return;
      void reachedBy(hold)?.then((reach) => put(hold, reach));
    },
  };
}
