/** A change that a second admin has to approve: held like any operation, judged by the same votes, done once it is. */
import { randomUUID } from 'node:crypto';
import type { Audit } from '../audit/entry.ts';
import { End } from '../ending.ts';
import { asGatewayError, GatewayError } from '../errors.ts';
import type { Permit } from '../gate.ts';
import type { Holds } from '../holds/broker.ts';
import type { Follower } from '../holds/follower.ts';
import type { Hold } from '../holds/hold.ts';
import { type Operation, principalKey } from '../operation.ts';
import type { Demand, Verdict } from '../policy/policy.ts';
import type { Asker, Change, Propose } from './asks.ts';
import { cut } from './bounded.ts';

const RULE = 'second-admin';
const MOST_UNDER_WAY = 100;

export type ProposalsDeps = {
  readonly holds: () => Pick<Holds, 'open'>;
  readonly audit: Pick<Audit, 'append'>;
  readonly admins: () => readonly string[];
  readonly channel: () => string;
  readonly expiresMs: () => number;
  /** Why this asker may not change anything any more, read from Slack now; undefined while they may. */
  readonly objection: (asker: Asker) => Promise<string | undefined>;
  readonly redact: (text: string) => string;
  readonly log: (message: string, details?: Record<string, unknown>) => void;
};

type UnderWay = {
  hold?: Hold;
  readonly opened: (hold: Hold) => void;
  readonly signal: End;
  readonly moot: Change['moot'];
};

export class Proposals {
  readonly #deps: ProposalsDeps;
  /** By operation. */
  readonly #underWay = new Map<string, UnderWay>();
  /** Goes along with the holds of proposals. */
  readonly follower: Follower = {
    opened: (hold) => this.#underWay.get(hold.operation.id)?.opened(hold),
  };

  constructor(deps: ProposalsDeps) {
    this.#deps = deps;
  }

  readonly propose: Propose = (change) => {
    if (this.#underWay.size >= MOST_UNDER_WAY) {
      return Promise.reject(new GatewayError('LIMIT', 'too many changes wait for a second admin already'));
    }
    const operation = this.#operation(change);
    return new Promise<string>((resolve, reject) => {
      const underWay: UnderWay = {
        signal: new End(),
        moot: change.moot,
        opened: (hold) => {
          underWay.hold = hold;
          resolve(hold.shortId);
          queueMicrotask(() => this.withdrawMoot()); // what changed while it was being opened
        },
      };
      this.#underWay.set(operation.id, underWay);
      this.#held(operation, change, underWay.signal)
        .then((permit) => this.#apply(permit, change, underWay.hold))
        // Before its card was on its way the asker hears of it; after that, the card says it.
        .catch(reject)
        .finally(() => this.#underWay.delete(operation.id));
    });
  };

  /** What these were about has changed: cards that have nothing left to decide are closed, and say why. */
  withdrawMoot(): void {
    for (const { hold, moot, signal } of this.#underWay.values()) {
      const why = hold?.phase.kind === 'open' ? moot?.() : undefined;
      if (why !== undefined) signal.abort(new GatewayError('WITHDRAWN', why));
    }
  }

  async #held(operation: Operation, { why }: Change, signal: End): Promise<Permit> {
    const verdict = () => this.#verdict(why);
    const asked = verdict();
    this.#deps.audit.append({
      kind: 'operation',
      operation: operation.id,
      session: operation.session,
      principal: principalKey(operation.principal),
      connection: operation.connection,
      headline: operation.headline,
      effects: operation.effects,
      statement: operation.shown,
      parameters: [],
      verdict: 'hold',
      rules: asked.rules,
    });
    return this.#deps.holds().open(operation, asked, {
      signal,
      tell: () => {}, // whoever asks sees the card
      credentialEndsAt: () => Number.POSITIVE_INFINITY,
      judge: verdict,
      alive: () => true,
    });
  }

  #verdict(why: string): Verdict & { kind: 'hold' } {
    const demand: Demand = {
      rule: RULE,
      why: cut(why, 500),
      approvers: [...this.#deps.admins()],
      quorum: 1,
      requireReason: false,
      expiresMs: this.#deps.expiresMs(),
      channel: this.#deps.channel(),
    };
    return { kind: 'hold', rules: [RULE], demands: [demand] };
  }

  async #apply(permit: Permit, { asker, apply, offers }: Change, hold: Hold | undefined): Promise<void> {
    const startedAt = performance.now();
    const took = () => performance.now() - startedAt;
    const { admins, objection, redact, log } = this.#deps;
    try {
      const asked = hold?.demands[0]?.approvers ?? [];
      if (!hold || !sameNames(asked, admins())) {
        throw new GatewayError('WITHDRAWN', 'not done: approvals.admins changed while this waited; ask anew');
      }
      const why = await objection(asker);
      if (why !== undefined)
        throw new GatewayError('DENIED', `not done: ${asker.name} may not ask for it any more: ${why}`);
      const text = await apply([...hold.votes.keys()]);
      if (offers) hold.extra = { ...hold.extra, offers: offers.slice(0, 4).map((offer) => ({ ...offer })) };
      permit.settle({ kind: 'done', tag: text, rows: undefined, ms: took() });
    } catch (thrown) {
      const { sqlstate, message } = asGatewayError(thrown);
      log('an approved change was not done', { hold: permit.hold, error: message });
      permit.settle({ kind: 'failed', sqlstate, message: redact(message), ms: took(), here: true });
    }
  }

  #operation({ asker, headline, text, asIs, risks }: Change): Operation {
    const { redact } = this.#deps;
    return {
      id: randomUUID(),
      protocol: 'gate',
      connection: 'gate',
      environment: 'countersign',
      principal: {
        issuer: 'slack',
        subject: `${asker.team}/${asker.user}`,
        kind: 'human',
        name: asker.name,
        groups: [],
        slack: asker.user,
      },
      session: 'gate',
      text,
      shown: asIs ? text : redact(text),
      parameters: [],
      shownParameters: [],
      frame: headline,
      effects: [{ action: 'unknown', object: 'gate' }],
      headline: cut(redact(headline), 500),
      risks: risks.map((risk) => cut(risk, 120)),
      inTransaction: false,
    };
  }
}

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name) => b.includes(name));
