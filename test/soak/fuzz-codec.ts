/** The codec under hostile bytes: what it says of a stream, however that is cut, is what a naive reader says of it whole. */
import { GatewayError } from '../../gateway/errors.ts';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import * as read from '../../gateway/listeners/postgres/messages.ts';
import { parseFirstPacket, startupBodyBytes } from '../../gateway/listeners/postgres/startup-packet.ts';
import {
  backendDecoder,
  type Frame,
  type FrameDecoder,
  frontendDecoder,
} from '../../gateway/listeners/postgres/wire.ts';
import { type Direction, firstPacket, frame, message, mutate } from './fuzz-grammar.ts';
import type { Random } from './random.ts';

export type Stream = {
  readonly direction: Direction | 'start-up';
  readonly bytes: Buffer;
  readonly cuts: readonly number[];
};

/** What a stream is made of: whole messages by where they end, and whether something in it cannot be. */
type Truth = { readonly ends: readonly number[]; readonly broken: boolean };

const ALLOWED = { frontend: 'QPBDCESHXdcfpF', backend: 'RSKZTtDCENA123snIGHWdcVv' };
const UNBOUNDED = { frontend: 'd', backend: 'dD' };
const LONGEST = 16 << 20;

/** The whole stream at once, by the protocol's own words, in the plainest way. */
function truth(direction: Direction, bytes: Buffer): Truth {
  const ends: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const letter = String.fromCharCode(bytes[at]!);
    if (!ALLOWED[direction].includes(letter)) return { ends, broken: true };
    if (bytes.length - at < 5) break;
    const length = bytes.readUInt32BE(at + 1);
    const tooLong = length + 1 > LONGEST && !UNBOUNDED[direction].includes(letter);
    if (length < 4 || length > 0x7fffffff || tooLong) return { ends, broken: true };
    if (bytes.length - at < length + 1) break;
    at += length + 1;
    ends.push(at);
  }
  return { ends, broken: false };
}

const isProtocol = (error: unknown): boolean => error instanceof GatewayError && error.code === 'PROTOCOL';

/** What is wrong with the codec, in words; undefined when nothing is. */
export function faultOf({ direction, bytes, cuts }: Stream): string | undefined {
  if (direction === 'start-up') return faultOfFirst(bytes);
  const makers =
    direction === 'frontend' ? [frontendDecoder] : [backendDecoder, () => backendDecoder({ coalesce: true })];
  const expected = truth(direction, bytes);
  for (const make of makers) {
    const fault = faultOfDecoder(make(), direction, bytes, cuts, expected);
    if (fault) return fault;
  }
  return undefined;
}

function faultOfDecoder(
  decoder: FrameDecoder,
  direction: Direction,
  bytes: Buffer,
  cuts: readonly number[],
  { ends, broken }: Truth,
): string | undefined {
  let given = 0; // bytes that came out in frames
  let messages = 0;
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    let frames: Frame[];
    try {
      frames = decoder.push(bytes.subarray(from, to));
    } catch (error) {
      if (!isProtocol(error)) return `the decoder threw ${error}`;
      if (!broken) return `refused a stream that is sound: ${error}`;
      try {
        decoder.push(Buffer.from('S'));
        return 'went on after a stream it refused';
      } catch (again) {
        return isProtocol(again) ? undefined : `threw ${again} after its refusal`;
      }
    }
    from = to;
    for (const one of frames) {
      if (!bytes.subarray(given, given + one.bytes.length).equals(one.bytes)) return `other bytes came out at ${given}`;
      given += one.bytes.length;
      if (!one.last) continue;
      messages += one.count ?? 1;
      if (ends[messages - 1] !== given) return `message ${messages} ends at ${given}, not at ${ends[messages - 1]}`;
      const fault = one.first && (one.count ?? 1) === 1 ? faultOfMessage(direction, one) : undefined;
      if (fault) return fault;
    }
    if (given + decoder.pending !== to) return `keeps ${decoder.pending} of ${to - given} bytes`;
  }
  if (broken) return 'took a stream that cannot be';
  if (messages !== ends.length) return `gave ${messages} messages of ${ends.length}`;
  return undefined;
}

type Read = (frame: Frame) => unknown;
const FRONTEND: Readonly<Record<string, Read>> = {
  Q: read.parseQuery,
  P: read.parseParse,
  B: read.parseBind,
  D: read.parseDescribe,
  C: read.parseClose,
  E: read.parseExecute,
  p: read.parsePassword,
  f: read.parseCopyFail,
  S: read.parseEmpty,
  H: read.parseEmpty,
  X: read.parseEmpty,
  c: read.parseEmpty,
};
const BACKEND: Readonly<Record<string, Read>> = {
  C: read.parseCommandComplete,
  E: read.parseServerMessage,
  N: read.parseServerMessage,
  Z: read.parseReadyForQuery,
  S: read.parseParameterStatus,
  T: read.parseRowDescription,
  K: read.parseBackendKeyData,
  I: read.parseEmpty,
};

