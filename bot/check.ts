/** `bot --check`: what is configured, what Slack grants, what is missing. Changes nothing, prints no secret. */
import { type Logger as BoltLogger, webApi } from '@slack/bolt';
import { connectCommands, connected, redisWarnings } from '../queue/connection.ts';
import { checkApprovers, checkChannel, type Needed, reason } from './check-places.ts';
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

/** `places`: what a gateway's configuration names besides. */
export async function checkBot(
  config: BotConfig,
  logger: BoltLogger,
  places: { readonly channels: readonly string[]; readonly approvers: readonly Needed[] } = {
    channels: [],
    approvers: [],
  },
): Promise<CheckLine[]> {
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
    const channels = new Set([...(config.channel === undefined ? [] : [config.channel]), ...places.channels]);
    for (const channel of channels) await checkChannel(client, channel, say);
    if (channels.size === 0) say(true, 'channel: not checked (set SLACK_CHANNEL, or use countersign check --slack)');
    await checkApprovers(client, places.approvers, say);
  } catch (error) {
    say(false, `bot token (SLACK_BOT_TOKEN): ${reason(error)}`);
  }
  if (config.mode === 'socket') {
    try {
      await new webApi.WebClient(config.appToken, options).apps.connections.open({});
      say(true, 'app token: may open Socket Mode connections (SLACK_MODE=socket)');
    } catch (error) {
      say(false, `app token (SLACK_APP_TOKEN, scope connections:write): ${reason(error)}`);
    }
  }
  if (config.mode === 'http') {
    const where = config.http && `${config.http.host}:${config.http.port}`;
    say(true, `signed HTTP: Slack's requests have to reach ${where} at /slack/events (SLACK_MODE=http)`);
  }
  return lines;
}

async function checkRedis(config: BotConfig, say: (ok: boolean, text: string) => void): Promise<void> {
  const redis = connectCommands(config.redis, () => {});
  try {
    await connected(redis, 5_000);
    say(true, 'Redis answers');
    for (const warning of await redisWarnings(redis)) say(false, warning);
  } catch (error) {
    say(false, `Redis (REDIS_URL): ${(error as Error).message}`);
  } finally {
    redis.disconnect();
  }
}
