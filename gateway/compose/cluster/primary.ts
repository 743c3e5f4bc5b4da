/** The process that accepts for several workers: starts them, replaces them, tells them what it is told. Judges nothing. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { type ErrorCode, GatewayError } from '../../errors.ts';
import { askedToEnd, askedToReload, within } from '../ending.ts';
import { newLog } from '../log.ts';
import { watchContent } from '../watch.ts';
import { Member } from './member.ts';
import { Renewal } from './renewal.ts';
import { Services } from './services.ts';

const TICK_MS = 1_000;
/** Silent for so long, a worker is of no use to anybody: its sessions stand still, its holds cannot be decided. */
const STUCK_MS = 10_000;
const START_MS = 60_000; // reading its modules, no worker can say that it lives
const MOST_FAILED_STARTS = 5; // in a row
const BACKOFF_MS = [0, 500, 1_000, 2_000, 4_000];
/** A worker that ends sooner after it was ready counts as one that could not start. */
const SETTLED_MS = 10_000;

/** Runs until told to stop; resolves with the exit status. @throws GatewayError what a worker says it cannot start for */
export async function runPrimary(path: string, size: number): Promise<0 | 1> {
  const log = newLog('primary');
  const read = () => ({ path, text: readFileSync(path, 'utf8') });
  const first = read();
  const fleet = new Fleet(size, first, log);
  const ended = askedToEnd(log, () => fleet.kill());
  const reloads = askedToReload();
  const failed = await Promise.race([fleet.start(), ended]);
  if (typeof failed === 'number') {
    await within(
      log,
      () => fleet.drain(),
      () => fleet.kill(),
    );
    return failed;
  }
  const reload = () => void fleet.reload(read);
  const file = watchContent(path, first.text, reload);
  reloads.begin(reload);
  log.info({ workers: size, ...(await fleet.addresses()) }, 'all workers have started');

  const status = await Promise.race([ended, fleet.hopeless]);
  file.close();
  reloads.end();
  await within(
    log,
    () => fleet.drain(),
    () => fleet.kill(),
  );
  if (typeof status !== 'number') throw status;
  log.info('gateway stopped');
  return status;
}

class Fleet {
  readonly #size: number;
  readonly #log: Logger;
  readonly #members = new Map<number, Member>();
  readonly #services: Services;
  readonly #renewal: Renewal;
  /** Gateways that ended, and whose leases nobody was there to remove. */
  #unburied: string[] = [];
  #failedStarts = 0;
  /** Some worker has served: what one cannot start for now was not always so. */
  #up = false;
  #draining = false;
  #ticking: NodeJS.Timeout | undefined;
  #giveUp: (error: Error) => void = () => {};
  #allServe: () => void = () => {};
  /** Resolves with the reason when workers cannot be kept up. */
  readonly hopeless = new Promise<Error>((resolve) => {
    this.#giveUp = resolve;
  });

  constructor(size: number, first: { path: string; text: string }, log: Logger) {
    this.#size = size;
    this.#log = log;
    const members = () => [...this.#members.values()];
    this.#renewal = new Renewal(first, members);
    this.#services = new Services(size, members, {
      onStarted: (member) => this.#started(member),
      onLeaving: (member) => {
        if (member.state === 'serving') member.state = 'leaving';
      },
    });
  }

  /** Resolves when all serve. @throws what a worker says it cannot start for */
  async start(): Promise<void> {
    const all = new Promise<void>((resolve) => {
      this.#allServe = resolve;
    });
    for (let number = 1; number <= this.#size; number++) this.#fork(number);
    this.#tick();
    const failed = await Promise.race([all, this.hopeless]);
    if (!failed) return;
    this.kill();
    await this.#allGone();
    throw failed;
  }

  reload(read: () => { path: string; text: string }): Promise<void> {
    return this.#renewal.take(read);
  }

  addresses(): Promise<Record<string, number>> {
    return this.#services.addresses();
  }

  /** Every worker drains; resolves when all are gone. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#services.close('postgres'); // health and metrics are answered as long as there are workers
    for (const member of this.#members.values()) {
      if (member.state === 'starting') member.kill();
      else void member.channel.tell('drain', {});
    }
    await this.#allGone();
    clearTimeout(this.#ticking);
    this.#services.close();
  }

  kill(): void {
    this.#draining = true;
    for (const member of this.#members.values()) member.kill();
  }

  async #allGone(): Promise<void> {
    await Promise.all([...this.#members.values()].map(({ ended }) => ended));
  }

  #fork(number: number): void {
    let member: Member;
    try {
      member = new Member({
        number,
        size: this.#size,
        written: this.#renewal.written,
        handlers: (one) => this.#services.handlersFor(one),
        onBack: () => this.#services.retry(),
      });
    } catch (error) {
      this.#log.error({ worker: number, error: String(error) }, 'a worker could not be started');
      this.#again(number, 0, String(error));
      return;
    }
    this.#members.set(number, member);
    void member.ended.then((how) => this.#ended(member, how));
  }

  #started(member: Member): void {
    member.state = 'serving';
    this.#up = true;
    this.#log.info({ worker: member.number, pid: member.pid, serving: member.gateway }, 'a worker serves');
    for (const gateway of this.#unburied.splice(0)) void member.channel.tell('bury', { gateway });
    this.#services.retry();
    const all = [...this.#members.values()];
    if (all.length === this.#size && all.every(({ state }) => state === 'serving')) this.#allServe();
  }

  #ended(member: Member, how: string): void {
    this.#members.delete(member.number);
    this.#services.forget(member);
    this.#bury(member.gateway);
    if (this.#draining) return;
    const { failure, number } = member;
    this.#log.error({ worker: number, pid: member.pid, how }, 'a worker has ended; its sessions with it');
    if (failure && !this.#up) {
      this.#giveUp(new GatewayError(failure.code as ErrorCode, failure.message, hintOf(failure.hint)));
      return;
    }
    this.#again(number, performance.now() - member.startedAt, failure?.message ?? `the last one ended with ${how}`);
  }

  /** Another one in its place, unless they end as soon as they start. */
  #again(number: number, livedMs: number, why: string): void {
    this.#failedStarts = livedMs > SETTLED_MS ? 0 : this.#failedStarts + 1;
    if (this.#failedStarts >= MOST_FAILED_STARTS) {
      this.#giveUp(new Error(`workers end as soon as they start, ${this.#failedStarts} times in a row: ${why}`));
      return;
    }
    setTimeout(() => {
      if (!this.#draining) this.#fork(number);
    }, BACKOFF_MS[this.#failedStarts] ?? 0);
  }

  #bury(gateway: string): void {
    const living = [...this.#members.values()].find(({ state }) => state === 'serving');
    if (living) void living.channel.tell('bury', { gateway });
    else this.#unburied.push(gateway);
  }

  /** Looks after workers that are stuck, and connections that wait. */
  #tick(last = performance.now()): void {
    const now = performance.now();
    // Stopped together with the rest of the machine: what was not heard meanwhile says nothing.
    const slept = now - last > 2 * TICK_MS;
    for (const member of this.#members.values()) {
      if (slept) member.heardAt = now;
      const patience = member.state === 'starting' ? START_MS : STUCK_MS;
      if (now - member.heardAt < patience) continue;
      if (!member.kill()) continue;
      this.#log.error({ worker: member.number, pid: member.pid }, 'a worker does not answer any more: it is ended');
    }
    this.#services.retry();
    this.#ticking = setTimeout(() => this.#tick(now), TICK_MS);
  }
}

const hintOf = (hint: string | undefined): { hint?: string } => (hint === undefined ? {} : { hint });
