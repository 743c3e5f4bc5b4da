/** Where the chaos happens: the product with a link of ours between all of its parts, and what a cell needs of them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort } from '../../support/ports.ts';
import { Relay } from '../../support/relay.ts';
import { withClient } from '../../support/seed.ts';
import { eventually, Workspace } from '../../support/workspace.ts';
import { type Config, type GatewayProcess, startWorld, type World, type WorldOptions } from '../../support/world.ts';

export type Links = {
  /** What clients connect to. */
  readonly client: Relay;
  readonly gatewayRedis: Relay;
  readonly botRedis: Relay;
  readonly target: Relay;
  readonly slack: Relay;
};

export type Stage = {
  readonly world: World;
  readonly links: Links;
  readonly slack: Workspace;
  /** Straight to Redis, for looking. */
  redis(): Promise<Redis>;
  /** Where the audit trails of all gateways are. */
  trails(): Promise<string[]>;
  /** The gateway that clients reach. */
  gateway(): GatewayProcess;
  serve(gateway: GatewayProcess): void;
  bot(): World['bots'][number];
  /** Process ids of Redis alone, or of PostgreSQL with all of its backends. */
  pids(part: 'redis' | 'postgres'): Promise<number[]>;
  stop(): Promise<void>;
};

/** @param built the compiled product: what is soaked does not change under our feet, and starts sooner. */
export async function openStage(
  built: string,
  options: WorldOptions & { readonly trail?: string } = {},
): Promise<Stage> {
  const ports = { redis: await freePort(), upstream: await freePort(), slack: await freePort() };
  let served: GatewayProcess | undefined;
  const link = async (target: () => number, rewrite?: readonly [string, string]) => {
    const relay = new Relay({ port: await freePort(), target, ...(rewrite ? { rewrite } : {}) });
    await relay.flow();
    return relay;
  };
  const slackPort = await freePort();
  // Slack says where its sockets are: there, too, the link is between.
  const slackLink = new Relay({
    port: slackPort,
    target: () => ports.slack,
    rewrite: [`127.0.0.1:${ports.slack}`, `127.0.0.1:${slackPort}`],
  });
  await slackLink.flow();
  const links: Links = {
    client: await link(() => served?.postgres.port ?? 1),
    gatewayRedis: await link(() => ports.redis),
    botRedis: await link(() => ports.redis),
    target: await link(() => ports.upstream),
    slack: slackLink,
  };
  const all = Object.values(links);
  let world: World;
  try {
    world = await startWorld({
      ...options,
      built,
      ports,
      env: {
        ...options.env,
        REDIS_URL: `redis://127.0.0.1:${links.botRedis.port}`,
        CHAOS_REDIS: `redis://127.0.0.1:${links.gatewayRedis.port}`,
        SLACK_API_URL: `http://127.0.0.1:${slackPort}/api/`,
      },
      config: (config: Config) => {
        const [orders] = config.connections;
        const behind = { ...orders, upstream: { ...orders.upstream, port: links.target.port } };
        const linked = { ...config, state: { redis: `\${env:CHAOS_REDIS}` }, connections: [behind] };
        return options.config?.(linked) ?? linked;
      },
    });
  } catch (error) {
    await Promise.all(all.map((relay) => relay.cut()));
    throw error;
  }
  served = world.gateways[0];
  let redis: Redis | undefined;
  return {
    world,
    links,
    slack: new Workspace(world.slack?.controlUrl ?? '', world.channel),
    redis: async () => {
      redis ??= new Redis(world.redis.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
      redis.removeAllListeners('error').on('error', () => {}); // it is away on purpose
      return redis;
    },
    trails: async () => {
      if (options.trail !== undefined) return [options.trail];
      const dirs = (await readdir(world.dir)).filter((name) => name.startsWith('audit-'));
      return dirs.map((name) => join(world.dir, name));
    },
    gateway: () => served ?? failing('no gateway'),
    serve: (gateway) => {
      served = gateway;
    },
    bot: () => world.bots.findLast((bot) => bot.alive()) ?? world.bots.at(-1) ?? failing('no bot'),
    pids: async (part) => {
      if (part === 'redis') return [await redisPid(world)];
      const file = await withClient(world.upstream.url('postgres'), async (client) => {
        const { rows } = await client.query(`SELECT pg_read_file('postmaster.pid') AS text`);
        return String(rows[0].text);
      });
      const postmaster = Number(file.split('\n')[0]);
      const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
      return [postmaster, ...children.split(' ').filter(Boolean).map(Number)];
    },
    stop: async () => {
      redis?.disconnect();
      await Promise.all(all.map((relay) => relay.flow()));
      await world.stop();
      await Promise.all(all.map((relay) => relay.cut()));
    },
  };
}

async function redisPid(world: World): Promise<number> {
  const redis = new Redis(world.redis.url);
  try {
    return Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  } finally {
    redis.disconnect();
  }
}

export function failing(why: string): never {
  throw new Error(why);
}

/** @throws Error when it does not come true within `ms`. */
export async function until<T>(what: string, ask: () => Promise<T | undefined | false>, ms = 60_000): Promise<T> {
  const answer = await eventually(async () => ask().catch(() => undefined), ms);
  return answer || failing(`it never came to: ${what}`);
}
