/** The pages in a real browser: styled under their own policy, played, followed and hopped through. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Browser, Page } from 'playwright-core';
import type { Recordings } from '../gateway/recordings/shape.ts';
import type { Overview } from '../gateway/web/pages/overview.ts';
import { pages } from '../gateway/web/pages/pages.ts';
import { launchBrowser } from './support/browser.ts';
import { AT, events, HOUR, head, ISSUER, op, summaries, viewer } from './support/pages-seen.ts';

/** With UPDATE_SCREENSHOTS=1 the README's pictures are taken anew; else they go to the temporary directory. */
const pictures = process.env.UPDATE_SCREENSHOTS
  ? fileURLToPath(new URL('../manifests/screenshots/', import.meta.url))
  : join(tmpdir(), 'countersign-screenshots');

describe('the pages in a browser', { timeout: 90_000 }, () => {
  let app: FastifyInstance;
  let browser: Browser;
  let page: Page;
  let address: string;
  const complaints: string[] = [];

  before(async () => {
    await mkdir(pictures, { recursive: true });
    app = Fastify({ forceCloseConnections: true });
    app.addHook('onSend', async (_request, reply) => {
      reply.header(
        'content-security-policy',
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      );
    });
    const recordings: Recordings = {
      search: ({ text, live }) => ({
        sessions: summaries.filter((one) => (!live || one.endedAt === undefined) && (!text || one.name.includes(text))),
        more: false,
      }),
      find: (session) => summaries.find((one) => one.session === session),
      read: async function* (session) {
        yield { ...head, session };
        yield* session === head.session ? events : events.slice(0, 4);
      },
      canFollow: async () => true,
      follow: async function* (session, signal) {
        yield { ...head, session };
        yield* events.slice(0, 4);
        yield op(9_000, 'op-live', 'allow', 'SELECT while somebody watches', 'SELECT now();');
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      },
      onChange: () => () => {},
    };
    const whose = { principal: `${ISSUER}#report-bot`, sponsor: 'U0BOB', name: 'report-bot', kind: 'agent' as const };
    const overview: Overview = {
      gateway: 'gw-7c1e',
      version: '0.1.0',
      now: () => AT + 6 * 60_000,
      live: () => [],
      holds: async () => [
        {
          ...whose,
          hold: 'h-9',
          shortId: 'k3f9qa',
          gateway: 'gw-7c1e',
          environment: 'production',
          connection: 'orders',
          headline: 'TRUNCATE public.payments',
          openedAt: AT + 100_000,
          expiresAt: AT + 1_000_000,
          demands: [{ rule: 'schema-changes', quorum: 2, counted: 1 }],
          session: head.session,
          link: 'https://acme.slack.example/archives/C0APPROVALS/p1',
        },
      ],
      gateways: async () => ['gw-7c1e', 'gw-90ab'],
      troubles: async () => ({}),
      verdicts: () => ({
        since: AT - 30 * HOUR,
        hours: Array.from({ length: 24 }, (_, n) => ({
          at: AT - (23 - n) * HOUR,
          allow: Math.round(400 + 380 * Math.sin(n / 3.4)),
          hold: [0, 1, 0, 3, 2][n % 5] ?? 0,
          deny: n % 7 === 2 ? 2 : 0,
          refused: n === 15 ? 1 : 0,
        })),
      }),
      rules: () => ({ version: '4be1c09d77aa', slackVersion: 7, rules: [] }),
      trail: async () => ({ trouble: undefined, dir: '/var/lib/countersign', heads: [], chains: [], moreChains: 0 }),
      names: async () =>
        new Map([
          ['U0CAROL', 'Carol Diaz'],
          ['U0ALICE', 'Alice Brandt'],
          ['U0BOB', 'Bob Lang'],
        ]),
      endSession: async () => 'gone',
    };
    const who = { viewer, unread: [], csrf: 'c', endsAt: AT + HOUR, again: async () => ({ viewer, unread: [] }) };
    const guard = {
      guard: async () => who,
      forbidden: (_q: unknown, reply: { code(n: number): unknown }) => reply.code(403),
    };
    await app.register(async (scope) =>
      pages(scope, guard as never, {
        recordings,
        overview,
        audit: { commit: async () => {} },
        log: { warn: () => {} },
      }),
    );
    address = await app.listen({ host: '127.0.0.1', port: 0 });
    browser = await launchBrowser();
    page = await browser.newPage({
      viewport: { width: 1180, height: 900 },
      colorScheme: 'light',
      deviceScaleFactor: 1.5,
    });
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
  });
  after(async () => {
    await browser?.close();
    await app?.close();
  });

  const picture = (name: string) => page.screenshot({ path: join(pictures, `${name}.png`) });
  const phone = async (name: string) => {
    await page.setViewportSize({ width: 390, height: 844 });
    const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
    await picture(name);
    await page.setViewportSize({ width: 1180, height: 900 });
    assert.equal(wide, false, `${name} is wider than a phone`);
  };

  it('shows what is going on, and finds sessions', async () => {
    await page.goto(`${address}/`);
    await page.getByText('TRUNCATE public.payments').waitFor();
    await picture('web-overview');
    await phone('web-overview-phone');
    await page.getByRole('link', { name: 'Sessions', exact: true }).click();
    await page.getByText('support-copilot').waitFor();
    await picture('web-sessions');
    await page.emulateMedia({ colorScheme: 'dark' });
    await phone('web-sessions-phone-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.getByPlaceholder('Name, connection or relation').fill('invoice');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.waitForURL(/text=invoice/);
    assert.equal(await page.locator('.sessions > li').count(), 1);
  });

  it('shows a session with its holds, hops to them, and plays it', async () => {
    await page.goto(`${address}/sessions/${head.session}`);
    await page.getByText('which did not count').waitFor();
    await picture('web-session');
    await page.getByRole('button', { name: 'Next hold' }).click();
    await page.locator('#op-op-3:focus').waitFor();
    await page.locator('#op-op-3').scrollIntoViewIfNeeded();
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.locator('#op-op-3').evaluate((one) =>
      (one as unknown as { scrollIntoView(how: object): void }).scrollIntoView({
        block: 'start',
        behavior: 'instant',
      }),
    );
    await picture('web-session-dark');
    await phone('web-session-phone-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.getByRole('combobox', { name: 'Speed' }).selectOption('32');
    await page.getByRole('button', { name: 'Play' }).click();
    await page.locator('#op-op-6').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Pause' }).click();
    assert.equal(await page.locator('#op-op-6').isVisible(), false);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('button', { name: 'Play' }).waitFor();
    assert.equal(await page.locator('.to-come').count(), 0);
  });

  it('follows a live session', async () => {
    await page.goto(`${address}/sessions/${summaries[0]?.session}`);
    await page.getByText('SELECT while somebody watches').waitFor();
    assert.deepEqual(complaints, [], 'the browser has nothing against them');
  });
});
