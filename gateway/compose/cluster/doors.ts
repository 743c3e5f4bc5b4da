/** One address and who takes its connections: the worker that has the fewest, and that answers. */
import { createServer, type Server, type Socket } from 'node:net';
import { listenHere } from '../../listeners/listener.ts';

/** A worker as a door sees it. */
export type Taker = {
  /** Is it ready for connections of this door? */
  takes(door: string): boolean;
  /** How many it has of this door; counted from the moment it is chosen. */
  readonly load: Map<string, number>;
  /** Does it answer now? A stopped or blocked one must not be given anything: it could not be taken back. */
  answers(): Promise<boolean>;
  /** Resolves once it has it. @throws Error when it ended before */
  give(door: string, socket: Socket): Promise<void>;
};

type Arrival = { readonly socket: Socket; readonly at: number };

const MOST_WAITING = 1_024; // for a worker to answer; then the oldest makes room
const WAIT_MS = 15_000; // longer than a log-in may take, nobody waits

export class Door {
  readonly #name: string;
  readonly #takers: () => readonly Taker[];
  readonly #server: Server;
  #waiting: Arrival[] = [];
  #turn = 0;

  constructor(name: string, takers: () => readonly Taker[]) {
    this.#name = name;
    this.#takers = takers;
    this.#server = createServer({ noDelay: true, pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      void this.#place({ socket, at: performance.now() });
    });
  }

  /** @throws Error as `listen` reports it */
  async open(address: { readonly host: string; readonly port: number }): Promise<number> {
    const port = await listenHere(this.#server, address);
    this.#server.on('error', () => {}); // accept failed (no descriptors left): the others go on
    return port;
  }

  /** A worker is ready, or answers again: whoever waits is placed anew. */
  retry(): void {
    const now = performance.now();
    for (const arrival of this.#waiting.splice(0)) {
      if (now - arrival.at > WAIT_MS) arrival.socket.destroy();
      else void this.#place(arrival);
    }
  }

  /** Accepts nobody any more. */
  close(): void {
    this.#server.close();
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
  }

  async #place(arrival: Arrival): Promise<void> {
    const { socket } = arrival;
    const silent = new Set<Taker>();
    for (;;) {
      const taker = this.#choose(silent);
      if (!taker) break;
      if (await taker.answers()) {
        try {
          await taker.give(this.#name, socket);
          socket.destroy(); // this process' end of it: the worker has its own
          return;
        } catch {
          // It ended before it had it; nobody has read a byte of it.
        }
      }
      this.#count(taker, -1);
      silent.add(taker);
    }
    this.#waiting.push(arrival);
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift()?.socket.destroy();
  }

  /** The one with the fewest, in turn where several have as few. Counted at once, so that a burst is spread. */
  #choose(except: ReadonlySet<Taker>): Taker | undefined {
    const able = this.#takers().filter((taker) => taker.takes(this.#name) && !except.has(taker));
    const fewest = Math.min(...able.map((taker) => this.#loadOf(taker)));
    const equal = able.filter((taker) => this.#loadOf(taker) === fewest);
    const chosen = equal[this.#turn++ % equal.length];
    if (chosen) this.#count(chosen, 1);
    return chosen;
  }

  #loadOf = (taker: Taker): number => taker.load.get(this.#name) ?? 0;

  #count(taker: Taker, by: number): void {
    taker.load.set(this.#name, Math.max(0, this.#loadOf(taker) + by));
  }
}
