/** A process of the product: started, watched until it answers, ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export type Process = {
  readonly name: string;
  readonly log: string;
  readonly pid: number;
  alive(): boolean;
  /** Send a signal and wait for the end. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
  signal(signal: NodeJS.Signals): void;
};

/** Generous: what starts may share two cores with a dozen others. */
const START_MS = 120_000;

type Place = { readonly dir: string; readonly cwd?: string; readonly ownGroup?: boolean };

/** One of the product's own entry points, as the Procfile would start it. Logs go to a file in `dir`. */
export function launch(
  name: string,
  args: readonly string[],
  env: Record<string, string>,
  { dir, cwd = root, ownGroup = false }: Place,
): Process {
  const log = join(dir, `${name}.log`);
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd,
    detached: ownGroup,
    env: { ...process.env, ...env, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const file = createWriteStream(log);
  child.stdout?.pipe(file, { end: false });
  child.stderr?.pipe(file, { end: false });
  const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const endWithParent = () => child.kill('SIGKILL');
  process.once('exit', endWithParent);
  const alive = () => child.exitCode === null && child.signalCode === null;
  return {
    name,
    log,
    pid: child.pid ?? 0,
    alive,
    signal: (signal) => void child.kill(signal),
    end: async (signal = 'SIGTERM') => {
      process.off('exit', endWithParent);
      if (alive()) child.kill(signal);
      const tooLong = setTimeout(() => child.kill('SIGKILL'), 15_000);
      const code = await gone;
      clearTimeout(tooLong);
      file.end();
      return code;
    },
  };
}

/** Waits until the address answers 200; fails at once when the process has ended. */
export async function answers(url: string, process: Process, signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + START_MS;
  for (;;) {
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    signal?.throwIfAborted();
    if (!process.alive()) throw new Error(`${process.name} ended while starting: ${lastWords(process)}`);
    if (performance.now() > deadline)
      throw new Error(`${process.name} does not answer at ${url}: ${lastWords(process)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The end of the log: the file itself goes with the world that could not start. */
function lastWords(process: Process): string {
  try {
    return readFileSync(process.log, 'utf8').trim().split('\n').slice(-5).join('\n');
  } catch {
    return 'it said nothing';
  }
}
