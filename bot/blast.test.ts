/** What an operation would touch, on the card and in Details: below the buttons, bounded, and never as markup. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aCard } from '../test/support/bot-stage.ts';
import { cardView } from './cards.ts';
import { detailsModal, pageCount } from './modals.ts';

const BLAST = [
  'touches: public.customers (about 41,000 rows, 12 MB)',
  'deletes by cascade: public.orders (it has about 90,000 rows) through public.customers',
  'fires triggers: audit on public.orders (runs public.log)',
  'locks public.customers (ROW EXCLUSIVE) until its transaction ends: others read and write on',
  'its transaction has been open for 42 s; 3 other sessions wait for it',
  'its transaction holds: ROW EXCLUSIVE on public.notes',
];
const HISTORY = [
  {
    at: Date.UTC(2026, 10, 1, 12),
    headline: 'SELECT from public.orders',
    verdict: 'allowed',
    outcome: '12 rows in 3 ms',
  },
  { at: Date.UTC(2026, 10, 1, 11), headline: 'DROP TABLE public.orders', verdict: 'denied' },
];
const json = (value: unknown) => JSON.stringify(value);
const detailsOf = (card: ReturnType<typeof aCard>): string =>
  Array.from({ length: pageCount(card) }, (_, at) => json(detailsModal(card, at + 1, 'C0').blocks)).join('');

describe('what it would touch', () => {
  it('stands below the buttons, five lines of it, and moves nothing above', () => {
    const before = cardView(aCard());
    const after = cardView(aCard({ sequence: 2, estimate: 'about 41,000 rows', blast: BLAST }));
    const buttonsAt = (view: typeof before) => view.blocks.findIndex(({ type }) => type === 'actions');
    const above = (view: typeof before) =>
      json(view.blocks.slice(0, buttonsAt(view))).replaceAll(/"[a-z-]+\.1\.\d"/g, '""');
    assert.equal(above(after), above(before));
    const below = json(after.blocks.slice(buttonsAt(after) + 1));
    assert.match(below, /Rows affected: about 41,000 rows/);
    for (const line of BLAST.slice(0, 5)) assert.ok(below.includes(line.slice(1)), line);
    assert.match(below, /3 other sessions wait for it \(1 more in Details\)/);
    assert.ok(!below.includes('public.notes'));
  });

  it('is whole in Details, with what its requester did before, newest first', () => {
    const shown = detailsOf(aCard({ estimate: 'about 41,000 rows', blast: BLAST, history: HISTORY }));
    for (const line of BLAST) assert.ok(shown.includes(line.slice(1)), line);
    assert.match(shown, /What it did here before/);
    const [first, second] = [
      shown.indexOf('2026-11-01 12:00:00 UTC  allowed, 12 rows in 3 ms: SELECT'),
      shown.indexOf('denied: DROP'),
    ];
    assert.ok(first > 0 && second > first);
    assert.match(shown, /PRODUCTION · orders: DELETE on public\.orders, no WHERE, about 41,000 rows/);
  });

  it('is part of the sentence that is read aloud, and of the heading once nothing can be clicked', () => {
    const open = cardView(aCard({ estimate: 'about 41,000 rows' }));
    assert.match(open.text, /^PRODUCTION · orders: DELETE on public\.orders, no WHERE, about 41,000 rows\./);
    assert.doesNotMatch(json(open.blocks[0]), /41,000/);
    const denied = cardView(aCard({ state: 'denied', estimate: 'about 41,000 rows' }));
    assert.match(json(denied.blocks[0]), /no WHERE, about 41,000 rows/);
    assert.doesNotMatch(cardView(aCard({ estimate: 'no estimate: it runs code' })).text, /estimate/);
  });

  it('is plain text, whatever a table is called', () => {
    const hostile = 'touches: <!channel> <@U0ALICE> *bold* \u202e ```';
    const card = aCard({
      estimate: hostile,
      blast: [hostile],
      history: [{ at: 1, headline: hostile, verdict: hostile.slice(0, 20), outcome: hostile }],
    });
    const shown = json(cardView(card).blocks) + detailsOf(card);
    assert.ok(!shown.includes('\u202e'));
    for (const [, parsed = ''] of shown.matchAll(/"type":"mrkdwn","text":"([^"]*)"/g))
      assert.ok(!parsed.includes('bold'));
  });
});
