/** What people ask of gateways with `/gate`, App Home and terminals, and what gateways answer. Bots carry; gateways decide. */
import { z } from 'zod';
import { attestationSchema } from './votes.ts';

/** Taken by any gateway: what concerns what all of them share (rules, grants, freezes). */
export const ANY_ASKS = 'asks';
/** Taken by this gateway alone: what only it knows (its sessions, its holds). */
export const asksQueue = (gateway: string): string => `asks.${gateway}`;
export const ASKS_VERSION = 1;
/** Nobody waits longer for an answer. */
export const ASK_JOB_MS = 60_000;

/** Longer than what the revocation list takes: by such a one nothing can be revoked. */
export const MAX_JTI = 3_000;

const time = z.number().int().nonnegative();
const text = (max: number) => z.string().max(max);
const what = text(400);

/** One of each subcommand. `line` and `statement` are as typed, quotes and all; whoever takes them parses them. */
export const commandSchema = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('status') }),
  z.strictObject({ do: z.literal('holds') }),
  z.strictObject({ do: z.literal('sessions'), connection: text(64).optional() }),
  /** A session's id, an agent's name or `issuer#subject`. */
  z.strictObject({ do: z.literal('kill'), what }),
  /** Whom a kill would end; ends nobody. */
  z.strictObject({ do: z.literal('kill-check'), what }),
  z.strictObject({ do: z.literal('grants') }),
  z.strictObject({ do: z.literal('revoke'), grant: text(64) }),
  z.strictObject({ do: z.literal('rules') }),
  z.strictObject({ do: z.literal('rule-add'), line: text(4_000) }),
  /** What adding it would mean; changes nothing. */
  z.strictObject({ do: z.literal('rule-check'), line: text(4_000) }),
  /** What a form that makes a rule can offer; with a rule's id, filled with that rule. */
  z.strictObject({ do: z.literal('rule-form'), rule: text(128).optional() }),
  z.strictObject({ do: z.literal('rule-remove'), rule: text(128) }),
  /** Back to what the rules were before that version. */
  z.strictObject({ do: z.literal('rule-revert'), version: z.number().int().min(1) }),
  z.strictObject({ do: z.literal('rule-test'), connection: text(64).optional(), statement: text(40_000) }),
  z.strictObject({ do: z.literal('rule-simulate'), line: text(4_000) }),
  /** A connection, an agent or `all`. */
  z.strictObject({ do: z.literal('freeze'), what, why: text(300).optional() }),
  z.strictObject({ do: z.literal('unfreeze'), what }),
  /** An approval by break-glass is looked at: by another admin, who signs it. */
  z.strictObject({ do: z.literal('review'), hold: z.uuid() }),
  /** What App Home shows this person. */
  z.strictObject({ do: z.literal('home') }),
]);
export type GateCommand = z.infer<typeof commandSchema>;

/** Which commands every gateway has its own part of the answer to. */
export const EVERY_GATEWAY: ReadonlySet<GateCommand['do']> = new Set([
  'status',
  'holds',
  'sessions',
  'kill',
  'kill-check',
  'rule-simulate',
  'home',
]);

export const askSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('ask'),
    v: z.literal(1),
    /** One id per command; a redelivery carries the same. */
    id: text(120),
    command: commandSchema,
    asker: attestationSchema,
    at: time,
    /** Where it was asked. */
    channel: text(64),
  }),
  /**
   * A vote that came to another gateway's `web` from a signed-in terminal: gateways alone may send it. The gateway that
   * has the hold judges the voter by issuer and subject, as that other gateway verified them.
   */
  z.strictObject({
    kind: z.literal('terminal'),
    v: z.literal(1),
    id: text(120),
    hold: z.uuid(),
    digest: z.string().regex(/^[0-9a-f]{64}$/),
    revision: z.number().int().min(1),
    decision: z.enum(['approve', 'deny']),
    reason: text(1000).optional(),
    issuer: text(400),
    subject: text(400),
    name: text(200),
    email: text(320).optional(),
    /** When the token it was given with ends, and by what that one token can be revoked. */
    endsAt: time,
    jti: text(MAX_JTI).optional(),
    /** SHA-256 of it, hex. */
    hash: text(64).optional(),
    at: time,
  }),
]);
export type Ask = z.infer<typeof askSchema>;

