/** The gateway as a process, or as several: its file, its signals, its end. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { WORKER_ENV, workerCount, workersLine } from '../config/workers.ts';
import { askedToEnd, askedToReload, DRAIN_MS, within } from './ending.ts';

/** Runs until told to stop; resolves with the exit status. @throws GatewayError when it cannot start */
export async function runGateway(path: string): Promise<0 | 1> {
  const worker = process.env[WORKER_ENV];
  if (worker !== undefined && process.send) return (await import('./cluster/worker.ts')).runWorker(worker);
  const workers = await workersWritten(path);
  return workers > 1 ? (await import('./cluster/primary.ts')).runPrimary(path, workers) : runAlone(path);
}

async function runAlone(path: string): Promise<0 | 1> {
  // Listened for before there is anything to reload or to end: no signal may cut the start short, or be lost.
  const reloads = askedToReload();
  const [{ loadConfig }, { startGateway }, { newLog }, { watchContent }] = await Promise.all([
    import('../config.ts'),
    import('../main.ts'),
    import('./log.ts'),
    import('./watch.ts'),
  ]);
  const id = randomUUID();
  const log = newLog(id);
  const asked = askedToEnd(log);
  const text = readFileSync(path, 'utf8');
  const gateway = await startGateway(loadConfig(path), { id, log });
  const reload = () => gateway.reload(() => loadConfig(path));
  const file = watchContent(path, text, reload);
  reloads.begin(reload);

  const status = await asked;
  file.close();
  reloads.end();
  await within(log, () => gateway.drain(DRAIN_MS));
  log.info('gateway stopped');
  return status;
}

/** Only how many: what is wrong with a file, whoever reads all of it tells. */
async function workersWritten(path: string): Promise<number> {
  try {
    const text = readFileSync(path, 'utf8');
    const plain = workersLine(text);
    if (plain !== undefined) return workerCount(plain);
    const written: unknown = (await import('../config/yaml.ts')).parseYaml(text);
    return typeof written === 'object' && written !== null && 'workers' in written ? workerCount(written.workers) : 1;
  } catch {
    return 1;
  }
}
