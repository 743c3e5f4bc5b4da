/** What is said beside a card: sentences under it, rung or not, and to one person. Sent once; what cannot be sent now is kept by `notices.ts`. */
import type { CardPublisher } from '../../queue/carry.ts';
import type { Clock } from './clock.ts';
import type { Hold } from './hold.ts';

const MOST_RUNG = 50;
const MOST_TEXT = 3_000;

export type SayingDeps = {
  readonly publish: CardPublisher;
  readonly clock: Clock;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

/** In the thread under its card; under the collecting card where that stands for it. */
export function sayUnder(
  { publish, clock, log }: SayingDeps,
  hold: Hold,
  what: { readonly id: string; readonly text: string; readonly ring?: readonly string[] },
): void {
  const ring = (what.ring ?? []).slice(0, MOST_RUNG);
  publish
    .send(
      {
        kind: 'notice',
        v: 2,
        id: what.id,
        hold: hold.extra?.collectedBy ?? hold.id,
        channel: hold.demands[0]?.channel ?? '',
        text: what.text.slice(0, MOST_TEXT),
        at: clock.now(),
        ...(ring.length > 0 ? { ring } : {}),
      },
      what.id,
    )
    .catch((error) => log('what follows a card was not said', { hold: hold.id, error: String(error) }));
}

/** In a direct message, with a link to the card. */
export function sayTo({ publish, log }: SayingDeps, hold: Hold, user: string, id: string, text: string): void {
  publish
    .send({ kind: 'reply', v: 2, id, user, text: text.slice(0, MOST_TEXT), hold: hold.id }, id)
    .catch((error) => log('a requester was not told', { hold: hold.id, error: String(error) }));
}
