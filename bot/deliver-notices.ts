/** What is said beside cards: under them, to a channel, to one person. Each at most once. */
import type { Logger } from 'pino';
import type { CardJob } from '../queue/cards.ts';
import type { Envelope } from '../queue/sign.ts';
import type { Finder } from './deliver-find.ts';
import type { Offered } from './deliver-offers.ts';
import { noticeView, ringing } from './deliver-words.ts';
import { asShown, channelOf, type Entry, isDirect, isMoot } from './entry.ts';
import type { MessageIndex } from './index.ts';
import type { People } from './people.ts';
import { remedy } from './remedies.ts';
import { refusal, type Slack, SlackError } from './slack.ts';
import { reply } from './text.ts';
import { because, isOver, ran, status } from './words.ts';

const NOTICE_EVENT = 'countersign_notice';
const REPLY_MS = 600_000;
const NOTICE_MS = 86_400_000;
const CARD_MS = 600_000; // what follows a card that is not up by then is of no use any more
const LINK_MS = 20_000; // how long a link to the card is waited for

type Reply = Extract<CardJob, { kind: 'reply' }>;
type Notice = Extract<CardJob, { kind: 'notice' }>;

export type NoticeOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly people: Pick<People, 'mentions'>;
  readonly finder: Finder;
  readonly offered: Offered;
  /** Does a card wait for this channel? */
  readonly isWanted: (channel: string) => boolean;
  readonly log: Logger;
  readonly now: () => number;
};

type Place = { readonly channel: string; readonly thread?: string; readonly name: string };

export class Notices {
  readonly #it: NoticeOptions;

  constructor(options: NoticeOptions) {
    this.#it = options;
  }

  /** @throws SlackError where the queue should try again */
  async reply(job: Reply): Promise<void> {
    const name = `reply-${job.id}`;
    const link = job.hold === undefined ? undefined : await this.#linkTo(job.hold);
    if (!(await this.#it.index.once(name, REPLY_MS))) return;
    await this.#tellAlone(job, link).catch(async (error: unknown) => {
      if (!(error instanceof SlackError) || error.problem.kind !== 'limited') throw error;
      await this.#it.index.again(name); // not executed: the queue may try again
      throw error;
    });
  }

