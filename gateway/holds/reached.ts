/** What a hold's operation would touch, asked of its target once, whoever wants to know. */
import type { Reach } from '../operation.ts';
import type { Hold } from './hold.ts';

const asked = new WeakMap<Hold, Promise<Reach>>();

/** Undefined where nobody can say. Never rejects. */
export function reachedBy(hold: Hold): Promise<Reach> | undefined {
  const { operation, context } = hold;
  let reach = asked.get(hold);
  if (!reach) {
    reach = context.reach?.(operation, () => hold.phase.kind === 'open');
    if (reach) asked.set(hold, reach);
  }
  return reach;
}
