/** The pages over TLS in a real browser, signed in with a real issuer: as admin, as sponsor, as somebody with no business there. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, BrowserContext, Page, Response } from 'playwright-core';
import { launchBrowser } from './support/browser.ts';
import { type Front, startFront } from './support/front.ts';
import { freePort } from './support/ports.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';
import { trailOf } from './support/world-trail.ts';

describe('the pages, walked', { timeout: 180_000 }, () => {
  let world: World;
  let front: Front;
  let browser: Browser;
  /** Session and operation of a DROP that Carol approved. */
  let dropped: { session: string; operation: string };
  const complaints: string[] = [];

  before(async () => {
    const port = await freePort();
    front = await startFront(port, () => world.gateways[0]?.web ?? '');
    world = await startWorld({ recorded: true, webUrl: front.url });
    await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE walked_over (id int)'));
    const psql = new Psql(await world.downstream());
    psql.send('SELECT ssn FROM customers WHERE id = 17;');
    psql.send('DROP TABLE walked_over;');
    const slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    const card = await slack.card('DROP TABLE walked_over');
    await slack.click(PEOPLE.carol, { ts: card.ts }, 'approve');
    await psql.until('DROP TABLE');
    await psql.close();
    const ended = await eventually(async () => (await trailOf(world, 'session.end'))[0]);
    const held = (await trailOf(world, 'operation')).find(({ verdict }) => verdict === 'hold');
    assert.equal(held?.session, ended?.session);
    dropped = held as typeof dropped;
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await Psql.endAll();
    await world?.stop();
    await front?.stop();
  });

  /** A browser of their own, in which they have signed in on the way to `path`. */
  async function signedIn(who: string, path = '/'): Promise<{ page: Page; context: BrowserContext; came: Response }> {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1180, height: 900 } });
    const page = await context.newPage();
    page.on('console', (said) => {
      // What the issuer's pages lack is its own; that a page was refused is said where it is looked at.
      const ours = said.location().url.startsWith(front.url) && !/status of 403/.test(said.text());
      if (said.type() === 'error' && ours) complaints.push(`${who}: ${said.text()} ${said.location().url}`);
    });
    page.on('pageerror', (error) => complaints.push(`${who}: ${error.message}`));
    await page.goto(front.url + path);
    const [came] = await Promise.all([
      page.waitForResponse((response) => response.url() === front.url + path && response.status() !== 303),
      page.getByRole('button', { name: who, exact: true }).click(),
    ]);
    await page.waitForURL(front.url + path);
    return { page, context, came };
  }
  const text = async (page: Page, where = 'main') => (await page.locator(where).textContent()) ?? '';
  const status = async (page: Page, path: string) => (await page.goto(front.url + path))?.status();

  it('show everything to an admin: every page, the session that was asked for, who decided', async () => {
    const { page, context } = await signedIn('alice', `/sessions/${dropped.session}`);
    const shown = await text(page);
    assert.match(shown, /DROP TABLE walked_over/);
    assert.match(shown, /Carol Lindqvist/);
    assert.match(shown, /•••-••-\d{4}/);
    const cookies = await context.cookies(front.url);
    const own = cookies.find(({ name }) => name === '__Host-countersign');
    assert.deepEqual([own?.secure, own?.httpOnly, own?.sameSite, own?.path], [true, true, 'Lax', '/']);
    for (const [path, words] of [
      ['/', /Open holds/],
      ['/sessions', /report-bot/],
      ['/sessions?verdict=hold&relation=public.walked_over', /report-bot/],
      ['/holds', /hold/i],
      ['/rules', /floor/i],
      ['/audit', /ed25519|chain/i],
      ['/me', /alice@example\.com/],
    ] as const) {
      assert.equal(await status(page, path), 200, path);
      assert.match(await text(page, 'body'), words, path);
    }
    await context.close();
  });

  it('show a sponsor what their agents did, and nothing of the trail', async () => {
    const { page, context } = await signedIn('bob', '/sessions');
    assert.match(await text(page), /report-bot/);
    await page.locator(`a[href="/sessions/${dropped.session}"]`).first().click();
    await page.getByText('DROP TABLE walked_over').first().waitFor();
    assert.equal(await page.getByRole('link', { name: /End session/ }).count(), 0);
    for (const path of ['/audit', `/sessions/${dropped.session}/end`])
      assert.equal(await status(page, path), 403, path);
    await context.close();
  });

  it('tell a stranger whom to ask, and nothing else', async () => {
    const { page, context, came } = await signedIn('dave', `/sessions/${dropped.session}`);
    assert.equal(came.status(), 403);
    const words = await text(page, 'body');
    assert.match(words, /ask/i);
    for (const page_ of ['/', '/sessions', '/holds']) {
      assert.equal(await status(page, page_), 200, page_);
      assert.doesNotMatch(await text(page, 'body'), /walked_over|report-bot/, page_);
    }
    for (const path of [`/sessions/${dropped.session}.jsonl`, `/sessions/${dropped.session}/live`, '/audit']) {
      assert.equal((await context.request.get(front.url + path)).status(), 403, path);
    }
    assert.doesNotMatch(words, /walked_over|report-bot|customers/);
    await context.close();
  });

  it('let an admin watch a session as it goes on, and end it', async () => {
    const psql = new Psql(await world.downstream());
    psql.send("SELECT 'first of all' AS said;");
    await psql.until('first of all');
    const session = await eventually(async () => {
      const asked = (await trailOf(world, 'operation')).find(({ statement }) => /first of all/.test(String(statement)));
      return asked && String(asked.session);
    });
    const { page, context } = await signedIn('alice', `/sessions/${session}`);
    await page.getByText('first of all').first().waitFor();
    psql.send("SELECT 'while she watches' AS said;");
    await page.getByText('while she watches').first().waitFor(); // nothing was loaded again
    await page.getByRole('link', { name: /End session/ }).click();
    await page.getByRole('textbox').fill('it has seen enough');
    await page.getByRole('button', { name: /End/ }).click();
    await page.waitForURL(`${front.url}/sessions/${session}`);
    psql.send('SELECT 1;');
    assert.match(await psql.until('connection to server was lost'), /Alice|alice/);
    assert.match(psql.output, /ended this session: it has seen enough/);
    await context.close();
  });

  it('forget whoever signs out', async () => {
    const { page, context } = await signedIn('carol', '/me');
    await page.getByRole('button', { name: /sign out/i }).click();
    const yes = page.getByRole('button', { name: 'Yes', exact: true });
    await yes.click();
    await page.waitForURL(/\/signed-out/);
    assert.equal((await context.cookies(front.url)).filter(({ name }) => name === '__Host-countersign').length, 0);
    await page.goto(`${front.url}/sessions`);
    assert.match(page.url(), /\/interaction\//);
    await context.close();
    assert.deepEqual(complaints, [], 'the browser has nothing against the pages');
  });
});
