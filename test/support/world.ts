/** The whole product on loopback: Redis, PostgreSQL, OIDC, Slack, gateways and bots, as real processes. For demo and tests. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { newKeyPair } from '../../queue/sign.ts';
import { type Slack, startSlack } from '../slack/server.ts';
import { entryOf } from './cli.ts';
import { type Config, demoConfig, PEOPLE } from './demo-config.ts';
import { answers, launch, type Process } from './launch.ts';
import { type Oidc, startOidc } from './oidc.ts';
import { DEVICE_CLIENT, WEB_CLIENT } from './oidc-people.ts';
import { freePort } from './ports.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';
import { startRedis, type TestRedis } from './redis.ts';
import { seedOrders, UPSTREAM_ROLE } from './seed.ts';

export { type Config, PEOPLE };

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** A Slack that is not ours: a real workspace, or another emulator. */
export type OtherSlack = {
  readonly apiUrl: string;
  readonly botToken: string;
  readonly appToken: string;
  readonly channel: string;
  readonly approvers: readonly string[];
};

type SlackMode = 'socket' | 'http';
const usualMode = (): SlackMode => (process.env.COUNTERSIGN_SLACK_MODE === 'http' ? 'http' : 'socket');

export type WorldOptions = {
  readonly ports?: Partial<
    Record<'postgres' | 'web' | 'slack' | 'upstream' | 'redis' | 'oidc' | 'botHttp' | 'botHealth', number>
  >;
  /** Sessions are recorded, all gateways' in one directory: `recordings` in the world's. */
  readonly recorded?: boolean;
  /** Settings of the target beside the usual. */
  readonly postgres?: Record<string, string>;
  /** Another release's programs for the target. */
  readonly postgresBin?: string;
  /** Left out: as $COUNTERSIGN_SLACK_MODE says, else Socket Mode. */
  readonly slackMode?: SlackMode;
  readonly otherSlack?: OtherSlack;
  /** How browsers reach the pages: `https://…`, of whatever stands before them. Left out: each gateway's own address. */
  readonly webUrl?: string;
  readonly gateways?: number;
  readonly bots?: number;
  /** Replaces or adds top-level keys of countersign.yaml. */
  readonly config?: (config: Config) => Config;
  readonly tokenSeconds?: number;
  /**
   * The compiled product, as `builtProduct()` lays it out: its files run with plain node, instead of the sources. Absent:
   * the one that the whole suite has compiled ($COUNTERSIGN_BUILT), else the sources.
   */
  readonly built?: string;
  /** The n-th gateway's own; all are trusted. Left out: one key for all. */
  readonly gatewayKeys?: readonly KeyPair[];
  /** Of every gateway and bot, beside what they need. */
  readonly env?: Record<string, string>;
  /** Gives up starting, and takes down what had started. */
  readonly signal?: AbortSignal;
  /** A terminal's Ctrl-C reaches only the caller, who then stops the parts in order. */
  readonly ownGroups?: boolean;
};

export type KeyPair = ReturnType<typeof newKeyPair>;

export type GatewayProcess = Process & { readonly web: string; readonly postgres: { host: string; port: number } };

export type World = {
  readonly dir: string;
  readonly redis: TestRedis;
  readonly upstream: TestPostgres;
  readonly oidc: Oidc;
  readonly slack: Slack | undefined;
  readonly channel: string;
  readonly auditKey: string;
  readonly botKey: KeyPair;
  readonly gateways: readonly GatewayProcess[];
  readonly bots: readonly Process[];
  /** A `cst_…` token of this OIDC client, from the first gateway or the one named. */
  token(client?: string, gateway?: GatewayProcess): Promise<string>;
  /** `postgres://report-bot:cst_…@host:port/orders` */
  downstream(options?: { client?: string; connection?: string; gateway?: GatewayProcess }): Promise<string>;
  readonly upstreamUrl: string;
  /** What psql in the Slack page's terminal pane connects to. */
  setTerminal(url: string): void;
  /** `countersign …` beside the first gateway, with its configuration, its secrets and the bot's environment; resolves to what it printed. */
  command(...args: string[]): Promise<string>;
  startGateway(): Promise<GatewayProcess>;
  startBot(options?: { key?: KeyPair }): Promise<Process>;
  /** Rewrite one gateway's configuration file; it reloads by itself. */
  reconfigure(change: (config: Config) => Config): Promise<void>;
  stop(): Promise<void>;
};

