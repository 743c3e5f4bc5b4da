/** The bot's composition root: start, stop, exit. Stateless; as many as you like may run on one Slack app. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { App, type Logger as BoltLogger } from '@slack/bolt';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { CARDS_QUEUE, CARDS_UPCASTERS, CARDS_VERSION, cardJobSchema } from '../queue/cards.ts';
import { votePublisher } from '../queue/carry.ts';
import {
  CARD_JOB_MS,
  connectBlocking,
  connectCommands,
  connected,
  openWorker,
  redisWarnings,
} from '../queue/connection.ts';
import { LeaseWatch } from '../queue/leases.ts';
import { readPayload } from '../queue/payload.ts';
import type { Envelope } from '../queue/sign.ts';
import { Actions } from './actions.ts';
import { Ballot } from './ballot.ts';
import { checkBot } from './check.ts';
import { type BotConfig, BotConfigError, readBotConfig } from './config.ts';
import { createControlRoom } from './control-room.ts';
import { Deliverer } from './deliver.ts';
import { BotMetrics, serveHealth } from './health.ts';
import { MessageIndex } from './index.ts';
import { boltLogger, newLog } from './log.ts';
import { People } from './people.ts';
import { type Reach, reachOf } from './receiver.ts';
import { patiently, refusal, type Slack, SlackClient, SlackError } from './slack.ts';
import { within } from './wait.ts';

const JOBS_AT_ONCE = 50; // questions about people may wait for Slack; cards must not wait for them
const SWEEP_MS = 2_000;
/** Without Slack this long a fresh start may help more than waiting: the supervisor starts the bot again. */
const WATCHDOG_MS = 300_000;

export type Bot = {
  /** Why it is not ready; empty when it is. */
  troubles(): string[];
  /** Where health and metrics are served, when they are. */
  readonly healthPort: number | undefined;
  stop(): Promise<void>;
};

export type StartOptions = {
  readonly log?: Logger;
  /** Called once when the bot cannot go on; the process should end. */
  readonly onFatal?: (why: string) => void;
  /** How long Slack may be out of reach before `onFatal`, ms. */
  readonly watchdogMs?: number;
  /** Gives up waiting for Redis and Slack. */
  readonly signal?: AbortSignal;
};

/**
 * Resolves once cards are consumed; Slack's connection may take longer (`troubles`).
 * @throws BotConfigError when Slack refuses the token or the installation is of another workspace.
 */