const button = z.strictObject({
  label: text(40),
  /** A `/gate` line without the `/gate`, said when it is pressed. */
  line: text(500),
  confirm: text(280).optional(),
  danger: z.boolean().optional(),
});

/** A part of an answer: plain texts, none of them markup. Bots lay it out. */
const sectionSchema = z.strictObject({
  title: text(150).optional(),
  lines: z.array(text(500)).max(60),
  /** Slack ids: where one of them stands alone in `lines`, it is shown as that person. */
  people: z.array(text(32)).max(60).optional(),
  /** Shown as code, as it is. */
  code: text(3_000).optional(),
  /** A message in Slack that it is about. */
  link: text(500).optional(),
  buttons: z.array(button).max(5).optional(),
  /** Epoch ms: parts of several gateways' answers are put in this order, oldest first. */
  at: time.optional(),
});
export type Section = z.infer<typeof sectionSchema>;

/** What the rule of `rules simulate` would have done to what this gateway saw. */
const simulatedSchema = z.strictObject({
  operations: z.number().int().min(0),
  held: z.number().int().min(0),
  denied: z.number().int().min(0),
  /** Let pass, and held or denied by what is in force. */
  allowed: z.number().int().min(0),
  /** Not recorded well enough to say. */
  unknown: z.number().int().min(0),
  agents: z.array(z.strictObject({ name: text(200), count: z.number().int().min(1) })).max(50),
  samples: z.array(z.strictObject({ at: time, headline: text(300), agent: text(200), verdict: text(20) })).max(3),
});

/** A rule in parts, each as it stands in a line: a form shows them, and puts the line together from them again. */
const ruleFormSchema = z.strictObject({
  verdict: z.enum(['hold', 'deny', 'allow']),
  /** Empty: any. */
  actions: z.array(text(20)).max(20),
  connections: z.array(text(75)).max(100), // as long as an option of a menu may be
  object: text(3_000),
  where: z.enum(['absent', 'present']).optional(),
  by: text(3_000),
  rows: text(20),
  /** Slack user ids; other approvers are in `groups`. */
  people: z.array(text(32)).max(50),
  groups: text(3_000),
  quorum: z.number().int().min(1).max(20),
  expires: text(20),
  reason: z.boolean(),
  confirm: z.boolean(),
  channel: text(64).optional(),
  /** What the form has no field for. */
  more: text(3_000),
  id: text(64),
  why: text(500),
});
export type RuleForm = z.infer<typeof ruleFormSchema>;

export const answerSchema = z.strictObject({
  v: z.literal(1),
  id: text(120),
  gateway: text(64),
  /** False: refused or not understood, and `text` says why and what would be. */
  ok: z.boolean(),
  /** One or two sentences; for several gateways' answers only where `sections` has nothing. */
  text: text(2_900),
  sections: z.array(sectionSchema).max(100),
  simulated: simulatedSchema.optional(),
  /** To `rule-form`: what there is to choose from, and the rule. */
  form: z
    .strictObject({
      connections: z.array(text(64)).max(100),
      actions: z.array(text(20)).max(100),
      rule: ruleFormSchema.optional(),
    })
    .optional(),
  /** Which part of a rule's line was not understood, or cannot be; and at which of its characters, from 1. */
  part: text(20).optional(),
  at: z.number().int().min(1).optional(),
});
export type Answer = z.infer<typeof answerSchema>;

/** Answers are sealed for this context, so that one cannot answer another question. */
export const answerContext = (ask: string): string => `answer.${ask}`;
