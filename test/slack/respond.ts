/** What an app sends to a response URL, or in the answer to a command, becomes a message. */
import { ApiError, Args } from './api.ts';
import { applyEdit, botMessage, contentOf } from './messages.ts';
import type { ResponseTarget } from './triggers.ts';
import { BOT, type Json, type Message, type Workspace } from './workspace.ts';

/** Applies one response. Returns Slack's error code, or nothing when it was done. */
export function respond(workspace: Workspace, target: ResponseTarget, body: Json): string | undefined {
  try {
    apply(workspace, target, body);
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
}

function apply(workspace: Workspace, target: ResponseTarget, body: Json): void {
  const original = target.ts === undefined ? undefined : workspace.message(target.channel, target.ts);
  const mine = original?.bot_id === BOT.bot ? original : undefined;
  if (body.delete_original === true) {
    if (mine === undefined) throw new ApiError('message_not_found');
    workspace.remove(mine);
    return;
  }
  const args = new Args(body);
  const content = contentOf(args, 'post');
  if (content.text === '' && content.blocks === undefined) throw new ApiError('no_text');
  if (body.replace_original === true) {
    if (mine === undefined) throw new ApiError('message_not_found');
    applyEdit(workspace, mine, content, args.has('text'));
    return;
  }
  const thread = args.text('thread_ts');
  const message: Message = {
    ...botMessage(workspace, target.channel, content),
    ...(thread === undefined ? {} : { thread_ts: thread }),
  };
  workspace.add(body.response_type === 'in_channel' ? message : { ...message, ephemeral: target.user });
}
