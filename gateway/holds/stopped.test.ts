/** Holds of the rest of a result: no word of theirs says that nothing was run, and rows reach the card past the detectors. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type HoldStage, operation, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { rejection } from '../../test/support/rejection.ts';
import type { Operation } from '../operation.ts';
import { digestOf } from './digest.ts';

const stopped = {
  rows: 1_000,
  bytes: 123_456,
  preview: [['1', 'Ada', `${'x'.repeat(190)} 4111111111111111`, ...Array(12).fill('more')], ['2'], ['3'], ['4']],
  usedUp: ['file:exports rows/statement'],
};
const rest = (change: Partial<Operation> = {}) =>
  operation({ effects: [{ action: 'read', object: 'public.customers' }], stopped, ...change });

describe('the rest of a result', () => {
  let stage: HoldStage;
  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  beforeEach(() => asUsual(stage));

  it('is asked about with what its client has, cut and past the detectors', async () => {
    const { answer, card, waiting } = await stage.hold(rest());
    assert.match(waiting.told[0]?.text ?? '', /^held for approval after 1,000 rows · /);
    assert.equal(card.stopped?.after, '1,000 rows');
    assert.deepEqual(
      card.stopped?.preview.map((row) => row.length),
      [10, 1, 1],
    );
    assert.equal(card.stopped?.preview[0]?.[2], `${'x'.repeat(190)} [card]`);
    const opened = stage.audit.of('hold.open').at(-1);
    assert.deepEqual(opened?.stopped, { rows: 1_000, bytes: 123_456 });
    await stage.vote(card, 'U0ALICE');
    (await answer).settle({ kind: 'done', tag: 'SELECT 5000', rows: 5_000, ms: 9 });
    const done = await stage.card(({ hold, state }) => hold === card.hold && state === 'done');
    assert.equal(done.outcome?.text, 'SELECT 5,000 rows in 9 ms');
  });

  it('is refused with what its client has, to the client, to the voter and to whoever clicks too late', async () => {
    const { answer, card } = await stage.hold(rest());
    const receipt = await stage.vote(card, 'U0CAROL', { decision: 'deny', reason: 'take a sample' });
    assert.equal(receipt.text, 'Denied. The first 1,000 rows were sent, the rest was not.');
    const error = await rejection(answer);
    assert.match(error.hint ?? '', /The first 1,000 rows were sent, the rest was not\.$/);
    assert.match((await stage.vote(card, 'U0ALICE')).text, /this was denied at .*; stopped after 1,000 rows/);
  });

  it('is not covered by an approval of more, or of the whole', () => {
    const [policyVersion, salt] = ['v1', Buffer.alloc(32)];
    const one = rest();
    const digest = (about: Operation) => digestOf({ hold: 'h', salt, operation: about, demands: [], policyVersion });
    const { stopped: _, ...whole } = one;
    const digests = [one, whole, { ...one, stopped: { ...stopped, rows: 2_000 } }].map(digest);
    assert.equal(new Set(digests).size, 3);
  });
});
