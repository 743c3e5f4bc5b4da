/** Redis as the hold model sees it: commands in the order of their connection, failing or forgetting to answer at will. */
import type { Redis } from 'ioredis';
import type { Process, Time } from './hold-model-time.ts';

const COMMAND_MS = 2_000; // as `connectCommands` has it

/**
 * What happens to a command: `refused` was not executed, `unanswered` was, and nobody learns of it; `stuck`: it and what
 * follows on its connection is executed some time after the next connection is there.
 */
export type Fault = 'refused' | 'unanswered' | 'stuck';
/** Lets something happen at a moment that the scheduler chooses. */
export type Schedule = (label: string) => Promise<void>;

export class Store {
  readonly strings = new Map<string, { value: string; until: number }>();
  readonly hashes = new Map<string, Map<string, string>>();
  readonly sets = new Map<string, Set<string>>();
  down = false;
  readonly #time: Time;

  constructor(time: Time) {
    this.#time = time;
  }

  get(key: string): string | null {
    const held = this.strings.get(key);
    return held && held.until > this.#time.now ? held.value : null;
  }

  set(key: string, value: string, ...options: (string | number)[]): string | null {
    const before = this.get(key);
    if (options.includes('NX') && before !== null) return null;
    const px = options.indexOf('PX');
    const until = px === -1 ? Number.POSITIVE_INFINITY : this.#time.now + Number(options[px + 1]);
    this.strings.set(key, { value, until });
    return options.includes('GET') ? before : 'OK';
  }

  hash(key: string): Map<string, string> {
    const hash = this.hashes.get(key) ?? new Map<string, string>();
    this.hashes.set(key, hash);
    return hash;
  }

  members(key: string): Set<string> {
    const set = this.sets.get(key) ?? new Set<string>();
    this.sets.set(key, set);
    return set;
  }

  sadd(key: string, member: string): number {
    const set = this.members(key);
    const size = set.size;
    return set.add(member).size - size;
  }

  del(...keys: string[]): number {
    for (const key of keys) for (const kind of [this.strings, this.hashes, this.sets]) kind.delete(key);
    return keys.length;
  }

  /** Restarted without its data. */
  forget(): void {
    this.del(...this.strings.keys(), ...this.hashes.keys(), ...this.sets.keys());
  }
}

export type ConnectionOptions = {
  readonly time: Time;
  readonly owner: Process;
  readonly schedule: Schedule;
  /** Asked for each command when it is about to be executed. */
  readonly fault: () => Fault | undefined;
  /** Every script that writes: the model checks what it did. */
  readonly onScript?: (card: string, written: boolean) => void;
  readonly onClosed?: (hold: string) => void;
  readonly onRenewal?: () => void;
};

/** The part of ioredis that leases and the watch over them use. */
export class Connection {
  readonly #store: Store;
  readonly #it: ConnectionOptions;
  #requests: Promise<unknown> = Promise.resolve();
  #replies: Promise<unknown> = Promise.resolve();
  #listeners: (readonly [string, () => void])[] = [];
  #free: (() => void) | undefined;
  #connection = 0;
  #cut = false;

  constructor(store: Store, options: ConnectionOptions) {
    this.#store = store;
    this.#it = options;
  }

  get redis(): Redis {
    return this as unknown as Redis;
  }

