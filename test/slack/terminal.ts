/** The page's terminal: a program under a pty (util-linux `script`), piped over a WebSocket. Loopback and own page only. */
import { spawn } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

export interface TerminalOptions {
  /** Asked for each terminal that is opened: the program, its arguments, and what its environment holds besides ours. */
  spawn(): { argv: readonly string[]; env?: Readonly<Record<string, string>> };
}

const MAX_TERMINALS = 4;
const MAX_INPUT_BYTES = 64 << 10; // a paste
const MAX_BUFFERED_BYTES = 1 << 20; // what a slow page may leave unread before the program has to wait

export class Terminals {
  readonly #options: TerminalOptions;
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: MAX_INPUT_BYTES });
  readonly #open = new Set<WebSocket>();

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  /** The caller has checked that the request is from our own page. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (request.headers.origin === undefined || this.#open.size >= MAX_TERMINALS) return void socket.destroy();
    const { searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const size = {
      cols: between(searchParams.get('cols'), 20, 500, 80),
      rows: between(searchParams.get('rows'), 4, 200, 24),
    };
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#run(ws, size));
  }

  #run(ws: WebSocket, { cols, rows }: { cols: number; rows: number }): void {
    this.#open.add(ws);
    const { argv, env = {} } = this.#options.spawn();
    const command = `stty cols ${cols} rows ${rows}; exec ${argv.map(quoted).join(' ')}`;
    const child = spawn('script', ['-qfec', command, '/dev/null'], {
      detached: true, // its own group, so that all of it ends with the page
      env: { ...inherited(), TERM: 'xterm-256color', SHELL: '/bin/sh', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const finish = (why: string): void => {
      if (ws.readyState === ws.OPEN) ws.send(`\r\n\x1b[2m${why}\x1b[0m\r\n`);
      ws.close();
    };
    child.on('error', () => finish('The terminal needs `script` (package util-linux or bsdutils) on this machine.'));
    child.on('close', () => finish('The session has ended.'));
    child.stdin.on('error', () => undefined); // it ended while something was typed
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        if (ws.readyState !== ws.OPEN) return;
        if (ws.bufferedAmount > MAX_BUFFERED_BYTES) stream.pause();
        ws.send(chunk, () => stream.resume());
      });
    }
    ws.on('message', (data) => child.stdin.write(data as Buffer));
    ws.on('error', () => ws.terminate());
    ws.on('close', () => {
      this.#open.delete(ws);
      if (child.pid === undefined || child.exitCode !== null) return;
      try {
        process.kill(-child.pid, 'SIGTERM'); // `script` ignores SIGHUP; it hangs up on its program when it ends
      } catch {
        // it has ended by itself
      }
    });
  }

  stop(): void {
    for (const ws of this.#open) ws.terminate();
    this.#server.close();
  }
}

/** What a program needs of our environment; tokens and keys stay behind. */
function inherited(): NodeJS.ProcessEnv {
  const { PATH, HOME, USER, LANG, TZ } = process.env;
  return { PATH, HOME, USER, LANG, TZ };
}

const quoted = (argument: string): string => `'${argument.replaceAll("'", `'\\''`)}'`;

function between(text: string | null, low: number, high: number, fallback: number): number {
  const value = Number(text);
  return Number.isInteger(value) && value >= low && value <= high ? value : fallback;
}
