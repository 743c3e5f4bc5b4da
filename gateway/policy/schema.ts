/** The shape of a rule: as people write it in countersign.yaml, and as gateways keep it, signed, in Redis. */
import { z } from 'zod';
import { ACTIONS } from '../operation.ts';
import { isLimited } from './budget.ts';
import { MAX_PATTERN, MAX_STARS } from './glob.ts';
import type { Rule } from './policy.ts';

const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const GROUP_HANDLE = /^@[a-z0-9][a-z0-9._-]{0,79}$/;
const SLACK_GROUP = /^S[A-Z0-9]{2,30}$/;
const SLACK_USER = /^[UW][A-Z0-9]{2,30}$/;
const SLACK_CHANNEL = /^[CGD][A-Z0-9]{2,30}$/;
export const MAX_EXPIRES_MS = 24 * 3_600_000; // a card older than a day is no longer about the statement it shows
export const MIN_EXPIRES_MS = 1_000;

const isSlackUser = (approver: string): boolean => SLACK_USER.test(approver);

export const name = z
  .string({ error: 'expected a name like orders-eu' })
  .regex(NAME, 'expected a name of lower-case letters, digits and -, starting with a letter, at most 63 long');

export const slackUser = z
  .string({ error: 'expected a Slack user id like U0ALICE' })
  .regex(SLACK_USER, 'expected a Slack user id like U0ALICE');

export const channel = z
  .string({ error: 'expected a Slack channel id like C0APPROVALS' })
  .regex(SLACK_CHANNEL, 'expected a Slack channel id like C0APPROVALS, not a channel name');

export const approver = z
  .string({ error: 'expected @user-group, a Slack id or oidc:<group>' })
  .refine(
    (text) =>
      GROUP_HANDLE.test(text) ||
      SLACK_GROUP.test(text) ||
      SLACK_USER.test(text) ||
      (/^oidc:./.test(text) && text.length <= 128),
    'expected a Slack user group (@handle or S…), a Slack user id (U… or W…) or oidc:<group>',
  );
export const approvers = z.array(approver, { error: 'expected a list of approvers' }).max(50);

export const notify = z.enum(['channel', 'dm', 'both'], { error: 'expected channel, dm or both' });
export const confirm = z.literal('rows', { error: 'expected rows' });

export const verdict = z.enum(['allow', 'hold', 'deny'], { error: 'expected allow, hold or deny' });
export const quorum = z
  .number({ error: 'expected a number of people' })
  .int('expected a whole number of people')
  .min(1, 'expected at least 1')
  .max(20, 'expected at most 20');
export const why = z.string({ error: 'expected a sentence' }).min(1, 'expected a sentence').max(500);

export const pattern = z
  .string({ error: 'expected a name, * standing for any run of characters' })
  .min(1, 'expected a name, * standing for any run of characters')
  .max(MAX_PATTERN)
  .refine((text) => text.split('*').length - 1 <= MAX_STARS, `expected at most ${MAX_STARS} *`);
export const plainPattern = pattern.refine((text) => !/[?[\]{}]/.test(text), 'only * is a wildcard; ? [ ] { } are not');

const list = <T extends z.ZodType>(item: T) => z.array(item).min(1, 'expected at least one').max(1_000);
const oneOrMore = <T extends z.ZodType>(item: T) =>
  z.preprocess((value) => (Array.isArray(value) || value === undefined ? value : [value]), list(item).optional());

const action = z.enum(ACTIONS, { error: `expected one of ${ACTIONS.join(', ')}` });
const where = z.enum(['absent', 'present'], { error: 'expected absent or present' });

/** How each key of `match` is read; `many` decides whether a single value may stand for a list. */
const matchShape = <M extends typeof oneOrMore | typeof optionalList>(many: M) => ({
  connection: many(plainPattern),
  object: many(plainPattern),
  action: many(action),
  where: where.optional(),
  by: many(pattern),
  group: many(pattern),
});
const optionalList = <T extends z.ZodType>(item: T) => list(item).optional();

export const MOST_ROWS = 1e12; // and one more could not be written as a number of digits that anybody reads
export const MOST_BYTES = 1024 ** 5;

/** `">1000"`: more than so many. */
const above = <T extends z.ZodType<number, string>>(count: T, expected: string) =>
  z
    .string({ error: expected })
    .regex(/^>/, expected)
    .transform((text) => text.slice(1).trim())
    .pipe(count);
const ROWS_EXPECTED = 'expected a limit like ">1000"';
const rowCount = z
  .string()
  .regex(/^(?:\d{1,12}|10{12})$/, ROWS_EXPECTED)
  .transform(Number);

