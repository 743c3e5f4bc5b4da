/** The gateway as a process: its file, its signals, its end. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { loadConfig } from '../config.ts';
import { startGateway } from '../main.ts';
import { described, newLog } from './log.ts';
import { watchContent } from './watch.ts';

const DRAIN_MS = 30_000; // an orchestrator's usual patience is 30 to 40 s
const HARD_END_MS = DRAIN_MS + 10_000;

/** Runs until told to stop; resolves with the exit status. @throws GatewayError when it cannot start */
export async function runGateway(path: string): Promise<0 | 1> {
  const id = randomUUID();
  const log = newLog(id);
  const config = loadConfig(path);
  const gateway = await startGateway(config, { id, log });
  const reload = () => gateway.reload(() => loadConfig(path));
  const file = watchContent(path, readFileSync(path, 'utf8'), reload);
  process.on('SIGHUP', reload);

  const status = await new Promise<0 | 1>((resolve) => {
    let ending = false;
    const stop = (signal: NodeJS.Signals) => {
      if (ending) process.exit(1);
      ending = true;
      log.info({ signal }, 'asked to stop; a second signal ends at once');
      resolve(0);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    const failed = (error: unknown) => {
      log.fatal(described(error), 'something was not foreseen: draining');
      if (ending) return;
      ending = true;
      resolve(1);
    };
    process.on('unhandledRejection', failed);
    process.on('uncaughtException', failed);
  });
  file.close();
  process.off('SIGHUP', reload);
  process.on('SIGHUP', () => {}); // without a listener it would end the drain
  const late = setTimeout(() => {
    log.fatal('the drain does not end');
    process.exit(1);
  }, HARD_END_MS);
  await gateway.drain(DRAIN_MS);
  clearTimeout(late);
  log.info('gateway stopped');
  return status;
}
