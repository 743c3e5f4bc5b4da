import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { copyData } from '../builders.ts';
import { Parser } from '../inspect/parser.ts';
import { unwrap } from '../inspect/tree.ts';
import type { Treatment } from './columns.ts';
import { CopyMask } from './copy-out.ts';
import { copyShape } from './copy-shape.ts';
import { type Masker, newTally } from './rows.ts';

const parser = new Parser({ serverMajor: 18, deadlineMs: 1_000 });
const mask: Treatment = { kind: 'mask', format: { kind: 'redact' }, why: 'origin' };
const pass: Treatment = { kind: 'pass' };
const scan: Treatment = { kind: 'scan' };
/** Shows what it was given, so that a test sees whether the value was read rightly. */
const masker: Masker = {
  mask: (format, typeOid, _wire, value) =>
    format.kind === 'fixed' ? Buffer.from(format.text) : typeOid === 20 ? null : Buffer.from(`<${value}>`),
  scanner: {
    suspicious: (bytes, from, to) => bytes.subarray(from, to).includes('secret'),
    scan: (text) =>
      text.includes('secret') ? { text: text.replaceAll('secret', '•••'), hits: { secret: 1 } } : undefined,
  },
};

async function shapeOf(sql: string) {
  const [statement] = await parser.parse(sql);
  return copyShape(unwrap(statement?.stmt)?.body ?? {});
}

async function copy(sql: string, treatments: readonly Treatment[], types: readonly number[] = []) {
  const shape = await shapeOf(sql);
  assert.ok(shape, 'the layout is understood');
  const columns = treatments.map((treatment, at) => ({ treatment, typeOid: types[at] ?? 25 }));
  const made = new CopyMask({ shape, columns, rest: mask }, masker, newTally());
  return (row: string | Buffer) =>
    made
      .rows(copyData(Buffer.from(row)))
      .subarray(5)
      .toString('latin1');
}

describe('COPY TO STDOUT with masked columns', () => {
  it('masks a column of text format by position and leaves the rest', async () => {
    const rows = await copy('COPY t TO STDOUT', [pass, mask, pass]);
    assert.equal(rows('1\t078-05-1120\tAda\n'), '1\t<078-05-1120>\tAda\n');
    assert.equal(rows('2\t\\N\tBruno\n'), '2\t\\N\tBruno\n', 'NULL stays NULL');
  });

  it('reads escapes as the server writes them: no delimiter or newline in a value moves a column', async () => {
    const rows = await copy('COPY t TO STDOUT', [mask, pass]);
    assert.equal(rows('a\\tb\\nc\\\\d\tplain\\tx\n'), '<a\\tb\\nc\\\\d>\tplain\\tx\n');
  });

  it('takes delimiter and null text from the statement', async () => {
    const rows = await copy("COPY t TO STDOUT (DELIMITER '|', NULL 'none')", [mask, mask, pass]);
    assert.equal(rows('a\\|b|none|c\n'), '<a\\|b>|none|c\n');
  });

  it('masks CSV, with quotes, doubled quotes, newlines and an escape of its own', async () => {
    const rows = await copy('COPY t TO STDOUT (FORMAT csv)', [pass, mask]);
    assert.equal(rows('1,"a ""b"", c\nd"\n'), '1,"<a ""b"", c\nd>"\n');
    assert.equal(rows('1,\n'), '1,\n', 'an unquoted empty field is NULL');
    assert.equal(rows('"x,y",secret\n'), '"x,y","<secret>"\n');
    const other = await copy(`COPY t TO STDOUT WITH CSV QUOTE '''' ESCAPE '\\'`, [mask, pass]);
    assert.equal(other("'a\\'b,c',d\n"), "'<a\\'b,c>',d\n");
  });

  it('leaves a header alone, and only the first row is one', async () => {
    const rows = await copy('COPY t TO STDOUT (FORMAT csv, HEADER)', [mask]);
    assert.equal(rows('ssn\n'), 'ssn\n');
    assert.equal(rows('ssn\n'), '"<ssn>"\n');
  });

  it('masks the binary format: header, values by type, NULL, trailer', async () => {
    const rows = await copy('COPY t TO STDOUT (FORMAT binary)', [mask, mask, pass], [25, 20, 25]);
    const head = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]);
    const cell = (value: string | null) => {
      const size = Buffer.alloc(4);
      size.writeInt32BE(value === null ? -1 : value.length);
      return value === null ? size : Buffer.concat([size, Buffer.from(value)]);
    };
    const tuple = (...values: (string | null)[]) =>
      Buffer.concat([Buffer.from([0, values.length]), ...values.map(cell)]);
    const first = rows(Buffer.concat([head, tuple('ssn', '12345678', 'Ada')]));
    assert.equal(first, Buffer.concat([head, tuple('<ssn>', null, 'Ada')]).toString('latin1'));
    assert.equal(rows(tuple(null, null, null)), tuple(null, null, null).toString('latin1'));
    assert.equal(rows(Buffer.from([0xff, 0xff])), '\xff\xff');
  });

  it('runs the detectors over fields that are not masked by column', async () => {
    const rows = await copy('COPY t TO STDOUT', [scan, pass]);
    assert.equal(Buffer.from(rows('my secret\tx\n'), 'latin1').toString(), 'my •••\tx\n');
  });

  it('refuses rows that are not laid out as the statement asked', async () => {
    const text = await copy('COPY t TO STDOUT', [pass, mask]);
    for (const row of ['a\tb', 'a\n', 'a\tb\tc\n', '']) assert.throws(() => text(row), { code: 'PROTOCOL' }, row);
    const csv = await copy('COPY t TO STDOUT CSV', [pass, mask]);
    assert.throws(() => csv('a,"b\n'), { code: 'PROTOCOL' });
    const binary = await copy('COPY t TO STDOUT BINARY', [mask]);
    assert.throws(() => binary(Buffer.from('not a COPY header, that long at least')), { code: 'PROTOCOL' });
  });

  it('puts rows together that come in pieces, and ends at one too long to keep', async () => {
    const shape = await shapeOf('COPY t TO STDOUT');
    assert.ok(shape);
    const columns = [{ treatment: mask, typeOid: 25 }];
    const pieces = new CopyMask({ shape, columns, rest: mask }, masker, newTally());
    const long = copyData(Buffer.from(`${'x'.repeat(100_000)}\n`));
    assert.equal(pieces.piece(long.subarray(0, 60_000), false), undefined);
    assert.equal(pieces.piece(long.subarray(60_000), true)?.length, long.length + 2);
    const endless = new CopyMask({ shape, columns, rest: mask }, masker, newTally());
    assert.equal(endless.piece(Buffer.alloc(16 << 20), false), undefined);
    assert.throws(() => endless.piece(Buffer.alloc(1), false), { code: 'LIMIT' });
  });

  it('does not claim to understand another encoding, an unknown option, or one given twice', async () => {
    for (const options of ["ENCODING 'SJIS'", 'FORMAT csv, SOMETHING 1', 'FORMAT csv, FORMAT text', "DELIMITER '::'"]) {
      assert.equal(await shapeOf(`COPY t TO STDOUT (${options})`), undefined, options);
    }
    assert.ok(await shapeOf("COPY t TO STDOUT (ENCODING 'UTF8', FORCE_QUOTE *, FORMAT csv)"));
  });
});