const CLIENTS = [
  { id: 'report-bot', secret: 'report-bot-demo-secret' },
  { id: 'deploy-bot', secret: 'deploy-bot-demo-secret' },
];

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'countersign-world-'));
  const undo: Undo = [() => rm(dir, { recursive: true, force: true })];
  const starting: Promise<unknown>[] = [];
  try {
    return await build(options, dir, undo, starting);
  } catch (error) {
    await Promise.allSettled(starting); // what starts beside a part that failed has to end, too
    await unwind(undo);
    throw error;
  }
}

type Undo = (() => Promise<unknown>)[];

async function unwind(undo: Undo): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step().catch((error) => console.error('while stopping:', error));
}

async function build(options: WorldOptions, dir: string, undo: Undo, starting: Promise<unknown>[]): Promise<World> {
  const { built, signal, ownGroups = false, slackMode = usualMode() } = options;
  const cli = entryOf(built);
  const entry = { gateway: [...cli, 'gateway'], bot: [...cli, 'bot'] };
  const place = { dir, cwd: built ?? root, ownGroup: ownGroups };
  /** Ends with the world from the moment it has started. */
  const part = <T extends { stop(): Promise<unknown> }>(start: Promise<T>): Promise<T> => {
    const started = start.then((it) => {
      undo.push(() => it.stop());
      return it;
    });
    starting.push(started);
    return started;
  };
  const port = async (name: keyof NonNullable<WorldOptions['ports']>) => options.ports?.[name] ?? (await freePort());
  const keys = { gateways: options.gatewayKeys ?? [newKeyPair()], bot: newKeyPair(), audit: newKeyPair() };
  const gatewayKey = (n: number) => keys.gateways[Math.min(n, keys.gateways.length) - 1]?.secret ?? '';
  const trusted = keys.gateways.map((pair) => pair.public);
  const botHttp = await port('botHttp');
  let terminalUrl: string | undefined;
  const app = { signingSecret: 'demo-signing-secret', botToken: 'xoxb-demo-bot', appToken: 'xapp-demo-app' };

  const [redis, upstream, oidc, slack] = await Promise.all([
    part(port('redis').then((at) => startRedis({ port: at, ownGroup: ownGroups }))),
    part(
      port('upstream').then((at) =>
        startPostgres({ port: at, ownGroup: ownGroups, bin: options.postgresBin, settings: options.postgres ?? {} }),
      ),
    ),
    part(
      port('oidc').then((at) =>
        startOidc({
          port: at,
          clients: CLIENTS,
          tokenSeconds: options.tokenSeconds ?? 12 * 3_600,
          webUrl: options.webUrl,
        }),
      ),
    ),
    options.otherSlack
      ? undefined
      : part(
          port('slack').then((at) =>
            startSlack({
              port: at,
              terminal: { spawn: () => ({ argv: terminalUrl ? ['psql', terminalUrl] : ['echo', 'still starting'] }) },
              app: {
                ...app,
                mode: slackMode,
                requestUrl: `http://127.0.0.1:${botHttp}/slack/events`,
              },
            }),
          ),
        ),
  ]);
  signal?.throwIfAborted();
  await seedOrders(upstream);

  const channel = options.otherSlack?.channel ?? 'C0APPROVALS';
  const approvers = options.otherSlack?.approvers ?? ['@dba-oncall'];
  let config = (options.config ?? ((same) => same))(
    demoConfig({ oidc, upstream, channel, approvers, sponsored: !options.otherSlack }),
  );

  const secrets = {
    COUNTERSIGN_GATEWAY_KEY: gatewayKey(1),
    COUNTERSIGN_AUDIT_KEY: keys.audit.secret,
    ORDERS_PW: UPSTREAM_ROLE.password,
    REDIS_URL: redis.url,
  };
  const signInSecret = join(dir, 'sign-in.secret');
  await writeFile(signInSecret, WEB_CLIENT.secret);
  const gateways: GatewayProcess[] = [];
  const bots: Process[] = [];
  const files: { path: string; own: Config }[] = [];
  const whole = (own: Config): Config => ({
    ...config,
    ...own,
    state: { ...own.state, ...config.state },
    keys: { ...own.keys, ...config.keys },
    audit: { ...own.audit, ...config.audit },
  });

  const startGateway = async (): Promise<GatewayProcess> => {
    const n = gateways.length + 1;
    const at = {
      postgres: n === 1 ? await port('postgres') : await freePort(),
      web: n === 1 ? await port('web') : await freePort(),
    };
    const auditDir = join(dir, `audit-${n}`);
    await mkdir(auditDir);
    const own = {
      listen: { postgres: `127.0.0.1:${at.postgres}`, web: `127.0.0.1:${at.web}` },
      web: {
        url: options.webUrl ?? `http://127.0.0.1:${at.web}`,
        sign_in: {
          issuer: oidc.issuer,
          client_id: WEB_CLIENT.id,
          client_secret: `\${file:${signInSecret}}`,
          device_client_id: DEVICE_CLIENT,
        },
      },
      state: { redis: `\${env:REDIS_URL}` },
      keys: { own: `\${env:COUNTERSIGN_GATEWAY_KEY}`, bots: [keys.bot.public], gateways: trusted },
      audit: { dir: auditDir, key: `\${env:COUNTERSIGN_AUDIT_KEY}`, mode: 'strict' },
      ...(options.recorded ? { recordings: { dir: join(dir, 'recordings') } } : {}),
    };
    const path = join(dir, `countersign-${n}.yaml`);
    await writeFile(path, stringify(whole(own)));
    files.push({ path, own });
    const process = launch(
      `gateway-${n}`,
      [...entry.gateway, '--config', path],
      { ...secrets, COUNTERSIGN_GATEWAY_KEY: gatewayKey(n), ...options.env },
      place,
    );
    const web = `http://127.0.0.1:${at.web}`;
    undo.push(() => process.end());
    await answers(`${web}/readyz`, process, signal);
    const gateway = { ...process, web, postgres: { host: '127.0.0.1', port: at.postgres } };
    gateways.push(gateway);
    return gateway;
  };

  const other = options.otherSlack;
  const botEnv = {
    REDIS_URL: redis.url,
    COUNTERSIGN_BOT_KEY: keys.bot.secret,
    COUNTERSIGN_GATEWAY_KEYS: trusted.join(','),
    SLACK_MODE: slackMode,
    SLACK_API_URL: other?.apiUrl ?? slack?.apiUrl ?? '',
    SLACK_BOT_TOKEN: other?.botToken ?? app.botToken,
    SLACK_APP_TOKEN: other?.appToken ?? app.appToken,
    SLACK_SIGNING_SECRET: app.signingSecret,
    BOT_HTTP: `127.0.0.1:${botHttp}`,
  };
  const startBot = async ({ key = keys.bot }: { key?: KeyPair } = {}): Promise<Process> => {
    const n = bots.length + 1;
    const health = n === 1 ? await port('botHealth') : await freePort();
    const process = launch(
      `bot-${n}`,
      entry.bot,
      {
        ...botEnv,
        COUNTERSIGN_BOT_KEY: key.secret,
        BOT_HTTP: `127.0.0.1:${n === 1 ? botHttp : await freePort()}`,
        BOT_HEALTH: `127.0.0.1:${health}`,
        ...options.env,
      },
      place,
    );
    undo.push(() => process.end());
    await answers(`http://127.0.0.1:${health}/readyz`, process, signal);
    bots.push(process);
    return process;
  };

  for (let n = 0; n < (options.gateways ?? 1); n++) await startGateway();
  for (let n = 0; n < (options.bots ?? 1); n++) await startBot();

  const token = async (client = 'report-bot', gateway = gateways[0]) => {
    const jwt = await oidc.token(client);
    const ask = () =>
      fetch(`${gateway?.web}/v1/token`, { method: 'POST', headers: { authorization: `Bearer ${jwt}` } });
    let response = await ask();
    // Right after a test had Redis away it says so, and to try again.
    for (const end = performance.now() + 5_000; response.status === 503 && performance.now() < end; ) {
      await response.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, 200));
      response = await ask();
    }
    const body = (await response.json()) as { token?: string };
    if (!response.ok || !body.token) throw new Error(`POST /v1/token: ${response.status} ${JSON.stringify(body)}`);
    return body.token;
  };

  return {
    dir,
    redis,
    upstream,
    oidc,
    slack,
    channel,
    auditKey: keys.audit.public,
    botKey: keys.bot,
    gateways,
    bots,
    token,
    downstream: async ({ client = 'report-bot', connection = 'orders', gateway = gateways[0] } = {}) =>
      `postgres://${client}:${await token(client, gateway)}@127.0.0.1:${gateway?.postgres.port}/${connection}`,
    upstreamUrl: upstream.url('orders', UPSTREAM_ROLE.user, UPSTREAM_ROLE.password),
    setTerminal: (url) => {
      terminalUrl = url;
    },
    command: async (...args) => {
      const env = { ...process.env, ...botEnv, ...secrets, COUNTERSIGN_CONFIG: files[0]?.path ?? '' };
      const { stdout } = await run(process.execPath, [...entry.gateway.slice(0, -1), ...args], { cwd: place.cwd, env });
      return stdout;
    },
    startGateway,
    startBot,
    reconfigure: async (change) => {
      config = change(config);
      for (const file of files) await writeFile(file.path, stringify(whole(file.own)));
    },
    stop: () => unwind(undo),
  };
}
