/** Medians, percentiles and what they look like in a table. */

/** Of several rounds. */
export type Spread = { readonly median: number; readonly min: number; readonly max: number };

/** @throws Error for no figures: a part that measured nothing must not look like one that did. */
export function spread(figures: readonly number[]): Spread {
  const sorted = ascending(figures);
  const [min] = sorted;
  const max = sorted.at(-1);
  const median = sorted[Math.floor(sorted.length / 2)];
  if (min === undefined || max === undefined || median === undefined) throw new Error('nothing was measured');
  return { median, min, max };
}

/** @param share 0.5 is the median, 0.99 what one in a hundred exceeds. */
export function percentile(figures: readonly number[], share: number): number {
  const sorted = ascending(figures);
  const found = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (found === undefined) throw new Error('nothing was measured');
  return found;
}

const ascending = (figures: readonly number[]): Float64Array => Float64Array.from(figures).sort();

/** `12,345`; two places where it is small. */
export const shown = (figure: number): string =>
  Math.abs(figure) >= 100 ? Math.round(figure).toLocaleString('en-US') : figure.toFixed(Math.abs(figure) >= 10 ? 1 : 2);

/** `0.81 (0.78 to 0.84)` */
export const shownSpread = ({ median, min, max }: Spread): string =>
  `${shown(median)} (${shown(min)} to ${shown(max)})`;
