/** Approvals given before: what they cover passes without asking, on record and on disk like any release. */
import type { Audit, AuditEntry } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { History } from '../gate/history.ts';
import type { AdmitContext, Permit } from '../gate.ts';
import { type Operation, type Outcome, principalKey, questionOf } from '../operation.ts';
import type { Demand, Policy, Verdict } from '../policy/policy.ts';
import { outcomeFields } from './record.ts';
import { withdrawnBy } from './withdrawal.ts';
import { untouched } from './words.ts';

type Held = Verdict & { kind: 'hold' };

/** An approval given before. Undefined: it does not cover this, whyever, and people are asked. */
export type Standing = {
  /** @throws GatewayError AUDIT | WITHDRAWN | FROZEN once it was used for this */
  use(operation: Operation, verdict: Held, context: AdmitContext): Promise<Permit | undefined>;
};

type Opens = { open(operation: Operation, verdict: Held, context: AdmitContext): Promise<Permit> };

export type StandingDeps = {
  readonly audit: Audit;
  readonly policy: () => Policy;
  /** Who froze what this touches; undefined where nothing of it is frozen. */
  readonly frozen: (operation: Operation) => string | undefined;
  /** What its requester did lately, as cards and App Home tell it: this passed without anybody being asked. */
  readonly history?: Pick<History, 'latest'>;
  readonly redact: (text: string) => string;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

/** `holds`, asked only for what none of these covers. */
export function withStanding(
  holds: Opens,
  all: readonly Standing[],
  { policy, audit }: Pick<StandingDeps, 'policy' | 'audit'>,
): Opens {
  return {
    open: async (operation, verdict, context) => {
      const { version } = policy();
      for (const standing of operation.stopped ? [] : all) {
        const permit = await standing.use(operation, verdict, context);
        if (permit) return permit;
      }
      // It was judged before anybody looked for an approval: what came into force meanwhile counts.
      const now =
        policy().version === version ? verdict : (context.judge?.() ?? policy().evaluate(questionOf(operation)));
      if (now.kind !== 'deny') return holds.open(operation, now.kind === 'hold' ? now : verdict, context);
      audit.append({ ...about(operation), kind: 'operation', verdict: 'deny', rule: now.rule, why: now.why });
      throw new GatewayError('DENIED', `denied by rule ${now.rule}: ${now.why}`, { hint: untouched(operation) });
    },
  };
}

/**
 * Put its use on disk, and let it go. What has become impossible or forbidden meanwhile does not run, though it was used.
 * @param covered does the approval cover what the rules of now demand?
 * @throws GatewayError AUDIT | WITHDRAWN | FROZEN | DENIED
 */
export async function letThrough(
  deps: StandingDeps,
  operation: Operation,
  context: AdmitContext,
  { hold, ...entry }: AuditEntry & { readonly hold: string },
  covered: (demands: readonly Demand[]) => boolean,
): Promise<Permit> {
  const { audit, history, redact, log } = deps;
  await audit.commit({ ...about(operation), hold, ...entry });
  const deed = history?.latest(operation.principal, operation.connection).find(({ id }) => id === operation.id);
  if (deed) deed.verdict = entry.kind === 'plan.used' ? 'by a plan' : 'by a grant';
  let settled = false;
  const settle = (outcome: Outcome) => {
    if (settled) return;
    settled = true;
    if (deed) deed.outcome = outcome;
    try {
      audit.append({ ...about(operation), kind: 'outcome', hold, ...outcomeFields(outcome, redact) });
    } catch (error) {
      log('an outcome could not be audited', { operation: operation.id, error: String(error) });
    }
  };
  const gone = whyNot(deps, operation, context, covered);
  if (!gone) return { operation, hold, settle };
  settle({ kind: 'failed', sqlstate: gone.sqlstate, message: `not sent: ${gone.message}`, ms: 0 });
  throw gone;
}

/** Claiming it and writing it down took a while, in which anything may have come into force. */
function whyNot(
  { frozen, policy }: Pick<StandingDeps, 'frozen' | 'policy'>,
  operation: Operation,
  { signal, alive, judge }: AdmitContext,
  covered: (demands: readonly Demand[]) => boolean,
): GatewayError | undefined {
  const hint = untouched(operation);
  if (signal.aborted) return withdrawnBy(signal, operation);
  const ice = frozen(operation);
  if (ice !== undefined) return new GatewayError('FROZEN', ice, { hint });
  const now = judge?.() ?? policy().evaluate(questionOf(operation));
  if (now.kind === 'deny') return new GatewayError('DENIED', `denied by rule ${now.rule}: ${now.why}`, { hint });
  if (now.kind === 'hold' && !covered(now.demands)) {
    return new GatewayError('WITHDRAWN', 'the rules became stricter than what was approved; ask again', { hint });
  }
  return alive() ? undefined : new GatewayError('WITHDRAWN', 'its session is gone', { hint });
}

function about({ id, session, connection, principal }: Operation) {
  return { operation: id, session, connection, principal: principalKey(principal) };
}
