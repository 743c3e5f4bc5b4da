/** What people are shown of a plan: one operation that stands for all its statements, worst first. Pure. */
import { type Action, type Effect, type Operation, principalKey } from '../operation.ts';
import type { Listed } from './plans.ts';
import { oneLine } from './words.ts';

/** Worst first. */
const WORST: readonly Action[] = [
  'dcl',
  'ddl',
  'delete',
  'update',
  'unknown',
  'call',
  'copy-in',
  'insert',
  'copy-out',
  'read',
  'transaction',
  'session',
];

const rank = ({ action, where }: Effect): number => WORST.indexOf(action) - (where === 'absent' ? 0.5 : 0);
const worstOf = ({ effects }: Operation): Effect | undefined => [...effects].sort((a, b) => rank(a) - rank(b))[0];

export function planOperation({
  operations,
  frame,
  reason,
  id,
  newId,
  redact,
}: Listed & {
  readonly id: string;
  readonly newId: () => string;
  readonly redact: (text: string) => string;
}): Operation {
  const [first] = operations;
  const ranked = operations
    .map((operation) => ({ operation, worst: worstOf(operation) }))
    .sort((a, b) => (a.worst ? rank(a.worst) : WORST.length) - (b.worst ? rank(b.worst) : WORST.length));
  const counts = new Map<string, number>();
  for (const { worst } of ranked) {
    const kind = worst?.action ?? 'unknown';
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const kinds = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
  const total = operations.length === 1 ? '1 statement' : `${operations.length} statements`;
  const shown = operations.map(({ shown: text }, at) => `/* ${at + 1} of ${operations.length} */ ${ended(text)}`);
  const why = reason === '' ? [] : [`-- Reason given: ${oneLine(redact(reason))}`];
  return {
    id: newId(),
    protocol: 'postgres',
    connection: first.connection,
    environment: first.environment,
    principal: first.principal,
    session: `plan ${id}`,
    text: JSON.stringify(operations.map(({ text }) => text)),
    shown: [...why, ...shown].join('\n'),
    parameters: [],
    shownParameters: [],
    frame: JSON.stringify(['plan', id, principalKey(first.principal), frame]),
    effects: unique(operations.flatMap(({ effects }) => effects)),
    headline: `Plan of ${total} (${kinds}), worst: ${ranked[0]?.operation.headline ?? ''}`,
    risks: [...new Set(ranked.flatMap(({ operation }) => operation.risks))],
    inTransaction: false,
    plan: true,
  };
}

const ended = (text: string): string => (/;\s*$/.test(text) ? text : `${text};`);

function unique(effects: readonly Effect[]): Effect[] {
  return [...new Map(effects.map((effect) => [JSON.stringify(effect), effect])).values()];
}
