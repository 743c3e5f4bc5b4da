/** Cards onto Slack: each posted once and edited after, newest only, in order, whatever fails on the way. */
import type { Logger } from 'pino';
import type { Card, CardJob } from '../queue/cards.ts';
import type { Envelope } from '../queue/sign.ts';
import { Finder } from './deliver-find.ts';
import { Notices } from './deliver-notices.ts';
import { Post, type TellGateway } from './deliver-post.ts';
import { asShown, type Entry } from './entry.ts';
import type { MessageIndex } from './index.ts';
import type { People } from './people.ts';
import { remedy } from './remedies.ts';
import { type Slack, SlackError } from './slack.ts';
import { paused } from './wait.ts';
import { isOver } from './words.ts';

const PUMP_MS = 500; // how soon another bot takes over what one left; a bot's own work needs no pump
const UNCERTAIN_MS = 700; // give a message whose reply was lost time to appear in the history
const BLOCKED_MS = 30_000; // somebody has to invite the bot first
const STALE_QUESTION_MS = 120_000; // nobody waits for the answer any more
const MAX_AT_ONCE = 20;

const GONE = new Set(['message_not_found', 'cant_update_message', 'edit_window_closed']);

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
  readonly #post: Post;
  readonly #notices: Notices;
  /** Holds this process is showing; true when something newer came meanwhile. */
  readonly #busy = new Map<string, boolean>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #pump: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: DelivererOptions) {
    this.#it = options;
    const now = options.now ?? Date.now;
    const { index, slack, people, tell, log } = options;
    const finder = new Finder({ ...options, now });
    this.#now = now;
    this.#post = new Post({ index, slack, people, tell, finder, log, now });
    this.#notices = new Notices({ index, slack, finder, log, now });
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
        return this.#notices.reply(job);
      case 'notice':
        return this.#notices.notice(job);
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

  whisper(channel: string, user: string, text: string): Promise<void> {
    return this.#notices.whisper(channel, user, text);
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
        if (entry.ts !== undefined) await this.#post.edit(entry);
        else if ((await this.#post.first(entry)) === 'wait') await this.#later(hold, UNCERTAIN_MS);
      } catch (error) {
        await this.#failed(entry, error);
      }
    });
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
      const why = `the card could not be posted: ${remedy(problem.error)}`.slice(0, 500);
      await this.#it.tell(card.gateway, { ...message, error: why }, jobId);
      await index.set(hold, { reported: problem.error });
    }
    if (isOver(asShown(entry)) || this.#now() > card.expiresAt + 60_000) return index.notDue(hold);
    return this.#later(hold, BLOCKED_MS);
  }
}
