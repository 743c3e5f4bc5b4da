/** What is known of each session, newest first, in memory: a hundred thousand are looked through in milliseconds. Pure. */
import type { Found, Search, SessionSummary } from './shape.ts';

const MOST_FOUND = 200;
const FOUND = 50;

/** Newest first; of two that began together, the greater id. */
const before = (a: Pick<SessionSummary, 'startedAt' | 'session'>, b: Pick<SessionSummary, 'startedAt' | 'session'>) =>
  b.startedAt - a.startedAt || (a.session < b.session ? 1 : a.session > b.session ? -1 : 0);

export class Index {
  readonly #of = new Map<string, SessionSummary>();
  #sorted: SessionSummary[] = [];
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
    if (known) this.#sorted[at] = summary;
    else this.#sorted.splice(at, 0, summary);
    if (this.#sorted.length > this.#most) {
      const oldest = this.#sorted.pop();
      if (oldest) this.#of.delete(oldest.session);
    }
    return true;
  }

  /** Many at once. */
  fill(summaries: Iterable<SessionSummary>): void {
    for (const summary of summaries) {
      const known = this.#of.get(summary.session);
      if (!known || rank(known) <= rank(summary)) this.#of.set(summary.session, summary);
    }
    this.#sorted = [...this.#of.values()].sort(before);
    for (const { session } of this.#sorted.splice(this.#most)) this.#of.delete(session);
  }

  /** Said to go on when last heard of. */
  unended(): SessionSummary[] {
    return this.#sorted.filter(goesOn);
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
    if (after && this.#sorted[at]?.session === after.session) at++;
    for (; at < this.#sorted.length; at++) {
      const summary = this.#sorted[at]!;
      if (!wanted(summary) || !visible(summary)) continue;
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
      if (before(this.#sorted[middle]!, of) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Complete is the last word; before it, more operations are later word. */
const rank = ({ sha256, endedAt, operations }: SessionSummary): number =>
  (sha256 === undefined ? 0 : 2e15) + (endedAt === undefined ? 0 : 1e15) + operations;

function matcher(query: Search): (summary: SessionSummary) => boolean {
  const { agent, sponsor, connection, verdict, since, until, live } = query;
  const [text, relation] = [query.text?.toLowerCase(), query.relation?.toLowerCase()];
  const whose = agent?.toLowerCase();
  return (summary) =>
    (connection === undefined || summary.connection === connection) &&
    (sponsor === undefined || summary.sponsor === sponsor) &&
    (verdict === undefined || summary.verdicts.includes(verdict)) &&
    (until === undefined || summary.startedAt < until) &&
    (since === undefined || (summary.endedAt ?? Number.POSITIVE_INFINITY) >= since) &&
    (live !== true || goesOn(summary)) &&
    (whose === undefined || has(summary.name, whose) || has(summary.principal, whose)) &&
    (relation === undefined || summary.relations.some((each) => has(each, relation))) &&
    (text === undefined ||
      has(summary.name, text) ||
      has(summary.principal, text) ||
      has(summary.connection, text) ||
      summary.session.startsWith(text) ||
      summary.relations.some((each) => has(each, text)));
}

const goesOn = ({ endedAt, sha256, lost }: SessionSummary): boolean =>
  endedAt === undefined && sha256 === undefined && lost !== true;

const has = (text: string, part: string): boolean => text.toLowerCase().includes(part);
