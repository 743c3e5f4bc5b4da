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
/** A table's size is not how many of its rows are meant. */
const OPEN = BLAST.map((line) => line.replace('(about', '(it has about'));
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
    for (const line of OPEN.slice(0, 5)) assert.ok(below.includes(line.slice(1)), line);
    assert.match(below, /3 other sessions wait for it \(1 more in Details\)/);
    assert.ok(!below.includes('public.notes'));
  });

  it('is whole in Details, with what its requester did before, newest first', () => {
    const shown = detailsOf(aCard({ estimate: 'about 41,000 rows', blast: BLAST, history: HISTORY }));
    for (const line of OPEN) assert.ok(shown.includes(line.slice(1)), line);
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
    assert.match(json(denied.blocks[0]), /no WHERE, estimated about 41,000 rows/);
    assert.doesNotMatch(cardView(aCard({ estimate: 'no estimate: it runs code' })).text, /estimate/);
  });

  it('is what was foreseen once it is decided, and never said of now', () => {
    const waited = 'its transaction has been open for 1 s; 1 other session waits for it';
    const none = 'its transaction has been open for 2 s; nobody waits for it';
    const views = [BLAST, ['fails where rows are still referred to from: public.x', waited, none]].map((blast) => {
      const card = aCard({ state: 'denied', settled: { at: 1, executed: 'no' }, estimate: 'about 3 rows', blast });
      return json(cardView(card).blocks) + detailsOf(card);
    });
    const shown = views.join('');
    for (const line of [
      'Would touch: public.customers (it has about 41,000 rows, 12 MB)',
      'Would delete by cascade: public.orders',
      'Would fire triggers: audit on public.orders',
      'Would lock public.customers (ROW EXCLUSIVE) until its transaction ended',
      'Its transaction had been open for 42 s; 3 other sessions waited for it',
      'Its transaction held: ROW EXCLUSIVE on public.notes',
      'Would fail where rows are still referred to from: public.x',
      'had been open for 1 s; 1 other session waited for it',
      'had been open for 2 s; nobody waited for it',
    ])
      assert.equal(shown.includes(line), true, line);
    assert.doesNotMatch(shown, /(?:Touches|Fires|Locks|Deletes|Fails) |has been open|waits? for it|transaction holds/);
  });

  it('says of each number on a record whether it was estimated or counted', () => {
    const outcome = { kind: 'done' as const, text: 'DELETE 550 in 3 ms', rows: 550, ms: 3 };
    const done = aCard({ state: 'done', settled: { at: 1, executed: 'yes' }, estimate: 'about 3 rows', outcome });
    const { blocks, text } = cardView(done);
    assert.match(json(blocks), /"Estimated when it was asked · Rows affected: about 3 rows · Counted: 550 rows"/);
    assert.match(json(blocks[0]), /no WHERE, 550 rows"/);
    assert.doesNotMatch(text, /about 3/);
    const unknown = aCard({ ...done, state: 'unknown', outcome: { kind: 'unknown', text: 'gone', ms: 3 } });
    assert.match(cardView(unknown).text, /no WHERE, estimated about 3 rows\./);
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
