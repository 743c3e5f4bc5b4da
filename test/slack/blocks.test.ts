/** Strictness: what Slack refuses, the emulator refuses, with Slack's error and a pointer to the place. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { blockErrors, viewErrors } from './blocks.ts';
import type { Slack } from './server.ts';
import { actions, button, CHANNEL, call, modal, reasonInput, section, start } from './test-app.ts';
import type { Json } from './workspace.ts';

const x = (count: number): string => 'x'.repeat(count);
const plain = (text: string): Json => ({ type: 'plain_text', text });
const rich = (...elements: Json[]): Json => ({ type: 'rich_text', elements });
const pre = (...elements: Json[]): Json => ({ type: 'rich_text_preformatted', elements });
const option = (value: string): Json => ({ text: plain(value), value });
const overflow = (count: number): Json => ({
  type: 'overflow',
  action_id: 'more',
  options: Array.from({ length: count }, (_, index) => option(`o${index}`)),
});
const confirm = (more: Json = {}): Json => ({
  title: plain('t'),
  text: plain('x'),
  confirm: plain('y'),
  deny: plain('n'),
  ...more,
});
const times = (count: number, block: Json): Json[] => Array.from({ length: count }, () => block);

/** Just inside each limit: all of these pass. */
const ACCEPTED: [what: string, blocks: Json[]][] = [
  ['50 blocks', times(50, { type: 'divider' })],
  ['a section of 3,000 characters', [section(x(3000))]],
  ['10 fields of 2,000', [{ type: 'section', fields: times(10, plain(x(2000))) }]],
  ['a header of 150', [{ type: 'header', text: plain(x(150)) }]],
  ['25 buttons', [actions(...Array.from({ length: 25 }, (_, index) => button(`b${index}`)))]],
  [
    'a button at every limit',
    [actions(button(x(255), { text: plain(x(75)), value: x(2000), accessibility_label: x(75), style: 'danger' }))],
  ],
  ['an overflow of 5', [actions(overflow(5))]],
  [
    'a confirm dialog at every limit',
    [
      actions(
        button('a', {
          confirm: confirm({ title: plain(x(100)), text: plain(x(300)), confirm: plain(x(30)), deny: plain(x(30)) }),
        }),
      ),
    ],
  ],
  [
    'a preformatted rich text',
    [
      rich(pre({ type: 'text', text: 'SELECT 1' }), {
        type: 'rich_text_section',
        elements: [
          { type: 'user', user_id: 'U0BOB' },
          { type: 'text', text: 'x', style: { bold: true } },
        ],
      }),
    ],
  ],
  ['10 context elements', [{ type: 'context', elements: times(10, plain('a')) }]],
  ['an image with alt text', [{ type: 'image', image_url: 'https://example.com/a.png', alt_text: 'a' }]],
];

