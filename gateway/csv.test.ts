/** Cells under attack: a spreadsheet computes none of them, and a terminal shows them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { csvCell } from './csv.ts';

const FORMULAS = [
  ...['=1+1', '=cmd|1', '+1', '-1', '-12.5', '@SUM(A1)', '|cmd', '%0A=1'],
  ...['\t=1', '\r=1', '\n=1', '\tA1', '\rA1', '\nA1'],
  ...[' =1', '  +1', '\u00a0-1', '\ufeff=1', '\u2028@A1', '\u3000=1', ' \t|cmd'],
  ...['＝1', '＋1', '－1', '＠A1', '｜cmd', '％1', ' ＝1'],
];

describe('a cell of CSV', () => {
  for (const formula of FORMULAS) {
    it(`is no formula: ${JSON.stringify(formula)}`, () => {
      assert.match(csvCell(formula), /^"'/);
    });
  }

  it('is the number that it was', () => {
    assert.deepEqual([-12.5, -5, 0, 1e21].map(csvCell), ['-12.5', '-5', '0', '1e+21']);
    assert.deepEqual([Number.NaN, Number.NEGATIVE_INFINITY].map(csvCell), ['', '']);
  });

  it('holds what splits rows and columns, here and where a semicolon does', () => {
    assert.equal(csvCell('a "b", c'), '"a ""b"", c"');
    assert.equal(csvCell('a; b'), '"a; b"');
    assert.equal(csvCell("it's"), '"it\'s"');
    assert.equal(csvCell('one\r\ntwo'), 'one\\u{d}\\u{a}two');
  });

  it('writes out what a terminal would obey and what nobody would see', () => {
    assert.equal(csvCell('\u001b[31m'), '\\u{1b}[31m');
    assert.equal(csvCell('\u202eevil'), '\\u{202e}evil');
    assert.equal(csvCell('a\u0000\u200bb\ud800'), 'a\\u{0}\\u{200b}b\\u{d800}');
    assert.equal(csvCell('\u0000=1'), '\\u{0}=1'); // begins with a backslash: no formula any more
  });

  it('is empty for nothing, and JSON for what has parts', () => {
    assert.deepEqual([undefined, null, ''].map(csvCell), ['', '', '']);
    assert.equal(csvCell({ deep: [1, 'a'] }), '"{""deep"":[1,""a""]}"');
    assert.equal(csvCell(true), 'true');
  });
});
