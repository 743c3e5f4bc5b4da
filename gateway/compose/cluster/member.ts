/** One worker as the process that accepts sees it: started, given connections, asked, ended. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { WORKER_ENV } from '../../config/workers.ts';
import type { MetricsAsJson } from '../../web/metrics.ts';
import { Channel, type Handlers } from './channel.ts';
import type { Failure, ToPrimary, ToWorker, Written } from './contract.ts';
import type { Taker } from './doors.ts';

/** An idle worker answers within a millisecond; one that does not is given nothing until it is heard of again. */
const ANSWERS_MS = 250;
/** For what an ended worker said last; its channel is read within milliseconds. */
const LAST_WORDS_MS = 1_000;
/** Heard of so recently, it need not be asked: half of what a connection costs when many come. */
const FRESH_MS = 25;

export class Member implements Taker {
  /** From 1; a worker that ended is followed by one of the same number. */
  readonly number: number;
  /** Of this process and no other: its lease, its queue and its audit chain carry it. */
  readonly gateway = randomUUID();
  readonly load = new Map<string, number>();
  readonly doors = new Set<string>();
  readonly channel: Channel<ToPrimary, ToWorker>;
  /** Resolves with how it ended, once the process is gone and all it said has been heard. */
  readonly ended: Promise<string>;
  readonly startedAt = performance.now();
  /** The configuration it was given at its start. */
  readonly started: Written;
  state: 'starting' | 'serving' | 'leaving' | 'ended' = 'starting';
  /** Why it could not start. */
  failure: Failure | undefined;
  heardAt = performance.now();
  /** What it last counted: those numbers stay when it is gone. */
  metrics: MetricsAsJson = [];
  readonly #child: ChildProcess;
  #silent = false;
  #probe: Promise<boolean> | undefined;

  constructor(options: {
    readonly number: number;
    readonly size: number;
    readonly written: Written;
    readonly handlers: (member: Member) => Handlers<ToPrimary>;
    /** Heard of after a silence. */
    readonly onBack: () => void;
  }) {
    this.number = options.number;
    this.started = options.written;
    // The very command line this process was started with: the worker finds out by its environment what it is.
    this.#child = fork(process.argv[1] ?? '', process.argv.slice(2), {
      env: { ...process.env, [WORKER_ENV]: this.gateway },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.channel = new Channel<ToPrimary, ToWorker>(this.#child, options.handlers(this), () => {
      this.heardAt = performance.now();
      if (!this.#silent) return;
      this.#silent = false;
      options.onBack();
    });
    const gone = new Promise<string>((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`));
      // What could not be sent is told to whoever sent it; a process that never was has no exit.
      this.#child.on('error', ({ message }) => this.#child.pid === undefined && resolve(message));
    });
    const unheard = new Promise<void>((resolve) => this.#child.once('disconnect', resolve));
    this.ended = gone.then(async (how) => {
      // Its last words are still to be read; but a channel with a socket on its way may never say that it is closed.
      await Promise.race([unheard, pause(LAST_WORDS_MS)]);
      this.state = 'ended';
      this.channel.close();
      return how;
    });
    const { number, size, written } = options;
    void this.channel.tell('start', { number, size, ...written });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  takes(door: string): boolean {
    return this.doors.has(door) && (this.state === 'starting' || this.state === 'serving') && !this.#silent;
  }

  /** Whoever asks meanwhile shares the answer. */
  async answers(): Promise<boolean> {
    if (performance.now() - this.heardAt < FRESH_MS) return true;
    this.#probe ??= this.channel
      .ask('alive', {}, { ms: ANSWERS_MS })
      .then(
        () => true,
        () => {
          this.#silent = true;
          return false;
        },
      )
      .finally(() => {
        this.#probe = undefined;
      });
    return this.#probe;
  }

  async give(door: string, socket: Socket): Promise<void> {
    await this.channel.ask('socket', { door }, { socket });
  }

  /** False when that was done before. */
  kill(): boolean {
    if (this.#child.killed) return false;
    return this.#child.kill('SIGKILL');
  }
}
