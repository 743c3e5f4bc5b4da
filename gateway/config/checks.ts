/** What one key of a configuration says about another: duplicates, unknown names, quorums nobody can meet. */
import { type IssuerConfig, validateIssuers } from '../identity/issuers.ts';
import { glob } from '../policy/glob.ts';
import type { Rule } from '../policy/policy.ts';
import { tooFewPeople } from '../policy/schema.ts';
import type { Problem } from './problems.ts';

type Indexed<T> = ReadonlyArray<{ readonly at: number; readonly value: T }>;

/** The same name twice. */
export function duplicates<T>(items: Indexed<T>, where: string, key: string, nameOf: (item: T) => string): Problem[] {
  const first = new Map<string, number>();
  return items.flatMap(({ at, value }) => {
    const name = nameOf(value);
    const before = first.get(name);
    if (before === undefined) {
      first.set(name, at);
      return [];
    }
    return [{ path: `${where}[${at}].${key}`, message: `${where}[${before}] already has this ${key}` }];
  });
}

/** A rule about a connection that is not configured would silently do nothing. */
export function unknownConnections(rules: Indexed<Rule>, connections: readonly string[]): Problem[] {
  const known = (pattern: string) => !glob(pattern).exact || connections.includes(pattern);
  const problem = (path: string, pattern: string) => ({ path, message: `there is no connection ${pattern}` });
  return rules.flatMap(({ at, value: { match } }) => [
    ...(match.connection ?? []).filter((p) => !known(p)).map((p) => problem(`rules[${at}].match.connection`, p)),
    ...(match.except?.connection ?? [])
      .filter((p) => !known(p))
      .map((p) => problem(`rules[${at}].match.except.connection`, p)),
  ]);
}

/** Rules that leave the approvers to the defaults still need enough of them. */
export function quorums(rules: Indexed<Rule>, defaults: readonly string[]): Problem[] {
  return rules.flatMap(({ at, value }) => {
    if (value.verdict !== 'hold' || value.approvers.length > 0) return [];
    const short = tooFewPeople(defaults, value.quorum);
    return short === undefined ? [] : [{ path: `rules[${at}].quorum`, message: `${short} (approvals.approvers)` }];
  });
}

/** An issuer that anyone can have tokens of must say which ones are meant. The message brings its own path. */
export function untrustworthyIssuers(issuers: readonly IssuerConfig[]): Problem[] {
  try {
    validateIssuers(issuers);
    return [];
  } catch (error) {
    return [{ path: '', message: error instanceof Error ? error.message : String(error) }];
  }
}
