/** How a process of the gateway is asked to end, and how long it may take. */
import type { Logger } from 'pino';
import { described } from './log.ts';

export const DRAIN_MS = 30_000; // an orchestrator's usual patience is 30 to 40 s
const HARD_END_MS = DRAIN_MS + 10_000;

/**
 * Resolves with the exit status to end with: after SIGTERM or SIGINT, or after something nobody foresaw. A second
 * signal calls `atOnce` and ends the process.
 */
export function askedToEnd(log: Logger, atOnce: () => void = () => {}): Promise<0 | 1> {
  return new Promise((resolve) => {
    let ending = false;
    const stop = (signal: NodeJS.Signals) => {
      if (ending) {
        atOnce();
        process.exit(1);
      }
      ending = true;
      log.info({ signal }, 'asked to stop; a second signal ends at once');
      resolve(0);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    whenUnforeseen(log, () => {
      if (ending) return;
      ending = true;
      resolve(1);
    });
  });
}

/** SIGHUP, from now on: one that comes before `begin` is kept for it, one after `end` means nothing; none ends the process. */
export function askedToReload(): { begin(reload: () => unknown): void; end(): void } {
  let early = false;
  let act: () => unknown = () => {
    early = true;
  };
  process.on('SIGHUP', () => act());
  return {
    begin: (reload) => {
      act = reload;
      if (early) reload();
    },
    end: () => {
      act = () => {};
    },
  };
}

/** What no part of the product handled is logged, and then it is over in order. */
export function whenUnforeseen(log: Logger, end: () => void): void {
  const failed = (error: unknown) => {
    log.fatal(described(error), 'something was not foreseen: draining');
    end();
  };
  process.on('unhandledRejection', failed);
  process.on('uncaughtException', failed);
}

/** Do what ends the process; if that takes too long, `atOnce` and status 1. */
export async function within(log: Logger, end: () => Promise<unknown>, atOnce: () => void = () => {}): Promise<void> {
  const late = setTimeout(() => {
    log.fatal('the drain does not end');
    atOnce();
    process.exit(1);
  }, HARD_END_MS);
  await end();
  clearTimeout(late);
}
