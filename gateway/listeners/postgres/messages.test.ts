/** The parsers read what the builders write, and refuse everything one byte beside it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as build from './builders.ts';
import * as read from './messages.ts';
import type { Frame } from './wire.ts';

const frame = (bytes: Buffer): Frame => ({ type: bytes[0] ?? 0, bytes, first: true, last: true });
const body = (type: string, latin1: string): Frame => frame(Buffer.from(`${type}\0\0\0\0${latin1}`, 'latin1'));
const malformed = { code: 'PROTOCOL', message: /^malformed / };

/** Every parser with a message it must take. */
const good: [string, (frame: Frame) => unknown, Buffer][] = [
  ['Query', read.parseQuery, build.query("select 'ü\u{1f600}'")],
  ['Parse', read.parseParse, build.parse('s', 'select $1', [23, 4294967295])],
  ['Bind', read.parseBind, build.bind('p', 's', ['x', null, ''])],
  ['Describe', read.parseDescribe, build.describe('P', 'p')],
  ['Close', read.parseClose, build.close('S', 's')],
  ['Execute', read.parseExecute, build.execute('p', 100)],
  ['password', read.parsePassword, build.password('secret')],
  ['CopyFail', read.parseCopyFail, build.copyFail('no')],
  ['CommandComplete', read.parseCommandComplete, build.commandComplete('INSERT 0 5')],
  [
    'ErrorResponse',
    read.parseServerMessage,
    build.errorResponse({ severity: 'ERROR', sqlstate: '42501', message: 'no' }),
  ],
  ['ReadyForQuery', read.parseReadyForQuery, build.readyForQuery('E')],
  ['ParameterStatus', read.parseParameterStatus, build.parameterStatus('a', 'b')],
  ['BackendKeyData', read.parseBackendKeyData, build.backendKeyData(-5, Buffer.from('four'))],
  ['Sync', read.parseEmpty, build.sync()],
];

describe('every parser', () => {
  for (const [name, parse, bytes] of good) {
    it(`${name}: takes its message, and neither a shorter nor a longer one`, () => {
      parse(frame(bytes));
      for (let length = 5; length < bytes.length; length++) {
        if (name === 'BackendKeyData' && length >= 13) continue;
        assert.throws(() => parse(frame(bytes.subarray(0, length))), malformed, `cut at ${length}`);
      }
      if (name === 'BackendKeyData') return; // its secret may be longer
      assert.throws(() => parse(frame(Buffer.concat([bytes, Buffer.from('x')]))), malformed);
      assert.throws(() => parse(frame(Buffer.concat([bytes, Buffer.from([0])]))), malformed);
    });

    it(`${name}: takes no piece of a message`, () => {
      assert.throws(() => parse({ ...frame(bytes), last: false }), malformed);
    });
  }
});

