/** The one door. Every listener calls `admit` for every operation; bytes reach a target only with a permit in hand. */
import type { Audit, AuditEntry } from './audit/entry.ts';
import type { Ending } from './ending.ts';
import { GatewayError } from './errors.ts';
import {
  CONFIRM_DEFAULTS,
  ConfirmingPermit,
  type ConfirmTerms,
  commitOf,
  expected,
  unconfirmable,
  wantsConfirm,
} from './gate/confirm.ts';
import { type Excess, MeteredPermit, restOf } from './gate/excess.ts';
import type { History } from './gate/history.ts';
import { outcomeFields, stoppedFields } from './holds/record.ts';
import { withdrawnBy } from './holds/withdrawal.ts';
import { untouched } from './holds/words.ts';
import { type Action, type Operation, type Outcome, principalKey, questionOf, type Reach } from './operation.ts';
import { BudgetMeter, Hours } from './policy/meter.ts';
import type { Policy, Verdict } from './policy/policy.ts';

export type { Excess } from './gate/excess.ts';
export { Reading } from './policy/meter.ts';

/** What a waiting client is told, so that it can be said in its own protocol. `text` is one plain sentence. */
export type Tell = (news: { readonly kind: 'held' | 'waiting' | 'changed'; readonly text: string }) => void;

export type AdmitContext = {
  /** Aborted when the client cancels or leaves, or its session ends; `reason` becomes the withdrawal's text. */
  readonly signal: Ending;
  readonly tell: Tell;
  /** When the client's token ends, epoch ms; a hold never outlives it. Read again as a later token extends it. */
  readonly credentialEndsAt: () => number;
  /** What the policy would say of it now, where it is no operation on a target that rules match. */
  readonly judge?: () => Verdict;
  /** Asked at release: is the very upstream session this was held on still there, and the client too? */
  readonly alive: () => boolean;
  /** Asks the target what it would touch, unless `wanted` says no when its turn comes. Never rejects. Absent: nobody can say. */
  readonly reach?: ((operation: Operation, wanted?: () => boolean) => Promise<Reach>) | undefined;
};

export type Permit = {
  readonly operation: Operation;
  /** Set when a human let it through. */
  readonly hold: string | undefined;
  /** Where rules limit its result: what goes to the client is counted here, and asked about where it is used up. */
  readonly budget?: BudgetMeter | undefined;
  /** Where rules want the rows it touched confirmed before its COMMIT: what was estimated when it was approved. */
  readonly confirm?: { readonly estimate: number | undefined } | undefined;
  /** Call exactly once, when the outcome is known or known to be unknowable. Never throws. */
  settle(outcome: Outcome): void;
};

export type Gate = {
  /**
   * Evaluate, hold if asked for, record, permit. Answers synchronously where nobody has to be waited for
   * (allowed reads), so that the hot path makes no promise.
   * @throws GatewayError DENIED | EXPIRED | WITHDRAWN | NO_APPROVER | UNAVAILABLE | AUDIT | TOO_LONG | LIMIT,
   *   synchronously or as a rejection.
   */
  admit(operation: Operation, context: AdmitContext): Permit | Promise<Permit>;
  /**
   * A result has come to the end of its budgets: somebody is asked about the rest, or it is refused. Resolves when it
   * may flow on; what asked is lifted for all that follows of it.
   * @throws GatewayError as `admit`
   */
  exceed(permit: Permit, excess: Excess, context: AdmitContext): Promise<void>;
  /**
   * A write has touched so many rows (undefined: not all were counted) and may not commit yet. Undefined where they
   * were to be expected; else somebody is asked, and it resolves when it may commit.
   * @throws GatewayError as `admit`, synchronously or as a rejection: it must be rolled back
   */
  confirm(permit: Permit, rows: number | undefined, context: AdmitContext): Promise<void> | undefined;
  /** Would this pass without a human? Pure; used where the protocol must know before it waits. */
  preview(operation: Operation): 'allow' | 'hold' | 'deny';
};

