/** Carries what somebody asks to the gateways that answer it: all that live, or any one of them. Decides nothing. */
import type { Logger } from 'pino';
import { type Answer, type Ask, EVERY_GATEWAY, type GateCommand } from '../queue/asks.ts';
import type { AskPublisher } from '../queue/carry.ts';
import type { LeaseWatch } from '../queue/leases.ts';
import type { People } from './people.ts';

const READ_MS = 8_000; // whoever looks at a phone waits no longer
const CHANGE_MS = 25_000; // a gateway asks Slack afresh who wants this, and may wait for another that took it
const KILL_MS = 15_000;

export type By = {
  /** One id per command; a redelivery carries the same. */
  readonly id: string;
  readonly user: string;
  /** The workspace Slack names for them. */
  readonly team: string | undefined;
  readonly channel: string;
  readonly at: number;
};

export type Heard = {
  readonly answers: readonly Answer[];
  /** Gateways that live and did not answer in time. */
  readonly silent: readonly string[];
  /** Why nobody could be asked. */
  readonly trouble?: string;
};

export type GateCallerOptions = {
  readonly asks: Pick<AskPublisher, 'ask'>;
  readonly leases: Pick<LeaseWatch, 'live'>;
  readonly people: Pick<People, 'attest'>;
  readonly log: Logger;
  /** For tests. */
  readonly readMs?: number;
};

const CHANGES: ReadonlySet<GateCommand['do']> = new Set([
  'revoke',
  'rule-add',
  'rule-remove',
  'rule-revert',
  'freeze',
  'unfreeze',
  'review',
]);

export class GateCaller {
  readonly #it: GateCallerOptions;

  constructor(options: GateCallerOptions) {
    this.#it = options;
  }

  /** The same `by.id` again finds the answers to the first. Never rejects. */
  async ask(command: GateCommand, by: By): Promise<Heard> {
    let ask: Ask;
    try {
      const asker = await this.#it.people.attest(by.user, [], { team: by.team });
      ask = { kind: 'ask', v: 1, id: by.id, command, asker, at: by.at, channel: by.channel };
    } catch (error) {
      this.#it.log.warn({ ask: by.id, error: String(error) }, 'who asks could not be read');
      return { answers: [], silent: [], trouble: 'Slack does not say who you are right now. Ask again in a moment.' };
    }
    try {
      return EVERY_GATEWAY.has(command.do) ? await this.#everyone(ask, command) : await this.#anyone(ask, command);
    } catch (error) {
      this.#it.log.warn({ ask: by.id, error: String(error) }, 'nobody could be asked');
      const text = CHANGES.has(command.do)
        ? 'The bot cannot reach its queue. It may still be done: look before you ask again.'
        : 'The bot cannot reach its queue. Ask again in a moment.';
      return { answers: [], silent: [], trouble: text };
    }
  }

  async #everyone(ask: Ask, command: GateCommand): Promise<Heard> {
    const gateways = (await this.#it.leases.live()).sort();
    if (gateways.length === 0) return { answers: [], silent: [], trouble: 'No gateway is running.' };
    const ms = command.do === 'kill' ? KILL_MS : (this.#it.readMs ?? READ_MS);
    const heard = await Promise.all(
      gateways.map(async (gateway) => ({ gateway, answer: await this.#it.asks.ask(gateway, ask, ms) })),
    );
    return {
      answers: heard.flatMap(({ answer }) => answer ?? []),
      silent: heard.flatMap(({ gateway, answer }) => (answer ? [] : gateway)),
    };
  }

  async #anyone(ask: Ask, command: GateCommand): Promise<Heard> {
    const changes = CHANGES.has(command.do);
    const answer = await this.#it.asks.ask(undefined, ask, changes ? CHANGE_MS : (this.#it.readMs ?? READ_MS));
    if (answer) return { answers: [answer], silent: [] };
    const trouble = changes
      ? 'No gateway answered. It may still be done: look before you ask again.'
      : 'No gateway answered. Ask again in a moment.';
    return { answers: [], silent: [], trouble };
  }
}
