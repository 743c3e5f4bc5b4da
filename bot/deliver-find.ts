/** What a bot looks up in Slack before it posts: its own messages of before, and whether strangers read there. */
import type { Logger } from 'pino';
import { refusal, type Slack } from './slack.ts';

const HISTORY_PAGES = 5;
const CLOCK_SKEW_MS = 120_000;
const SHARED_MS = 15_000; // a channel may be shared with strangers at any moment

export type Sought = {
  readonly type: string;
  readonly field: string;
  readonly value: string;
  /** Epoch ms since which it may have been posted. */
  readonly after: number;
  /** The message in whose thread it would be. */
  readonly thread?: string | undefined;
};

export type FinderOptions = {
  readonly slack: Slack;
  /** The bot's own ids, by which it knows its messages again. */
  readonly self: { readonly bot: string; readonly user: string };
  readonly log: Logger;
  readonly now: () => number;
};

export class Finder {
  readonly #it: FinderOptions;
  readonly #shared = new Map<string, { shared: boolean; at: number }>();

  constructor(options: FinderOptions) {
    this.#it = options;
  }

  /** Our message with this metadata; undefined when Slack's history has none. */
  async find(channel: string, sought: Sought): Promise<string | undefined> {
    let cursor: string | undefined;
    for (let page = 0; page < HISTORY_PAGES; page++) {
      const { thread } = sought;
      const answer = await this.#it.slack.call(thread ? 'conversations.replies' : 'conversations.history', {
        channel,
        ...(thread ? { ts: thread } : {}),
        oldest: ((sought.after - CLOCK_SKEW_MS) / 1000).toFixed(6),
        include_all_metadata: true,
        limit: 200,
        ...(cursor ? { cursor } : {}),
      });
      for (const message of Array.isArray(answer.messages) ? answer.messages : []) {
        const { metadata, bot_id, user, ts } = message as Record<string, unknown>;
        const { event_type, event_payload } = (metadata ?? {}) as Record<string, unknown>;
        const ours = bot_id === this.#it.self.bot || user === this.#it.self.user; // anyone can copy metadata
        const payload = (event_payload ?? {}) as Record<string, unknown>;
        if (ours && event_type === sought.type && payload[sought.field] === sought.value && typeof ts === 'string')
          return ts;
      }
      const next = (answer.response_metadata as Record<string, unknown> | undefined)?.next_cursor;
      if (typeof next !== 'string' || next === '') return undefined;
      cursor = next;
    }
    return undefined;
  }

  async isShared(channel: string): Promise<boolean> {
    const { slack, log, now } = this.#it;
    const known = this.#shared.get(channel);
    if (known && now() - known.at < SHARED_MS) return known.shared;
    const answer = await slack.call('conversations.info', { channel }).catch((error: unknown) => {
      // Slack itself knows this method; a stand-in for Slack that does not has no other companies either.
      if (refusal(error) !== 'unknown_method') throw error;
      log.warn({ channel }, 'this Slack cannot say whether the channel is shared with another company');
      return {} as Record<string, unknown>;
    });
    const info = (answer.channel ?? {}) as Record<string, unknown>;
    const shared = info.is_ext_shared === true || info.is_pending_ext_shared === true;
    if (this.#shared.size > 1_000) this.#shared.clear();
    this.#shared.set(channel, { shared, at: now() });
    return shared;
  }
}
