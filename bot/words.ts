/** What a card says in words: headline, status, record. One sentence each, from typed facts; no markup, no literals. */
import { type Card, saidByTarget } from '../queue/cards.ts';
import { LOCAL_TIME } from './blocks.ts';
import { notification, oneLine } from './text.ts';

/** States in which a vote can still change something. */
export const isOpen = (card: Card): boolean => card.state === 'open' && card.settled === undefined;
/** States that nothing follows any more, but for the outcome of a released one. */
export const isOver = (card: Card): boolean => !['open', 'approved', 'released'].includes(card.state);

/** A change of the gateway itself has none, nor has what is only planned: nobody runs it yet, and nothing is counted. */
export const hasSession = ({ protocol, plan }: Card): boolean => protocol !== 'gate' && !plan;

/** `PRODUCTION · orders: DELETE on public.orders, no WHERE`. */
export function headline(card: Card): string {
  return `${oneLine(card.environment, 64).toUpperCase()} · ${oneLine(card.connection, 64)}: ${oneLine(card.headline, 520)}`;
}

/** The same with how many rows, once that is known. Not over open buttons: a longer line could move them. */
export function headlineWithRows(card: Card): string {
  const estimated = /about [\d,]+ rows?/.exec(card.estimate ?? '')?.[0];
  if (estimated === undefined) return headline(card);
  const rows = isOpen(card) ? estimated : (counted(card) ?? `estimated ${estimated}`);
  return `${headline(card)}, ${rows}`;
}

/** How many rows it came to, once the target said so: `550 rows`. */
export const counted = ({ outcome }: Card): string | undefined =>
  outcome?.kind === 'done' && outcome.rows !== undefined
    ? `${outcome.rows.toLocaleString('en-US')} ${outcome.rows === 1 ? 'row' : 'rows'}`
    : undefined;

export const clock = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(11, 19)} UTC`;
/** `2026-11-23 14:02 UTC` */
export const day = (epochMs: number): string => `${new Date(epochMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Made of numbers alone, so it may go into mrkdwn. */
export const slackDate = (epochMs: number): string =>
  `<!date^${Math.floor(epochMs / 1000)}^${LOCAL_TIME}|${day(epochMs)}>`;

/** What became of it, as a heading: `Approved`, `Denied`, … */
export function status(card: Card): { word: string; mark: string } {
  switch (card.state) {
    case 'open':
      return { word: 'Waiting for approval', mark: '⏳' };
    case 'approved':
      return { word: 'Approved', mark: '✅' };
    case 'released':
      return { word: 'Approved', mark: '✅' };
    case 'done':
      return card.outcome?.kind === 'failed'
        ? { word: saidByTarget(card.outcome.text) ? 'Approved, but it failed' : 'Approved, but not kept', mark: '⚠️' }
        : { word: 'Approved', mark: '✅' };
    case 'unknown':
      return { word: 'Approved, outcome unknown', mark: '⚠️' };
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
    const text = oneLine(card.outcome.text, 300);
    if (card.outcome.kind === 'failed' && saidByTarget(text)) return `Failed on the target: ${text}`;
    if (card.outcome.kind === 'failed') return text.charAt(0).toUpperCase() + text.slice(1);
    if (card.outcome.kind === 'done') return text;
    const why = text.replace(/^outcome unknown, check the target(?:: )?/i, '');
    return `${afterRelease(card)}${why && `: ${why}`}`;
  }
  if (card.state === 'open') return undefined;
  if (card.state === 'approved')
    return card.stopped?.commits ? 'About to commit.' : card.stopped ? 'About to go on.' : 'About to be released.';
  if (card.state === 'released') return `Released ${clock(card.releasedAt ?? card.openedAt)}, running.`;
  if (card.settled?.executed === 'no' && card.stopped?.commits) return 'Rolled back: nothing of it was kept.';
  if (card.settled?.executed === 'no')
    return card.stopped ? `Stopped after ${oneLine(card.stopped.after, 40)}.` : 'Nothing was run.';
  return `${afterRelease(card)}.`;
}

const afterRelease = (card: Card): string => {
  const at = card.releasedAt ?? (card.outcome ? card.settled?.at : undefined);
  return at === undefined
    ? 'Outcome unknown, check the target'
    : `Released ${clock(at)}, outcome unknown, check the target`;
};

/** The end in one sentence for notifications: nothing of the target's own words, which may quote data. */
export function result(card: Card): string {
  switch (card.outcome?.kind) {
    case 'done':
      return `${notification(card.outcome.text, 200)}.`;
    case 'failed':
      return 'Its error is on the card.';
    case 'unknown':
      return `${afterRelease(card)}.`;
    case undefined:
      return ran(card) ?? '';
  }
}

/** Why it ended as it did, where the state alone does not say. */
export function because(card: Card): string | undefined {
  if (card.state === 'expired') {
    return {
      rule: 'Nobody decided in time.',
      token: "The requester's token ended before anybody decided.",
      transaction: 'Nobody decided in the short time for a request inside a transaction.',
    }[card.expiresBy];
  }
  if (card.settled?.reason) return oneLine(card.settled.reason, 500);
  switch (card.state) {
    case 'withdrawn':
      return 'The requester is gone or cancelled.';
    case 'lost':
      return 'The gateway that held it is gone.';
    default:
      return undefined;
  }
}

/** What follows the time at which it expires: why then, where the rule alone does not say. */
export const expiryOf = (card: Card): string =>
  ({
    rule: '',
    token: ", when the requester's token ends",
    transaction: ', soon because it keeps locks in an open transaction',
  })[card.expiresBy];