  /** Where they asked, or in a direct message. */
  async #tellAlone({ channel, user, text }: Reply, link: string | undefined): Promise<void> {
    if (channel !== undefined) return this.whisper(channel, user, text);
    try {
      const opened = await this.#it.slack.call('conversations.open', { users: user });
      const { id } = (opened.channel ?? {}) as Record<string, unknown>;
      const said = link === undefined ? reply(text) : `${reply(text)} <${link}|Open its card>`;
      await this.#it.slack.call('chat.postMessage', { channel: id, text: said, unfurl_links: false });
    } catch (error) {
      if (error instanceof SlackError && error.problem.kind === 'limited') throw error;
      this.#it.log.warn({ user, error: String(error) }, 'direct message not delivered');
    }
  }

  /** A card in a channel, once it is up. @throws Error while it may come. */
  async #linkTo(hold: string): Promise<string | undefined> {
    const { index, slack, now } = this.#it;
    const entry = await index.read(hold);
    if (!entry || isDirect(entry)) return undefined;
    if (entry.ts === undefined) {
      if (isOver(entry.card) || now() - entry.card.openedAt > LINK_MS) return undefined;
      throw new Error('its card is not up yet');
    }
    const where = { channel: channelOf(entry), message_ts: entry.ts };
    const { permalink } = await slack.call('chat.getPermalink', where).catch(() => ({ permalink: undefined }));
    return typeof permalink === 'string' && /^https?:\/\/[^\s<>|]+$/.test(permalink) ? permalink : undefined;
  }

  /** Tell one person something. What Slack refuses is logged: it is never the only copy of a decision. */
  async whisper(channel: string, user: string, text: string): Promise<void> {
    try {
      await this.#it.slack.call('chat.postEphemeral', { channel, user, text: reply(text) });
    } catch (error) {
      if (error instanceof SlackError && error.problem.kind === 'limited') throw error;
      this.#it.log.warn({ channel, user, error: String(error) }, 'reply not delivered');
    }
  }

  /** @throws Error where the queue should try again */
  async notice(job: Notice, envelope?: Envelope): Promise<void> {
    for (const place of await this.#placesOf(job)) await this.#once(job, place, envelope);
  }

  /** Under its card: its gateway is gone, and nobody else will say so. @throws SlackError */
  async lost(entry: Entry): Promise<void> {
    const card = asShown(entry);
    const text = [`${status(card).word}`, because(card), ran(card)].map((part) => part?.replace(/\.$/, ''));
    const { hold, channel } = card;
    const at = entry.lost?.at ?? this.#it.now();
    const said = `${text.filter(Boolean).join('. ')}.`;
    await this.notice({ kind: 'notice', v: 2, id: `lost-${hold}`, hold, channel, text: said, at });
  }

  async #once(job: Notice, { channel, thread, name }: Place, envelope: Envelope | undefined): Promise<void> {
    const { index, finder, offered, slack, people, log, now } = this.#it;
    const hangs = async (ts: unknown, shown = job) => {
      const { offers = [] } = shown;
      if (envelope && offers.length > 0) await offered.posted({ channel, ts: String(ts) }, offers, job, envelope);
    };
    // What rings nobody waits while somebody's card does: Slack takes about one message a second.
    if (job.hold && !job.ring?.length && this.#it.isWanted(channel))
      throw new SlackError('chat.postMessage', { kind: 'limited', retryMs: 1_000 });
    const first = await index.once(`notice-${name}`, NOTICE_MS);
    if (!first) {
      // Tried before: by a bot that finished, or one whose reply was lost.
      const sought = { type: NOTICE_EVENT, field: 'id', value: job.id, after: job.at, thread };
      const ts = await finder.find(channel, sought);
      if (ts !== undefined) return hangs(ts);
      if (now() - job.at > NOTICE_MS) return;
    }
    const ring = ringing(await people.mentions(job.ring ?? []));
    const { said, over } = await offered.asNow(job);
    try {
      const { ts } = await slack.call('chat.postMessage', {
        channel,
        ...noticeView(said, ring, over),
        ...(thread ? { thread_ts: thread } : {}),
        unfurl_links: false,
        unfurl_media: false,
        metadata: { event_type: NOTICE_EVENT, event_payload: { id: job.id } },
      });
      await hangs(ts, said);
    } catch (error) {
      const code = refusal(error);
      const limited = error instanceof SlackError && error.problem.kind === 'limited';
      if (first && limited) await index.again(`notice-${name}`); // not executed: there is nothing to look for
      if (code === undefined) throw error; // the queue tries again
      log.error({ channel, error: remedy(code) }, 'notice not posted');
    }
  }

  /** The channel, or under every message of its hold that approvers go by. */
  async #placesOf(job: Notice): Promise<Place[]> {
    if (job.hold === undefined) return [{ channel: job.channel, name: job.id }];
    const { index, now } = this.#it;
    let entry = await index.read(job.hold);
    const collecting = entry?.ts === undefined ? entry?.card.collectedBy : undefined;
    if (collecting !== undefined) entry = await index.read(collecting);
    if (!entry || isMoot(entry)) return [];
    const { card, ts, copies } = entry;
    const places: Place[] = ts === undefined ? [] : [{ channel: channelOf(entry), thread: ts, name: job.id }];
    if (card.notify === 'dm')
      for (const { user, channel, ts: thread, gone } of copies)
        if (thread !== undefined && !gone) places.push({ channel, thread, name: `${job.id}-${user}` });
    if (places.length === 0 && now() - job.at < CARD_MS) throw new Error('its card is not up yet');
    return places;
  }
}
