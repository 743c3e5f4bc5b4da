/** The message in the channel: posted where its rule says or where it falls back to, and its gateway told where it hangs. */
import type { Logger } from 'pino';
import type { Card } from '../queue/cards.ts';
import type { VoteMessage } from '../queue/votes.ts';
import type { Finder } from './deliver-find.ts';
import { type Post, UNDERWAY_MS } from './deliver-post.ts';
import { asShown, channelOf, type Entry } from './entry.ts';
import type { MessageIndex } from './index.ts';
import type { People } from './people.ts';
import { remedy } from './remedies.ts';
import { type Slack, SlackError } from './slack.ts';
import { isOpen, isOver } from './words.ts';

const GONE = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed']);
/** With which a channel cannot take a card, whatever the card says. */
const CLOSED = new Set([
  'not_in_channel',
  'channel_not_found',
  'is_archived',
  'is_inactive',
  'shared',
  'restricted_action',
  'restricted_action_read_only_channel',
]);

type TellGateway = (gateway: string, message: VoteMessage, jobId: string) => Promise<void>;

export type OriginalOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly people: Pick<People, 'mentions'>;
  readonly tell: TellGateway;
  readonly finder: Finder;
  readonly post: Post;
  readonly log: Logger;
  readonly now: () => number;
};

export class Original {
  readonly #it: OriginalOptions;

  constructor(options: OriginalOptions) {
    this.#it = options;
  }

  /** False: one that another bot sent may still appear; look again soon. @throws SlackError */
  async show(entry: Entry): Promise<boolean> {
    const { index, post } = this.#it;
    const card = asShown(entry);
    const { hold } = card;
    let at = entry.ts === undefined ? undefined : { channel: channelOf(entry), ts: entry.ts };
    let edits = at !== undefined;
    if (!at) {
      const placed = await this.#first(entry, card);
      if (!placed) return false;
      at = { channel: placed.channel, ts: placed.ts };
      edits = placed.found;
      await index.set(hold, at);
      await index.unset(hold, 'posting', 'underway', 'reported');
      if (!edits) await index.set(hold, { shown: entry.card.sequence });
      await this.posted(card, at.channel, at.ts);
    }
    if (edits) {
      await post.edit(card, at);
      await index.set(hold, { shown: entry.card.sequence });
      if (entry.reported !== undefined) {
        await index.unset(hold, 'reported');
        await this.posted(card, at.channel, at.ts); // what kept people from it is over
      }
    }
    return true;
  }

  async #first(entry: Entry, card: Card) {
    const { index, finder, post, people, now } = this.#it;
    const channel = channelOf(entry);
    if (await finder.isShared(channel)) throw new SlackError('chat.postMessage', { kind: 'refused', error: 'shared' });
    const approvers = card.demands.flatMap((demand) => demand.approvers);
    const names = card.ring ?? [...new Set([...approvers, ...(card.people ?? [])])];
    const posting = entry.posting ?? now();
    const attempt = {
      channel,
      // Not the first of this hold, and yet never posted: the index may have been lost with Redis' data.
      since: entry.posting ?? (card.sequence > 1 ? card.openedAt : undefined),
      underway: entry.underway,
      mentions: isOpen(card) ? await people.mentions(names) : [],
      begin: () => index.set(card.hold, { posting, underway: now() + UNDERWAY_MS }),
    };
    return post.once(card, attempt).catch(async (error: unknown) => {
      await index.unset(card.hold, 'underway').catch(() => {}); // ends by itself
      throw error;
    });
  }

  /** What is to be done about a refusal: `again` at once, `over` where nothing is, `blocked` until somebody acts. */
  async refused(entry: Entry, code: string): Promise<'again' | 'over' | 'blocked'> {
    const { index, log, now } = this.#it;
    const { card } = entry;
    const { hold } = card;
    const over = isOver(asShown(entry));
    if (entry.ts !== undefined && GONE.has(code)) {
      if (entry.reposts > 0 || over) return 'over';
      await index.unset(hold, 'ts', 'channel', 'posting');
      await index.set(hold, { reposts: entry.reposts + 1, shown: 0 });
      return 'again';
    }
    if (entry.ts === undefined && entry.posting === undefined) await index.unset(hold, 'posting');
    const elsewhere = card.fallbackChannel !== undefined && channelOf(entry) !== card.fallbackChannel;
    if (CLOSED.has(code) && elsewhere && !over) {
      // Whoever has to decide does not see it any more, or never did: asked where everything else is asked.
      log.warn({ hold, channel: channelOf(entry), error: remedy(code) }, 'a card goes to the default channel');
      await index.unset(hold, 'ts', 'channel', 'posting', 'underway');
      await index.set(hold, { fallback: code, shown: 0 });
      return 'again';
    }
    if (entry.reported !== code) {
      // Told first, remembered after: a report that Redis did not take is made again with the next attempt.
      const jobId = `posted-${hold}-${card.sequence}-${code.replace(/[^a-z0-9_]/gi, '').slice(0, 40)}`;
      const message = { kind: 'posted', v: 1, hold, sequence: card.sequence, channel: channelOf(entry) } as const;
      const why = `the card could not be posted: ${remedy(code)}`.slice(0, 500);
      await this.#it.tell(card.gateway, { ...message, error: why }, jobId);
      await index.set(hold, { reported: code });
    }
    return over || now() > card.expiresAt + 60_000 ? 'over' : 'blocked';
  }

  /** Its gateway hears where it hangs. A link only where others can follow it. */
  async posted(card: Card, channel: string, ts: string): Promise<void> {
    if (isOver(card)) return; // its gateway waits for nothing any more, and may be gone with its queue
    const message: VoteMessage = { kind: 'posted', v: 1, hold: card.hold, sequence: card.sequence, channel, ts };
    const permalink = channel.startsWith('D') ? undefined : await this.link(channel, ts);
    await this.#it.tell(
      card.gateway,
      permalink ? { ...message, permalink } : message,
      `posted-${card.hold}-${ts}-${card.sequence}`,
    );
  }

  async link(channel: string, ts: string): Promise<string | undefined> {
    const link = await this.#it.slack.call('chat.getPermalink', { channel, message_ts: ts }).catch(() => undefined);
    return typeof link?.permalink === 'string' && link.permalink.length <= 500 ? link.permalink : undefined;
  }
}
