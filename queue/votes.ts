/** What bots tell one gateway over `votes.<gateway id>`: votes, who people are, who is in a group. */
import { z } from 'zod';

export const votesQueue = (gateway: string): string => `votes.${gateway}`;
/** Newest version written; what needs nothing of it is written as version 1, so that a fleet can roll. */
export const VOTES_VERSION = 2;
export const VOTES_UPCASTERS = { 1: (payload: Record<string, unknown>) => payload };
const version = z.literal([1, 2]);

const time = z.number().int().nonnegative();
const text = (max: number) => z.string().max(max);

/** What Slack says of a person right now. The bot gathers; the gateway judges. */
export const attestationSchema = z.strictObject({
  team: text(32),
  user: text(32),
  name: text(200),
  email: text(320).optional(),
  emailConfirmed: z.boolean(),
  deleted: z.boolean(),
  bot: z.boolean(), // is_bot, is_app_user, is_workflow_bot or is_connector_bot
  guest: z.boolean(), // is_restricted or is_ultra_restricted
  stranger: z.boolean(), // is_stranger, or of another team (Slack Connect)
  invited: z.boolean(), // has not accepted yet
  /** Groups that this person is in, among those asked about; absent groups are known not to contain them. */
  groups: z.array(z.strictObject({ id: text(32), handle: text(64), readAt: time })).max(200),
  /** When the profile was read. */
  readAt: time,
  /** Names that could not be resolved: membership unknown, so refused. */
  unknown: z.array(text(128)).max(200),
});
export type Attestation = z.infer<typeof attestationSchema>;

export const voteMessageSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('vote'),
    v: version,
    /** One id per click; a redelivery carries the same. */
    id: text(120),
    hold: z.uuid(),
    digest: z.string().regex(/^[0-9a-f]{64}$/),
    revision: z.number().int().min(1),
    /** Since version 2: `undo` takes back this person's approval; `break` releases it alone, with a reason, where that is allowed. */
    decision: z.enum(['approve', 'deny', 'undo', 'break']),
    reason: text(1000).optional(),
    /** Since version 2. With an approval: what has the same shape passes for so many minutes, too. */
    grantMinutes: z.number().int().min(1).max(1440).optional(),
    /** Where it was clicked: `details` only from its last page, after the whole text. */
    from: z.enum(['card', 'details']).optional(),
    voter: attestationSchema,
    clickedAt: time,
    /** Where the click happened, for the answer. */
    channel: text(64),
  }),
  z.strictObject({
    kind: z.literal('kill'),
    v: version,
    id: text(120),
    hold: z.uuid(),
    voter: attestationSchema,
    clickedAt: time,
    channel: text(64),
  }),
  /** Since version 2. Deny everything that a collecting card stands for. */
  z.strictObject({
    kind: z.literal('deny-all'),
    v: z.literal(2),
    id: text(120),
    /** The collecting card's own id. */
    hold: z.uuid(),
    voter: attestationSchema,
    clickedAt: time,
    channel: text(64),
  }),
  z.strictObject({
    kind: z.literal('attestation'),
    v: version,
    id: text(80),
    hold: z.uuid(),
    people: z.array(attestationSchema).max(50),
  }),
  z.strictObject({
    kind: z.literal('directory'),
    v: version,
    id: text(80),
    /** The workspace the bot is installed in. */
    team: text(32),
    groups: z
      .array(
        z.strictObject({
          name: text(128),
          id: text(32),
          handle: text(64),
          members: z.array(text(32)).max(5000),
          readAt: time,
        }),
      )
      .max(200),
    /** Names Slack does not know. */
    missing: z.array(text(128)).max(200),
    /** Names that could not be read now (Slack is down, rate limit): unknown, not empty. */
    unreadable: z.array(text(128)).max(200),
    at: time,
  }),
  /** The card is up (or could not be posted: `error` says why in a sentence). */
  z.strictObject({
    kind: z.literal('posted'),
    v: version,
    hold: z.uuid(),
    sequence: z.number().int().min(1),
    channel: text(64),
    ts: text(32).optional(),
    permalink: text(500).optional(),
    error: text(500).optional(),
  }),
]);
export type VoteMessage = z.infer<typeof voteMessageSchema>;

/** The gateway's receipt: the (sealed) return value of the vote's job, which the bot awaits. */
export const receiptSchema = z.strictObject({
  v: z.literal(1),
  id: text(120),
  hold: z.uuid(),
  counted: z.boolean(),
  /** For the person who clicked: `Counted: 1 of 2 for schema-changes.` or `Not counted: you are the sponsor …`. */
  text: text(1000),
});
export type Receipt = z.infer<typeof receiptSchema>;
/** Receipts are sealed for this context, so that one cannot answer for another click. */
export const receiptContext = (voteId: string): string => `receipt.${voteId}`;
