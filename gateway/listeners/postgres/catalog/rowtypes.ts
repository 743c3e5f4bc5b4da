/** Types whose values hold whole rows: row types of relations, and what is built of them. */
import type { Columns } from './memory.ts';
import type { LoadedRows } from './queries.ts';

/** Type → relations, by oid. A composite type of its own counts as what its attributes hold. */
export function rowsIn(
  rows: LoadedRows,
  columnsOf: ReadonlyMap<string, Columns>,
): ReadonlyMap<number, readonly number[]> {
  const relations = new Set(rows.relations.map(([oid]) => oid!));
  /** Part → types built of it. */
  const wholes = new Map<string, string[]>();
  const built = (part: string | null | undefined, whole: string): void => {
    if (!part || part === '0') return;
    const known = wholes.get(part);
    if (known) known.push(whole);
    else wholes.set(part, [whole]);
  };
  for (const [oid, subtype, , , , multirange] of rows.ranges) {
    built(subtype, oid!);
    if (multirange && multirange !== '0') built(oid, multirange);
  }
  for (const [oid, , , , base, element, relation] of rows.types) {
    built(base, oid!);
    built(element, oid!);
    // A relation is followed by its columns, when it is asked what of it is masked.
    if (relation === '0' || relations.has(relation!)) continue;
    for (const part of columnsOf.get(relation!)?.values() ?? []) built(String(part.type), oid!);
  }
  const found = new Map<number, number[]>();
  for (const [oid, , , , , , relation] of rows.types) {
    if (!relations.has(relation!)) continue;
    const reached = new Set([oid!]);
    for (const type of reached) for (const whole of wholes.get(type) ?? []) reached.add(whole);
    for (const type of reached) {
      const held = found.get(Number(type));
      if (held) held.push(Number(relation));
      else found.set(Number(type), [Number(relation)]);
    }
  }
  return found;
}
