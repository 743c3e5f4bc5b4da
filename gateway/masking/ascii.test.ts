import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { lastFourOfAscii } from './ascii.ts';
import { createFormatter } from './formats.ts';

const slow = createFormatter(Buffer.alloc(32));
const TEXT = 25;
const last4 = { kind: 'last4' } as const;

describe('last4 of plain ASCII', () => {
  it('is what the general way gives, byte for byte', () => {
    const looks = fc.string({ unit: fc.constantFrom(...'0123456789abZ -._/:,()+\t@#x'), maxLength: 70 });
    const any = fc.string({ maxLength: 70 });
    fc.assert(
      fc.property(fc.oneof(looks, any), (text) => {
        const fast = lastFourOfAscii(Buffer.from(text));
        if (fast) assert.equal(fast.toString(), slow.mask(last4, text), JSON.stringify(text));
        else assert.ok(Buffer.byteLength(text) > 64 || /[^\0-\x7f]/.test(text));
      }),
      { numRuns: 20_000 },
    );
  });

  it('shows cards, numbers and short values as people know them', () => {
    for (const [value, shown] of [
      ['4111111111111111', '**** **** **** 1111'],
      ['4111 1111-1111.1111', '**** **** **** 1111'],
      ['078-05-1120', '•••-••-1120'],
      ['1234567', '•••'],
      ['', '•••'],
    ] as const) {
      assert.equal(lastFourOfAscii(Buffer.from(value))?.toString(), shown);
      assert.equal(slow.maskTyped(last4, TEXT, 'text', Buffer.from(value))?.toString(), shown);
    }
  });

  it('leaves everything beyond ASCII, or longer than sixty-four bytes, to the general way', () => {
    assert.equal(lastFourOfAscii(Buffer.from('４１１１１１１１１１１１１１１１')), undefined);
    assert.equal(lastFourOfAscii(Buffer.from('a'.repeat(65))), undefined);
  });
});
