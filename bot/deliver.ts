/** Cards onto Slack: each posted once and edited after, newest only, in order, whatever fails on the way. */
import type { Logger } from 'pino';
import type { Card, CardJob } from '../queue/cards.ts';
import { afterDeath } from '../queue/leases.ts';
import type { Envelope } from '../queue/sign.ts';
import type { VoteMessage } from '../queue/votes.ts';
import { CARD_EVENT, cardView, minimalView, type View } from './cards.ts';
import type { Entry, MessageIndex } from './index.ts';
import type { People } from './people.ts';
import { refusal, type Slack, SlackError } from './slack.ts';
import { reply } from './text.ts';
import { paused } from './wait.ts';
import { isOpen, isOver } from './words.ts';

const NOTICE_EVENT = 'countersign_notice';

const PUMP_MS = 500; // how soon another bot takes over what one left; a bot's own work needs no pump
const UNCERTAIN_MS = 700; // give a message whose reply was lost time to appear in the history
const UNDERWAY_MS = 12_000; // a bot waits 10 s for Slack's answer: as long may the post of one that was killed appear
const BLOCKED_MS = 30_000; // somebody has to invite the bot first
const HISTORY_PAGES = 5;
const CLOCK_SKEW_MS = 120_000;
const SHARED_MS = 15_000; // a channel may be shared with strangers at any moment
const STALE_QUESTION_MS = 120_000; // nobody waits for the answer any more
const MAX_AT_ONCE = 20;
const FALLBACK_TRIES = 3;

const LAYOUT = new Set([
  'invalid_blocks',
  'invalid_blocks_format',
  'msg_blocks_too_long',
  'msg_too_long',
  'block_mismatch',
  'invalid_arguments',
]);
const GONE = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed']);

/** What the operator can do about it, in a sentence. */
const REMEDIES: Readonly<Record<string, string>> = {
  not_in_channel: 'the bot is not in the channel: invite it with /invite',
  channel_not_found: 'there is no such channel, or the bot was not invited to it',
  is_archived: 'the channel is archived',
  is_inactive: 'the channel is frozen',
  shared: 'the channel is shared with another organisation: cards are not posted where strangers read',
  missing_scope: 'the Slack app lacks a scope: `countersign check --slack` names it',
};
const remedy = (code: string): string => `the card could not be posted: ${REMEDIES[code] ?? `Slack says ${code}`}`;

type TellGateway = (gateway: string, message: VoteMessage, jobId: string) => Promise<void>;

export type DelivererOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly people: People;
  readonly tell: TellGateway;
  /** The bot's own ids, by which it knows its messages again. */
  readonly self: { readonly bot: string; readonly user: string };
  readonly log: Logger;
  readonly now?: () => number;
};

