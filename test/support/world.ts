/** The whole product on loopback: Redis, PostgreSQL, OIDC, Slack, gateways and bots, as real processes. For demo and tests. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { newKeyPair } from '../../queue/sign.ts';
import { type Slack, startSlack } from '../slack/server.ts';
import { type Oidc, startOidc } from './oidc.ts';
import { freePort } from './ports.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';
import { startRedis, type TestRedis } from './redis.ts';
import { seedOrders, UPSTREAM_ROLE } from './seed.ts';

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

export type WorldOptions = {
  readonly ports?: Partial<
    Record<'postgres' | 'web' | 'slack' | 'upstream' | 'redis' | 'oidc' | 'botHttp' | 'botHealth', number>
  >;
  readonly slackMode?: 'socket' | 'http';
  readonly otherSlack?: OtherSlack;
  readonly gateways?: number;
  readonly bots?: number;
  /** Replaces or adds top-level keys of countersign.yaml. */
  readonly config?: (config: Config) => Config;
  readonly tokenSeconds?: number;
};

// biome-ignore lint/suspicious/noExplicitAny: a configuration file under construction; the gateway validates it
export type Config = Record<string, any>;

export type Process = {
  readonly name: string;
  readonly log: string;
  readonly pid: number;
  alive(): boolean;
  /** Send a signal and wait for the end. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
  signal(signal: NodeJS.Signals): void;
};

export type GatewayProcess = Process & { readonly web: string; readonly postgres: { host: string; port: number } };

export type World = {
  readonly dir: string;
  readonly redis: TestRedis;
  readonly upstream: TestPostgres;
  readonly oidc: Oidc;
  readonly slack: Slack | undefined;
  readonly channel: string;
  readonly auditKey: string;
  readonly gateways: readonly GatewayProcess[];
  readonly bots: readonly Process[];
  /** A `cst_…` token of this OIDC client, from the first gateway or the one named. */
  token(client?: string, gateway?: GatewayProcess): Promise<string>;
  /** `postgres://report-bot:cst_…@host:port/orders` */
  downstream(options?: { client?: string; connection?: string; gateway?: GatewayProcess }): Promise<string>;
  readonly upstreamUrl: string;
  /** What psql in the Slack page's terminal pane connects to. */
  setTerminal(url: string): void;
  /** `countersign …` beside the first gateway, with its configuration and secrets; resolves to what it printed. */
  command(...args: string[]): Promise<string>;
  startGateway(): Promise<GatewayProcess>;
  startBot(): Promise<Process>;
  /** Rewrite one gateway's configuration file; it reloads by itself. */
  reconfigure(change: (config: Config) => Config): Promise<void>;
  stop(): Promise<void>;
};

export const PEOPLE = { alice: 'U0ALICE', bob: 'U0BOB', carol: 'U0CAROL', guest: 'U0GUEST' } as const;
const CLIENTS = [
  { id: 'report-bot', secret: 'report-bot-demo-secret' },
  { id: 'deploy-bot', secret: 'deploy-bot-demo-secret' },
];

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'countersign-world-'));
  const undo: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  try {
    return await build(options, dir, undo);
  } catch (error) {
    await unwind(undo);
    throw error;
  }
}

async function unwind(undo: (() => Promise<unknown>)[]): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step().catch((error) => console.error('while stopping:', error));
}

