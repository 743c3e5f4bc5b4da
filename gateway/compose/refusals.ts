/** Refused log-ins on their way to the trail: each in full while they are few, counted per address when they are many. */
import type { Audit, AuditEntry } from '../audit/entry.ts';

const WINDOW_MS = 60_000;
const IN_FULL_PER_ADDRESS = 20; // a window: enough to see what somebody tries
const IN_FULL = 300; // a window, of all addresses: a flood from many must not fill the disk either
const MAX_ADDRESSES = 1_000; // counted one by one; those beyond share a count

type Refusal = AuditEntry & { readonly kind: 'auth.refused'; readonly peer: string; readonly code: string };

type Counted = {
  /** In full so far, in this window. */
  written: number;
  /** Refusals by code that stand in no entry yet. */
  readonly unwritten: Map<string, number>;
};

export type RefusalsDeps = {
  readonly audit: Pick<Audit, 'append'>;
  /** Told each count that stands for several. */
  readonly log: (entry: AuditEntry) => void;
  readonly now?: () => number;
};

/** No refusal is lost: what is not written in full is in an entry with a `count`, at the latest a minute later. */
export class Refusals {
  readonly #deps: RefusalsDeps;
  readonly #now: () => number;
  #addresses = new Map<string, Counted>();
  readonly #others: Counted = { written: 0, unwritten: new Map() };
  #written = 0;
  #openedAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: RefusalsDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? (() => performance.now());
  }

  /** True when it was written in full, and so may be logged. @throws GatewayError AUDIT when it cannot be recorded */
  record(entry: Refusal): boolean {
    if (this.#openedAt !== undefined && this.#now() - this.#openedAt >= WINDOW_MS) this.flush();
    this.#open();
    const address = this.#of(entry.peer);
    if (address.written < IN_FULL_PER_ADDRESS && this.#written < IN_FULL) {
      this.#deps.audit.append(entry);
      address.written++;
      this.#written++;
      return true;
    }
    address.unwritten.set(entry.code, (address.unwritten.get(entry.code) ?? 0) + 1);
    return false;
  }

  /** End the window: what was only counted is written. @throws GatewayError AUDIT; what it did not write is kept */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const since = this.#openedAt;
    if (since === undefined) return;
    const seconds = Math.ceil((this.#now() - since) / 1000);
    for (const [peer, counted] of [...this.#addresses, ['others', this.#others] as const]) {
      const codes = Object.fromEntries(counted.unwritten);
      const count = Object.values(codes).reduce((sum, n) => sum + n, 0);
      if (count > 0) {
        const entry = { kind: 'auth.refused', peer, count, codes, seconds } as const;
        this.#deps.audit.append(entry);
        this.#deps.log(entry);
      }
      counted.unwritten.clear();
    }
    this.#addresses = new Map();
    this.#others.written = 0;
    this.#written = 0;
    this.#openedAt = undefined;
  }

  #open(): void {
    if (this.#openedAt !== undefined) return;
    this.#openedAt = this.#now();
    this.#timer = setTimeout(() => this.#flushLater(), WINDOW_MS);
    this.#timer.unref();
  }

  /** A trail that cannot be written refuses sign-ins by itself; the counts wait for it. */
  #flushLater(): void {
    try {
      this.flush();
    } catch {
      this.#timer = setTimeout(() => this.#flushLater(), WINDOW_MS);
      this.#timer.unref();
    }
  }

  #of(peer: string): Counted {
    const key = network(peer);
    const known = this.#addresses.get(key);
    if (known) return known;
    if (this.#addresses.size >= MAX_ADDRESSES) return this.#others;
    const counted: Counted = { written: 0, unwritten: new Map() };
    this.#addresses.set(key, counted);
    return counted;
  }
}

/** One IPv6 customer has a /64: its addresses count as one. */
function network(address: string): string {
  const bare = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!bare.includes(':')) return bare;
  const [head = '', tail] = bare.split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  const all = [...groups, ...Array.from({ length: missing }, () => '0'), ...(tail ? tail.split(':') : [])];
  return `${all.slice(0, 4).join(':')}::/64`;
}
