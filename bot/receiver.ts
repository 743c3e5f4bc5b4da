/** How Slack reaches the bot: Socket Mode over two connections, or signed HTTP. Watches that it still does. */
import { type App, HTTPReceiver, type Logger, type Receiver, SocketModeReceiver } from '@slack/bolt';
import type { BotConfig } from './config.ts';

/** Slack delivers each payload over any one connection: while one is renewed, the other still hears clicks. */
const SOCKETS = 2;
/** Pong deadline, and how long a dropped connection stays away (it is renewed only after this). */
const PING_TIMEOUT_MS = 2_500;
/** The library gives up otherwise, by an unhandled rejection, when `apps.connections.open` fails while reconnecting. */
const RECONNECT = {
  forever: true,
  retries: 1_000_000,
  factor: 1.3,
  minTimeout: 500,
  maxTimeout: 5_000,
  randomize: true,
};
const STOP_MS = 3_000;
/** Slack's own window for a request's age; the library forgets that a timestamp can also lie ahead. */
const SKEW_S = 300;

export type Reach = {
  readonly receiver: Receiver;
  /** Undefined when Slack can reach the bot, else why not. */
  trouble(): string | undefined;
  /** Ms since Slack could last reach the bot; 0 while it can. */
  unreachableMs(): number;
  start(app: App): Promise<void>;
  stop(): Promise<void>;
};

export function reachOf(config: BotConfig, logger: Logger): Reach {
  return config.mode === 'socket' ? socketReach(config, logger) : httpReach(config, logger);
}

function socketReach(config: BotConfig, logger: Logger): Reach {
  const receivers = Array.from(
    { length: SOCKETS },
    () =>
      new SocketModeReceiver({
        appToken: config.appToken ?? '',
        logger,
        clientPingTimeout: PING_TIMEOUT_MS,
        // An object of its own each: the library writes into it.
        installerOptions: {
          clientOptions: {
            ...(config.apiUrl ? { slackApiUrl: config.apiUrl } : {}),
            retryConfig: { ...RECONNECT },
            timeout: 10_000,
          },
        },
      }),
  );
  const up = new Set<SocketModeReceiver>();
  let downSince = performance.now();
  for (const receiver of receivers) {
    receiver.client.on('connected', () => up.add(receiver));
    const gone = () => {
      if (up.delete(receiver) && up.size === 0) downSince = performance.now();
    };
    receiver.client.on('close', gone);
    receiver.client.on('disconnected', gone);
  }
  return {
    receiver: {
      init: (app) => {
        for (const receiver of receivers) receiver.init(app);
      },
      start: () => Promise.all(receivers.map((receiver) => receiver.start())),
      stop: () => Promise.all(receivers.map((receiver) => receiver.stop())),
    },
    trouble: () => (up.size > 0 ? undefined : 'no Socket Mode connection to Slack'),
    unreachableMs: () => (up.size > 0 ? 0 : performance.now() - downSince),
    start: async (app) => {
      await app.start();
    },
    stop: async () => {
      // The library waits for a close frame that a broken connection never sends.
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, STOP_MS);
      });
      await Promise.race([Promise.all(receivers.map((receiver) => receiver.stop())), late]);
      clearTimeout(timer);
    },
  };
}

function httpReach(config: BotConfig, logger: Logger): Reach {
  const receiver = new HTTPReceiver({
    signingSecret: config.signingSecret ?? '',
    endpoints: ['/slack/events'],
    logger,
  });
  const listener = receiver.requestListener;
  receiver.requestListener = (request, response) => {
    const ahead = Number(request.headers['x-slack-request-timestamp']) - Date.now() / 1_000;
    if (ahead > SKEW_S) return void response.writeHead(401).end();
    listener(request, response);
  };
  let listening = false;
  return {
    receiver,
    trouble: () => (listening ? undefined : "the endpoint for Slack's requests is not open"),
    unreachableMs: () => 0, // whether Slack comes is not for us to know
    start: async () => {
      await receiver.start({ host: config.http?.host, port: config.http?.port });
      listening = true;
    },
    stop: async () => {
      if (listening) await receiver.stop();
      listening = false;
    },
  };
}
