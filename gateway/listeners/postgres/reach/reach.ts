/**
 * What a held operation would touch, asked of its target beside the session: one question at a time, on a connection of
 * its own that only reads and is closed behind it, two seconds in all. What is not known by then is said to be unknown.
 */
import type { Operation, Reach } from '../../../operation.ts';
import { LOCK_MODES } from '../inspect/locks.ts';
import type { Inspector, StatementFacts } from '../types.ts';
import { aboutRows, packed } from './amounts.ts';
import { beginReading, type ReachClient } from './client.ts';
import { type Estimate, estimateOf, failed, NOBODY_COUNTED, none, obstacleTo, type Planning } from './estimate.ts';
import { lockLine } from './locking.ts';
import { consequences, measure, type Table, tableLine, tablesOf, touchedBy } from './objects.ts';
import { transactionLines } from './transaction.ts';

const ALL_MS = 2_000; // an approver decides in seconds
const MAX_WAITING = 20; // a target is asked about one at a time; who comes later gets no estimate
const MAX_LINES = 20; // a card has no more

export type ReachQuestion = {
  readonly operation: Operation;
  readonly searchPath: readonly string[];
  readonly inspector: Inspector;
  /** The session's process on the target. */
  readonly backend: number | undefined;
  /** Asked when its turn comes. */
  readonly wanted: () => boolean;
};

export type Reacher = (question: ReachQuestion) => Promise<Reach>;

/** `connect` gives up by itself within two seconds. The answer never rejects. */
export function createReacher(connect: () => Promise<ReachClient>): Reacher {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return async (question) => {
    if (waiting >= MAX_WAITING) return said(none('too many are asked for at once'), []);
    waiting += 1;
    const turn = last.then(() =>
      question.wanted() ? inTime(connect, question) : said(none('nobody waits any more'), []),
    );
    last = turn.catch(() => undefined);
    try {
      return await turn;
    } catch {
      return said(none('the target could not be asked'), []);
    } finally {
      waiting -= 1;
    }
  };
}

/** What is known so far: filled in as the target answers, and taken as it is when the time is up. */
type Found = { estimate: Estimate; lines: readonly (readonly string[])[] };

async function inTime(connect: () => Promise<ReachClient>, question: ReachQuestion): Promise<Reach> {
  const unanswered = none('the target did not answer within 2 s');
  const found: Found = { estimate: unanswered, lines: [] };
  let client: ReachClient | undefined;
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const work = connect().then(async (opened) => {
    client = opened;
    if (!over) await fill(opened, question, found);
  });
  work.catch(() => undefined);
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ALL_MS);
  });
  try {
    await Promise.race([work, deadline]);
  } catch (error) {
    if (found.estimate === unanswered) found.estimate = failed(error);
  }
  over = true;
  clearTimeout(timer);
  // Whatever runs there is cut off; one that connects too late is let go of as soon as it does.
  if (client) client.end().catch(() => undefined);
  else
    void work
      .then(
        () => client?.end(),
        () => client?.end(),
      )
      .catch(() => undefined);
  return said(found.estimate, found.lines.flat());
}

const said = ({ rows, text }: Estimate, lines: readonly string[]): Reach => ({
  rows,
  estimate: text,
  lines: lines.slice(0, MAX_LINES),
});

async function fill(client: ReachClient, question: ReachQuestion, found: Found): Promise<void> {
  const { operation, searchPath, inspector, backend } = question;
  const facts = await readAgain(question);
  await beginReading(client);
  const tables = await tablesOf(client, touchedBy(operation, facts));
  const show = (more: readonly string[] = [], transaction: readonly string[] = []) => {
    found.lines = [packed('touches', tables.map(tableLine)), transaction, more, locks(tables, facts)];
  };
  show();
  found.estimate = await estimated(client, { operation, facts, searchPath }, tables, inspector);
  await measure(client, tables);
  show();
  const more = await consequences(client, tables, {
    cascade: operation.risks.some((risk) => risk.startsWith('CASCADE')),
  });
  show(more);
  if (operation.inTransaction && backend !== undefined) show(more, await transactionLines(client, backend));
}

async function readAgain({
  operation,
  searchPath,
  inspector,
}: ReachQuestion): Promise<readonly StatementFacts[] | undefined> {
  try {
    return await inspector.inspect(operation.text, { frame: 'estimate', searchPath });
  } catch {
    return undefined; // it was judged all the same; only its estimate is missing
  }
}

async function estimated(
  client: ReachClient,
  planning: Planning,
  tables: readonly Table[],
  inspector: Inspector,
): Promise<Estimate> {
  const whole = wholeTables(planning, tables);
  if (whole) return whole;
  const obstacle = obstacleTo(planning);
  if (obstacle !== undefined) return none(obstacle);
  return estimateOf(client, planning, inspector).catch(failed);
}

/** TRUNCATE and DROP take all there is: no plan is needed. */
function wholeTables({ facts }: Planning, tables: readonly Table[]): Estimate | undefined {
  const taken = tables.filter(({ event }) => event === 'truncate' || event === 'drop');
  if (facts?.length !== 1 || taken.length === 0 || taken.length < tables.length) return undefined;
  const counts = taken.map(({ rows }) => rows);
  if (counts.some((rows) => rows === undefined)) return none(NOBODY_COUNTED);
  const rows = counts.reduce<number>((total, count) => total + (count ?? 0), 0);
  return { rows: Math.round(rows), text: `all of them, ${aboutRows(rows)}` };
}

/** The strongest lock of its statements, on what they name. */
function locks(tables: readonly Table[], facts: readonly StatementFacts[] | undefined): readonly string[] {
  const taken = (facts ?? []).flatMap(({ lock }) => lock ?? []);
  const labels = [...new Set(tables.map(({ label }) => label))];
  if (taken.length === 0 || labels.length === 0) return [];
  const strongest = taken.reduce((a, b) => (LOCK_MODES.indexOf(b) > LOCK_MODES.indexOf(a) ? b : a));
  return [lockLine(strongest, labels)];
}
