/** One session's masks: what the target sends is looked at, and rewritten, before the client gets it. */
import type { Profile } from '../../../masking/profile.ts';
import type { Masked, Plan, PredicateUse } from '../lineage/plan.ts';
import { quiet, type Treatment, treatments, untouched } from '../mask/columns.ts';
import { CopyMask } from '../mask/copy-out.ts';
import { type Scrubbed, scrub } from '../mask/errors.ts';
import { type Masker, newTally, RowMask, type Tally } from '../mask/rows.ts';
import { type Column, type FormatCode, parseRowDescription } from '../messages.ts';
import type { Inspector, StatementFacts } from '../types.ts';
import type { Frame } from '../wire.ts';

/** What applies to the session's principal now: a reload may change it between two statements. */
export type Masking = {
  readonly profile: Profile | undefined;
  readonly masker: Masker;
  /** Count so many conditions that read a value out piece by piece; false where that is more than the hour allows. */
  readonly mayAsk: (uses: number) => boolean;
  /** Values were masked on this connection. */
  readonly onMasked: (tally: Tally) => void;
};

/** Nothing is: for principals and connections that no masking rule names. */
export const UNMASKED: Masking = Object.freeze({
  profile: undefined,
  masker: Object.freeze({ mask: () => null, scanner: undefined }),
  mayAsk: () => true,
  onMasked: () => {},
});

/** What the results of one statement go through. */
export type Results = Pick<StatementFacts, 'guarded' | 'copyOut'> & {
  /** BEGIN, DEALLOCATE and their kind. */
  readonly rowless?: true;
};

export const NO_RESULTS: Results = Object.freeze({});

/** Rewrites the rows of one result. */
export type Mask = {
  rows(batch: Buffer): Buffer;
  piece(bytes: Buffer, last: boolean): Buffer | undefined;
};

/** A description, the catalogue and the settings it was true for. */
export type Description = {
  readonly columns: readonly Column[];
  readonly as: Masked | undefined;
  readonly frame: string;
};

/** How an operation's results are to be shown. */
export type Showing = {
  /** Approved to be seen as they are. */
  readonly revealed: boolean;
  readonly tally: Tally;
  /** How much of it has been counted. */
  readonly counted: Tally;
  /** How old the catalogue was that decided, ms. */
  catalogueMs?: number | undefined;
};
/** Values masked so far by why, without those of none; undefined where all passed. */
export function maskedIn({ tally, catalogueMs }: Showing): Record<string, number> | undefined {
  const some = Object.entries(tally).filter(([, count]) => count > 0);
  if (some.length === 0) return undefined;
  return { ...Object.fromEntries(some), ...(catalogueMs !== undefined && { catalogueMs }) };
}

export const showing = (revealed: boolean): Showing => ({ revealed, tally: newTally(), counted: newTally() });

type Decided = {
  readonly columns: readonly Column[];
  readonly guarded: Results['guarded'];
  readonly profile: Profile | undefined;
  readonly basis: Masked | undefined;
  readonly scanning: boolean;
  readonly treatments: readonly Treatment[];
};

export class Shield {
  readonly #masking: () => Masking;
  readonly #inspector: Pick<Inspector, 'masked' | 'replanned' | 'catalogueAgeMs'>;
  /** Something that touches masked columns ran in the transaction that is still open: its end may speak of rows, too. */
  #touched = false;
  #described: { readonly bytes: Buffer; readonly columns: readonly Column[] } | undefined;
  #decided: Decided | undefined;

  constructor(masking: () => Masking, inspector: Pick<Inspector, 'masked' | 'replanned' | 'catalogueAgeMs'>) {
    this.#masking = masking;
    this.#inspector = inspector;
  }

  get profile(): Profile | undefined {
    return this.#masking().profile;
  }

  /** Does anything apply to this session at all? */
  get active(): boolean {
    const { profile, masker } = this.#masking();
    return profile !== undefined || masker.scanner !== undefined;
  }

  /** Must its rows be described before they can be passed on? */
  describes({ guarded, copyOut, rowless }: Results): boolean {
    if (copyOut || rowless) return false;
    return this.#masking().masker.scanner !== undefined || this.#speaks(guarded);
  }

  /** The catalogue as it is now, for this principal. */
  get basis(): Masked | undefined {
    const { profile } = this.#masking();
    return profile?.hasColumns ? this.#inspector.masked(profile) : undefined;
  }

