/** What is known of a value without looking at any row: whether something masked went into it. Pure. */
import type { MaskFormat } from '../../../masking/profile.ts';
import type { Output } from './plan.ts';

/** A masked column of a relation. `name`: `public.customers.ssn`. */
export type MaskedColumn = {
  readonly relation: number;
  readonly number: number;
  readonly name: string;
  readonly format: MaskFormat;
  /** The oid of its type; 0 where that is not known. */
  readonly type: number;
};

export type Value = {
  /** `plain`: exactly the one column of `of`, as it stands. `tainted` of nothing: nobody can say what is in it. */
  readonly kind: 'clean' | 'plain' | 'tainted';
  readonly of: readonly MaskedColumn[];
  /** It differs from row to row by values that are not masked: compared with a masked one, it reads that one out. */
  readonly varies: boolean;
};

const NOTHING: readonly MaskedColumn[] = Object.freeze([]);
const made = (kind: Value['kind'], of: readonly MaskedColumn[], varies: boolean): Value =>
  Object.freeze({ kind, of, varies });

/** A constant, a parameter, and what is worked out from them alone. */
export const CONSTANT = made('clean', NOTHING, false);
/** Of rows, and nothing masked. */
export const ROW = made('clean', NOTHING, true);
/** Nobody can say what is in it. */
export const OPAQUE = made('tainted', NOTHING, true);

export const plain = (column: MaskedColumn): Value => made('plain', [column], false);
export const isMasked = (value: Value): boolean => value.kind !== 'clean';

/** Something worked out from all of these. */
export function union(values: readonly Value[]): Value {
  let kind: Value['kind'] = 'clean';
  let of = NOTHING;
  let varies = false;
  for (const value of values) {
    varies ||= value.varies;
    if (value.kind === 'clean') continue;
    kind = 'tainted';
    of = joined(of, value.of);
  }
  if (kind === 'clean') return varies ? ROW : CONSTANT;
  return made(kind, of, varies);
}

/** One of these, nobody knows which: the same plain column stays one. */
export function either(values: readonly Value[]): Value {
  const [first] = values;
  if (!first) return CONSTANT;
  return values.every((value) => sameValue(value, first)) ? first : union(values);
}

/** The same, of rows: what is clean differs between them. What is masked does so by itself, which reads nothing out. */
export const varying = (value: Value): Value => (value.kind === 'clean' ? ROW : value);

/** Anything made of it, but not itself. */
export function computed(value: Value): Value {
  return value.kind === 'plain' ? made('tainted', value.of, value.varies) : value;
}

/**
 * A name nobody knows: PostgreSQL will most likely refuse it. Masked as all that is in sight; in a condition it counts
 * as one question, so that nobody is asked about a misspelt column.
 */
export const guessed = (value: Value): Value =>
  value.kind === 'clean' ? value : made('tainted', value.of.slice(0, 1), false);

export function sameValue(one: Value, other: Value): boolean {
  return (
    one === other ||
    (one.kind === other.kind &&
      one.varies === other.varies &&
      one.of.length === other.of.length &&
      one.of.every((column) => other.of.some((same) => isSame(column, same))))
  );
}

export const isSame = (one: MaskedColumn, other: MaskedColumn): boolean =>
  one === other || (one.relation === other.relation && one.number === other.number);

export function outputOf(value: Value): Output {
  if (value.kind === 'clean') return CLEAN;
  const [column] = value.of;
  if (value.kind !== 'plain' || !column) return TAINTED;
  return { kind: 'plain', format: column.format, column: column.name, type: column.type };
}
const CLEAN: Output = Object.freeze({ kind: 'clean' });
const TAINTED: Output = Object.freeze({ kind: 'tainted' });

function joined(one: readonly MaskedColumn[], other: readonly MaskedColumn[]): readonly MaskedColumn[] {
  if (one.length === 0) return other;
  const more = other.filter((column) => !one.some((known) => isSame(known, column)));
  return more.length === 0 ? one : [...one, ...more];
}
