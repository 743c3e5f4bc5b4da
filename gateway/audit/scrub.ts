/** The last look at an entry before it is written: every text passes the detectors, lengths are bounded. Pure. */
import { maskText } from '../masking/detectors.ts';
import type { AuditEntry } from './entry.ts';

/** Names of people, things and hashes: evidence would be worthless without them, and none is free text. */
const IDENTIFIERS = new Set([
  'kind',
  'session',
  'operation',
  'hold',
  'principal',
  'issuer',
  'subject',
  'connection',
  'sponsor',
  'slack',
  'voter',
  'user',
  'team',
  'digest',
  'chain',
  'file',
  'sha256',
  'lastHash',
  'signature',
  'key',
  'policy',
]);
const IDENTIFIER = /^[^\s'"]{0,512}$/u;
/** Even under an identifier's name, these are never identifiers. */
const CREDENTIAL = /cst_[A-Za-z0-9_-]{20}|ed25519-secret:|eyJ[A-Za-z0-9_-]{10,}\./;
const MAX_STRING = 256 * 1024; // characters; five times the longest statement that can be approved
const MAX_DEPTH = 8;
const MAX_MEMBERS = 2_000;

/** The same verdicts, headlines and statements come again and again. */
const seen = new Map<string, string>();
const MAX_SEEN = 1_000;
const MAX_SEEN_LENGTH = 2_048; // so that all of it stays below 4 MB

function masked(text: string): string {
  if (text.length > MAX_SEEN_LENGTH) return maskText(text).text;
  const known = seen.get(text);
  if (known !== undefined) return known;
  const result = maskText(text).text;
  if (seen.size >= MAX_SEEN) seen.clear();
  seen.set(text, result);
  return result;
}

export function scrub(entry: AuditEntry): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(entry)) clean[name] = scrubValue(name, value, 0);
  return clean;
}

function scrubValue(name: string, value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      if (IDENTIFIERS.has(name) && IDENTIFIER.test(value) && !CREDENTIAL.test(value)) return value;
      return masked(value.length > MAX_STRING ? `${value.slice(0, MAX_STRING)}… (cut)` : value);
    case 'bigint':
      return value.toString();
    case 'object':
      if (value === null) return null;
      if (depth >= MAX_DEPTH) return '… (too deep)';
      if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map((item) => scrubValue(name, item, depth + 1));
      if (value instanceof Date) return value.toJSON();
      return Object.fromEntries(
        Object.entries(value)
          .slice(0, MAX_MEMBERS)
          .map(([key, item]) => [masked(key), scrubValue(key, item, depth + 1)]),
      );
    default:
      return value;
  }
}
