/** Limits on what a result may bring: which rule carries which, and what a result that passes one asks for. Pure. */
import { amount } from '../amount.ts';
import type { Action } from '../operation.ts';
import type { Budget, Limit, RuleMatch, Verdict } from './policy.ts';

/** Each action's class in a connection's `default`; what passes is harmless by construction of the inspector. */
export const CLASS: Readonly<Record<Action, 'read' | 'write' | 'unknown' | 'pass'>> = {
  read: 'read',
  'copy-out': 'read',
  insert: 'write',
  update: 'write',
  delete: 'write',
  ddl: 'write',
  dcl: 'write',
  call: 'write',
  'copy-in': 'write',
  session: 'pass',
  transaction: 'pass',
  unknown: 'unknown',
};

/** Does it say how much may pass? */
export const isLimited = ({ rows, bytes, rowsPerHour, bytesPerHour }: RuleMatch): boolean =>
  rows !== undefined || bytes !== undefined || rowsPerHour !== undefined || bytesPerHour !== undefined;

/** Each limit is one of its own: the first that is passed stops the result. */
export function limitsOf({ rows, bytes, rowsPerHour, bytesPerHour }: RuleMatch): Limit[] {
  const limits: Limit[] = [];
  if (rows !== undefined) limits.push({ of: 'rows', per: 'statement', most: rows });
  if (bytes !== undefined) limits.push({ of: 'bytes', per: 'statement', most: bytes });
  if (rowsPerHour !== undefined) limits.push({ of: 'rows', per: 'hour', most: rowsPerHour });
  if (bytesPerHour !== undefined) limits.push({ of: 'bytes', per: 'hour', most: bytesPerHour });
  return limits;
}

/** The verdict on the rest of a result that used up these of its budgets, as the rules are now. */
export function beyond(verdict: Verdict, usedUp: readonly string[]): Verdict {
  if (verdict.kind === 'deny') return verdict;
  const stopping = (verdict.budgets ?? []).filter(({ key }) => usedUp.includes(key));
  const rules = [...new Set(stopping.map(({ rule }) => rule))];
  const demands = new Set<(Budget & { verdict: 'hold' })['demand']>(); // one of a rule, whichever of its limits were passed
  for (const budget of stopping) {
    if (budget.verdict === 'deny') return { kind: 'deny', rules: [budget.rule], rule: budget.rule, why: budget.why };
    demands.add(budget.demand);
  }
  if (demands.size === 0) return { kind: 'allow', rules: verdict.rules };
  return { kind: 'hold', rules, demands: [...demands] };
}

/** `1,000 rows`, `50,000 rows in an hour` */
export const limitText = ({ of, per, most }: Limit): string =>
  `${amount(of, most)}${per === 'hour' ? ' in an hour' : ''}`;
