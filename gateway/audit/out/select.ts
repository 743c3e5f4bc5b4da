/** Which entries of a trail somebody wants: by time, by kind, by whom and where. Pure. */
import type { Line } from '../chain.ts';
import { AUDIT_KINDS } from '../entry.ts';

export type Selection = {
  /** Epoch ms, `until` excluded; left out: all there is. */
  readonly since?: number;
  readonly until?: number;
  readonly connection?: string;
  /** `issuer#subject`, or the subject alone. */
  readonly principal?: string;
  /** As `kindsOf` answers them. */
  readonly kinds?: ReadonlySet<string>;
};

export function selects({ since, until, connection, principal, kinds }: Selection, { at, entry }: Line): boolean {
  const time = Date.parse(at);
  if (since !== undefined && time < since) return false;
  if (until !== undefined && time >= until) return false;
  if (kinds && !kinds.has(String(entry.kind))) return false;
  if (connection !== undefined && entry.connection !== connection) return false;
  if (principal === undefined) return true;
  const key = typeof entry.principal === 'string' ? entry.principal : '';
  return key === principal || (key !== '' && key.slice(key.indexOf('#') + 1) === principal);
}

const SPAN = /^(\d{1,6})([smhdw])$/;
const SPAN_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
const ISO = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?$/;

/** `24h`, `7d` (ago), or an ISO 8601 date or time, UTC where it names no zone; epoch ms. Undefined for anything else. */
export function timeOf(text: string, now: number): number | undefined {
  const [, count, unit] = SPAN.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * SPAN_MS[unit as keyof typeof SPAN_MS];
  if (!ISO.test(text)) return undefined;
  const zoned = text.length === 10 || /(?:Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`;
  const at = Date.parse(zoned);
  return Number.isNaN(at) ? undefined : at;
}

/** `operation`, `hold.*`: the kinds they stand for. Undefined where one stands for none: a slip must not select nothing. */
export function kindsOf(patterns: readonly string[]): ReadonlySet<string> | undefined {
  const kinds = new Set<string>();
  for (const pattern of patterns) {
    const prefix = pattern.endsWith('.*') ? pattern.slice(0, -1) : undefined;
    const found = AUDIT_KINDS.filter((kind) => (prefix === undefined ? kind === pattern : kind.startsWith(prefix)));
    if (found.length === 0) return undefined;
    for (const kind of found) kinds.add(kind);
  }
  return kinds;
}
