/** Whatever arrives on a queue: only what was sealed for it, in this version or the one before, is ever read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type CardJob, cardJobSchema } from './cards.ts';
import { type Reader, readPayload } from './payload.ts';
import { type Envelope, newKeyPair, seal, signingKey, verifyingKey } from './sign.ts';
import { voteMessageSchema } from './votes.ts';

const key = signingKey(newKeyPair().secret);
const trusted = [verifyingKey(key.public)];
const CARDS: Reader<CardJob> = { schema: cardJobSchema, version: 1, upcasters: {} };
const VOTES = { schema: voteMessageSchema, version: 1, upcasters: {} };
const RUNS = { seed: 20_261_123, numRuns: 400 };

const notice = fc.record({
  kind: fc.constant('notice' as const),
  v: fc.constant(1 as const),
  id: fc.string({ maxLength: 120 }),
  channel: fc.string({ maxLength: 64 }),
  text: fc.string({ unit: 'binary', maxLength: 200 }),
  at: fc.nat(),
});

/** One character of one field is another one. */
const changed = (envelope: Envelope) =>
  fc
    .tuple(
      fc.constantFrom('by' as const, 'body' as const, 'sig' as const),
      fc.nat(),
      fc.string({ minLength: 1, maxLength: 1 }),
    )
    .map(([field, at, put]) => {
      const text = envelope[field];
      const i = at % text.length;
      return { ...envelope, [field]: text.slice(0, i) + put + text.slice(i + 1) };
    });

describe('what is read from a queue', () => {
  it('is what was sealed for it, to the letter', () => {
    fc.assert(
      fc.property(notice, (job) => {
        const read = readPayload(seal(job, 'cards', key), 'cards', trusted, CARDS);
        assert.ok(read.ok && JSON.stringify(read.value) === JSON.stringify(cardJobSchema.parse(job)));
        assert.equal(readPayload(seal(job, 'cards', key), 'votes.gw', trusted, CARDS).ok, false);
      }),
      RUNS,
    );
  });

  it('is nothing where a single character of it was changed', () => {
    const cases = notice.chain((job) => {
      const envelope = seal(job, 'cards', key);
      return changed(envelope).map((forged) => ({ envelope, forged }));
    });
    fc.assert(
      fc.property(cases, ({ envelope, forged }) => {
        fc.pre(JSON.stringify(forged) !== JSON.stringify(envelope));
        // The last of 86 characters of base64url has bits that stand for nothing.
        fc.pre(
          !Buffer.from(forged.sig, 'base64url').equals(Buffer.from(envelope.sig, 'base64url')) ||
            forged.sig === envelope.sig,
        );
        const read = readPayload(forged, 'cards', trusted, CARDS);
        assert.ok(!read.ok && /not sealed/.test(read.why));
      }),
      RUNS,
    );
  });

  it('is never an error, whatever it is and whoever sealed it', () => {
    fc.assert(
      fc.property(fc.anything(), fc.jsonValue(), (anything, payload) => {
        for (const reader of [CARDS, VOTES] as Reader<unknown>[]) {
          assert.equal(readPayload(anything, 'q', trusted, reader).ok, false);
          assert.equal(readPayload(seal(payload, 'q', key), 'q', trusted, reader).ok, false);
        }
      }),
      RUNS,
    );
  });

  it('is of the version of now or lifted from the one before, and of no other', () => {
    const reader: Reader<CardJob> = { ...CARDS, version: 7, schema: cardJobSchema, upcasters: {} };
    const lifting = {
      ...reader,
      upcasters: { 5: (was: object) => ({ ...was }), 6: (was: object) => ({ ...was, lifted: true }) },
    };
    const schema = {
      safeParse: (value: unknown) => ({ success: true, data: value }),
    } as unknown as typeof cardJobSchema;
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 0, max: 12 }), fc.anything()), (v) => {
        const read = readPayload(seal({ v }, 'q', key), 'q', trusted, { ...lifting, schema });
        assert.equal(read.ok, v === 7 || v === 6);
        if (read.ok) assert.deepEqual(read.value, v === 7 ? { v: 7 } : { v: 7, lifted: true });
        else assert.equal(read.newer, typeof v === 'number' && Number.isFinite(v) && v > 7);
      }),
      RUNS,
    );
  });
});
