/** Answers to one person: by Slack's response URL, which works where the bot is no member, else as best it can. */
import type { Logger } from 'pino';
import type { View } from './cards.ts';
import { type Slack, SlackError } from './slack.ts';
import { paused } from './wait.ts';

const TIMEOUT_MS = 5_000;
const LIMITED_MS = 2_000;

export type To = {
  readonly user: string;
  /** Where they asked; absent in App Home. */
  readonly channel: string | undefined;
  /** A secret that says where answers go, five times within half an hour: never logged. */
  readonly url: string | undefined;
};

export class Answerer {
  readonly #slack: Slack;
  readonly #log: Logger;

  constructor(slack: Slack, log: Logger) {
    this.#slack = slack;
    this.#log = log;
  }

  /** Never rejects: what could not be said is logged. */
  async answer(to: To, views: readonly View[]): Promise<void> {
    for (const view of views) {
      if ((await this.#byUrl(to, view)) || (await this.#byApi(to, view))) continue;
      this.#log.warn({ user: to.user }, 'an answer was not delivered');
    }
  }

  /** @returns whether Slack took it */
  async #byUrl({ url }: To, { text, blocks }: View): Promise<boolean> {
    if (url === undefined || !/^https?:\/\//.test(url)) return false;
    for (const content of blocks.length > 0 ? [{ text, blocks }, { text }] : [{ text }]) {
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json; charset=utf-8' },
          body: JSON.stringify({ response_type: 'ephemeral', replace_original: false, ...content }),
          redirect: 'error',
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        if (response.ok) return true;
        const said = (await response.text()).slice(0, 60).replace(/[^\w -]/g, '');
        this.#log.warn({ status: response.status, said }, 'an answer was refused');
        if (!/blocks|msg_too_long/.test(said)) return false; // the layout is not at fault
      } catch (error) {
        // It may have been taken all the same; once too often is better than not at all.
        this.#log.warn({ error: error instanceof Error ? error.name : 'failed' }, 'an answer met no answer');
        return false;
      }
    }
    return false;
  }

  async #byApi({ user, channel }: To, view: View): Promise<boolean> {
    if (channel === undefined || channel.startsWith('D')) return this.#direct(user, view);
    return (await this.#call('chat.postEphemeral', { channel, user, ...view })) || this.#direct(user, view);
  }

  async #direct(user: string, view: View): Promise<boolean> {
    try {
      const opened = await this.#slack.call('conversations.open', { users: user });
      const { id } = (opened.channel ?? {}) as Record<string, unknown>;
      return await this.#call('chat.postMessage', { channel: id, ...view, unfurl_links: false });
    } catch (error) {
      this.#log.warn({ user, error: String(error) }, 'no direct message can be opened');
      return false;
    }
  }

  async #call(method: string, args: Record<string, unknown>): Promise<boolean> {
    for (let tries = 2; tries > 0; tries--) {
      try {
        await this.#slack.call(method, args);
        return true;
      } catch (error) {
        const { problem } = error instanceof SlackError ? error : { problem: undefined };
        if (problem?.kind !== 'limited' || problem.retryMs > LIMITED_MS) {
          this.#log.warn({ method, error: String(error) }, 'an answer was refused');
          return false;
        }
        await paused(problem.retryMs);
      }
    }
    return false;
  }
}
