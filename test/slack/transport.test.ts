/** How payloads reach the app and calls reach the workspace: sockets, signatures, limits, faults, events. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { button, CHANNEL, call, type Envelope, TOKENS } from './test-app.ts';
import { connect, post, stops, texts, workspace } from './test-stage.ts';
import type { Json } from './workspace.ts';

describe('Socket Mode', () => {
  it('delivers each payload to exactly one connection, in turn, and takes no eleventh', async () => {
    const slack = await workspace();
    const apps = [];
    for (let index = 0; index < 10; index += 1) apps.push(await connect(slack));
    assert.equal(apps[9]?.hello?.num_connections, 10);
    const ts = await post(slack, button('approve'));
    for (let index = 0; index < 20; index += 1) {
      await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve', follow: false });
    }
    assert.deepEqual(
      apps.map((app) => app.got.length),
      Array(10).fill(2),
    );
    const eleventh = await connect(slack);
    assert.equal(eleventh.disconnected, 'too_many_websockets');
  });

  it('gives an address that works once', async () => {
    const slack = await workspace();
    const { url } = await call(slack, 'apps.connections.open', {}, TOKENS.appToken);
    const first = new WebSocket(String(url));
    stops.push(() => first.terminate());
    await once(first, 'message');
    const second = new WebSocket(String(url));
    await assert.rejects(once(second, 'open'));
  });

  it('takes no acknowledgement from another connection', async () => {
    const slack = await workspace({ ackMs: 150 });
    const silent = await connect(slack, () => undefined);
    const ts = await post(slack, button('approve'));
    const clicked = slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
    const { envelope_id } = await silent.next(() => true);
    const other = await connect(slack);
    other.socket.send(JSON.stringify({ envelope_id, payload: {} }));
    assert.equal((await clicked).error, 'operation_timeout');
  });
});

describe('signed HTTP', () => {
  it('signs what it sends, gives up after the deadline, and tells an error from silence', async () => {
    const slack = await workspace({ mode: 'http', ackMs: 150 });
    const got: { headers: IncomingHttpHeaders; body: string }[] = [];
    let status = 200;
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      got.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      if (status > 0) response.writeHead(status).end();
    }).listen(0, '127.0.0.1');
    stops.push(
      () => server.closeAllConnections(),
      () => server.close(),
    );
    await once(server, 'listening');
    const ts = await post(slack, button('approve'));
    const click = (): Promise<Json> =>
      slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve', follow: false });
    assert.equal((await click()).error, 'dispatch_failed');
    slack.configure({ requestUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/slack/events` });
    assert.equal((await click()).ok, true);
    const { headers, body } = got[0] ?? { headers: {}, body: '' };
    const stamp = String(headers['x-slack-request-timestamp']);
    const expected = createHmac('sha256', TOKENS.signingSecret).update(`v0:${stamp}:${body}`).digest('hex');
    assert.equal(headers['x-slack-signature'], `v0=${expected}`);
    assert.equal((JSON.parse(new URLSearchParams(body).get('payload') ?? '') as Json).type, 'block_actions');
    assert.equal((await call(slack, 'apps.connections.open', {}, TOKENS.appToken)).error, 'socket_mode_disabled');
    status = 401;
    assert.equal((await click()).error, 'dispatch_failed');
    status = 0;
    assert.equal((await click()).error, 'operation_timeout');
  });
});

describe('limits and faults', () => {
  it('holds posts to one a second and channel after a burst, and a method to its tier', async () => {
    const slack = await workspace({ rate: 'strict' });
    const posts = await Promise.all(
      Array.from({ length: 8 }, () => call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'a' })),
    );
    assert.deepEqual(
      posts.map((one) => one.error ?? 'ok'),
      [...Array(5).fill('ok'), ...Array(3).fill('ratelimited')],
    );
    for (let index = 0; index < 20; index += 1) assert.equal((await call(slack, 'usergroups.list')).ok, true);
    const response = await fetch(`${slack.apiUrl}usergroups.list`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.botToken}` },
    });
    assert.equal(response.status, 429);
    assert.match(String(response.headers.get('retry-after')), /^[123]$/);
  });

  it('plays each ordered fault as often as ordered', async () => {
    const slack = await workspace();
    const say = (): Promise<Json> => call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'a' });
    await slack.fault({ kind: 'rate_limit', method: 'chat.postMessage', count: 2, retryAfter: 7 });
    assert.deepEqual(
      [(await say()).error, (await say()).error, (await say()).ok],
      ['ratelimited', 'ratelimited', true],
    );
    await slack.fault({ kind: 'error', method: 'chat.postMessage', error: 'fatal_error' });
    assert.deepEqual([(await say()).error, (await say()).ok], ['fatal_error', true]);
    await slack.fault({ kind: 'http_5xx', method: '*', status: 503 });
    await assert.rejects(say(), SyntaxError);
    const before = (await texts(slack)).length;
    await slack.fault({ kind: 'lose_reply', method: 'chat.postMessage' });
    await assert.rejects(say(), TypeError);
    assert.equal((await texts(slack)).length, before + 1);
    await slack.fault({ kind: 'delay', method: 'chat.postMessage', ms: 80 });
    const from = performance.now();
    await say();
    assert.ok(performance.now() - from >= 75);
    await assert.rejects(slack.fault({ kind: 'earthquake' }));
    await slack.fault({ kind: 'down', ms: 60_000 });
    await assert.rejects(say(), TypeError);
    await slack.fault({ kind: 'clear' });
    assert.equal((await say()).ok, true);
  });

  it('drops sockets with and without a word, and redelivers what was acknowledged', async () => {
    const slack = await workspace();
    const first = await connect(slack);
    const closed = once(first.socket, 'close');
    await slack.fault({ kind: 'drop_socket' });
    await closed;
    assert.equal(first.disconnected, undefined);
    const second = await connect(slack);
    const told = once(second.socket, 'message');
    await slack.fault({ kind: 'drop_socket', reason: 'refresh_requested' });
    await told;
    assert.equal(second.disconnected, 'refresh_requested');
    second.close();
    await once(second.socket, 'close');
    const third = await connect(slack);
    const ts = await post(slack, button('approve'));
    await slack.fault({ kind: 'redeliver' });
    await slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve', follow: false });
    const again = await third.next((envelope) => envelope.retry_attempt === 1);
    assert.equal(again.payload.trigger_id, third.got[0]?.payload.trigger_id);
    assert.notEqual(again.envelope_id, third.got[0]?.envelope_id);
  });

  it('cuts a connection off that has a payload, hears nothing of it, and delivers again over another', async () => {
    const slack = await workspace();
    const apps = [await connect(slack), await connect(slack)];
    const ts = await post(slack, button('approve'));
    await slack.fault({ kind: 'cut_delivery' });
    const acted = await slack.act('click', {
      user: 'U0ALICE',
      channel: CHANNEL,
      ts,
      action_id: 'approve',
      follow: false,
    });
    assert.equal(acted.ok, true);
    assert.equal(slack.connections(), 1);
    const got = apps.flatMap((app) => app.got);
    assert.deepEqual(got.map(({ retry_attempt }) => retry_attempt ?? 0).sort(), [0, 1]);
    assert.equal(new Set(got.map(({ payload }) => payload.trigger_id)).size, 1);
  });
});

describe('events', () => {
  it('tells of people and groups that change, and again when not acknowledged', async () => {
    const slack = await workspace({ ackMs: 50 });
    let silent = true;
    const app = await connect(slack, () => (silent ? undefined : {}));
    await slack.act('group', { handle: '@dba-oncall', add: ['U0BOB'], remove: ['U0CAROL'] });
    const isMembers = ({ payload }: Envelope): boolean => (payload.event as Json).type === 'subteam_members_changed';
    const first = await app.next(isMembers);
    assert.deepEqual(
      [(first.payload.event as Json).added_users, (first.payload.event as Json).removed_users],
      [['U0BOB'], ['U0CAROL']],
    );
    const again = await app.next((envelope) => isMembers(envelope) && envelope.retry_attempt === 1);
    assert.equal(again.payload.event_id, first.payload.event_id);
    silent = false;
    await slack.act('deactivate', { user: 'U0BOB' });
    const gone = await app.next(({ payload }) => (payload.event as Json).type === 'user_change');
    assert.equal(((gone.payload.event as Json).user as Json).deleted, true);
    assert.deepEqual((await call(slack, 'usergroups.users.list', { usergroup: 'S0DBA' })).users, ['U0ALICE']);
    assert.equal(
      (await call(slack, 'chat.postEphemeral', { channel: CHANNEL, user: 'U0BOB', text: 'a' })).error,
      'user_not_in_channel',
    );
  });
});

describe('the page’s stream', () => {
  it('speaks once of each change, however much there is to show', async () => {
    const slack = await workspace();
    for (let posts = 0; posts < 3; posts++)
      await call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'x'.repeat(30_000) });
    const stream = await fetch(`${slack.url}page/events?user=U0ALICE`);
    const pushed: string[] = [];
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of stream.body ?? assert.fail()) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
      rest = parts.pop() ?? '';
      if (pushed.length === 0 && parts.length > 0) {
        // All of what follows is one post: the first push is read, and nothing else happens.
        await call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'the end' });
      }
      pushed.push(...parts);
      if (parts.some((part) => part.includes('the end'))) break;
    }
    assert.ok(pushed.length <= 3, `${pushed.length} pushes for one change`);
  });
});
