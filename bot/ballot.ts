/** Carries a click to the gateway that decides: attested, signed, sent until there is a receipt. Decides nothing. */
import type { Logger } from 'pino';
import type { Card } from '../queue/cards.ts';
import type { VotePublisher } from '../queue/carry.ts';
import type { VoteMessage } from '../queue/votes.ts';
import { calledIn, idsIn } from './called.ts';
import type { People } from './people.ts';
import { paused } from './wait.ts';

const GIVE_UP_MS = 60_000;
const ASK_MS = 10_000; // how long one wait for the receipt lasts, before it is asked for anew
const RETRY_MS = 250;

export const NOT_COUNTED =
  'Not counted: the gateway did not answer. Click again. (Should it have been counted late, the card says so.)';

export type Click = {
  /** The same for a redelivery of the same click. */
  readonly id: string;
  readonly user: string;
  /** The workspace Slack names for the clicker. */
  readonly team: string | undefined;
  readonly channel: string;
  readonly at: number;
};
export type Choice = {
  readonly decision: 'approve' | 'deny' | 'undo' | 'break';
  /** With an approval: what has the same shape, too, for so long. */
  readonly grantMinutes?: number | undefined;
  readonly revision: number;
  readonly reason?: string | undefined;
  readonly from: 'card' | 'details';
};
export type Answer = { readonly counted: boolean; readonly text: string };
export type Cast = {
  /** True once the vote is in the queue, false when that failed for good. Never rejects. */
  readonly sent: Promise<boolean>;
  /** The gateway's answer, or that there was none. Never rejects. */
  readonly answer: Promise<Answer>;
};

export class Ballot {
  readonly #votes: Pick<VotePublisher, 'send' | 'ask'>;
  readonly #people: People;
  readonly #log: Logger;
  readonly #giveUpMs: number;
  readonly #onAnswer: (result: 'counted' | 'refused' | 'unanswered') => void;

  constructor(options: {
    votes: Pick<VotePublisher, 'send' | 'ask'>;
    people: People;
    log: Logger;
    giveUpMs?: number;
    onAnswer?: (result: 'counted' | 'refused' | 'unanswered') => void;
  }) {
    this.#votes = options.votes;
    this.#people = options.people;
    this.#log = options.log;
    this.#giveUpMs = options.giveUpMs ?? GIVE_UP_MS;
    this.#onAnswer = options.onAnswer ?? (() => {});
  }

  vote(card: Card, choice: Choice, click: Click): Cast {
    const { decision, grantMinutes } = choice;
    const old = (decision === 'approve' || decision === 'deny') && grantMinutes === undefined;
    return this.#cast(card, click, async () => ({
      kind: 'vote',
      v: old ? 1 : 2,
      id: click.id,
      hold: card.hold,
      digest: card.digest,
      revision: choice.revision,
      decision,
      ...(grantMinutes === undefined ? {} : { grantMinutes }),
      ...(choice.reason ? { reason: choice.reason } : {}),
      from: choice.from,
      voter: await this.#attested(card, click),
      clickedAt: click.at,
      channel: click.channel,
    }));
  }

  /** Everything that this collecting card stands for. */
  denyAll(card: Card, click: Click): Cast {
    return this.#cast(card, click, async () => ({
      kind: 'deny-all',
      v: 2,
      id: click.id,
      hold: card.hold,
      voter: await this.#attested(card, click),
      clickedAt: click.at,
      channel: click.channel,
    }));
  }

  kill(card: Card, click: Click): Cast {
    return this.#cast(card, click, async () => ({
      kind: 'kill',
      v: 1,
      id: click.id,
      hold: card.hold,
      voter: await this.#attested(card, click),
      clickedAt: click.at,
      channel: click.channel,
    }));
  }

  #attested(card: Card, click: Click) {
    const names = [...new Set(card.demands.flatMap((demand) => demand.approvers))];
    return this.#people.attest(click.user, names, { team: click.team });
  }

  /** Whom its rules ask, by what they are called. */
  async #said({ demands }: Card, text: string): Promise<string> {
    const asked = new Set(demands.flatMap(({ approvers }) => approvers));
    const ids = idsIn(text).filter((id) => asked.has(id));
    return ids.length === 0 ? text : calledIn(text, await this.#people.names(ids));
  }

  #cast(card: Card, click: Click, build: () => Promise<VoteMessage & { id: string }>): Cast {
    let markSent = (_: boolean) => {};
    const sent = new Promise<boolean>((resolve) => {
      markSent = resolve;
    });
    const answer = this.#carry(card, click, build, () => markSent(true)).finally(() => markSent(false));
    return { sent, answer };
  }

  async #carry(card: Card, click: Click, build: () => Promise<VoteMessage & { id: string }>, markSent: () => void) {
    const end = performance.now() + this.#giveUpMs;
    let message: (VoteMessage & { id: string }) | undefined;
    while (performance.now() < end) {
      try {
        message ??= await build();
        await this.#votes.send(card.gateway, message, message.id);
        markSent();
        // The same id again is the same job: this only waits for its receipt.
        const receipt = await this.#votes.ask(
          card.gateway,
          message,
          Math.min(ASK_MS, Math.max(1, end - performance.now())),
        );
        if (receipt?.hold === card.hold) {
          this.#onAnswer(receipt.counted ? 'counted' : 'refused');
          return { counted: receipt.counted, text: await this.#said(card, receipt.text) };
        }
      } catch (error) {
        this.#log.warn(
          { hold: card.hold, click: click.id, error: String(error) },
          'a click is not with its gateway yet',
        );
      }
      await paused(Math.min(RETRY_MS, Math.max(0, end - performance.now())));
    }
    this.#onAnswer('unanswered');
    this.#log.error({ hold: card.hold, click: click.id }, 'a click was not counted');
    return { counted: false, text: NOT_COUNTED };
  }
}
