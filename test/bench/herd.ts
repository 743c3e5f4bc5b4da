/** Many clients of one gateway, let in at a bounded rate and kept: each asks again as soon as it was answered. */
import type { Socket } from 'node:net';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import { cpuMs } from './cpu.ts';
import { enter } from './enter.ts';
import type { Route } from './routes.ts';

const AT_ONCE = 16;
const ACCOUNTS = 100_000; // as pgbench's tables of scale 1 have
const ERROR = 'E'.charCodeAt(0);
const READY = [...'Z\0\0\0\x05'].map((char) => char.charCodeAt(0));
const SILENT_MS = 30_000;

export type Grazed = {
  /** Statements a second, of all clients together. */
  readonly tps: number;
  /** CPU milliseconds that 1,000 of them cost the gateway's processes. */
  readonly cpu: number;
};

export class Herd {
  readonly #clients: readonly Client[];
  readonly #pid: number;

  private constructor(clients: readonly Client[], pid: number) {
    this.#clients = clients;
    this.#pid = pid;
  }

  /** `atOnce`: log-ins under way. @throws Error with the first refusal */
  static async enter(route: Omit<Route, 'name'>, count: number, atOnce = AT_ONCE): Promise<Herd> {
    const place = { ...route, database: 'orders', tls: false };
    const clients: Client[] = [];
    let left = count;
    await Promise.all(
      Array.from({ length: Math.min(atOnce, count) }, async () => {
        while (left-- > 0) clients.push(new Client(await enter(place)));
      }),
    );
    return new Herd(clients, route.pid ?? 0);
  }

  /** @throws Error when one of them is refused something, is hung up on, or hears nothing for long */
  async graze(load: { readonly seconds: number } | { readonly each: number }): Promise<Grazed> {
    const before = await cpuMs(this.#pid);
    const from = performance.now();
    const until = 'seconds' in load ? from + 1_000 * load.seconds : Number.POSITIVE_INFINITY;
    const each = 'each' in load ? load.each : Number.POSITIVE_INFINITY;
    const counts = await Promise.all(this.#clients.map((client) => client.ask(each, until)));
    const ms = performance.now() - from;
    const statements = counts.reduce((sum, count) => sum + count, 0);
    return { tps: (1_000 * statements) / ms, cpu: (1_000 * ((await cpuMs(this.#pid)) - before)) / statements };
  }

  leave(): void {
    for (const client of this.#clients) client.leave();
  }
}

class Client {
  readonly #socket: Socket;
  #tail: Buffer = Buffer.alloc(0);
  #answered: (() => void) | undefined;
  #fail: ((error: Error) => void) | undefined;
  #gone = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#heard(chunk));
    socket.on('close', () => {
      this.#gone = true;
      this.#fail?.(new Error('a client was hung up on'));
    });
  }

  /** Ask so often, or until then (`performance.now()`); resolves with how often it was answered. */
  ask(most: number, until: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(new Error('a client was hung up on'));
      let count = 0;
      let last = performance.now();
      const silence = setInterval(() => {
        if (performance.now() - last > SILENT_MS) this.#fail?.(new Error('a client hears nothing'));
      }, 1_000);
      const done = () => {
        clearInterval(silence);
        this.#fail = undefined;
        this.#answered = undefined;
      };
      this.#fail = (error) => {
        done();
        reject(error);
      };
      this.#answered = () => {
        count++;
        last = performance.now();
        if (count < most && last < until) return this.#send();
        done();
        resolve(count);
      };
      this.#send();
    });
  }

  leave(): void {
    this.#socket.destroy();
  }

  #send(): void {
    const account = 1 + Math.floor(Math.random() * ACCOUNTS);
    this.#socket.write(build.query(`SELECT abalance FROM pgbench_accounts WHERE aid = ${account};`));
  }

  #heard(chunk: Buffer): void {
    if (chunk[0] === ERROR) this.#fail?.(new Error(chunk.toString('latin1')));
    const end = chunk.length < 6 ? Buffer.concat([this.#tail, chunk]) : chunk;
    this.#tail = end.subarray(-6);
    if (READY.every((byte, at) => this.#tail[at] === byte)) this.#answered?.();
  }
}
