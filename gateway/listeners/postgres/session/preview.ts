/** The first rows of a result, for the people who are asked about the rest of it: what its client got, cut. Pure. */

const MAX_ROWS = 3;
const MAX_COLUMNS = 10;
const MAX_VALUE_BYTES = 1_024; // more than is ever shown, so that what is cut off a number is not taken for one
const DATA_ROW = 0x44;
const HEADER_BYTES = 5;
/** Neither text that a person could read nor line breaks: a value in binary format. */
const BINARY = /[^\P{Cc}\t\n\r]|\ufffd/u;

/** Nearly every result ends without a question: rows are only remembered, and read when somebody is asked. */
export class Preview {
  readonly #seen: Buffer[] = [];

  /** Whole DataRow or CopyData messages on their way to the client; of the last one only the beginning need be there. */
  see(bytes: Buffer): void {
    for (let at = 0; at + HEADER_BYTES <= bytes.length && this.#seen.length < MAX_ROWS; ) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      this.#seen.push(bytes.subarray(at, end));
      at = end;
    }
  }

  get rows(): string[][] {
    return this.#seen.map((row) => {
      const body = row.subarray(HEADER_BYTES);
      return row[0] === DATA_ROW ? columns(body) : line(body);
    });
  }
}

function columns(body: Buffer): string[] {
  if (body.length < 2) return [];
  const values: string[] = [];
  let at = 2;
  for (let left = Math.min(body.readUInt16BE(0), MAX_COLUMNS); left > 0 && at + 4 <= body.length; left--) {
    const length = body.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? 'NULL' : shown(body.subarray(at, at + length), length));
    at += Math.max(0, length);
  }
  return values;
}

/** One line of COPY, in its text format or as CSV. */
function line(body: Buffer): string[] {
  const text = shown(body, body.length).replace(/\r?\n$/, '');
  return text.split(text.includes('\t') ? '\t' : ',', MAX_COLUMNS);
}

function shown(value: Buffer, length: number): string {
  // As a stream: a character cut in half at the end is left out.
  const text = new TextDecoder().decode(value.subarray(0, MAX_VALUE_BYTES), { stream: true });
  return BINARY.test(text) ? `(${length.toLocaleString('en-US')} bytes)` : text;
}
