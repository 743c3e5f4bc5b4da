/** What bots know of one card: what its gateway sealed, where it hangs, what Slack shows of it. Pure. */
import type { Card } from '../queue/cards.ts';
import { afterDeath } from '../queue/leases.ts';
import { isOver } from './words.ts';

export type Entry = {
  readonly card: Card;
  /** The newest sequence that Slack shows; 0 for none. */
  readonly shown: number;
  readonly channel: string | undefined;
  readonly ts: string | undefined;
  /** Epoch ms of a post whose reply was never seen. */
  readonly posting: number | undefined;
  /** Epoch ms up to which a post that some bot sent may still appear. */
  readonly underway: number | undefined;
  readonly reposts: number;
  /** The gateway is gone: what is left to say, and since when. */
  readonly lost: { readonly state: 'lost' | 'unknown'; readonly at: number } | undefined;
  /** The error last reported to the gateway, so that it is said once. */
  readonly reported: string | undefined;
};

/** The card with what only bots know: that its gateway is gone. */
export function asShown(entry: Entry): Card {
  const { card, lost } = entry;
  if (!lost || isOver(card)) return card;
  return afterDeath(lost.state === 'unknown' ? { ...card, state: 'released' } : card, lost.at);
}
