/** What each person decided here lately, for their App Home. In memory alone: the audit trail is the record. */
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';

const WEEK_MS = 7 * 86_400_000;
const MOST_PEOPLE = 1_000; // who decided first is forgotten first
const MOST_EACH = 20;

export type Decision = {
  readonly hold: string;
  readonly at: number;
  readonly decision: 'approved' | 'denied';
  readonly shortId: string;
  readonly connection: string;
  readonly headline: string;
  /** How the hold stands, or ended. */
  readonly state: string;
  readonly link: string | undefined;
};

export class Decisions {
  readonly #people = new Map<string, Map<string, Decision>>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  readonly follower: Follower = {
    voted: (hold) => this.#look(hold),
    ended: (hold) => this.#look(hold),
  };

  /** Of the last seven days, newest first. */
  of(user: string): readonly Decision[] {
    const since = this.#now() - WEEK_MS;
    const all = [...(this.#people.get(user)?.values() ?? [])];
    return all.filter(({ at }) => at >= since).sort((a, b) => b.at - a.at);
  }

  #look(hold: Hold): void {
    for (const user of hold.clicks?.keys() ?? []) if (!hold.votes.has(user)) this.#people.get(user)?.delete(hold.id);
    for (const { user, at } of hold.votes.values()) this.#note(user, hold, at, 'approved');
    const { phase } = hold;
    if (phase.kind === 'denied') this.#note(phase.by, hold, phase.at, 'denied');
  }

  #note(user: string, hold: Hold, at: number, decision: Decision['decision']): void {
    const { id, shortId, operation, phase, posted } = hold;
    const { connection, headline } = operation;
    const theirs = this.#people.get(user) ?? new Map<string, Decision>();
    theirs.delete(id);
    theirs.set(id, {
      hold: id,
      at,
      decision,
      shortId,
      connection,
      headline,
      state: phase.kind,
      link: posted?.permalink,
    });
    for (const oldest of theirs.keys()) {
      if (theirs.size <= MOST_EACH) break;
      theirs.delete(oldest);
    }
    this.#people.set(user, theirs);
    const first = this.#people.keys().next().value;
    if (this.#people.size > MOST_PEOPLE && first !== undefined) this.#people.delete(first);
  }
}
