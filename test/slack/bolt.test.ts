/** A real Bolt 5 app against the emulated workspace, over both transports: what passes here is what Slack's own library does. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import bolt from '@slack/bolt';
import { freePort } from '../support/ports.ts';
import type { Slack } from './server.ts';
import { actions, button, CHANNEL, modal, reasonInput, section, start, TOKENS } from './test-app.ts';
import type { Json } from './workspace.ts';

const { App, LogLevel } = bolt;

let stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

async function tinyApp(mode: 'socket' | 'http'): Promise<Slack> {
  const slack = await start({ mode });
  stops.push(() => slack.stop());
  const app = new App({
    token: TOKENS.botToken,
    signingSecret: TOKENS.signingSecret,
    ...(mode === 'socket' ? { appToken: TOKENS.appToken, socketMode: true } : {}),
    clientOptions: { slackApiUrl: slack.apiUrl },
    logLevel: LogLevel.ERROR,
  });
  app.action('approve', async ({ ack, body, client, respond }) => {
    await ack();
    const message = 'message' in body ? body.message : undefined;
    await client.chat.update({
      channel: CHANNEL,
      ts: String(message?.ts),
      text: `approved by ${body.user.id}`,
      blocks: [section('done')] as never,
    });
    await respond({ text: 'counted', replace_original: false });
  });
  app.action('deny', async ({ ack, body, client }) => {
    await ack();
    const view = modal([reasonInput], { callback_id: 'deny', submit: { type: 'plain_text', text: 'Deny' } });
    await client.views.open({ trigger_id: 'trigger_id' in body ? String(body.trigger_id) : '', view: view as never });
  });
  app.view('deny', async ({ ack, view, client }) => {
    const reason = view.state.values.reason?.reason?.value ?? '';
    if (reason === 'no') return void (await ack({ response_action: 'errors', errors: { reason: 'say more' } }));
    await ack();
    await client.chat.postMessage({ channel: CHANNEL, text: `denied: ${reason}` });
  });
  app.command('/gate', async ({ ack, command }) => ack(`you said ${command.text}`));
  app.event('app_home_opened', async ({ event, client }) => {
    await client.views.publish({
      user_id: event.user,
      view: { type: 'home', blocks: [section(`Home of ${event.user}`)] as never },
    });
  });
  if (mode === 'http') {
    const port = await freePort();
    await app.start({ port, host: '127.0.0.1' });
    slack.configure({ requestUrl: `http://127.0.0.1:${port}/slack/events` });
  } else await app.start();
  stops.push(() => app.stop());
  const posted = await app.client.chat.postMessage({
    channel: CHANNEL,
    text: 'please',
    blocks: [section('please'), actions(button('approve', { style: 'primary' }), button('deny'))] as never,
  });
  assert.equal(posted.ok, true);
  return slack;
}

const lastTs = async (slack: Slack): Promise<string> => {
  const { messages } = (await slack.read('messages', { channel: CHANNEL })) as { messages: { ts: string }[] };
  return String(messages.at(-1)?.ts);
};

for (const mode of ['socket', 'http'] as const) {
  describe(`a Bolt 5 app over ${mode}`, () => {
    it('gets a click, edits its message and tells the clicker alone', async () => {
      const slack = await tinyApp(mode);
      const ts = await lastTs(slack);
      const clicked = await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
      assert.equal(clicked.error, undefined);
      assert.deepEqual(
        clicked.ephemeral.map((one) => one.text),
        ['counted'],
      );
      const { messages } = (await slack.read('messages', { channel: CHANNEL, user: 'U0BOB' })) as { messages: Json[] };
      assert.deepEqual(
        messages.map((one) => one.text),
        ['approved by U0ALICE'],
      );
    });

    it('opens a modal, refuses an input, takes the next', async () => {
      const slack = await tinyApp(mode);
      const clicked = await slack.act('click', {
        user: 'U0CAROL',
        channel: CHANNEL,
        ts: await lastTs(slack),
        action_id: 'deny',
      });
      const view_id = String(clicked.views[0]?.id);
      const values = (value: string): Json => ({ reason: { reason: { type: 'plain_text_input', value } } });
      const refused = await slack.act('submit', { user: 'U0CAROL', view_id, values: values('no') });
      assert.deepEqual([refused.ok, refused.errors], [false, { reason: 'say more' }]);
      assert.equal((await slack.act('submit', { user: 'U0CAROL', view_id, values: values('too wide') })).ok, true);
      assert.deepEqual(await slack.read('views', { user: 'U0CAROL' }), { ok: true, views: [] });
      const { messages } = (await slack.read('messages', { channel: CHANNEL })) as { messages: Json[] };
      assert.equal(messages.at(-1)?.text, 'denied: too wide');
    });

    it('answers a command with mentions as ids, and publishes a Home', async () => {
      const slack = await tinyApp(mode);
      const told = await slack.act('command', {
        user: 'U0BOB',
        channel: CHANNEL,
        command: '/gate',
        text: 'who is @alice & <co>',
      });
      assert.deepEqual(
        told.ephemeral.map((one) => one.text),
        ['you said who is <@U0ALICE|alice> &amp; &lt;co&gt;'],
      );
      const { view } = (await slack.read('home', { user: 'U0BOB' })) as { view: Json };
      assert.equal(view.type, 'home');
    });
  });
}
