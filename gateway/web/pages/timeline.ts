/** A recording's lines to what a reader follows: one item for each operation, with all that belongs to it. */
import type { ColumnsEvent, RecordedEvent, RecordedHead, RecordedValue } from '../../recordings/shape.ts';
import { cut } from './text.ts';

const MOST_ROWS = 100; // of one operation, shown; the rest is in the download
const MOST_VALUE = 1_000; // characters
const MOST_PAGE = 3_000_000; // characters of values on one page
const MOST_SAID = 50;

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
  verdict: string;
  readonly headline: string;
  readonly statement: string;
  readonly parameters: readonly string[];
  readonly rules: readonly string[];
  readonly why: string;
  readonly by: string[];
  held?: Held;
  /** Holds of it that ended before: it was let through, and then asked about again. */
  readonly before: Held[];
  /** How far it had come when it was asked about again. */
  stopped?: { readonly rows: number; readonly touched?: object };
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
    if (this.#again(event)) return false;
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
      const again = this.#again(event);
      if (again) this.#goOn(again, event);
      const item = again ?? (this.begins(event) ? this.#begin(event) : undefined);
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

  /** The item that is asked about once more, for the rest of its result or for its COMMIT. */
  #again({ operation, stopped, touched }: RecordedEvent): Item | undefined {
    if (typeof operation !== 'string' || (stopped === undefined && touched === undefined)) return undefined;
    return this.#items.get(operation);
  }

  #goOn(item: Item, event: RecordedEvent): void {
    const rows = num((event.stopped as { rows?: unknown } | undefined)?.rows) ?? 0;
    item.stopped = event.touched === undefined ? { rows } : { rows, touched: {} };
    if (event.verdict !== 'allow') item.verdict = str(event.verdict);
    item.by.push(str(event.headline));
    item.line = this.lines;
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
      before: [],
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
        if (item.held) item.before.push(item.held);
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
