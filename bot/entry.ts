/** What bots know of one card: what its gateway sealed, where it hangs, what Slack shows of it. Pure. */
import type { Card } from '../queue/cards.ts';
import { afterDeath } from '../queue/leases.ts';
import { remedy } from './remedies.ts';
import { isOver } from './words.ts';

/** The card in one person's direct messages. */
export type Copy = {
  readonly user: string;
  readonly channel: string;
  readonly ts?: string | undefined;
  /** As for the card itself, below. */
  readonly shown: number;
  readonly posting?: number | undefined;
  readonly underway?: number | undefined;
  /** It cannot be posted or edited any more: Slack's code. */
  readonly gone?: string | undefined;
};

export type Entry = {
  readonly card: Card;
  /** The sequence with which it came to be known here. */
  readonly first: number;
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
  /** Why its own channel could not take it: Slack's code, or `no_dm` where direct messages reached nobody. */
  readonly fallback: string | undefined;
  /** Of the lines it offers those that are over, each with what is to be said of it. */
  readonly over: ReadonlyMap<string, string>;
  readonly copies: readonly Copy[];
};

/** A card, and what is to be said of what it offered and offers no more. */
export type Shown = Card & { readonly over?: readonly string[] };

/** The card with what only bots know: that its gateway is gone, that what it offers is over. */
export function asShown(entry: Entry): Shown {
  const { lost, over } = entry;
  const card = over.size === 0 ? warned(entry) : without(over, warned(entry));
  if (!lost || isOver(card)) return card;
  return afterDeath(lost.state === 'unknown' ? { ...card, state: 'released' } : card, lost.at);
}

const without = (over: Entry['over'], card: Card): Shown => ({
  ...card,
  offers: (card.offers ?? []).filter(({ line }) => !over.has(line)),
  over: [...new Set(over.values())],
});

/** Whoever reads it in another place than where its rule says has to know why. */
function warned({ card, fallback }: Entry): Card {
  if (fallback === undefined) return card;
  const why =
    fallback === 'no_dm'
      ? 'no direct message reached anybody who may decide: asked here instead'
      : `its own channel (${card.channel}) could not take it (${remedy(fallback)}); asked here instead`;
  return { ...card, warnings: [why.slice(0, 300), ...card.warnings] };
}

/** Does this message show it: the card itself, or one of its copies? */
export const isShownAt = ({ channel, ts, copies }: Entry, at: { channel: string; ts: string }): boolean =>
  (ts === at.ts && channel === at.channel) || copies.some((copy) => copy.ts === at.ts && copy.channel === at.channel);

/** Is it known where any message of it hangs? */
export const wasPlaced = ({ ts, copies }: Entry): boolean =>
  ts !== undefined || copies.some((copy) => copy.ts !== undefined);

/** Did any message of it ever leave, as far as is known? */
export const wasSent = ({ ts, posting, copies }: Entry): boolean =>
  ts !== undefined || posting !== undefined || copies.some((copy) => (copy.ts ?? copy.posting) !== undefined);

/** Withdrawn before anybody was asked: there is nothing to say about it, and no room to say it in. */
export const isMoot = (entry: Entry): boolean =>
  entry.card.state === 'withdrawn' && entry.first === 1 && !wasSent(entry);

/** Where its message goes, or hangs. */
export const channelOf = ({ card, channel, fallback }: Entry): string =>
  channel ?? (fallback !== undefined && fallback !== 'no_dm' ? (card.fallbackChannel ?? card.channel) : card.channel);

/** Are direct messages all that its approvers get? */
export const isDirect = (entry: Entry): boolean =>
  entry.card.notify === 'dm' && entry.ts === undefined && entry.fallback === undefined;
