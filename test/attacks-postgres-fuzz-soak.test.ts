/** A slice of `npm run soak -- fuzz`, from seeds that do not change. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fuzzCodec, fuzzSessions } from './soak/fuzz.ts';
import { minimise } from './soak/fuzz-codec.ts';

const budget = (messages: number) => ({ messages, seconds: undefined, quiet: true });

describe('hostile bytes from a fixed seed', { timeout: 240_000 }, () => {
  it('the codec gives what a naive reader gives of 10,000 messages, however they are cut', async () => {
    assert.ok((await fuzzCodec(20_261_123, budget(10_000))).messages >= 10_000);
  });

  it('nothing unjudged reaches a target in 3,500 messages of whole sessions, and every permit has its outcome', async () => {
    assert.ok((await fuzzSessions(700, budget(3_500))).messages >= 3_500);
  });

  it('what fails is made as short as it can be', () => {
    const bytes = Buffer.from('noise before X noise behind');
    const stream = { direction: 'frontend', bytes, cuts: [3, 9] } as const;
    const least = minimise(stream, (one) => one.bytes.includes('X'));
    assert.deepEqual([least.bytes.toString(), least.cuts], ['X', []]);
  });
});
