/** The pages in a real browser: styled under their own policy, played, followed and hopped through. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Browser, Page } from 'playwright-core';
import type { RecordedEvent, RecordedHead, Recordings, SessionSummary, Viewer } from '../gateway/recordings/shape.ts';
import type { Overview } from '../gateway/web/pages/overview.ts';
import { pages } from '../gateway/web/pages/pages.ts';
import { launchBrowser } from './support/browser.ts';

/** With UPDATE_SCREENSHOTS=1 the README's pictures are taken anew; else they go to the temporary directory. */
const pictures = process.env.UPDATE_SCREENSHOTS
  ? fileURLToPath(new URL('../manifests/screenshots/', import.meta.url))
  : join(tmpdir(), 'countersign-screenshots');

const AT = Date.parse('2026-11-23T14:00:00Z');
const HOUR = 3_600_000;
const ISSUER = 'https://login.example.com';
const viewer: Viewer = {
  issuer: ISSUER,
  subject: 'carol',
  name: 'Carol Diaz',
  slack: ['U0CAROL'],
  admin: true,
  approver: true,
};

const head: RecordedHead = {
  v: 1,
  kind: 'session',
  session: '3fa85f64-5717-4562-b3fc-2c963f66afa6',
  gateway: 'gw-7c1e',
  startedAt: AT,
  connection: 'orders',
  environment: 'production',
  protocol: 'postgres',
  peer: '10.2.0.14:52110',
  principal: {
    issuer: ISSUER,
    subject: 'report-bot',
    kind: 'agent',
    name: 'report-bot',
    groups: [],
    sponsor: 'U0BOB',
    purpose: 'nightly revenue report',
  },
};
const op = (
  t: number,
  operation: string,
  verdict: string,
  headline: string,
  statement: string,
  more: object = {},
): RecordedEvent => ({
  t,
  kind: 'operation',
  operation,
  verdict,
  headline,
  statement,
  parameters: [],
  rules: [],
  ...more,
});
const columns = (t: number, operation: string, ...names: string[]): RecordedEvent => ({
  t,
  kind: 'columns',
  operation,
  columns: names.map((name) => ({ name, type: 25, binary: false })),
});
const done = (
  t: number,
  operation: string,
  tag: string,
  rows: number,
  ms: number,
  more: object = {},
): RecordedEvent => ({
  t,
  kind: 'outcome',
  operation,
  outcome: 'done',
  tag,
  rows,
  ms,
  ...more,
});
const events: RecordedEvent[] = [
  op(
    120,
    'op-1',
    'allow',
    'SELECT on public.orders',
    "SELECT status, count(*), sum(total) AS revenue\nFROM orders\nWHERE placed_at >= date_trunc('month', now())\nGROUP BY status ORDER BY 3 DESC;",
  ),
  columns(131, 'op-1', 'status', 'count', 'revenue'),
  {
    t: 131,
    kind: 'rows',
    operation: 'op-1',
    rows: [
      ['paid', '1204', '96120.50'],
      ['shipped', '873', '71004.10'],
      ['cancelled', '61', '4210.00'],
    ],
  },
  done(132, 'op-1', 'SELECT 3', 3, 12),
  op(
    2_400,
    'op-2',
    'allow',
    'SELECT on public.customers',
    'SELECT id, name, email, ssn, card_number FROM customers WHERE id = ANY($1) ORDER BY id;',
    { parameters: ['{17,18,19}'] },
  ),
  columns(2_410, 'op-2', 'id', 'name', 'email', 'ssn', 'card_number'),
  {
    t: 2_411,
    kind: 'rows',
    operation: 'op-2',
    rows: [
      ['17', 'Ada Keller', 'a•••@•••.example', '•••-••-3333', '•••• •••• •••• 1881'],
      ['18', 'Jonas Weber', 'j•••@•••.example', '•••-••-0417', '•••• •••• •••• 0004'],
      ['19', 'Mira Novak', 'm•••@•••.example', null, '•••• •••• •••• 5100'],
    ],
  },
  done(2_412, 'op-2', 'SELECT 3', 3, 4, { masked: { columns: 8 } }),
  op(5_100, 'op-3', 'hold', 'DELETE on public.customers, no WHERE', 'DELETE FROM customers;', { rules: ['no-where'] }),
  { t: 5_101, kind: 'hold.open', operation: 'op-3', hold: 'h-3' },
  {
    t: 5_104,
    kind: 'said',
    operation: 'op-3',
    severity: 'NOTICE',
    code: '00000',
    message: 'held: waiting for 1 of @dba-oncall (request k3f9qa)',
  },
  {
    t: 63_000,
    kind: 'hold.vote',
    operation: 'op-3',
    hold: 'h-3',
    user: 'U0BOB',
    name: 'Bob Lang',
    decision: 'approve',
    counted: false,
    why: 'you answer for this agent',
  },
  {
    t: 98_000,
    kind: 'hold.vote',
    operation: 'op-3',
    hold: 'h-3',
    user: 'U0CAROL',
    decision: 'deny',
    counted: true,
    reason: 'This is the whole table. Ask for the ones that closed their account.',
  },
  {
    t: 98_001,
    kind: 'hold.settled',
    operation: 'op-3',
    hold: 'h-3',
    state: 'denied',
    by: 'U0CAROL',
    reason: 'This is the whole table. Ask for the ones that closed their account.',
  },
  op(
    141_000,
    'op-4',
    'hold',
    'UPDATE on public.orders, about 61 rows',
    "UPDATE orders SET status = 'archived' WHERE status = 'cancelled';",
    { rules: ['production-writes', 'bulk'] },
  ),
  { t: 141_001, kind: 'hold.open', operation: 'op-4', hold: 'h-4' },
  {
    t: 170_400,
    kind: 'hold.vote',
    operation: 'op-4',
    hold: 'h-4',
    user: 'U0CAROL',
    decision: 'approve',
    counted: true,
    reason: 'agreed in OPS-411',
  },
  {
    t: 186_250,
    kind: 'hold.vote',
    operation: 'op-4',
    hold: 'h-4',
    user: 'U0ALICE',
    decision: 'approve',
    counted: true,
  },
  { t: 186_251, kind: 'hold.settled', operation: 'op-4', hold: 'h-4', state: 'approved', by: ['U0CAROL', 'U0ALICE'] },
  { t: 186_254, kind: 'hold.released', operation: 'op-4', hold: 'h-4' },
  done(186_270, 'op-4', 'UPDATE 61', 61, 14),
  op(190_000, 'op-5', 'deny', 'GRANT on public.customers', 'GRANT SELECT ON customers TO PUBLIC;', {
    rules: ['privileges'],
    why: 'Privileges change through Terraform',
  }),
  op(201_000, 'op-6', 'allow', 'SELECT on public.refunds', 'SELECT * FROM refunds;'),
  {
    t: 201_009,
    kind: 'outcome',
    operation: 'op-6',
    outcome: 'failed',
    sqlstate: '42P01',
    message: 'relation "refunds" does not exist',
    ms: 3,
  },
  { t: 214_000, kind: 'session.end', reason: 'the client left' },
];
const summaryOf = (n: number, more: Partial<SessionSummary>): SessionSummary => ({
  v: 1,
  session: n === 0 ? head.session : `3fa85f64-5717-4562-b3fc-${String(n).padStart(12, '0')}`,
  gateway: 'gw-7c1e',
  connection: 'orders',
  environment: 'production',
  protocol: 'postgres',
  principal: `${ISSUER}#report-bot`,
  principalKind: 'agent',
  name: 'report-bot',
  sponsor: 'U0BOB',
  startedAt: AT - n * 11 * 60_000,
  endedAt: AT - n * 11 * 60_000 + 214_000,
  reason: 'the client left',
  operations: 6,
  held: 2,
  denied: 1,
  failed: 1,
  verdicts: ['allow', 'hold', 'deny'],
  relations: ['public.customers', 'public.orders'],
  file: 'f',
  bytes: 1,
  ...more,
});
const person = { principal: `${ISSUER}#dana`, principalKind: 'human', name: 'Dana Osei' } as const;
const { endedAt: _ended, ...lasting } = summaryOf(9, {
  ...person,
  held: 0,
  denied: 0,
  failed: 0,
  operations: 4,
  relations: ['public.payments'],
});
const summaries: SessionSummary[] = [
  { ...lasting, startedAt: AT + 200_000 },
  summaryOf(0, {}),
  summaryOf(2, {
    name: 'invoice-agent',
    principal: `${ISSUER}#invoice-agent`,
    connection: 'billing',
    held: 0,
    denied: 0,
    failed: 0,
    operations: 1_204,
    relations: ['public.invoices', 'public.invoice_lines'],
  }),
  summaryOf(4, {
    ...person,
    connection: 'orders-staging',
    environment: 'staging',
    held: 1,
    denied: 0,
    failed: 3,
    operations: 57,
    relations: ['public.orders', 'audit.changes'],
  }),
  summaryOf(6, { held: 0, denied: 0, failed: 0, operations: 31, relations: ['public.orders'] }),
  summaryOf(8, {
    name: 'support-copilot',
    principal: `${ISSUER}#support-copilot`,
    connection: 'crm',
    held: 0,
    denied: 4,
    failed: 0,
    operations: 212,
    relations: ['public.tickets', 'public.customers'],
  }),
];

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
      endSession: () => false,
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
    await page.locator('#op-op-3').evaluate('(one) => one.scrollIntoView({ block: "start", behavior: "instant" })');
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
