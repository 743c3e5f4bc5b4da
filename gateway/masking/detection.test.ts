/** Detection by name and format, an admin's own patterns, and values too long to be looked at. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDetection } from './detection.ts';
import { DETECTORS } from './detectors.ts';
import { createFormatter } from './formats.ts';
import { adminPatterns, patternMistake, requiredLiteral } from './patterns.ts';
import type { Detection } from './profile.ts';

const formatter = createFormatter(Buffer.alloc(32, 1));
const REDACT = { kind: 'redact' } as const;
const scanner = (detection: Partial<Detection>) =>
  createDetection({ detectors: [], patterns: [], ...detection }, formatter);
const all = scanner({ detectors: DETECTORS.map((name) => ({ name, as: REDACT })) });

describe('detection', () => {
  it('looks for what it was asked to look for, and masks each as its rule says', () => {
    const { scan } = scanner({
      detectors: [
        { name: 'card', as: { kind: 'last4' } },
        { name: 'email', as: { kind: 'partial' } },
      ],
    });
    const found = scan('jane.doe@example.com paid with 4111-1111-1111-1111, SSN 123-45-6789');
    assert.equal(found?.text, 'j•••@•••.com paid with **** **** **** 1111, SSN 123-45-6789');
    assert.deepEqual(found?.hits, { card: 1, email: 1 });
    assert.equal(scan('SSN 123-45-6789'), undefined);
  });

  it('shows a find inside a text as dots where its rule says null', () => {
    const { scan } = scanner({ detectors: [{ name: 'card', as: { kind: 'null' } }] });
    assert.equal(scan('paid with 4111111111111111')?.text, 'paid with •••');
  });

  it('finds what hides behind wide digits and invisible characters, and keeps what is around it', () => {
    assert.equal(all.scan('où 41\u200b11 1111 1111 1111\u200b été')?.text, 'où •••\u200b été');
    assert.equal(all.scan('où été'), undefined);
  });

  it('masks whole what is longer than 16 Mi characters', () => {
    const found = all.scan(`${'x'.repeat(16 << 20)}4111111111111111`);
    assert.deepEqual(found, { text: '•••', hits: { 'too long': 1 } });
  });

  it('finds what lies anywhere in a long value, and a token longer than any window', () => {
    const token = `eyJhbGciOiJSUzI1NiJ9.${'a'.repeat(300_000)}.${'b'.repeat(300)}`;
    const found = all.scan(`${'x '.repeat(40_000)}${token} 4111111111111111 ${'y '.repeat(40_000)}`);
    assert.deepEqual(found?.hits, { jwt: 1, card: 1 });
    assert.doesNotMatch(found?.text ?? '', /aaa|bbb|4111/);
  });
});

describe('an admin’s pattern', () => {
  const staff = { name: 'staff', source: 'EMP-\\d{6}', as: { kind: 'last4' } } as const;

  it('is looked for beside the built-in ones', () => {
    const { scan, suspicious } = scanner({ detectors: [{ name: 'card', as: REDACT }], patterns: [staff] });
    const text = 'EMP-001234 has 4111111111111111';
    assert.ok(suspicious(Buffer.from(text), 0, text.length));
    assert.deepEqual(scan(text), { text: '•••-••1234 has •••', hits: { staff: 1, card: 1 } });
    assert.equal(scan('EMP-00123'), undefined);
    assert.equal(scan('ＥＭＰ－００１２３４')?.hits.staff, 1);
  });

  it('leaves nothing of two finds that overlap, and counts the wider', () => {
    const { scan } = scanner({
      patterns: [
        { name: 'narrow', source: 'abcde', as: REDACT },
        { name: 'wide', source: 'defghi', as: REDACT },
      ],
    });
    assert.deepEqual(scan('-abcdefghi-'), { text: '-•••-', hits: { wide: 1 } });
  });

  it('lets no value pass unread where it has no text of its own', () => {
    const { scan, suspicious } = scanner({ patterns: [{ name: 'any', source: '[a-f]{3}\\d', as: REDACT }] });
    assert.ok(suspicious(Buffer.from('xabc1'), 0, 5));
    assert.equal(scan('xabc1')?.text, 'x•••');
  });

  it('masks the whole value when it would cost too much', () => {
    const patterns = Array.from({ length: 50 }, (_, i) => ({
      name: `p${i}`,
      source: `[a-z]{${i + 1}}\\d`,
      as: REDACT,
    }));
    assert.deepEqual(scanner({ patterns }).scan('x'.repeat(30_000)), { text: '•••', hits: { exhausted: 1 } });
    assert.equal(scanner({ patterns: [staff] }).scan('x'.repeat(2_000_000)), undefined, 'its text is not there');
  });

  it('takes linear time where a backtracking engine would not come back', () => {
    const { find } = adminPatterns([{ name: 'a', source: '(a+)+x' }]);
    const started = performance.now();
    assert.deepEqual(find('a'.repeat(20_000)), { finds: [] });
    assert.ok(performance.now() - started < 5_000);
  });

  for (const [source, mistake] of [
    ['', /1 to 256/],
    ['x'.repeat(257), /1 to 256/],
    ['(?<=a)b', /look-around/],
    ['(a)\\1', /back references/],
    ['a(', /RE2/],
    ['a*', /empty text/],
    ['(a{100}){10}(b{100}){10}', /repeats too much/],
    ['((a{100}){100}){100}', /RE2/],
  ] as const) {
    it(`is refused: ${source.slice(0, 20)}`, () => assert.match(patternMistake(source) ?? '', mistake));
  }

  for (const [source, literal] of [
    ['EMP-\\d{6}', 'emp-'],
    ['(?i)badge no', 'badge no'],
    ['ab+cd', 'bcd'],
    ['ab?cd', 'cd'],
    ['ab{0,3}cd', 'cd'],
    ['ab{2}c', 'ab'],
    ['ab|cd', undefined],
    ['(ab)?c', undefined],
    ['(?i:ab)', undefined],
    ['[abc]{3}', undefined],
    ['[]ab]x', undefined],
    ['\\pLab', 'ab'],
    ['\\x4ab', undefined],
    ['\\p{Greek}', undefined],
    ['\\Qab\\E*', undefined],
    ['a\\.b', undefined],
    ['^ab$', 'ab'],
    ['ab**', undefined],
  ] as const) {
    it(`has to hold ${literal ?? 'no text that is known'}: ${source}`, () => {
      assert.equal(requiredLiteral(source), literal);
    });
  }
});