export type GateDeps = {
  readonly policy: () => Policy;
  /** Asks people, waits, releases. */
  readonly holds: {
    open(operation: Operation, verdict: Verdict & { kind: 'hold' }, context: AdmitContext): Promise<Permit>;
  };
  readonly audit: Audit;
  /** Why nothing may pass now (never verified rules, state lost for longer than its grace); undefined when all is well. */
  readonly closed: () => string | undefined;
  /** Who froze what this touches, and when; undefined where nothing of it is frozen. */
  readonly frozen?: (operation: Operation) => string | undefined;
  /** The built-in detectors, for the target's error texts. */
  readonly redact: (text: string) => string;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
  /** What everybody got within the last hour; the process's own where absent. */
  readonly hours?: Hours;
  /** `approvals.confirm`; its defaults where absent. */
  readonly confirm?: () => ConfirmTerms;
  /** What requesters did lately, for cards; absent: nobody keeps it. */
  readonly history?: History;
};

export function createGate(deps: GateDeps): Gate {
  const { audit, holds, policy, hours = new Hours(() => performance.now()) } = deps;

  const judge = (operation: Operation): Verdict => policy().evaluate(questionOf(operation));

  /** Refused before any rule was asked. What cannot be recorded is refused all the same. */
  const recorded = (operation: Operation, error: GatewayError): GatewayError => {
    const { code, message } = error;
    audit.append(entry(operation, { verdict: 'refused', code, why: deps.redact(message) }));
    return error;
  };

  const admit = (operation: Operation, context: AdmitContext): Permit | Promise<Permit> => {
    const closed = deps.closed();
    if (closed !== undefined)
      throw recorded(operation, new GatewayError('UNAVAILABLE', closed, { hint: untouched(operation) }));
    const frozen = deps.frozen?.(operation);
    if (frozen !== undefined)
      throw recorded(operation, new GatewayError('FROZEN', frozen, { hint: `${untouched(operation)} ${LIFT}` }));
    if (context.signal.aborted) throw recorded(operation, withdrawnBy(context.signal, operation));
    if (operation.effects.length === 0) {
      audit.append(entry(operation, { verdict: 'refused', why: 'no effects' }));
      throw new GatewayError('DENIED', 'nothing is known of what this would do', { hint: 'Nothing was run.' });
    }
    const verdict = judge(operation);
    const permit = decide(operation, verdict, context);
    const budgets = verdict.kind === 'deny' ? undefined : verdict.budgets;
    if (!budgets) return permit;
    const metered = (admitted: Permit) =>
      new MeteredPermit(admitted, new BudgetMeter(budgets, hours, principalKey(operation.principal)));
    return permit instanceof Promise ? permit.then(metered) : metered(permit);
  };

  const decide = (operation: Operation, verdict: Verdict, context: AdmitContext): Permit | Promise<Permit> => {
    const { rules } = verdict;
    switch (verdict.kind) {
      case 'deny':
        audit.append(entry(operation, { verdict: 'deny', rules, rule: verdict.rule, why: verdict.why }));
        deps.history?.note(operation, 'denied');
        throw new GatewayError('DENIED', `denied by rule ${verdict.rule}: ${verdict.why}`, {
          hint: `A rule forbids this; trying again or another way round will not help. ${untouched(operation)}`,
        });
      case 'hold':
        audit.append(entry(operation, { verdict: 'hold', rules }));
        deps.history?.note(operation, 'held');
        return held(operation, verdict, context);
      case 'allow':
        if (operation.effects.every(({ action }) => READING.has(action))) {
          audit.append(allowed(operation, rules));
          return permitFor(operation, deps);
        }
        return committed(operation, rules, context, deps);
    }
  };

  /** Asks people. What could not keep an option of its rules is refused before, and again if the rules gained it meanwhile. */
  const held = async (operation: Operation, verdict: Verdict & { kind: 'hold' }, context: AdmitContext) => {
    if (operation.stopped) return holds.open(operation, verdict, context);
    const cannot = unconfirmable(operation, verdict.demands);
    if (cannot) throw recorded(operation, cannot);
    const permit = await holds.open(operation, verdict, context);
    if (!permit.confirm && !wantsConfirm(verdict.demands)) return permit;
    if (operation.unconfirmable === undefined) return new ConfirmingPermit(permit);
    const message = `the rules changed, and have its rows confirmed before COMMIT: ${operation.unconfirmable}`;
    permit.settle({ kind: 'failed', sqlstate: '0A000', message: `not sent: ${message}`, ms: 0, here: true });
    throw new GatewayError('UNSUPPORTED', message, { hint: 'Nothing was run.' });
  };

  const confirm = (permit: Permit, rows: number | undefined, context: AdmitContext): Promise<void> | undefined => {
    const { factor, withinMs } = deps.confirm?.() ?? CONFIRM_DEFAULTS;
    if (!permit.confirm || expected(permit.confirm, rows, factor)) return undefined;
    const about = commitOf(permit, rows, withinMs);
    if (!context.alive()) throw new GatewayError('WITHDRAWN', 'the client left before this was confirmed');
    return Promise.resolve(admit(about, context)).then((more) => {
      if (permit instanceof ConfirmingPermit || permit instanceof MeteredPermit) permit.goesOn(more);
    });
  };

  const exceed = async (permit: Permit, excess: Excess, context: AdmitContext): Promise<void> => {
    if (!(permit instanceof MeteredPermit)) throw new Error('only what has budgets can exceed them');
    const more = await admit(restOf(permit, excess), context);
    permit.budget.lift(excess.budgets);
    permit.goesOn(more);
  };

  return {
    admit,
    exceed,
    confirm,
    preview: (operation) => (operation.effects.length === 0 ? 'deny' : judge(operation).kind),
  };
}

