/** Gateways as an operator runs them: the compiled product under plain node, each a process of its own. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { newKeyPair } from '../../queue/sign.ts';
import { answers, launch, type Process } from '../support/launch.ts';
import { freePort } from '../support/ports.ts';
import { UPSTREAM_ROLE } from '../support/seed.ts';
import type { Config, KeyPair, World } from '../support/world.ts';
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
  await writeFile(path, stringify(configuration(ground, options, at, auditDir)));
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
  const web = `http://127.0.0.1:${at.web}`;
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
    await answers(`${gateway.web}/readyz`, gateway);
  } catch (error) {
    await gateway.end();
    throw error;
  }
  return gateway;
}

async function token(world: World, web: string): Promise<string> {
  const authorization = `Bearer ${await world.oidc.token('report-bot')}`;
  const response = await fetch(`${web}/v1/token`, { method: 'POST', headers: { authorization } });
  const body = (await response.json()) as { token?: string };
  if (!response.ok || !body.token) throw new Error(`POST /v1/token: ${response.status} ${JSON.stringify(body)}`);
  return body.token;
}

function configuration(
  { world, base, keys, workers }: Ground,
  { rules = RULES, config = (same) => same }: GatewayOptions,
  at: { postgres: number; web: number },
  auditDir: string,
): Config {
  const own = base.rules as unknown[];
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
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the configuration's own reference syntax
    state: { redis: '${env:REDIS_URL}' },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as above
    keys: { own: '${env:COUNTERSIGN_GATEWAY_KEY}', bots: [world.botKey.public], gateways: [keys.public] },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as above
    audit: { dir: auditDir, key: '${env:COUNTERSIGN_AUDIT_KEY}', mode: 'strict' },
  });
}
