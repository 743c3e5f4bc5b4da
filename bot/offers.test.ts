/** Buttons that lead nowhere any more: taken away from cards and notices, with a line that says who and when. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { Card, CardJob, Offer } from '../queue/cards.ts';
import { aCard, CHANNEL, type Stage, stage, until } from '../test/support/bot-stage.ts';

describe('what is offered', { timeout: 60_000 }, () => {
  let on: Stage;
  let serial = 0;
  before(async () => {
    on = await stage({ bots: 2 });
  });
  after(() => on?.stop());

  const offerOf = (line: string, ends?: Offer['ends']): Offer => ({ label: line, line, ...(ends ? { ends } : {}) });
  const record = (offers: Offer[]): Card => {
    serial += 1;
    const settled = { at: Date.now(), executed: 'yes' as const };
    return aCard({ shortId: `card-${serial}`, sequence: 2, state: 'done', settled, offers });
  };
  const post = (card: Card) => on.send({ kind: 'card', v: 2, card }, `card-${card.hold}-${card.sequence}`);
  const notice = (text: string, offers: Offer[], more: Partial<Extract<CardJob, { kind: 'notice' }>> = {}) =>
    on.send({ kind: 'notice', v: 2, id: randomUUID(), channel: CHANNEL, text, at: Date.now(), offers, ...more });
  const over = (line: string, text: string) =>
    on.send({ kind: 'over', v: 2, id: randomUUID(), line, text, at: Date.now() });
  const message = (says: string) =>
    until(`a message that says ${says}`, async () =>
      (await on.messages()).find((one) => JSON.stringify(one).includes(says)),
    );
  const json = (value: unknown) => JSON.stringify(value);

  it('goes from a card once it is over, with who ended it, and stays where it is not', async () => {
    const card = record([offerOf('revoke a1'), offerOf('revoke a2')]);
    await post(card);
    assert.match(json(await on.shown(card, 'revoke a1')), /revoke a2/);
    await over('revoke a1', 'Grant a1 has ended: revoked by Alice, 2026-11-23 14:02:11 UTC.');
    const shown = json((await on.shown(card, 'revoked by Alice')).blocks);
    assert.doesNotMatch(shown, /"value":"revoke a1"/);
    assert.match(shown, /"value":"revoke a2"/);
    await over('revoke a1', 'Grant a1 has ended: its time was up.');
    await over('revoke a2', 'Grant a2 has ended: used up.');
    const last = json((await on.shown(card, 'a2 has ended')).blocks);
    assert.doesNotMatch(last, /"value":"revoke|time was up/, 'what ended it first stays');
  });

  it('goes from every notice that offers it, in a thread too, and is not offered by one that comes later', async () => {
    const card = record([]);
    await post(card);
    await on.shown(card, 'DELETE');
    await notice('Break-glass: a', [offerOf('review b')]);
    await notice('Use 1 of 20: b', [offerOf('review b')], { hold: card.hold });
    await message('Break-glass: a');
    await message('Use 1 of 20: b');
    await over('review b', 'Reviewed: signed by Grace.');
    await notice('Use 2 of 20: c', [offerOf('review b')]);
    for (const says of ['Break-glass: a', 'Use 1 of 20: b', 'Use 2 of 20: c']) {
      const shown = await until(`${says} without its button`, async () => {
        const found = await message(says);
        return json(found.blocks).includes('signed by Grace') && found;
      });
      assert.doesNotMatch(json(shown.blocks), /"value":"review b"/);
      assert.match(shown.text, /signed by Grace/);
    }
  });

  it('goes by itself when its time is up', async () => {
    const ends = { at: Date.now() + 2_000, text: 'Grant d has ended: its time was up.' };
    const card = record([offerOf('revoke d', ends), offerOf('rules revert 3')]);
    await post(card);
    await notice('Grant d: 20 uses', [offerOf('revoke d', ends)]);
    for (const shown of [await on.shown(card, 'revoke d'), await message('Grant d: 20 uses')])
      assert.match(json(shown.blocks), /"value":"revoke d"/);
    const late = await on.shown(card, 'time was up');
    assert.match(json(late.blocks), /"value":"rules revert 3"/);
    const said = await until('the notice', async () => {
      const found = await message('Grant d: 20 uses');
      return json(found.blocks).includes('time was up') && found;
    });
    for (const { blocks } of [late, said]) assert.doesNotMatch(json(blocks), /"value":"revoke d"/);
  });
});