describe('what is read', () => {
  it('Query keeps its text byte for byte, a BOM too', () => {
    assert.equal(read.parseQuery(frame(build.query('\u{feff}select 1'))), '\u{feff}select 1');
  });

  it('text with a NUL inside or that is no UTF-8 is refused', () => {
    for (const text of [
      'select 1\0; drop table t\0',
      'caf\xe9\0',
      '\xc0\xaf\0',
      '\xed\xa0\x80\0',
      '\xf5\x80\x80\x80\0',
    ]) {
      assert.throws(() => read.parseQuery(body('Q', text)), malformed, JSON.stringify(text));
    }
    assert.throws(() => read.parseParse(body('P', 'name\xff\0select 1\0\0\0')), malformed);
  });

  it('Parse: names and types; a count that does not match its types', () => {
    const message = read.parseParse(frame(build.parse('s', 'select $1', [23, 4294967295])));
    assert.deepEqual(message, { name: 's', text: 'select $1', parameterTypes: [23, 4294967295] });
    assert.throws(() => read.parseParse(body('P', '\0select 1\0\xff\xff')), malformed);
    assert.throws(() => read.parseParse(body('P', '\0select 1\0\0\x01\0\0\0')), malformed);
  });

  it('Bind: one format for all, one for each, none; NULL is not empty', () => {
    const value = '\0\0\0\x01x';
    const nul = '\xff\xff\xff\xff';
    const one = read.parseBind(body('B', `p\0s\0\0\x01\0\x01\0\x02${value}${nul}\0\x01\0\x01`));
    assert.deepEqual(
      one.parameters.map(({ format }) => format),
      ['binary', 'binary'],
    );
    assert.deepEqual(one.parameters[1]?.value, null);
    assert.deepEqual(one.resultFormats, [1]);
    const each = read.parseBind(body('B', `p\0s\0\0\x02\0\0\0\x01\0\x02${value}${value}\0\0`));
    assert.deepEqual(
      each.parameters.map(({ format }) => format),
      ['text', 'binary'],
    );
    assert.deepEqual(read.parseBind(frame(build.bind('p', 's', ['']))).parameters[0]?.value, Buffer.alloc(0));
  });

  it('Bind: lengths of -2 and beyond the message, counts that lie, formats that are none', () => {
    for (const [what, rest] of [
      ['length -2', '\0\0\0\x01\xff\xff\xff\xfe\0\0'],
      ['length -2147483648', '\0\0\0\x01\x80\0\0\0\0\0'],
      ['length past the end', '\0\0\0\x01\0\0\0\x09x\0\0'],
      ['length 0x7fffffff', '\0\0\0\x01\x7f\xff\xff\xffx\0\0'],
      ['65,535 parameters', '\0\0\xff\xff\0\0\0\x01x\0\0'],
      ['65,535 formats', '\xff\xff\0\x01\0\0\0\x01x\0\0'],
      ['65,535 result formats', '\0\0\0\0\xff\xff'],
      ['two formats for one value', '\0\x02\0\0\0\0\0\x01\0\0\0\x01x\0\0'],
      ['format 2', '\0\x01\0\x02\0\x01\0\0\0\x01x\0\0'],
      ['result format -1', '\0\0\0\0\0\x01\xff\xff'],
    ] as const) {
      assert.throws(() => read.parseBind(body('B', `p\0s\0${rest}`)), malformed, what);
    }
  });

  it('Bind: 65,535 parameters that are there', () => {
    const message = read.parseBind(
      frame(
        build.bind(
          '',
          '',
          Array.from({ length: 65_535 }, () => '1'),
        ),
      ),
    );
    assert.equal(message.parameters.length, 65_535);
  });

  it('Execute takes negative row limits as all, as the server does', () => {
    assert.equal(read.parseExecute(body('E', '\0\xff\xff\xff\xff')).maxRows, 0);
  });

  it('Describe and Close name a statement or a portal and nothing else', () => {
    assert.deepEqual(read.parseDescribe(frame(build.describe('S', 'x'))), { kind: 'S', name: 'x' });
    assert.throws(() => read.parseClose(body('C', 'X\0')), malformed);
  });

  it('a server message without SQLSTATE or text, in bad encoding, with fields twice', () => {
    const bare = read.parseServerMessage(body('E', 'Mwhy\xff\0Mother\0\0'));
    assert.deepEqual([bare.severity, bare.sqlstate, bare.message], ['ERROR', 'XX000', 'why\u{fffd}']);
    assert.deepEqual(read.parseServerMessage(body('N', '\0')).message, '');
    const full = build.errorResponse({ severity: 'FATAL', sqlstate: '28000', message: 'm', detail: 'd', hint: 'h' });
    const { fields: _, ...rest } = read.parseServerMessage(frame(full));
    assert.deepEqual(rest, { severity: 'FATAL', sqlstate: '28000', message: 'm', detail: 'd', hint: 'h' });
  });

  it('ReadyForQuery knows three states', () => {
    assert.throws(() => read.parseReadyForQuery(body('Z', 'X')), malformed);
  });

  it('RowDescription: columns, and a count of 65,535 that lies', () => {
    const column = 'ssn\0\0\0\x40\0\0\x03\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0';
    const [first] = read.parseRowDescription(body('T', `\0\x01${column}`));
    assert.deepEqual(first, { name: 'ssn', tableOid: 16384, column: 3, typeOid: 25, format: 0 });
    assert.throws(() => read.parseRowDescription(body('T', `\xff\xff${column}`)), malformed);
    assert.throws(() => read.parseRowDescription(body('T', `\0\x01${column}x`)), malformed);
  });

  it('BackendKeyData: secrets of 4 to 256 bytes', () => {
    assert.equal(read.parseBackendKeyData(frame(build.backendKeyData(1, Buffer.alloc(256)))).secret.length, 256);
    assert.throws(() => read.parseBackendKeyData(frame(build.backendKeyData(1, Buffer.alloc(257)))), malformed);
    assert.throws(() => read.parseBackendKeyData(frame(build.backendKeyData(1, Buffer.alloc(3)))), malformed);
  });
});

describe('what is written', () => {
  it('a NUL in a message cannot start another field', () => {
    const bytes = build.errorResponse({ severity: 'ERROR', sqlstate: '42501', message: 'a\0HDrop it', hint: 'b' });
    const { message, hint } = read.parseServerMessage(frame(bytes));
    assert.deepEqual([message, hint], ['a\u{fffd}HDrop it', 'b']);
  });
});
