/** `bot --check`: what is configured, what Slack grants, what is missing. Changes nothing, prints no secret. */
import { type Logger as BoltLogger, webApi } from '@slack/bolt';
import { connectCommands, connected, durabilityWarnings } from '../queue/connection.ts';
import type { BotConfig } from './config.ts';

/** Least scopes, each with what it is for. */
export const SCOPES: Readonly<Record<string, string>> = {
  'chat:write': 'post and edit cards',
  'users:read': 'know who clicks',
  'users:read.email': 'compare a clicker with a requester',
  'usergroups:read': 'know who is in an approver group',
  'channels:read': 'know whether a channel is shared with others',
  'groups:read': 'the same for private channels',
  'channels:history': 'find a card again whose reply was lost, instead of posting it twice',
  'groups:history': 'the same for private channels',
  'im:write': 'send a card, or what became of a request, to one person',
  'im:history': 'find such a message again whose reply was lost',
  commands: 'be asked with /gate',
};

export type CheckLine = { readonly ok: boolean; readonly text: string };

export async function checkBot(config: BotConfig, logger: BoltLogger): Promise<CheckLine[]> {
  const lines: CheckLine[] = [];
  const say = (ok: boolean, text: string) => lines.push({ ok, text });
  const options = {
    ...(config.apiUrl ? { slackApiUrl: config.apiUrl } : {}),
    logger,
    retryConfig: { retries: 1 },
    timeout: 10_000,
  };
  await checkRedis(config, say);
  const client = new webApi.WebClient(config.botToken, options);
  try {
    const who = await client.auth.test();
    const right = config.team === undefined || config.team === who.team_id;
    say(
      right,
      `bot token: ${who.user} (${who.user_id}) in ${who.team} (${who.team_id})${right ? '' : `, but SLACK_TEAM is ${config.team}`}`,
    );
    const granted = new Set((who.response_metadata?.scopes ?? []).map((scope) => scope.trim()));
    for (const [scope, use] of Object.entries(SCOPES)) {
      if (!granted.has(scope))
        say(false, `scope ${scope} is missing (to ${use}): add it to the app and install it again`);
    }
    if (Object.keys(SCOPES).every((scope) => granted.has(scope))) say(true, 'scopes: all there');
    await checkChannel(config, client, say);
  } catch (error) {
    say(false, `bot token (SLACK_BOT_TOKEN): ${reason(error)}`);
  }
  if (config.mode === 'socket') {
    try {
      await new webApi.WebClient(config.appToken, options).apps.connections.open({});
      say(true, 'app token: may open Socket Mode connections');
    } catch (error) {
      say(false, `app token (SLACK_APP_TOKEN, scope connections:write): ${reason(error)}`);
    }
  }
  return lines;
}

async function checkRedis(config: BotConfig, say: (ok: boolean, text: string) => void): Promise<void> {
  const redis = connectCommands(config.redis, () => {});
  try {
    await connected(redis, 5_000);
    say(true, 'Redis answers');
    for (const warning of await durabilityWarnings(redis)) say(false, warning);
  } catch (error) {
    say(false, `Redis (REDIS_URL): ${(error as Error).message}`);
  } finally {
    redis.disconnect();
  }
}

async function checkChannel(config: BotConfig, client: webApi.WebClient, say: (ok: boolean, text: string) => void) {
  if (config.channel === undefined) return say(true, 'channel: not checked (set SLACK_CHANNEL to check one)');
  try {
    const { channel } = await client.conversations.info({ channel: config.channel });
    if (channel?.is_archived) return say(false, `channel ${config.channel} is archived`);
    if (channel?.is_ext_shared)
      return say(false, `channel ${config.channel} is shared with another organisation: no card is posted there`);
    if (channel?.is_member === false) return say(false, `channel ${config.channel}: invite the bot with /invite`);
    say(true, `channel ${config.channel}: the bot is in it`);
  } catch (error) {
    say(false, `channel ${config.channel}: ${reason(error)}`);
  }
}

function reason(error: unknown): string {
  if (error instanceof webApi.WebAPIPlatformError) return String(error.data.error);
  return error instanceof Error ? error.message.slice(0, 200) : 'failed';
}
