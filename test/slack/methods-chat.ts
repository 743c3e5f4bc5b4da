/** Web API: auth, chat and conversations. Each method answers as Slack's reference page says. */
import { ApiError, type Args, badArguments, type Context, type Method } from './api.ts';
import { applyEdit, botMessage, channelFor, contentOf, messageJson, metadataOf, requirePostable } from './messages.ts';
import { BOT, type Channel, type Json, type Message } from './workspace.ts';

const method = (
  tier: Method['tier'],
  scopes: readonly string[],
  run: Method['run'],
  token: Method['token'] = 'bot',
): Method => ({ token, scopes, tier, run });

function ownMessage({ workspace }: Context, args: Args, refusal: string): Message {
  const channel = args.need('channel');
  if (!workspace.channels.has(channel)) throw new ApiError('channel_not_found');
  const message = workspace.message(channel, args.need('ts'));
  if (message === undefined || message.ephemeral !== undefined) throw new ApiError('message_not_found');
  if (message.bot_id !== BOT.bot) throw new ApiError(refusal);
  if (workspace.channels.get(channel)?.is_archived === true) throw new ApiError('is_inactive');
  return message;
}

function threadOf({ workspace }: Context, args: Args, channel: string): { thread_ts?: string } {
  const thread = args.text('thread_ts');
  if (thread === undefined) return {};
  if (workspace.message(channel, thread) === undefined) throw new ApiError('thread_not_found');
  return { thread_ts: thread };
}

const postMessage = method('post', ['chat:write'], (context, args) => {
  const { workspace } = context;
  const channel = channelFor(workspace, args.need('channel'));
  requirePostable(workspace, channel);
  const content = contentOf(args, 'post');
  if (content.text === '' && content.blocks === undefined) throw new ApiError('no_text');
  const metadata = metadataOf(args);
  const message = workspace.add({
    ...botMessage(workspace, channel.id, content),
    ...threadOf(context, args, channel.id),
    ...(metadata === undefined || Object.keys(metadata).length === 0 ? {} : { metadata }),
  });
  return { channel: channel.id, ts: message.ts, message: messageJson(workspace, message, true) };
});

const update = method(3, ['chat:write'], (context, args) => {
  const message = ownMessage(context, args, 'cant_update_message');
  const content = contentOf(args, 'update');
  const hadText = args.has('text') || args.has('markdown_text');
  const metadata = metadataOf(args);
  if (!hadText && content.blocks === undefined && metadata === undefined) throw new ApiError('no_text');
  if (metadata !== undefined) {
    if (Object.keys(metadata).length === 0) delete message.metadata;
    else message.metadata = metadata;
  }
  applyEdit(context.workspace, message, content, hadText);
  return {
    channel: message.channel,
    ts: message.ts,
    text: message.text,
    message: messageJson(context.workspace, message, true),
  };
});

const remove = method(3, ['chat:write'], (context, args) => {
  const message = ownMessage(context, args, 'cant_delete_message');
  context.workspace.remove(message);
  return { channel: message.channel, ts: message.ts };
});

const postEphemeral = method(4, ['chat:write'], (context, args) => {
  const { workspace } = context;
  const channel = channelFor(workspace, args.need('channel'));
  requirePostable(workspace, channel);
  const user = args.need('user');
  if (!workspace.people.has(user) || !workspace.isMember(channel.id, user)) throw new ApiError('user_not_in_channel');
  const content = contentOf(args, 'post');
  if (content.text === '' && content.blocks === undefined) throw new ApiError('no_text');
  const message = workspace.add({
    ...botMessage(workspace, channel.id, content),
    ...threadOf(context, args, channel.id),
    ephemeral: user,
  });
  return { message_ts: message.ts };
});

const getPermalink = method('special', [], ({ workspace, base }, args) => {
  const channel = args.need('channel');
  if (!workspace.channels.has(channel)) throw new ApiError('channel_not_found');
  const message = workspace.message(channel, args.need('message_ts'));
  if (message === undefined || message.ephemeral !== undefined) throw new ApiError('message_not_found');
  return { channel, permalink: `${base}archives/${channel}/p${message.ts.replace('.', '')}` };
});

const authTest = method('special', [], ({ workspace, base }) => ({
  url: base,
  team: workspace.team.name,
  user: 'countersign',
  team_id: workspace.team.id,
  user_id: BOT.user,
  bot_id: BOT.bot,
  is_enterprise_install: false,
}));

const openConnection = method(1, ['connections:write'], (context) => ({ url: context.openSocket() }), 'app');

/** A channel the bot can see: public ones, and those it is in. */
function seen({ workspace }: Context, args: Args): Channel {
  const channel = workspace.channels.get(args.need('channel'));
  if (channel === undefined) throw new ApiError('channel_not_found');
  if (channel.kind !== 'public' && !channel.members.includes(BOT.user)) throw new ApiError('channel_not_found');
  return channel;
}

function channelJson({ workspace }: Context, channel: Channel): Json {
  if (channel.kind === 'im') {
    return { id: channel.id, is_im: true, user: channel.name, created: channel.created, is_archived: false };
  }
  return {
    id: channel.id,
    name: channel.name,
    is_channel: channel.kind === 'public',
    is_group: channel.kind === 'private',
    is_im: false,
    is_private: channel.kind === 'private',
    is_archived: channel.is_archived,
    is_general: channel.name === 'general',
    is_member: channel.members.includes(BOT.user),
    is_shared: channel.is_ext_shared,
    is_ext_shared: channel.is_ext_shared,
    is_org_shared: false,
    created: channel.created,
    num_members: channel.members.length,
    context_team_id: workspace.team.id,
    topic: { value: channel.topic, creator: '', last_set: 0 },
  };
}

