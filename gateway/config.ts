/** countersign.yaml, parsed once into a frozen Config; every mistake at once, each with its key's path. */
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { signingKey } from '../queue/sign.ts';
import {
  duplicates,
  keyBesideEvidence,
  namesWithoutIssuer,
  quorums,
  sharedKeys,
  sharedSecret,
  tooManyPatterns,
  unknownConnections,
  untrustworthyIssuers,
} from './config/checks.ts';
import { maskingRule } from './config/masking.ts';
import { type Problem, problemsOf, unknownKey } from './config/problems.ts';
import { type Sections, sections } from './config/sections.ts';
import { webMismatches } from './config/web.ts';
import { parseYaml } from './config/yaml.ts';
import { GatewayError } from './errors.ts';
import { principalKey } from './operation.ts';
import { processSources, readNamed, Secret, type SecretSources } from './secrets.ts';

export type { Problem } from './config/problems.ts';
export type { Address } from './config/units.ts';

/** The keys of countersign.yaml in camel case: times in milliseconds (`…Ms`), sizes in bytes, PEM files as their text. */
export type Config = DeepReadonly<{ [K in keyof Sections]: z.output<Sections[K]> }>;
export type ConnectionConfig = Config['connections'][number];

type DeepReadonly<T> = T extends Secret ? T : T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** @throws GatewayError CONFIG listing every problem of the file, one a line. */
export function loadConfig(path: string, sources: SecretSources = processSources): Config {
  let text: string;
  try {
    text = readNamed(path, (file) => readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new GatewayError('CONFIG', `${path}: ${messageOf(cause)}`, { cause });
  }
  return parseConfig(text, { name: path, sources });
}

/** @throws GatewayError CONFIG */
export function parseConfig(text: string, options: { name?: string; sources?: SecretSources } = {}): Config {
  const result = readConfig(text, options.sources ?? processSources);
  if ('config' in result) return result.config;
  const { problems } = result;
  const lines = problems.map(({ path, message }) => `  ${path === '' ? '' : `${path}: `}${message}`);
  const title = `${options.name ?? 'countersign.yaml'}: ${problems.length} problem${problems.length === 1 ? '' : 's'}`;
  throw new GatewayError('CONFIG', [title, ...lines].join('\n'));
}

/** The whole file judged: each section by itself, so that one mistake does not hide the next, then against each other. */
export function readConfig(
  text: string,
  sources: SecretSources,
): { config: Config } | { problems: readonly Problem[] } {
  let raw: unknown;
  try {
    raw = parseYaml(text);
  } catch (error) {
    return {
      problems: messageOf(error)
        .split('\n')
        .map((message) => ({ path: '', message })),
    };
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    return { problems: [{ path: '', message: 'expected sections like listen, identity, connections' }] };
  }
  const file = raw as Record<string, unknown>;
  const schemas = sections(sources);
  const known = Object.keys(schemas);
  const problems: Problem[] = Object.keys(file)
    .filter((key) => !known.includes(key))
    .map((key) => ({ path: /^[\w-]+$/.test(key) ? key : JSON.stringify(key), message: unknownKey(key, known) }));

  const parse = <T>(key: keyof Sections, schema: z.ZodType<T>): T | undefined => {
    const value = Object.hasOwn(file, key) ? file[key] : undefined;
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    problems.push(...problemsOf(parsed.error, value, [key]));
    return undefined;
  };
  /** Item by item, so that the good ones can still be checked against each other. */
  const parseList = <T>(key: 'connections' | 'masking' | 'rules', schema: z.ZodType<T[]>, item: z.ZodType<T>) => {
    const value = Object.hasOwn(file, key) ? file[key] : undefined;
    if (!Array.isArray(value) || value.length === 0)
      return (parse(key, schema) ?? []).map((each, at) => ({ at, value: each }));
    return value.flatMap((each, at) => {
      const parsed = item.safeParse(each);
      if (parsed.success) return [{ at, value: parsed.data }];
      problems.push(...problemsOf(parsed.error, each, [key, at]));
      return [];
    });
  };

  const listen = parse('listen', schemas.listen);
  const tls = parse('tls', schemas.tls);
  const state = parse('state', schemas.state);
  const keys = parse('keys', schemas.keys);
  const audit = parse('audit', schemas.audit);
  const recordings = parse('recordings', schemas.recordings);
  const identity = parse('identity', schemas.identity);
  const approvals = parse('approvals', schemas.approvals);
  const limits = parse('limits', schemas.limits);
  const workers = parse('workers', schemas.workers);
  const web = parse('web', schemas.web);
  const connections = parseList('connections', schemas.connections, schemas.connections.element);
  const masking = parseList('masking', schemas.masking, maskingRule);
  const rules = parseList('rules', schemas.rules, schemas.rules.unwrap().element);

  problems.push(
    ...duplicates(connections, 'connections', 'name', ({ name }) => name),
    ...duplicates(rules, 'rules', 'id', ({ id }) => id),
    ...tooManyPatterns(masking),
    ...(identity ? untrustworthyIssuers(identity.issuers) : []),
    ...(identity ? namesWithoutIssuer(rules, connections, identity.issuers, masking) : []),
    // The second entry would never be read, and with it a sponsor be forgotten.
    ...(identity ? duplicates(indexed(identity.agents), 'identity.agents', 'subject', principalKey) : []),
    ...(audit ? keyBesideEvidence('audit', file.audit, audit.dir) : []),
    ...(recordings ? keyBesideEvidence('recordings', file.recordings, recordings.dir) : []),
    ...(keys ? sharedKeys(signingKey(keys.own.reveal()).public, keys.bots, keys.gateways) : []),
    ...sharedSecret(keys?.masking, [keys?.own, audit?.key]),
    ...(listen && identity
      ? webMismatches(web, { listen: listen.web, tls: tls !== undefined, issuers: identity.issuers })
      : []),
    ...(approvals ? quorums(rules, approvals.approvers) : []),
    // Names of connections that did not parse are not known: then every rule about them would be blamed too.
    ...(Array.isArray(file.connections) && connections.length === file.connections.length
      ? unknownConnections(
          rules,
          connections.map(({ value }) => value.name),
          masking,
        )
      : []),
  );
  if (problems.length > 0 || !listen || !state || !keys || !audit || !identity || !approvals || !limits || !workers)
    return { problems };
  const plain = <T>(items: ReadonlyArray<{ value: T }>) => items.map(({ value }) => value);
  return {
    config: deepFreeze({
      listen,
      tls,
      state,
      keys,
      audit,
      recordings,
      identity,
      approvals,
      limits,
      workers,
      web,
      connections: plain(connections),
      masking: plain(masking),
      rules: plain(rules),
    }),
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Secret || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}

const indexed = <T>(items: readonly T[]) => items.map((value, at) => ({ at, value }));

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
