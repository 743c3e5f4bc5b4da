/** The codec against every split, every impossible length, and bytes that nobody would send by mistake. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as build from './builders.ts';
import {
  backendDecoder,
  FrameDecoder as Decoder,
  type Frame,
  type FrameDecoder,
  frontendDecoder,
  join,
  types,
} from './wire.ts';

const small = Buffer.concat([
  build.query('select 1 -- ü'),
  build.parse('a', 'select $1', [23]),
  build.bind('', 'a', ['x', null]),
  build.describe('P', ''),
  build.execute('', 3),
  build.copyData(Buffer.from('1\t2\n')),
  build.copyDone(),
  build.sync(),
  build.terminate(),
]);
const KINDS = 'QPBDEdcSX';
const bytesOf = (frames: readonly Frame[]): Buffer => Buffer.concat(frames.map(({ bytes }) => bytes));
const kindsOf = (frames: readonly Frame[]): string => String.fromCharCode(...frames.map(({ type }) => type));

function header(type: string, length: number): Buffer {
  const out = Buffer.from(`${type}\0\0\0\0`, 'latin1');
  out.writeUInt32BE(length, 1);
  return out;
}

/** Larger than what is collected, so it comes in pieces where its type may. */
const big = build.copyData(Buffer.alloc(200_000, 'x'));