const LIFT = 'It stays so until two admins lift it (/gate unfreeze in Slack); trying again will not help.';

/** What needs no fsync before it is forwarded: it changes nothing that anybody else could see. */
const READING: ReadonlySet<Action> = new Set(['read', 'copy-out', 'session', 'transaction']);

/** A write: on disk before the first byte goes upstream. */
async function committed(
  operation: Operation,
  rules: readonly string[],
  { signal, alive }: AdmitContext,
  deps: GateDeps,
): Promise<Permit> {
  await deps.audit.commit(allowed(operation, rules));
  const gone = signal.aborted
    ? withdrawnBy(signal, operation)
    : alive()
      ? undefined
      : new GatewayError('WITHDRAWN', 'its session is gone');
  if (!gone) return permitFor(operation, deps);
  permitFor(operation, deps).settle({
    kind: 'failed',
    sqlstate: gone.sqlstate,
    message: `not sent: ${gone.message}`,
    ms: 0,
    here: true,
  });
  throw gone;
}

function permitFor(operation: Operation, { audit, redact, history, log }: GateDeps): Permit {
  const deed = history?.note(operation, 'allowed');
  let settled = false;
  return {
    operation,
    hold: undefined,
    settle: (outcome) => {
      if (settled) return;
      settled = true;
      if (deed) deed.outcome = outcome;
      const { id, session, connection, principal } = operation;
      const key = principalKey(principal);
      try {
        audit.append({
          kind: 'outcome',
          operation: id,
          session,
          connection,
          principal: key,
          ...outcomeFields(outcome, redact),
        });
      } catch (error) {
        log('an outcome could not be audited', { operation: id, error: String(error) });
      }
    },
  };
}

/** Member by member: the usual one is made for every statement. */
function entryOf(operation: Operation, verdict: unknown, rules: unknown): AuditEntry {
  return {
    kind: 'operation',
    operation: operation.id,
    session: operation.session,
    principal: principalKey(operation.principal),
    connection: operation.connection,
    headline: operation.headline,
    effects: operation.effects,
    statement: operation.shown,
    parameters: operation.shownParameters,
    verdict,
    rules,
  };
}

function allowed(operation: Operation, rules: readonly string[]): AuditEntry {
  const { predicates, reveal, stopped } = operation;
  return predicates || reveal || stopped
    ? entry(operation, { verdict: 'allow', rules })
    : entryOf(operation, 'allow', rules);
}

const entry = (operation: Operation, { verdict, rules, ...more }: Record<string, unknown>): AuditEntry => ({
  ...entryOf(operation, verdict, rules),
  ...(operation.predicates && { predicates: operation.predicates }),
  ...(operation.reveal && { reveal: operation.reveal }),
  ...stoppedFields(operation.stopped),
  ...more,
});
