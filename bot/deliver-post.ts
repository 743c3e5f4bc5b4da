/** One message that shows a card, in one channel: posted once, found again where that is uncertain, edited after. */
import type { Logger } from 'pino';
import type { Card } from '../queue/cards.ts';
import { calledIn, idsIn } from './called.ts';
import { CARD_EVENT, cardView } from './cards.ts';
import type { Finder } from './deliver-find.ts';
import { laidOut } from './deliver-layout.ts';
import type { People } from './people.ts';
import type { Slack } from './slack.ts';
import { cut } from './text.ts';

export const UNDERWAY_MS = 12_000; // a bot waits 10 s for Slack's answer: as long may the post of one that was killed appear

export type PostOptions = {
  readonly slack: Slack;
  readonly people: Pick<People, 'names'>;
  readonly finder: Finder;
  readonly log: Logger;
  readonly now: () => number;
};

export type Attempt = {
  readonly channel: string;
  /** Epoch ms since which an earlier attempt may have posted it; undefined: there was none. */
  readonly since: number | undefined;
  /** Epoch ms up to which what some bot sent may still appear. */
  readonly underway: number | undefined;
  /** Slack ids to ring. */
  readonly mentions: readonly string[];
  /** Called before each request that may post it, to remember that. */
  readonly begin: () => Promise<void>;
};

export type Placed = { readonly channel: string; readonly ts: string; readonly found: boolean };

export class Post {
  readonly #it: PostOptions;

  constructor(options: PostOptions) {
    this.#it = options;
  }

  /** Undefined: one that another bot sent may still appear; look again before anything else. @throws SlackError */
  async once(card: Card, attempt: Attempt): Promise<Placed | undefined> {
    const { finder, slack, log, now } = this.#it;
    const { channel, since, mentions } = attempt;
    if (since !== undefined) {
      const ts = await finder.find(channel, { type: CARD_EVENT, field: 'hold', value: card.hold, after: since });
      if (ts !== undefined) return { channel, ts, found: true };
      const left = (attempt.underway ?? 0) - now();
      if (left > 0 && left <= UNDERWAY_MS) return undefined;
    }
    const event_payload = { hold: card.hold, sequence: card.sequence };
    const names = await this.#names(card);
    const sent = await laidOut(card, cardView(called(card, names), { mentions, names }), log, async (view) => {
      await attempt.begin();
      return slack.call('chat.postMessage', {
        channel,
        ...view,
        unfurl_links: false,
        unfurl_media: false,
        metadata: { event_type: CARD_EVENT, event_payload },
      });
    });
    return { channel: typeof sent.channel === 'string' ? sent.channel : channel, ts: String(sent.ts), found: false };
  }

  async edit(card: Card, to: { readonly channel: string; readonly ts: string }): Promise<void> {
    const names = await this.#names(card);
    await laidOut(card, cardView(called(card, names), { names }), this.#it.log, (view) =>
      this.#it.slack.call('chat.update', { channel: to.channel, ts: to.ts, ...view }),
    );
  }

  #names(card: Card): Promise<ReadonlyMap<string, string>> {
    return this.#it.people.names([...card.demands.flatMap(({ approvers }) => approvers), ...namedIn(card)]);
  }
}

/** A change of the gateway itself may be about people: nothing an agent sends is in such a headline. */
const namedIn = ({ protocol, headline }: Card): string[] => (protocol === 'gate' ? idsIn(headline) : []);

function called(card: Card, names: ReadonlyMap<string, string>): Card {
  const among = new Set(namedIn(card));
  if (among.size === 0) return card;
  const theirs = new Map([...names].filter(([id]) => among.has(id)));
  return { ...card, headline: cut(calledIn(card.headline, theirs, { quoted: true }), 500) };
}
