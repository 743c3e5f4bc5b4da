/** Working copies of a card in the direct messages of those who may decide: posted once each, edited with the card. */
import type { Logger } from 'pino';
import type { Card } from '../queue/cards.ts';
import { isUserId } from './blocks.ts';
import { type Post, UNDERWAY_MS } from './deliver-post.ts';
import { asShown, type Copy, type Entry } from './entry.ts';
import type { MessageIndex } from './index.ts';
import type { People } from './people.ts';
import { type Slack, SlackError } from './slack.ts';
import { isOpen } from './words.ts';

const MOST_COPIES = 20;
const AT_ONCE = 5;
const UNCERTAIN_MS = 700;
const MOST_KNOWN = 5_000;

export type CopyOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly people: Pick<People, 'directory'>;
  readonly post: Post;
  readonly log: Logger;
  readonly now: () => number;
};

export type Copied = {
  /** Look again after so many ms; 0 when nothing is left to do. */
  readonly waitMs: number;
  /** All that hang, or may. */
  readonly hanging: readonly Copy[];
  readonly fresh: readonly Copy[];
};

export class Copies {
  readonly #it: CopyOptions;
  /** Direct-message channels by user; Slack never changes them. */
  readonly #channels = new Map<string, string>();

  constructor(options: CopyOptions) {
    this.#it = options;
  }

  /** Under the hold's lock. `all`: every copy may show something older, whatever is remembered of it. */
  async show(entry: Entry, all: boolean): Promise<Copied> {
    const card = asShown(entry);
    const known = new Map(entry.copies.map((copy) => [copy.user, copy]));
    if (isOpen(card) && card.notify !== undefined && card.notify !== 'channel') {
      for (const user of await this.#recipients(card)) {
        if (known.size < MOST_COPIES && !known.has(user)) known.set(user, { user, channel: '', shown: 0 });
      }
    }
    const stale = [...known.values()].filter(({ shown, gone }) => !gone && (all || shown < card.sequence));
    const fresh: Copy[] = [];
    let waitMs = 0;
    for (let at = 0; at < stale.length; at += AT_ONCE) {
      const round = await Promise.all(stale.slice(at, at + AT_ONCE).map((copy) => this.#one(entry, card, copy)));
      for (const { copy, waitMs: wait } of round) {
        if (copy.ts !== undefined && known.get(copy.user)?.ts === undefined) fresh.push(copy);
        known.set(copy.user, copy);
        waitMs = Math.max(waitMs, wait);
      }
    }
    const hanging = [...known.values()].filter(({ ts, posting, gone }) => !gone && (ts ?? posting) !== undefined);
    return { waitMs, hanging, fresh };
  }

  /** Posted or edited, or what is known of it after that failed. */
  async #one(entry: Entry, card: Card, before: Copy): Promise<{ copy: Copy; waitMs: number }> {
    const { index, log, now } = this.#it;
    let copy = before;
    const keep = async (change: Partial<Copy>) => {
      copy = { ...copy, ...change };
      await index.setCopy(card.hold, copy);
    };
    try {
      if (copy.ts !== undefined) {
        await this.#it.post.edit(card, { channel: copy.channel, ts: copy.ts });
        await keep({ shown: card.sequence });
        return { copy, waitMs: 0 };
      }
      if (!isOpen(card) && copy.posting === undefined) return { copy, waitMs: 0 }; // nobody was asked here
      const channel = copy.channel || (await this.#channelOf(copy.user));
      const placed = await this.#it.post.once(card, {
        channel,
        // One call a copy: only where the index may have been lost with Redis' data.
        since: copy.posting ?? (entry.first > 1 ? card.openedAt : undefined),
        underway: copy.underway,
        mentions: [],
        begin: () => keep({ channel, posting: copy.posting ?? now(), underway: now() + UNDERWAY_MS }),
      });
      if (!placed) return { copy, waitMs: UNCERTAIN_MS };
      const shown = placed.found ? 0 : card.sequence;
      await keep({ channel: placed.channel, ts: placed.ts, shown, posting: undefined, underway: undefined });
      if (!placed.found) return { copy, waitMs: 0 };
      await this.#it.post.edit(card, placed);
      await keep({ shown: card.sequence });
      return { copy, waitMs: 0 };
    } catch (error) {
      if (!(error instanceof SlackError)) throw error;
      const { problem } = error;
      if (copy.underway !== undefined) await keep({ underway: undefined });
      if (problem.kind === 'limited') {
        if (before.posting === undefined && copy.posting !== undefined) await keep({ posting: undefined });
        return { copy, waitMs: problem.retryMs };
      }
      log.warn({ hold: card.hold, user: copy.user, error: String(error) }, 'a direct message with a card not shown');
      if (problem.kind === 'uncertain') return { copy, waitMs: UNCERTAIN_MS };
      await keep({ gone: problem.error.slice(0, 100) });
      return { copy, waitMs: 0 };
    }
  }

  async #channelOf(user: string): Promise<string> {
    const known = this.#channels.get(user);
    if (known !== undefined) return known;
    const { channel } = await this.#it.slack.call('conversations.open', { users: user });
    const { id } = (channel ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string') throw new SlackError('conversations.open', { kind: 'refused', error: 'no_channel' });
    if (this.#channels.size > MOST_KNOWN) this.#channels.clear();
    this.#channels.set(user, id);
    return id;
  }

  /** Everybody who may decide, but whoever asks or answers for it; in quiet hours those of them who are rung. */
  async #recipients(card: Card): Promise<string[]> {
    const names = [...new Set(card.demands.flatMap(({ approvers }) => approvers))];
    const directory = await this.#it.people.directory([...names, ...(card.ring ?? [])]);
    const among = (listed: readonly string[]) => [
      ...listed.filter(isUserId),
      ...directory.groups.filter(({ name }) => listed.includes(name)).flatMap(({ members }) => members),
    ];
    const rung = card.ring && new Set(among(card.ring));
    const { slack, sponsor } = card.requester;
    const people = new Set([...among(names), ...(card.people ?? [])]);
    return [...people].filter((user) => user !== slack && user !== sponsor && (!rung || rung.has(user)));
  }
}
