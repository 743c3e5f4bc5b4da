/** What `check` asks Slack about channels and approver groups: can cards be posted there, can these people decide? */
import { webApi } from '@slack/bolt';
import { isGroupId, isUserId } from './blocks.ts';

export type Say = (ok: boolean, text: string) => void;

/** An approver of the configuration, and how many people one of its rules asks for at least. */
export type Needed = { readonly name: string; readonly quorum: number };

const REPAIRS: Readonly<Record<string, string>> = {
  channel_not_found:
    'no such channel, or a private one without the bot: take the id (C…) from its details, then /invite the bot there',
  missing_scope: 'a scope is missing (see above): add it to the app and install it again',
  no_such_subteam: 'no such user group: it may have been disabled',
  plan_upgrade_required: 'user groups need a paid Slack plan: name people (U…) instead',
  invalid_auth: 'Slack does not know this token: copy it again from the app’s settings',
  not_authed: 'the token is empty: copy it from the app’s settings',
  token_revoked: 'the token was revoked: install the app again and copy the new one',
  account_inactive: 'the app was uninstalled: install it again and copy the new token',
  not_allowed_token_type:
    'this is a token of another kind: the bot token begins with xoxb-, the app-level one with xapp-',
  socket_mode_disabled: 'Socket Mode is off: turn it on in the app’s settings, or set SLACK_MODE=http',
};

/** Slack's code, and how it is repaired. */
export function reason(error: unknown): string {
  if (error instanceof webApi.WebAPIPlatformError) {
    const code = String(error.data.error);
    const repair = REPAIRS[code];
    return repair === undefined ? code : `${code}: ${repair}`;
  }
  return error instanceof Error ? error.message.slice(0, 200) : 'failed';
}

export async function checkChannel(client: webApi.WebClient, id: string, say: Say): Promise<void> {
  try {
    const { channel } = await client.conversations.info({ channel: id });
    if (channel?.is_archived) return say(false, `channel ${id} is archived: unarchive it, or name another`);
    if (channel?.is_ext_shared)
      return say(false, `channel ${id} is shared with another organisation: no card is posted there, name another`);
    if (channel?.is_member === false) return say(false, `channel ${id}: the bot is not in it: /invite it there`);
    say(true, `channel ${id}: the bot is in it`);
  } catch (error) {
    say(false, `channel ${id}: ${reason(error)}`);
  }
}

/** `oidc:` groups are no group of Slack's, and nobody here knows them. */
export async function checkApprovers(client: webApi.WebClient, needed: readonly Needed[], say: Say): Promise<void> {
  const people = needed.filter(({ name }) => isUserId(name));
  const groups = needed.filter(({ name }) => name.startsWith('@') || isGroupId(name));
  for (const { name } of people) await checkPerson(client, name, say);
  if (groups.length === 0) return;
  try {
    const { usergroups = [] } = await client.usergroups.list({});
    for (const { name, quorum } of groups) {
      const found = usergroups.find(({ id, handle }) => id === name || `@${handle}` === name);
      if (found?.id === undefined) {
        say(false, `group ${name}: the workspace has none: make it, or correct its handle in the configuration`);
        continue;
      }
      await checkGroup(client, { name, quorum, id: found.id }, say);
    }
  } catch (error) {
    say(false, `user groups: ${reason(error)}`);
  }
}

async function checkGroup(client: webApi.WebClient, { name, quorum, id }: Needed & { id: string }, say: Say) {
  try {
    const { users = [] } = await client.usergroups.users.list({ usergroup: id });
    if (users.length >= quorum) return say(true, `group ${name}: ${users.length} members`);
    say(false, `group ${name} has ${users.length} members, and a rule asks for ${quorum}: add people to it`);
  } catch (error) {
    say(false, `group ${name}: ${reason(error)}`);
  }
}

async function checkPerson(client: webApi.WebClient, name: string, say: Say): Promise<void> {
  try {
    const { user } = await client.users.info({ user: name });
    const guest = user?.is_restricted || user?.is_ultra_restricted;
    if (user?.deleted || user?.is_bot || guest)
      return say(
        false,
        `approver ${name} is ${user.deleted ? 'deactivated' : guest ? 'a guest' : 'a bot'}: name another`,
      );
    say(true, `approver ${name}: a member`);
  } catch (error) {
    say(false, `approver ${name}: ${reason(error)}`);
  }
}
