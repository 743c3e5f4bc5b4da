/** CPU time and memory of a process and all its children, from /proc: steady on a loaded machine, where clocks are not. */
import { readdir, readFile } from 'node:fs/promises';

const TICK_MS = 10; // USER_HZ is 100 on every Linux that Node runs on
const PAGE_BYTES = 4_096;

type Stat = { readonly parent: number; readonly cpuMs: number; readonly rssBytes: number };

/** Milliseconds of CPU used so far, user and system. */
export const cpuMs = async (pid: number): Promise<number> => sum(await family(pid), ({ cpuMs }) => cpuMs);

/** Bytes resident now. */
export const rssBytes = async (pid: number): Promise<number> => sum(await family(pid), ({ rssBytes }) => rssBytes);

const sum = (stats: readonly Stat[], of: (stat: Stat) => number): number =>
  stats.reduce((total, stat) => total + of(stat), 0);

async function family(root: number): Promise<Stat[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const all = new Map<number, Stat>();
  for (const pid of pids) {
    const stat = await statOf(pid);
    if (stat) all.set(pid, stat);
  }
  const belongs = (pid: number): boolean => {
    if (pid === root) return true;
    const parent = all.get(pid)?.parent ?? 0;
    return parent > 1 && belongs(parent);
  };
  return [...all].filter(([pid]) => belongs(pid)).map(([, stat]) => stat);
}

/** proc(5): the name in parentheses may contain anything, so fields are counted behind its end. */
async function statOf(pid: number): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined); // it has ended
  if (text === undefined) return undefined;
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [parent, user, system, pages] = [fields[1], fields[11], fields[12], fields[21]];
  return {
    parent: parent ?? 0,
    cpuMs: ((user ?? 0) + (system ?? 0)) * TICK_MS,
    rssBytes: (pages ?? 0) * PAGE_BYTES,
  };
}
