/** The page in headless Chromium: a card arrives, is clicked, changes; modals, confirm dialogs, phone width, the terminal. */
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { WebSocket } from 'ws';
import { launchBrowser } from '../support/browser.ts';
import type { Slack } from './server.ts';
import { actions, BareApp, button, CHANNEL, call, modal, reasonInput, start } from './test-app.ts';
import type { Json } from './workspace.ts';

const plain = (text: string): Json => ({ type: 'plain_text', text });
const mrkdwn = (text: string): Json => ({ type: 'mrkdwn', text, verbatim: true });
const SOON = Math.floor(Date.now() / 1000) + 900;
const STATEMENT = "DELETE FROM customers\nWHERE created_at < now() - interval '2 years' -- <!channel> *bold* ```";

const card = (decided?: string): Json[] => [
  { type: 'header', text: plain('PRODUCTION · orders: DELETE on public.customers') },
  { type: 'section', text: mrkdwn('*report-bot* asks · sponsor <@U0BOB> · nightly revenue report') },
  {
    type: 'rich_text',
    elements: [
      { type: 'rich_text_preformatted', elements: [{ type: 'text', text: STATEMENT }] },
      {
        type: 'rich_text_section',
        elements: [{ type: 'date', timestamp: SOON, format: '{date_short_pretty} {time}' }],
      },
    ],
  },
  {
    type: 'section',
    fields: [
      mrkdwn('*Rule*\nwrites-without-where'),
      mrkdwn('*Who may approve*\n<!subteam^S0DBA> (1 of 1)'),
      mrkdwn('*Digest*\n`9f2c 41aa 07de`'),
      mrkdwn(`*Until*\n<!date^${SOON}^{date_short_pretty} {time}|soon>`),
    ],
  },
  decided === undefined
    ? actions(
        button('approve', { text: plain('Approve'), style: 'primary' }),
        button('deny', { text: plain('Deny'), style: 'danger' }),
        button('details', { text: plain('Details') }),
        {
          type: 'overflow',
          action_id: 'more',
          confirm: {
            title: plain('Kill the session?'),
            text: mrkdwn('*report-bot* is disconnected.'),
            confirm: plain('Kill'),
            deny: plain('Keep'),
            style: 'danger',
          },
          options: [
            { text: plain('Approve this shape for 15 min'), value: 'grant:15m' },
            { text: plain('Kill session'), value: 'kill' },
          ],
        },
      )
    : { type: 'section', text: mrkdwn(decided) },
  { type: 'context', elements: [mrkdwn('Nothing has been run. The session waits.')] },
];

const picture = (name: string): string => join(tmpdir(), `countersign-slack-${name}.png`);