/** One step too far: each is refused, and where. */
const REFUSED: [what: string, blocks: unknown, pointer: string][] = [
  ['51 blocks', times(51, { type: 'divider' }), '/blocks'],
  ['no array', { type: 'divider' }, '/blocks'],
  ['a block that is text', ['hello'], '/blocks/0'],
  ['an unknown block', [{ type: 'card' }], '/blocks/0/type'],
  [
    'a modal-only input element in actions',
    [actions({ type: 'plain_text_input', action_id: 'a' })],
    '/blocks/0/elements/0/type',
  ],
  ['a section of 3,001', [section(x(3001))], '/blocks/0/text/text'],
  ['an empty section text', [section('')], '/blocks/0/text/text'],
  ['a section with nothing in it', [{ type: 'section' }], '/blocks/0'],
  ['11 fields', [{ type: 'section', fields: times(11, plain('a')) }], '/blocks/0/fields'],
  ['a field of 2,001', [{ type: 'section', fields: [plain(x(2001))] }], '/blocks/0/fields/0/text'],
  ['a header of 151', [{ type: 'header', text: plain(x(151)) }], '/blocks/0/text/text'],
  ['a header in mrkdwn', [{ type: 'header', text: { type: 'mrkdwn', text: 'a' } }], '/blocks/0/text/type'],
  ['emoji on mrkdwn', [{ type: 'section', text: { type: 'mrkdwn', text: 'a', emoji: true } }], '/blocks/0/text'],
  ['an unknown key', [section('a', { colour: 'red' })], '/blocks/0'],
  ['11 context elements', [{ type: 'context', elements: times(11, plain('a')) }], '/blocks/0/elements'],
  ['26 buttons', [actions(...Array.from({ length: 26 }, (_, index) => button(`b${index}`)))], '/blocks/0/elements'],
  ['no elements', [actions()], '/blocks/0/elements'],
  ['the same action_id twice in a block', [actions(button('a'), button('a'))], '/blocks/0/elements/1'],
  ['the same block_id twice', [section('a', { block_id: 'b' }), section('c', { block_id: 'b' })], '/blocks/1/block_id'],
  ['a block_id of 256', [section('a', { block_id: x(256) })], '/blocks/0/block_id'],
  ['an action_id of 256', [actions(button(x(256)))], '/blocks/0/elements/0/action_id'],
  ['a button text of 76', [actions(button('a', { text: plain(x(76)) }))], '/blocks/0/elements/0/text/text'],
  ['a button value of 2,001', [actions(button('a', { value: x(2001) }))], '/blocks/0/elements/0/value'],
  [
    'an accessibility_label of 76',
    [actions(button('a', { accessibility_label: x(76) }))],
    '/blocks/0/elements/0/accessibility_label',
  ],
  ['a button style of its own', [actions(button('a', { style: 'default' }))], '/blocks/0/elements/0/style'],
  [
    'two primary buttons',
    [actions(button('a', { style: 'primary' }), button('b', { style: 'primary' }))],
    '/blocks/0/elements',
  ],
  ['a number as value', [actions(button('a', { value: 7 }))], '/blocks/0/elements/0/value'],
  ['an overflow of 6', [actions(overflow(6))], '/blocks/0/elements/0/options'],
  [
    'an option value of 76',
    [actions({ type: 'overflow', action_id: 'm', options: [option(x(76))] })],
    '/blocks/0/elements/0/options/0/text/text',
  ],
  [
    'a confirm title of 101',
    [actions(button('a', { confirm: confirm({ title: plain(x(101)) }) }))],
    '/blocks/0/elements/0/confirm/title/text',
  ],
  [
    'a confirm text of 301',
    [actions(button('a', { confirm: confirm({ text: plain(x(301)) }) }))],
    '/blocks/0/elements/0/confirm/text/text',
  ],
  [
    'a confirm button of 31',
    [actions(button('a', { confirm: confirm({ deny: plain(x(31)) }) }))],
    '/blocks/0/elements/0/confirm/deny/text',
  ],
  [
    'a confirm without deny',
    [actions(button('a', { confirm: { title: plain('a'), text: plain('b'), confirm: plain('c') } }))],
    '/blocks/0/elements/0/confirm',
  ],
  ['an image without alt text', [{ type: 'image', image_url: 'https://example.com/a.png' }], '/blocks/0'],
  ['an empty rich text', [rich(pre({ type: 'text', text: '' }))], '/blocks/0/elements/0/elements/0/text'],
  [
    'a mention inside preformatted',
    [rich(pre({ type: 'user', user_id: 'U0BOB' }))],
    '/blocks/0/elements/0/elements/0/type',
  ],
  [
    'an unknown rich text style',
    [rich({ type: 'rich_text_section', elements: [{ type: 'text', text: 'a', style: { big: true } }] })],
    '/blocks/0/elements/0/elements/0/style',
  ],
  ['markdown above 12,000 in all', times(2, { type: 'markdown', text: x(6001) }), '/blocks'],
];

