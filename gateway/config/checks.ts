/** What one key of a configuration says about another: duplicates, unknown names, quorums nobody can meet. */
import { resolve } from 'node:path';
import { type IssuerConfig, validateIssuers } from '../identity/issuers.ts';
import { glob } from '../policy/glob.ts';
import { tellingNames } from '../policy/match.ts';
import type { Rule } from '../policy/policy.ts';
import { tooFewPeople } from '../policy/schema.ts';
import type { Secret } from '../secrets.ts';
import { MAX_PATTERNS } from './masking.ts';
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
export function unknownConnections(
  rules: Indexed<Rule>,
  connections: readonly string[],
  masking: Indexed<{ readonly connection: readonly string[] }>,
): Problem[] {
  const known = (pattern: string) => !glob(pattern).exact || connections.includes(pattern);
  const problem = (path: string, pattern: string) => ({ path, message: `there is no connection ${pattern}` });
  return [
    ...rules.flatMap(({ at, value: { match } }) => [
      ...(match.connection ?? []).filter((p) => !known(p)).map((p) => problem(`rules[${at}].match.connection`, p)),
      ...(match.except?.connection ?? [])
        .filter((p) => !known(p))
        .map((p) => problem(`rules[${at}].match.except.connection`, p)),
    ]),
    ...masking.flatMap(({ at, value: { connection } }) =>
      connection.filter((p) => !known(p)).map((p) => problem(`masking[${at}].connection`, p)),
    ),
  ];
}

/** Rules that leave the approvers to the defaults still need enough of them. */
export function quorums(rules: Indexed<Rule>, defaults: readonly string[]): Problem[] {
  return rules.flatMap(({ at, value }) => {
    if (value.verdict !== 'hold' || value.approvers.length > 0) return [];
    const short = tooFewPeople(defaults, value.quorum);
    return short === undefined ? [] : [{ path: `rules[${at}].quorum`, message: `${short} (approvals.approvers)` }];
  });
}

/** What lets pass must say whose it means: another issuer may give the same name, or group, to somebody else. */
export function namesWithoutIssuer(
  rules: Indexed<Rule>,
  connections: Indexed<{ readonly access?: { readonly groups?: readonly string[] | undefined } | undefined }>,
  issuers: readonly IssuerConfig[],
  masking: Indexed<{ readonly except?: { readonly groups: readonly string[] } | undefined }>,
): Problem[] {
  const telling = tellingNames(issuers);
  const bare = (path: string, tells: boolean, patterns: readonly string[] = []) =>
    tells ? [] : patterns.flatMap((pattern) => (isTold(pattern) ? [] : [{ path, message: ambiguous(pattern) }]));
  const isTold = (pattern: string) => pattern.includes('#') || glob(pattern).everything;
  const ambiguous = (pattern: string) =>
    `several issuers can have ${pattern}: write https://issuer#${pattern}, or *#${pattern} for any of them`;
  return [
    ...connections.flatMap(({ at, value: { access } }) =>
      bare(`connections[${at}].access.groups`, telling.groups, access?.groups),
    ),
    ...masking.flatMap(({ at, value: { except } }) =>
      bare(`masking[${at}].except.groups`, telling.groups, except?.groups),
    ),
    ...rules.flatMap(({ at, value: { match, verdict } }) => {
      const [path, letsPass] =
        verdict === 'allow' ? [`rules[${at}].match`, match] : [`rules[${at}].match.except`, match.except];
      return [
        ...bare(`${path}.by`, telling.names, letsPass?.by),
        ...bare(`${path}.group`, telling.groups, letsPass?.group),
      ];
    }),
  ];
}

/** Each is a pass of its own over a value, whichever rule has it. */
export function tooManyPatterns(masking: Indexed<{ readonly patterns: readonly unknown[] }>): Problem[] {
  const all = masking.reduce((sum, { value }) => sum + value.patterns.length, 0);
  return all > MAX_PATTERNS ? [{ path: 'masking', message: `expected at most ${MAX_PATTERNS} patterns in all` }] : [];
}

/** One key, two parts: a bot could then write rules, or a gateway vote. */
export function sharedKeys(own: string, bots: readonly string[], gateways: readonly string[]): Problem[] {
  return bots.flatMap((key, at) =>
    key === own || gateways.includes(key)
      ? [
          {
            path: `keys.bots[${at}]`,
            message: 'this is a gateway’s key as well; bots and gateways have keys of their own',
          },
        ]
      : [],
  );
}

/** What every gateway has must not be what one of them signs with. */
export function sharedSecret(masking: Secret | undefined, others: readonly (Secret | undefined)[]): Problem[] {
  const signs = masking !== undefined && others.some((other) => other?.equals(masking));
  return signs
    ? [{ path: 'keys.masking', message: 'this key signs, too: expected one of its own, the same for every gateway' }]
    : [];
}

/** Whoever can rewrite the evidence must not find the key that signs it there. `written` is the section as it stands. */
export function keyBesideEvidence(section: 'audit' | 'recordings', written: unknown, dir: string): Problem[] {
  const key = typeof written === 'object' && written !== null && 'key' in written ? String(written.key) : '';
  const file = /^\$\{file:([^}]+)\}$/.exec(key)?.[1];
  if (file === undefined || !resolve(file).startsWith(`${resolve(dir)}/`)) return [];
  return [
    {
      path: `${section}.key`,
      message: `expected a file outside ${section}.dir: the key must not lie beside the evidence`,
    },
  ];
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
