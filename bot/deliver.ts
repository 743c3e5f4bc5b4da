/** Cards onto Slack, in order: each posted once and edited after, newest only, whatever fails on the way. */
import type { Logger } from 'pino';
import type { Card, CardJob } from '../queue/cards.ts';
import type { Envelope } from '../queue/sign.ts';
import type { VoteMessage } from '../queue/votes.ts';
import { Copies } from './deliver-copies.ts';
import { Finder } from './deliver-find.ts';
import { Notices } from './deliver-notices.ts';
import { Offered } from './deliver-offers.ts';
import { Original } from './deliver-original.ts';
import { Post } from './deliver-post.ts';
import { channelOf, type Entry, isDirect, isMoot } from './entry.ts';
import type { MessageIndex } from './index.ts';
import { Lanes } from './lanes.ts';
import type { People } from './people.ts';
import { type Slack, SlackError } from './slack.ts';
import { paused } from './wait.ts';
import { isOpen } from './words.ts';

const PUMP_MS = 500; // how soon another bot takes over what one left; a bot's own work needs no pump
const UNCERTAIN_MS = 700; // give a message whose reply was lost time to appear in the history
const BLOCKED_MS = 30_000; // somebody has to invite the bot first
const STALE_QUESTION_MS = 120_000; // nobody waits for the answer any more
const MAX_AT_ONCE = 20;

export type DelivererOptions = {
  readonly index: MessageIndex;
  readonly slack: Slack;
  readonly people: People;
  readonly tell: (gateway: string, message: VoteMessage, jobId: string) => Promise<void>;
  /** The bot's own ids, by which it knows its messages again. */
  readonly self: { readonly bot: string; readonly user: string };
  readonly log: Logger;
  readonly now?: () => number;
};

export class Deliverer {
  readonly #it: DelivererOptions;
  readonly #now: () => number;
  readonly #original: Original;
  readonly #copies: Copies;
  readonly #notices: Notices;
  readonly #offered: Offered;
  readonly #lanes = new Lanes();
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
    const post = new Post({ slack, people, finder, log, now });
    this.#now = now;
    this.#original = new Original({ index, slack, people, tell, finder, post, log, now });
    this.#copies = new Copies({ index, slack, people, post, log, now });
    const isWanted = (channel: string) => this.#lanes.isWanted(channel);
    this.#offered = new Offered({ index, slack, kick: (hold) => this.#kick(hold), log, now });
    this.#notices = new Notices({ index, slack, people, finder, offered: this.#offered, isWanted, log, now });
  }

  start(): void {
    this.#pump = setInterval(() => {
      // Those that wait for their turn here are due, too, and must not hide what another bot left.
      this.#it.index
        .dueNow(MAX_AT_ONCE + this.#busy.size)
        .then((holds) => {
          const room = MAX_AT_ONCE - (this.#busy.size - this.#lanes.waiting);
          const others = holds.filter((hold) => !this.#busy.has(hold));
          for (const hold of others.slice(0, Math.max(0, room))) this.#kick(hold);
        })
        .then(() => this.#offered.look())
        .catch((error: unknown) => this.#it.log.warn({ error: String(error) }, 'cannot read what is due'));
    }, PUMP_MS);
  }

  /** Ends the pump and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#pump);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#lanes.stop();
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
        return this.#notices.notice(job, envelope);
      case 'over':
        return this.#offered.over(job, envelope);
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
    this.#inTurn(hold)
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

  /** A card's first post waits for its requester's turn, without holding its lock; what was withdrawn meanwhile goes at once. */
  async #inTurn(hold: string): Promise<void> {
    const entry = await this.#it.index.read(hold);
    const first = entry && entry.ts === undefined && entry.shown < entry.card.sequence;
    if (!first || entry.card.collectedBy || isMoot(entry) || isDirect(entry)) {
      await this.#show(hold);
      return;
    }
    const { issuer, subject } = entry.card.requester;
    await this.#lanes.turn(channelOf(entry), `${issuer} ${subject}`, () => this.#show(hold));
  }

  /** Answers for how many ms its channel takes no more posts. */
  async #show(hold: string): Promise<number> {
    const { index, log } = this.#it;
    const closedMs = await index.exclusively(hold, async () => {
      const entry = await index.read(hold);
      if (!entry) {
        log.error({ hold }, 'the message index holds no card that a gateway sealed: let go');
        await index.notDue(hold);
        return 0;
      }
      const { sequence, collectedBy } = entry.card;
      // A collecting card stands for it: known here, for its Details, and never posted.
      if ((collectedBy && entry.ts === undefined) || isMoot(entry)) {
        await index.shown(hold, sequence);
        return 0;
      }
      try {
        await this.#everywhere(entry);
        return 0;
      } catch (error) {
        return this.#failed(entry, error);
      }
    });
    return closedMs ?? 0;
  }

  /** In the channel first, then in direct messages; or in these alone. */
  async #everywhere(known: Entry): Promise<void> {
    const { index } = this.#it;
    const entry = isOpen(known.card) ? known : await this.#offered.onCard(known);
    const { card } = entry;
    const { hold, sequence } = card;
    const stale = entry.shown < sequence;
    const direct = isDirect(entry);
    if (!direct && stale && !(await this.#original.show(entry))) return this.#later(hold, UNCERTAIN_MS);
    const { waitMs, hanging, fresh } = await this.#copies.show(entry, stale);
    if (direct) {
      if (hanging.length === 0 && waitMs === 0) {
        await index.set(hold, { fallback: 'no_dm' });
        return this.#later(hold, 0);
      }
      const [first] = fresh;
      if (first?.ts !== undefined) await this.#original.posted(card, first.channel, first.ts);
    }
    if (waitMs > 0) {
      if (direct) await index.set(hold, { shown: sequence }); // what is left is only the copies' own
      return this.#later(hold, waitMs);
    }
    if (entry.lost) await this.#notices.lost(entry);
    return index.shown(hold, sequence);
  }

  /** Answers for how many ms its channel takes no more posts. */
  async #failed(entry: Entry, error: unknown): Promise<number> {
    const { index, log } = this.#it;
    const { card } = entry;
    const { hold } = card;
    const problem = error instanceof SlackError ? error.problem : { kind: 'uncertain' as const };
    if (problem.kind === 'limited') {
      // Not executed: nothing to look for, unless an earlier attempt left something.
      if (entry.ts === undefined && entry.posting === undefined) await index.unset(hold, 'posting');
      // Edits may wait by the hundred: they come back spread out, not all at once. First posts take turns.
      const inTurn = entry.ts === undefined && !isDirect(entry);
      await this.#later(hold, inTurn ? 0 : problem.retryMs + Math.random() * this.#timers.size * 200);
      return problem.retryMs;
    }
    log.warn({ hold, sequence: card.sequence, error: String(error) }, 'card not shown');
    if (problem.kind === 'uncertain') {
      await this.#later(hold, UNCERTAIN_MS);
      return 0;
    }
    const next = await this.#original.refused(entry, problem.error);
    if (next === 'over') await index.shown(hold, card.sequence);
    else await this.#later(hold, next === 'again' ? 0 : BLOCKED_MS);
    return 0;
  }
}
