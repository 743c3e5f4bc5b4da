/** A rule as it is written in countersign.yaml: the other way round from `writtenRule`. Pure. */

import { defaultWhy } from '../policy/line.ts';
import { duration, printSize } from '../policy/line-print.ts';
import type { Rule, RuleMatch } from '../policy/policy.ts';

/** Keys in the order in which people write them; what is as it would be without a key has none. */
export function written(rule: Rule): Record<string, unknown> {
  const { id, match, verdict, why, approvers, quorum, requireReason, expiresMs, channel, escalate } = rule;
  return known({
    id,
    match: writtenMatch(match),
    verdict,
    approvers: approvers.length > 0 ? [...approvers] : undefined,
    quorum: quorum === 1 ? undefined : quorum,
    require_reason: requireReason || undefined,
    expires: expiresMs === undefined ? undefined : duration(expiresMs),
    confirm: rule.confirm,
    channel,
    notify: rule.notify,
    escalate: escalate && { to: escalate.to, after: duration(escalate.afterMs) },
    why: why === defaultWhy(id) ? undefined : why,
  });
}

function writtenMatch({ connection, object, action, where, by, group, except, ...limits }: RuleMatch): object {
  const above = (limit: number | string | undefined) => (limit === undefined ? undefined : `>${limit}`);
  const { rows, bytes, rowsPerHour, bytesPerHour } = limits;
  return known({
    connection: oneOrMore(connection),
    object: oneOrMore(object),
    action: action && [...action],
    where,
    by: oneOrMore(by),
    group: oneOrMore(group),
    rows: above(rows),
    bytes: above(bytes === undefined ? undefined : printSize(bytes)),
    rows_per_hour: above(rowsPerHour),
    bytes_per_hour: above(bytesPerHour === undefined ? undefined : printSize(bytesPerHour)),
    except: except && writtenMatch(except),
  });
}

const oneOrMore = (list: readonly string[] | undefined) => (list?.length === 1 ? list[0] : list && [...list]);

const known = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined));