/** The same limits as they are kept. */
const limits = {
  rows: z.number().int().min(0).max(MOST_ROWS).optional(),
  bytes: z.number().int().min(0).max(MOST_BYTES).optional(),
  rowsPerHour: z.number().int().min(0).max(MOST_ROWS).optional(),
  bytesPerHour: z.number().int().min(0).max(MOST_BYTES).optional(),
};

const notEmpty = (value: object) => Object.values(value).some((item) => item !== undefined);
const EMPTY_EXCEPT = 'expected at least one condition: an empty exception would switch the rule off';

/**
 * `match:` as people write it; the caller wraps the shapes so that unknown keys get its own wording, and says how sizes
 * are written.
 */
export const writtenMatch = (
  section: <S extends z.ZodRawShape>(shape: S) => z.ZodObject<S, z.core.$strict>,
  size: (least: number, most: number) => z.ZodType<number, string | number>,
) => {
  const rows = above(rowCount, ROWS_EXPECTED).optional();
  const bytes = above(size(0, MOST_BYTES) as z.ZodType<number, string>, 'expected a limit like ">10MB"').optional();
  return section({
    ...matchShape(oneOrMore),
    rows,
    bytes,
    rows_per_hour: rows,
    bytes_per_hour: bytes,
    except: section(matchShape(oneOrMore)).refine(notEmpty, EMPTY_EXCEPT).optional(),
  }).transform(({ rows_per_hour: rowsPerHour, bytes_per_hour: bytesPerHour, ...match }) => ({
    ...match,
    ...(rowsPerHour === undefined ? {} : { rowsPerHour }),
    ...(bytesPerHour === undefined ? {} : { bytesPerHour }),
  }));
};

type RuleKey =
  | 'verdict'
  | 'approvers'
  | 'quorum'
  | 'expires'
  | 'require_reason'
  | 'channel'
  | 'confirm'
  | 'notify'
  | 'escalate';

/** What kind of rule may carry what: shared by every way a rule comes in. Undefined when all is well. */
export function ruleMistake(
  rule: Pick<Rule, 'verdict' | 'approvers' | 'quorum'> &
    Partial<Pick<Rule, 'match' | 'requireReason' | 'expiresMs' | 'channel' | 'confirm' | 'notify' | 'escalate'>>,
): { key: RuleKey; message: string } | undefined {
  if (rule.verdict === 'allow' && rule.match && isLimited(rule.match)) {
    return { key: 'verdict', message: 'beyond a limit a rule asks or refuses: expected hold or deny' };
  }
  if (rule.verdict !== 'hold') {
    const only = `only a hold asks people; this rule says ${rule.verdict}`;
    if (rule.approvers.length > 0) return { key: 'approvers', message: only };
    if (rule.quorum !== 1) return { key: 'quorum', message: only };
    if (rule.expiresMs !== undefined) return { key: 'expires', message: only };
    if (rule.requireReason) return { key: 'require_reason', message: only };
    if (rule.channel !== undefined) return { key: 'channel', message: only };
    if (rule.confirm !== undefined) return { key: 'confirm', message: only };
    if (rule.notify !== undefined) return { key: 'notify', message: only };
    if (rule.escalate !== undefined) return { key: 'escalate', message: only };
    return undefined;
  }
  const short = tooFewPeople(rule.approvers, rule.quorum);
  return short === undefined ? undefined : { key: 'quorum', message: short };
}

/** Where only people are named (no group whose size nobody knows), a quorum above their number can never be met. */
export function tooFewPeople(named: readonly string[], wanted: number): string | undefined {
  if (named.length === 0 || !named.every(isSlackUser)) return undefined;
  const people = new Set(named).size;
  return people < wanted ? `a quorum of ${wanted} can never be met by ${people} named people` : undefined;
}

/** A rule as gateways keep it in Redis; strict, bounded, lists only. */
export const ruleSchema: z.ZodType<Rule> = z
  .strictObject({
    id: name,
    source: z.enum(['file', 'slack']),
    match: z.strictObject({
      ...matchShape(optionalList),
      ...limits,
      except: z.strictObject(matchShape(optionalList)).refine(notEmpty, EMPTY_EXCEPT).optional(),
    }),
    verdict,
    why,
    approvers,
    quorum,
    requireReason: z.boolean(),
    expiresMs: z.number().int().min(MIN_EXPIRES_MS).max(MAX_EXPIRES_MS).optional(),
    channel: channel.optional(),
    confirm: confirm.optional(),
    notify: notify.optional(),
    escalate: z
      .strictObject({ to: approver, afterMs: z.number().int().min(MIN_EXPIRES_MS).max(MAX_EXPIRES_MS) })
      .optional(),
  })
  .superRefine((rule, context) => {
    const mistake = ruleMistake(rule);
    if (mistake) context.addIssue({ code: 'custom', path: [mistake.key], message: mistake.message });
  })
  .transform((rule) => ({ ...rule, expiresMs: rule.expiresMs, channel: rule.channel }));
