/** An entry as a row of a table (RFC 4180): fixed columns, nothing that a spreadsheet would run or a terminal obey. Pure. */
import { csvCell } from '../../csv.ts';
import type { Line } from '../chain.ts';

/** Never reordered or renamed; a new one goes to the end. */
const COLUMNS = [
  'time',
  'chain',
  'seq',
  'kind',
  'verified',
  'principal',
  'connection',
  'session',
  'operation',
  'hold',
  'verdict',
  'headline',
  'statement',
  'rules',
  'by',
  'decision',
  'counted',
  'state',
  'outcome',
  'rows',
  'ms',
  'code',
  'reason',
  'address',
  'details',
  'prev',
  'hash',
] as const;

/** Members that go by another name in some kinds. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  by: ['by', 'user'],
  code: ['code', 'sqlstate'],
  reason: ['reason', 'why', 'message'],
  address: ['address', 'peer'],
};

const END = '\r\n';

export const csvHeader = (): string => COLUMNS.join() + END;

/** `verified`: is it known to be as it was written? */
export function csvRow(chain: string, { link, at, prev, entry }: Line, verified: boolean): string {
  const rest = new Map(Object.entries(entry));
  for (const own of ['seq', 'at', 'prev', 'kind']) rest.delete(own);
  const known: Readonly<Record<string, unknown>> = {
    time: at,
    chain,
    seq: link.seq,
    kind: entry.kind,
    verified: verified ? 'yes' : 'no',
    prev,
    hash: link.hash,
  };
  const take = (column: string): unknown => {
    if (column in known) return known[column];
    for (const name of ALIASES[column] ?? [column]) {
      const value = rest.get(name);
      if (value === undefined || !rest.delete(name)) continue;
      return value;
    }
    return undefined;
  };
  const cells = COLUMNS.map((column) => (column === 'details' ? undefined : take(column)));
  const details = rest.size === 0 ? undefined : Object.fromEntries(rest);
  return cells.map((value, i) => csvCell(COLUMNS[i] === 'details' ? details : value)).join() + END;
}

/** A line that is none of the trail's any more: what it says stands under `details`. */
export function csvUnreadable(chain: string, text: string | undefined): string {
  const cells: Readonly<Record<string, unknown>> = { chain, verified: 'no', details: text ?? '(no text)' };
  return COLUMNS.map((column) => csvCell(cells[column])).join() + END;
}
