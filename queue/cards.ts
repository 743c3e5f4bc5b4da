/** What gateways ask of any bot over the `cards` queue: cards to post and edit, replies, notices, questions about people. */
import { z } from 'zod';

export const CARDS_QUEUE = 'cards';
/** Newest version written; the version before it is still read (see `readCardJob`), so that a fleet can roll. */
export const CARDS_VERSION = 2;
/** What version 2 added is optional: what is without it is written as version 1, which processes before this one read. */
export const CARDS_UPCASTERS = { 1: (payload: Record<string, unknown>) => payload };
const version = z.literal([1, 2]);

const time = z.number().int().nonnegative(); // epoch ms
const text = (max: number) => z.string().max(max);

export const HOLD_STATES = [
  'open',
  'approved',
  'released',
  'done',
  'unknown',
  'denied',
  'expired',
  'withdrawn',
  'lost',
] as const;

const demand = z.strictObject({
  rule: text(128),
  why: text(500),
  approvers: z.array(text(128)).max(50),
  quorum: z.number().int().min(1).max(20),
  counted: z.number().int().min(0),
  requireReason: z.boolean(),
});

/** A button that says a `/gate` line, as if its reader had typed it: whoever clicks is judged like whoever types. */
const offer = z.strictObject({
  label: text(40),
  /** e.g. `rules revert 12`. */
  line: text(500),
  /** Asked before it is sent. */
  confirm: text(280).optional(),
  /** Since version 2. It ends by itself: then its button goes, and this is said in its place. */
  ends: z.strictObject({ at: time, text: text(300) }).optional(),
});
export type Offer = z.infer<typeof offer>;

export const NOTIFY = ['channel', 'dm', 'both'] as const;

const castVote = z.strictObject({
  user: text(32),
  decision: z.enum(['approve', 'deny']),
  at: time,
  reason: text(1000).optional(),
  /** e.g. `joined @dba-oncall 12 minutes ago`. */
  remark: text(200).optional(),
});

/** Everything a card shows. All texts are already past the detectors; none of them is markup. */
export const cardSchema = z.strictObject({
  hold: z.uuid(),
  /** Six characters a person can say aloud. */
  shortId: text(12),
  gateway: text(64),
  /** Raised when headline, risk or rules change: a vote names the revision it was cast on. */
  revision: z.number().int().min(1),
  /** Raised with every edit; a bot never lets an older edit follow a newer one. */
  sequence: z.number().int().min(1),
  state: z.enum(HOLD_STATES),
  channel: text(64),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  environment: text(64),
  connection: text(64),
  protocol: text(16),
  /** From the parser, no literals: `DELETE on public.orders, no WHERE`. */
  headline: text(500),
  risks: z.array(text(120)).max(10),
  requester: z.strictObject({
    name: text(200),
    kind: z.enum(['agent', 'human']),
    subject: text(400),
    issuer: text(400),
    /** Slack user ids. */
    sponsor: text(32).optional(),
    slack: text(32).optional(),
    purpose: text(500).optional(),
  }),
  /** Sensitive literals masked; whole, at most 48 KB. */
  statement: text(60_000),
  parameters: z.array(text(2_100)).max(200),
  demands: z.array(demand).min(1).max(50),
  votes: z.array(castVote).max(50),
  openedAt: time,
  expiresAt: time,
  /** Which clock runs out first. */
  expiresBy: z.enum(['rule', 'token', 'transaction']),
  /** Reserved line above nothing, below the buttons' block: filled when known. */
  estimate: text(300).optional(),
  /** Since version 2, as all that follows and is optional. What it would touch: tables with sizes, cascades, triggers, locks. */
  blast: z.array(text(300)).max(20).optional(),
  /** What this requester did before on the connection, newest first. */
  history: z
    .array(z.strictObject({ at: time, headline: text(200), verdict: text(20), outcome: text(120).optional() }))
    .max(10)
    .optional(),
  /** Where the card goes when its channel cannot take it. */
  fallbackChannel: text(64).optional(),
  /** Absent: in the channel alone. A direct message carries a working card. */
  notify: z.enum(NOTIFY).optional(),
  /** Whom the first post rings, instead of all approvers: names as in `demands`; empty in quiet hours. */
  ring: z.array(text(128)).max(50).optional(),
  /** Slack ids of approvers that only the gateway knows (`oidc:` groups). */
  people: z.array(text(32)).max(200).optional(),
  /** For how many minutes an approval may also cover what has the same shape; absent: this one alone. */
  grants: z.array(z.number().int().min(1).max(1440)).max(3).optional(),
  /** What its approval covers besides: `its shape for 15 min: grant 3fa85f64c1, 20 uses until 14:17 UTC`. */
  granted: text(300).optional(),
  /** May be released by one of `approvals.break_glass` alone. */
  breakGlass: z.boolean().optional(),
  /** Of a request that stands for many: their short ids and headlines, newest first; it can be denied, never approved. */
  collects: z
    .strictObject({
      total: z.number().int().min(1),
      open: z.array(z.strictObject({ hold: z.uuid(), shortId: text(12), headline: text(200) })).max(100),
    })
    .optional(),
  /** It has no message of its own: the collecting card of this id stands for it. */
  collectedBy: z.uuid().optional(),
  /** What its record offers once it is over. */
  offers: z.array(offer).max(4).optional(),
  /** Where its session can be seen as it was recorded, at this operation; for whoever may. */
  evidence: text(400)
    .regex(/^https?:\/\/[!-~]+$/)
    .optional(),
  /** It approves what is to come: it has no session, and no rows of its own. */
  plan: z.literal(true).optional(),
  /** Said on the card in as many words: `the data that follows COPY is not reviewed (at most 10,000 rows)`. */
  warnings: z.array(text(300)).max(10),
  /** Since version 2. A result that was stopped in its midst: how much of it its client has, and its first rows. */
  stopped: z
    .strictObject({
      /** `1,000 rows` */
      after: text(40),
      /** As the client got them, masked: at most three rows of ten columns. */
      preview: z.array(z.array(text(200)).max(10)).max(3),
      /** It is no result but a write that has run and waits before its COMMIT. */
      commits: z.literal(true).optional(),
    })
    .optional(),
  settled: z
    .strictObject({
      at: time,
      by: text(64).optional(),
      reason: text(1000).optional(),
      executed: z.enum(['no', 'yes', 'unknown']),
    })
    .optional(),
  releasedAt: time.optional(),
  outcome: z
    .strictObject({
      kind: z.enum(['done', 'failed', 'unknown']),
      text: text(500),
      rows: z.number().optional(),
      ms: z.number(),
    })
    .optional(),
  /** `seq:first 12 hex` of the audit chain when the card was decided. */
  auditHead: text(64).optional(),
});
export type Card = z.infer<typeof cardSchema>;

