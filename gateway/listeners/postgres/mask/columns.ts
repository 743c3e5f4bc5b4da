/** What is done to each column of a result: decided by the server's own description, the plan and the catalogue. Pure. */
import type { MaskFormat } from '../../../masking/profile.ts';
import type { Masked, Plan } from '../lineage/plan.ts';
import type { Column } from '../messages.ts';

/** Why a column is masked: it is a masked column; something masked went into it; nobody knows where it comes from. */
export type Why = 'origin' | 'taint' | 'unknown';

export type Treatment =
  | { readonly kind: 'pass' }
  | { readonly kind: 'scan' }
  | { readonly kind: 'mask'; readonly format: MaskFormat; readonly why: Why };

const PASS: Treatment = Object.freeze({ kind: 'pass' });
const SCAN: Treatment = Object.freeze({ kind: 'scan' });
const REDACT: MaskFormat = Object.freeze({ kind: 'redact' });

/**
 * Types whose values no detector looks at: numbers, times, booleans, bits, addresses, identifiers, binary strings.
 * Everything else may hold text: json, xml, arrays, rows, enums, domains, extensions' types.
 */
const NO_TEXT: ReadonlySet<number> = new Set([
  16, 17, 18, 20, 21, 22, 23, 24, 26, 27, 28, 29, 30, 700, 701, 790, 829, 869, 650, 774, 1082, 1083, 1114, 1184, 1186,
  1266, 1560, 1562, 1700, 2202, 2203, 2205, 2206, 2278, 2950, 2970, 3220, 5069, 600, 601, 602, 603, 604, 628, 718, 1000,
  1005, 1007, 1016, 1021, 1022, 1115, 1182, 1183, 1185, 1187, 1231, 2951,
]);

/** A principal without masked columns has no plan; `scanning` says whether any detector is on. */
export function treatments(
  columns: readonly Column[],
  guarded: { readonly plan: Plan; readonly masked: Masked } | undefined,
  scanning: boolean,
): readonly Treatment[] {
  const aligned = guarded?.plan.outputs?.length === columns.length ? guarded.plan.outputs : undefined;
  return columns.map((column, at) => {
    const mask = guarded && maskOf(column, guarded.masked, guarded.plan, aligned?.[at]);
    if (mask) return mask;
    return scanning && !NO_TEXT.has(column.typeOid) ? SCAN : PASS;
  });
}

function maskOf(
  { tableOid, column }: Column,
  masked: Masked,
  plan: Plan,
  output: NonNullable<Plan['outputs']>[number] | undefined,
): Treatment | undefined {
  if (tableOid !== 0) {
    if (!masked.knows(tableOid)) return { kind: 'mask', format: REDACT, why: 'unknown' };
    const found = masked.of(tableOid);
    if (!found) return undefined;
    const format = column === 0 ? REDACT : found.get(column); // 0: the whole row
    return format && { kind: 'mask', format, why: 'origin' };
  }
  if (output?.kind === 'clean') return undefined;
  if (output) {
    const format = output.kind === 'plain' ? output.format : REDACT;
    return { kind: 'mask', format, why: 'taint' };
  }
  // Nobody could tell what is in it: only a statement that touches nothing masked may show it.
  const harmless = plan.outputs === undefined && !plan.scrub && plan.touches.length === 0;
  return harmless ? undefined : { kind: 'mask', format: REDACT, why: 'taint' };
}

/** Does nothing of the result have to be looked at? */
export const untouched = (all: readonly Treatment[]): boolean => all.every(({ kind }) => kind === 'pass');

/** A statement from which nothing masked can come: its rows need no description, its errors no scrubbing. */
export const quiet = (plan: Plan | undefined): boolean =>
  plan === undefined ||
  (plan.touches.length === 0 && !plan.scrub && (plan.outputs?.every(({ kind }) => kind === 'clean') ?? true));
