/** PostgreSQL wire: bytes to frames and back. Knows no policy. (protocol 3.0 and 3.2, "Message Formats") */
import { GatewayError } from '../../errors.ts';

/** One message, or one piece of a message too large to hold whole. `bytes` are raw, header included in the first piece. */
export type Frame = {
  /** ASCII code of the type byte. */
  readonly type: number;
  readonly bytes: Buffer;
  /** Whole messages have both; a large CopyData or DataRow comes as first … last. */
  readonly first: boolean;
  readonly last: boolean;
  /** How many messages lie in `bytes`, one behind the other, where the decoder was asked to coalesce; else absent: one. */
  readonly count?: number;
};

type DecoderOptions = {
  /** Longest whole message, header included, in bytes. Longer ones of a `streamed` type pass in pieces. */
  readonly maxFrameBytes: number;
  readonly streamed: ReadonlySet<number>;
  readonly streamAboveBytes: number;
  readonly allowed: ReadonlySet<number>;
  /** Whole messages of these types that follow each other come as one frame with a `count`. */
  readonly coalesced?: ReadonlySet<number>;
};

const HEADER_BYTES = 5;
const NOTHING = Buffer.alloc(0); // one for all: an ArrayBuffer for each of thousands of idle decoders adds up
const MAX_LENGTH_FIELD = 0x7fff_ffff; // the field is a signed Int32

/** Type codes of a string of type letters. */
export const types = (letters: string): ReadonlySet<number> => new Set(Buffer.from(letters, 'latin1'));

const FRONTEND_TYPES = types('QPBDCESHXdcfpF');
const BACKEND_TYPES = types('RSKZTtDCENA123snIGHWdcVv');
const FRONTEND_STREAMED = types('d');
const BACKEND_STREAMED = types('dD');
const STREAM_ABOVE_BYTES = 64 * 1024; // about one read of a socket: a longer message is not worth collecting
const MAX_FRONTEND_BYTES = 16 << 20; // a Bind with a large document fits; more than that goes through COPY
const MAX_BACKEND_BYTES = 16 << 20; // error texts may be long; rows and COPY data are streamed

const FRONTEND: DecoderOptions = {
  maxFrameBytes: MAX_FRONTEND_BYTES,
  streamed: FRONTEND_STREAMED,
  streamAboveBytes: STREAM_ABOVE_BYTES,
  allowed: FRONTEND_TYPES,
};
const BACKEND: DecoderOptions = {
  maxFrameBytes: MAX_BACKEND_BYTES,
  streamed: BACKEND_STREAMED,
  streamAboveBytes: STREAM_ABOVE_BYTES,
  allowed: BACKEND_TYPES,
};
const COALESCED: DecoderOptions = { ...BACKEND, coalesced: BACKEND_STREAMED };

/** What a client may send after its start-up. */
export const frontendDecoder = ({ maxFrameBytes }: { maxFrameBytes?: number } = {}): FrameDecoder =>
  new FrameDecoder(maxFrameBytes === undefined ? FRONTEND : { ...FRONTEND, maxFrameBytes });

/** What a server may send. `coalesce`: rows and COPY data that are only passed on need not be looked at one by one. */
export const backendDecoder = ({
  maxFrameBytes,
  coalesce = false,
}: {
  maxFrameBytes?: number;
  coalesce?: boolean;
} = {}): FrameDecoder => {
  const options = coalesce ? COALESCED : BACKEND;
  return new FrameDecoder(maxFrameBytes === undefined ? options : { ...options, maxFrameBytes });
};

/** Is this a first byte a client's message may have? */
export const isFrontendType = (type: number): boolean => FRONTEND_TYPES.has(type);

/**
 * Incremental and bounded. A frame that lies within one chunk is a slice of it; only one that spans chunks is copied,
 * into memory that grows with the bytes that arrived, never with the length that was declared.
 */
export class FrameDecoder {
  readonly #options: DecoderOptions;
  /** Start of a frame whose rest has not come. */
  #held = NOTHING;
  #heldBytes = 0;
  /** The frame now passing in pieces, and how much of it is to come. */
  #streamType = 0;
  #streamLeft = 0;
  #broken: GatewayError | undefined;

  constructor(options: DecoderOptions) {
    this.#options = options;
  }

  /** Bytes kept of an unfinished frame. */
  get pending(): number {
    return this.#heldBytes;
  }

  /** Is the next byte expected the first of a new message? */
  get atBoundary(): boolean {
    return this.#heldBytes === 0 && this.#streamLeft === 0;
  }

  /**
   * The frames completed by these bytes, in order; all but the first are adjacent slices of `chunk`.
   * @throws GatewayError PROTOCOL on a type or length that cannot be; the decoder is of no use afterwards.
   */
  push(chunk: Buffer): Frame[] {
    if (this.#broken) throw this.#broken;
    const frames: Frame[] = [];
    try {
      let at = this.#streamLeft > 0 ? this.#stream(chunk, 0, frames) : 0;
      if (this.#heldBytes > 0) at = this.#finishHeld(chunk, frames);
      at = this.#whole(chunk, at, frames);
      if (at < chunk.length) this.#hold(chunk, at, chunk.length);
    } catch (error) {
      this.#held = NOTHING;
      this.#heldBytes = 0;
      if (error instanceof GatewayError) this.#broken = error;
      throw error;
    }
    return frames;
  }

  /** Emit every frame that is whole in `chunk` from `at`; returns where the first unfinished one begins. */
  #whole(chunk: Buffer, from: number, frames: Frame[]): number {
    let at = from;
    while (at < chunk.length) {
      const type = this.#checkType(chunk[at]!);
      if (chunk.length - at < HEADER_BYTES) return at;
      const total = this.#checkLength(type, chunk.readUInt32BE(at + 1));
      if (this.#inPieces(type, total)) {
        at = this.#startStream(type, total, chunk.subarray(at, Math.min(chunk.length, at + total)), frames, at);
        continue;
      }
      if (chunk.length - at < total) return at;
      at = this.#options.coalesced?.has(type)
        ? this.#run(type, chunk, at, at + total, frames)
        : this.#one(type, chunk, at, at + total, frames);
    }
    return at;
  }

  #one(type: number, chunk: Buffer, from: number, to: number, frames: Frame[]): number {
    frames.push({ type, bytes: chunk.subarray(from, to), first: true, last: true });
    return to;
  }

