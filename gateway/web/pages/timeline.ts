/** A recording's lines to what a reader follows: one item for each operation, with all that belongs to it, a page at a time. */
import type { ColumnsEvent, RecordedEvent, RecordedHead, RecordedValue } from '../../recordings/shape.ts';
import { cut } from './text.ts';

export const PER_PAGE = 200;
const MOST_ROWS = 100; // of one operation, shown; the rest is in the download
const MOST_VALUE = 1_000; // characters
const MOST_PAGE = 3_000_000; // characters of values on one page
const MOST_SAID = 50;
const MOST_LATE = 500; // operations that are looked at for what still belongs to a page that is full

export type Cell = { readonly text: string | null; readonly hex?: boolean; readonly missing: number };
export type Table = {
  readonly columns: ColumnsEvent['columns'];
  readonly rows: Cell[][];
  /** Recorded, shown or not. */
  recorded: number;
};
export type Said = {
  readonly t: number;
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly more: string;
};
export type Vote = {
  readonly t: number;
  readonly user: string;
  readonly name: string;
  readonly decision: string;
  readonly counted: boolean;
  readonly reason: string;
  readonly why: string;
  readonly remark: string;
};
export type Held = {
  readonly id: string;
  readonly t: number;
  readonly votes: Vote[];
  settled?: { readonly t: number; readonly state: string; readonly by: readonly string[]; readonly reason: string };
  released?: number;
};
export type Ended = {
  readonly t: number;
  readonly kind: string;
  readonly tag: string;
  readonly rows: number | undefined;
  readonly ms: number;
  readonly code: string;
  readonly words: string;
  readonly masked: readonly (readonly [string, number])[];
};
export type Item = {
  readonly id: string;
  /** Counted from 1, among those that the filter lets through. */
  readonly number: number;
  readonly t: number;
  /** Of the line that said last what belongs to it. */
  line: number;
  readonly verdict: string;
  readonly headline: string;
  readonly statement: string;
  readonly parameters: readonly string[];
  readonly rules: readonly string[];
  readonly why: string;
  readonly by: string[];
  held?: Held;
  readonly tables: Table[];
  readonly copied: Cell[];
  copies: number;
  readonly said: Said[];
  saidMore: number;
  /** So much was recorded of its result, and no more. */
  cutAfter?: number;
  outcome?: Ended;
};

export type Filter = { readonly text?: string | undefined; readonly held?: boolean | undefined };

export const str = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value);
const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(str) : []);
const num = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** Nothing more comes of it. */
export const isOver = ({ outcome, held, verdict }: Item): boolean =>
  outcome !== undefined ||
  verdict === 'deny' ||
  verdict === 'refused' ||
  (held?.settled !== undefined && held.settled.state !== 'approved');

/** Takes lines in order; holds so many items as it is left with. */
export class Timeline {
  readonly #items = new Map<string, Item>();
  readonly #filter: Filter;
  #room = MOST_PAGE;
  #last: Item | undefined;
  #number = 0;
  head: RecordedHead | undefined;
  /** Lines taken, the head's among them. */
  lines = 0;
  ended: { readonly t: number; readonly reason: string } | undefined;

  constructor(filter: Filter = {}) {
    this.#filter = { ...filter, text: filter.text?.toLowerCase() };
  }

