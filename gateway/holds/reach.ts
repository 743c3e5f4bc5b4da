/**
 * Fills in what a held operation would touch when its card is out already. Nothing of it is part of what is approved:
 * headline, risks, rules and digest stay, and so does the revision, so that a click made meanwhile counts.
 */
import type { Action, Reach } from '../operation.ts';
import type { Clock } from './clock.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';
import { reachedBy } from './reached.ts';

/** Of these people want to know how much they touch. */
const TOUCHING: ReadonlySet<Action> = new Set(['insert', 'update', 'delete', 'ddl', 'dcl', 'copy-in']);
const MAX_LINE = 300;
const AGAIN_MS = 30_000; // inside a transaction: who waits for it comes while people decide

export function reachFollower({
  show,
  redact,
  clock,
  againMs = AGAIN_MS,
}: {
  readonly show: (hold: Hold) => void;
  readonly redact: (text: string) => string;
  readonly clock: Pick<Clock, 'after'>;
  readonly againMs?: number;
}): Follower {
  const say = (text: string) =>
    redact(text)
      .slice(0, MAX_LINE)
      .replace(/[\uD800-\uDBFF]$/, ''); // never half a character
  const put = (hold: Hold, reach: Reach) => {
    const before = hold.reach;
    hold.reach = reach;
    if (hold.phase.kind !== 'open' && hold.phase.kind !== 'approved') return; // its record says what it did
    if (hold.operation.inTransaction) lookAgain(hold);
    if (before && news(before) === news(reach)) return;
    hold.extra = { ...hold.extra, estimate: say(reach.estimate), blast: reach.lines.map(say) };
    show(hold);
  };
  const looks = new WeakMap<Hold, () => void>();
  const lookAgain = (hold: Hold) => {
    const cancel = clock.after(againMs, () => {
      const wanted = () => hold.phase.kind === 'open';
      if (wanted()) void hold.context.reach?.(hold.operation, wanted).then((reach) => put(hold, reach));
    });
    looks.set(hold, cancel);
  };
  return {
    opened: (hold) => {
      const { operation, extra } = hold;
      if (extra?.collectedBy !== undefined || operation.stopped) return;
      if (!operation.effects.some(({ action }) => TOUCHING.has(action))) return;
      void reachedBy(hold)?.then((reach) => put(hold, reach));
    },
    ended: (hold) => looks.get(hold)?.(),
  };
}

/** What is worth an edit of the card: not that its transaction has grown older. */
const news = ({ estimate, lines }: Reach): string => [estimate, ...lines].join('\n').replace(/open for [^;]+/, '');
