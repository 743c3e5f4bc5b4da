/** The menu beside a card's buttons, and what a button carries. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aCard } from '../test/support/bot-stage.ts';
import { cardView } from './cards.ts';
import { menu } from './menu.ts';
import { buttonValue, parseActionsBlockId, parseButtonValue } from './pressed.ts';

const long = (character: string, length: number) => character.repeat(length);

describe('the menu beside the buttons', () => {
  it('asks once more with a sentence for each choice there is, and for no other, within Slack’s 300 characters', () => {
    const vote = { user: 'U0ALICE', decision: 'approve' as const, at: 1 };
    const asks = (changes: Parameters<typeof aCard>[0]) => {
      const { options = [], confirm } = menu(aCard(changes), true) ?? {};
      const text = confirm?.text.text ?? '';
      assert.ok(text.length <= 300);
      const said = text.split('\n').map((line) => line.split(':')[0]);
      return { said, chosen: options.map(({ text }) => text.text) };
    };
    const all = asks({
      grants: [15, 60],
      votes: [vote],
      breakGlass: true,
      requester: { ...aCard().requester, name: long('W', 200) },
    });
    assert.deepEqual(all, {
      said: ['Approve this shape', 'Take back', 'Break the glass', 'Kill session'],
      chosen: [
        'Approve this shape for 15 min',
        'Approve this shape for 1 h',
        'Take back my approval',
        'Break the glass…',
        'Kill session',
      ],
    });
    assert.deepEqual(asks({}).said, ['Kill session']);
    assert.deepEqual(asks({ protocol: 'gate', votes: [vote] }).said, ['Take back']);
    assert.deepEqual(asks({ plan: true, votes: [vote] }).said, ['Take back']);
    assert.equal(menu(aCard({ plan: true }), true), undefined);
  });
});

describe('a button', () => {
  it('carries hold, revision and the start of the digest, and nothing else', () => {
    const card = aCard({ revision: 7 });
    assert.equal(buttonValue(card), `${card.hold}.7.abababababab`);
    assert.deepEqual(parseButtonValue(buttonValue(card)), { hold: card.hold, revision: 7, digest: 'abababababab' });
    const block = cardView(card).blocks.find(({ type }) => type === 'actions');
    assert.deepEqual(parseActionsBlockId(block?.block_id), { hold: card.hold, revision: 7, digest: 'abababababab' });
  });

  it('of another make is none of ours', () => {
    const good = buttonValue(aCard());
    for (const value of [
      undefined,
      '',
      'kill',
      `${good} `,
      `x${good}`,
      good.replace('.1.', '.0.'),
      good.replace('.1.', '.1e9.'),
      good.slice(0, -1),
    ])
      assert.equal(parseButtonValue(value), undefined, value);
  });
});
