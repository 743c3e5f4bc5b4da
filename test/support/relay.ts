/** A TCP link between two parts that a test can cut, freeze, slow down, or stop at a given text. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

type Direction = 'up' | 'down';

export type RelayOptions = {
  readonly port: number;
  /** Asked for each connection: what stands behind may move. */
  readonly target: () => number;
  /** In what comes back, each of the first is replaced by the second, of the same length. */
  readonly rewrite?: readonly [string, string];
};

type Trap = { readonly direction: Direction; readonly text: string; readonly sprung: () => void };

/** Longest text a trap may be set for: it may come in two pieces. */
const TAIL = 512;

export class Relay {
  readonly port: number;
  readonly #options: RelayOptions;
  readonly #pipes = new Set<Pipe>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #traps: Trap[] = [];
  frozen = false;
  latencyMs = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.port = options.port;
  }

  /** Everything passes again, and new connections are taken. */
  async flow(): Promise<void> {
    this.latencyMs = 0;
    this.frozen = false;
    for (const pipe of this.#pipes) pipe.flush();
    if (this.#server) return;
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#server = server;
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
  }

  /** Nothing passes and nothing ends; what comes is kept for `flow`. */
  freeze(): void {
    this.frozen = true;
  }

  /** Every chunk is late by that much, both ways. */
  slow(ms: number): void {
    this.frozen = false;
    this.latencyMs = ms;
    for (const pipe of this.#pipes) pipe.flush();
  }

  /** Connections are dropped, and new ones refused. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    this.#pipes.clear();
    this.frozen = false;
    this.latencyMs = 0;
    if (server) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** Freezes as soon as `text` would pass in that direction, before it does; resolves then. */
  freezeAt(direction: Direction, text: string): Promise<void> {
    if (text.length > TAIL) throw new Error(`a trap is for at most ${TAIL} bytes`);
    return new Promise((resolve) => this.#traps.push({ direction, text, sprung: resolve }));
  }

  /** What was set and not sprung is forgotten. */
  disarm(): void {
    this.#traps = [];
  }

  /** Freezes here when a trap is for this. */
  spring(direction: Direction, bytes: string): void {
    const trap = this.#traps.find((one) => one.direction === direction && bytes.includes(one.text));
    if (!trap) return;
    this.#traps = this.#traps.filter((one) => one !== trap);
    this.frozen = true;
    trap.sprung();
  }

  #accept(near: Socket): void {
    const far = connect({ host: '127.0.0.1', port: this.#options.target(), noDelay: true, allowHalfOpen: true });
    const pipes = [new Pipe(this, near, far, 'up'), new Pipe(this, far, near, 'down', this.#options.rewrite)];
    for (const pipe of pipes) this.#pipes.add(pipe);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    }
    const both = Promise.all(pipes.map(({ ended }) => ended));
    void both.then(() => {
      for (const pipe of pipes) this.#pipes.delete(pipe);
    });
  }
}

type Item = { readonly bytes: Buffer | 'end' | 'close'; readonly due: number };

/** One direction of one connection, in order: its bytes, then its end. */
class Pipe {
  readonly #relay: Relay;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #direction: Direction;
  readonly #rewrite: readonly [string, string] | undefined;
  readonly ended: Promise<void>;
  #items: Item[] = [];
  #tail = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(relay: Relay, from: Socket, to: Socket, direction: Direction, rewrite?: readonly [string, string]) {
    this.#relay = relay;
    this.#from = from;
    this.#to = to;
    this.#direction = direction;
    this.#rewrite = rewrite;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#push('end'));
    from.on('close', () => this.#push('close'));
    to.on('drain', () => {
      if (!this.#relay.frozen) from.resume();
    });
    this.ended = new Promise((resolve) => to.once('close', () => resolve()));
  }

  #take(bytes: Buffer): void {
    const text = bytes.toString('latin1');
    this.#relay.spring(this.#direction, this.#tail + text);
    this.#tail = (this.#tail + text).slice(-TAIL);
    const [from, to] = this.#rewrite ?? ['', ''];
    this.#push(from !== '' && text.includes(from) ? Buffer.from(text.replaceAll(from, to), 'latin1') : bytes);
  }

  #push(bytes: Item['bytes']): void {
    this.#items.push({ bytes, due: performance.now() + this.#relay.latencyMs });
    this.flush();
  }

  flush(): void {
    clearTimeout(this.#timer);
    for (let item = this.#items[0]; item && !this.#relay.frozen; item = this.#items[0]) {
      const wait = this.#relay.latencyMs === 0 ? 0 : item.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.flush(), wait);
        return;
      }
      this.#items.shift();
      if (item.bytes === 'close') this.#to.destroySoon();
      else if (item.bytes === 'end') this.#to.end();
      else if (!this.#to.destroyed && !this.#to.write(item.bytes)) this.#from.pause();
    }
  }
}
