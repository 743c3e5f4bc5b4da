/** A recording's bytes to its lines: decrypted where they are, bounded, and plain about a tail that a crash tore. */
import { GatewayError } from '../errors.ts';
import { fileKey, SEGMENT_TAG_BYTES, Segment, type WrappingKey } from './keys.ts';
import type { RecordedEvent, RecordedHead } from './shape.ts';

const MAX_LINE_BYTES = 8 << 20; // a result's limit is below a megabyte, and JSON escapes at most six-fold
const MAX_SEGMENT_BYTES = 64 << 20;

export type ReadOptions = {
  readonly keys: readonly WrappingKey[];
  /** The file ends in the middle of something: so many bytes belong to no whole line. */
  readonly onTorn?: (bytes: number) => void;
};

/**
 * Head first, then the events in order.
 * @throws GatewayError RECORDING for what is none, or was changed; the stream's own errors
 */
export async function* readRecording(
  bytes: AsyncIterable<Buffer>,
  options: ReadOptions,
): AsyncGenerator<RecordedHead | RecordedEvent> {
  let head = false;
  for await (const line of linesOf(bytes, options)) {
    const event = parsed(line);
    if (!head) {
      if (event?.kind !== 'session' || !('principal' in event)) throw corrupt('it does not begin with a session');
      head = true;
      yield event as unknown as RecordedHead;
      continue;
    }
    if (typeof event?.t !== 'number' || typeof event.kind !== 'string') throw corrupt('a line of it is no event');
    yield event as RecordedEvent;
  }
  if (!head) throw corrupt('it is empty');
}

const corrupt = (how: string) => new GatewayError('RECORDING', `the recording cannot be read: ${how}`);

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Whole lines of text, without their line feeds. */
async function* linesOf(bytes: AsyncIterable<Buffer>, { keys, onTorn }: ReadOptions): AsyncGenerator<string> {
  const source = new Source(bytes);
  const first = await source.until(0x0a, MAX_LINE_BYTES);
  if (!first) {
    if (source.left > 0) onTorn?.(source.left);
    return;
  }
  const lock = fileKey(parsed(first.toString('utf8')), keys);
  if (!lock) {
    yield first.toString('utf8');
    for (let line = await source.until(0x0a, MAX_LINE_BYTES); line; line = await source.until(0x0a, MAX_LINE_BYTES)) {
      yield line.toString('utf8');
    }
    if (source.left > 0) onTorn?.(source.left);
    return;
  }
  for (let number = 0; ; number++) {
    const text = await segmentIn(source, new Segment(lock.key, lock.session, number), onTorn);
    if (text === undefined) return;
    // Pieces are whole lines; the last one of a torn segment may not be.
    yield* text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1);
  }
}

/** One segment's text; of the last one of a gateway that died, what is there of it. Undefined at the end. */
async function segmentIn(source: Source, segment: Segment, onTorn: ReadOptions['onTorn']): Promise<string | undefined> {
  const texts: Buffer[] = [];
  let size = 0;
  for (;;) {
    const length = (await source.exactly(4))?.readUInt32BE(0);
    if (length === 0) {
      const tag = await source.exactly(SEGMENT_TAG_BYTES);
      if (tag) segment.end(tag);
      else onTorn?.(source.left + 4);
      return Buffer.concat(texts).toString('utf8');
    }
    size += length ?? 0;
    if (size > MAX_SEGMENT_BYTES) throw corrupt('a part of it is longer than any that is written');
    const piece = length === undefined ? undefined : await source.exactly(length);
    if (!piece) {
      const torn = source.left + (length === undefined ? 0 : 4);
      if (torn > 0) onTorn?.(torn);
      source.skip();
      return texts.length > 0 ? Buffer.concat(texts).toString('utf8') : undefined;
    }
    texts.push(segment.add(piece));
  }
}

/** Pulls just as much as is asked for. */
class Source {
  readonly #bytes: AsyncIterator<Buffer>;
  #held: Buffer[] = [];
  #size = 0;
  #over = false;

  constructor(bytes: AsyncIterable<Buffer>) {
    this.#bytes = bytes[Symbol.asyncIterator]();
  }

  /** What came and was not taken. */
  get left(): number {
    return this.#size;
  }

  /** What is left is of no use. */
  skip(): void {
    this.#held = [];
    this.#size = 0;
  }

  /** Undefined where fewer are left. */
  async exactly(count: number): Promise<Buffer | undefined> {
    while (this.#size < count && (await this.#more()));
    return this.#size < count ? undefined : this.#take(count);
  }

  /** What is before the next such byte, which is skipped; undefined where none comes. */
  async until(byte: number, most: number): Promise<Buffer | undefined> {
    let looked = 0;
    for (;;) {
      let before = 0;
      for (const chunk of this.#held) {
        const at = before + chunk.length <= looked ? -1 : chunk.indexOf(byte, Math.max(0, looked - before));
        if (at !== -1) {
          const line = this.#take(before + at);
          this.#take(1);
          return line;
        }
        before += chunk.length;
      }
      looked = before;
      if (looked > most) throw corrupt(`a line of it is longer than ${most} bytes`);
      if (!(await this.#more())) return undefined;
    }
  }

  async #more(): Promise<boolean> {
    if (this.#over) return false;
    const { value, done } = await this.#bytes.next();
    if (done) {
      this.#over = true;
      return false;
    }
    this.#held.push(value);
    this.#size += value.length;
    return true;
  }

  #take(count: number): Buffer {
    this.#size -= count;
    const [first] = this.#held;
    if (first && first.length > count) {
      this.#held[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const all = Buffer.concat(this.#held);
    this.#held = all.length > count ? [all.subarray(count)] : [];
    return all.subarray(0, count);
  }
}
