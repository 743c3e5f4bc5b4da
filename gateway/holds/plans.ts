/** Plans: statements listed in advance, approved together, each of which may then run once and in that order. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { CardPublisher } from '../../queue/carry.ts';
import { End } from '../ending.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import type { AdmitContext, Permit } from '../gate.ts';
import { type Effect, type Operation, principalKey, questionOf } from '../operation.ts';
import type { Demand, Verdict } from '../policy/policy.ts';
import type { Found } from '../state/passes.ts';
import type { Plan, PlanStore } from '../state/plans.ts';
import { type Clock, utc } from './clock.ts';
import type { Follower } from './follower.ts';
import type { Hold } from './hold.ts';
import { planOperation } from './plan-card.ts';
import { type Asked, covers } from './quorum.ts';
import { letThrough, type Standing, type StandingDeps } from './standing.ts';

const MOST_MS = 3_600_000; // an hour after its approval nobody remembers what was meant
const REMEMBERED_MS = 3_600_000; // how long its end can be asked about

export type PlansDeps = StandingDeps & {
  readonly store: PlanStore;
  readonly publish: CardPublisher;
  readonly clock: Pick<Clock, 'now'>;
  readonly holds: () => {
    open(operation: Operation, verdict: Verdict & { kind: 'hold' }, context: AdmitContext): Promise<Permit>;
  };
};

/** What a client lists: each as its session would ask about it. */
export type Listed = {
  readonly operations: readonly [Operation, ...Operation[]];
  /** Settings in which they were read, canonical. */
  readonly frame: string;
  readonly reason: string;
  readonly credentialEndsAt: number;
};

/** `behind`: a statement before it changes definitions, so that nobody can tell yet what its names will stand for. */
type Step = { readonly operation: Operation; readonly behind: boolean };
type Judged = { readonly steps: readonly Step[]; readonly demands: readonly Demand[]; readonly count: number };

export type PlanStatus = {
  readonly id: string;
  readonly status: Plan['state'] | 'done';
  readonly statements: number;
  /** How many of them need approval, and how many of those have run. */
  readonly asks: number;
  readonly used: number;
  readonly until?: string;
  readonly reason?: string;
};

export class Plans implements Standing {
  readonly #deps: PlansDeps;
  /** Whose card is on its way, by operation. */
  readonly #opening = new Map<string, (hold: Hold) => void>();
  readonly follower: Follower = { opened: (hold) => this.#opening.get(hold.operation.id)?.(hold) };

  constructor(deps: PlansDeps) {
    this.#deps = deps;
  }

  /**
   * Ask about all of it on one card. Undefined where nothing of it needs approval. Resolves when its card is on its way.
   * @throws GatewayError DENIED | FROZEN | UNSUPPORTED | NO_APPROVER | UNAVAILABLE | LIMIT | TOO_LONG | AUDIT
   */
  async propose(listed: Listed): Promise<PlanStatus | undefined> {
    const { audit, frozen, redact } = this.#deps;
    const [first] = listed.operations;
    const stopped = frozen(first);
    if (stopped !== undefined) throw new GatewayError('FROZEN', stopped);
    const asked = this.#judged(listed.operations);
    if (asked.steps.length === 0) return undefined;
    const id = randomBytes(5).toString('hex');
    const operation = planOperation({ ...listed, id, newId: randomUUID, redact });
    const { connection, principal, headline, shown } = operation;
    await audit.commit({
      kind: 'plan.asked',
      plan: id,
      operation: operation.id,
      principal: principalKey(principal),
      connection,
      headline,
      statement: shown,
      rules: asked.demands.map(({ rule }) => rule),
    });
    const plan = this.#record(id, listed, asked, await this.#opened(operation, listed, asked, id));
    return statusOf(plan, 0);
  }

  /** Undefined where there is none of theirs, or none any more. @throws Error while Redis is gone */
  async status(id: string, principal: string): Promise<PlanStatus | undefined> {
    const { store, clock } = this.#deps;
    const found = await store.find(id);
    if (found?.record.principal !== principal) return undefined;
    const used = await store.used(found.record);
    const over = found.record.state === 'approved' && found.record.until <= clock.now();
    return statusOf(over ? { ...found.record, state: 'expired' } : found.record, used);
  }

  async use(operation: Operation, verdict: Verdict & { kind: 'hold' }, context: AdmitContext) {
    let claimed: { readonly plan: Plan; readonly step: number } | undefined;
    try {
      claimed = await this.#claim(operation, verdict, context);
    } catch (error) {
      this.#trouble(operation.id, error);
    }
    if (!claimed) return undefined;
    const { plan, step } = claimed;
    const of = plan.steps.length;
    const permit = await letThrough(
      this.#deps,
      operation,
      context,
      {
        kind: 'plan.used',
        hold: plan.hold,
        plan: plan.id,
        step,
        of,
        by: plan.by,
      },
      (demands) => coveredBy(plan, operation, demands),
    );
    const more = step === of ? 'That was the last.' : `The next may run until ${utc(plan.until)}.`;
    this.#say(plan, `plan-${plan.id}-${step}`, `Plan ${plan.id}, ${step} of ${of}: ${operation.headline}. ${more}`);
    return permit;
  }

  async #claim(
    operation: Operation,
    { demands }: Verdict & { kind: 'hold' },
    { signal, alive }: AdmitContext,
  ): Promise<{ plan: Plan; step: number } | undefined> {
    const { store, clock, policy, frozen } = this.#deps;
    const { protocol, parameters, stopped, caps, reveal, connection } = operation;
    if (protocol !== 'postgres' || parameters.length > 0 || stopped || caps || reveal || operation.plan)
      return undefined;
    const { version } = policy();
    const principal = principalKey(operation.principal);
    const digest = digestOf(operation.text);
    for (const id of await store.idsOf({ principal, connection })) {
      const found = await store.find(id);
      const plan = found?.record;
      if (!plan || plan.principal !== principal || plan.connection !== connection) continue;
      if (plan.state !== 'approved' || plan.until <= clock.now() || !sameSettings(plan.frame, operation.frame))
        continue;
      const before = await store.used(plan);
      const step = plan.steps[before];
      const next = step?.digest === digest && fits(operation, step);
      if (!next || !coveredBy(plan, operation, demands)) continue;
      const changed = policy().version !== version || frozen(operation) !== undefined;
      if (changed || signal.aborted || !alive()) return undefined; // judged again by whoever asks people
      const count = await store.claim(id, found as Found<Plan>, plan.steps.length, before);
      if (count !== undefined) return { plan, step: count };
    }
    return undefined;
  }