/** What was read, written again: the same bytes, or the reader saw something that is not there. */
const AGAIN: Readonly<Record<string, (frame: Frame) => Buffer | undefined>> = {
  Q: (one) => build.query(read.parseQuery(one)),
  P: (one) => {
    const { name, text, parameterTypes } = read.parseParse(one);
    return build.parse(name, text, parameterTypes);
  },
  B: (one) => bindAgain(read.parseBind(one), one.bytes),
  D: (one) => ((target) => build.describe(target.kind, target.name))(read.parseDescribe(one)),
  C: (one) => ((target) => build.close(target.kind, target.name))(read.parseClose(one)),
  E: (one) => {
    const { portal, maxRows } = read.parseExecute(one);
    return maxRows === 0 ? undefined : build.execute(portal, maxRows); // 0 stands for every negative one, too
  },
  p: (one) => build.password(read.parsePassword(one)),
  f: (one) => build.copyFail(read.parseCopyFail(one)),
};

function bindAgain({ portal, statement, parameters, resultFormats }: read.BindMessage, original: Buffer): Buffer {
  const i16 = (n: number): Buffer => Buffer.from([n >>> 8, n & 255]);
  const names = Buffer.from(`${portal}\0${statement}\0`);
  const formats = original.readUInt16BE(5 + names.length); // one for all, one for each, none: all are read alike
  const codes = parameters.slice(0, formats).map(({ format }) => i16(format === 'binary' ? 1 : 0));
  if (formats === 1 && parameters.length === 0) codes.push(original.subarray(7 + names.length, 9 + names.length));
  const values = parameters.map(({ value }) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value?.length ?? -1);
    return Buffer.concat([length, value ?? Buffer.alloc(0)]);
  });
  const results = [i16(resultFormats.length), ...resultFormats.map(i16)];
  return frame(
    'B',
    names,
    i16(formats),
    Buffer.concat(codes),
    i16(parameters.length),
    Buffer.concat(values),
    Buffer.concat(results),
  );
}

function faultOfMessage(direction: Direction, one: Frame): string | undefined {
  const letter = String.fromCharCode(one.type);
  const parse = (direction === 'frontend' ? FRONTEND : BACKEND)[letter];
  if (!parse) return undefined;
  try {
    parse(one);
  } catch (error) {
    return isProtocol(error) ? undefined : `reading "${letter}" threw ${error}`;
  }
  const again = direction === 'frontend' ? AGAIN[letter]?.(one) : undefined;
  return again && !again.equals(one.bytes) ? `"${letter}" was read as something else` : undefined;
}

function faultOfFirst(bytes: Buffer): string | undefined {
  try {
    if (bytes.length < 4) return undefined;
    const body = startupBodyBytes(bytes.subarray(0, 4));
    const packet = parseFirstPacket(bytes.subarray(4, 4 + body));
    return packet.kind === 'startup' && packet.startup.parameters.has('role') ? 'let a role through' : undefined;
  } catch (error) {
    return error instanceof GatewayError ? undefined : `the start-up threw ${error}`;
  }
}

/** The next stream, and how many messages went into it. */
export function makeStream(r: Random): { stream: Stream; messages: number } {
  const direction = r.once(20) ? 'start-up' : r.once(2) ? 'frontend' : 'backend';
  if (direction === 'start-up') {
    const sound = firstPacket(r);
    return { stream: { direction, bytes: r.once(2) ? mutate(sound, r) : sound, cuts: [] }, messages: 1 };
  }
  const parts = Array.from({ length: 1 + r.below(8) }, () => {
    const sound = message(direction, r);
    return r.once(8) ? mutate(sound, r) : sound;
  });
  const bytes = Buffer.concat(parts);
  return { stream: { direction, bytes, cuts: cutsOf(bytes.length, r) }, messages: parts.length };
}

function cutsOf(length: number, r: Random): number[] {
  if (length < 300 && r.once(4)) return Array.from({ length }, (_, at) => at); // at every byte, an empty chunk first
  return Array.from({ length: r.below(6) }, () => r.below(length + 1)).sort((a, b) => a - b);
}

/** The same fault with as few bytes and cuts as can be had by leaving out. */
export function minimise(
  stream: Stream,
  faulty: (one: Stream) => boolean = (one) => faultOf(one) !== undefined,
): Stream {
  let least = stream;
  const attempt = (bytes: Buffer, cuts: readonly number[]): boolean => {
    const one = { ...least, bytes, cuts: cuts.filter((at) => at <= bytes.length) };
    if (!faulty(one)) return false;
    least = one;
    return true;
  };
  attempt(least.bytes, []);
  for (let size = least.bytes.length >>> 1; size > 0; size = size >>> 1) {
    for (let at = 0; at < least.bytes.length; ) {
      const { bytes, cuts } = least;
      const rest = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
      if (
        !attempt(
          rest,
          cuts.map((cut) => (cut > at ? Math.max(at, cut - size) : cut)),
        )
      )
        at += size;
    }
  }
  for (let i = least.cuts.length - 1; i >= 0; i--)
    attempt(
      least.bytes,
      least.cuts.filter((_, at) => at !== i),
    );
  return least;
}
