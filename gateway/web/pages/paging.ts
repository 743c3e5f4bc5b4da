/** A recording a page at a time, in memory that a page needs, however long it is. */
import type { RecordedEvent, RecordedHead } from '../../recordings/shape.ts';
import { type Filter, type Item, isOver, Timeline } from './timeline.ts';

export const PER_PAGE = 200;
const MOST_LATE = 500; // operations that are looked at for what still belongs to a page that is full

export type Wanted = { readonly page: number } | { readonly op: string };
export type PageOf = {
  readonly head: RecordedHead;
  readonly items: readonly Item[];
  readonly page: number;
  readonly more: boolean;
  readonly lines: number;
};

/**
 * One page of what the filter lets through. Undefined where there is no such operation, or no such page but the first.
 * @throws as `lines` does
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
