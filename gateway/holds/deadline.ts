/** When a hold's time is up, and by which clock. Pure but for the clock it is given. */
import type { Clock } from './clock.ts';
import type { Hold } from './hold.ts';
import type { ExpiresBy } from './lifecycle.ts';

/**
 * The earlier of the rules' shortest expiry (counted from the opening, monotonic) and the token's end (asked anew each
 * time: a later token extends it). `remaining` in ms, negative when it is over.
 */
export function deadlineOf(
  hold: Pick<Hold, 'demands' | 'openedMonotonic' | 'operation' | 'context'>,
  clock: Clock,
  inTransactionMs: number,
): { readonly deadline: { readonly at: number; readonly by: ExpiresBy }; readonly remaining: number } {
  const { stopped } = hold.operation;
  const touched = stopped?.touched; // it has run, and keeps what it locked
  const inTransaction = hold.operation.inTransaction || touched !== undefined;
  const byRule = Math.min(...hold.demands.map(({ expiresMs }) => expiresMs));
  const most = Math.min(inTransactionMs, touched?.withinMs ?? Number.POSITIVE_INFINITY);
  const limit = inTransaction ? Math.min(byRule, most) : byRule;
  const ruleLeft = hold.openedMonotonic + limit - clock.monotonic();
  const tokenLeft = hold.context.credentialEndsAt() - clock.now();
  // A token whose end cannot be told has ended.
  const remaining = Number.isNaN(tokenLeft) ? 0 : Math.min(ruleLeft, tokenLeft);
  const rule: ExpiresBy = inTransaction && limit >= most ? 'transaction' : 'rule';
  const by = remaining < ruleLeft ? 'token' : rule;
  return { deadline: { at: clock.now() + Math.max(0, remaining), by }, remaining };
}
