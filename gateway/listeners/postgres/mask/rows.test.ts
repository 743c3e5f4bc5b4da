import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MaskFormat } from '../../../masking/profile.ts';
import { dataRow } from '../builders.ts';
import type { Column } from '../messages.ts';
import type { Treatment } from './columns.ts';
import { type Masker, newTally, RowMask } from './rows.ts';

const column = (typeOid: number, format: 0 | 1 = 0): Column => ({ name: 'c', tableOid: 1, column: 1, typeOid, format });
const REDACT: MaskFormat = { kind: 'redact' };
const mask: Treatment = { kind: 'mask', format: REDACT, why: 'origin' };
const pass: Treatment = { kind: 'pass' };
const scan: Treatment = { kind: 'scan' };

/** Texts become `•••`, everything else NULL; `secret` is what the detector looks for. */
const masker: Masker = {
  mask: (_format, typeOid) => (typeOid === 25 ? Buffer.from('•••') : null),
  scanner: {
    suspicious: (bytes, from, to) => bytes.subarray(from, to).includes('secret'),
    scan: (text) =>
      text.includes('secret') ? { text: text.replaceAll('secret', '•••'), hits: { secret: 1 } } : undefined,
  },
};

const texts = (...values: (string | null)[]) =>
  dataRow(values.map((value) => (value === null ? null : Buffer.from(value))));

function valuesOf(bytes: Buffer): (string | null)[][] {
  const rows: (string | null)[][] = [];
  for (let at = 0; at < bytes.length; ) {
    assert.equal(bytes[at], 0x44);
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    const row: (string | null)[] = [];
    let cell = at + 7;
    for (let left = bytes.readUInt16BE(at + 5); left > 0; left--) {
      const length = bytes.readInt32BE(cell);
      cell += 4;
      row.push(length < 0 ? null : bytes.toString('utf8', cell, cell + length));
      cell += Math.max(0, length);
    }
    assert.equal(cell, end, 'a row is as long as it says');
    rows.push(row);
    at = end;
  }
  return rows;
}

function rowMask(columns: readonly Column[], treatments: readonly Treatment[], tally = newTally()) {
  const made = RowMask.of(columns, treatments, masker, tally);
  assert.ok(made);
  return made;
}

describe('rows on their way to the client', () => {
  it('have their masked columns replaced and every other byte kept', () => {
    const tally = newTally();
    const rows = rowMask([column(23), column(25), column(25)], [pass, mask, pass], tally);
    const batch = Buffer.concat([texts('1', '123-45-6789', 'Ada'), texts('2', '', 'Bruno'), texts('3', null, '')]);
    assert.deepEqual(valuesOf(rows.rows(batch)), [
      ['1', '•••', 'Ada'],
      ['2', '•••', 'Bruno'],
      ['3', null, ''],
    ]);
    assert.equal(tally.origin, 2);
  });

  it('are not looked at where nothing is masked and no detector is on', () => {
    assert.equal(RowMask.of([column(25)], [pass], masker, newTally()), undefined);
  });

  it('leave as the very same bytes when a detector sees nothing in them', () => {
    const batch = Buffer.concat([texts('plain'), texts('text')]);
    assert.equal(rowMask([column(25)], [scan]).rows(batch), batch);
  });

  it('lose what a detector finds, in the row it is in', () => {
    const rows = rowMask([column(25), column(23)], [scan, pass]);
    const batch = Buffer.concat([texts('a', '1'), texts('my secret!', '2'), texts('b', '3')]);
    assert.deepEqual(valuesOf(rows.rows(batch)), [
      ['a', '1'],
      ['my •••!', '2'],
      ['b', '3'],
    ]);
  });

  it('stay JSON where a document is masked, and become a text where they would not', () => {
    const rows = rowMask([column(114)], [scan]);
    assert.deepEqual(valuesOf(rows.rows(texts('{"note":"secret"}'))), [['{"note":"•••"}']]);
    assert.deepEqual(valuesOf(rows.rows(texts('{"note":secret}'))), [['"•••"']]);
  });

  it('keep the version byte of a binary jsonb, and lose a binary array whole', () => {
    const jsonb = rowMask([column(3802, 1)], [scan]);
    const document = Buffer.concat([Buffer.from([1]), Buffer.from('{"a":"secret"}')]);
    assert.deepEqual(valuesOf(jsonb.rows(dataRow([document]))), [['\u0001{"a":"•••"}']]);
    const array = rowMask([column(1009, 1)], [scan]);
    assert.deepEqual(valuesOf(array.rows(dataRow([Buffer.from('\0\0\0\u0001secret')]))), [[null]]);
  });

  it('are put together when they come in pieces', () => {
    const rows = rowMask([column(25), column(25)], [pass, mask]);
    const long = 'x'.repeat(200_000);
    const row = texts(long, '123-45-6789');
    assert.equal(rows.piece(row.subarray(0, 70_000), false), undefined);
    assert.equal(rows.piece(row.subarray(70_000, 140_000), false), undefined);
    const whole = rows.piece(row.subarray(140_000), true);
    assert.deepEqual(whole && valuesOf(whole), [[long, '•••']]);
    assert.deepEqual(valuesOf(rows.rows(texts('a', 'b'))), [['a', '•••']], 'and the next one by itself');
  });

  it('are masked whole when they are longer than can be kept', () => {
    const tally = newTally();
    const rows = rowMask([column(25), column(23), column(25)], [pass, pass, mask], tally);
    const piece = Buffer.alloc(9 << 20, 0x78);
    assert.equal(rows.piece(piece, false), undefined);
    const whole = rows.piece(piece, true);
    assert.deepEqual(whole && valuesOf(whole), [['•••', null, '•••']]);
    assert.equal(tally.unknown, 3);
  });

  it('are refused when they are not what their description promised', () => {
    const rows = rowMask([column(25), column(25)], [pass, mask]);
    const row = texts('a', 'b');
    const lies = Buffer.from(row);
    lies.writeInt32BE(100, 7);
    for (const bad of [texts('a'), texts('a', 'b', 'c'), row.subarray(0, 9), lies]) {
      assert.throws(() => rows.rows(bad), { code: 'PROTOCOL' });
    }
    const negative = Buffer.from(row);
    negative.writeInt32BE(-2, 7);
    assert.throws(() => rows.rows(negative), { code: 'PROTOCOL' });
  });

  it('grow when the masks are longer than what they replace', () => {
    const rows = rowMask([column(25)], [mask]);
    const batch = Buffer.concat(Array.from({ length: 5_000 }, () => texts('')));
    const shown = valuesOf(rows.rows(batch));
    assert.equal(shown.length, 5_000);
    assert.ok(shown.every(([value]) => value === '•••'));
  });
});
