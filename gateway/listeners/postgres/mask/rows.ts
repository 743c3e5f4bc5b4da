/** DataRows rewritten column by column: what needs nothing leaves as the bytes it came in. Bounded; knows no session. */
import { GatewayError } from '../../../errors.ts';
import type { MaskFormat } from '../../../masking/profile.ts';
import { dataRow } from '../builders.ts';
import type { Column } from '../messages.ts';
import { type Treatment, untouched, type Why } from './columns.ts';
import { Growing } from './growing.ts';

/** Formats and detectors, as the masking room makes them. */
export type Masker = {
  /** The mask of one value, fit for its type; null is NULL. */
  mask(format: MaskFormat, typeOid: number, wire: 'text' | 'binary', value: Buffer): Buffer | null;
  /** Undefined where no detector is on. */
  readonly scanner: Scanner | undefined;
};

export type Scanner = {
  /** One pass over the bytes: false means that no detector can find anything in them. */
  suspicious(bytes: Buffer, from: number, to: number): boolean;
  /** The text with what was found masked; undefined when nothing was. */
  scan(text: string): { readonly text: string; readonly hits: Readonly<Record<string, number>> } | undefined;
};

/** What was done to the results of one operation. */
export type Tally = Record<Why | 'detector', number>;
export const newTally = (): Tally => ({ origin: 0, taint: 0, unknown: 0, detector: 0 });

const MAX_ROW_BYTES = 16 << 20; // what is rewritten is collected whole; a longer row is masked whole
const HEADER = 7; // type, length, number of columns
const NULL_LENGTH = 0xffff_ffff;
const TEXTS: ReadonlySet<number> = new Set([18, 19, 25, 142, 705, 1042, 1043]);
const JSONS: ReadonlySet<number> = new Set([114, 3802]);
const JSONB = 3802;

export class RowMask {
  readonly #columns: readonly Column[];
  readonly #treatments: readonly Treatment[];
  readonly #masker: Masker;
  readonly #tally: Tally;
  /** Nothing is masked by column: whole batches without anything suspicious pass as they are. */
  readonly #onlyScans: boolean;
  /** The pieces of a row longer than one read of the socket. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;

  /** Undefined where every column passes as it is. */
  static of(
    columns: readonly Column[],
    treatments: readonly Treatment[],
    masker: Masker,
    tally: Tally,
  ): RowMask | undefined {
    return untouched(treatments) ? undefined : new RowMask(columns, treatments, masker, tally);
  }

  private constructor(columns: readonly Column[], treatments: readonly Treatment[], masker: Masker, tally: Tally) {
    this.#columns = columns;
    this.#treatments = treatments;
    this.#masker = masker;
    this.#tally = tally;
    this.#onlyScans = treatments.every(({ kind }) => kind !== 'mask');
  }

  /**
   * Whole DataRows, one behind the other, as they may leave.
   * @throws GatewayError PROTOCOL when they are not what their description promised
   */
  rows(batch: Buffer): Buffer {
    if (this.#onlyScans && !this.#masker.scanner?.suspicious(batch, 0, batch.length)) return batch;
    const out = new Growing(batch);
    for (let at = 0; at < batch.length; ) at = this.#row(batch, at, out);
    return out.take();
  }

  /** A piece of a row too long for one read; the whole row when `last` came, until then undefined. */
  piece(bytes: Buffer, last: boolean): Buffer | undefined {
    this.#pieceBytes += bytes.length;
    if (this.#pieceBytes <= MAX_ROW_BYTES) this.#pieces.push(bytes);
    else if (this.#pieces.length > 0) this.#pieces = [];
    if (!last) return undefined;
    const whole = this.#pieceBytes <= MAX_ROW_BYTES;
    const row = whole ? this.rows(Buffer.concat(this.#pieces, this.#pieceBytes)) : this.#allMasked();
    this.#pieces = [];
    this.#pieceBytes = 0;
    return row;
  }

  #allMasked(): Buffer {
    this.#tally.unknown += this.#columns.length;
    return dataRow(this.#columns.map(({ typeOid }) => (TEXTS.has(typeOid) ? MASK : null)));
  }

  /** Returns where the next row begins. */
  #row(batch: Buffer, from: number, out: Growing): number {
    if (batch[from] !== 0x44 || batch.length - from < HEADER) throw malformed();
    const end = from + 1 + batch.readUInt32BE(from + 1);
    const count = batch.readUInt16BE(from + 5);
    if (end > batch.length || count !== this.#columns.length) throw malformed();
    out.beginRow(from);
    let at = from + HEADER;
    for (let i = 0; i < count; i++) {
      if (end - at < 4) throw malformed();
      const length = batch.readUInt32BE(at);
      at += 4;
      if (length === NULL_LENGTH) continue;
      const to = at + length;
      if (to > end) throw malformed();
      const treatment = this.#treatments[i]!;
      if (treatment.kind === 'mask') {
        const { typeOid, format } = this.#columns[i]!;
        const value = this.#masker.mask(
          treatment.format,
          typeOid,
          format === 0 ? 'text' : 'binary',
          batch.subarray(at, to),
        );
        this.#tally[treatment.why]++;
        out.replace(at - 4, to, value);
      } else if (treatment.kind === 'scan') {
        const found = this.#scan(batch, at, to, this.#columns[i]!);
        if (found !== undefined) {
          this.#tally.detector++;
          out.replace(at - 4, to, found);
        }
      }
      at = to;
    }
    if (at !== end) throw malformed();
    out.endRow(end);
    return end;
  }

  /** The value without what detectors found in it; undefined when they found nothing. */
  #scan(batch: Buffer, from: number, to: number, { typeOid, format }: Column): Buffer | null | undefined {
    const { scanner } = this.#masker;
    if (!scanner?.suspicious(batch, from, to)) return undefined;
    const skip = format === 1 && typeOid === JSONB ? 1 : 0; // a version byte
    const found = scanner.scan(batch.toString('utf8', from + skip, to));
    if (!found) return undefined;
    if (JSONS.has(typeOid)) {
      const text = Buffer.from(stillJson(found.text) ? found.text : JSON.stringify('•••'));
      return skip === 0 ? text : Buffer.concat([batch.subarray(from, from + 1), text]);
    }
    if (format === 0 || TEXTS.has(typeOid)) return Buffer.from(found.text);
    return null; // a binary container: its parts have lengths of their own
  }
}

const MASK = Buffer.from('•••');

/** A number in a document becomes a mask that is none. */
function stillJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const malformed = (): GatewayError => new GatewayError('PROTOCOL', 'a row is not what its description promised');
