/** Plans: statements that somebody means to run, and what became of the question. How they are kept. */
import { z } from 'zod';
import { approvedDemandSchema } from './grants.ts';
import { Passes } from './passes.ts';
import type { SignedStore } from './signed.ts';

const text = (max: number) => z.string().max(max);
const MOST_STEPS = 50;
const time = z.number().int().nonnegative();

const stepSchema = z.strictObject({
  /** SHA-256 of the statement, without the blanks and semicolons around it. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** What it would do, canonical: `action object where`. */
  does: z.array(text(600)).max(500),
  guard: z.array(text(300)).max(50),
});

const planSchema = z.strictObject({
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{10}$/),
  principal: text(1_000),
  connection: text(64),
  state: z.enum(['waiting', 'approved', 'denied', 'expired', 'withdrawn']),
  /** Why it was not approved. */
  reason: text(1_000).optional(),
  /** Statements listed, and those of them that need approval, in order. */
  statements: z.number().int().min(1),
  steps: z.array(stepSchema).min(1).max(MOST_STEPS),
  /** Settings that its statements mean what they were read as in. */
  frame: text(4_000),
  demands: z.array(approvedDemandSchema).min(1).max(50),
  hold: z.uuid(),
  channel: text(64),
  by: z.array(text(32)).max(50),
  /** Until when it may be used, once it is approved. */
  until: time,
  /** Until when it is remembered. */
  expiresAt: time,
});
export type Plan = Readonly<z.infer<typeof planSchema>>;

const KEY = 'countersign:plans';

export class PlanStore extends Passes<Plan> {
  readonly #signed: SignedStore;

  constructor(store: SignedStore, now: () => number) {
    super({ store, key: KEY, schema: planSchema, now });
    this.#signed = store;
  }

  /** Ids that may be theirs: the record alone says whose it is, and whether it may be used. */
  async idsOf(of: Pick<Plan, 'principal' | 'connection'>): Promise<string[]> {
    return this.#signed.redis.smembers(indexOf(of));
  }

  /** Let it be found by whose it is. */
  async index(plan: Plan): Promise<void> {
    const key = indexOf(plan);
    await this.#signed.redis.multi().sadd(key, plan.id).pexpireat(key, plan.expiresAt).exec();
  }
}

const indexOf = ({ principal, connection }: Pick<Plan, 'principal' | 'connection'>): string =>
  `${KEY}:of:${JSON.stringify([principal, connection])}`;
