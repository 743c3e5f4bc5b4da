/** What befalls a part, and how it is undone. */
import { type Stage, until } from './stage.ts';

export const PARTS = ['gateway', 'bot', 'redis', 'postgres', 'slack'] as const;
export type Part = (typeof PARTS)[number];
export const FAILURES = ['killed', 'paused', 'cut', 'slow'] as const;
export type Failure = (typeof FAILURES)[number];

/** How long each lasts, ms. A pause is longer than a queue's lock (10 s) and shorter than a lease (20 s). */
export const LASTS: Readonly<Record<Failure, number>> = { killed: 2_000, paused: 12_000, cut: 8_000, slow: 0 };
const SLOW_MS = 500;

/** Undoes it; resolves once the part is back. */
export type Restore = () => Promise<void>;

/** Slack is not a process of ours: it is cut off instead. */
export const happens = (part: Part, failure: Failure): boolean => part !== 'slack' || failure !== 'killed';

export async function strike(stage: Stage, part: Part, failure: Failure): Promise<Restore> {
  switch (failure) {
    case 'killed':
      return kill(stage, part);
    case 'paused':
      return pause(stage, part);
    case 'cut':
      await Promise.all(linksOf(stage, part).map((link) => link.cut()));
      return () => flow(stage, part);
    case 'slow':
      for (const link of linksOf(stage, part)) link.slow(SLOW_MS);
      return () => flow(stage, part);
  }
}

export function linksOf({ links }: Stage, part: Part) {
  switch (part) {
    case 'gateway':
      return [links.client, links.gatewayRedis, links.target];
    case 'bot':
      return [links.botRedis, links.slack];
    case 'redis':
      return [links.gatewayRedis, links.botRedis];
    case 'postgres':
      return [links.target];
    case 'slack':
      return [links.slack];
  }
}

async function flow(stage: Stage, part: Part): Promise<void> {
  await Promise.all(linksOf(stage, part).map((link) => link.flow()));
}

async function kill(stage: Stage, part: Part): Promise<Restore> {
  const { world } = stage;
  switch (part) {
    case 'gateway':
      await stage.gateway().end('SIGKILL');
      return async () => stage.serve(await world.startGateway());
    case 'bot':
      await stage.bot().end('SIGKILL');
      return async () => void (await world.startBot());
    case 'redis':
      await world.redis.kill();
      return () => world.redis.start();
    case 'postgres':
      await world.upstream.kill();
      // Backends of the killed server may still be on their way out: until then a new one refuses to start.
      return async () => void (await until('PostgreSQL starts again', () => world.upstream.start().then(() => true)));
    case 'slack':
      throw new Error('Slack is not ours to kill');
  }
}

async function pause(stage: Stage, part: Part): Promise<Restore> {
  if (part === 'slack') {
    stage.links.slack.freeze();
    return () => flow(stage, 'slack');
  }
  const process = part === 'gateway' ? stage.gateway() : part === 'bot' ? stage.bot() : undefined;
  const pids = process ? [process.pid] : await stage.pids(part === 'redis' ? 'redis' : 'postgres');
  const signal = (name: NodeJS.Signals) => {
    for (const pid of pids) send(pid, name);
  };
  signal('SIGSTOP');
  return async () => signal('SIGCONT');
}

/** A backend may have ended meanwhile. */
function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
