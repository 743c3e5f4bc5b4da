/** How much COPY data an approval covers: rows and bytes are counted as they pass, never kept. */
import type { Caps } from './operation.ts';

const HEADER_BYTES = 5;
const NEWLINE = 10;

export class CopyMeter {
  readonly #caps: Caps | undefined;
  readonly #countRows: boolean;
  #rows = 0;
  #bytes = 0;

  /** Without caps everything passes. Binary data has no lines: its bytes are limited, its rows are not counted. */
  constructor(caps: Caps | undefined, binary: boolean) {
    this.#caps = caps;
    this.#countRows = !binary;
  }

  /**
   * Count one CopyData frame or piece of one. Says why it must not pass, or undefined. A frame's declared length
   * counts with its first piece, so that no frame is broken off for its bytes half way.
   */
  count(bytes: Buffer, first: boolean): string | undefined {
    if (!this.#caps) return undefined;
    if (first) this.#bytes += bytes.readUInt32BE(1) - 4;
    if (this.#countRows) {
      for (let at = bytes.indexOf(NEWLINE, first ? HEADER_BYTES : 0); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) {
        this.#rows++;
      }
    }
    if (this.#bytes > this.#caps.bytes) return `more than the ${this.#caps.bytes} bytes that were approved`;
    if (this.#rows > this.#caps.rows) return `more than the ${this.#caps.rows} rows that were approved`;
    return undefined;
  }
}