const submit = { submit: plain('Go') };
const REFUSED_VIEWS: [what: string, view: unknown, pointer: string][] = [
  ['a title of 25', modal([section('a')], { title: plain(x(25)) }), '/view/title/text'],
  ['no title', { type: 'modal', blocks: [] }, '/view'],
  ['a submit of 25', modal([section('a')], { submit: plain(x(25)) }), '/view/submit/text'],
  ['a close of 25', modal([section('a')], { close: plain(x(25)) }), '/view/close/text'],
  ['an input without submit', modal([reasonInput]), '/view/submit'],
  ['private_metadata of 3,001', modal([section('a')], { private_metadata: x(3001) }), '/view/private_metadata'],
  ['callback_id of 256', modal([section('a')], { callback_id: x(256) }), '/view/callback_id'],
  ['101 blocks', modal(times(101, { type: 'divider' })), '/view/blocks'],
  [
    'a max_length of 3,001',
    modal([{ ...reasonInput, element: { type: 'plain_text_input', action_id: 'a', max_length: 3001 } }], submit),
    '/view/blocks/0/element/max_length',
  ],
  ['a button as input', modal([{ ...reasonInput, element: button('a') }], submit), '/view/blocks/0/element/type'],
  [
    'a placeholder of 151',
    modal(
      [{ ...reasonInput, element: { type: 'plain_text_input', action_id: 'a', placeholder: plain(x(151)) } }],
      submit,
    ),
    '/view/blocks/0/element/placeholder/text',
  ],
  ['a Home with a title', { type: 'home', title: plain('a'), blocks: [] }, '/view'],
  ['another type', { type: 'workflow_step', blocks: [] }, '/view/type'],
];

describe('rules of form', () => {
  for (const [what, blocks] of ACCEPTED) {
    it(`takes ${what}`, () => assert.deepEqual(blockErrors(blocks, 'message'), []));
  }
  for (const [what, blocks, pointer] of REFUSED) {
    it(`refuses ${what}`, () => {
      const errors = blockErrors(blocks, 'message');
      assert.ok(
        errors.some((error) => error.endsWith(`[json-pointer:${pointer}]`)),
        errors.join('\n') || 'accepted',
      );
    });
  }
  for (const [what, view, pointer] of REFUSED_VIEWS) {
    it(`refuses a view with ${what}`, () => {
      const wrong = viewErrors(view);
      assert.equal(wrong?.error, 'invalid_arguments');
      assert.ok(
        wrong.messages.some((error) => error.endsWith(`[json-pointer:${pointer}]`)),
        wrong.messages.join('\n'),
      );
    });
  }
  it('refuses a view above 250 kB', () => {
    const blocks = times(100, section(x(2900)));
    assert.equal(viewErrors(modal(blocks))?.error, 'view_too_large');
  });
});

