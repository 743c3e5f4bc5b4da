/** A real browser on the chat page, and hands that do what a person does. */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

/** Headless Chromium, as Debian's package or a vendor's installs it. @throws when there is none, with what brings it */
export async function launchBrowser(): Promise<Browser> {
  if (!CHROMIUM) throw new Error('no Chromium on this machine: `node test/setup.mjs test` installs it');
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
  });
}

/**
 * Clicks until what should follow is there. A click comes to nothing where the card changed under the finger, and a window
 * where the machine was too slow for Slack's three seconds; the page or the bot says so, and a person clicks again.
 */
export async function clicked(page: Page, button: Locator, follows: Locator): Promise<void> {
  const again = page.locator('article.ephemeral', { hasText: 'Click again' });
  const toast = page.locator('.toast');
  while (!(await follows.isVisible())) {
    const before = await again.count();
    await button.click();
    await follows.or(again.nth(before)).or(toast).first().waitFor();
    while ((await toast.count()) > 0) await toast.first().waitFor({ state: 'detached' }); // else it would speak for the next
  }
}

/** Clicks what opens a window, and gives the window. */
export async function opened(page: Page, button: Locator): Promise<Locator> {
  const dialog = page.getByRole('dialog');
  await clicked(page, button, dialog);
  return dialog;
}
