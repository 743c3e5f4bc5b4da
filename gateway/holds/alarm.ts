/** A glass was broken: the channel hears of it at once, and the review stays open until another admin signs it. */
import type { CardPublisher } from '../../queue/carry.ts';
import type { Reviews } from '../state/reviews.ts';
import type { Follower } from './follower.ts';
import { breakingOf } from './glass.ts';
import { oneLine } from './words.ts';

export type AlarmDeps = {
  readonly publish: CardPublisher;
  readonly reviews: Pick<Reviews, 'drop'>;
  readonly admins: () => readonly string[];
  readonly now: () => number;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

export function glassAlarm({ publish, reviews, admins, now, log }: AlarmDeps): Follower {
  return {
    released: (hold) => {
      const vote = breakingOf(hold);
      if (!vote) return;
      const { operation, shortId } = hold;
      const reason = oneLine(vote.reason ?? '').slice(0, 500);
      const what = `${operation.environment.toUpperCase()} · ${operation.connection}: ${operation.headline.slice(0, 300)}`;
      const text = `Break-glass: ${vote.voter.name} released request ${shortId} of ${operation.principal.name} alone. ${what}. Reason: ${reason}. Another admin has to review this.`;
      const id = `glass-${hold.id}`;
      const sign = {
        label: 'Sign the review',
        line: `review ${hold.id}`,
        confirm: 'You have looked at what was run, and at the reason.',
      };
      publish
        .send(
          {
            kind: 'notice',
            v: 2,
            id,
            channel: hold.demands[0]?.channel ?? '',
            text,
            at: now(),
            ring: [...admins()],
            offers: [sign],
          },
          id,
        )
        .catch((error) => log('a broken glass could not be announced', { hold: hold.id, error: String(error) }));
    },
    ended: (hold) => {
      // What was not released by it needs no review; what was, or may have been, stays open.
      const went = hold.phase.kind === 'done' || hold.phase.kind === 'unknown';
      if (hold.glass === undefined || (went && breakingOf(hold))) return;
      reviews.drop(hold.id).catch((error) => log('a review stays open', { hold: hold.id, error: String(error) }));
    },
  };
}