describe('messages', () => {
  let slack: Slack;
  before(async () => {
    slack = await start({ rate: 'off' });
  });
  after(() => slack.stop());

  const CALLS: [what: string, method: string, body: Json, error: string][] = [
    ['wrong blocks', 'chat.postMessage', { channel: CHANNEL, text: 'a', blocks: [section('')] }, 'invalid_blocks'],
    ['blocks that are no JSON', 'chat.postMessage', { channel: CHANNEL, blocks: '[{' }, 'invalid_blocks_format'],
    [
      'too much in all blocks',
      'chat.postMessage',
      { channel: CHANNEL, text: 'a', blocks: times(5, section(x(2900))) },
      'msg_blocks_too_long',
    ],
    ['nothing to say', 'chat.postMessage', { channel: CHANNEL }, 'no_text'],
    [
      'text and markdown_text',
      'chat.postMessage',
      { channel: CHANNEL, text: 'a', markdown_text: 'b' },
      'markdown_text_conflict',
    ],
    ['no channel', 'chat.postMessage', { text: 'a' }, 'invalid_arguments'],
    ['an unknown channel', 'chat.postMessage', { channel: 'C0NOWHERE', text: 'a' }, 'channel_not_found'],
    ['a channel without the bot', 'chat.postMessage', { channel: 'C0GENERAL', text: 'a' }, 'not_in_channel'],
    [
      'metadata without event_type',
      'chat.postMessage',
      { channel: CHANNEL, text: 'a', metadata: { a: 1 } },
      'invalid_metadata_schema',
    ],
    [
      'metadata too large',
      'chat.postMessage',
      { channel: CHANNEL, text: 'a', metadata: { event_type: 'e', event_payload: { x: x(9000) } } },
      'metadata_too_large',
    ],
    [
      'an update of a message that is not there',
      'chat.update',
      { channel: CHANNEL, ts: '1.000001', text: 'a' },
      'message_not_found',
    ],
    ['an update of 4,001 characters', 'chat.update', { channel: CHANNEL, ts: 'TS', text: x(4001) }, 'msg_too_long'],
    [
      'an ephemeral to somebody outside',
      'chat.postEphemeral',
      { channel: CHANNEL, user: 'U0NOBODY', text: 'a' },
      'user_not_in_channel',
    ],
    ['an unknown person', 'users.info', { user: 'U0NOBODY' }, 'user_not_found'],
    ['an unknown group', 'usergroups.users.list', { usergroup: 'S0NONE' }, 'no_such_subteam'],
    ['an unknown method', 'chat.shout', {}, 'unknown_method'],
    [
      'a Home for nobody',
      'views.publish',
      { user_id: 'U0NOBODY', view: { type: 'home', blocks: [] } },
      'user_not_found',
    ],
  ];
  for (const [what, method, body, error] of CALLS) {
    it(`${method} refuses ${what}`, async () => {
      const posted = await call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'mine' });
      const answer = await call(slack, method, body.ts === 'TS' ? { ...body, ts: posted.ts } : body);
      assert.equal(answer.error, error);
    });
  }

  it('cuts a post at 40,000 characters and says where blocks are wrong', async () => {
    const posted = await call(slack, 'chat.postMessage', { channel: CHANNEL, text: x(40_001) });
    assert.equal(((posted.message as Json).text as string).length, 40_000);
    const wrong = await call(slack, 'chat.postMessage', { channel: CHANNEL, text: 'a', blocks: [section('')] });
    assert.deepEqual((wrong.response_metadata as Json).messages, [
      '[ERROR] must be more than 0 characters [json-pointer:/blocks/0/text/text]',
    ]);
  });

  it('keeps blocks and metadata as chat.update says: text alone removes blocks, metadata stays until it is emptied', async () => {
    const metadata = { event_type: 'card', event_payload: { hold: 'h1' } };
    const { ts } = await call(slack, 'chat.postMessage', {
      channel: CHANNEL,
      text: 'a',
      blocks: [section('b')],
      metadata,
    });
    const read = async (): Promise<Json> => {
      const history = await call(slack, 'conversations.history', { channel: CHANNEL, include_all_metadata: true });
      return (history.messages as Json[]).find((message) => message.ts === ts) ?? {};
    };
    await call(slack, 'chat.update', { channel: CHANNEL, ts, text: 'c', blocks: [section('d')] });
    assert.deepEqual([(await read()).metadata, (await read()).edited], [metadata, undefined]);
    await call(slack, 'chat.update', { channel: CHANNEL, ts, text: 'e' });
    assert.deepEqual(
      [(await read()).blocks, (await read()).text, typeof (await read()).edited],
      [undefined, 'e', 'object'],
    );
    await call(slack, 'chat.update', { channel: CHANNEL, ts, text: 'e', metadata: {} });
    assert.equal((await read()).metadata, undefined);
  });

  it('edits and deletes only the bot’s own messages', async () => {
    const { ts } = await slack.act('post', { user: 'U0BOB', channel: CHANNEL, text: 'mine' });
    assert.equal(
      (await call(slack, 'chat.update', { channel: CHANNEL, ts, text: 'yours' })).error,
      'cant_update_message',
    );
    assert.equal((await call(slack, 'chat.delete', { channel: CHANNEL, ts })).error, 'cant_delete_message');
  });

  it('reads forms as well as JSON', async () => {
    const response = await fetch(`${slack.apiUrl}chat.postMessage`, {
      method: 'POST',
      headers: { authorization: 'Bearer xoxb-test' },
      body: new URLSearchParams({ channel: CHANNEL, text: 'a', blocks: JSON.stringify([section('b')]) }),
    });
    assert.equal(((await response.json()) as Json).ok, true);
  });
});
