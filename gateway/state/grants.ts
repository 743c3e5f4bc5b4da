/** Grants: approvals of a shape, for a time and a number of uses. How they are kept; who may use one is the holds' to say. */
import { z } from 'zod';
import { Passes } from './passes.ts';
import type { SignedStore } from './signed.ts';

const text = (max: number) => z.string().max(max);
const time = z.number().int().nonnegative();

/** What was demanded of the approval, as far as a later use is held against it. */
export const approvedDemandSchema = z.strictObject({
  rule: text(128),
  approvers: z.array(text(128)).max(50),
  quorum: z.number().int().min(1),
  requireReason: z.boolean(),
  expiresMs: z.number(),
});

const grantSchema = z.strictObject({
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{10}$/),
  /** `issuer#subject`, and how people call it. */
  principal: text(1_000),
  name: text(200),
  sponsor: text(32).optional(),
  connection: text(64),
  headline: text(500),
  /** Rows that its approvers were told of; a use may come to twice as many. */
  rows: z.number().nonnegative(),
  demands: z.array(approvedDemandSchema).min(1).max(50),
  /** The hold whose approval made it, and its card's channel. */
  hold: z.uuid(),
  channel: text(64),
  by: z
    .array(z.strictObject({ user: text(32), name: text(200) }))
    .min(1)
    .max(50),
  minutes: z.number().int().min(1).max(1440),
  uses: z.number().int().min(1),
  at: time,
  expiresAt: time,
});
export type Grant = Readonly<z.infer<typeof grantSchema>>;

/** By what a use has to have in common with what was approved: one grant each, the newest. */
export type GrantStore = Passes<Grant>;

export const grantStore = (store: SignedStore, now: () => number): GrantStore =>
  new Passes({ store, key: 'countersign:grants', schema: grantSchema, now });