export class Deliverer {
  readonly #it: DelivererOptions;
  readonly #now: () => number;
  /** Holds this process is showing; true when something newer came meanwhile. */
  readonly #busy = new Map<string, boolean>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #shared = new Map<string, { shared: boolean; at: number }>();
  #pump: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: DelivererOptions) {
    this.#it = options;
    this.#now = options.now ?? Date.now;
  }

  start(): void {
    this.#pump = setInterval(() => {
      this.#it.index
        .dueNow(MAX_AT_ONCE - Math.min(this.#busy.size, MAX_AT_ONCE))
        .then((holds) => {
          for (const hold of holds) this.#kick(hold);
        })
        .catch((error: unknown) => this.#it.log.warn({ error: String(error) }, 'cannot read what is due'));
    }, PUMP_MS);
  }

  /** Ends the pump and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#pump);
    for (const timer of this.#timers) clearTimeout(timer);
    while (this.#busy.size > 0) await paused(20);
  }

  /** One verified job of the `cards` queue. Throws where the queue should try again. */
  async handle(job: CardJob, envelope: Envelope): Promise<void> {
    switch (job.kind) {
      case 'card':
        if (await this.#it.index.accept(job.card, envelope)) this.#kick(job.card.hold);
        return;
      case 'reply':
        return this.#reply(job);
      case 'notice':
        return this.#notice(job);
      case 'directory': {
        if (this.#now() - job.at > STALE_QUESTION_MS) return;
        const directory = await this.#it.people.directory(job.names);
        return this.#it.tell(job.gateway, { kind: 'directory', v: 1, id: job.id, ...directory }, `directory-${job.id}`);
      }
      case 'attest': {
        if (this.#now() - job.at > STALE_QUESTION_MS) return;
        const people = await Promise.all(
          job.users.map((user) => this.#it.people.attest(user, job.names, { afresh: true })),
        );
        const message = { kind: 'attestation', v: 1, id: job.id, hold: job.hold, people } as const;
        return this.#it.tell(job.gateway, message, `attestation-${job.id}`);
      }
      case 'forget':
        return this.#it.index.forget(job.holds);
    }
  }

  /** A gateway's lease ran out: its cards say what is known of their end. */
  async lose(cards: readonly Card[]): Promise<void> {
    for (const card of cards) {
      await this.#it.index.lose(card, this.#now());
      this.#kick(card.hold);
    }
  }

  #kick(hold: string): void {
    if (this.#stopped) return;
    if (this.#busy.has(hold)) {
      this.#busy.set(hold, true);
      return;
    }
    this.#busy.set(hold, false);
    this.#show(hold)
      .catch((error: unknown) => this.#it.log.warn({ hold, error: String(error) }, 'card not shown yet'))
      .finally(() => {
        const again = this.#busy.get(hold) === true;
        this.#busy.delete(hold);
        if (again) this.#kick(hold);
      });
  }

  /** Try again then; other bots see it too, should this one be gone. */
  async #later(hold: string, ms: number): Promise<void> {
    await this.#it.index.due(hold, this.#now() + ms);
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#kick(hold);
    }, ms + 5);
    this.#timers.add(timer);
  }

  async #show(hold: string): Promise<void> {
    const { index } = this.#it;
    await index.exclusively(hold, async () => {
      const entry = await index.read(hold);
      if (!entry) {
        this.#it.log.error({ hold }, 'the message index holds no card that a gateway sealed: let go');
        return index.notDue(hold);
      }
      // A collecting card stands for it: known here, for its Details, and never posted.
      if (entry.card.collectedBy && entry.ts === undefined) return index.shown(hold, entry.card.sequence);
      if (entry.shown >= entry.card.sequence) return index.shown(hold, entry.shown);
      try {
        await (entry.ts === undefined ? this.#post(entry) : this.#edit(entry));
      } catch (error) {
        await this.#failed(entry, error);
      }
    });
  }

  async #post(entry: Entry): Promise<void> {
    const { index, slack } = this.#it;
    const card = asShown(entry);
    if (await this.#isShared(card.channel))
      throw new SlackError('chat.postMessage', { kind: 'refused', error: 'shared' });
    // Not the first of this hold, and yet never posted: the index may have been lost with Redis' data.
    const since = entry.posting ?? (card.sequence > 1 ? card.openedAt : undefined);
    if (since !== undefined) {
      const found = await this.#find(card.channel, CARD_EVENT, 'hold', card.hold, since);
      if (found) {
        await index.set(card.hold, { channel: card.channel, ts: found });
        await index.unset(card.hold, 'posting', 'underway');
        await this.#posted(card, card.channel, found);
        return this.#edit({ ...entry, channel: card.channel, ts: found });
      }
      const left = (entry.underway ?? 0) - this.#now();
      if (left > 0 && left <= UNDERWAY_MS) return this.#later(card.hold, UNCERTAIN_MS);
    }
    const names = [...new Set(card.demands.flatMap((demand) => demand.approvers))];
    const mentions = isOpen(card) ? await this.#it.people.mentions(names) : [];
    const event_payload = { hold: card.hold, sequence: card.sequence };
    const posting = entry.posting ?? this.#now();
    const sent = await this.#laidOut(card, cardView(card, { mentions }), async (view) => {
      await index.set(card.hold, { posting, underway: this.#now() + UNDERWAY_MS });
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
  }

  async #edit(entry: Entry): Promise<void> {
    const card = asShown(entry);
    const to = { channel: entry.channel ?? card.channel, ts: entry.ts };
    await this.#laidOut(card, cardView(card), (view) => this.#it.slack.call('chat.update', { ...to, ...view }));
    await this.#it.index.shown(card.hold, entry.card.sequence);
  }

  /** Send the card in the richest layout that Slack takes: an approval request is never lost to a layout error. */
  async #laidOut(card: Card, whole: View, send: (view: View) => Promise<Record<string, unknown>>) {
    const plainText: View = { text: whole.text, blocks: [] };
    for (const view of [whole, minimalView(card)]) {
      try {
        return await this.#unlimited(() => send(view), view === whole ? 0 : FALLBACK_TRIES);
      } catch (error) {
        if (!LAYOUT.has(refusal(error) ?? '')) throw error;
        this.#it.log.error({ hold: card.hold, error: String(error) }, 'Slack refused the layout of a card');
      }
    }
    return this.#unlimited(() => send(plainText), FALLBACK_TRIES);
  }

  /** A fallback waits out short rate limits: beginning anew would be refused at the first layout again. */
  async #unlimited<T>(work: () => Promise<T>, tries: number): Promise<T> {
    for (let left = tries; ; left--) {
      try {
        return await work();
      } catch (error) {
        if (
          !(error instanceof SlackError) ||
          error.problem.kind !== 'limited' ||
          left <= 0 ||
          error.problem.retryMs > 5_000
        )
          throw error;
        await paused(error.problem.retryMs);
      }
    }
  }

  async #failed(entry: Entry, error: unknown): Promise<void> {
    const { index, log } = this.#it;
    const { card } = entry;
    const { hold } = card;
    const problem = error instanceof SlackError ? error.problem : { kind: 'uncertain' as const };
    if (problem.kind === 'limited') {
      // Not executed: nothing to look for, unless an earlier attempt left something.
      if (entry.ts === undefined && entry.posting === undefined) await index.unset(hold, 'posting');
      // Many may wait for one channel: they come back spread out, not all at once.
      return this.#later(hold, problem.retryMs + Math.random() * this.#timers.size * 200);
    }
    log.warn({ hold, sequence: card.sequence, error: String(error) }, 'card not shown');
    if (problem.kind === 'uncertain') return this.#later(hold, UNCERTAIN_MS);
    if (entry.ts !== undefined && GONE.has(problem.error)) {
      if (entry.reposts > 0 || isOver(asShown(entry))) return index.shown(hold, card.sequence);
      await index.unset(hold, 'ts', 'posting');
      await index.set(hold, { reposts: entry.reposts + 1, shown: 0 });
      return this.#later(hold, 0);
    }
    if (entry.ts === undefined && entry.posting === undefined) await index.unset(hold, 'posting');
    if (entry.reported !== problem.error) {
      // Told first, remembered after: a report that Redis did not take is made again with the next attempt.
      const jobId = `posted-${hold}-${card.sequence}-${problem.error.replace(/[^a-z0-9_]/gi, '').slice(0, 40)}`;
      const message = { kind: 'posted', v: 1, hold, sequence: card.sequence, channel: card.channel } as const;
      await this.#it.tell(card.gateway, { ...message, error: remedy(problem.error).slice(0, 500) }, jobId);
      await index.set(hold, { reported: problem.error });
    }
    if (isOver(asShown(entry)) || this.#now() > card.expiresAt + 60_000) return index.notDue(hold);
    return this.#later(hold, BLOCKED_MS);
  }

  async #posted(card: Card, channel: string, ts: string): Promise<void> {
    if (isOver(card)) return; // its gateway waits for nothing any more, and may be gone with its queue
    const message: VoteMessage = { kind: 'posted', v: 1, hold: card.hold, sequence: card.sequence, channel, ts };
    const link = await this.#it.slack.call('chat.getPermalink', { channel, message_ts: ts }).catch(() => undefined);
    const permalink = typeof link?.permalink === 'string' && link.permalink.length <= 500 ? link.permalink : undefined;
    await this.#it.tell(card.gateway, permalink ? { ...message, permalink } : message, `posted-${card.hold}-${ts}`);
  }

  /** Our message with this metadata, posted since `after`; undefined when Slack's history has none. */
  async #find(channel: string, type: string, field: string, value: string, after: number): Promise<string | undefined> {
    let cursor: string | undefined;
    for (let page = 0; page < HISTORY_PAGES; page++) {
      const answer = await this.#it.slack.call('conversations.history', {
        channel,
        oldest: ((after - CLOCK_SKEW_MS) / 1000).toFixed(6),
        include_all_metadata: true,
        limit: 200,
        ...(cursor ? { cursor } : {}),
      });
      for (const message of Array.isArray(answer.messages) ? answer.messages : []) {
        const { metadata, bot_id, user, ts } = message as Record<string, unknown>;
        const { event_type, event_payload } = (metadata ?? {}) as Record<string, unknown>;
        const ours = bot_id === this.#it.self.bot || user === this.#it.self.user; // anyone can copy metadata
        const payload = (event_payload ?? {}) as Record<string, unknown>;
        if (ours && event_type === type && payload[field] === value && typeof ts === 'string') return ts;
      }
      const next = (answer.response_metadata as Record<string, unknown> | undefined)?.next_cursor;
      if (typeof next !== 'string' || next === '') return undefined;
      cursor = next;
    }
    return undefined;
  }

  async #isShared(channel: string): Promise<boolean> {
    const known = this.#shared.get(channel);
    if (known && this.#now() - known.at < SHARED_MS) return known.shared;
    const answer = await this.#it.slack.call('conversations.info', { channel }).catch((error: unknown) => {
      // Slack itself knows this method; a stand-in for Slack that does not has no other companies either.
      if (refusal(error) !== 'unknown_method') throw error;
      this.#it.log.warn({ channel }, 'this Slack cannot say whether the channel is shared with another company');
      return {} as Record<string, unknown>;
    });
    const info = (answer.channel ?? {}) as Record<string, unknown>;
    const shared = info.is_ext_shared === true || info.is_pending_ext_shared === true;
    if (this.#shared.size > 1_000) this.#shared.clear();
    this.#shared.set(channel, { shared, at: this.#now() });
    return shared;
  }

  async #reply(job: Extract<CardJob, { kind: 'reply' }>): Promise<void> {
    const name = `reply-${job.id}`;
    if (!(await this.#it.index.once(name, 600_000))) return;
    await this.#tellAlone(job).catch(async (error: unknown) => {
      if (!(error instanceof SlackError) || error.problem.kind !== 'limited') throw error;
      await this.#it.index.again(name); // not executed: the queue may try again
      throw error;
    });
  }

  /** Where they asked, or in a direct message. */
  async #tellAlone({ channel, user, text }: Extract<CardJob, { kind: 'reply' }>): Promise<void> {
    if (channel !== undefined) return this.whisper(channel, user, text);
    try {
      const opened = await this.#it.slack.call('conversations.open', { users: user });
      const { id } = (opened.channel ?? {}) as Record<string, unknown>;
      await this.#it.slack.call('chat.postMessage', { channel: id, text: reply(text), unfurl_links: false });
    } catch (error) {
      if (error instanceof SlackError && error.problem.kind === 'limited') throw error;
      this.#it.log.warn({ user, error: String(error) }, 'direct message not delivered');
    }
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

  async #notice(job: Extract<CardJob, { kind: 'notice' }>): Promise<void> {
    const name = `notice-${job.id}`;
    if (!(await this.#it.index.once(name, 86_400_000))) {
      // Tried before: by a bot that finished, or one whose reply was lost.
      if (await this.#find(job.channel, NOTICE_EVENT, 'id', job.id, job.at)) return;
      if (this.#now() - job.at > 86_400_000) return;
    }
    try {
      await this.#it.slack.call('chat.postMessage', {
        channel: job.channel,
        text: reply(job.text),
        unfurl_links: false,
        unfurl_media: false,
        metadata: { event_type: NOTICE_EVENT, event_payload: { id: job.id } },
      });
    } catch (error) {
      const code = refusal(error);
      if (code === undefined) throw error; // the queue tries again
      this.#it.log.error({ channel: job.channel, error: remedy(code) }, 'notice not posted');
    }
  }
}

/** The card with what only bots know: that its gateway is gone. */
export function asShown(entry: Entry): Card {
  const { card, lost } = entry;
  if (!lost || isOver(card)) return card;
  return afterDeath(lost.state === 'unknown' ? { ...card, state: 'released' } : card, lost.at);
}
