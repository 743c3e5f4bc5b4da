/** Cards in two versions: what a process before this one can read is written so that it can. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aCard } from '../test/support/bot-stage.ts';
import { CARDS_UPCASTERS, CARDS_VERSION, cardJob, cardJobSchema, cardSchema } from './cards.ts';
import { readPayload } from './payload.ts';
import { newKeyPair, seal, signingKey, verifyingKey } from './sign.ts';

const key = signingKey(newKeyPair().secret);
const trusted = [verifyingKey(key.public)];
const before = { schema: cardJobSchema, version: 1, upcasters: {} };
const now = { schema: cardJobSchema, version: CARDS_VERSION, upcasters: CARDS_UPCASTERS };
const stopped = { after: '1,000 rows', preview: [['1', 'Ada', '•••']] };
const sealed = (change: object) => seal(cardJob(aCard(change)), 'cards', key);

describe('a card', () => {
  it('without what version 2 added is read by processes before it, and by those of now', () => {
    for (const reader of [before, now]) assert.equal(readPayload(sealed({}), 'cards', trusted, reader).ok, true);
  });

  it('of a stopped result is left to newer processes by those before, and read whole by those of now', () => {
    const early = readPayload(sealed({ stopped }), 'cards', trusted, before);
    assert.ok(!early.ok && early.newer);
    const late = readPayload(sealed({ stopped }), 'cards', trusted, now);
    assert.ok(late.ok && late.value.kind === 'card');
    assert.deepEqual(late.value.card.stopped, stopped);
  });

  it('shows at most three rows of ten columns', () => {
    const fits = (preview: string[][]) => cardSchema.safeParse(aCard({ stopped: { ...stopped, preview } })).success;
    assert.equal(fits(Array(3).fill(Array(10).fill('x'.repeat(200)))), true);
    assert.equal(fits(Array(4).fill(['x'])), false);
    assert.equal(fits([Array(11).fill('x')]), false);
    assert.equal(fits([['x'.repeat(201)]]), false);
  });
});