  /** Which of them need approval now, and by whom. @throws GatewayError DENIED | UNSUPPORTED */
  #judged(operations: readonly Operation[]): Judged {
    const demands = new Map<string, Demand>();
    const steps: Step[] = [];
    let behind = false;
    for (const [at, operation] of operations.entries()) {
      const verdict = this.#deps.policy().evaluate(questionOf(operation));
      const after = behind;
      behind ||= operation.effects.some(({ action }) => CHANGING.has(action));
      if (verdict.kind === 'deny') {
        throw new GatewayError('DENIED', `statement ${at + 1} is denied by rule ${verdict.rule}: ${verdict.why}`);
      }
      if (verdict.kind === 'allow') continue;
      const confirmed = verdict.demands.find(({ confirm }) => confirm !== undefined);
      if (confirmed) {
        const why = `rule ${confirmed.rule} asks again about the rows it touches`;
        throw new GatewayError('UNSUPPORTED', `statement ${at + 1} cannot be planned: ${why}`);
      }
      steps.push({ operation, behind: after });
      for (const demand of verdict.demands) demands.set(JSON.stringify(demand), demand);
    }
    return { steps, demands: [...demands.values()], count: operations.length };
  }

  /** The hold, once its card is on its way; whatever becomes of it later is kept with the plan. */
  #opened(operation: Operation, listed: Listed, asked: Judged, id: string): Promise<Hold> {
    const { holds } = this.#deps;
    const rules = asked.demands.map(({ rule }) => rule);
    const verdict = { kind: 'hold', rules, demands: asked.demands } as const;
    return new Promise<Hold>((resolve, reject) => {
      let hold: Hold | undefined;
      this.#opening.set(operation.id, (opened) => {
        hold = opened;
        const kept = this.#deps.store.put(id, this.#record(id, listed, asked, opened));
        // Its card is out: where this fails, the decision is written all the same.
        resolve(kept.catch((error) => this.#trouble(id, error)).then(() => opened));
      });
      const context: AdmitContext = {
        signal: new End(),
        tell: () => {}, // whoever asked looks at its status
        credentialEndsAt: () => listed.credentialEndsAt,
        alive: () => true,
        judge: () => this.#verdict(listed.operations),
      };
      holds()
        .open(operation, verdict, context)
        .then(
          (permit) => this.#approved(permit, this.#record(id, listed, asked, hold as Hold), hold as Hold),
          (error) => {
            if (!hold) return reject(error);
            return this.#ended(this.#record(id, listed, asked, hold), hold, error);
          },
        )
        .catch((error) => this.#trouble(id, error))
        .finally(() => this.#opening.delete(operation.id));
    });
  }

  /** What the rules say of all of it now. */
  #verdict(operations: readonly Operation[]): Verdict {
    try {
      const { demands } = this.#judged(operations);
      const rules = demands.map(({ rule }) => rule);
      return demands.length === 0 ? { kind: 'allow', rules } : { kind: 'hold', rules, demands };
    } catch (thrown) {
      return { kind: 'deny', rules: [], rule: 'plan', why: asGatewayError(thrown).message };
    }
  }

  async #approved(permit: Permit, plan: Plan, hold: Hold): Promise<void> {
    const { store, clock } = this.#deps;
    const at = clock.now();
    const until = at + Math.min(MOST_MS, ...hold.demands.map(({ expiresMs }) => expiresMs));
    const approved: Plan = {
      ...plan,
      state: 'approved',
      demands: hold.demands.map(approvedDemand),
      by: [...hold.votes.keys()],
      until,
      expiresAt: until + REMEMBERED_MS,
    };
    try {
      await store.put(plan.id, approved);
      await store.index(approved);
    } catch (error) {
      this.#trouble(plan.id, error);
      const message = 'the approval could not be kept in Redis; nothing of the plan passes by it';
      permit.settle({ kind: 'failed', sqlstate: '57P03', message, ms: clock.now() - at });
      return;
    }
    const { length } = plan.steps;
    const what = length === 1 ? 'one statement' : `${length} statements, each once and in this order,`;
    permit.settle({ kind: 'done', tag: `${what} may run until ${utc(until)}`, rows: undefined, ms: clock.now() - at });
  }

  async #ended(plan: Plan, { phase }: Hold, error: unknown): Promise<void> {
    const state = phase.kind === 'denied' || phase.kind === 'expired' ? phase.kind : 'withdrawn';
    const reason = this.#deps.redact(asGatewayError(error).message).slice(0, 1_000);
    await this.#deps.store.put(plan.id, { ...plan, state, reason, expiresAt: this.#deps.clock.now() + REMEMBERED_MS });
  }

  #record(id: string, { operations: [first], frame }: Listed, { steps, demands, count }: Judged, hold: Hold): Plan {
    return {
      v: 1,
      id,
      principal: principalKey(first.principal),
      connection: first.connection,
      state: 'waiting',
      statements: count,
      steps: steps.map(({ operation, behind }) => ({
        digest: digestOf(operation.text),
        does: behind ? [ANYTHING] : operation.effects.map(doing),
        guard: [...(operation.guard ?? [])],
      })),
      frame,
      demands: demands.map(approvedDemand),
      hold: hold.id,
      channel: demands[0]?.channel ?? '',
      by: [],
      until: 0,
      expiresAt: Math.ceil(hold.deadline.at) + REMEMBERED_MS,
    };
  }

  #say({ hold, channel }: Plan, id: string, text: string): void {
    const { publish, clock, redact } = this.#deps;
    const said = redact(text).slice(0, 3_000);
    publish
      .send({ kind: 'notice', v: 2, id, channel, text: said, at: clock.now(), hold }, id)
      .catch((error) => this.#trouble(id, error));
  }

  #trouble(of: string, error: unknown): void {
    this.#deps.log('a plan', { of, error: String(error) });
  }
}

