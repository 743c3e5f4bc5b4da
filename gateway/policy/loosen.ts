/**
 * Would rules made in Slack let anything pass that they stop now? Conservative: what cannot be proven to be at least as
 * strict for every question is a loosening. Pure.
 *
 * Stops only add, and an `allow` only answers a default: so a set is at least as strict as another when each of the
 * other's stops is covered by one of its own, and each of its own allows by one of the other's. Covered is: all that the
 * one matches, the other matches; and its terms are no milder. What of a rule says nothing about who must agree (its
 * sentence, and its name where no budget is counted under it) may change freely; where cards go may not.
 */
import { type Glob, glob } from './glob.ts';
import type { Rule, RuleMatch } from './policy.ts';

/** What rules fall back to: as `approvals` of the configuration is now. */
export type LoosenDefaults = { readonly approvers: readonly string[]; readonly expiresMs: number };

type Matching = Omit<RuleMatch, 'except' | 'rows' | 'bytes' | 'rowsPerHour' | 'bytesPerHour'>;

/** Why `after` may be milder than `before`, a few words for each rule; empty: it is not, whatever is asked. */
export function loosenings(before: readonly Rule[], after: readonly Rule[], defaults: LoosenDefaults): string[] {
  const reasons: string[] = [];
  const stops = after.filter(({ verdict }) => verdict !== 'allow');
  for (const rule of before) {
    if (rule.verdict === 'allow' || stops.some((other) => milder(rule, other, defaults).length === 0)) continue;
    const now = after.find(({ id }) => id === rule.id);
    if (!now) reasons.push(`removes ${rule.id}, which ${rule.verdict === 'deny' ? 'denies' : 'holds'}`);
    else if (now.verdict === 'allow') reasons.push(`${rule.id} allows what it ${stopped(rule)}`);
    else reasons.push(...milder(rule, now, defaults).map((what) => `${rule.id} ${what}`));
  }
  const allows = before.filter(({ verdict }) => verdict === 'allow');
  for (const rule of after) {
    if (rule.verdict !== 'allow') continue;
    if (allows.some((other) => covers(rule.match, other.match))) continue;
    const was = before.find(({ id }) => id === rule.id);
    if (was && was.verdict !== 'allow') continue; // said above
    reasons.push(was ? `${rule.id} allows more, or other things` : `adds ${rule.id}, which allows`);
  }
  return reasons;
}

const stopped = ({ verdict }: Rule): string => (verdict === 'deny' ? 'denied' : 'held');

/** What `now` asks less of than `was`; both stop. */
function milder(was: Rule, now: Rule, defaults: LoosenDefaults): string[] {
  const found: string[] = [];
  if (!covers(was.match, now.match)) found.push('matches less, or other things');
  if (!limited(was, now)) found.push('has another limit that may be wider');
  if (now.verdict === 'deny') return found;
  if (was.verdict === 'deny') return [...found, 'holds what it denied'];
  const approvers = ({ approvers: named }: Rule) => (named.length > 0 ? named : defaults.approvers);
  const added = approvers(now).filter((name) => !approvers(was).includes(name));
  if (added.length > 0) found.push(`may be approved by ${added.join(', ')}, too`);
  if (now.quorum < was.quorum) found.push(`asks for ${now.quorum} of them, not ${was.quorum}`);
  if (was.requireReason && !now.requireReason) found.push('asks for no reason');
  if ((now.expiresMs ?? defaults.expiresMs) > (was.expiresMs ?? defaults.expiresMs)) found.push('waits longer');
  if (was.confirm !== undefined && now.confirm === undefined) found.push('does not confirm rows');
  // Whoever watches one channel does not see another: that nobody less looks is nothing to be proven here.
  if (was.channel !== now.channel) found.push('asks in another channel');
  if (was.notify !== now.notify) found.push('notifies another way');
  if (was.escalate?.to !== now.escalate?.to || was.escalate?.afterMs !== now.escalate?.afterMs) {
    found.push('escalates another way');
  }
  return found;
}

const LIMITS = ['rows', 'bytes', 'rowsPerHour', 'bytesPerHour'] as const;

/**
 * A limit makes a budget of what is read, counted under the rule's name: the same kinds, none wider, under the same name.
 * A rule with limits and one without differ in kind: the one asks before anything is read, the other in its midst.
 */
function limited(was: Rule, now: Rule): boolean {
  const has = ({ match }: Rule) => LIMITS.some((limit) => match[limit] !== undefined);
  if (!has(was)) return !has(now);
  if (was.id !== now.id) return false;
  return LIMITS.every((limit) => {
    const [a, b] = [was.match[limit], now.match[limit]];
    return a === undefined || (b !== undefined && b <= a);
  });
}

/** Does `outer` match all that `inner` matches? Limits aside. */
function covers(inner: RuleMatch, outer: RuleMatch): boolean {
  if (!within(inner, outer)) return false;
  if (outer.except === undefined) return true;
  return inner.except !== undefined && within(outer.except, inner.except);
}

/** Each condition of `outer` follows from the same of `inner`. */
function within(inner: Matching, outer: Matching): boolean {
  return (
    (outer.action === undefined || (inner.action?.every((action) => outer.action?.includes(action)) ?? false)) &&
    (outer.where === undefined || outer.where === inner.where) &&
    allWithin(inner.connection, outer.connection, everything, always) &&
    allWithin(inner.object, outer.object, everything, sameDots) &&
    allWithin(inner.by, outer.by, everything, sameKind) &&
    // Who is in no group at all is in none that `*` stands for.
    allWithin(
      inner.group,
      outer.group,
      () => false,
      (a, b) => sameKind(a, b) || b.everything,
    )
  );
}

type Alike = (inner: string, outer: Glob) => boolean;

const everything = (pattern: Glob): boolean => pattern.everything;
const always: Alike = () => true;
/** With a dot a pattern is about schema and table, without about the table alone. */
const sameDots: Alike = (inner, { pattern, everything: all }) => all || inner.includes('.') === pattern.includes('.');
/** With a `#` it is about issuer and subject, without about a name. */
const sameKind: Alike = (inner, { pattern }) => inner.includes('#') === pattern.includes('#');

/** `free`: an outer pattern that is no condition. `alike`: both are held against the same text. */
function allWithin(
  inner: readonly string[] | undefined,
  outer: readonly string[] | undefined,
  free: (pattern: Glob) => boolean,
  alike: Alike,
): boolean {
  if (outer === undefined) return true;
  const globs = outer.map(glob);
  if (globs.some(free)) return true;
  // A star in the inner pattern is taken for a letter that no name has: only a star of the outer one matches it, and
  // that matches whatever else may stand there.
  return inner?.every((pattern) => globs.some((one) => alike(pattern, one) && one.matches(pattern))) ?? false;
}