/** One page of a list by Slack's cursors (the offset, opaque). */
export function page<T>(args: Args, all: T[], fallback: number, max: number): { items: T[]; metadata: Json } {
  const cursor = args.text('cursor') ?? '';
  const start = cursor === '' ? 0 : Number(Buffer.from(cursor, 'base64').toString());
  if (!Number.isInteger(start) || start < 0) throw new ApiError('invalid_cursor');
  const end = start + args.limit(fallback, max);
  const next = end < all.length ? Buffer.from(String(end)).toString('base64') : '';
  return { items: all.slice(start, end), metadata: { next_cursor: next } };
}

const READ_CHANNELS = ['channels:read', 'groups:read'];

/** A channel whose messages the app may read: each kind of channel has a scope of its own. */
function readable(context: Context, args: Args): Channel {
  const channel = seen(context, args);
  const { scopes } = context.workspace.app;
  const needed = { public: 'channels:history', private: 'groups:history', im: 'im:history' }[channel.kind];
  if (!scopes.includes(needed)) throw new ApiError('missing_scope', { needed, provided: scopes.join(',') });
  if (!channel.members.includes(BOT.user)) throw new ApiError('not_in_channel');
  return channel;
}

const history = method(3, [], (context, args) => {
  const channel = readable(context, args);
  const oldest = Number(args.text('oldest') ?? 0);
  const latest = Number(args.text('latest') ?? Number.MAX_SAFE_INTEGER);
  const inclusive = args.flag('inclusive');
  const all = context.workspace
    .visible(channel.id)
    .filter((message) => message.thread_ts === undefined || message.thread_ts === message.ts)
    .filter(({ ts }) =>
      inclusive ? Number(ts) >= oldest && Number(ts) <= latest : Number(ts) > oldest && Number(ts) < latest,
    )
    .reverse();
  const { items, metadata } = page(args, all, 100, 999);
  const withMetadata = args.flag('include_all_metadata');
  return {
    messages: items.map((message) => messageJson(context.workspace, message, withMetadata)),
    has_more: metadata.next_cursor !== '',
    response_metadata: metadata,
  };
});

/** A message and what is in its thread, oldest first. */
const replies = method(3, [], (context, args) => {
  const channel = readable(context, args);
  const thread = args.need('ts');
  if (context.workspace.message(channel.id, thread) === undefined) throw new ApiError('thread_not_found');
  const oldest = Number(args.text('oldest') ?? 0);
  const all = context.workspace
    .visible(channel.id)
    .filter(({ ts, thread_ts }) => ts === thread || (thread_ts === thread && Number(ts) > oldest));
  const { items, metadata } = page(args, all, 100, 999);
  const withMetadata = args.flag('include_all_metadata');
  return {
    messages: items.map((message) => messageJson(context.workspace, message, withMetadata)),
    has_more: metadata.next_cursor !== '',
    response_metadata: metadata,
  };
});

const openConversation = method(3, ['im:write'], (context, args) => {
  const { workspace } = context;
  const channel = args.text('channel');
  if (channel !== undefined) return { channel: { id: seen(context, args).id } };
  const users = args.need('users').split(',');
  if (users.length > 1)
    throw badArguments('[ERROR] group conversations are not open to this app [json-pointer:/users]');
  const person = workspace.people.get(users[0] ?? '');
  if (person === undefined) throw new ApiError('user_not_found');
  if (person.deleted) throw new ApiError('user_disabled');
  if (person.is_bot) throw new ApiError('cannot_dm_bot');
  return { channel: { id: workspace.openIm(person.id).id } };
});

export const chatMethods: readonly (readonly [string, Method])[] = [
  ['auth.test', authTest],
  ['apps.connections.open', openConnection],
  ['chat.postMessage', postMessage],
  ['chat.update', update],
  ['chat.delete', remove],
  ['chat.postEphemeral', postEphemeral],
  ['chat.getPermalink', getPermalink],
  ['conversations.history', history],
  ['conversations.replies', replies],
  ['conversations.open', openConversation],
  [
    'conversations.info',
    method(3, READ_CHANNELS, (context, args) => ({ channel: channelJson(context, seen(context, args)) })),
  ],
  [
    'conversations.members',
    method(4, READ_CHANNELS, (context, args) => {
      const { items, metadata } = page(args, seen(context, args).members, 100, 1000);
      return { members: items, response_metadata: metadata };
    }),
  ],
  [
    'conversations.list',
    method(2, READ_CHANNELS, (context, args) => {
      const types = (args.text('types') ?? 'public_channel').split(',');
      const kinds = { public: 'public_channel', private: 'private_channel', im: 'im' };
      const all = [...context.workspace.channels.values()].filter(
        (channel) =>
          types.includes(kinds[channel.kind]) && (channel.kind === 'public' || channel.members.includes(BOT.user)),
      );
      const { items, metadata } = page(args, all, 100, 999);
      return { channels: items.map((channel) => channelJson(context, channel)), response_metadata: metadata };
    }),
  ],
];
