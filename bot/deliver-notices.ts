/** What is said beside cards: notices to a channel, replies to one person. Each at most once. */
import type { Logger } from 'pino';
import type { CardJob } from '../queue/cards.ts';
import type { Finder } from './deliver-find.ts';
import type { MessageIndex } from './index.ts';
import { remedy } from './remedies.ts';
import { refusal, type Slack, SlackError } from './slack.ts';
import { reply } from './text.ts';

const NOTICE_EVENT = 'countersign_notice';
const REPLY_MS = 600_000;
const NOTICE_MS = 86_400_000;

type Reply = Extract<CardJob, { kind: 'reply' }>;
type Notice = Extract<CardJob, { kind: 'notice' }>;

export type NoticeOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly finder: Finder;
  readonly log: Logger;
  readonly now: () => number;
};

export class Notices {
  readonly #it: NoticeOptions;

  constructor(options: NoticeOptions) {
    this.#it = options;
  }

  /** @throws SlackError where the queue should try again */
  async reply(job: Reply): Promise<void> {
    const name = `reply-${job.id}`;
    if (!(await this.#it.index.once(name, REPLY_MS))) return;
    await this.#tellAlone(job).catch(async (error: unknown) => {
      if (!(error instanceof SlackError) || error.problem.kind !== 'limited') throw error;
      await this.#it.index.again(name); // not executed: the queue may try again
      throw error;
    });
  }

  /** Where they asked, or in a direct message. */
  async #tellAlone({ channel, user, text }: Reply): Promise<void> {
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

  /** @throws SlackError where the queue should try again */
  async notice(job: Notice): Promise<void> {
    const { index, finder, slack, log, now } = this.#it;
    const name = `notice-${job.id}`;
    if (!(await index.once(name, NOTICE_MS))) {
      // Tried before: by a bot that finished, or one whose reply was lost.
      const sought = { type: NOTICE_EVENT, field: 'id', value: job.id, after: job.at };
      if (await finder.find(job.channel, sought)) return;
      if (now() - job.at > NOTICE_MS) return;
    }
    try {
      await slack.call('chat.postMessage', {
        channel: job.channel,
        text: reply(job.text),
        unfurl_links: false,
        unfurl_media: false,
        metadata: { event_type: NOTICE_EVENT, event_payload: { id: job.id } },
      });
    } catch (error) {
      const code = refusal(error);
      if (code === undefined) throw error; // the queue tries again
      log.error({ channel: job.channel, error: remedy(code) }, 'notice not posted');
    }
  }
}