export async function startBot(config: BotConfig, options: StartOptions = {}): Promise<Bot> {
  const log = options.log ?? newLog(config.logLevel);
  const fatal = options.onFatal ?? (() => {});
  const signal = options.signal ?? new AbortController().signal;
  const onTrouble = (error: Error) => log.warn({ error: error.message }, 'Redis');
  const bolt = boltLogger(log);
  const metrics = new BotMetrics();
  const closing: (() => Promise<unknown> | unknown)[] = [];
  const stop = async () => {
    for (const close of closing.splice(0).reverse())
      await Promise.resolve(close()).catch((error: unknown) => log.warn({ error: String(error) }, 'while stopping'));
  };
  try {
    const redis = connectCommands(config.redis, onTrouble);
    closing.push(() => redis.disconnect());
    const health: { reach?: Reach; consuming: boolean; revoked?: string } = { consuming: false };
    const troubles = () => {
      const wrong: string[] = [];
      if (redis.status !== 'ready') wrong.push('Redis does not answer');
      if (!health.consuming) wrong.push('not started yet');
      const unreachable = health.reach ? health.reach.trouble() : 'Slack has not been reached yet';
      if (unreachable) wrong.push(unreachable);
      if (health.revoked) wrong.push(health.revoked);
      return wrong;
    };
    const served = config.health && (await serveHealth(config.health, troubles, metrics));
    if (served) closing.push(() => served.stop());
    await redisReady(redis, log, signal);
    for (const warning of await redisWarnings(redis)) log.warn(warning);

    const slack = counted(new SlackClient({ token: config.botToken, apiUrl: config.apiUrl, logger: bolt }), metrics);
    const self = await whoAmI(slack, signal);
    const index = new MessageIndex(redis, config.gateways);
    await pinned(config, self.team, index);

    const votes = votePublisher({
      redis,
      url: config.redis,
      key: config.key,
      gatewayKeys: () => config.gateways,
      onTrouble,
    });
    closing.push(() => votes.close());
    const people = new People({ slack, team: self.team });
    const deliverer = new Deliverer({ index, slack, people, self, log, tell: votes.send });
    const ballot = new Ballot({ votes, people, log, onAnswer: (result) => metrics.votes.inc({ result }) });
    const room = createControlRoom({ config, redis, index, slack, people, self, log, onTrouble });
    closing.push(() => room.close());
    const actions = new Actions({ index, slack, self, ballot, log, whisper: (...args) => deliverer.whisper(...args) });

    deliverer.start();
    closing.push(() => deliverer.stop());
    closing.push(consume(config, deliverer, room.changed, metrics, log, onTrouble));
    const forget = async (gateway: string) => {
      await votes.forget(gateway);
      await room.forget(gateway);
    };
    closing.push(sweep(redis, config, deliverer, forget, log));
    health.consuming = true;

    const reach = reachOf(config, bolt);
    health.reach = reach;
    const app = slackApp(config, self, reach, bolt);
    actions.register(app);
    room.register(app);
    listen(app, people, (why) => {
      health.revoked = why;
      log.fatal(why);
      fatal(why);
    });
    app.error(async (error) => log.error({ error: error.message }, 'a Slack payload was not handled'));
    closing.push(() => reach.stop());
    closing.push(watch(reach, fatal, log, options.watchdogMs ?? WATCHDOG_MS));
    await reached(config, reach, app, fatal);
    log.info({ team: self.team, mode: config.mode }, 'bot started');
    return { troubles, healthPort: served?.port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** HTTP mode listens before this returns; Socket Mode may wait for Slack as long as it takes. */
async function reached(config: BotConfig, reach: Reach, app: App, fatal: (why: string) => void): Promise<void> {
  const starting = reach.start(app);
  if (config.mode === 'http') return starting;
  starting.catch((error: unknown) => fatal(`Socket Mode: ${error instanceof Error ? error.message : String(error)}`));
}

async function redisReady(redis: Redis, log: Logger, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await connected(redis, 5_000);
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn({ error: (error as Error).message }, 'waiting for Redis');
    }
  }
}

type Self = { readonly team: string; readonly bot: string; readonly user: string };

async function whoAmI(slack: Slack, signal: AbortSignal): Promise<Self> {
  try {
    const { team_id, bot_id, user_id } = await patiently(slack, 'auth.test', {}, signal);
    if (typeof team_id !== 'string' || typeof bot_id !== 'string' || typeof user_id !== 'string')
      throw new BotConfigError(['SLACK_BOT_TOKEN: is not a bot token of one workspace']);
    return { team: team_id, bot: bot_id, user: user_id };
  } catch (error) {
    const code = refusal(error);
    if (code !== undefined) throw new BotConfigError([`SLACK_BOT_TOKEN: Slack says ${code}`]);
    throw error;
  }
}

/** One installation, one workspace: a second would let people vote who are not of the first. */
async function pinned(config: BotConfig, team: string, index: MessageIndex): Promise<void> {
  if (config.team !== undefined && config.team !== team)
    throw new BotConfigError([`SLACK_TEAM: is ${config.team}, but the bot token is of ${team}`]);
  const other = await index.pinTeam(team);
  if (other !== undefined)
    throw new BotConfigError([
      `SLACK_BOT_TOKEN: is of workspace ${team}, but this Redis belongs to an installation in ${other}; one installation has one workspace`,
    ]);
}

function consume(
  config: BotConfig,
  deliverer: Deliverer,
  changed: () => void,
  metrics: BotMetrics,
  log: Logger,
  onTrouble: (error: Error) => void,
) {
  const connection = connectBlocking(config.redis, onTrouble);
  const reader = { schema: cardJobSchema, version: CARDS_VERSION, upcasters: CARDS_UPCASTERS };
  const worker = openWorker(
    CARDS_QUEUE,
    connection,
    async (job) => {
      const read = readPayload(job.data, CARDS_QUEUE, config.gateways, reader);
      // In a fleet that is being rolled a newer bot takes it, or this one once it is newer itself.
      if (!read.ok && read.newer) throw new Error(`left to a newer bot: ${read.why}`);
      metrics.jobs.inc({ kind: read.ok ? read.value.kind : 'forged' });
      if (!read.ok) return log.error({ job: job.id, why: read.why }, 'a job was dropped: no gateway wrote it');
      if (read.value.kind === 'card' || read.value.kind === 'notice') changed();
      await deliverer.handle(read.value, job.data as Envelope);
    },
    { concurrency: JOBS_AT_ONCE, jobMs: CARD_JOB_MS, onTrouble },
  );
  return async () => {
    await worker.close(connection.status !== 'ready').catch(onTrouble);
    connection.disconnect();
  };
}

/** Looks for gateways that died, and says so on what they left behind. */
function sweep(
  redis: Redis,
  config: BotConfig,
  deliverer: Deliverer,
  forget: (gateway: string) => Promise<void>,
  log: Logger,
) {
  const leases = new LeaseWatch(redis, () => config.gateways);
  const told = new Set<string>();
  let running: Promise<void> = Promise.resolve();
  const look = async () => {
    for (const dead of await leases.dead(Date.now())) {
      const { gateway } = dead;
      const left = dead.cards.filter(({ hold, state }) => !told.has(hold) && (state === 'lost' || state === 'unknown'));
      if (left.length > 0) log.error({ gateway, holds: left.length }, 'a gateway is gone');
      await deliverer.lose(left); // durable in the message index before the gateway's own index goes
      for (const { hold } of left) told.add(hold);
      if (!(await leases.isRecorded(dead))) continue; // a gateway that lives, or comes, audits it first
      await forget(gateway);
      await leases.clear(gateway);
    }
  };
  const timer = setInterval(() => {
    running = running
      .then(look)
      .catch((error: unknown) => log.warn({ error: String(error) }, 'cannot look after gateways'));
  }, SWEEP_MS);
  return async () => {
    clearInterval(timer);
    await running;
  };
}

function slackApp(config: BotConfig, self: Self, reach: Reach, logger: BoltLogger): App {
  return new App({
    receiver: reach.receiver,
    token: config.botToken,
    botId: self.bot,
    botUserId: self.user,
    tokenVerificationEnabled: false,
    convoStore: false,
    logger,
    ...(config.apiUrl ? { clientOptions: { slackApiUrl: config.apiUrl } } : {}),
  });
}

/** Slack's news about people: what we remember of them is then out of date. */
function listen(app: App, people: People, gone: (why: string) => void): void {
  app.event('user_change', async ({ event }) => people.userChanged(event.user.id));
  app.event('subteam_members_changed', async ({ event }) => people.groupChanged(event.subteam_id));
  app.event('subteam_updated', async ({ event }) => people.groupChanged(event.subteam.id));
  app.event('app_uninstalled', async () => gone('the app was uninstalled from the workspace'));
  app.event('tokens_revoked', async () => gone("the app's token was revoked"));
}

function watch(reach: Reach, fatal: (why: string) => void, log: Logger, patienceMs: number) {
  const timer = setInterval(
    () => {
      if (reach.unreachableMs() < patienceMs) return;
      const why = `Slack could not be reached for ${Math.round(patienceMs / 1_000)} s`;
      log.fatal(why);
      fatal(why);
    },
    Math.min(5_000, patienceMs / 2),
  );
  return () => clearInterval(timer);
}

function counted(slack: Slack, metrics: BotMetrics): Slack {
  return {
    async call(method, args) {
      let result = 'ok';
      try {
        return await slack.call(method, args);
      } catch (error) {
        result = error instanceof SlackError ? error.problem.kind : 'failed';
        throw error;
      } finally {
        metrics.calls.inc({ method, result });
      }
    },
  };
}

/** Exit code: 0 fine, 1 failed, 2 misused. Runs until SIGTERM or SIGINT. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (argv.length > 1 || (argv.length === 1 && argv[0] !== '--check')) {
    console.error('usage: countersign bot [--check]   (configured by the environment, see README)');
    return 2;
  }
  let config: BotConfig;
  try {
    config = readBotConfig(env);
  } catch (error) {
    if (!(error instanceof BotConfigError)) throw error;
    console.error(error.message);
    return 1;
  }
  if (argv[0] === '--check') {
    const lines = await checkBot(config, boltLogger(newLog('silent')));
    for (const { ok, text } of lines) console.log(`${ok ? 'ok  ' : 'FAIL'} ${text}`);
    return lines.every(({ ok }) => ok) ? 0 : 1;
  }
  return run(config);
}

async function run(config: BotConfig): Promise<number> {
  const log = newLog(config.logLevel);
  const ending = new AbortController();
  let code = 0;
  /** The first reason is the reason: what a stop cuts short may fail afterwards, and says nothing about the bot. */
  const end = (exitCode: number) => {
    if (ending.signal.aborted) return;
    code = exitCode;
    ending.abort();
  };
  process.once('SIGTERM', () => end(0));
  process.once('SIGINT', () => end(0));
  // The socket library ends some failed reconnects as an unhandled rejection: start afresh rather than go deaf.
  process.on('unhandledRejection', (error) => {
    const what = { error: error instanceof Error ? error.message : 'unknown' };
    if (ending.signal.aborted) return log.error(what, 'unhandled rejection while stopping'); // a connection cut short
    log.fatal(what, 'unhandled rejection');
    end(1);
  });
  try {
    const bot = await startBot(config, { log, signal: ending.signal, onFatal: () => end(1) });
    if (!ending.signal.aborted) await new Promise((resolve) => ending.signal.addEventListener('abort', resolve));
    await within(10_000, bot.stop());
  } catch (error) {
    if (error instanceof BotConfigError) console.error(error.message);
    else log.fatal({ error: String(error) }, 'the bot could not start');
    if (!ending.signal.aborted) code = 1;
  }
  return code;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exit(await main(process.argv.slice(2), process.env));
}