  /** What a RowDescription says. The same again is the same object: most sessions ask for few shapes of result. */
  columns(frame: Frame): readonly Column[] {
    if (this.#described?.bytes.equals(frame.bytes)) return this.#described.columns;
    const columns = parseRowDescription(frame);
    this.#described = { bytes: Buffer.from(frame.bytes), columns };
    return columns;
  }

  /** The mask for rows of this description; undefined where all pass as they are. */
  rows({ guarded }: Results, columns: readonly Column[], showing: Showing): Mask | undefined {
    const { revealed, tally } = showing;
    if (revealed) return undefined;
    showing.catalogueMs = this.#inspector.catalogueAgeMs();
    const { masker } = this.#masking();
    return RowMask.of(columns, this.#treatments(columns, guarded, masker.scanner !== undefined), masker, tally);
  }

  copy({ copyOut }: Results, { revealed, tally }: Showing): Mask | undefined {
    if (revealed || !copyOut) return undefined;
    const { masker } = this.#masking();
    const treated = (treatment: Treatment): Treatment =>
      treatment.kind === 'pass' && masker.scanner ? SCAN : treatment;
    const columns = copyOut.columns?.map((column) => ({ ...column, treatment: treated(column.treatment) }));
    const rest = treated(copyOut.rest);
    if (untouched(columns?.map(({ treatment }) => treatment) ?? [rest])) return undefined;
    return new CopyMask({ shape: copyOut.shape, columns, rest }, masker, tally);
  }

  /** Count these conditions; false where the principal has asked too often. */
  mayAsk(predicates: readonly PredicateUse[]): boolean {
    const piecemeal = predicates.filter(({ kind }) => kind === 'pattern' || kind === 'order').length;
    return piecemeal === 0 || this.#masking().mayAsk(piecemeal);
  }

  /** A result is at its end. */
  count({ tally, counted }: Showing): void {
    const more = newTally();
    for (const why of Object.keys(more) as (keyof Tally)[]) {
      more[why] = tally[why] - counted[why];
      counted[why] = tally[why];
    }
    if (Object.values(more).some((masked) => masked > 0)) this.#masking().onMasked(more);
  }

  /** It goes upstream: until its transaction is over, errors may be about its rows. */
  ran({ guarded }: Results): void {
    if (this.#speaks(guarded)) this.#touched = true;
  }

  transactionOver(): void {
    this.#touched = false;
  }

  /** An error or notice as the client may see it; undefined where it may pass whole. */
  report(frame: Frame): Scrubbed | undefined {
    return this.#touched ? scrub(frame) : undefined;
  }

  /** Decided once for the same columns of the same statement under the same catalogue. */
  #treatments(columns: readonly Column[], guarded: Results['guarded'], scanning: boolean): readonly Treatment[] {
    const { basis, profile } = this;
    const known = this.#decided;
    const same =
      known?.columns === columns && known.guarded === guarded && known.profile === profile && known.basis === basis;
    if (same && known.scanning === scanning) {
      return known.treatments;
    }
    const decided = treatments(columns, this.#current(guarded), scanning);
    this.#decided = { columns, guarded, profile, basis, scanning, treatments: decided };
    return decided;
  }

  /** May its results or errors hold masked values? Of what was judged before a rule masked anything, nobody knows. */
  #speaks(guarded: Results['guarded']): boolean {
    return guarded ? !quiet(guarded.plan) : this.profile?.hasColumns === true;
  }

  /**
   * What was decided for a catalogue that has changed since is not believed unless it comes out the same again: every
   * computed column is masked.
   */
  #current(guarded: Results['guarded']): { plan: Plan; masked: Masked } | undefined {
    const { profile } = this;
    if (profile?.hasColumns !== true) return undefined;
    const masked = this.basis ?? NOBODY_KNOWS;
    if (guarded && guarded.masked === masked) return guarded;
    const again = guarded && this.#inspector.replanned(guarded, profile);
    if (again?.masked === masked) return again;
    const plan = guarded?.plan ?? NOTHING_KNOWN;
    return { plan: { ...plan, outputs: undefined, scrub: true }, masked };
  }
}

/** Before the catalogue was read: every column that comes from anywhere is masked. */
const NOBODY_KNOWS: Masked = Object.freeze({ of: () => undefined, knows: () => false, any: true });

const SCAN: Treatment = Object.freeze({ kind: 'scan' });
const NOTHING_KNOWN: Plan = Object.freeze({
  outputs: undefined,
  touches: [],
  holds: [],
  predicates: [],
  scrub: true,
  hiddenLiterals: [],
  hiddenParameters: [],
});

/** A statement's description under the formats that its Bind asks for: none is text, one is for all. */
export function formatted(columns: readonly Column[], formats: readonly FormatCode[]): readonly Column[] {
  return columns.map((column, at) => ({ ...column, format: (formats.length === 1 ? formats[0] : formats[at]) ?? 0 }));
}
