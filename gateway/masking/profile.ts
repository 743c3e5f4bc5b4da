/** What is masked for whom: the masking rules of a connection that apply to one principal. Types only. */
import type { DetectorName } from './detectors.ts';

/**
 * `redact`: `•••`, shape gone. `last4`: all but the last four letters or digits (`•••-••-1120`, `**** **** **** 1111`).
 * `partial`: shape kept (`j•••@•••.com`). `hash`: keyed, equal values stay equal. `null`. `fixed`: one text for all.
 */
export type MaskFormat =
  | { readonly kind: 'redact' | 'last4' | 'partial' | 'hash' | 'null' }
  | { readonly kind: 'fixed'; readonly text: string };

/** Which columns: each part a name as the catalogue has it, `*` standing for any run of characters. */
export type ColumnPattern = { readonly schema: string; readonly table: string; readonly column: string };

/** What is looked for in values that no column rule names, and how each find is masked. */
export type Detection = {
  readonly detectors: readonly { readonly name: DetectorName; readonly as: MaskFormat }[];
  /** An admin's own, linear by construction (re2js). */
  readonly patterns: readonly { readonly name: string; readonly source: string; readonly as: MaskFormat }[];
};

/** Of one connection and one set of rules: principals with the same rules share one object. */
export type Profile = {
  /** The same text means the same profile: part of cache keys and digests. */
  readonly id: string;
  /** How a column is masked by name; undefined: it is not. The first rule of the file that names it decides. */
  maskOf(schema: string, table: string, column: string): MaskFormat | undefined;
  readonly hasColumns: boolean;
  readonly detection: Detection | undefined;
  /** What conditions on masked columns may do. */
  readonly predicates: 'audit' | 'equality-only' | 'hold';
};