  /** One frame of the message at `from` and all whole ones of its type behind it; returns where it ends. */
  #run(type: number, chunk: Buffer, from: number, firstEnd: number, frames: Frame[]): number {
    let end = firstEnd;
    let count = 1;
    while (chunk.length - end >= HEADER_BYTES && chunk[end] === type) {
      const total = this.#checkLength(type, chunk.readUInt32BE(end + 1));
      if (this.#inPieces(type, total) || chunk.length - end < total) break;
      end += total;
      count++;
    }
    frames.push({ type, bytes: chunk.subarray(from, end), first: true, last: true, count });
    return end;
  }

  /** Complete the frame begun in earlier chunks, as far as `chunk` goes; returns how much of `chunk` it took. */
  #finishHeld(chunk: Buffer, frames: Frame[]): number {
    let at = 0;
    if (this.#heldBytes < HEADER_BYTES) {
      at = Math.min(chunk.length, HEADER_BYTES - this.#heldBytes);
      this.#hold(chunk, 0, at);
      if (this.#heldBytes < HEADER_BYTES) return at;
    }
    const type = this.#checkType(this.#held[0]!);
    const total = this.#checkLength(type, this.#held.readUInt32BE(1));
    if (this.#inPieces(type, total)) {
      this.#startStream(type, total, this.#takeHeld(), frames, 0);
      return this.#streamLeft > 0 ? this.#stream(chunk, at, frames) : at;
    }
    const end = Math.min(chunk.length, at + total - this.#heldBytes);
    this.#hold(chunk, at, end, total);
    if (this.#heldBytes === total) frames.push({ type, bytes: this.#takeHeld(), first: true, last: true });
    return end;
  }

  #inPieces(type: number, total: number): boolean {
    return total > this.#options.streamAboveBytes && this.#options.streamed.has(type);
  }

  #startStream(type: number, total: number, piece: Buffer, frames: Frame[], at: number): number {
    this.#streamType = type;
    this.#streamLeft = total - piece.length;
    frames.push({ type, bytes: piece, first: true, last: this.#streamLeft === 0 });
    return at + piece.length;
  }

  #stream(chunk: Buffer, at: number, frames: Frame[]): number {
    const end = Math.min(chunk.length, at + this.#streamLeft);
    if (end === at) return at;
    this.#streamLeft -= end - at;
    const bytes = chunk.subarray(at, end);
    frames.push({ type: this.#streamType, bytes, first: false, last: this.#streamLeft === 0 });
    return end;
  }

  #checkType(type: number): number {
    if (this.#options.allowed.has(type)) return type;
    throw new GatewayError('PROTOCOL', `invalid message type 0x${type.toString(16).padStart(2, '0')}`);
  }

  /** The message's whole size in bytes, type byte included. */
  #checkLength(type: number, length: number): number {
    const letter = String.fromCharCode(type);
    if (length < 4 || length > MAX_LENGTH_FIELD) {
      throw new GatewayError('PROTOCOL', `message "${letter}" has the impossible length ${length | 0}`);
    }
    const total = length + 1;
    if (total > this.#options.maxFrameBytes && !this.#inPieces(type, total)) {
      throw new GatewayError(
        'PROTOCOL',
        `message "${letter}" of ${total} bytes is longer than the ${this.#options.maxFrameBytes} bytes allowed`,
      );
    }
    return total;
  }

  /** Keep `chunk[from, to)`; doubling, so that a frame arriving byte by byte costs linear time. */
  #hold(chunk: Buffer, from: number, to: number, expected = Number.POSITIVE_INFINITY): void {
    const needed = this.#heldBytes + to - from;
    if (needed > this.#held.length) {
      const capacity = Math.min(Math.max(needed, this.#held.length * 2, 64), Math.max(needed, expected));
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#heldBytes, from, to);
    this.#heldBytes = needed;
  }

  #takeHeld(): Buffer {
    const taken = this.#held.subarray(0, this.#heldBytes);
    this.#held = NOTHING;
    this.#heldBytes = 0;
    return taken;
  }
}

/** The frames' bytes in as few buffers as they lie in, without copying: what one chunk brought is one buffer again. */
export function join(frames: readonly Frame[]): Buffer[] {
  const runs: Buffer[] = [];
  let memory: Buffer['buffer'] | undefined;
  let from = 0;
  let to = 0;
  for (const { bytes } of frames) {
    if (bytes.buffer === memory && bytes.byteOffset === to) {
      to += bytes.length;
      continue;
    }
    if (memory) runs.push(Buffer.from(memory, from, to - from));
    memory = bytes.buffer;
    from = bytes.byteOffset;
    to = from + bytes.length;
  }
  if (memory) runs.push(Buffer.from(memory, from, to - from));
  return runs;
}
