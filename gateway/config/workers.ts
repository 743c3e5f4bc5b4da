/** `workers`: how many processes serve one gateway. Small: the process that only hands out sockets reads no other key. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** In the environment of a worker alone: its gateway id. What it is to do, it is told. */
export const WORKER_ENV = 'COUNTERSIGN_WORKER';

export const MOST_WORKERS = 64;
/** What `auto` stops at: each worker has its own connections to Redis, catalogue and memory (about 150 MB). */
const MOST_AUTOMATIC = 8;

/** Of `workers` as written. Anything that makes no sense counts as one: the whole file's check then tells why. */
export function workerCount(written: unknown, cores: () => number = usableCores): number {
  if (written === 'auto') return Math.max(1, Math.min(MOST_AUTOMATIC, cores()));
  const sensible = typeof written === 'number' && Number.isInteger(written) && written >= 1 && written <= MOST_WORKERS;
  return sensible ? written : 1;
}

/**
 * The key as it is usually written, without reading the whole file as YAML (a tenth of a second at every start); what
 * it stands for where the file does not have the word at all; undefined where only a parser can tell.
 */
export function workersLine(text: string): unknown {
  if (!text.includes('workers')) return 1;
  const [, written] = /^workers: *(auto|\d{1,4}) *(?:#.*)?\r?$/m.exec(text) ?? [];
  if (written === undefined) return undefined;
  return written === 'auto' ? written : Number(written);
}

/** Of this machine, or of the share of it that a container was given. */
const usableCores = (): number => Math.min(availableParallelism(), quota('/sys/fs/cgroup/cpu.max'));

/** `max 100000` or `150000 100000`: microseconds of CPU in each period. Not every Node counts it in. */
function quota(path: string): number {
  try {
    const [most, period] = readFileSync(path, 'utf8').trim().split(' ').map(Number);
    const cores = Math.ceil((most ?? Number.NaN) / (period ?? Number.NaN));
    return cores >= 1 ? cores : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
