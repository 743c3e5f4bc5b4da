/** A piece of ordinary work. */
export type Ordinary = {
  readonly id: string;
  /** Statements in order; the answers to all of them are compared with those of the target itself. */
  readonly sql: readonly string[];
  readonly params?: readonly (string | null)[];
  readonly protocol?: 'simple' | 'extended' | 'binary';
  /** Columns, by label, that come back masked; all others have to be the same. */
  readonly masked?: readonly string[];
  /** Copied in when the server asks. */
  readonly copy?: string;
  /** Rows may come in any order. */
  readonly unordered?: true;
};

type Row = readonly [id: string, sql: string | readonly string[], ...masked: string[]];

/** `[id, statement or statements, masked column, …]` */
export const work = (rows: readonly Row[], rest: Partial<Ordinary> = {}): readonly Ordinary[] =>
  rows.map(([id, sql, ...masked]) => ({ id, sql: typeof sql === 'string' ? [sql] : sql, masked, ...rest }));
