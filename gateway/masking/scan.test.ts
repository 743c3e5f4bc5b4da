/** The gate: wherever a detector finds something, the bytes were suspicious, alone and in the middle of others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DETECTORS, FINDERS } from './detectors.ts';
import { normalise } from './normalise.ts';
import { createGate } from './scan.ts';

const gates = DETECTORS.map((name) => [name, createGate([name], [])] as const);
const whole = createGate(DETECTORS, []);

/** What texts are put together from, so that many of them are almost, or really, something. */
const PIECES = [
  '4111111111111111',
  '4111 1111 1111 1111',
  '5555-5555-5555-4444',
  '3782 822463 10005',
  '4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1',
  '4111',
  ' ',
  '-',
  '.',
  '_',
  '/',
  '\t',
  '1111',
  '123-45-6789',
  '123 45 6789',
  'SSN: 123456789',
  'social security no="123456789',
  'ann@example.com',
  'ann',
  '@',
  'example',
  '.com',
  'j\u00f6rg@b\u00fccher.example',
  '\u00fc',
  'DE89370400440532013000',
  'GB29 NWBK 6016 1331 9268 19',
  'fr14 2004 1010 0505 0001 3m02 606',
  'DE',
  '89',
  'eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.',
  'eyJzdWIiOiJyZXBvcnQtYm90In0.',
  'cst_aB3dEfGhIjKlMnOpQrStUv',
  'AKIA\u0049OSFODNN7EXAMPLE',
  'ghp_a1B2c3D4e5a1B2c3D4e5a1B2c3D4e5a1B2',
  'xoxb-123456789012-abcdef',
  'xoxe.xoxp-1234567890',
  'sk-abcdefghijklmnopqrst1',
  'sk_live_51Habcdefghijk',
  'hooks.slack.com/services/T00000000/B0',
  'AIzaabcdefghijklmnopqrstuvwxyz123456789',
  'npm_abcdefghijklmnopqrstuvwxyz1234567890',
  'SG.abcdefghijklmnop.abcdefghijklmnop',
  'whsec_abcdefghijklmnop',
  'password',
  'PassPhrase',
  'passcode',
  'pwd',
  'secret',
  'token',
  'credentials',
  'api key',
  'private_key',
  'is ',
  'to ',
  '=',
  ':',
  ':=',
  '=>',
  "'",
  '"',
  '`',
  "E'",
  'hunter2',
  'Zx81kkv02mmA',
  'zq#kkvmmA',
  'Bearer ',
  'basic ',
  'abcdef0123456789',
  'postgres://gate:s3cr3t@db.internal',
  '://',
  'a:b@',
  '-----BEGIN PRIVATE KEY-----',
  '\n',
  '\u200b',
  '\u00ad',
  '\uff14',
  '\u0664',
  '\uff20',
  '\uff1d',
  '\uff02',
  '\u2010',
  '\u00a0',
  '\u2026',
  '\u{1d7d2}',
  '\u0301',
  '\u212a',
  '\u017f',
  '\u0130',
  '\uff0c',
  '\ud55c',
  '\u{1f600}',
  'x',
  '7',
  '0',
] as const;
const text = fc
  .array(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...PIECES) }, fc.string({ unit: 'grapheme', maxLength: 6 })),
    { maxLength: 9 },
  )
  .map((parts) => Buffer.from(parts.join('')).toString());
/** What may stand around a value in a row: lengths, with bytes that look like digits and letters. */
const framing = fc.uint8Array({ maxLength: 6 });

const behind = framing.map((bytes) => Uint8Array.from([0, ...bytes]));

const wide = (digits: string) => [...digits].map((d) => String.fromCharCode(d.charCodeAt(0) + 0xfee0)).join('');

