/** Gateways as an operator runs them: the compiled product under plain node, each a process of its own. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { newKeyPair } from '../../queue/sign.ts';
import { launch, type Process } from '../support/launch.ts';
import { freePort } from '../support/ports.ts';
import { UPSTREAM_ROLE } from '../support/seed.ts';
import type { Config, KeyPair, World } from '../support/world.ts';
import { ask } from './ask.ts';
import type { Route } from './routes.ts';

export type GatewayOptions = {
  /** Rules in all; those beside the demo's own match other tables, as a grown installation has them. */
  readonly rules?: number;
  readonly config?: (config: Config) => Config;
  /** Run the sources through tsx instead. */
  readonly sources?: boolean;
  readonly nodeFlags?: readonly string[];
};

export type BenchGateway = Process & {
  readonly web: string;
  readonly port: number;
  /** How a client reaches its connection `orders`. */
  route(): Promise<Route>;
};

/** What all gateways of one run share. */
export type Ground = {
  readonly world: World;
  readonly dist: string;
  readonly dir: string;
  /** The demo's configuration, before rules are added. */
  readonly base: Config;
  readonly keys: KeyPair;
  /** Of `--workers`; left out: the product's default. */
  readonly workers: number | 'auto' | undefined;
  /** Where CPU profiles go; left out: none are taken. */
  readonly profile: string | undefined;
};

const RULES = 100;
const READY_MS = 60_000;
const LOOK_MS = 20;
let started = 0;

/** A process that need not answer yet, and when it was started (`performance.now()`). */
export async function spawnGateway(
  ground: Ground,
  options: GatewayOptions = {},
): Promise<{ gateway: BenchGateway; from: number }> {
  const { world, dist, dir, profile } = ground;
  const name = `gateway-${++started}`;
  const auditDir = join(dir, `audit-${name}`);
  await mkdir(auditDir);
  const at = { postgres: await freePort(), web: await freePort() };
  const path = join(dir, `${name}.yaml`);
  const config = configuration(ground, options, at, auditDir);
  await writeFile(path, stringify(config));
  const flags = [...(options.nodeFlags ?? []), ...(profile ? ['--cpu-prof', '--cpu-prof-dir', profile] : [])];
  const entry = options.sources
    ? [...flags, '--import', 'tsx', 'gateway/cli.ts', 'gateway']
    : [...flags, join(dist, 'gateway/cli.js'), 'gateway'];
  const env = {
    COUNTERSIGN_GATEWAY_KEY: ground.keys.secret,
    COUNTERSIGN_AUDIT_KEY: newKeyPair().secret,
    ORDERS_PW: UPSTREAM_ROLE.password,
    REDIS_URL: world.redis.url,
    LOG_LEVEL: 'warn',
  };
  const from = performance.now();
  const process = launch(name, [...entry, '--config', path], env, options.sources ? { dir } : { dir, cwd: dist });
  const web = `${config.tls ? 'https' : 'http'}://127.0.0.1:${at.web}`;
  const route = async (): Promise<Route> => ({
    name: 'gateway',
    port: at.postgres,
    user: 'report-bot',
    password: await token(world, web),
    pid: process.pid,
  });
  return { gateway: { ...process, web, port: at.postgres, route }, from };
}

/** Started, and ready for clients. */
export async function startGateway(ground: Ground, options: GatewayOptions = {}): Promise<BenchGateway> {
  const { gateway } = await spawnGateway(ground, options);
  try {
    await answering(gateway);
  } catch (error) {
    await gateway.end();
    throw error;
  }
  return gateway;
}

/** Resolves once it is ready. @throws Error when it ended, or is not ready within a minute */
export async function answering(gateway: BenchGateway): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const answer = await ask(`${gateway.web}/readyz`).catch(() => undefined);
    if (answer?.status === 200) return;
    if (!gateway.alive() || performance.now() > deadline) {
      const log = await readFile(gateway.log, 'utf8').catch(() => '');
      throw new Error(`${gateway.name} is not ready: ${answer?.body ?? ''} ${log.slice(-2_000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function token(world: World, web: string): Promise<string> {
  const authorization = `Bearer ${await world.oidc.token('report-bot')}`;
  const { status, body } = await ask(`${web}/v1/token`, { method: 'POST', headers: { authorization } });
  const { token } = status === 200 ? (JSON.parse(body) as { token?: string }) : {};
  if (!token) throw new Error(`POST /v1/token: ${status} ${body}`);
  return token;
}

/** A rule over many rows counts them here, and never asks: what is measured is not a person. */
const counting = (rule: Config): Config =>
  rule.match.rows === undefined ? rule : { ...rule, match: { ...rule.match, rows: '>1000000000' } };

function configuration(
  { world, base, keys, workers }: Ground,
  { rules = RULES, config = (same) => same }: GatewayOptions,
  at: { postgres: number; web: number },
  auditDir: string,
): Config {
  const own = (base.rules as Config[]).map(counting);
  const others = Array.from({ length: rules - own.length }, (_, n) => ({
    id: `other-${n}`,
    match: { connection: 'orders', object: `archive_${n}.*`, action: ['delete', 'update'] },
    verdict: 'hold',
    why: 'The archive is not touched without asking',
  }));
  return config({
    ...base,
    rules: [...own, ...others],
    limits: { ...base.limits, sessions_per_principal: 200 },
    ...(workers === undefined ? {} : { workers }),
    listen: { postgres: `127.0.0.1:${at.postgres}`, web: `127.0.0.1:${at.web}` },
    state: { redis: `\${env:REDIS_URL}` },
    keys: { own: `\${env:COUNTERSIGN_GATEWAY_KEY}`, bots: [world.botKey.public], gateways: [keys.public] },
    audit: { dir: auditDir, key: `\${env:COUNTERSIGN_AUDIT_KEY}`, mode: 'strict' },
  });
}
