/** Buttons that say a `/gate` line, taken away once what they were for is over, wherever they hang. */
import type { Logger } from 'pino';
import type { CardJob, Offer } from '../queue/cards.ts';
import type { Envelope } from '../queue/sign.ts';
import { noticeView } from './deliver-words.ts';
import type { Entry } from './entry.ts';
import type { MessageIndex } from './index.ts';
import { type Slack, SlackError } from './slack.ts';

const MOST_AT_ONCE = 20;
const AGAIN_MS = 10_000; // after which another bot tries what this one did not finish

type Over = Extract<CardJob, { kind: 'over' }>;
type Notice = Extract<CardJob, { kind: 'notice' }>;

export type OfferedOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  /** Show this hold's card once more. */
  readonly kick: (hold: string) => void;
  readonly log: Logger;
  readonly now: () => number;
};

export class Offered {
  readonly #it: OfferedOptions;

  constructor(options: OfferedOptions) {
    this.#it = options;
  }

  /** @throws Error where the queue should try again */
  async over({ line }: Over, envelope: Envelope): Promise<void> {
    await this.#it.index.offers.end(line, envelope); // whatever is shown from now on is shown without it
    await this.#settle(line);
  }

  /** What ends by itself, and has. */
  async look(): Promise<void> {
    const { index, log } = this.#it;
    for (const line of await index.offers.due(MOST_AT_ONCE)) {
      if (!(await index.once(`ending-${line}`, AGAIN_MS))) continue;
      try {
        await this.#settle(line);
        await index.offers.done(line);
      } catch (error) {
        log.warn({ line, error: String(error) }, 'what has ended is still offered');
      }
    }
  }

  /** A notice as it is said now: with what is still offered, and with what is to be said of the rest. */
  async asNow(job: Notice): Promise<{ readonly said: Notice; readonly over: readonly string[] }> {
    const over = await this.#it.index.offers.ended(job.offers);
    const offers = (job.offers ?? []).filter(({ line }) => !over.has(line));
    return { said: { ...job, offers }, over: [...new Set(over.values())] };
  }

  /** It hangs there; `shown` is what it offers. What ended while it was on its way is taken away at once. */
  async posted(at: { channel: string; ts: string }, shown: readonly Offer[], job: Notice, envelope: Envelope) {
    for (const offer of shown) await this.#it.index.offers.onNotice(offer, at, envelope);
    const over = await this.#it.index.offers.ended(shown);
    if (over.size > 0) await this.#edit(at, job);
  }

  /** About to be shown: what ends from now on is taken away from it, and what has ended is known by now. */
  async onCard(entry: Entry): Promise<Entry> {
    const { offers } = this.#it.index;
    const { hold, offers: all = [] } = entry.card;
    const live = all.filter(({ line }) => !entry.over.has(line));
    for (const offer of live) await offers.onCard(offer, hold);
    return live.length === 0 ? entry : { ...entry, over: await offers.ended(all) };
  }

  async #settle(line: string): Promise<void> {
    const { index, kick } = this.#it;
    for (const [name, place] of await index.offers.places(line)) {
      if (place.kind === 'card') {
        await this.#again(place.hold);
        kick(place.hold);
      } else {
        await this.#edit(place, place.job);
      }
      await index.offers.leave(line, name);
    }
  }

  /** Whoever shows it now has read what was: not before they are done. @throws Error while somebody does */
  async #again(hold: string): Promise<void> {
    const { index, now } = this.#it;
    const done = await index.exclusively(hold, async () => {
      if (!(await index.read(hold))) return true;
      await index.set(hold, { shown: 0 });
      await index.due(hold, now());
      return true;
    });
    if (!done) throw new Error('its card is being shown');
  }

  /** @throws SlackError where it may be tried again */
  async #edit({ channel, ts }: { channel: string; ts: string }, job: Notice): Promise<void> {
    const { slack, log } = this.#it;
    const { said, over } = await this.asNow(job);
    try {
      await slack.call('chat.update', { channel, ts, ...noticeView(said, '', over) });
    } catch (error) {
      if (!(error instanceof SlackError) || error.problem.kind !== 'refused') throw error;
      log.warn({ channel, error: String(error) }, 'what has ended stays offered there');
    }
  }
}
