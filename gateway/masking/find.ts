/** What a detector found. Knows no patterns. */

/** A stretch of the normalised text, end exclusive, and what is shown in its place. */
export type Find = { readonly start: number; readonly end: number; readonly mask: string };
