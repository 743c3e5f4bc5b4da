/** What is permitted goes upstream, and what the target will answer is written down. */
import * as build from '../builders.ts';
import type { BindMessage } from '../messages.ts';
import type { StatementFacts } from '../types.ts';
import type { Frame } from '../wire.ts';
import { behindOf, type Portal, type Statement } from './names.ts';
import { type Subject, unsettles } from './operation.ts';
import type { Run } from './run.ts';
import { formatted, NO_RESULTS, type Results } from './shield.ts';
import type { Stay } from './stay.ts';

/** What a Bind makes a portal of; nothing for an empty query. */
export type Bound = {
  readonly statement: Statement | undefined;
  readonly subject: Subject | undefined;
  readonly facts: StatementFacts | undefined;
  readonly results: Results;
  readonly run: Run | undefined;
};

export const EMPTY: Bound = {
  statement: undefined,
  subject: undefined,
  facts: undefined,
  results: NO_RESULTS,
  run: undefined,
};

export function forward(stay: Stay, frame: Frame): void {
  stay.open = true;
  stay.toTarget.add(frame.bytes);
}

export function forwardBind(stay: Stay, frame: Frame, message: BindMessage, bound: Bound, turn: number): void {
  const { statement, subject, facts, results, run } = bound;
  const description = descriptionOf(stay, statement, message, facts);
  const portal: Portal = {
    statement,
    subject,
    facts,
    results,
    run,
    frame: stay.frame.text,
    behind: facts && behindOf(stay.names, facts),
    source: statement?.source ?? '',
    cursor: false,
    holdable: false,
    fresh: true,
    state: 'judged',
    turn,
    description,
  };
  stay.names.portals.offer(message.portal, portal);
  forward(stay, frame);
  stay.dirty = true;
  stay.replies.push({ kind: 'bind', name: message.portal, portal });
}

/** What the target said of the statement, where its text still means the same. */
function descriptionOf(
  { shield, frame, shadowed, schemaChanged }: Stay,
  statement: Statement | undefined,
  { resultFormats }: BindMessage,
  facts: StatementFacts | undefined,
): Portal['description'] {
  const known = statement?.description;
  if (!known || known.as !== shield.basis || known.frame !== frame.text || shadowed || schemaChanged) return undefined;
  if (facts?.session.kind !== 'none') return undefined; // EXECUTE, FETCH: their columns are those of a name
  return { columns: formatted(known.columns, resultFormats), as: known.as, frame: known.frame };
}

export function forwardDescribe(stay: Stay, frame: Frame, kind: 'S' | 'P', name: string): void {
  forward(stay, frame);
  if (kind === 'S') {
    stay.replies.push({ kind: 'describe', statement: stay.names.statements.get(name) });
    return;
  }
  const portal = stay.names.portals.get(name);
  if (portal) portal.description ??= 'asked';
  stay.replies.push({ kind: 'describe', portal });
}

export function forwardExecute(stay: Stay, frame: Frame, name: string, portal: Portal, run: Run | undefined): void {
  const { facts, results } = portal;
  const copies = facts?.copy === 'in' ? 1 : 0;
  portal.state = 'running';
  stay.executed++;
  portal.run = undefined;
  if (facts && !portal.description && stay.shield.describes(results)) {
    // The client did not ask what its columns are: the gateway must know, and asks for itself.
    portal.description = 'asked';
    stay.toTarget.add(build.describe('P', name));
    stay.replies.push({ kind: 'describe', portal, own: true });
  }
  forward(stay, frame);
  stay.dirty = true;
  stay.shield.ran(results);
  if (facts && unsettles(facts, run?.permit.operation.effects)) stay.unsettled = true;
  stay.replies.push({ kind: 'execute', portal, facts, run, copies });
}

export function forwardQuery(
  stay: Stay,
  frame: Frame,
  statements: readonly StatementFacts[],
  results: readonly Results[],
  run: Run | undefined,
  stage?: 'statement',
): void {
  forward(stay, frame);
  stay.dirty = true;
  for (const one of results) stay.shield.ran(one);
  const copies = statements.filter(({ copy }) => copy === 'in').length;
  stay.replies.push({ kind: 'query', statements, results, run, copies, done: 0, ...(stage && { stage }) });
}
