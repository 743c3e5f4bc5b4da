/** Questions and answers between the process that accepts and its workers, over Node's own channel between them. */
import type { Socket } from 'node:net';

/** What one side can be asked: by kind, what goes in and what comes out. */
type Contract = { readonly [kind: string]: { readonly in: unknown; readonly out: unknown } };

/** How one side answers what it is asked. Thrown or rejected: the asker's promise rejects with the same message. */
export type Handlers<C extends Contract> = {
  readonly [K in keyof C]: (value: C[K]['in'], socket: Socket | undefined) => C[K]['out'] | Promise<C[K]['out']>;
};

type Envelope = {
  readonly kind?: string;
  readonly value?: unknown;
  /** A question; the answer carries the same number. */
  readonly ask?: number;
  readonly answer?: number;
  readonly error?: string;
};

/** `process` in a worker, a ChildProcess elsewhere. */
type Port = {
  send?(
    message: object,
    socket: Socket | undefined,
    options: { keepOpen: boolean },
    sent: (error: Error | null) => void,
  ): boolean;
  on(event: 'message', listener: (message: unknown, socket: unknown) => void): unknown;
};

type Waiting = { resolve(value: unknown): void; reject(error: Error): void };

export class Channel<Mine extends Contract, Theirs extends Contract> {
  readonly #port: Port;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #closed = false;

  /** `onHeard` is called for whatever comes: the other side is alive. */
  constructor(port: Port, handlers: Handlers<Mine>, onHeard: () => void = () => {}) {
    this.#port = port;
    port.on('message', (message, socket) => {
      if (this.#closed) {
        (socket as Socket | undefined)?.destroy(); // nobody counts what comes so late
        return;
      }
      onHeard();
      void this.#take(message as Envelope, handlers, socket as Socket | undefined);
    });
  }

  /** Say something that needs no answer. Lost when the other side is gone; resolves when it was handed over. */
  tell<K extends keyof Theirs & string>(kind: K, value: Theirs[K]['in']): Promise<void> {
    return new Promise((resolve) => this.#send({ kind, value }, undefined, () => resolve()));
  }

  /**
   * @param ms without it, as long as the other side lives. A socket that goes along stays open here, too.
   * @throws Error when there is no answer in time, the other side ends, or it failed at it
   */
  ask<K extends keyof Theirs & string>(
    kind: K,
    value: Theirs[K]['in'],
    { ms, socket }: { readonly ms?: number; readonly socket?: Socket } = {},
  ): Promise<Theirs[K]['out']> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new Error(ENDED);
      const ask = ++this.#asked;
      const late = () => done().reject(new Error(`no answer to ${kind} within ${ms} ms`));
      const timer = ms === undefined ? undefined : setTimeout(late, ms);
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(ask);
        return { resolve, reject };
      };
      this.#waiting.set(ask, {
        resolve: (answer) => done().resolve(answer as Theirs[K]['out']),
        reject: (error) => done().reject(error),
      });
      this.#send({ kind, value, ask }, socket, (error) => {
        if (error) this.#waiting.get(ask)?.reject(error);
      });
    });
  }

  /** The other side is gone: whoever still waits is told. */
  close(): void {
    this.#closed = true;
    for (const { reject } of [...this.#waiting.values()]) reject(new Error(ENDED));
  }

  async #take(envelope: Envelope, handlers: Handlers<Mine>, socket: Socket | undefined): Promise<void> {
    const { kind, value, ask, answer, error } = envelope;
    if (answer !== undefined) {
      if (error === undefined) this.#waiting.get(answer)?.resolve(value);
      else this.#waiting.get(answer)?.reject(new Error(error));
      return;
    }
    if (kind === undefined || !Object.hasOwn(handlers, kind)) return;
    try {
      const said = await handlers[kind]?.(value, socket);
      if (ask !== undefined) this.#send({ answer: ask, value: said });
    } catch (thrown) {
      if (ask !== undefined)
        this.#send({ answer: ask, error: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  }

  #send(envelope: Envelope, socket?: Socket, sent: (error: Error | null) => void = () => {}): void {
    if (this.#closed || !this.#port.send) sent(new Error(ENDED));
    else this.#port.send(envelope, socket, { keepOpen: true }, sent);
  }
}

const ENDED = 'the other process has ended';