export const cardJobSchema = z.discriminatedUnion('kind', [
  /** Post it if it was never posted, else edit it. The job id is `card-<hold>-<sequence>`. */
  z.strictObject({ kind: z.literal('card'), v: version, card: cardSchema }),
  /** Tell one person something, where only they see it. Without a channel: in a direct message. */
  z.strictObject({
    kind: z.literal('reply'),
    v: version,
    id: text(120),
    channel: text(64).optional(),
    user: text(32),
    text: text(3000),
    /** Since version 2: with a link to this hold's card, once it is up. */
    hold: z.uuid().optional(),
  }),
  /** Say something in a channel, once per id. */
  z.strictObject({
    kind: z.literal('notice'),
    v: version,
    id: text(120),
    channel: text(64),
    text: text(3000),
    at: time,
    /** Since version 2: in the thread under this hold's card. */
    hold: z.uuid().optional(),
    /** Names (`@handle`, `S…`, `U…`) that ring with it. */
    ring: z.array(text(128)).max(50).optional(),
    offers: z.array(offer).max(4).optional(),
  }),
  /** Since version 2. What this line was offered for is over: its button goes, wherever it hangs, and this is said there. */
  z.strictObject({
    kind: z.literal('over'),
    v: version,
    id: text(120),
    /** As offered. */
    line: text(500),
    /** Who ended it, how and when, in a sentence. */
    text: text(300),
    at: time,
  }),
  /** Resolve these approver names to people; answered with a `directory` message to `votes.<gateway>`. */
  z.strictObject({
    kind: z.literal('directory'),
    v: version,
    id: text(80),
    gateway: text(64),
    /** `@handle`, `S…` or `U…`. */
    names: z.array(text(128)).max(200),
    at: time,
  }),
  /** Attest these voters afresh; answered with an `attestation` message to `votes.<gateway>`. */
  z.strictObject({
    kind: z.literal('attest'),
    v: version,
    id: text(80),
    gateway: text(64),
    hold: z.uuid(),
    users: z.array(text(32)).min(1).max(50),
    names: z.array(text(128)).max(200),
    at: time,
  }),
  /** Nothing of this gateway's will change any more: forget its message index. */
  z.strictObject({
    kind: z.literal('forget'),
    v: version,
    gateway: text(64),
    holds: z.array(z.uuid()).max(10_000),
  }),
]);
export type CardJob = z.infer<typeof cardJobSchema>;

/** The card on its way, in the oldest version that can carry it. */
export const cardJob = (card: Card): CardJob => ({
  kind: 'card',
  v: SECOND.some((key) => card[key] !== undefined) ? 2 : 1,
  card,
});

/** Is the text of a failed outcome the target's? It begins with its SQLSTATE then; the gateway's own does not. */
export const saidByTarget = (text: string): boolean => /^[0-9A-Z]{5}: /.test(text);

/** What version 1 does not know. */
const SECOND = [
  'stopped',
  'blast',
  'history',
  'fallbackChannel',
  'notify',
  'ring',
  'people',
  'grants',
  'granted',
  'breakGlass',
  'collects',
  'collectedBy',
  'offers',
  'evidence',
  'plan',
] as const satisfies readonly (keyof Card)[];
