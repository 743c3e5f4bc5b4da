/** An approver's evening, in a real browser: the page, the card, the click, the outcome; and psql in the page's terminal. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { clicked, launchBrowser, opened } from './support/browser.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { startWorld, type World } from './support/world.ts';

/** With UPDATE_SCREENSHOTS=1 the README's pictures are taken anew; else they go to the temporary directory. */
const pictures = process.env.UPDATE_SCREENSHOTS
  ? fileURLToPath(new URL('../manifests/screenshots/', import.meta.url))
  : join(tmpdir(), 'countersign-screenshots');

describe('an approver in a browser', { timeout: 120_000 }, () => {
  let world: World;
  let browser: Browser;
  let page: Page;

  before(async () => {
    await mkdir(pictures, { recursive: true });
    world = await startWorld();
    world.setTerminal(await world.downstream());
    browser = await launchBrowser();
    page = await browser.newPage({
      viewport: { width: 1180, height: 860 },
      colorScheme: 'light',
      deviceScaleFactor: 1.5,
    });
    await page.goto(world.slack?.url ?? '');
  });
  after(async () => {
    await Psql.endAll();
    await browser?.close();
    await world?.stop();
  });

  const picture = (name: string) => page.screenshot({ path: join(pictures, `${name}.png`) });
  const approve = () => page.getByRole('button', { name: /^Approve/ }).last();

  it('sees the card arrive, clicks Approve, and reads the outcome on the same message', async () => {
    const psql = new Psql(await world.downstream());
    psql.send('DELETE FROM customers;');
    await page.getByText('DELETE FROM customers').last().waitFor();
    await approve().waitFor();
    await picture('card');
    const before = await withClient(world.upstreamUrl, (client) =>
      client.query('SELECT count(*)::int AS n FROM customers'),
    );
    assert.equal(before.rows[0].n, 5000);
    await clicked(page, approve(), page.getByText(/DELETE 5,?000 (rows )?in/).last());
    await psql.until('DELETE 5000');
    assert.equal(await page.getByRole('button', { name: /^Approve/ }).count(), 0);
    await picture('outcome');
    await psql.close();
  });

  it('denies with a typed reason, which the client is told', async () => {
    const psql = new Psql(await world.downstream());
    psql.send('DROP TABLE payments;');
    await page.getByText('DROP TABLE payments').last().waitFor();
    const dialog = await opened(page, page.getByRole('button', { name: /^Deny/ }).last());
    await dialog.getByRole('textbox').fill('Not while the books are open');
    await picture('deny');
    await dialog.getByRole('button', { name: /^Deny/ }).click();
    await psql.until('Not while the books are open');
    await page.getByText('Not while the books are open').last().waitFor();
    await picture('denied');
    await psql.close();
  });

  it('pages through a long statement in Details, and approves it only from the last page', async () => {
    const psql = new Psql(await world.downstream());
    await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE reasons (note text)'));
    const filler = Array.from(
      { length: 60 },
      (_, n) => `-- line ${n}: nothing to see in this comment, please move along quickly`,
    ).join('\n');
    psql.send(`DELETE FROM reasons\n${filler}\n;`);
    const details = page.getByRole('button', { name: /^Details|^Review/ }).last();
    await page
      .getByText(/reasons/)
      .last()
      .waitFor();
    const dialog = await opened(page, details);
    await picture('details');
    for (let pages = 0; pages < 20; pages++) {
      const next = dialog.getByRole('button', { name: /next/i });
      if ((await next.count()) === 0) break;
      await next.click();
      await page.waitForTimeout(0);
    }
    await dialog.getByRole('button', { name: /^Approve/ }).click();
    await psql.until('DELETE 0');
    await psql.close();
    await picture('approved-from-details');
    await dialog.getByRole('button', { name: 'Close' }).last().click();
  });

  it('types into the page’s own terminal, which goes through the gateway too', async () => {
    await page.getByRole('button', { name: /Terminal/ }).click();
    await page.locator('.xterm-helper-textarea').waitFor();
    await page.getByText('orders=>').first().waitFor();
    await page.keyboard.type('SELECT 6 * 7 AS answer;\n');
    await page.getByText('42').first().waitFor();
    await page.keyboard.type('TRUNCATE orders;\n');
    await page
      .getByText(/NOTICE/)
      .first()
      .waitFor();
    await picture('terminal');
    await page.keyboard.press('Control+c');
    await page
      .getByText(/withdrawn/i)
      .last()
      .waitFor();
  });
});