async function build(options: WorldOptions, dir: string, undo: (() => Promise<unknown>)[]): Promise<World> {
  const port = async (name: keyof NonNullable<WorldOptions['ports']>) => options.ports?.[name] ?? (await freePort());
  const keys = { gateway: newKeyPair(), bot: newKeyPair(), audit: newKeyPair() };
  const botHttp = await port('botHttp');
  let terminalUrl: string | undefined;
  const app = { signingSecret: 'demo-signing-secret', botToken: 'xoxb-demo-bot', appToken: 'xapp-demo-app' };

  const [redis, upstream, oidc, slack] = await Promise.all([
    port('redis').then((at) => startRedis({ port: at })),
    port('upstream').then((at) => startPostgres({ port: at })),
    port('oidc').then((at) =>
      startOidc({ port: at, clients: CLIENTS, tokenSeconds: options.tokenSeconds ?? 12 * 3_600 }),
    ),
    options.otherSlack
      ? undefined
      : port('slack').then((at) =>
          startSlack({
            port: at,
            terminal: { spawn: () => ({ argv: terminalUrl ? ['psql', terminalUrl] : ['echo', 'still starting'] }) },
            app: {
              ...app,
              mode: options.slackMode ?? 'socket',
              requestUrl: `http://127.0.0.1:${botHttp}/slack/events`,
            },
          }),
        ),
  ]);
  undo.push(
    () => redis.stop(),
    () => upstream.stop(),
    () => oidc.stop(),
    async () => slack?.stop(),
  );
  await seedOrders(upstream);

  const channel = options.otherSlack?.channel ?? 'C0APPROVALS';
  const approvers = options.otherSlack?.approvers ?? ['@dba-oncall'];
  let config = (options.config ?? ((same) => same))(
    demoConfig({ oidc, upstream, channel, approvers, sponsored: !options.otherSlack }),
  );

  const secrets = {
    COUNTERSIGN_GATEWAY_KEY: keys.gateway.secret,
    COUNTERSIGN_AUDIT_KEY: keys.audit.secret,
    ORDERS_PW: UPSTREAM_ROLE.password,
    REDIS_URL: redis.url,
  };
  const gateways: GatewayProcess[] = [];
  const bots: Process[] = [];
  const files: { path: string; own: Config }[] = [];
  const place = (own: Config): Config => ({ ...config, ...own });

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
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the configuration's own reference syntax
      state: { redis: '${env:REDIS_URL}', ...config.state },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: as above
      keys: { own: '${env:COUNTERSIGN_GATEWAY_KEY}', bots: [keys.bot.public], gateways: [keys.gateway.public] },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: as above
      audit: { dir: auditDir, key: '${env:COUNTERSIGN_AUDIT_KEY}', mode: 'strict', ...config.audit },
    };
    const path = join(dir, `countersign-${n}.yaml`);
    await writeFile(path, stringify(place(own)));
    files.push({ path, own });
    const process = launch(`gateway-${n}`, ['gateway/cli.ts', 'gateway', '--config', path], secrets, dir);
    const web = `http://127.0.0.1:${at.web}`;
    undo.push(() => process.end());
    await answers(`${web}/readyz`, process);
    const gateway = { ...process, web, postgres: { host: '127.0.0.1', port: at.postgres } };
    gateways.push(gateway);
    return gateway;
  };

  const startBot = async (): Promise<Process> => {
    const n = bots.length + 1;
    const health = n === 1 ? await port('botHealth') : await freePort();
    const other = options.otherSlack;
    const process = launch(
      `bot-${n}`,
      ['bot/main.ts'],
      {
        REDIS_URL: redis.url,
        COUNTERSIGN_BOT_KEY: keys.bot.secret,
        COUNTERSIGN_GATEWAY_KEYS: keys.gateway.public,
        SLACK_MODE: options.slackMode ?? 'socket',
        SLACK_API_URL: other?.apiUrl ?? slack?.apiUrl ?? '',
        SLACK_BOT_TOKEN: other?.botToken ?? app.botToken,
        SLACK_APP_TOKEN: other?.appToken ?? app.appToken,
        SLACK_SIGNING_SECRET: app.signingSecret,
        BOT_HTTP: `127.0.0.1:${n === 1 ? botHttp : await freePort()}`,
        BOT_HEALTH: `127.0.0.1:${health}`,
      },
      dir,
    );
    undo.push(() => process.end());
    await answers(`http://127.0.0.1:${health}/readyz`, process);
    bots.push(process);
    return process;
  };

  for (let n = 0; n < (options.gateways ?? 1); n++) await startGateway();
  for (let n = 0; n < (options.bots ?? 1); n++) await startBot();

  const token = async (client = 'report-bot', gateway = gateways[0]) => {
    const jwt = await oidc.token(client);
    const response = await fetch(`${gateway?.web}/v1/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${jwt}` },
    });
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
      const env = { ...process.env, ...secrets, COUNTERSIGN_CONFIG: files[0]?.path ?? '' };
      const { stdout } = await run(process.execPath, ['--import', 'tsx', 'gateway/cli.ts', ...args], {
        cwd: root,
        env,
      });
      return stdout;
    },
    startGateway,
    startBot,
    reconfigure: async (change) => {
      config = change(config);
      for (const file of files) await writeFile(file.path, stringify(place(file.own)));
    },
    stop: () => unwind(undo),
  };
}

