/** A batch of messages being rewritten: unchanged stretches are copied once, and not at all while nothing changed. */

const SLACK = 256; // bytes: a mask or two more than what they replace

export class Growing {
  readonly #source: Buffer;
  /** Undefined while everything is as it was. */
  #out: Buffer | undefined;
  #length = 0;
  /** Up to where the source has been taken over. */
  #taken = 0;
  #rowFrom = 0;
  /** Where the row's length field stands in the output; -1 while the row is unchanged. */
  #rowAt = -1;

  constructor(source: Buffer) {
    this.#source = source;
  }

  /** A message starts at `from` of the source: a type byte, then its length. */
  beginRow(from: number): void {
    this.#rowFrom = from;
    this.#rowAt = -1;
  }

  /** In place of a cell (its length field at `from`, its value up to `to`) another value; null is NULL. */
  replace(from: number, to: number, value: Buffer | null): void {
    if (this.#rowAt === -1) {
      this.#copyTo(this.#rowFrom);
      this.#rowAt = this.#length + 1;
    }
    this.#copyTo(from);
    const length = value?.length ?? 0;
    const out = this.#room(4 + length);
    out.writeInt32BE(value === null ? -1 : length, this.#length);
    if (value !== null) value.copy(out, this.#length + 4);
    this.#length += 4 + length;
    this.#taken = to;
  }

  endRow(end: number): void {
    if (this.#rowAt === -1) return;
    this.#copyTo(end);
    this.#out?.writeUInt32BE(this.#length - this.#rowAt, this.#rowAt);
  }

  /** All of it, as it is now; the source itself where nothing was replaced. */
  take(): Buffer {
    if (!this.#out) return this.#source;
    this.#copyTo(this.#source.length);
    return this.#out.subarray(0, this.#length);
  }

  #copyTo(to: number): void {
    if (to <= this.#taken) return;
    const out = this.#room(to - this.#taken);
    this.#source.copy(out, this.#length, this.#taken, to);
    this.#length += to - this.#taken;
    this.#taken = to;
  }

  #room(bytes: number): Buffer {
    const needed = this.#length + bytes;
    if (!this.#out) this.#out = Buffer.allocUnsafeSlow(Math.max(needed, this.#source.length) + SLACK);
    else if (needed > this.#out.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed + SLACK, this.#out.length * 2));
      this.#out.copy(grown, 0, 0, this.#length);
      this.#out = grown;
    }
    return this.#out;
  }
}
