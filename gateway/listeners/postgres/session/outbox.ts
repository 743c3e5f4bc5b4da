/** Bytes on their way to one socket: adjacent slices of one chunk leave as one write of the original memory. */
import type { Duplex } from 'node:stream';

/** Sees all that leaves. */
export type Tap = {
  given(bytes: Buffer): void;
  /** It cannot take more for now: `again` is called once when it can. */
  full(again: () => void): boolean;
};

export class Outbox {
  readonly #socket: Duplex;
  readonly #tap: Tap | undefined;
  readonly #runs: Buffer[] = [];
  #memory: ArrayBufferLike | undefined;
  #start = 0;
  #end = 0;

  constructor(socket: Duplex, tap?: Tap) {
    this.#socket = socket;
    this.#tap = tap;
  }

  add(bytes: Buffer): void {
    this.#tap?.given(bytes);
    if (this.#memory === bytes.buffer && this.#end === bytes.byteOffset) {
      this.#end += bytes.length;
      return;
    }
    this.#closeRun();
    this.#memory = bytes.buffer;
    this.#start = bytes.byteOffset;
    this.#end = bytes.byteOffset + bytes.length;
  }

  /** Write what was added. False when the socket wants its `drain` awaited before more. */
  flush(): boolean {
    this.#closeRun();
    const { length } = this.#runs;
    if (length === 0 || !this.#socket.writable) {
      this.#runs.length = 0;
      return true;
    }
    let more = true;
    if (length > 1) this.#socket.cork();
    for (const run of this.#runs) more = this.#socket.write(run);
    if (length > 1) this.#socket.uncork();
    this.#runs.length = 0;
    return more;
  }

  /** Whoever looks on needs time: `again` is called once. */
  full(again: () => void): boolean {
    return this.#tap?.full(again) ?? false;
  }

  /** Bytes the socket has taken but not sent. */
  get unsent(): number {
    return this.#socket.writableLength;
  }

  #closeRun(): void {
    if (this.#memory === undefined) return;
    this.#runs.push(Buffer.from(this.#memory as ArrayBuffer, this.#start, this.#end - this.#start));
    this.#memory = undefined;
  }
}