describe('the decoder', () => {
  it('gives the same frames however the bytes are split', () => {
    for (let first = 0; first <= small.length; first++) {
      for (let second = first; second <= small.length; second += 5) {
        const decoder = frontendDecoder();
        const chunks = [small.subarray(0, first), small.subarray(first, second), small.subarray(second)];
        const frames = chunks.flatMap((chunk) => decoder.push(chunk));
        assert.equal(kindsOf(frames), KINDS);
        assert.deepEqual(bytesOf(frames), small);
        assert.ok(frames.every((frame) => frame.first && frame.last));
        assert.ok(decoder.atBoundary);
      }
    }
  });

  it('takes single bytes', () => {
    const decoder = frontendDecoder();
    const frames = [...small].flatMap((byte) => decoder.push(Buffer.from([byte])));
    assert.equal(kindsOf(frames), KINDS);
    assert.deepEqual(bytesOf(frames), small);
  });

  it('does not copy what lies within a chunk', () => {
    const frames = frontendDecoder().push(small);
    assert.ok(frames.every(({ bytes }) => bytes.buffer === small.buffer));
    const runs = join(frames);
    assert.equal(runs.length, 1);
    assert.equal(runs[0]?.byteOffset, small.byteOffset);
    assert.deepEqual(runs[0], small);
  });

  it('joins only what lies side by side', () => {
    const decoder = frontendDecoder();
    const frames = [...decoder.push(small.subarray(0, 30)), ...decoder.push(small.subarray(30))];
    const without = frames.filter((_, index) => index !== 4);
    assert.deepEqual(Buffer.concat(join(without)), bytesOf(without));
    assert.ok(join(without).length > 1);
    assert.deepEqual(join([]), []);
  });

  it('passes a large CopyData in pieces: first, …, last, nothing collected', () => {
    for (const split of [1, 4, 5, 6, 100, 65_000, 66_000, big.length - 1, big.length, big.length + 3]) {
      const whole = Buffer.concat([build.sync(), big, build.sync()]);
      const decoder = frontendDecoder();
      const frames: Frame[] = [];
      for (let at = 0; at < whole.length; at += split) {
        frames.push(...decoder.push(whole.subarray(at, at + split)));
        assert.ok(decoder.pending <= 64 * 1024);
      }
      assert.deepEqual(bytesOf(frames), whole);
      const pieces = frames.filter(({ type }) => type === 'd'.charCodeAt(0));
      assert.deepEqual([pieces[0]?.first, pieces.at(-1)?.last], [true, true], `in chunks of ${split}`);
      assert.equal(pieces.filter(({ first }) => first).length, 1);
      assert.equal(pieces.filter(({ last }) => last).length, 1);
      assert.ok((pieces[0]?.bytes.length ?? 0) >= 5);
    }
  });

  it('coalesces rows where asked, counting them, and nothing else', () => {
    const row = (text: string) => build.copyData(Buffer.from(text));
    const answer = Buffer.concat([
      build.parseComplete(),
      ...['a', 'bb', 'ccc'].map(row),
      big,
      row('d'),
      build.commandComplete('COPY 5'),
      build.readyForQuery('I'),
    ]);
    const [, rows, piece] = backendDecoder({ coalesce: true }).push(answer);
    assert.deepEqual([rows?.count, rows?.bytes.length, piece?.count], [3, 21, undefined]);
    for (let split = 0; split < answer.length; split += split < 60 ? 1 : 4999) {
      const decoder = backendDecoder({ coalesce: true });
      const frames = [...decoder.push(answer.subarray(0, split)), ...decoder.push(answer.subarray(split))];
      assert.deepEqual(bytesOf(frames), answer);
      const copied = frames.filter(({ type, last }) => type === 'd'.charCodeAt(0) && last);
      assert.equal(
        copied.reduce((sum, { count = 1 }) => sum + count, 0),
        5,
      );
    }
    const bad = Buffer.concat([row('a'), header('d', 3)]);
    assert.throws(() => backendDecoder({ coalesce: true }).push(bad), { code: 'PROTOCOL' });
  });

  const both: [string, () => FrameDecoder, string][] = [
    ['frontend', frontendDecoder, 'QPBd'],
    ['backend', backendDecoder, 'DTEd'],
  ];
  for (const [side, make, letters] of both) {
    it(`refuses impossible lengths (${side}), at the header`, () => {
      for (const letter of letters) {
        for (const length of [0, 1, 3, 0x80000000, 0xfffffffe, 0xffffffff]) {
          assert.throws(() => make().push(header(letter, length)), { code: 'PROTOCOL' }, `${letter} ${length}`);
          const slow = make();
          assert.throws(() => [...header(letter, length)].map((byte) => slow.push(Buffer.from([byte]))), {
            code: 'PROTOCOL',
          });
        }
      }
    });
  }

  it('refuses a gigabyte of Query at once, and lets a gigabyte of CopyData stream; neither takes memory', () => {
    const before = process.memoryUsage();
    for (let i = 0; i < 200; i++) {
      assert.throws(() => frontendDecoder().push(header('Q', 0x7fffffff)), { code: 'PROTOCOL' });
      const decoder = frontendDecoder();
      const [piece] = decoder.push(header('d', 0x7fffffff));
      assert.deepEqual([piece?.first, piece?.last, piece?.bytes.length], [true, false, 5]);
      const below = frontendDecoder();
      below.push(header('Q', (16 << 20) - 1)); // allowed, so waited for
      assert.ok(below.pending === 5);
    }
    const after = process.memoryUsage();
    assert.ok(after.arrayBuffers + after.external - before.arrayBuffers - before.external < 8 << 20);
  });

  it('keeps memory near what arrived while a long message dribbles in', () => {
    const decoder = frontendDecoder();
    const before = process.memoryUsage().arrayBuffers;
    decoder.push(header('Q', 15 << 20));
    for (let i = 0; i < 1000; i++) decoder.push(Buffer.alloc(7, 'x'));
    assert.equal(decoder.pending, 7005);
    assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
  });

  it('refuses unknown types at their first byte, and stays refused', () => {
    for (const bytes of ['\0', '\x16', 'x', 'R', '\xff']) {
      const decoder = frontendDecoder();
      assert.throws(() => decoder.push(Buffer.from(bytes, 'latin1')), { code: 'PROTOCOL' });
      assert.throws(() => decoder.push(build.sync()), { code: 'PROTOCOL' });
      assert.equal(decoder.pending, 0);
    }
    assert.throws(() => backendDecoder().push(Buffer.from('Q')), { code: 'PROTOCOL' });
    const behind = frontendDecoder();
    assert.throws(() => behind.push(Buffer.concat([build.sync(), Buffer.from([0])])), { code: 'PROTOCOL' });
  });

  it('holds a message to the stated maximum, to the byte', () => {
    const make = () =>
      new Decoder({ maxFrameBytes: 10, streamed: new Set(), streamAboveBytes: 10, allowed: types('Q') });
    assert.equal(make().push(Buffer.concat([header('Q', 9), Buffer.alloc(5)])).length, 1);
    assert.throws(() => make().push(header('Q', 10)), { code: 'PROTOCOL' });
  });

  it('survives random bytes: frames or PROTOCOL, nothing else', () => {
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
      return seed >>> 8;
    };
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(small);
      for (let i = 0; i < 3; i++) bytes[random() % bytes.length] = random() & 0xff;
      const decoder = frontendDecoder({ maxFrameBytes: 4096 });
      try {
        for (let at = 0; at < bytes.length; ) {
          const step = 1 + (random() % 40);
          decoder.push(bytes.subarray(at, at + step));
          at += step;
        }
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'PROTOCOL');
      }
    }
  });
});
