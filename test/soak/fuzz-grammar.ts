/** PostgreSQL messages made at random, well-formed, in both directions; and ways to spoil them. */
import * as build from '../../gateway/listeners/postgres/builders.ts';
import type { Random } from './random.ts';

export type Direction = 'frontend' | 'backend';

const WORDS = [
  '',
  'a',
  'p1',
  'select 1',
  'é',
  '\u{1f600}',
  'x'.repeat(63),
  'y'.repeat(300),
  '\u202e',
  "';--",
  '\u{feff}b',
];
const COUNTS = [0, 1, 2, 3, 7, 0x7fff, 0xffff];

const zero = Buffer.from([0]);
const u16 = (n: number): Buffer => Buffer.from([(n >>> 8) & 255, n & 255]);
const i32 = (n: number): Buffer => {
  const out = Buffer.allocUnsafe(4);
  out.writeInt32BE(n | 0);
  return out;
};
const string = (r: Random): Buffer => Buffer.concat([Buffer.from(r.pick(WORDS)), zero]);
const small = (r: Random): number => (r.once(200) ? r.pick(COUNTS) : r.below(4));

export function frame(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type, 'latin1'), i32(body.length + 4), body]);
}

const repeated = (count: number, make: () => Buffer): Buffer => Buffer.concat(Array.from({ length: count }, make));

function bindBody(r: Random): Buffer {
  const count = small(r);
  const formats = r.pick([0, 1, count]);
  const results = small(r);
  const value = (): Buffer =>
    r.once(4) ? i32(-1) : ((bytes) => Buffer.concat([i32(bytes.length), bytes]))(r.bytes(r.below(12)));
  const format = (): Buffer => u16(r.below(2));
  const given = [u16(formats), repeated(formats, format), u16(count), repeated(count, value)];
  return Buffer.concat([string(r), string(r), ...given, u16(results), repeated(results, format)]);
}

const FRONTEND: readonly ((r: Random) => Buffer)[] = [
  (r) => frame('Q', string(r)),
  (r) => {
    const count = small(r);
    return frame(
      'P',
      string(r),
      string(r),
      u16(count),
      repeated(count, () => i32(r.below(5000))),
    );
  },
  (r) => frame('B', bindBody(r)),
  (r) => frame('D', Buffer.from(r.pick(['S', 'P'])), string(r)),
  (r) => frame('C', Buffer.from(r.pick(['S', 'P'])), string(r)),
  (r) => frame('E', string(r), i32(r.pick([0, 1, 100, 0x7fffffff]))),
  () => build.sync(),
  () => build.flush(),
  () => build.terminate(),
  (r) => frame('d', r.once(300) ? Buffer.alloc(60_000 + r.below(20_000), 97) : r.bytes(r.below(40))),
  () => build.copyDone(),
  (r) => frame('f', string(r)),
  (r) => frame('p', string(r)),
  (r) => frame('F', i32(r.below(100)), u16(0), u16(0), u16(0)),
];

const fields = (r: Random): Buffer[] => [
  ...r.list(6, () => Buffer.concat([Buffer.from([1 + r.below(127)]), string(r)])),
  zero,
];
const row = (r: Random): Buffer => {
  const values = r.list(5, () =>
    r.once(4) ? i32(-1) : ((b) => Buffer.concat([i32(b.length), b]))(r.bytes(r.below(9))),
  );
  return frame('D', u16(values.length), ...values);
};

const BACKEND: readonly ((r: Random) => Buffer)[] = [
  (r) => frame('R', i32(r.pick([0, 3, 5, 10, 11, 12])), r.bytes(r.below(8))),
  (r) => frame('S', string(r), string(r)),
  (r) => frame('K', i32(r.below(99_999)), r.bytes(r.pick([4, 32, 256]))),
  (r) => frame('Z', Buffer.from(r.pick(['I', 'T', 'E']))),
  (r) => {
    const columns = r.list(4, () => Buffer.concat([string(r), r.bytes(16), u16(r.below(2))]));
    return frame('T', u16(columns.length), ...columns);
  },
  row,
  (r) => Buffer.concat(Array.from({ length: 1 + r.below(6) }, () => row(r))),
  (r) => (r.once(300) ? frame('D', u16(1), i32(70_000), Buffer.alloc(70_000, 98)) : row(r)),
  (r) => frame('d', r.bytes(r.below(40))),
  (r) => frame('C', string(r)),
  (r) => frame('E', ...fields(r)),
  (r) => frame('N', ...fields(r)),
  (r) => frame('A', i32(r.below(9999)), string(r), string(r)),
  () => frame('t', u16(1), i32(23)),
  (r) => frame(r.pick(['G', 'H', 'W']), Buffer.from([r.below(2)]), u16(1), u16(0)),
  (r) => frame(r.pick(['1', '2', '3', 'n', 's', 'I', 'c'])),
];

/** One well-formed message (now and then a run of rows). */
export const message = (direction: Direction, r: Random): Buffer =>
  r.pick(direction === 'frontend' ? FRONTEND : BACKEND)(r);

const LENGTHS = [0, 1, 3, 4, 5, 0x00ff_ffff, 0x0100_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_fffb, 0xffff_ffff];

/** One thing spoilt: a byte, a piece gone or doubled, a number that lies, two halves exchanged, an end cut off. */
export function mutate(bytes: Buffer, r: Random): Buffer {
  if (bytes.length === 0) return r.bytes(1 + r.below(8));
  const at = r.below(bytes.length);
  const to = Math.min(bytes.length, at + 1 + r.below(8));
  const changed = Buffer.from(bytes);
  switch (r.below(8)) {
    case 0:
      changed[at] = r.below(256);
      return changed;
    case 1:
      changed[at]! ^= 1 << r.below(8);
      return changed;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    case 4:
      if (changed.length >= 5) changed.writeUInt32BE(r.once(2) ? r.pick(LENGTHS) : r.below(2 * changed.length), 1);
      return changed;
    case 5: // a count or length somewhere inside
      if (changed.length - at >= 2) changed.writeUInt16BE(r.pick([0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff]), at);
      return changed;
    case 6:
      return Buffer.concat([bytes.subarray(0, at), r.bytes(1 + r.below(9)), bytes.subarray(at)]);
    default:
      return changed.subarray(0, at);
  }
}

/** A client's first packet. */
export function firstPacket(r: Random): Buffer {
  const long = (code: number, ...parts: readonly Buffer[]): Buffer => {
    const body = Buffer.concat(parts);
    return Buffer.concat([i32(body.length + 8), i32(code), body]);
  };
  const key = () =>
    Buffer.from(`${r.pick(['user', 'database', 'options', 'DateStyle', '_pq_.x', 'role', 'replication', 'é'])}\0`);
  switch (r.below(5)) {
    case 0:
      return build.sslRequest();
    case 1:
      return long((1234 << 16) | 5680);
    case 2:
      return build.cancelRequest(r.below(0x7fffffff), r.bytes(r.pick([4, 32, 256])));
    default:
      return long((3 << 16) | r.below(4), ...r.list(5, () => Buffer.concat([key(), string(r)])), zero);
  }
}