  get items(): Item[] {
    return [...this.#items.values()];
  }

  get size(): number {
    return this.#items.size;
  }

  has(id: string): boolean {
    return this.#items.has(id);
  }

  forget(id: string): void {
    this.#items.delete(id);
  }

  clear(): void {
    this.#items.clear();
    this.#room = MOST_PAGE;
  }

  /** The oldest go, those over first. */
  keep(most: number): void {
    for (const over of [true, false]) {
      for (const item of this.#items.values()) {
        if (this.#items.size <= most) return;
        if (!over || isOver(item)) this.#items.delete(item.id);
      }
    }
  }

  /** Is this what begins an item? */
  begins(line: RecordedHead | RecordedEvent): line is RecordedEvent {
    if (line.kind !== 'operation') return false;
    const event = line as RecordedEvent;
    const { text, held } = this.#filter;
    if (held && event.verdict !== 'hold') return false;
    if (text === undefined || text === '') return true;
    const among = [str(event.headline), str(event.statement), str(event.why), ...list(event.rules)];
    return among.some((one) => one.toLowerCase().includes(text));
  }

  /** The item it belongs to; undefined where none is here. */
  take(line: RecordedHead | RecordedEvent): Item | undefined {
    this.lines++;
    if (line.kind === 'session') {
      this.head = line as RecordedHead;
      return undefined;
    }
    const event = line as RecordedEvent;
    if (event.kind === 'operation') {
      const item = this.begins(event) ? this.#begin(event) : undefined;
      this.#last = item;
      return item;
    }
    if (event.kind === 'session.end') {
      this.ended = { t: event.t, reason: str(event.reason) };
      return undefined;
    }
    const item = typeof event.operation === 'string' ? this.#items.get(event.operation) : this.#loose(event);
    if (!item) return undefined;
    this.#add(item, event);
    item.line = this.lines;
    return item;
  }

  /** What the client was told while nothing answered it belongs to what it had asked for last. */
  #loose({ kind }: RecordedEvent): Item | undefined {
    return kind === 'said' && this.#last && this.#items.has(this.#last.id) ? this.#last : undefined;
  }

  #begin(event: RecordedEvent): Item {
    const number = ++this.#number;
    const id = typeof event.operation === 'string' ? event.operation : `n${this.lines}`;
    const { verdict, code, sqlstate } = event;
    const item: Item = {
      id,
      number,
      t: event.t,
      line: this.lines,
      verdict: str(verdict),
      headline: str(event.headline) || (verdict === 'refused' ? `Refused: ${str(code ?? sqlstate)}` : 'An operation'),
      statement: cut(str(event.statement), 60_000).text,
      parameters: list(event.parameters).map((one) => cut(one, MOST_VALUE).text),
      rules: list(event.rules),
      why: str(event.why) || (event.rule === undefined ? '' : `rule ${str(event.rule)}`),
      by: [],
      tables: [],
      copied: [],
      copies: 0,
      said: [],
      saidMore: 0,
    };
    this.#items.set(id, item);
    return item;
  }

  #add(item: Item, event: RecordedEvent): void {
    switch (event.kind) {
      case 'hold.open':
        item.held = { id: str(event.hold), t: event.t, votes: [] };
        return;
      case 'hold.vote':
        this.#vote(item, event);
        return;
      case 'hold.settled':
        if (item.held) item.held.settled = settledBy(event);
        return;
      case 'hold.released':
        if (item.held) item.held.released = event.t;
        return;
      case 'grant.used':
        item.by.push(`Let through by grant ${str(event.grant).slice(0, 10)}`);
        return;
      case 'plan.used':
        item.by.push(`Let through by plan ${str(event.plan).slice(0, 10)}`);
        return;
      case 'columns':
        item.tables.push({ columns: (event as unknown as ColumnsEvent).columns ?? [], rows: [], recorded: 0 });
        return;
      case 'rows':
        this.#rows(item, event.rows);
        return;
      case 'copy':
        item.copies++;
        if (item.copied.length < MOST_ROWS) item.copied.push(this.#cell(event.data as RecordedValue));
        return;
      case 'cut':
        item.cutAfter = num(event.after) ?? 0;
        return;
      case 'said':
        if (item.said.length >= MOST_SAID) item.saidMore++;
        else item.said.push(saidIn(event));
        return;
      case 'outcome':
        item.outcome = outcomeIn(event);
    }
  }

