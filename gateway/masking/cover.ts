/** Finds in a normalised text to masks in the original. Knows no patterns. */
import type { Find } from './find.ts';
import type { Normalised } from './normalise.ts';

export type Named<N extends string = string> = Find & { readonly name: N };

/**
 * The text with everything found replaced, and hits by name. Where finds overlap, the widest decides the mask and is the
 * one that counts; the union of both is covered.
 */
export function covered<N extends string>(
  text: string,
  plain: Normalised,
  found: Named<N>[],
  shownFor: (widest: Named<N>, value: string) => string,
): { text: string; hits: Record<string, number> } {
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  const hits: Record<string, number> = {};
  const parts: string[] = [];
  let copied = 0;
  for (let i = 0; i < found.length; ) {
    let widest = found[i] as Named<N>;
    let end = widest.end;
    const from = widest.start;
    for (i++; i < found.length && (found[i] as Find).start < end; i++) {
      const other = found[i] as Named<N>;
      if (other.end - other.start > widest.end - widest.start) widest = other;
      end = Math.max(end, other.end);
    }
    hits[widest.name] = (hits[widest.name] ?? 0) + 1;
    const [start, stop] = plain.original(from, end);
    parts.push(text.slice(copied, start), shownFor(widest, plain.text.slice(widest.start, widest.end)));
    copied = stop;
  }
  parts.push(text.slice(copied));
  return { text: parts.join(''), hits };
}
