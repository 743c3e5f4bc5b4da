/**
 * How many rows a statement would write, asked of the target's planner. Planning can run code (measured: EXPLAIN ran a
 * function) and a text of several statements can leave a transaction that only reads: so only of one statement whose
 * every function the classifier knows to be harmless, by the extended protocol.
 */
import type { Action, Operation } from '../../../operation.ts';
import type { Inspector, StatementFacts } from '../types.ts';
import { aboutRows } from './amounts.ts';
import { apart, ask, type ReachClient } from './client.ts';
import { partsOf } from './objects.ts';
import { scannedBy, writtenBy } from './plan.ts';
import { RUNNING_DEFAULTS, UNCOUNTED } from './questions.ts';

export type Estimate = { readonly rows: number | undefined; readonly text: string };

export const none = (why: string): Estimate => ({ rows: undefined, text: `no estimate: ${why}` });

const PLANNABLE: ReadonlySet<Action> = new Set(['read', 'insert', 'update', 'delete']);
const WRITES: ReadonlySet<Action> = new Set(['insert', 'update', 'delete']);
/** What is said of tables that were never analysed: of those a planner's number is its default, and no guess. */
export const NOBODY_COUNTED = 'nobody has counted the rows of its tables';
const EXPLAIN = 'EXPLAIN (FORMAT JSON, VERBOSE)'; // with the schemas of what it reads
const PREPARED = 'countersign_estimate';

export type Planning = {
  readonly operation: Operation;
  /** What its text was found to be; undefined where it could not be read once more. */
  readonly facts: readonly StatementFacts[] | undefined;
  readonly searchPath: readonly string[];
};

/** Why it is not asked for; undefined: it may be. */
export function obstacleTo({ operation, facts, searchPath }: Planning): string | undefined {
  const effects = [...operation.effects, ...(facts ?? []).flatMap((one) => one.effects)];
  if (!facts || facts.length === 0) return 'the statement could not be read once more';
  if (facts.length > 1) return `${facts.length} statements in one text`;
  const [{ session, copy }] = facts as readonly [StatementFacts];
  if (session.kind === 'execute') return 'it runs a prepared statement by its name';
  if (copy === 'in') return 'the data comes later';
  if (effects.some(({ action }) => action === 'ddl' || action === 'dcl')) return 'it changes definitions, not rows';
  if (effects.some(({ action }) => action === 'call')) return 'it runs code, and planning could run it too';
  if (session.kind !== 'none' || effects.some(({ action }) => !PLANNABLE.has(action)))
    return 'it is no plain statement on rows';
  if (!effects.some(({ action }) => WRITES.has(action))) return 'it writes no rows';
  if (effects.some(({ object }) => object.startsWith('pg_temp.')))
    return 'temporary tables are seen by their session alone';
  return searchPath.length === 0 ? 'the session runs under another role' : undefined;
}

/**
 * The planner's guess, inside a transaction that only reads.
 * @throws pg's error when the target does not plan it
 */
export async function estimateOf(
  client: ReachClient,
  { operation, facts, searchPath }: Planning,
  inspector: Inspector,
): Promise<Estimate> {
  const [statement] = facts ?? [];
  if (!statement) return none('the statement could not be read once more');
  const { text, parameters } = statement;
  const bound = parameters > 0;
  const planned = bound ? `PREPARE ${PREPARED} AS ${text}` : `${EXPLAIN} ${text}`;
  if (!(await isPlanning(planned, searchPath, inspector))) return none('it cannot be planned by itself');
  const given = [...operation.effects, ...statement.effects].flatMap(({ action, object }) =>
    action === 'insert' || action === 'update' ? (partsOf(object) ?? []) : [],
  );
  const running = await ask(client, RUNNING_DEFAULTS, [given.map((one) => one.schema), given.map((one) => one.name)]);
  if (running.length > 0) return none('defaults of its columns run code, and planning could run it too');
  const plan = await apart(client, async () => {
    await ask(
      client,
      `select pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true)`,
      [searchPath.map((schema) => `"${schema.replaceAll('"', '""')}"`).join(', ')],
    );
    if (!bound) return planIn(await ask(client, planned));
    // Not GENERIC_PLAN: by this protocol it takes bound values, and a NULL for one plans no row at all.
    await ask(client, planned);
    const values = Array.from({ length: parameters }, () => 'NULL').join(', ');
    return planIn(await ask(client, `${EXPLAIN} EXECUTE ${PREPARED}(${values})`));
  });
  const scanned = scannedBy(plan);
  const uncounted = await ask(client, UNCOUNTED, [scanned.map((one) => one.schema), scanned.map((one) => one.name)]);
  return uncounted.length > 0 ? none(NOBODY_COUNTED) : readPlan(plan);
}

/** Is what is about to be sent one statement that only plans, by the classifier's word? */
async function isPlanning(text: string, searchPath: readonly string[], inspector: Inspector): Promise<boolean> {
  let read: readonly StatementFacts[];
  try {
    read = await inspector.inspect(text, { frame: 'estimate', searchPath });
  } catch {
    return false; // of what is planned already, say
  }
  const [facts, ...more] = read;
  if (!facts || more.length > 0) return false;
  const { session, effects } = facts;
  if (session.kind === 'prepare') return session.inner.effects.every(({ action }) => PLANNABLE.has(action));
  return session.kind === 'none' && effects.every(({ action }) => action === 'read');
}

function planIn(rows: readonly Record<string, unknown>[]): unknown {
  const explained = rows[0]?.['QUERY PLAN'];
  return typeof explained === 'string' ? (JSON.parse(explained) as unknown) : explained;
}

function readPlan(plan: unknown): Estimate {
  const written = writtenBy(plan);
  const total = written.reduce((sum, one) => sum + one.rows, 0);
  if (written.length === 0) return none('the plan writes no rows');
  const text =
    written.length === 1
      ? aboutRows(total)
      : `${aboutRows(total)} (${written.map(({ operation, rows }) => `${operation} ${aboutRows(rows)}`).join(', ')})`;
  return { rows: Math.round(total), text };
}

/** What a failure says to an approver: the target's own words may quote values. */
export function failed(error: unknown): Estimate {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  switch (code) {
    case '55P03':
      return none('somebody holds a lock on its tables');
    case '57014':
      return none('the target took too long to plan it');
    case '42501':
      return none("the gateway's role may not do this");
    default:
      return none(
        /^[0-9A-Z]{5}$/.test(code) ? `the target does not plan it (${code})` : 'the target could not be asked',
      );
  }
}
