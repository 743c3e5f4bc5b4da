/** The workspace as an app meets it: tokens, triggers, sockets, visibility, limits, faults, signatures, events. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { actions, button, CHANNEL, call, modal, reasonInput, section, TOKENS } from './test-app.ts';
import { connect, post, texts, workspace } from './test-stage.ts';
import type { Json } from './workspace.ts';

describe('tokens and scopes', () => {
  it('tells a missing token from a wrong one, and a bot token from an app token', async () => {
    const slack = await workspace();
    const bare = await fetch(`${slack.apiUrl}auth.test`, { method: 'POST' });
    assert.equal(((await bare.json()) as Json).error, 'not_authed');
    assert.equal((await call(slack, 'auth.test', {}, 'xoxb-other')).error, 'invalid_auth');
    assert.equal((await call(slack, 'auth.test', {}, TOKENS.appToken)).error, 'not_allowed_token_type');
    assert.equal((await call(slack, 'apps.connections.open', {}, TOKENS.botToken)).error, 'not_allowed_token_type');
    assert.equal((await call(slack, 'apps.connections.open', { token: TOKENS.appToken }, 'no')).error, 'invalid_auth');
  });

  it('names the scope that is missing, and shows no e-mail without its scope', async () => {
    const slack = await workspace({ scopes: ['chat:write', 'users:read'] });
    const refused = await call(slack, 'usergroups.list');
    assert.deepEqual(
      [refused.error, refused.needed, refused.provided],
      ['missing_scope', 'usergroups:read', 'chat:write,users:read'],
    );
    const { user } = await call(slack, 'users.info', { user: 'U0ALICE' });
    assert.equal(((user as Json).profile as Json).email, undefined);
    const response = await fetch(`${slack.apiUrl}auth.test`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.botToken}` },
    });
    assert.equal(response.headers.get('x-oauth-scopes'), 'chat:write,users:read');
  });
});

describe('clicks', () => {
  it('reach the app in Slack’s shape, with a message for a message and a view for a view', async () => {
    const slack = await workspace();
    const app = await connect(slack);
    const ts = await post(slack, button('approve', { value: 'h1:1' }));
    await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve', follow: false });
    const { payload, type } = await app.next(() => true);
    assert.equal(type, 'interactive');
    assert.deepEqual(payload.user, { id: 'U0ALICE', username: 'alice', name: 'alice', team_id: 'T0COUNTERSIGN' });
    assert.deepEqual(payload.container, { type: 'message', message_ts: ts, channel_id: CHANNEL, is_ephemeral: false });
    assert.equal((payload.message as Json).bot_id, 'B0GATEBOT');
    const [action] = payload.actions as Json[];
    assert.deepEqual([action?.action_id, action?.value, action?.type], ['approve', 'h1:1', 'button']);
    await call(slack, 'views.open', { trigger_id: payload.trigger_id, view: modal([actions(button('next'))]) });
    const { views } = (await slack.read('views', { user: 'U0ALICE' })) as { views: Json[] };
    await slack.act('click', { user: 'U0ALICE', view_id: views[0]?.id, action_id: 'next', follow: false });
    const inModal = await app.next((one) => (one.payload.actions as Json[])[0]?.action_id === 'next');
    assert.deepEqual(
      [inModal.payload.message, inModal.payload.channel, (inModal.payload.container as Json).type],
      [undefined, undefined, 'view'],
    );
  });

  it('are possible only on what the person can see there now', async () => {
    const slack = await workspace();
    await connect(slack);
    const ts = await post(slack, button('approve', { value: 'v' }), {
      type: 'overflow',
      action_id: 'more',
      options: [{ text: { type: 'plain_text', text: 'a' }, value: 'kill' }],
    });
    const hidden = await call(slack, 'chat.postEphemeral', {
      channel: CHANNEL,
      user: 'U0BOB',
      text: 'x',
      blocks: [actions(button('approve'))],
    });
    const { ts: fake } = await slack.act('post', {
      user: 'U0BOB',
      channel: CHANNEL,
      text: 'card',
      bot_id: 'B0OTHER',
      username: 'Countersign',
      blocks: [actions(button('approve'))],
    });
    const click = { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve', follow: false };
    const tries: [Json, RegExp][] = [
      [{ ...click, action_id: 'deny' }, /no element/],
      [{ ...click, ts: '1.000001' }, /no such message/],
      [{ ...click, channel: 'C0GENERAL' }, /no such message/],
      [{ ...click, user: 'U0NOBODY' }, /no such person/],
      [{ ...click, value: 'forged' }, /its own value/],
      [{ ...click, action_id: 'more', value: 'grant:1h' }, /no option/],
      [{ ...click, ts: hidden.message_ts }, /no such message/],
      [{ ...click, ts: fake }, /not of this app/],
      [{ ...click, view_id: 'V0NONE' }, /not open/],
    ];
    for (const [body, expected] of tries) assert.match(String((await slack.act('click', body)).error), expected);
    assert.equal((await slack.act('click', { ...click, user: 'U0BOB', ts: hidden.message_ts })).ok, true);
    await slack.act('deactivate', { user: 'U0ALICE' });
    assert.match(String((await slack.act('click', click)).error), /deactivated/);
    await call(slack, 'chat.update', { channel: CHANNEL, ts, text: 'done', blocks: [section('done')] });
    assert.match(String((await slack.act('click', { ...click, user: 'U0CAROL' })).error), /no element/);
  });

  it('fail visibly when nobody is there, or nobody answers in time', async () => {
    const slack = await workspace({ ackMs: 60 });
    const ts = await post(slack, button('approve'));
    const click = { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' };
    assert.equal((await slack.act('click', click)).error, 'dispatch_failed');
    await connect(slack, () => undefined);
    assert.equal((await slack.act('click', click)).error, 'operation_timeout');
  });

  it('tell what followed: a late ephemeral, and not that of others', async () => {
    const slack = await workspace();
    await connect(slack, async () => {
      setTimeout(
        () => void call(slack, 'chat.postEphemeral', { channel: CHANNEL, user: 'U0BOB', text: 'for bob' }),
        20,
      );
      setTimeout(
        () =>
          void call(slack, 'chat.postEphemeral', { channel: CHANNEL, user: 'U0ALICE', text: 'not yours to approve' }),
        400,
      );
      return {};
    });
    const ts = await post(slack, button('approve'));
    const answer = await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
    assert.deepEqual(
      answer.ephemeral.map((one) => one.text),
      ['not yours to approve'],
    );
    assert.deepEqual(await texts(slack), ['card']);
    assert.deepEqual(await texts(slack, 'U0BOB'), ['card', 'for bob']);
  });
});

describe('triggers and views', () => {
  it('a trigger works once, for three seconds, and only if it was issued', async () => {
    let now = Date.now();
    const slack = await workspace({ now: () => now });
    const app = await connect(slack);
    const ts = await post(slack, button('deny'));
    const fresh = async (): Promise<unknown> => {
      app.got.length = 0;
      await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'deny', follow: false });
      return (await app.next(() => true)).payload.trigger_id;
    };
    const open = (trigger_id: unknown): Promise<Json> =>
      call(slack, 'views.open', { trigger_id, view: modal([section('a')]) });
    const trigger = await fresh();
    assert.equal((await open(trigger)).ok, true);
    assert.equal((await open(trigger)).error, 'exchanged_trigger_id');
    const late = await fresh();
    now += 3_000;
    assert.equal((await open(late)).error, 'expired_trigger_id');
    assert.equal((await open('1.2.3')).error, 'invalid_trigger_id');
  });

  it('views.update keeps what was typed, obeys the hash, and needs the view to be open', async () => {
    const slack = await workspace();
    const app = await connect(slack);
    const ts = await post(slack, button('deny'));
    await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'deny', follow: false });
    const { trigger_id } = (await app.next(() => true)).payload;
    const form = modal([reasonInput, actions(button('more'))], {
      submit: { type: 'plain_text', text: 'Go' },
      notify_on_close: true,
    });
    const { view } = (await call(slack, 'views.open', { trigger_id, view: form })) as { view: Json };
    const typed = { reason: { reason: { type: 'plain_text_input', value: 'because' } } };
    await slack.act('click', { user: 'U0ALICE', view_id: view.id, action_id: 'more', values: typed, follow: false });
    assert.equal(
      (await call(slack, 'views.update', { view_id: view.id, hash: 'old', view: form })).error,
      'hash_conflict',
    );
    const updated = (await call(slack, 'views.update', { view_id: view.id, hash: view.hash, view: form })) as {
      view: Json;
    };
    assert.deepEqual((updated.view.state as Json).values, typed);
    const wrong = await slack.act('submit', {
      user: 'U0ALICE',
      view_id: view.id,
      values: { reason: { reason: { value: 'x'.repeat(201) } } },
    });
    assert.deepEqual(Object.keys(wrong.errors ?? {}), ['reason']);
    assert.match(
      String((await slack.act('submit', { user: 'U0BOB', view_id: view.id, values: {} })).error),
      /not open/,
    );
    await slack.act('close', { user: 'U0ALICE', view_id: view.id });
    assert.equal((await app.next(({ payload }) => payload.type === 'view_closed')).payload.is_cleared, false);
    assert.equal((await call(slack, 'views.update', { view_id: view.id, view: form })).error, 'not_found');
  });

  it('a stack holds three views', async () => {
    const slack = await workspace();
    const app = await connect(slack);
    await call(slack, 'views.publish', { user_id: 'U0ALICE', view: { type: 'home', blocks: [actions(button('go'))] } });
    const { view: home } = (await slack.read('home', { user: 'U0ALICE', open: 'false' })) as { view: Json };
    const results: unknown[] = [];
    for (const method of ['views.push', 'views.open', 'views.push', 'views.push', 'views.push']) {
      app.got.length = 0;
      await slack.act('click', { user: 'U0ALICE', view_id: home.id, action_id: 'go', follow: false });
      const { trigger_id } = (await app.next(() => true)).payload;
      results.push((await call(slack, method, { trigger_id, view: modal([section('a')]) })).error);
    }
    assert.deepEqual(results, ['not_found', undefined, undefined, undefined, 'push_limit_reached']);
  });
});

describe('response URLs', () => {
  it('work five times, and answer the clicker alone unless told otherwise', async () => {
    const slack = await workspace();
    const app = await connect(slack);
    const ts = await post(slack, button('approve'));
    await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve', follow: false });
    const { response_url } = (await app.next(() => true)).payload;
    const respond = async (body: Json): Promise<number> =>
      (await fetch(String(response_url), { method: 'POST', body: JSON.stringify(body) })).status;
    assert.equal(await respond({ text: 'psst' }), 200);
    assert.equal(await respond({ text: 'all', response_type: 'in_channel' }), 200);
    assert.equal(await respond({ text: 'new', replace_original: true }), 200);
    assert.equal(await respond({ text: '', blocks: [section('')] }), 400);
    assert.equal(await respond({ delete_original: true }), 200);
    assert.equal(await respond({ text: 'once more' }), 404);
    assert.deepEqual(await texts(slack), ['all']);
    assert.deepEqual(await texts(slack, 'U0ALICE'), ['psst', 'all']);
  });
});

describe('the control endpoint', () => {
  it('serves programs on this machine and its own page, no other page and no other name', async () => {
    const slack = await workspace();
    const post = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${slack.controlUrl}/deactivate`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: '{"user":"U0ALICE"}',
      });
    assert.equal((await post({ origin: 'http://evil.example' })).status, 403);
    assert.equal((await post({ origin: 'null' })).status, 403);
    assert.equal((await post({ 'sec-fetch-site': 'cross-site' })).status, 403);
    const rebound = await fetch(`${slack.controlUrl.replace('127.0.0.1', '127.0.0.2')}/people`).catch(() => undefined);
    assert.notEqual(rebound?.status, 200);
    assert.equal((await call(slack, 'users.info', { user: 'U0ALICE' })).ok, true);
    assert.equal(((await call(slack, 'users.info', { user: 'U0ALICE' })).user as Json).deleted, false);
    assert.equal((await post({})).status, 200);
    assert.equal(((await call(slack, 'users.info', { user: 'U0ALICE' })).user as Json).deleted, true);
  });

  it('answers JSON to whatever it does not know', async () => {
    const slack = await workspace();
    for (const [path, body, status] of [
      ['/nowhere', '{}', 404],
      ['/click', '[]', 400],
      ['/click', '{', 400],
      ['/click', '{}', 200],
      ['/constructor', '{}', 404],
    ] as const) {
      const response = await fetch(slack.controlUrl + path, { method: 'POST', body });
      assert.equal(response.status, status, path);
      assert.equal(((await response.json()) as Json).ok, false);
    }
  });
});
