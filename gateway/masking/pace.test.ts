import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pace } from './pace.ts';

describe('questions that read a masked value out piece by piece', () => {
  it('are let through sixty times an hour, and the sixty-first is not', () => {
    const pace = new Pace(() => 0);
    assert.equal(pace.take('a', 4), true);
    for (let i = 4; i < 60; i++) assert.equal(pace.take('a', 1), true, `use ${i + 1}`);
    assert.equal(pace.take('a', 1), false);
    assert.equal(pace.take('b', 1), true, 'somebody else');
  });

  it('are let through again when the hour is over, refused ones counted with the rest', () => {
    let now = 0;
    const pace = new Pace(() => now);
    assert.equal(pace.take('a', 61), false);
    now = 60 * 60_000 - 1;
    assert.equal(pace.take('a', 1), false);
    now = 60 * 60_000;
    assert.equal(pace.take('a', 1), true);
  });

  it('are remembered of so many and no more', () => {
    const pace = new Pace(() => 0);
    pace.take('first', 61);
    for (let i = 0; i < 10_000; i++) pace.take(`p${i}`, 1);
    assert.equal(pace.take('first', 1), true);
  });
});
