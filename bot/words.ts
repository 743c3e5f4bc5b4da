/** What a card says in words: headline, status, record. One sentence each, from typed facts; no markup, no literals. */
import type { Card } from '../queue/cards.ts';
import { oneLine } from './text.ts';

/** States in which a vote can still change something. */
export const isOpen = (card: Card): boolean => card.state === 'open' && card.settled === undefined;
/** States that nothing follows any more, but for the outcome of a released one. */
export const isOver = (card: Card): boolean => !['open', 'approved', 'released'].includes(card.state);

/** `PRODUCTION · orders: DELETE on public.orders, no WHERE`. */
export function headline(card: Card): string {
  return `${oneLine(card.environment, 64).toUpperCase()} · ${oneLine(card.connection, 64)}: ${oneLine(card.headline, 520)}`;
}

export const clock = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(11, 19)} UTC`;
const day = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Slack shows it in the reader's own time zone. Made of numbers alone, so it may go into mrkdwn. */
export const slackDate = (epochMs: number): string =>
  `<!date^${Math.floor(epochMs / 1000)}^{date_short_pretty} {time_secs}|${day(epochMs)}>`;

/** What became of it, as a heading: `Approved`, `Denied`, … */
export function status(card: Card): { word: string; mark: string } {
  switch (card.state) {
    case 'open':
      return { word: 'Waiting for approval', mark: '⏳' };
    case 'approved':
      return { word: 'Approved', mark: '✅' };
    case 'released':
      return { word: 'Approved and released', mark: '✅' };
    case 'done':
      return card.outcome?.kind === 'failed'
        ? { word: 'Approved, then failed on the target', mark: '⚠️' }
        : { word: 'Approved and done', mark: '✅' };
    case 'unknown':
      return { word: 'Released, outcome unknown', mark: '⚠️' };
    case 'denied':
      return { word: 'Denied', mark: '⛔' };
    case 'expired':
      return { word: 'Expired', mark: '⌛' };
    case 'withdrawn':
      return { word: 'Withdrawn', mark: '↩️' };
    case 'lost':
      return { word: 'Lost', mark: '⚠️' };
  }
}

/** The sentence about what reached the target: never *nothing was run* unless the gateway says so. */
export function ran(card: Card): string | undefined {
  if (card.outcome) {
    return card.outcome.kind === 'unknown'
      ? `Released ${clock(card.releasedAt ?? card.settled?.at ?? card.openedAt)}, outcome unknown, check the target: ${oneLine(card.outcome.text, 300)}`
      : oneLine(card.outcome.text, 300);
  }
  if (card.state === 'open') return undefined;
  if (card.state === 'approved') return 'About to be released.';
  if (card.state === 'released') return `Released ${clock(card.releasedAt ?? card.openedAt)}, running.`;
  if (card.settled?.executed === 'no') return 'Nothing was run.';
  return card.releasedAt === undefined
    ? 'Outcome unknown, check the target.'
    : `Released ${clock(card.releasedAt)}, outcome unknown, check the target.`;
}

/** Why it ended as it did, where the state alone does not say. */
export function because(card: Card): string | undefined {
  if (card.settled?.reason) return oneLine(card.settled.reason, 500);
  switch (card.state) {
    case 'expired':
      return {
        rule: 'Nobody decided in time.',
        token: "The requester's token ended.",
        transaction: 'The time for a hold inside a transaction ended.',
      }[card.expiresBy];
    case 'withdrawn':
      return 'The requester is gone or cancelled.';
    case 'lost':
      return 'The gateway that held it is gone.';
    default:
      return undefined;
  }
}

/** The clock that runs out first, in words. */
export const expiryOf = (card: Card): string =>
  ({
    rule: 'by its rule',
    token: "when the requester's token ends",
    transaction: 'because it holds locks in a transaction',
  })[card.expiresBy];
