/** A real psql, driven line by line; what it prints can be awaited. */
import { type ChildProcess, spawn } from 'node:child_process';

export class Psql {
  static readonly #running = new Set<Psql>();
  readonly #child: ChildProcess;
  #output = '';
  #from = 0;
  #changed: (() => void)[] = [];
  readonly exited: Promise<number | null>;

  constructor(url: string, options: { args?: readonly string[]; env?: Record<string, string> } = {}) {
    this.#child = spawn('psql', ['-X', '--no-password', ...(options.args ?? []), url], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, PGCONNECT_TIMEOUT: '10', ...options.env },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        for (const wake of this.#changed.splice(0)) wake();
      });
    }
    this.#child.stdin?.on('error', () => {}); // a psql that Ctrl-C ended reads no further line
    Psql.#running.add(this);
    this.exited = new Promise((resolve) =>
      this.#child.once('close', (code) => {
        Psql.#running.delete(this);
        for (const wake of this.#changed.splice(0)) wake();
        resolve(code);
      }),
    );
  }

  get output(): string {
    return this.#output;
  }

  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** What was printed since the last match, up to and with `pattern`. Rejects when psql ends, or after `ms`, without it. */
  async until(pattern: string | RegExp, ms = 20_000): Promise<string> {
    const deadline = performance.now() + ms;
    for (;;) {
      const fresh = this.#output.slice(this.#from);
      const at = typeof pattern === 'string' ? fresh.indexOf(pattern) : fresh.search(pattern);
      if (at >= 0) {
        const length = typeof pattern === 'string' ? pattern.length : (pattern.exec(fresh)?.[0].length ?? 0);
        this.#from += at + length;
        return fresh.slice(0, at + length);
      }
      const left = deadline - performance.now();
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (ended || left <= 0)
        throw new Error(`psql ${ended ? 'ended' : 'was silent'}, expected ${pattern}; it said: ${this.#output}`);
      await Promise.race([
        new Promise<void>((resolve) => this.#changed.push(resolve)),
        new Promise<void>((resolve) => setTimeout(resolve, left).unref()),
      ]);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends every psql that is still there: for `after`, so that a failed test leaves none behind. */
  static async endAll(): Promise<void> {
    const left = [...Psql.#running];
    for (const psql of left) psql.signal('SIGKILL');
    await Promise.all(left.map((psql) => psql.exited));
  }

  async close(): Promise<number | null> {
    this.#child.stdin?.end('\\q\n');
    return this.exited;
  }
}
