/** How messages enter and change: validation, defaults, visibility. Shared by chat.* methods and response URLs. */
import { randomBytes } from 'node:crypto';
import { ApiError, type Args } from './api.ts';
import { blockErrors, blocksTooLong } from './blocks.ts';
import { BOT, type Channel, type Json, type Message, type Workspace } from './workspace.ts';

const MAX_POST_TEXT = 40_000; // longer is cut, as Slack does
const MAX_UPDATE_TEXT = 4_000;
const MAX_METADATA_BYTES = 8_000;

export interface Content {
  text: string;
  blocks?: Json[];
}

/** Text and blocks of a call, checked. `undefined` blocks: none were sent. */
export function contentOf(args: Args, use: 'post' | 'update'): Content {
  const raw = args.json('blocks', 'invalid_blocks_format');
  const markdown = args.text('markdown_text');
  let text = args.text('text') ?? '';
  if (markdown !== undefined && (raw !== undefined || args.has('text'))) throw new ApiError('markdown_text_conflict');
  if (markdown !== undefined && markdown.length > 12_000) throw new ApiError('msg_too_long');
  if (raw !== undefined && !Array.isArray(raw)) throw new ApiError('invalid_blocks_format');
  if (use === 'update' && text.length > MAX_UPDATE_TEXT) throw new ApiError('msg_too_long');
  if (text.length > MAX_POST_TEXT) text = text.slice(0, MAX_POST_TEXT);
  if (args.json('attachments', 'invalid_attachments') !== undefined) throw new ApiError('invalid_attachments');
  if (markdown !== undefined) return { text: markdown, blocks: withIds([{ type: 'markdown', text: markdown }]) };
  if (raw === undefined) return { text };
  return { text, blocks: checkedBlocks(raw) };
}

/** Message blocks as Slack stores them: valid, each with ids. */
export function checkedBlocks(raw: unknown[]): Json[] {
  const errors = blockErrors(raw, 'message');
  if (errors.length > 0) {
    throw new ApiError('invalid_blocks', { errors: errors.map(bare), response_metadata: { messages: errors } });
  }
  if (blocksTooLong(raw)) throw new ApiError('msg_blocks_too_long');
  return withIds(raw as Json[]);
}

const bare = (message: string): string => message.replace('[ERROR] ', '');
const randomId = (): string => randomBytes(4).toString('base64url').slice(0, 5);

/** Blocks and their elements with the ids Slack gives to those that come without. */
export function withIds(blocks: Json[]): Json[] {
  return blocks.map((block) => {
    const named: Json = { ...block, block_id: block.block_id ?? randomId() };
    if (block.type === 'actions' && Array.isArray(block.elements)) {
      named.elements = (block.elements as Json[]).map(withActionId);
    }
    if (typeof block.accessory === 'object' && block.accessory !== null)
      named.accessory = withActionId(block.accessory as Json);
    if (block.type === 'input') named.element = withActionId(block.element as Json);
    return named;
  });
}

const withActionId = (element: Json): Json =>
  element.type === 'image' ? element : { ...element, action_id: element.action_id ?? randomId() };

export function metadataOf(args: Args): Json | undefined {
  const metadata = args.json('metadata', 'invalid_metadata_format');
  if (metadata === undefined) return undefined;
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw new ApiError('invalid_metadata_format');
  }
  const fields = metadata as Json;
  if (Object.keys(fields).length === 0) return {};
  if (
    typeof fields.event_type !== 'string' ||
    typeof fields.event_payload !== 'object' ||
    fields.event_payload === null
  ) {
    throw new ApiError('invalid_metadata_schema');
  }
  if (Buffer.byteLength(JSON.stringify(fields)) > MAX_METADATA_BYTES) throw new ApiError('metadata_too_large');
  return fields;
}

/** The channel a message may be posted to by the app, from an id, a `#name` or a person's id. */
export function channelFor(workspace: Workspace, named: string): Channel {
  if (workspace.people.has(named)) {
    if (workspace.people.get(named)?.deleted === true) throw new ApiError('user_disabled');
    return workspace.openIm(named);
  }
  const plain = named.replace(/^#/, '');
  const channel = workspace.channels.get(named) ?? [...workspace.channels.values()].find((one) => one.name === plain);
  if (channel === undefined) throw new ApiError('channel_not_found');
  return channel;
}

export function requirePostable(workspace: Workspace, channel: Channel): void {
  if (channel.is_archived) throw new ApiError('is_archived');
  if (workspace.isMember(channel.id, BOT.user)) return;
  if (channel.kind === 'private') throw new ApiError('channel_not_found');
  if (!workspace.app.scopes.includes('chat:write.public')) throw new ApiError('not_in_channel');
}

/** A new message of the app's. */
export function botMessage(workspace: Workspace, channel: string, content: Content): Message {
  return {
    ts: workspace.nextTs(),
    channel,
    user: BOT.user,
    bot_id: BOT.bot,
    app_id: BOT.app,
    text: content.text,
    ...(content.blocks === undefined ? {} : { blocks: content.blocks }),
  };
}

/** Applies an edit as chat.update does: text alone removes blocks, blocks without text keep it. */
export function applyEdit(workspace: Workspace, message: Message, content: Content, hadText: boolean): void {
  if (hadText) message.text = content.text;
  if (content.blocks !== undefined) message.blocks = content.blocks;
  else if (hadText) {
    delete message.blocks;
    message.edited = { user: message.user, ts: workspace.nextTs() };
  }
  workspace.edited(message);
}

/** A message as the API returns it. */
export function messageJson(workspace: Workspace, message: Message, withMetadata = false): Json {
  return {
    type: 'message',
    ts: message.ts,
    user: message.user,
    text: message.text,
    team: workspace.team.id,
    ...(message.bot_id === undefined ? {} : { bot_id: message.bot_id, app_id: message.app_id }),
    ...(message.bot_id === BOT.bot
      ? {
          bot_profile: {
            id: BOT.bot,
            app_id: BOT.app,
            user_id: BOT.user,
            name: BOT.name,
            team_id: workspace.team.id,
            deleted: false,
          },
        }
      : {}),
    ...(message.blocks === undefined ? {} : { blocks: message.blocks }),
    ...(message.thread_ts === undefined ? {} : { thread_ts: message.thread_ts }),
    ...(message.edited === undefined ? {} : { edited: message.edited }),
    ...(withMetadata && message.metadata !== undefined ? { metadata: message.metadata } : {}),
  };
}
