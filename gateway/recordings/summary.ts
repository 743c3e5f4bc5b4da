/** A summary as others read it: from Redis or from a file, and so hostile until it fits. */
import { z } from 'zod';
import type { SessionSummary } from './shape.ts';

const count = z.number().int().nonnegative();
const text = (most: number) => z.string().max(most);

/** `2026/11/23/<ms>-<session>.jsonl[.enc]`: no other place is ever read or written. */
export const RECORDING_FILE = /^\d{4}\/\d\d\/\d\d\/\d{1,16}-[0-9a-f-]{36}\.jsonl(\.enc)?$/;

export const summarySchema: z.ZodType<SessionSummary> = z.strictObject({
  v: z.literal(1),
  session: z.uuid(),
  gateway: text(64),
  connection: text(64),
  environment: text(64),
  protocol: text(32),
  principal: text(2_000),
  principalKind: z.enum(['agent', 'human']),
  name: text(1_000),
  sponsor: text(32).optional(),
  startedAt: count,
  endedAt: count.optional(),
  reason: text(300).optional(),
  operations: count,
  held: count,
  denied: count,
  failed: count,
  verdicts: z.array(z.enum(['allow', 'hold', 'deny', 'refused'])).max(4),
  relations: z.array(text(200)).max(200),
  moreRelations: z.boolean().optional(),
  file: z.string().regex(RECORDING_FILE),
  bytes: count,
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  removed: z.boolean().optional(),
  lost: z.boolean().optional(),
});
