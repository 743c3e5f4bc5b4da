/** Where a process's log goes: stdout, never waiting for whoever reads it. A reader that stands still loses lines. */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Logger } from 'pino';

const MAX_WAITING = 1 << 20; // bytes: some thousand lines, for a reader that is slow or begins anew
const RETRY_MS = 50;
const LAST_MS = 500; // what an end of the process may be put off for a reader
const LAST_STEP_MS = 10;

type Options = {
  /** Opened at the first line. */
  readonly open: () => number;
  /** Bytes that may wait for the reader. */
  readonly maxWaiting?: number;
};

/**
 * A line is written when it is said, as long as it is read: what was said before a crash is out. When the reader stands
 * still, lines wait up to a limit; those beyond are dropped and counted, and told when it reads again.
 */
export class LogOut {
  /** Lines that nobody will ever read, in all. */
  lost = 0;
  readonly #open: () => number;
  readonly #max: number;
  #fd: number | undefined;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #untold = 0;
  #retry: NodeJS.Timeout | undefined;
  #onFlow: (lost: number) => void = () => {};

  constructor({ open, maxWaiting = MAX_WAITING }: Options) {
    this.#open = open;
    this.#max = maxWaiting;
  }

  /** How to say that so many lines were lost, once they flow again. */
  onFlow(say: (lost: number) => void): void {
    this.#onFlow = say;
  }

  /** Never waits, never throws. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#max) {
      this.#lose();
      return;
    }
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (!this.#retry) this.#flush();
  }

  /** What waits goes out as far as it is read within `LAST_MS`. For the end of a process: it blocks. */
  last(): void {
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let left = LAST_MS; this.#bytes > 0 && left > 0; left -= LAST_STEP_MS) {
      this.#flush();
      if (this.#bytes > 0) Atomics.wait(pause, 0, 0, LAST_STEP_MS);
    }
  }

  #flush(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      try {
        this.#fd ??= this.#open();
        const written = writeSync(this.#fd, first);
        this.#bytes -= written;
        if (written < first.length) this.#waiting[0] = first.subarray(written);
        else this.#waiting.shift();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
          this.#retry = setTimeout(() => this.#flush(), RETRY_MS).unref();
          return;
        }
        // A full disk, a reader that left: this line is lost, the next one is tried.
        this.#waiting.shift();
        this.#bytes -= first.length;
        this.#lose();
        return;
      }
    }
    const lost = this.#untold;
    this.#untold = 0;
    if (lost > 0) this.#onFlow(lost);
  }

  #lose(): void {
    this.lost++;
    this.#untold++;
  }
}

/**
 * Stdout as it can be written to without waiting. Whether a pipe blocks is a property that all processes share which
 * inherited it, and any of them changes it: a pipe or a terminal is therefore opened anew. A socket cannot be: there
 * the property is set, and holds as long as no other process takes it back.
 */
function openStdout(): number {
  // As bigint: after a plain fstat of a socket, Node 20.20 follows no symbolic link when it next requires a package.
  const kind = fstatSync(1, { bigint: true });
  if (kind.isFIFO() || kind.isCharacterDevice()) {
    try {
      return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    } catch {
      // Not Linux, or it belongs to another user.
    }
  }
  if (!kind.isFile()) void process.stdout; // looked at, it becomes one that does not block
  return 1;
}

/** A logger on `out`, which says itself what was lost. */
export function loggingTo(out: LogOut, make: (out: LogOut) => Logger): Logger {
  const log = make(out);
  out.onFlow((lost) => log.error({ lost }, 'nobody read the log: lines are missing here'));
  return log;
}

/** The one of this process. */
export const stdout = new LogOut({ open: openStdout });
process.on('exit', () => stdout.last());
