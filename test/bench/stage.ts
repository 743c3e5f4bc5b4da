/** What every part of `npm run bench -- postgres` stands on, and what it was asked to do. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newKeyPair } from '../../queue/sign.ts';
import { builtProduct } from '../support/built.ts';
import { type Config, startWorld } from '../support/world.ts';
import type { Ground } from './gateway.ts';
import { seedAccounts } from './pgbench.ts';
import type { Row } from './report.ts';
import { directRoute, ROUTES, type Route, type RouteName, startPgbouncer, startPipe } from './routes.ts';

export type Options = {
  readonly quick: boolean;
  readonly workers: number | 'auto' | undefined;
  /** Connections of the part that holds thousands; left out: as many as DESIGN 11 names. */
  readonly held: number | undefined;
  /** A compiled product to measure; left out: this tree is compiled. */
  readonly dist: string | undefined;
  readonly profile: string | undefined;
  readonly rounds: number;
  readonly clients: readonly number[];
  /** Recorded at once; one figure for each. */
  readonly sessions: readonly number[];
  readonly modes: readonly string[];
  readonly routes: readonly RouteName[];
};

export type Stage = {
  readonly ground: Ground;
  readonly options: Options;
  /** Those besides the gateway that were asked for, in the order in which a round goes through them. */
  readonly others: readonly Route[];
  /** The row, and a line on stderr that it is there. */
  say(line: string): void;
  stop(): Promise<void>;
};

export type Part = {
  readonly name: string;
  /** For --help. */
  readonly about: string;
  run(stage: Stage): Promise<readonly Row[]>;
};

export async function startStage(options: Options): Promise<Stage> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step().catch((error) => console.error('while stopping:', error));
  };
  try {
    const dir = await mkdtemp(join(tmpdir(), 'countersign-bench-'));
    undo.push(() => rm(dir, { recursive: true, force: true }));
    const built = options.dist === undefined ? await builtProduct({ types: false }) : undefined;
    undo.push(async () => built?.remove());
    let base: Config = {};
    const keys = newKeyPair();
    const remember = (config: Config) => {
      base = config;
      return config;
    };
    const world = await startWorld({
      config: remember,
      gateways: 0,
      bots: 0,
      gatewayKeys: [keys],
      postgres: { max_connections: '2200' }, // of a thousand sessions at once, on two gateways
    });
    undo.push(() => world.stop());
    const { profile, workers } = options;
    if (profile) await mkdir(profile, { recursive: true });
    const dist = options.dist ?? built?.dist ?? '';
    const ground = { world, dist, dir, base, keys, workers, profile };
    const direct = directRoute(world.upstream);
    await seedAccounts(direct);
    const pgbouncer = await startPgbouncer(world.upstream);
    undo.push(() => pgbouncer.stop());
    const pipe = await startPipe(world.upstream);
    undo.push(() => pipe.stop());
    const others = [direct, pgbouncer.route, pipe.route].filter(({ name }) => options.routes.includes(name));
    return { ground, options, others, say: (line) => console.error(line), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Each route in turn, `rounds` times, so that a machine that drifts drifts for all. One list a route. */
export async function interleaved<T>(
  routes: readonly Route[],
  rounds: number,
  measure: (route: Route) => Promise<T>,
): Promise<Map<RouteName, T[]>> {
  const figures = new Map<RouteName, T[]>(routes.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const route of routes) figures.get(route.name)?.push(await measure(route));
  return figures;
}

export const isRoute = (name: string): name is RouteName => (ROUTES as readonly string[]).includes(name);