  #vote({ held }: Item, event: RecordedEvent): void {
    if (!held || held.votes.length >= 200) return;
    held.votes.push({
      t: event.t,
      user: str(event.user),
      name: str(event.name),
      decision: str(event.decision),
      counted: event.counted === true,
      reason: str(event.reason),
      why: str(event.why),
      remark: str(event.remark),
    });
  }

  #rows(item: Item, rows: unknown): void {
    if (!Array.isArray(rows)) return;
    const last = item.tables.at(-1);
    const table = last ?? { columns: [], rows: [], recorded: 0 };
    if (!last) item.tables.push(table);
    table.recorded += rows.length;
    for (const row of rows) {
      if (table.rows.length >= MOST_ROWS || this.#room <= 0) return;
      table.rows.push((Array.isArray(row) ? row.slice(0, MOST_ROWS) : []).map((value) => this.#cell(value)));
    }
  }

  #cell(value: RecordedValue | undefined): Cell {
    if (value === null || value === undefined) return { text: null, missing: 0 };
    const of: { readonly hex?: unknown; readonly text?: unknown; readonly cut?: unknown } =
      typeof value === 'string' ? { text: value } : value;
    const { text, missing } = cut(str(of.hex ?? of.text), MOST_VALUE);
    this.#room -= text.length + 20;
    const hex = of.hex === undefined ? {} : { hex: true };
    return { text, ...hex, missing: (of.hex === undefined ? missing : missing / 2) + (num(of.cut) ?? 0) };
  }
}

function settledBy(event: RecordedEvent): NonNullable<Held['settled']> {
  const by = Array.isArray(event.by) ? list(event.by) : event.by === undefined ? [] : [str(event.by)];
  return { t: event.t, state: str(event.state), by, reason: str(event.reason) };
}

const saidIn = (event: RecordedEvent): Said => ({
  t: event.t,
  severity: str(event.severity),
  code: str(event.code),
  message: cut(str(event.message), 4_000).text,
  more: cut([str(event.detail), str(event.hint)].filter((one) => one !== '').join(' · '), 4_000).text,
});

function outcomeIn(event: RecordedEvent): Ended {
  const masked = typeof event.masked === 'object' && event.masked !== null ? Object.entries(event.masked) : [];
  return {
    t: event.t,
    kind: str(event.outcome),
    tag: str(event.tag),
    rows: num(event.rows),
    ms: num(event.ms) ?? 0,
    code: str(event.sqlstate),
    words: cut(str(event.message ?? event.reason ?? event.note), 4_000).text,
    // How old the catalogue was stands beside the counts.
    masked: masked.flatMap(([why, count]) => (why === 'catalogueMs' ? [] : [[why, Number(count) || 0] as const])),
  };
}

export type Wanted = { readonly page: number } | { readonly op: string };
export type PageOf = {
  readonly head: RecordedHead;
  readonly items: readonly Item[];
  readonly page: number;
  readonly more: boolean;
  readonly lines: number;
};

/**
 * One page of what the filter lets through, in memory that a page needs, however long the recording is. Undefined where
 * there is no such operation, or no such page but the first. @throws as `lines` does
 */
export async function pageOf(
  lines: AsyncIterable<RecordedHead | RecordedEvent>,
  wanted: Wanted,
  filter: Filter,
): Promise<PageOf | undefined> {
  const timeline = new Timeline(filter);
  let [page, found, late] = [1, 'page' in wanted && wanted.page === 1, 0];
  let kept: Item[] | undefined;
  for await (const line of lines) {
    if (timeline.begins(line)) {
      if (kept) {
        late++;
        if (late > MOST_LATE || kept.every(isOver)) break;
        timeline.lines++;
        continue;
      }
      if (timeline.size === PER_PAGE) {
        if (found) {
          kept = timeline.items;
          late = 1;
          if (kept.every(isOver)) break;
          timeline.lines++;
          continue;
        }
        timeline.clear();
        page++;
        found = 'page' in wanted && wanted.page === page;
      }
    }
    timeline.take(line);
    if ('op' in wanted && !found) found = timeline.has(wanted.op);
  }
  const { head } = timeline;
  if (!head || !found) return undefined;
  return { head, items: timeline.items, page, more: late > 0, lines: timeline.lines };
}

/** The held operation next to one, before or behind; undefined where there is none. */
export async function holdBeside(
  lines: AsyncIterable<RecordedHead | RecordedEvent>,
  of: string,
  side: 'next' | 'previous',
): Promise<string | undefined> {
  let passed = false;
  let before: string | undefined;
  for await (const line of lines) {
    if (line.kind !== 'operation') continue;
    const { operation, verdict } = line as RecordedEvent;
    if (operation === of) {
      if (side === 'previous') return before;
      passed = true;
    } else if (verdict === 'hold' && typeof operation === 'string') {
      if (passed) return operation;
      before = operation;
    }
  }
  return undefined;
}
