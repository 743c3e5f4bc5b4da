/** What a statement would let through, for a principal with masked columns: the contract of the lineage room. Types only. */
import type { MaskFormat } from '../../../masking/profile.ts';

/** Which columns of the target are masked, and how: of one snapshot and one profile. */
export type Masked = {
  /** A relation (by oid) that has masked columns: column number → how. Undefined: it has none. */
  of(oid: number): ReadonlyMap<number, MaskFormat> | undefined;
  /** False: nobody has seen a relation of this oid; what comes from it is masked. Oids below 16384 are the server's own. */
  knows(oid: number): boolean;
  /** Is any column masked at all? */
  readonly any: boolean;
};

/** One output column: nothing masked went into it; it is a masked column as it stands; or something masked, or unknown, went in. */
export type Output =
  | { readonly kind: 'clean' }
  | { readonly kind: 'plain'; readonly format: MaskFormat; readonly column: string; readonly type: number }
  | { readonly kind: 'tainted' };

/**
 * A masked column in a condition. `equality`: compared whole with constants or another masked column, IN a list,
 * IS NULL, counted, grouped by. `order`: sorted by. `pattern`: anything else against constants (LIKE, <, substr(…) = …).
 * `relational`: against values of rows that are not masked; lets one read the value off the other side, always held.
 */
export type PredicateUse = {
  /** `public.customers.ssn` */
  readonly column: string;
  readonly kind: 'equality' | 'order' | 'pattern' | 'relational';
};

export type Plan = {
  /** By position; undefined where they cannot be told: then every column without an origin is masked. */
  readonly outputs: readonly Output[] | undefined;
  /** Masked relations the statement reads, writes or may show a row of: `public.customers`. Empty: nothing to mask but content. */
  readonly touches: readonly string[];
  /** Why somebody must be asked before it runs, in plain words; empty for most. */
  readonly holds: readonly string[];
  readonly predicates: readonly PredicateUse[];
  /** Errors and notices of it may carry values. */
  readonly scrub: boolean;
  /** Where constants stand that are compared with or assigned to masked columns: byte offsets into the parsed text. */
  readonly hiddenLiterals: readonly number[];
  /** Numbers (`$1` is 1) of parameters used so. */
  readonly hiddenParameters: readonly number[];
};
