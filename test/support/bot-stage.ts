/** Parts of the bot's own tests: a gateway's end of the queues, a bot on the emulated workspace, cards to show. */
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { readBotConfig } from '../../bot/config.ts';
import { type Bot, startBot } from '../../bot/main.ts';
import type { Card, CardJob } from '../../queue/cards.ts';
import { type CardPublisher, type Consumer, cardPublisher, consumeVotes } from '../../queue/carry.ts';
import { connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, type SigningKey, signingKey, verifyingKey } from '../../queue/sign.ts';
import type { Receipt, VoteMessage } from '../../queue/votes.ts';
import type { RateMode } from '../slack/limits.ts';
import { type Slack, startSlack } from '../slack/server.ts';
import { freePort } from './ports.ts';
import { startRedis, type TestRedis } from './redis.ts';

export const CHANNEL = 'C0APPROVALS';
const TOKENS = { signingSecret: 'a-signing-secret', botToken: 'xoxb-test-token', appToken: 'xapp-test-token' };

export function aCard(changes: Partial<Card> = {}): Card {
  return {
    hold: randomUUID(),
    shortId: 'k3x9ab',
    gateway: 'gw-test',
    revision: 1,
    sequence: 1,
    state: 'open',
    channel: CHANNEL,
    digest: 'ab'.repeat(32),
    environment: 'production',
    connection: 'orders',
    protocol: 'postgres',
    headline: 'DELETE on public.orders, no WHERE',
    risks: ['no WHERE'],
    requester: {
      name: 'report-bot',
      kind: 'agent',
      subject: 'report-bot',
      issuer: 'https://login.example.com',
      sponsor: 'U0BOB',
      purpose: 'nightly revenue report',
    },
    statement: 'DELETE FROM orders',
    parameters: [],
    demands: [
      {
        rule: 'no-where',
        why: 'A write without a condition touches every row',
        approvers: ['@dba-oncall'],
        quorum: 1,
        counted: 0,
        requireReason: false,
      },
    ],
    votes: [],
    openedAt: Date.now(),
    expiresAt: Date.now() + 900_000,
    expiresBy: 'rule',
    warnings: [],
    ...changes,
  };
}

/** Waits for a condition; what it resolves to is the first truthy answer. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  ms = 8_000,
) {
  const end = performance.now() + ms;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

type Message = { ts: string; user: string; text: string; blocks: Record<string, unknown>[]; ephemeral: boolean };

export type Stage = {
  readonly redis: TestRedis;
  readonly slack: Slack;
  readonly bots: readonly Bot[];
  readonly gatewayKey: SigningKey;
  /** What the bots are configured with. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What the gateway got, oldest first. */
  readonly got: VoteMessage[];
  /** Decides what a vote's receipt says; undefined leaves it unanswered. */
  onVote: (message: VoteMessage & { id: string; hold: string }) => Receipt | undefined | Promise<Receipt | undefined>;
  send(job: CardJob, jobId?: string): Promise<void>;
  card(card: Card): Promise<void>;
  messages(user?: string): Promise<Message[]>;
  /** The one message that shows this card, once its JSON contains `text`. */
  shown(card: Card, text: string, ms?: number): Promise<Message>;
  votes(): Extract<VoteMessage, { kind: 'vote' }>[];
  startBot(): Promise<Bot>;
  stop(): Promise<void>;
};

export async function stage(
  options: { mode?: 'socket' | 'http'; bots?: number; rate?: RateMode; scopes?: string[]; gateway?: string } = {},
): Promise<Stage> {
  const mode = options.mode ?? 'socket';
  const gateway = options.gateway ?? 'gw-test';
  const redis = await startRedis();
  const httpPort = mode === 'http' ? await freePort() : undefined;
  const slack = await startSlack({
    app: {
      ...TOKENS,
      mode,
      ...(httpPort ? { requestUrl: `http://127.0.0.1:${httpPort}/slack/events` } : {}),
      ...(options.scopes ? { scopes: options.scopes } : {}),
    },
    ...(options.rate ? { rate: options.rate } : {}),
  });
  const gatewayKey = newKeyPair();
  const botKey = newKeyPair();
  const env = {
    REDIS_URL: redis.url,
    COUNTERSIGN_BOT_KEY: botKey.secret,
    COUNTERSIGN_GATEWAY_KEYS: gatewayKey.public,
    SLACK_MODE: mode,
    SLACK_BOT_TOKEN: TOKENS.botToken,
    SLACK_APP_TOKEN: TOKENS.appToken,
    SLACK_SIGNING_SECRET: TOKENS.signingSecret,
    SLACK_API_URL: slack.apiUrl,
    BOT_HTTP: httpPort ? `127.0.0.1:${httpPort}` : undefined,
  };
  const bots: Bot[] = [];
  const launch = async () => {
    const bot = await startBot(readBotConfig(env), { log: pino({ level: process.env.TEST_LOG ?? 'silent' }) });
    bots.push(bot);
    await until('the bot is ready', () => bot.troubles().length === 0);
    return bot;
  };
  const commands = connectCommands(redis.url, () => {});
  await connected(commands, 5_000);
  const publisher: CardPublisher = cardPublisher(commands, signingKey(gatewayKey.secret));
  const got: VoteMessage[] = [];
  const it: Stage = {
    redis,
    slack,
    bots,
    gatewayKey: signingKey(gatewayKey.secret),
    env,
    got,
    onVote: ({ id, hold }) => ({ v: 1, id, hold, counted: true, text: 'Counted: 1 of 1.' }),
    send: (job, jobId) => publisher.send(job, jobId ?? randomUUID()),
    card: (card) => publisher.send({ kind: 'card', v: 1, card }, `card-${card.hold}-${card.sequence}`),
    messages: async (user) => {
      const answer = await slack.read('messages', { channel: CHANNEL, ...(user ? { user } : {}) });
      return answer.messages as Message[];
    },
    shown: (card, text, ms) =>
      until(
        `a card that says ${text}`,
        async () =>
          (await it.messages()).find((message) => {
            const json = JSON.stringify(message);
            return json.includes(card.shortId) && json.includes(text);
          }),
        ms,
      ),
    votes: () => got.filter((message) => message.kind === 'vote'),
    startBot: launch,
    stop: async () => {
      await Promise.all(bots.map((bot) => bot.stop()));
      await consumer.close();
      await publisher.close();
      commands.disconnect();
      await slack.stop();
      await redis.stop();
    },
  };
  const consumer: Consumer = consumeVotes({
    url: redis.url,
    gateway,
    key: signingKey(gatewayKey.secret),
    keys: () => [verifyingKey(botKey.public)],
    concurrency: 10,
    onForged: (why) => {
      throw new Error(why);
    },
    onTrouble: () => {},
    handle: async (message) => {
      got.push(message);
      return message.kind === 'vote' || message.kind === 'kill' ? it.onVote(message) : undefined;
    },
  });
  for (let count = options.bots ?? 1; count > 0; count--) await launch();
  return it;
}
