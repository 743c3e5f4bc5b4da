/** Lines on their way to the thread that writes them: each whole, each under its own session, in order. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Sheet, textOf } from './sheet.ts';

describe('a sheet of lines', () => {
  it('keeps the lines of each session in order, as text or as bytes, whatever their length', () => {
    const sheet = new Sheet();
    const said = new Map<number, string>();
    let bytes = 0;
    for (let n = 0; n < 3_000; n++) {
      const slot = 1 + ((n * n) % 7);
      const members = `"n":${n},"text":"${'ü🙂x'.repeat(n % 50)}${n === 1_500 ? 'y'.repeat(1 << 20) : ''}"`;
      bytes += sheet.add(slot, n, n % 2 === 0 ? members : Buffer.from(members));
      said.set(slot, `${said.get(slot) ?? ''}{"t":${n},${members}}\n`);
    }
    const lines = sheet.take();
    assert.equal(lines.bytes.length, bytes);
    for (const [slot, text] of said) assert.equal(textOf(slot, lines), text);
    assert.equal(textOf(99, lines), '');
  });

  it('begins anew with what comes after it was taken, and leaves alone what was', () => {
    const sheet = new Sheet();
    assert.equal(sheet.empty, true);
    sheet.add(1, 5, '"a":1');
    const first = sheet.take();
    assert.equal(sheet.empty, true);
    sheet.add(1, 6, '"a":2');
    assert.equal(textOf(1, first), '{"t":5,"a":1}\n');
    assert.equal(textOf(1, sheet.take()), '{"t":6,"a":2}\n');
  });
});