describe('the byte gate', () => {
  it('says yes to whatever a detector finds, each for itself', () => {
    let found = 0;
    fc.assert(
      fc.property(text, (value) => {
        const bytes = Buffer.from(value);
        const plain = normalise(value).text;
        for (const [name, gate] of gates) {
          if (FINDERS[name](plain).length === 0) continue;
          found++;
          assert.ok(gate(bytes, 0, bytes.length), `${name} in ${JSON.stringify(value)}`);
          assert.ok(whole(bytes, 0, bytes.length));
        }
      }),
      { numRuns: 40_000 },
    );
    assert.ok(found > 10_000, `only ${found} finds`);
  });

  it('says yes to a range as soon as it says yes to a part of it, whatever bytes surround that', () => {
    fc.assert(
      fc.property(text, framing, behind, (value, before, after) => {
        const bytes = Buffer.concat([before, Buffer.from(value), after]);
        const end = before.length + Buffer.byteLength(value);
        for (const [name, gate] of gates) {
          if (FINDERS[name](normalise(value).text).length === 0) continue;
          assert.ok(gate(bytes, before.length, end), `${name} in ${JSON.stringify(value)}`);
          assert.ok(gate(bytes, 0, bytes.length), `${name} in ${JSON.stringify(value)} between ${before} and ${after}`);
        }
      }),
      { numRuns: 20_000 },
    );
  });

  it('does not take the last byte of a length for the first digit of a card', () => {
    for (const card of [
      '4111111111111111',
      '4111 1111 1111 1111',
      '3782 822463 10005',
      '4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1',
    ]) {
      for (const length of ['0', '9', '.', ' ', 'A', '-']) {
        const bytes = Buffer.from(`\0\0\0${length}${card}\0`);
        assert.ok(whole(bytes, 0, bytes.length), bytes.toString());
      }
    }
  });

  it('says yes to what could be digits or nothing, and to what is not UTF-8', () => {
    for (const odd of [wide('4111'), '\u200b', '\u0664', '\u{1d7d2}', '\u{e0001}']) {
      const bytes = Buffer.from(`a${odd}b`);
      assert.ok(whole(bytes, 0, bytes.length), odd);
    }
    for (const broken of [
      [0xff],
      [0xc0, 0xb4],
      [0xe0, 0x80, 0xb4],
      [0xc3],
      [0xc3, 0x34],
      [0xed, 0xa0, 0x80],
      [0xf5, 0x80, 0x80, 0x80],
    ]) {
      assert.ok(whole(Buffer.from(broken), 0, broken.length), String(broken));
    }
  });

  it('says no to ordinary values, in ASCII and beyond', () => {
    for (const value of [
      '',
      '42',
      '1234567890',
      '2026-11-22 21:12:19.123456+00',
      '2026-11-22',
      '12345.67',
      '0.000012',
      '192.168.100.200',
      '550e8400-e29b-41d4-a716-44665544a000',
      'Jane Elizabeth Doe',
      'Jörg Müller',
      'Ελλάδα',
      '北京，中国',
      '+1 (415) 555-0132',
      'The key account manager of the secretary took a taskforce to Asia.',
      'Basic needs',
      'passport number',
      'see https://example.com:8443/path?x=1',
      'e-mail me @work',
      'paid',
      'INV-2026-000123',
      '{"id": 7, "tags": ["a", "b"], "at": "2026-11-22T21:12:19.123Z"}',
      '😀',
    ]) {
      const bytes = Buffer.from(value);
      assert.equal(whole(bytes, 0, bytes.length), false, value);
    }
  });

  it('says yes to a value that a word calls secret, however the two are joined', () => {
    for (const value of [
      '{"password": "correct horse"}',
      "'api_key' = x",
      'PASSPHRASE\t:= x',
      "password 'x y'",
      "secret is  E'x'",
      'token Zx81kkv02mmA',
      '"credentials"   Zx81kkv02mmA',
    ]) {
      assert.ok(whole(Buffer.from(value), 0, Buffer.byteLength(value)), value);
    }
  });

  it('asks for an admin’s literals, case aside, and lets nothing pass where there are none', () => {
    const gate = createGate([], ['emp-', 'badge no']);
    const asked = (value: string) => gate(Buffer.from(value), 0, Buffer.byteLength(value));
    assert.ok(asked('it is EMP-000123'));
    assert.ok(asked('Badge No 7'));
    assert.ok(asked('e\u200bmp-000123'));
    assert.equal(asked('empty badges'), false);
    const nested = createGate([], ['my badge', 'bad']);
    assert.ok(nested(Buffer.from('my bad'), 0, 6), 'one text inside the beginning of another');
    assert.ok(createGate([], undefined)(Buffer.from('x'), 0, 1));
  });

  it('costs no more than its length on hostile bytes', () => {
    for (const seed of [
      '4',
      '4 ',
      '4111 ',
      'a@',
      'a@a',
      'pass ',
      'pass',
      '://a:',
      'DE89 ',
      'DE89',
      'sk-',
      'eyJ',
      'basic a',
      '1-',
      'key',
      'é@',
      '123-45-',
    ]) {
      const bytes = Buffer.from(seed.repeat(1_000_000 / seed.length));
      const started = performance.now();
      whole(bytes, 0, bytes.length);
      assert.ok(performance.now() - started < 1_000, `${seed}: ${performance.now() - started} ms`);
    }
  });
});
