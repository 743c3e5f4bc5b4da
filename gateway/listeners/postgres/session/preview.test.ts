/** The rows that people are shown: few, cut, and whatever bytes they are made of. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as build from '../builders.ts';
import { Preview } from './preview.ts';

describe('the rows that people are shown', () => {
  const row = (...values: (Buffer | string | null)[]) =>
    build.dataRow(values.map((value) => (typeof value === 'string' ? Buffer.from(value) : value)));

  it('are the first three, of ten columns, with what is no text as its length', () => {
    const preview = new Preview();
    preview.see(Buffer.concat([row('a', null, Buffer.from([0, 0, 0, 7])), row(...Array(30).fill('c'))]));
    preview.see(Buffer.concat([row('ü'.repeat(600)), row('never')]));
    assert.deepEqual(preview.rows.slice(0, 2), [['a', 'NULL', '(4 bytes)'], Array(10).fill('c')]);
    assert.deepEqual([preview.rows.length, preview.rows[2]?.[0]], [3, 'ü'.repeat(512)]);
  });

  it('may be cut off anywhere', () => {
    const whole = Buffer.concat([row('abc', 'def'), build.copyData(Buffer.from('1\tone\n'))]);
    for (let end = 0; end <= whole.length; end++) new Preview().see(whole.subarray(0, end));
  });
});
