/** `/me` and refusals in a real browser, behind a real sign-in: as the other pages look, under the same policy. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import type { Overview } from '../gateway/web/pages/overview.ts';
import { pages } from '../gateway/web/pages/pages.ts';
import { launchBrowser } from './support/browser.ts';
import { COOKIE, gateway, type SignInGateway, signedIn } from './support/sign-in-stage.ts';

const PHONE = { width: 390, height: 844 };
const pictures = join(tmpdir(), 'countersign-screenshots');
const commit = async () => {};

describe('what concerns oneself looks as every page does', { timeout: 60_000 }, () => {
  let browser: Browser;
  let page: Page;
  let here: SignInGateway;
  const complaints: string[] = [];

  before(async () => {
    await mkdir(pictures, { recursive: true });
    here = await gateway({
      pages: (app, guard) =>
        pages(app, guard, { overview: {} as Overview, audit: { commit }, log: { warn: () => {} } }),
    });
    browser = await launchBrowser();
    page = await browser.newPage({ viewport: PHONE, colorScheme: 'light' });
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    const value = (await signedIn(here, 'carol')).value(COOKIE) ?? assert.fail('nobody is signed in');
    await page.context().addCookies([{ name: COOKIE, value, url: here.url }]);
  });
  after(() => browser?.close());

  /** Framed, styled, no wider than a phone; light and dark. */
  const looks = async (name: string) => {
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Sessions' }).waitFor();
    await page.getByRole('link', { name: 'carol@example.com' }).waitFor();
    const grounds = new Set<string>();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      grounds.add(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
      await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`) });
      const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
      assert.equal(wide, false, `${name} is wider than a phone`);
    }
    assert.equal(grounds.size, 2, 'dark where the reader’s system is');
  };

  it('who one is', async () => {
    await page.goto(`${here.url}/me`);
    await page.getByRole('heading', { name: 'Who you are' }).waitFor();
    await looks('web-me');
    assert.deepEqual(complaints, [], 'the browser has nothing against it');
  });

  it('what is not for them', async () => {
    const response = await page.goto(`${here.url}/audit`);
    assert.equal(response?.status(), 403);
    await page.getByText('Ask an admin: oidc:dba.').waitFor();
    await looks('web-not-for-you');
    await page.getByRole('link', { name: 'Who am I here?' }).click();
    await page.getByRole('heading', { name: 'Who you are' }).waitFor();
  });

  it('what was not done, and the way out', async () => {
    await page.evaluate('document.querySelector("input[name=csrf]").value = "of another session"');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('nothing was changed: it lacks the token of this session').waitFor();
    await looks('web-not-done');
    await page.goto(`${here.url}/me`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL((url) => url.pathname !== '/me');
    assert.equal((await page.goto(`${here.url}/me`))?.url().startsWith(here.url), false, 'nobody is signed in');
  });
});