  /** The connection is there again. */
  reconnected(): void {
    this.#requests = Promise.resolve();
    this.#replies = Promise.resolve();
    this.#connection += 1;
    this.#free?.();
    this.#free = undefined;
    for (const name of ['close', 'ready'])
      for (const [event, listener] of this.#listeners) if (event === name) this.#it.owner.deliver(listener);
  }

  /** Its process died: what it had not handed to the kernel yet is never executed. */
  cut(): void {
    this.#cut = true;
  }

  /** One command: executed in the order of calling, answered in that order, failing after 2 s without an answer. */
  call<T>(label: string, execute: (store: Store) => T): Promise<T> {
    const { owner, schedule, time, fault } = this.#it;
    return new Promise<T>((resolve, reject) => {
      if (this.#store.down) return void schedule(`${label}: no Redis`).then(() => owner.deliver(() => reject(GONE())));
      const cancel = time.after(COMMAND_MS, owner, () => reject(new Error('Command timed out')));
      const connection = this.#connection;
      const executed = this.#requests.then(async () => {
        await schedule(label);
        if (this.#cut) return undefined;
        const trouble = this.#store.down ? 'refused' : fault();
        if (trouble === 'stuck') {
          await new Promise<void>((free) => {
            this.#free = free;
          });
          await schedule(`${label}: late`);
          if (this.#cut || this.#store.down) return undefined;
        }
        const value = trouble === 'refused' ? undefined : { of: execute(this.#store) };
        return trouble === undefined && connection === this.#connection ? value : undefined;
      });
      this.#requests = executed;
      this.#replies = Promise.all([this.#replies, executed]).then(async ([, value]) => {
        await schedule(`${label}: the answer`);
        owner.deliver(() => {
          cancel();
          if (value) resolve(value.of);
          else reject(GONE());
        });
      });
    });
  }

  on(event: string, listener: () => void): this {
    this.#listeners.push([event, listener]);
    return this;
  }
  off(event: string, listener: () => void): this {
    this.#listeners = this.#listeners.filter(([name, other]) => name !== event || other !== listener);
    return this;
  }

  multi() {
    const steps: ((store: Store) => unknown)[] = [];
    const chain = {
      set: (key: string, value: string, ...options: (string | number)[]) => {
        steps.push((store) => store.set(key, value, ...options));
        return chain;
      },
      sadd: (key: string, member: string) => {
        steps.push((store) => store.sadd(key, member));
        return chain;
      },
      exec: () =>
        this.call('renew the lease', (store) => {
          this.#it.onRenewal?.();
          return steps.map((step) => [null, step(store)] as const);
        }),
    };
    return chain;
  }
  /** The lease's scripts, told apart by what they call. */
  eval(script: string, keys: number, ...all: (string | number)[]) {
    const [order = '', holds = '', lease] = all.slice(0, keys).map(String);
    const [connection, , hold = '', card = ''] = all.slice(keys).map(String);
    const label = lease !== undefined ? 'release' : script.includes('HDEL') ? 'close' : 'note';
    return this.call(label, (store) => {
      const late = script.includes('newest') && Number(store.get(order) ?? 0) > Number(connection);
      const free = !late && (lease === undefined || store.get(lease) !== null);
      if (!late) store.set(order, String(connection));
      if (free && label === 'close') store.hash(holds).delete(hold);
      else if (free) store.hash(holds).set(hold, card);
      if (label === 'close' && free) this.#it.onClosed?.(hold);
      if (label === 'release') this.#it.onScript?.(card, free);
      return free ? 1 : 0;
    });
  }
  hgetall(key: string) {
    return this.call('read holds', (store) => Object.fromEntries(store.hash(key)));
  }
  del(...keys: string[]) {
    return this.call('del', (store) => store.del(...keys));
  }
  get(key: string) {
    return this.call('get', (store) => store.get(key));
  }
  set(key: string, value: string, ...options: (string | number)[]) {
    return this.call('set', (store) => store.set(key, value, ...options));
  }
  smembers(key: string) {
    return this.call('smembers', (store) => [...store.members(key)]);
  }
  sismember(key: string, member: string) {
    return this.call('sismember', (store) => Number(store.members(key).has(member)));
  }
  sadd(key: string, member: string) {
    return this.call('sadd', (store) => store.sadd(key, member));
  }
  srem(key: string, member: string) {
    return this.call('srem', (store) => Number(store.members(key).delete(member)));
  }
}

const GONE = (): Error => new Error('Connection is closed.');
