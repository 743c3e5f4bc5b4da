/** Does one rule speak about one effect of one principal? Pure. In doubt a stop matches and an allow does not. */
import type { Action, Effect, Principal } from '../operation.ts';
import { principalKey } from '../operation.ts';
import { CLASS, isLimited } from './budget.ts';
import { type Glob, glob } from './glob.ts';
import type { Rule, RuleMatch } from './policy.ts';

export type Asked = { readonly connection: string; readonly principal: Principal; readonly effect: Effect };

/** A condition over what is asked. */
export type Matcher = (asked: Asked) => boolean;

/** `doubt` is what an answer that cannot be known becomes: true where matching stops, false where it lets pass. */
type Doubt = boolean;

type Issuer = { readonly issuer: string; readonly groups?: string | undefined };

/** Does a bare name tell who is meant? Not where several issuers could give somebody that name, or that group. */
export type Telling = { readonly names: boolean; readonly groups: boolean };

/** Groups come only from issuers that have a claim for them. */
export function tellingNames(issuers: readonly Issuer[]): Telling {
  const several = (list: readonly Issuer[]) => new Set(list.map(({ issuer }) => issuer)).size > 1;
  return { names: !several(issuers), groups: !several(issuers.filter(({ groups }) => groups !== undefined)) };
}

/** The whole rule: its conditions, and not its exception. */
export function ruleMatcher(rule: Pick<Rule, 'match' | 'verdict'>, telling: Telling): Matcher {
  const doubt = rule.verdict !== 'allow';
  const { except, ...rest } = rule.match;
  const all = conditions(rest, doubt, telling);
  const within = isLimited(rest) ? limitMatcher(rest, doubt) : undefined;
  const matches: Matcher = within ? (asked) => within(asked) && all(asked) : all;
  if (except === undefined) return matches;
  const excepted = conditions(except, !doubt, telling);
  return (asked) => matches(asked) && !excepted(asked);
}

function conditions(match: Omit<RuleMatch, 'except'>, doubt: Doubt, telling: Telling): Matcher {
  const all: Matcher[] = [];
  if (match.connection) {
    const named = anyGlob(match.connection);
    all.push(({ connection }) => named(connection));
  }
  if (match.action) {
    const actions: ReadonlySet<Action> = new Set(match.action);
    all.push(({ effect }) => actions.has(effect.action));
  }
  if (match.where) all.push(whereMatcher(match.where, doubt));
  if (match.object) all.push(objectMatcher(match.object, doubt));
  if (match.by) all.push(principalMatcher(match.by, doubt || telling.names));
  if (match.group) all.push(groupMatcher(match.group, doubt, telling.groups));
  return (asked) => all.every((condition) => condition(asked));
}

function anyGlob(patterns: readonly string[]): (text: string) => boolean {
  const globs = patterns.map(glob);
  const exact = new Set(globs.filter((g) => g.exact).map((g) => g.pattern));
  const wild = globs.filter((g) => !g.exact);
  return (text) => exact.has(text) || wild.some((g) => g.matches(text));
}

/** An update or delete whose inspector could not say counts as without a condition for what stops. */
function whereMatcher(wanted: 'absent' | 'present', doubt: Doubt): Matcher {
  return ({ effect }) => {
    if (effect.action !== 'update' && effect.action !== 'delete') return false;
    return effect.where === undefined ? doubt : effect.where === wanted;
  };
}

/** On a read the limit is a budget, for whoever files the rule; what a write would touch is estimated, or in doubt. */
function limitMatcher({ rows }: RuleMatch, doubt: Doubt): Matcher {
  return ({ effect }) => {
    const side = CLASS[effect.action] ?? 'unknown';
    if (side === 'read') return true;
    if (side === 'pass' || rows === undefined) return false;
    return effect.rows === undefined ? doubt : effect.rows > rows;
  };
}

/**
 * `table` in any schema, or `schema.table`. A name that itself has dots (inspectors quote it) can be cut in several
 * places: what stops looks at every cut, what lets pass only takes such a name under `*`.
 */
function objectMatcher(patterns: readonly string[], doubt: Doubt): Matcher {
  const globs = patterns.map(glob);
  if (globs.some((g) => g.everything)) return () => true;
  const whole = globs.filter((g) => g.pattern.includes('.'));
  const tables = globs.filter((g) => !g.pattern.includes('.'));
  const hit = (among: readonly Glob[], text: string) => among.some((g) => g.matches(text));
  return ({ effect: { object } }) => {
    if (object === '') return false;
    const cuts = tableNames(object);
    if (cuts.length > 1 && !doubt) return false;
    return hit(whole, object) || cuts.some((table) => hit(doubt ? globs : tables, table));
  };
}

/** What may be the table in `schema.table`: the text behind each dot, or the whole where there is none. */
export function tableNames(object: string): string[] {
  const names: string[] = [];
  for (let dot = object.indexOf('.'); dot !== -1; dot = object.indexOf('.', dot + 1)) names.push(object.slice(dot + 1));
  return names.length > 0 ? names : [object];
}

const isKey = (pattern: string) => pattern.includes('#');
const isBare = (pattern: string) => !isKey(pattern);

/** By display name, where that tells who; a pattern with `#` is held against issuer and subject together. */
function principalMatcher(patterns: readonly string[], tells: boolean): Matcher {
  const keys = anyGlob(patterns.filter(isKey));
  const names = anyGlob(patterns.filter((p) => isBare(p) && (tells || glob(p).everything)));
  return ({ principal }) => names(principal.name) || keys(principalKey(principal));
}

/** The same for groups, which belong to their issuer. What stops also takes `#` for part of a group's own name. */
function groupMatcher(patterns: readonly string[], doubt: Doubt, tells: boolean): Matcher {
  const keys = anyGlob(patterns.filter(isKey));
  const names = anyGlob(patterns.filter((p) => doubt || (isBare(p) && (tells || glob(p).everything))));
  return ({ principal: { issuer, groups } }) => groups.some((group) => names(group) || keys(`${issuer}#${group}`));
}
