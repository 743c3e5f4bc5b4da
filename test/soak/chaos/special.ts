/** Days that do not fit into the matrix: long sleeps, rolling restarts, Redis without its data, full disks, wild clocks. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Config, WorldOptions } from '../../support/world.ts';
import {
  type Asked,
  approved,
  ask,
  clickOnce,
  endedOnRecord,
  isRunning,
  judged,
  openCard,
  pressOn,
  type Result,
} from './cell.ts';
import { openStage, type Stage, until } from './stage.ts';
import { isOver, type Seen } from './witness.ts';

const run = promisify(execFile);
const MINUTE_MS = 60_000;

export type Special = {
  readonly name: string;
  /** For the README: what befell whom. */
  readonly about: string;
  /** `shared` may be in use already; what needs other options opens a stage of its own. */
  run(built: string, shared: () => Promise<Stage>): Promise<Result>;
};

type Body = (stage: Stage, asked: Asked) => Promise<void>;

/** On a stage of its own: a statement is asked for (and approved, when it shall be running), then `body`, then votes. */
function special(
  name: string,
  about: string,
  expected: Result['verdict'],
  body: Body,
  {
    running = false,
    trailless = false,
    options,
    trail,
  }: { running?: boolean; trailless?: boolean; options?: WorldOptions; trail?: string } = {},
): Special {
  const through = async (stage: Stage): Promise<Result> => {
    const asked = await ask(stage, { locked: running });
    try {
      asked.send();
      await openCard(stage, asked.table);
      if (running) {
        await approved(stage, asked.table, () => isRunning(stage, asked.table), 'a statement that runs');
      }
      await body(stage, asked);
      const back = performance.now();
      const over = (seen: Seen) => isOver(trailless ? endedOnRecord(seen) : seen);
      const seen = await pressOn(stage, asked, MINUTE_MS, over);
      return await judged(stage, name, seen, (performance.now() - back) / 1_000, { expected, trailless });
    } finally {
      asked.end();
      asked.unlock();
    }
  };
  return {
    name,
    about,
    run: async (built, shared) => {
      if (!options) return through(await shared());
      const stage = await openStage(built, { ...options, ...(trail === undefined ? {} : { trail }) });
      try {
        return await through(stage);
      } finally {
        await stage.stop();
      }
    },
  };
}

const votesWaiting = async (stage: Stage): Promise<boolean> => {
  const redis = await stage.redis();
  for (const key of await redis.keys('countersign.q:votes.*:wait')) if ((await redis.llen(key)) > 0) return true;
  return false;
};

const sleeps = special(
  'gateway-sleeps-a-minute',
  'A gateway is stopped for a minute and wakes up with a vote in its queue',
  'refused',
  async (stage, { table }) => {
    stage.gateway().signal('SIGSTOP');
    void clickOnce(stage, table).catch(() => {});
    await until('a vote in its queue', () => votesWaiting(stage));
    await new Promise((resolve) => setTimeout(resolve, MINUTE_MS));
    stage.gateway().signal('SIGCONT');
  },
);

const restarted = special(
  'redis-restarted',
  'Redis is restarted with its data while a request waits',
  'once',
  ({ world }) => world.redis.restart(),
);
const emptied = special(
  'redis-emptied',
  'Redis is restarted without its data while a request waits',
  'once',
  ({ world }) => world.redis.restart({ loseData: true }),
);
const emptiedRunning = special(
  'redis-emptied-running',
  'Redis is restarted without its data while the approved statement runs',
  'once',
  async ({ world }, { unlock }) => {
    await world.redis.restart({ loseData: true });
    unlock();
  },
  { running: true },
);

const rolling = special(
  'rolling-restart',
  'Two gateways and two bots are restarted one at a time; the request waits on the one that comes last',
  'refused',
  async (stage) => {
    const { world } = stage;
    for (const bot of [...world.bots]) {
      await bot.end('SIGTERM');
      await world.startBot();
    }
    const [mine, other] = world.gateways;
    await other?.end('SIGTERM');
    await world.startGateway();
    await mine?.end('SIGTERM');
    stage.serve(await world.startGateway());
  },
  { options: { gateways: 2, bots: 2 } },
);
const rolledAround = special(
  'rolled-around',
  'Two bots and the other gateway are restarted one at a time while a request waits',
  'once',
  async ({ world }) => {
    for (const bot of [...world.bots]) {
      await bot.end('SIGTERM');
      await world.startBot();
    }
    await world.gateways[1]?.end('SIGTERM');
    await world.startGateway();
  },
  { options: { gateways: 2, bots: 2 } },
);

