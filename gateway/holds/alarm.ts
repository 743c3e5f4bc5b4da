/** A glass was broken: the channel hears of it at once, and the review stays open until another admin signs it. */
import type { Card, CardJob } from '../../queue/cards.ts';
import type { CardPublisher } from '../../queue/carry.ts';
import type { Reviews } from '../state/reviews.ts';
import type { Clock } from './clock.ts';
import type { Follower } from './follower.ts';
import { breakingOf, type GlassBroken, glassBroken } from './glass.ts';
import { oneLine } from './words.ts';

const RETRY_MS = 1_000;

export type AlarmDeps = {
  readonly publish: CardPublisher;
  readonly reviews: Pick<Reviews, 'drop' | 'find'>;
  readonly admins: () => readonly string[];
  readonly clock: Pick<Clock, 'now' | 'after'>;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

export function glassAlarm(deps: AlarmDeps): Follower {
  const { publish, log, clock } = deps;
  return {
    released: (hold) => {
      const vote = breakingOf(hold);
      if (!vote) return;
      const job = alarm(
        deps,
        glassBroken(hold, vote.voter, vote.reason ?? '', vote.at),
        hold.demands[0]?.channel ?? '',
      );
      publish
        .send(job, job.id)
        .catch((error) => log('a broken glass could not be announced', { hold: hold.id, error: String(error) }));
    },
    ended: (hold) => {
      // What was not released by it needs no review; what was, or may have been, stays open.
      const went = hold.phase.kind === 'done' || hold.phase.kind === 'unknown';
      if (hold.glass === undefined || (went && breakingOf(hold))) return;
      forget(deps.reviews, hold.id, clock, log);
    },
  };
}

/** Nothing was released by it after all. What was withdrawn because Redis is away is forgotten when it is back. */
export function forget(
  reviews: Pick<Reviews, 'drop'>,
  hold: string,
  clock: Pick<Clock, 'after'>,
  log: AlarmDeps['log'],
): void {
  reviews.drop(hold).catch((error) => {
    log('a review of nothing stays open until Redis answers', { hold, error: String(error) });
    clock.after(RETRY_MS, () => forget(reviews, hold, clock, log));
  });
}

/**
 * The end of what a dead gateway left: of what was not released nothing is to be reviewed, and what was is announced,
 * in case nobody was told. @throws Error while Redis is gone
 */
export async function inheritReview(deps: Omit<AlarmDeps, 'log'>, { hold, state, channel }: Card): Promise<void> {
  const { reviews, publish } = deps;
  if (state !== 'unknown' && state !== 'done') return reviews.drop(hold);
  const found = await reviews.find(hold);
  if (!found) return;
  const job = alarm(deps, found.record, channel);
  await publish.send(job, job.id);
}

/** Once a hold, whoever says it. */
function alarm(
  { admins, clock }: Pick<AlarmDeps, 'admins' | 'clock'>,
  { hold, shortId, environment, connection, headline, requester, name, reason }: GlassBroken,
  channel: string,
): Extract<CardJob, { kind: 'notice' }> {
  const what = `${environment.toUpperCase()} · ${connection}: ${headline}`;
  const why = oneLine(reason).slice(0, 500);
  return {
    kind: 'notice',
    v: 2,
    id: `glass-${hold}`,
    channel,
    text: `Break-glass: ${name} released request ${shortId} of ${requester} alone. ${what}. Reason: ${why}. Another admin has to review this.`,
    at: clock.now(),
    ring: [...admins()],
    offers: [
      {
        label: 'Sign the review',
        line: reviewLine(hold),
        confirm: 'You have looked at what was run, and at the reason.',
      },
    ],
  };
}

/** What is said to sign it. */
export const reviewLine = (hold: string): string => `review ${hold}`;
