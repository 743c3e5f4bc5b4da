/** What is known of each session, newest first, in memory: a hundred thousand are looked through in milliseconds. Pure. */
import { type Found, goesOn, type Search, type SessionSummary } from './shape.ts';

const MOST_FOUND = 200;
const FOUND = 50;

/** Newest first; of two that began together, the greater id. */
const before = (a: Pick<SessionSummary, 'startedAt' | 'session'>, b: Pick<SessionSummary, 'startedAt' | 'session'>) =>
  b.startedAt - a.startedAt || (a.session < b.session ? 1 : a.session > b.session ? -1 : 0);

/** With what texts are looked for in, in lower case once and for all: a search that finds nothing looks at every session. */
type Entry = { readonly summary: SessionSummary; readonly who: string; readonly relations: string };

const BETWEEN = '\0'; // no part of what is looked for
const entryOf = (summary: SessionSummary): Entry => ({
  summary,
  who: [summary.name, summary.principal].join(BETWEEN).toLowerCase(),
  relations: summary.relations.join(BETWEEN).toLowerCase(),
});

export class Index {
  readonly #of = new Map<string, SessionSummary>();
  #sorted: Entry[] = [];
  readonly #most: number;

  /** Beyond `most`, the oldest are forgotten. */
  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#sorted.length;
  }

  find(session: string): SessionSummary | undefined {
    return this.#of.get(session);
  }

  /** Newer word of a session takes the place of older: what has ended does not go on. */
  add(summary: SessionSummary): boolean {
    const known = this.#of.get(summary.session);
    if (known && (known.startedAt !== summary.startedAt || rank(known) > rank(summary))) return false;
    this.#of.set(summary.session, summary);
    const at = this.#place(summary);
    if (known) this.#sorted[at] = entryOf(summary);
    else this.#sorted.splice(at, 0, entryOf(summary));
    if (this.#sorted.length > this.#most) {
      const oldest = this.#sorted.pop();
      if (oldest) this.#of.delete(oldest.summary.session);
    }
    return true;
  }

  /** Many at once. */
  fill(summaries: Iterable<SessionSummary>): void {
    for (const summary of summaries) {
      const known = this.#of.get(summary.session);
      if (!known || rank(known) <= rank(summary)) this.#of.set(summary.session, summary);
    }
    const sorted = [...this.#of.values()].sort(before);
    for (const { session } of sorted.splice(this.#most)) this.#of.delete(session);
    this.#sorted = sorted.map(entryOf);
  }

  /** Said to go on when last heard of. */
  unended(): SessionSummary[] {
    return this.#sorted.map(({ summary }) => summary).filter(goesOn);
  }

  remove(session: string): void {
    const known = this.#of.get(session);
    if (!known) return;
    this.#of.delete(session);
    this.#sorted.splice(this.#place(known), 1);
  }

  search(query: Search, visible: (summary: SessionSummary) => boolean): Found {
    const { limit = FOUND, after } = query;
    const most = Math.min(Math.max(1, limit), MOST_FOUND);
    const wanted = matcher(query);
    const sessions: SessionSummary[] = [];
    let at = after ? this.#place(after) : 0;
    if (after && this.#sorted[at]?.summary.session === after.session) at++;
    for (; at < this.#sorted.length; at++) {
      const entry = this.#sorted[at]!;
      const { summary } = entry;
      if (!wanted(entry) || !visible(summary)) continue;
      if (sessions.length === most) return { sessions, more: true };
      sessions.push(summary);
    }
    return { sessions, more: false };
  }

  /** Where it is, or would be. */
  #place(of: Pick<SessionSummary, 'startedAt' | 'session'>): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(this.#sorted[middle]!.summary, of) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Complete is the last word; before it, more operations are later word. */
const rank = ({ sha256, endedAt, operations }: SessionSummary): number =>
  (sha256 === undefined ? 0 : 2e15) + (endedAt === undefined ? 0 : 1e15) + operations;

function matcher(query: Search): (entry: Entry) => boolean {
  const { agent, sponsors, connection, verdict, since, until, live } = query;
  const [text, relation, whose] = [query.text, query.relation, agent].map((part) => part?.toLowerCase());
  if ([text, relation, whose].some((part) => part?.includes(BETWEEN))) return () => false;
  return ({ summary, who, relations }) =>
    (connection === undefined || summary.connection === connection) &&
    (sponsors === undefined || (summary.sponsor !== undefined && sponsors.includes(summary.sponsor))) &&
    (verdict === undefined || summary.verdicts.includes(verdict)) &&
    (until === undefined || summary.startedAt < until) &&
    (since === undefined || (summary.endedAt ?? Number.POSITIVE_INFINITY) >= since) &&
    (live !== true || goesOn(summary)) &&
    (whose === undefined || who.includes(whose)) &&
    (relation === undefined || relations.includes(relation)) &&
    (text === undefined ||
      who.includes(text) ||
      relations.includes(text) ||
      summary.connection.toLowerCase().includes(text) ||
      summary.session.startsWith(text));
}
