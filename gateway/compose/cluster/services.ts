/** What workers may ask: their common addresses, places and paces, and each other. */
import { AddressLimiter } from '../../web/limiter.ts';
import type { MetricsAsJson } from '../../web/metrics.ts';
import type { Handlers } from './channel.ts';
import type { ToPrimary } from './contract.ts';
import { Counts } from './counts.ts';
import { Door } from './doors.ts';
import type { Member } from './member.ts';
import { KeptMetrics } from './metrics.ts';

const ASK_MS = 2_000; // a metrics or readiness probe waits about as long
const OWNS_MS = 500; // a CancelRequest is worth little later

export type ServiceEvents = {
  readonly onStarted: (member: Member) => void;
  readonly onLeaving: (member: Member) => void;
};

export class Services {
  readonly #members: () => readonly Member[];
  /** How many workers there should be. */
  readonly #size: number;
  readonly #events: ServiceEvents;
  readonly #doors = new Map<string, { readonly door: Door; readonly opened: Promise<number> }>();
  readonly #counts = new Counts();
  readonly #limiters = new Map<string, AddressLimiter>();
  readonly #kept = new KeptMetrics();

  constructor(size: number, members: () => readonly Member[], events: ServiceEvents) {
    this.#size = size;
    this.#members = members;
    this.#events = events;
  }

  handlersFor(member: Member): Handlers<ToPrimary> {
    return {
      beat: () => {},
      started: () => this.#events.onStarted(member),
      failed: (failure) => {
        member.failure = failure;
      },
      leaving: () => this.#events.onLeaving(member),
      listen: ({ door, ...address }) => this.#listen(member, door, address),
      closed: ({ door }) => {
        member.load.set(door, Math.max(0, (member.load.get(door) ?? 0) - 1));
      },
      place: ({ place, wanted }) => this.#counts.take(member.pid, place, wanted),
      add: ({ place, key }) => this.#counts.add(member.pid, place, [key]),
      give: ({ place }) => this.#counts.give(member.pid, place),
      allow: ({ limiter, rate, address, cost }) => {
        const one = this.#limiters.get(limiter) ?? new AddressLimiter(rate);
        this.#limiters.set(limiter, one);
        return one.allow(address, cost);
      },
      cancel: (request) => this.#cancel(member, request),
      troubles: () => this.#troubles(member),
      metrics: (mine) => this.#metrics(member, mine),
    };
  }

  /** Connections that wait for a worker are placed anew. */
  retry(): void {
    for (const { door } of this.#doors.values()) door.retry();
  }

  /** Nobody new at this door; at every one without a name. */
  close(name?: string): void {
    for (const [key, { door }] of this.#doors) if (name === undefined || key === name) door.close();
  }

  /** It has ended: what it had is free, what it counted is kept. */
  forget(member: Member): void {
    this.#counts.forget(member.pid);
    this.#kept.keep(member.metrics);
  }

  addresses(): Promise<Record<string, number>> {
    const all = [...this.#doors].map(async ([name, { opened }]) => [name, await opened] as const);
    return Promise.all(all).then(Object.fromEntries);
  }

  /** The first that asks has the address opened; what others ask for later, it is what there is. */
  async #listen(
    member: Member,
    name: string,
    address: { readonly host: string; readonly port: number },
  ): Promise<{ readonly port: number } | { readonly error: string }> {
    let known = this.#doors.get(name);
    if (!known) {
      const door = new Door(name, () => this.#members());
      known = { door, opened: door.open(address) };
      this.#doors.set(name, known);
    }
    try {
      const port = await known.opened;
      member.doors.add(name);
      setImmediate(() => known.door.retry()); // once the answer is on its way
      return { port };
    } catch (error) {
      return { error: error instanceof Error && 'code' in error ? String(error.code) : String(error) };
    }
  }

  #others = (member: Member): Member[] =>
    this.#members().filter((other) => other !== member && (other.state === 'serving' || other.state === 'leaving'));

  async #cancel(member: Member, request: { readonly pid: number; readonly secret: string }): Promise<boolean> {
    const others = this.#others(member);
    const owns = await Promise.all(
      others.map(({ channel }) => channel.ask('owns', { pid: request.pid }, { ms: OWNS_MS }).catch(() => false)),
    );
    const owner = others[owns.indexOf(true)];
    if (!owner) return false;
    await owner.channel.ask('cancel', request).catch(() => {}); // its session ended with it
    return true;
  }

  async #troubles(member: Member): Promise<Record<string, string>> {
    const found: [string, string][] = [];
    const others = this.#members().filter((other) => other !== member);
    await Promise.all(
      others.map(async (other) => {
        const name = `worker ${other.number}`;
        if (other.state !== 'serving') {
          found.push([name, other.state === 'leaving' ? 'is stopping' : 'is starting']);
          return;
        }
        const troubles = await other.channel
          .ask('troubles', {}, { ms: ASK_MS })
          .catch((): Record<string, string> => ({ process: 'does not answer' }));
        for (const [part, why] of Object.entries(troubles)) found.push([`${name}, ${part}`, why]);
      }),
    );
    for (let number = 1; number <= this.#size; number++) {
      if (!this.#members().some((one) => one.number === number)) found.push([`worker ${number}`, 'has ended']);
    }
    return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async #metrics(member: Member, mine: MetricsAsJson): Promise<readonly MetricsAsJson[]> {
    member.metrics = mine;
    const others = this.#others(member);
    await Promise.all(
      others.map(async (one) => {
        // One that does not answer now still counts with what it last said.
        one.metrics = await one.channel.ask('metrics', {}, { ms: ASK_MS }).catch(() => one.metrics);
      }),
    );
    const living = new Set(this.#members()); // what one that ended meanwhile counted is among what is kept
    return [...others.filter((one) => living.has(one)).map(({ metrics }) => metrics), this.#kept.all()];
  }
}
