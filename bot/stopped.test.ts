/** The card of a result that was stopped in its midst: what its client has of it, and never that nothing was run. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HOLD_STATES } from '../queue/cards.ts';
import { afterDeath } from '../queue/leases.ts';
import { aCard } from '../test/support/bot-stage.ts';
import { cardView } from './cards.ts';

const stopped = {
  after: '1,000 rows',
  preview: [
    ['1', 'Ada', '•••-••-1120'],
    ['2', 'Bob\n*bold* <@U0CAROL>', 'x'.repeat(60)],
  ],
};
const json = (value: unknown) => JSON.stringify(value);
const blocksOf = (change: object = {}) => cardView(aCard({ stopped, ...change })).blocks;
const part = (blocks: readonly { block_id?: string }[], name: string) =>
  blocks.findIndex(({ block_id }) => block_id?.startsWith(`${name}.`));

describe('the card of a stopped result', () => {
  it('shows its first rows in a block of plain text, above the buttons, each value cut', () => {
    const blocks = blocksOf();
    const rows = blocks[part(blocks, 'preview')];
    assert.match(json(rows), /1 │ Ada │ •••-••-1120\\n2 │ Bob \*bold\* <@U0CAROL> │ x{39}…/);
    assert.match(json(rows), /rich_text_preformatted/);
    assert.match(
      json(blocks[part(blocks, 'stopped')]),
      /Stopped after 1,000 rows\. The first 2 rows, as the client got/,
    );
    assert.ok(part(blocks, 'preview') < part(blocks, 'actions'));
  });

  it('says so where there is no row to show', () => {
    const blocks = blocksOf({ stopped: { after: '0 rows', preview: [] } });
    assert.match(json(blocks), /Stopped after 0 rows\. No row can be shown\./);
    assert.equal(part(blocks, 'preview'), -1);
  });

  it('never says that nothing was run, whatever became of it', () => {
    for (const state of HOLD_STATES) {
      const settled = state === 'open' ? {} : { settled: { at: 1, executed: 'no' as const } };
      const view = cardView(aCard({ state, stopped, ...settled }));
      assert.doesNotMatch(json(view), /nothing was run/i, state);
      if (['denied', 'expired', 'withdrawn', 'lost'].includes(state)) {
        assert.match(view.text, /Stopped after 1,000 rows\./);
        assert.match(json(view.blocks), /Stopped after 1,000 rows\./);
      }
    }
    const lost = afterDeath(aCard({ stopped, state: 'open' }), 1);
    assert.match(lost.settled?.reason ?? '', /is gone; stopped after 1,000 rows/);
  });
});
