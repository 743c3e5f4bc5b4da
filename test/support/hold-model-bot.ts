/** The bot of the hold model: keeps the newest card of each hold, answers questions, looks after what the dead left. */
import { asShown } from '../../bot/entry.ts';
import { type Card, type CardJob, cardSchema } from '../../queue/cards.ts';
import { LeaseWatch } from '../../queue/leases.ts';
import type { VoteMessage } from '../../queue/votes.ts';
import { KEYS } from './hold-model-gateway.ts';
import { GROUPS, TEAM, type Workspace } from './hold-model-people.ts';
import { Connection, type Schedule, type Store } from './hold-model-redis.ts';
import { Process, type Time } from './hold-model-time.ts';

type Entry = {
  card: Card | undefined;
  readonly past: Card[];
  lost: { at: number; state: 'lost' | 'unknown'; upTo: number } | undefined;
};

export type BotOptions = {
  readonly time: Time;
  readonly redis: Store;
  readonly schedule: Schedule;
  readonly workspace: Workspace;
  /** Hand this to the gateway; `readAt` is when Slack was asked, monotonic ms. */
  readonly tell: (gateway: string, message: VoteMessage, readAt: number) => void;
  readonly onShown: (card: Card) => void;
  readonly onLost: (hold: string, state: string) => void;
};

export class ModelBot {
  readonly process: Process;
  readonly entries = new Map<string, Entry>();
  answers = true;
  readonly #it: BotOptions;
  readonly #leases: LeaseWatch;
  #looking = false;

  constructor(options: BotOptions) {
    const { time, redis, schedule } = options;
    this.#it = options;
    this.process = new Process(time);
    const connection = new Connection(redis, { time, owner: this.process, schedule, fault: () => undefined });
    this.#leases = new LeaseWatch(connection.redis, () => KEYS.trusted, this.process.clock.monotonic);
  }

  /** As it hangs in the channel. */
  shown(hold: string): Card | undefined {
    const entry = this.entries.get(hold);
    if (!entry?.card) return undefined;
    const { card, lost } = entry;
    const known = { shown: 0, channel: undefined, ts: undefined, posting: undefined, underway: undefined };
    const loss = lost && card.sequence <= lost.upTo ? { state: lost.state, at: lost.at } : undefined;
    return asShown({
      ...known,
      card,
      first: 1,
      reposts: 0,
      lost: loss,
      reported: undefined,
      fallback: undefined,
      copies: [],
      over: new Map(),
    });
  }

  async handle(job: CardJob): Promise<void> {
    const { schedule, workspace, tell, time } = this.#it;
    await schedule(`bot takes ${job.kind}`);
    const now = this.process.clock.now();
    switch (job.kind) {
      case 'card': {
        const entry = this.#entry(job.card.hold);
        if (entry.card && entry.card.sequence >= job.card.sequence) return;
        if (entry.card) entry.past.push(entry.card);
        entry.card = job.card;
        return this.#show(job.card.hold);
      }
      case 'attest': {
        if (!this.answers || now - job.at > 120_000) return;
        const people = job.users.map((user) => workspace.attest(user, now));
        return tell(job.gateway, { kind: 'attestation', v: 1, id: job.id, hold: job.hold, people }, time.now);
      }
      case 'directory': {
        if (!this.answers) return;
        const groups = Object.entries(GROUPS).map(([name, id]) => {
          const members = [...workspace.members[name as keyof typeof GROUPS]];
          return { name, id, handle: name.slice(1), members, readAt: now };
        });
        const answer = { team: TEAM, groups, missing: [], unreadable: [], at: now };
        return tell(job.gateway, { kind: 'directory', v: 1, id: job.id, ...answer }, time.now);
      }
    }
  }

  /** One look after dead gateways, as the bot's own. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      for (const dead of await this.#leases.dead(this.process.clock.now())) {
        for (const card of dead.cards) {
          if (card.state !== 'lost' && card.state !== 'unknown') continue;
          this.#entry(card.hold).lost = { at: this.process.clock.now(), state: card.state, upTo: card.sequence };
          this.#it.onLost(card.hold, card.state);
          this.#show(card.hold);
        }
        if (await this.#leases.isRecorded(dead)) this.#it.redis.hashes.delete(`countersign:holds:${dead.gateway}`);
      }
    } catch {
      // Redis is away: with the next look
    } finally {
      this.#looking = false;
    }
  }

  #entry(hold: string): Entry {
    const entry = this.entries.get(hold) ?? { card: undefined, past: [], lost: undefined };
    this.entries.set(hold, entry);
    return entry;
  }

  #show(hold: string): void {
    const card = this.shown(hold);
    if (card) this.#it.onShown(cardSchema.parse(card));
  }
}
