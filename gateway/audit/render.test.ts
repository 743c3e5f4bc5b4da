/** An entry as JSON: the same as JSON.stringify would say, but for what the detectors and the bounds take out. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { renderMembers } from './render.ts';

const rendered = (entry: object) => JSON.parse(`{${renderMembers({ ...entry })}}`);

/** Nothing in it that a detector could take for a card, a key or an address. */
const plain = fc.string({
  unit: fc.constantFrom('a', 'é', '\u{1f600}', '"', '\\', '\n', '\0', ' ', ';'),
  maxLength: 40,
});
const value = fc.letrec((tie) => ({
  leaf: fc.oneof(plain, fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.constant(undefined)),
  node: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('node'), { maxLength: 5 }),
    fc.dictionary(plain, tie('node'), { maxKeys: 5 }),
  ),
})).node;
const entry = fc.dictionary(fc.constantFrom('headline', 'effects', 'parameters', 'rules', 'why', 'operation'), value);

function freeze<T>(of: T): T {
  if (typeof of === 'object' && of !== null) for (const item of Object.values(of)) freeze(item);
  return Object.freeze(of);
}

describe('an audit entry as JSON', () => {
  it('keeps a hash whose digits could be a card’s', () => {
    const hash = 'b6864dc4877750a2ee4648843944028ca6431c299decbd0e07aff49fae90d91a';
    assert.deepEqual(rendered({ after: { hash }, ends: [{ hash }] }), { after: { hash }, ends: [{ hash }] });
    assert.notEqual(rendered({ why: hash }).why, hash);
    assert.notEqual(rendered({ hash: '4111111111111111' })._hash, '4111111111111111');
  });

  it('says what JSON.stringify says, of any values, the first time and again, frozen or not', () => {
    fc.assert(
      fc.property(entry, (fields) => {
        const expected = JSON.parse(JSON.stringify(fields));
        assert.deepEqual(rendered(fields), expected);
        const frozen = freeze(structuredClone(fields));
        assert.deepEqual(rendered(frozen), expected);
        assert.deepEqual(rendered(frozen), expected);
      }),
      { numRuns: 500 },
    );
  });

  it('writes a frozen list anew where something inside it can still change', () => {
    const effect = { action: 'read', object: 'public.a' };
    const effects = Object.freeze([effect]);
    assert.deepEqual(rendered({ effects }), { effects: [{ action: 'read', object: 'public.a' }] });
    effect.object = 'public.b';
    assert.deepEqual(rendered({ effects }), { effects: [{ action: 'read', object: 'public.b' }] });
  });

  it('keeps an identifier as it is, and the same text under any other name masked', () => {
    const card = '4111111111111111';
    const list = Object.freeze([card]);
    assert.deepEqual(rendered({ session: card, slack: list }), { session: card, slack: [card] });
    assert.doesNotMatch(JSON.stringify(rendered({ why: card, parameters: list })), /4111111111111111/);
    assert.doesNotMatch(JSON.stringify(rendered({ operation: 'cst_AAAAAAAAAAAAAAAAAAAAAAAA' })), /AAAAAAAA/);
  });

  it("does not let an entry set the chain's own members", () => {
    assert.deepEqual(rendered({ seq: 1, hash: 'x', prev: 'y', at: 'z' }), {
      _seq: 1,
      _hash: 'x',
      _prev: 'y',
      _at: 'z',
    });
  });
});
