/** Masking rules to profiles: principals whom the same rules meet on a connection share one. Pure. */
import { createHash } from 'node:crypto';
import { type Glob, glob } from '../policy/glob.ts';
import { tellingNames } from '../policy/match.ts';
import type { DetectorName } from './detectors.ts';
import type { ColumnPattern, Detection, MaskFormat, Profile } from './profile.ts';

/** The parts of a configuration that decide what is masked. */
type MaskingConfig = {
  readonly masking: readonly MaskingRule[];
  readonly connections: readonly { readonly name: string; readonly predicates: Profile['predicates'] }[];
  readonly identity: { readonly issuers: readonly { readonly issuer: string; readonly groups?: string | undefined }[] };
};

type MaskingRule = {
  readonly connection: readonly string[];
  readonly columns: readonly ColumnPattern[];
  readonly detect: readonly DetectorName[];
  readonly patterns: readonly { readonly name: string; readonly pattern: string }[];
  readonly as: MaskFormat;
  readonly except?: { readonly groups: readonly string[] } | undefined;
};

export type Profiles = {
  /** Undefined: no rule masks anything of this connection for this principal. The same rules give the same object. */
  profileFor(
    connection: string,
    principal: { readonly issuer: string; readonly groups: readonly string[] },
  ): Profile | undefined;
};

type Compiled = {
  readonly rule: MaskingRule;
  readonly connections: readonly Glob[];
  readonly excepts: (principal: { readonly issuer: string; readonly groups: readonly string[] }) => boolean;
};

const MAX_NAMES = 100_000; // kept answers of one profile; a catalogue with more columns asks again

export function createProfiles({ masking, connections, identity }: MaskingConfig): Profiles {
  const telling = tellingNames(identity.issuers).groups;
  const rules: Compiled[] = masking.map((rule) => ({
    rule,
    connections: rule.connection.map(glob),
    excepts: exception(rule.except?.groups ?? [], telling),
  }));
  const predicates = new Map(connections.map(({ name, predicates }) => [name, predicates]));
  const known = new Map<string, Profile>();
  return {
    profileFor: (connection, principal) => {
      const applying = rules.filter(
        ({ connections, excepts }) => connections.some((name) => name.matches(connection)) && !excepts(principal),
      );
      if (applying.length === 0) return undefined;
      const key = `${connection} ${applying.map(({ rule }) => masking.indexOf(rule)).join()}`;
      let profile = known.get(key);
      if (!profile) {
        // A connection nobody configured is met with the strictest.
        profile = createProfile(
          applying.map(({ rule }) => rule),
          connection,
          predicates.get(connection) ?? 'hold',
        );
        known.set(key, profile);
      }
      return profile;
    },
  };
}

/** A group belongs to its issuer: where several have groups, a bare name tells nobody, and nobody is excepted by it. */
function exception(groups: readonly string[], telling: boolean): Compiled['excepts'] {
  const globs = groups.map(glob);
  const keys = globs.filter(({ pattern }) => pattern.includes('#'));
  const names = globs.filter(({ pattern, everything }) => !pattern.includes('#') && (telling || everything));
  return (principal) =>
    principal.groups.some(
      (group) =>
        names.some((name) => name.matches(group)) || keys.some((key) => key.matches(`${principal.issuer}#${group}`)),
    );
}

function createProfile(rules: readonly MaskingRule[], connection: string, predicates: Profile['predicates']): Profile {
  const columns = rules.flatMap(({ columns, as }) =>
    columns.map(({ schema, table, column }) => ({
      schema: glob(schema),
      table: glob(table),
      column: glob(column),
      as,
    })),
  );
  const answers = new Map<string, MaskFormat | undefined>();
  return Object.freeze({
    id: createHash('sha256')
      .update(JSON.stringify([connection, predicates, rules]))
      .digest('base64url'),
    maskOf: (schema: string, table: string, column: string) => {
      const key = JSON.stringify([schema, table, column]);
      if (answers.has(key)) return answers.get(key);
      const format = columns.find(
        (one) => one.column.matches(column) && one.table.matches(table) && one.schema.matches(schema),
      )?.as;
      if (answers.size >= MAX_NAMES) answers.clear();
      answers.set(key, format);
      return format;
    },
    hasColumns: columns.length > 0,
    detection: detectionOf(rules),
    predicates,
  });
}

/** All that any rule looks for, in the order of the file; what two rules look for is masked as the first says. */
function detectionOf(rules: readonly MaskingRule[]): Detection | undefined {
  const looking = rules.filter(({ detect, patterns }) => detect.length + patterns.length > 0);
  const [first] = looking;
  if (!first) return undefined;
  const detectors = new Map<DetectorName, MaskFormat>();
  for (const { detect, as } of looking) {
    for (const name of detect) if (!detectors.has(name)) detectors.set(name, as);
  }
  return Object.freeze({
    detectors: [...detectors].map(([name, as]) => ({ name, as })),
    patterns: looking.flatMap(({ patterns, as }) =>
      patterns.map(({ name, pattern }) => ({ name, source: pattern, as })),
    ),
  });
}
