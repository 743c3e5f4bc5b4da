/** Lines of many recordings on their way to the thread that writes them: bytes in one stretch of memory, handed over whole. */

const LEAST_BYTES = 64 << 10;
const LEAST_INDEX = 256;
const SPARE_BYTES = 64; // of a line, beside its members
const MAX_UTF8 = 3; // bytes a UTF-16 unit

export type Lines = {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whose they are, one after the other: slot, bytes, slot, bytes. */
  readonly index: Uint32Array<ArrayBuffer>;
};

export class Sheet {
  #bytes = Buffer.allocUnsafeSlow(LEAST_BYTES);
  #end = 0;
  #index = new Uint32Array(LEAST_INDEX);
  #entries = 0;

  get empty(): boolean {
    return this.#end === 0;
  }

  /** One line of the recording in that slot; answers how long it is, bytes. `members`: of its JSON object, without braces. */
  add(slot: number, t: number, members: string | Uint8Array): number {
    const text = typeof members === 'string';
    this.#makeRoom(SPARE_BYTES + (text ? MAX_UTF8 * members.length : members.length));
    const bytes = this.#bytes;
    const from = this.#end;
    let at = from + bytes.write(`{"t":${t},`, from, 'latin1');
    if (text) at += bytes.write(members, at, 'utf8');
    else {
      bytes.set(members, at);
      at += members.length;
    }
    bytes[at++] = 0x7d; // }
    bytes[at++] = 0x0a;
    this.#end = at;
    this.#note(slot, at - from);
    return at - from;
  }

  /** All that lies here: it begins anew. */
  take(): Lines {
    const taken = { bytes: this.#bytes.subarray(0, this.#end), index: this.#index.subarray(0, this.#entries) };
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, 2 * this.#end));
    this.#end = 0;
    this.#index = new Uint32Array(Math.max(LEAST_INDEX, 2 * this.#entries));
    this.#entries = 0;
    return taken;
  }

  #note(slot: number, length: number): void {
    const last = this.#entries - 2;
    if (last >= 0 && this.#index[last] === slot) {
      this.#index[last + 1]! += length;
      return;
    }
    if (this.#entries + 2 > this.#index.length) {
      const larger = new Uint32Array(2 * this.#index.length);
      larger.set(this.#index);
      this.#index = larger;
    }
    this.#index[this.#entries++] = slot;
    this.#index[this.#entries++] = length;
  }

  #makeRoom(most: number): void {
    if (this.#bytes.length - this.#end >= most) return;
    const larger = Buffer.allocUnsafeSlow(2 * this.#bytes.length + most);
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

/** Of one recording alone. */
export function textOf(slot: number, { bytes, index }: Lines): string {
  let text = '';
  for (let at = 0, n = 0; n < index.length; at += index[n + 1]!, n += 2) {
    if (index[n] === slot) text += Buffer.from(bytes.buffer, bytes.byteOffset + at, index[n + 1]).toString('utf8');
  }
  return text;
}
