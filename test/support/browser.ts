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
 * Clicks what opens a window, and gives the window. Slack's trigger lasts three seconds; where the machine was too slow
 * for it the clicker is told so (by the bot, or by the page itself), and a person clicks again.
 * @throws when something else is answered, with what
 */
export async function opened(page: Page, button: Locator): Promise<Locator> {
  const dialog = page.getByRole('dialog');
  const whispered = page.locator('article.ephemeral');
  const toast = page.locator('.toast');
  for (;;) {
    const before = await whispered.count();
    await button.click();
    const answer = whispered.nth(before);
    await dialog.or(answer).or(toast).first().waitFor();
    if (await dialog.isVisible()) return dialog;
    const said = (await answer.isVisible()) ? await answer.textContent() : '';
    if (said && !said.includes('Click again')) throw new Error(`no window, but: ${said}`);
  }
}
