/** Many requests of one agent at once: one card for them, each still decided for itself, nobody else kept waiting. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { demand, type HoldStage, holding, operation, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { rejection } from '../../test/support/rejection.ts';

describe('a flood of one agent', () => {
  let stage: HoldStage;
  let n = 0;
  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  beforeEach(() => asUsual(stage));

  /** Each test floods as another agent: who flooded a moment ago still does. */
  const agent = () => {
    n += 1;
    return { ...operation().principal, subject: `flood-${n}`, name: `flood-${n}` };
  };
  const flood = async (count: number) => {
    const principal = agent();
    const held = [];
    for (let i = 0; i < count; i++) held.push(await stage.hold(operation({ principal })));
    return { principal, held };
  };
  const collecting = (subject: string, total: number) =>
    stage.card(({ collects, requester }) => requester.subject === subject && collects?.total === total);

  it('has cards of its own for the first five, and one card for all that follow', async () => {
    const { principal, held } = await flood(9);
    const card = await collecting(principal.subject, 4);
    assert.deepEqual(
      held.map(({ card: { collectedBy } }) => collectedBy === card.hold),
      [false, false, false, false, false, true, true, true, true],
    );
    assert.equal(card.headline, '4 requests within minutes, 4 of them waiting');
    assert.deepEqual(
      card.collects?.open.map(({ hold }) => hold),
      held
        .slice(5)
        .map(({ card: { hold } }) => hold)
        .reverse(),
    );
    assert.equal(card.statement, '');
    const other = await stage.hold(operation({ principal: agent() }));
    assert.equal(other.card.collectedBy, undefined, 'another agent has a card of its own');
  });

  it('is none where people decide one after the other', async () => {
    const principal = agent();
    for (let i = 0; i < 12; i++) {
      const { answer, card } = await stage.hold(operation({ principal }));
      assert.equal(card.collectedBy, undefined, `number ${i + 1}`);
      await stage.vote(card, 'U0ALICE', { decision: i % 2 === 0 ? 'deny' : 'approve' });
      await answer.then(
        (permit) => permit.settle({ kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 1 }),
        () => {},
      );
    }
  });

  it('is one where they are withdrawn as fast as they come', async () => {
    const principal = agent();
    const cards = [];
    for (let i = 0; i < 23; i++) {
      const { card, waiting } = await stage.hold(operation({ principal }));
      waiting.controller.abort('its client left');
      cards.push(card);
      await stage.card(({ hold, state }) => hold === card.hold && state === 'withdrawn');
    }
    assert.deepEqual(
      cards.map(({ collectedBy }) => collectedBy !== undefined),
      Array.from({ length: 23 }, (_, i) => i >= 20),
    );
  });

  it('can be denied as a whole by who may deny each, and by nobody else', async () => {
    stage.settings.policy = holding(demand({ approvers: ['U0ALICE'] }));
    const { principal, held } = await flood(8);
    const card = await collecting(principal.subject, 3);
    const refused = await stage.denyAll(card, 'U0CAROL');
    assert.match(refused.text, /^Denied 0 of 3\. 3 not: you are not among U0ALICE/);
    assert.equal(refused.counted, false);
    const denied = await stage.denyAll(card, 'U0ALICE');
    assert.deepEqual([denied.counted, denied.text], [true, 'Denied 3 of 3.']);
    for (const { answer } of held.slice(5)) {
      assert.match((await rejection(answer)).message, /denied by alice: one of many at once/);
    }
    const over = await stage.card(({ hold, state }) => hold === card.hold && state !== 'open');
    assert.equal(over.settled?.reason, '3 denied by alice');
    const ends = stage.audit.entries.filter(({ kind, state }) => kind === 'hold.settled' && state === 'denied');
    assert.ok(held.slice(5).every(({ card: { hold } }) => ends.some((entry) => entry.hold === hold)));
    assert.match((await stage.denyAll(card, 'U0ALICE')).text, /nothing of it waits any more/);
    for (const { card: own } of held.slice(0, 5)) assert.ok(stage.cards.get(own.hold)?.state === 'open');
  });

  it('lets each be approved for itself, and counts how they ended', async () => {
    const { principal, held } = await flood(7);
    const card = await collecting(principal.subject, 2);
    const [one, two] = held.slice(5);
    assert.ok(one && two);
    assert.equal((await stage.vote(card, 'U0ALICE')).counted, false, 'and never approved as a whole');
    await stage.vote(one.card, 'U0ALICE');
    (await one.answer).settle({ kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 1 });
    two.waiting.controller.abort('its client left');
    await rejection(two.answer);
    const over = await stage.card(({ hold, state }) => hold === card.hold && state !== 'open');
    assert.equal(over.settled?.reason, '1 approved, 1 withdrawn');
  });
});
