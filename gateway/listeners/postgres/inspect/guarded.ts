/** What masking has to say of one statement: its plan, and which of its literals nobody may read. */
import type { Guard } from '../catalog/masked-columns.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import { planOf } from '../lineage/lineage.ts';
import type { StatementFacts } from '../types.ts';

type Context = { readonly snapshot: Snapshot; readonly searchPath: readonly string[]; readonly fresh: boolean };

/** The statement's plan. Where nobody could look at the target for too long, somebody is asked besides. */
export function guardedBy(guard: Guard, stmt: unknown, context: Context): StatementFacts['guarded'] {
  const plan = planOf(stmt, { ...context, ...guard });
  const { masked } = guard;
  return context.fresh ? { plan, masked } : { plan: { ...plan, holds: [...plan.holds, STALE] }, masked };
}
const STALE = 'the catalogue is stale: what is masked may have changed';

/** Byte offsets into what was parsed, as UTF-16 offsets into the statement's own text. */
export function hiddenIn(text: string, offsets: readonly number[], from: number): ReadonlySet<number> {
  if (offsets.length === 0) return NOTHING_HIDDEN;
  const bytes = Buffer.from(text);
  const plain = bytes.length === text.length;
  return new Set(
    offsets.map((at) => (plain ? at - from : bytes.subarray(0, Math.max(0, at - from)).toString().length)),
  );
}
const NOTHING_HIDDEN: ReadonlySet<number> = new Set();