describe('the page', () => {
  let slack: Slack;
  let browser: Browser;
  let page: Page;
  let app: BareApp;

  before(async () => {
    slack = await start({
      terminal: {
        spawn: () => ({
          argv: ['sh', '-c', 'printf "%s\\n" "hello $NAME"; read line; echo "got $line"'],
          env: { NAME: "o'clock" },
        }),
      },
    });
    app = await BareApp.connect(slack, async ({ payload }) => {
      const action = (payload.actions as Json[] | undefined)?.[0];
      const user = (payload.user as Json | undefined)?.id;
      if (action?.action_id === 'approve') {
        const ts = (payload.container as Json).message_ts;
        await call(slack, 'chat.update', {
          channel: CHANNEL,
          ts,
          text: 'approved',
          blocks: card(`✅ *Approved* by <@${String(user)}> · 5,211 rows in 1.3 s`),
        });
      }
      if (action?.action_id === 'more') {
        const picked = (action.selected_option as Json).value;
        await call(slack, 'chat.postEphemeral', { channel: CHANNEL, user, text: `You chose \`${String(picked)}\`` });
      }
      if (action?.action_id === 'deny') {
        const view = modal(
          [
            { type: 'section', text: mrkdwn('The agent is told *why*.') },
            { ...reasonInput, hint: plain('One sentence helps.') },
          ],
          { title: plain('Deny'), submit: plain('Deny'), close: plain('Cancel'), callback_id: 'deny' },
        );
        await call(slack, 'views.open', { trigger_id: payload.trigger_id, view });
      }
      if (payload.type === 'view_submission')
        await call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'Denied: *too much* at once' });
      return {};
    });
    browser = await launchBrowser();
    page = await browser.newPage({ viewport: { width: 1180, height: 820 }, colorScheme: 'light' });
    await page.goto(slack.url);
  });
  after(async () => {
    await browser?.close();
    app?.close();
    await slack?.stop();
  });

  it('shows a card as it comes, hostile text literally, and its edit after a click on Approve', async () => {
    await call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'a card', blocks: card() });
    await page.getByRole('button', { name: 'Approve', exact: true }).waitFor();
    assert.equal(await page.locator('pre.code').textContent(), STATEMENT);
    const shown = (await page.locator('time').allTextContents()).slice(-2); // the first says when it was posted
    assert.deepEqual(
      shown.map((said) => /^(today|tomorrow) \d\d:\d\d$/.test(said)),
      [true, true],
    );
    await page.screenshot({ path: picture('card') });
    await page.getByRole('button', { name: 'Approve', exact: true }).click();
    await page.getByText('5,211 rows in 1.3 s').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Approve', exact: true }).count(), 0);
  });

  it('asks before a menu choice that wants to be confirmed, and shows the answer only to who chose', async () => {
    await call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'a card', blocks: card() });
    await page.getByRole('button', { name: 'More actions' }).click();
    await page.getByRole('menuitem', { name: 'Kill session' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Keep' }).click();
    assert.equal(
      app.got.filter(
        ({ payload }) =>
          JSON.stringify(payload).includes('"more"') &&
          payload.type === 'block_actions' &&
          (payload.actions as Json[])[0]?.action_id === 'more',
      ).length,
      0,
    );
    await page.getByRole('button', { name: 'More actions' }).click();
    await page.getByRole('menuitem', { name: 'Kill session' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Kill' }).click();
    await page.getByText('Only visible to you').waitFor();
    await page.locator('[data-person="U0CAROL"]').click();
    await page.locator('[data-person="U0CAROL"][aria-pressed="true"]').waitFor();
    await page.getByRole('button', { name: 'Approve', exact: true }).waitFor();
    assert.equal(await page.getByText('Only visible to you').count(), 0);
    await page.locator('[data-person="U0ALICE"]').click();
    await page.getByText('Only visible to you').waitFor();
  });

  it('opens a modal, insists on its required input, and sends it', async () => {
    await page.getByRole('button', { name: 'Deny' }).click();
    const dialog = page.getByRole('dialog', { name: 'Deny' });
    await dialog.getByRole('button', { name: 'Deny' }).click();
    await dialog.getByText('Please complete this required field.').waitFor();
    await page.screenshot({ path: picture('modal') });
    await dialog.getByLabel('Reason').fill('not at noon');
    await dialog.getByRole('button', { name: 'Deny' }).click();
    await page.getByText('too much').waitFor();
    assert.equal(await dialog.count(), 0);
    const sent = await app.next(({ payload }) => payload.type === 'view_submission');
    assert.match(JSON.stringify(sent.payload), /not at noon/);
  });

  it('puts the keyboard into a modal that opens, keeps it there, and closes on Escape', async () => {
    const deny = page.getByRole('button', { name: 'Deny', exact: true }).last();
    await deny.focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Deny' });
    await dialog.waitFor();
    const within = () => page.evaluate('document.querySelector("[role=dialog]").contains(document.activeElement)');
    assert.equal(await page.evaluate('document.activeElement.matches("input, textarea")'), true, 'ready to type');
    for (let presses = 0; presses < 12; presses++) {
      await page.keyboard.press(presses < 6 ? 'Tab' : 'Shift+Tab');
      assert.equal(await within(), true);
    }
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  });

  it('says so when the app does not answer a command', async () => {
    app.close();
    await page.getByLabel(/^Message #approvals/).fill('/status now');
    await page.keyboard.press('Enter');
    await page.getByText('Countersign is not connected right now').waitFor();
  });

  it('runs a program in the terminal pane, and nothing for a foreign page', async () => {
    await page.getByRole('button', { name: /Terminal/ }).click();
    await page.locator('.xterm-rows').getByText("hello o'clock").waitFor();
    await page.keyboard.type('abc\n');
    await page.locator('.xterm-rows').getByText('got abc').waitFor();
    await page.screenshot({ path: picture('terminal') });
    for (const headers of [{ origin: 'http://evil.example' }, {}]) {
      const foreign = new WebSocket(`${slack.url.replace('http', 'ws')}terminal`, { headers });
      await assert.rejects(new Promise((resolve, reject) => foreign.once('open', resolve).once('error', reject)));
    }
  });

  it('fits a phone, in the dark', async () => {
    await page.getByRole('button', { name: 'Close the terminal' }).click();
    await page.setViewportSize({ width: 390, height: 780 });
    await page.getByRole('button', { name: 'Dark colours' }).click();
    await page.screenshot({ path: picture('phone') });
    const wide = await page.evaluate('document.documentElement.scrollWidth');
    assert.equal(wide, 390);
    await page.getByRole('button', { name: 'Channels' }).click();
    await page.getByText('Acting as').waitFor();
  });
});
