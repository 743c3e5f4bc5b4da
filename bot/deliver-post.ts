/** One card onto one channel: posted once, found again where that is uncertain, edited after. */
import type { Logger } from 'pino';
import type { Card } from '../queue/cards.ts';
import type { VoteMessage } from '../queue/votes.ts';
import { CARD_EVENT, cardView } from './cards.ts';
import type { Finder } from './deliver-find.ts';
import { laidOut } from './deliver-layout.ts';
import { asShown, type Entry } from './entry.ts';
import type { MessageIndex } from './index.ts';
import type { People } from './people.ts';
import { type Slack, SlackError } from './slack.ts';
import { isOpen, isOver } from './words.ts';

export const UNDERWAY_MS = 12_000; // a bot waits 10 s for Slack's answer: as long may the post of one that was killed appear

export type TellGateway = (gateway: string, message: VoteMessage, jobId: string) => Promise<void>;

export type PostOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly people: People;
  readonly tell: TellGateway;
  readonly finder: Finder;
  readonly log: Logger;
  readonly now: () => number;
};

export class Post {
  readonly #it: PostOptions;

  constructor(options: PostOptions) {
    this.#it = options;
  }

  /** `wait`: one that another bot sent may still appear; look again before anything else. @throws SlackError */
  async first(entry: Entry): Promise<'done' | 'wait'> {
    const { index, slack, finder, log, now } = this.#it;
    const card = asShown(entry);
    if (await finder.isShared(card.channel))
      throw new SlackError('chat.postMessage', { kind: 'refused', error: 'shared' });
    // Not the first of this hold, and yet never posted: the index may have been lost with Redis' data.
    const since = entry.posting ?? (card.sequence > 1 ? card.openedAt : undefined);
    if (since !== undefined) {
      const sought = { type: CARD_EVENT, field: 'hold', value: card.hold, after: since };
      const found = await finder.find(card.channel, sought);
      if (found) {
        await index.set(card.hold, { channel: card.channel, ts: found });
        await index.unset(card.hold, 'posting', 'underway');
        await this.#posted(card, card.channel, found);
        await this.edit({ ...entry, channel: card.channel, ts: found });
        return 'done';
      }
      const left = (entry.underway ?? 0) - now();
      if (left > 0 && left <= UNDERWAY_MS) return 'wait';
    }
    const names = [...new Set(card.demands.flatMap((demand) => demand.approvers))];
    const mentions = isOpen(card) ? await this.#it.people.mentions(names) : [];
    const event_payload = { hold: card.hold, sequence: card.sequence };
    const posting = entry.posting ?? now();
    const sent = await laidOut(card, cardView(card, { mentions }), log, async (view) => {
      await index.set(card.hold, { posting, underway: now() + UNDERWAY_MS });
      return slack.call('chat.postMessage', {
        channel: card.channel,
        ...view,
        unfurl_links: false,
        unfurl_media: false,
        metadata: { event_type: CARD_EVENT, event_payload },
      });
    }).catch(async (error: unknown) => {
      await index.unset(card.hold, 'underway').catch(() => {}); // ends by itself
      throw error;
    });
    const channel = typeof sent.channel === 'string' ? sent.channel : card.channel;
    await index.set(card.hold, { channel, ts: String(sent.ts) });
    await index.unset(card.hold, 'posting', 'underway', 'reported');
    await index.shown(card.hold, entry.card.sequence);
    await this.#posted(card, channel, String(sent.ts));
    return 'done';
  }

  async edit(entry: Entry): Promise<void> {
    const card = asShown(entry);
    const to = { channel: entry.channel ?? card.channel, ts: entry.ts };
    await laidOut(card, cardView(card), this.#it.log, (view) => this.#it.slack.call('chat.update', { ...to, ...view }));
    await this.#it.index.shown(card.hold, entry.card.sequence);
  }

  async #posted(card: Card, channel: string, ts: string): Promise<void> {
    if (isOver(card)) return; // its gateway waits for nothing any more, and may be gone with its queue
    const message: VoteMessage = { kind: 'posted', v: 1, hold: card.hold, sequence: card.sequence, channel, ts };
    const link = await this.#it.slack.call('chat.getPermalink', { channel, message_ts: ts }).catch(() => undefined);
    const permalink = typeof link?.permalink === 'string' && link.permalink.length <= 500 ? link.permalink : undefined;
    await this.#it.tell(card.gateway, permalink ? { ...message, permalink } : message, `posted-${card.hold}-${ts}`);
  }
}
