/** Masks of values: what they show, what they never show, and what a typed client can read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createFormatter } from './formats.ts';
import type { MaskFormat } from './profile.ts';

const formatter = createFormatter(Buffer.alloc(32, 7));
const KINDS = ['redact', 'last4', 'partial', 'hash'] as const;
const FORMATS: readonly MaskFormat[] = [
  ...KINDS.map((kind) => ({ kind })),
  { kind: 'null' },
  { kind: 'fixed', text: 'say "no"' },
];

describe('a masked text', () => {
  for (const [kind, value, expected] of [
    ['redact', 'anything at all', '•••'],
    ['redact', '', '•••'],
    ['last4', '4111111111111111', '**** **** **** 1111'],
    ['last4', '4111 1111 1111 1111', '**** **** **** 1111'],
    ['last4', '378282246310005', '**** **** **** 0005'],
    ['last4', '123-45-1120', '•••-••-1120'],
    ['last4', 'DE89 3704 0044 0532 0130 00', '•••• •••• •••• •••• ••30 00'],
    ['last4', 'AB-12345', '•••'],
    ['last4', '١٢٣-٤٥-٦٧٨٩', '•••-••-٦٧٨٩'],
    ['last4', `${'x'.repeat(500)} 12345678`, '•••5678'],
    ['partial', 'jane.doe@example.com', 'j•••@•••.com'],
    ['partial', 'j@x.co', '•••@•••'],
    ['partial', '4ever@example.com', '•••@•••.com'],
    ['partial', 'Jane', 'J•••'],
    ['partial', 'Jane Elizabeth Doe', 'J••••••'],
    ['partial', 'Jo', '•••'],
    ['partial', '+1 415 555 0132', '••••••'],
    ['partial', '4111111111111111', '••••••'],
    ['partial', '𝒜lice in chains', '𝒜••••••'],
  ] as const) {
    it(`${kind}: ${value.slice(0, 30)} is shown as ${expected}`, () => {
      assert.equal(formatter.mask({ kind }, value), expected);
    });
  }

  it('hashes equal values alike, whatever the column, and differently under another key', () => {
    const [a, b] = [formatter.mask({ kind: 'hash' }, 'jane'), formatter.mask({ kind: 'hash' }, 'john')];
    assert.match(a ?? '', /^h:[0-9a-f]{16}$/);
    assert.notEqual(a, b);
    assert.notEqual(a, createFormatter(Buffer.alloc(32, 8)).mask({ kind: 'hash' }, 'jane'));
    const padded = formatter.maskTyped({ kind: 'hash' }, 1042, 'text', Buffer.from('jane      '));
    assert.equal(padded?.toString(), a, 'char(n) is padded');
  });

  it('is bounded, whole in UTF-8, the same each time, and shows no more when masked again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.constantFrom(...KINDS), (value, kind) => {
        const text = Buffer.from(value).toString();
        const masked = formatter.mask({ kind }, text) ?? '';
        assert.ok(masked.length <= 80, masked);
        assert.equal(Buffer.from(masked).toString(), masked);
        assert.equal(formatter.mask({ kind }, text), masked);
        const again = formatter.mask({ kind }, masked) ?? '';
        const shown = (mask: string) => [...mask.replace(/^h:/, '')].filter((c) => /[\p{L}\p{N}]/u.test(c));
        if (kind !== 'hash') assert.ok(shown(again).length <= shown(masked).length);
        if (kind === 'last4') assert.ok(shown(masked).length <= 4);
        if (kind === 'partial') assert.ok(3 * shown(masked).length <= text.length);
      }),
      { numRuns: 2_000 },
    );
  });

  it('costs no more than its length, however long', () => {
    const started = performance.now();
    for (const format of FORMATS)
      for (const seed of ['a', '1 ', 'a@', ' ', '•']) formatter.mask(format, seed.repeat(1e6));
    assert.ok(performance.now() - started < 2_000);
  });
});

describe('a masked value of a type', () => {
  const typed = (format: MaskFormat, oid: number, wire: 'text' | 'binary', value: string) =>
    formatter.maskTyped(format, oid, wire, Buffer.from(value))?.toString() ?? null;

  it('is the mask where the type is a text, in both formats', () => {
    for (const oid of [19, 25, 705, 1042, 1043]) {
      for (const wire of ['text', 'binary'] as const) {
        assert.equal(typed({ kind: 'last4' }, oid, wire, '123-45-1120'), '•••-••-1120');
      }
    }
  });

  it('is a JSON string in json and jsonb', () => {
    assert.equal(typed({ kind: 'redact' }, 114, 'text', '{"a":1}'), '"•••"');
    assert.equal(typed({ kind: 'redact' }, 3802, 'text', '{"a":1}'), '"•••"');
    assert.equal(typed({ kind: 'redact' }, 3802, 'binary', '\x01{"a":1}'), '\x01"•••"');
    assert.equal(typed({ kind: 'fixed', text: 'say "no"' }, 114, 'binary', '1'), '"say \\"no\\""');
  });

  it('is NULL in every other type, and in every type where the rule says null', () => {
    for (const oid of [16, 17, 18, 20, 23, 142, 700, 1009, 1082, 1184, 1700, 2950, 0, 99_999]) {
      for (const format of FORMATS) assert.equal(typed(format, oid, 'text', '4111111111111111'), null, `${oid}`);
    }
    for (const oid of [25, 114, 3802]) assert.equal(typed({ kind: 'null' }, oid, 'text', 'x'), null);
  });
});
