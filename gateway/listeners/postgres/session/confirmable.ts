/** Which operations can have the rows they touched confirmed before their COMMIT. Pure. */
import type { Action, Operation } from '../../../operation.ts';
import type { StatementFacts } from '../types.ts';

/** One statement with what it names looked up. */
type Resolved = { readonly facts: StatementFacts; readonly inner: StatementFacts | undefined };

const WRITES: ReadonlySet<Action> = new Set(['insert', 'update', 'delete']);

/** Only of these the target counts the rows; what else changes something is asked about once. */
export const touchesRows = ({ effects }: Pick<Operation, 'effects'>): boolean =>
  effects.some(({ action }) => WRITES.has(action));

export function confirmable(statements: readonly Resolved[]): {
  readonly unconfirmable: string | undefined;
  readonly uncounted: true | undefined;
} {
  const uncounted = statements.some(({ facts, inner }) => facts.uncounted || inner?.uncounted) || undefined;
  return { unconfirmable: whyNot(statements), uncounted };
}

function whyNot(statements: readonly Resolved[]): string | undefined {
  if (statements.length > 1) return 'send this statement alone, not several in one string';
  const [one] = statements;
  if (one?.facts.copy === 'in') return 'COPY FROM STDIN cannot be, its approval has limits of its own';
  if (one?.facts.outside) return 'this statement cannot run in a transaction block';
  return undefined;
}

const CODE: ReadonlySet<Action> = new Set(['call', 'unknown']);
const COUNTED = /^(?:INSERT|UPDATE|DELETE|MERGE) /;

/**
 * Rows by the target's own count; undefined where that says nothing of all it wrote (EXPLAIN ANALYZE, writes in WITH, code
 * that ran: `DELETE … WHERE wipe(id)` may touch no row itself).
 */
export const touchedBy = (tag: string, { uncounted, effects }: Operation): number | undefined =>
  COUNTED.test(tag) && !uncounted && !effects.some(({ action }) => CODE.has(action)) ? rowsOf(tag) : undefined;

/** `INSERT 0 5` → 5, `DELETE 3` → 3, `BEGIN` → undefined. */
export function rowsOf(tag: string): number | undefined {
  const last = tag.slice(tag.lastIndexOf(' ') + 1);
  return /^\d{1,15}$/.test(last) ? Number(last) : undefined;
}
