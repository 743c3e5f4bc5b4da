/** A card in each of its states, in a real browser: seen on a wide window and on a phone, and kept as pictures. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import type { Card } from '../queue/cards.ts';
import { aCard, type Stage, stage } from './support/bot-stage.ts';
import { launchBrowser } from './support/browser.ts';

/** With UPDATE_SCREENSHOTS=1 the README's pictures are taken anew; else they go to the temporary directory. */
const pictures = process.env.UPDATE_SCREENSHOTS
  ? fileURLToPath(new URL('../manifests/screenshots/', import.meta.url))
  : join(tmpdir(), 'countersign-screenshots');

const at = Date.now();
const vote = { user: 'U0ALICE', decision: 'approve' as const, at };
const [demand = assert.fail()] = aCard().demands;
const counted = [{ ...demand, counted: 1 }];
const ended = (
  state: Card['state'],
  settled: Partial<NonNullable<Card['settled']>> = {},
  more: Partial<Card> = {},
) => ({
  state,
  settled: { at, executed: 'no' as const, ...settled },
  auditHead: '812:0123456789ab',
  ...more,
});
const outcome = { kind: 'done' as const, text: 'DELETE 41,207 rows in 1.3 s', rows: 41_207, ms: 1_300 };

/** State, what its card carries, what a reader must see. */
const STATES: readonly (readonly [name: string, changes: Partial<Card>, shows: RegExp])[] = [
  ['state-open', { estimate: 'about 41,000 rows', blast: ['public.orders: 41,207 rows, 12 MB'] }, /about 41,000 rows/],
  ['state-deceptive', { statement: 'DELETE FROM \u043erders -- \u202e harmless' }, /hides something/],
  ['state-one-of-two', { demands: [{ ...demand, quorum: 2, counted: 1 }], votes: [vote] }, /1 of 2/],
  ['state-approved', { state: 'approved', votes: [vote], demands: counted }, /Approved/],
  [
    'state-outcome',
    ended('done', { executed: 'yes' }, { votes: [vote], demands: counted, outcome, releasedAt: at }),
    /41,207 rows in 1\.3 s/,
  ],
  ['state-denied', ended('denied', { by: 'U0ALICE', reason: 'Not while the books are open' }), /Not while the books/],
  ['state-expired', ended('expired'), /Nothing was run/],
  ['state-lost', ended('lost'), /Nothing was run/],
  [
    'state-confirm',
    {
      headline: 'DELETE on public.orders: estimated 3, touched 41,207: commit?',
      risks: [
        'its locks are kept until this is decided, 60 s at most',
        'rows changed by triggers and cascades are not counted',
      ],
      stopped: { after: '41,207 rows', preview: [], commits: true },
    },
    /estimated 3, touched 41,207: commit\?(?![\s\S]*Rows affected)/,
  ],
  [
    'state-plan',
    {
      headline: 'Plan of 2 statements (1 delete, 1 update), worst: DELETE on public.orders',
      statement:
        "-- Reason given: monthly clean-up\n/* 1 of 2 */ UPDATE orders SET status = 'closed' WHERE id = 17;\n/* 2 of 2 */ DELETE FROM orders WHERE id = 18;",
      risks: [],
    },
    /Plan of 2 statements/,
  ],
];

describe('a card on its page', { timeout: 120_000 }, () => {
  let on: Stage;
  let browser: Browser;

  before(async () => {
    await mkdir(pictures, { recursive: true });
    on = await stage();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await on?.stop();
  });

  for (const [index, [name, changes, shows]] of STATES.entries()) {
    it(`says what is the matter in ${name}, and fits a phone`, async () => {
      const card = aCard({ ...changes, shortId: `pic${index}` });
      const open = { ...card, state: 'open' as const, settled: undefined, outcome: undefined, releasedAt: undefined };
      if (card.state !== 'open') {
        await on.card(open);
        await on.shown(card, 'pic');
      }
      await on.card({ ...card, sequence: card.state === 'open' ? 1 : 2 });
      await on.shown(
        card,
        name === 'state-deceptive'
          ? 'hides something'
          : card.state === 'open'
            ? 'Deny'
            : card.state === 'approved'
              ? 'Approved'
              : '812:',
      );
      for (const [suffix, width] of [
        ['', 1_000],
        ['-phone', 390],
      ] as const) {
        const page = await browser.newPage({
          viewport: { width, height: 860 },
          colorScheme: 'light',
          deviceScaleFactor: 1.5,
        });
        await page.goto(on.slack.url);
        const message = page
          .locator('article')
          .filter({ hasText: `pic${index}` })
          .last();
        await message.waitFor();
        await message.scrollIntoViewIfNeeded();
        assert.match((await message.textContent()) ?? '', shows);
        const box = (await message.boundingBox()) ?? assert.fail();
        assert.ok(
          box.x >= 0 && box.x + box.width <= width,
          `wider than the window: ${box.x} + ${box.width} of ${width}`,
        );
        await message.screenshot({ path: join(pictures, `${name}${suffix}.png`) });
        await page.close();
      }
    });
  }
});