const CHANGING: ReadonlySet<string> = new Set(['ddl', 'dcl', 'call', 'unknown']);
const ANYTHING = 'unknown before what precedes it has run';

/** Inside a transaction people are asked for a shorter time, because of its locks: nobody is asked here. */
function coveredBy(plan: Plan, { inTransaction }: Operation, demands: readonly Demand[]): boolean {
  const within = (asked: Asked): Asked => (inTransaction ? { ...asked, expiresMs: 0 } : asked);
  return demands.every((demand) => plan.demands.some((asked) => covers(within(asked), demand)));
}

const approvedDemand = ({ rule, approvers, quorum, requireReason, expiresMs }: Demand) => {
  return { rule, approvers: [...approvers], quorum, requireReason, expiresMs };
};

/** Of the statement's bytes, but for what ends it: psql sends the semicolon, drivers do not. */
const digestOf = (text: string): string =>
  createHash('sha256')
    .update(text.replace(/^[ \t\r\n;]+|[ \t\r\n;]+$/g, ''))
    .digest('hex');

const doing = ({ action, object, where }: Effect): string => `${action} ${object} ${where ?? ''}`;

/** It does what it was read as. What nobody could tell then was approved as such: its text, whatever it does. */
function fits({ effects, guard = [] }: Operation, { does, guard: approved }: Plan['steps'][number]): boolean {
  const told = !does.some((one) => one.startsWith('unknown '));
  return (
    guard.every((why) => approved.includes(why)) && (!told || effects.map(doing).every((one) => does.includes(one)))
  );
}

/** Every setting that it was read in is still so; the session may have others besides. */
function sameSettings(planned: string, frame: string): boolean {
  const now = settingsIn(frame);
  const then = settingsIn(planned);
  return now !== undefined && (then?.every((setting) => now.includes(setting)) ?? false);
}

/** Undefined where the frame says more than settings: it runs by name what was prepared in its session. */
function settingsIn(frame: string): readonly string[] | undefined {
  const list = JSON.parse(frame) as unknown;
  if (!Array.isArray(list) || !list.every((one) => Array.isArray(one) && one.length === 2)) return undefined;
  return list.map((one) => JSON.stringify(one));
}

const statusOf = (plan: Plan, used: number): PlanStatus => {
  const { id, state, statements, steps, until, reason } = plan;
  const done = state === 'approved' && used >= steps.length;
  return {
    id,
    status: done ? 'done' : state,
    statements,
    asks: steps.length,
    used,
    ...(state === 'approved' ? { until: new Date(until).toISOString() } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
};