const again = async (stage: Stage) => stage.serve(await stage.world.startGateway());

const terminated = special('sigterm', 'SIGTERM to the gateway while a request waits', 'refused', async (stage) => {
  await stage.gateway().end('SIGTERM');
  await again(stage);
});
const terminatedRunning = special(
  'sigterm-running',
  'SIGTERM to the gateway while the approved statement runs',
  'once',
  async (stage, { unlock }) => {
    const ended = stage.gateway().end('SIGTERM');
    const web = stage.gateway().web;
    await until(
      'a gateway that drains',
      async () =>
        !(await fetch(`${web}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        )),
    );
    unlock();
    await ended;
    await again(stage);
  },
  { running: true },
);
const terminatedTwice = special(
  'sigterm-twice',
  'SIGTERM twice while the approved statement runs',
  'unknown',
  async (stage, { unlock }) => {
    const gateway = stage.gateway();
    gateway.signal('SIGTERM');
    await until(
      'a gateway that drains',
      async () =>
        !(await fetch(`${gateway.web}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        )),
    );
    await gateway.end('SIGTERM');
    unlock();
    await again(stage);
  },
  { running: true },
);

function clocks(name: string, about: string, jumps: { gateway: number; bot: number }): Special {
  return {
    name,
    about,
    run: async (built, shared) => {
      const dir = await mkdtemp(join(tmpdir(), 'countersign-clock-'));
      try {
        const env = {
          NODE_OPTIONS: `--require ${fileURLToPath(new URL('clock.cjs', import.meta.url))}`,
          CHAOS_GATEWAY_CLOCK: join(dir, 'gateway'),
          CHAOS_BOT_CLOCK: join(dir, 'bot'),
        };
        const jump = async () => {
          await writeFile(env.CHAOS_GATEWAY_CLOCK, `${jumps.gateway}`);
          await writeFile(env.CHAOS_BOT_CLOCK, `${jumps.bot}`);
        };
        return await special(name, about, 'once', jump, { options: { env } }).run(built, shared);
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
}
const HOUR_MS = 3_600_000;

function fullDisk(name: string, about: string, minFree: string): Special {
  const count = minFree === '0KB' ? [] : ['count=3500'];
  return {
    name,
    about,
    run: async (built, shared) => {
      const dir = await mkdtemp(join(tmpdir(), 'countersign-disk-'));
      let mounted = false;
      try {
        await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', dir]);
        mounted = true;
        const options = {
          config: (config: Config) => ({ ...config, audit: { dir, min_free: minFree } }),
        };
        const fill = async () => {
          // dd stops where the disk does
          await run('dd', ['if=/dev/zero', `of=${join(dir, 'full')}`, 'bs=1k', ...count]).catch(() => {});
        };
        return await special(name, about, 'refused', fill, { options, trail: dir, trailless: minFree === '0KB' }).run(
          built,
          shared,
        );
      } finally {
        if (mounted) await run('umount', [dir]);
        await rm(dir, { recursive: true, force: true });
      }
    },
  };
}

export const SPECIALS: readonly Special[] = [
  sleeps,
  restarted,
  emptied,
  emptiedRunning,
  rolledAround,
  rolling,
  terminated,
  terminatedRunning,
  terminatedTwice,
  clocks('clocks-forward', 'All clocks jump an hour ahead while a request waits', { gateway: HOUR_MS, bot: HOUR_MS }),
  clocks('clocks-back', 'All clocks jump an hour back while a request waits', { gateway: -HOUR_MS, bot: -HOUR_MS }),
  clocks('clock-apart', "The gateway's clock jumps half a minute ahead of the bot's while a request waits", {
    gateway: HOUR_MS / 120,
    bot: 0,
  }),
  fullDisk('disk-full', 'The disk of the audit trail is full, to the last byte, while a request waits', '0KB'),
  fullDisk('disk-almost-full', 'The disk of the audit trail has less than audit.min_free while a request waits', '1MB'),
];