/** The demo's countersign.yaml, less what differs from gateway to gateway. */
function demoConfig(parts: {
  oidc: Oidc;
  upstream: TestPostgres;
  channel: string;
  approvers: readonly string[];
  sponsored: boolean;
}): Config {
  const { oidc, upstream, channel, approvers, sponsored } = parts;
  const person = (name: keyof typeof PEOPLE) => ({ slack: PEOPLE[name], issuer: oidc.issuer, subject: name });
  return {
    identity: {
      issuers: [{ issuer: oidc.issuer, audience: 'countersign', groups: 'groups' }],
      agents: [
        {
          issuer: oidc.issuer,
          subject: 'report-bot',
          purpose: 'nightly revenue report',
          ...(sponsored ? { sponsor: PEOPLE.bob } : {}),
        },
        { issuer: oidc.issuer, subject: 'deploy-bot', purpose: 'schema migrations' },
      ],
      people: sponsored ? [person('alice'), person('bob'), person('carol')] : [],
    },
    approvals: { channel, approvers, admins: sponsored ? ['@gate-admins'] : approvers, expires: '60m' },
    connections: [
      {
        name: 'orders',
        protocol: 'postgres',
        environment: 'production',
        upstream: {
          host: '127.0.0.1',
          port: upstream.port,
          database: 'orders',
          user: UPSTREAM_ROLE.user,
          // biome-ignore lint/suspicious/noTemplateCurlyInString: the configuration's own reference syntax
          password: '${env:ORDERS_PW}',
          tls: 'disable',
        },
        default: { read: 'allow', write: 'allow', unknown: 'hold' },
      },
    ],
    rules: [
      {
        id: 'no-where',
        match: { connection: 'orders', action: ['update', 'delete'], where: 'absent' },
        verdict: 'hold',
        why: 'A write without a condition touches every row',
      },
      {
        id: 'schema-changes',
        match: { connection: 'orders', action: ['ddl'] },
        verdict: 'hold',
        why: 'Schema changes are reviewed by a DBA',
      },
      {
        id: 'opaque-code',
        match: { connection: 'orders', action: ['call'] },
        verdict: 'hold',
        why: 'Code can do anything; a DBA reads it first',
      },
      { id: 'privileges', match: { action: ['dcl'] }, verdict: 'deny', why: 'Privileges change through Terraform' },
    ],
  };
}

/** One of the product's own entry points, as the Procfile would start it. Logs go to a file in `dir`. */
function launch(name: string, args: readonly string[], env: Record<string, string>, dir: string): Process {
  const log = join(dir, `${name}.log`);
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', ...args], {
    cwd: root,
    env: { ...process.env, ...env, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const file = createWriteStream(log);
  child.stdout?.pipe(file, { end: false });
  child.stderr?.pipe(file, { end: false });
  const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const endWithParent = () => child.kill('SIGKILL');
  process.once('exit', endWithParent);
  const alive = () => child.exitCode === null && child.signalCode === null;
  return {
    name,
    log,
    pid: child.pid ?? 0,
    alive,
    signal: (signal) => void child.kill(signal),
    end: async (signal = 'SIGTERM') => {
      process.off('exit', endWithParent);
      if (alive()) child.kill(signal);
      const tooLong = setTimeout(() => child.kill('SIGKILL'), 15_000);
      const code = await gone;
      clearTimeout(tooLong);
      file.end();
      return code;
    },
  };
}

/** Waits until the address answers 200; fails at once when the process has ended. */
async function answers(url: string, process: Process): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    if (!process.alive()) throw new Error(`${process.name} ended while starting; its log: ${process.log}`);
    if (performance.now() > deadline)
      throw new Error(`${process.name} does not answer at ${url}; its log: ${process.log}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
