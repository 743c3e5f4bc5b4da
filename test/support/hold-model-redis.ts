/** Redis as the hold model sees it: commands in the order of their connection, failing or forgetting to answer at will. */
import type { Redis } from 'ioredis';
import type { Process, Time } from './hold-model-time.ts';

const COMMAND_MS = 2_000; // as `connectCommands` has it

/** What happens to a command: `refused` was not executed, `unanswered` was, and nobody learns of it. */
export type Fault = 'refused' | 'unanswered';
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

  set(key: string, value: string, ...options: (string | number)[]): 'OK' | null {
    if (options.includes('NX') && this.get(key) !== null) return null;
    const px = options.indexOf('PX');
    const until = px === -1 ? Number.POSITIVE_INFINITY : this.#time.now + Number(options[px + 1]);
    this.strings.set(key, { value, until });
    return 'OK';
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
  readonly onRenewal?: () => void;
};

/** The part of ioredis that leases and the watch over them use. */
export class Connection {
  readonly #store: Store;
  readonly #it: ConnectionOptions;
  #requests: Promise<unknown> = Promise.resolve();
  #replies: Promise<unknown> = Promise.resolve();
  #ready: (() => void)[] = [];
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
    for (const ready of this.#ready) this.#it.owner.deliver(ready);
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
      const executed = this.#requests.then(async () => {
        await schedule(label);
        if (this.#cut) return undefined;
        const trouble = this.#store.down ? 'refused' : fault();
        const value = trouble === 'refused' ? undefined : { of: execute(this.#store) };
        return trouble === undefined ? value : undefined;
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

  on(_: string, ready: () => void): this {
    this.#ready.push(ready);
    return this;
  }
  off(_: string, ready: () => void): this {
    this.#ready = this.#ready.filter((other) => other !== ready);
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
  /** The one script of the lease: write this field of a hash while a key is there (and, given, only while it may). */
  eval(_script: string, _keys: number, lease: string, holds: string, ...args: string[]) {
    return this.call('release', (store) => {
      const [hold = '', card = ''] = args;
      const free = store.get(lease) !== null;
      if (free) store.hash(holds).set(hold, card);
      this.#it.onScript?.(card, free);
      return free ? 1 : 0;
    });
  }
  hset(key: string, field: string, value: string) {
    return this.call('note', (store) => store.hash(key).set(field, value).size);
  }
  hdel(key: string, field: string) {
    return this.call('close', (store) => Number(store.hash(key).delete(field)));
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
