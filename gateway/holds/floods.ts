/** One requester, many requests at once: they share a collecting card, which can be denied as a whole and never approved. */
import type { Card } from '../../queue/cards.ts';
import { principalKey } from '../operation.ts';
import type { Clock } from './clock.ts';
import type { Hold } from './hold.ts';
import { oneLine } from './words.ts';

/** So many of one requester's requests on one connection are read one by one while all of them wait. */
const OWN_CARDS = 5;
/** And so many within a minute that nobody decided: withdrawn and asked anew, again and again. */
const OWN_A_MINUTE = 20;
const MINUTE_MS = 60_000;
const SHOW_MS = 1_500; // an edit of the card no oftener: Slack takes about one a second
const LINGER_MS = 15_000; // an emptied card takes more for so long
const MOST_LISTED = 100;
const MOST_REQUESTERS = 10_000;

export type FloodsDeps = {
  /** Send a card when its turn comes; after the `last` nothing follows. */
  readonly push: (hold: string, make: () => Card, last: boolean) => void;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly redact: (text: string) => string;
  /** For tests. */
  readonly floodLingerMs?: number;
};

type Collection = {
  readonly key: string;
  readonly base: Card;
  readonly open: Map<string, Hold>;
  /** How each that is over ended. */
  readonly ends: Map<string, number>;
  total: number;
  sequence: number;
  showing: boolean;
  changed: boolean;
  /** Why nobody sees it yet. */
  unseen: string | undefined;
  cancelEnd: () => void;
};

export class Floods {
  readonly #deps: FloodsDeps;
  /** When each requester's latest requests came that no person has decided, by hold; monotonic ms. */
  readonly #latest = new Map<string, Map<string, number>>();
  /** Each requester's requests that wait. */
  readonly #open = new Map<string, Set<string>>();
  /** The one collection of a requester that still takes more. */
  readonly #filling = new Map<string, Collection>();
  readonly #all = new Map<string, Collection>();

  constructor(deps: FloodsDeps) {
    this.#deps = deps;
  }

  /** Whether this hold shall have no card of its own, and then the collecting card's id. `card` makes it as it would be shown. */
  take(hold: Hold, card: () => Card): string | undefined {
    const { protocol, stopped } = hold.operation;
    if (protocol === 'gate' || stopped) return undefined; // people's own, and what flows already
    const key = keyOf(hold);
    const open = this.#open.get(key) ?? new Set();
    open.add(hold.id);
    this.#open.set(key, open);
    if (this.#undecided(key, hold.id) <= OWN_A_MINUTE && open.size <= OWN_CARDS) {
      this.#filling.delete(key); // the flood is over: the next one gets a card of its own
      return undefined;
    }
    const collection = this.#filling.get(key) ?? this.#begin(key, card());
    collection.open.set(hold.id, hold);
    hold.unseen = collection.unseen;
    collection.total += 1;
    this.#show(collection);
    return collection.base.hold;
  }

  /** Everything that waits under this collecting card; undefined where it is none of ours. */
  membersOf(id: string): readonly Hold[] | undefined {
    const collection = this.#all.get(id);
    return collection && [...collection.open.values()];
  }

  /** Its card hangs, or why not: said to all that wait under it, those that are still to come included. */
  posted(id: string, unseen: string | undefined): readonly Hold[] {
    const collection = this.#all.get(id);
    if (!collection) return [];
    collection.unseen = unseen;
    return [...collection.open.values()];
  }

  /** A person let it go on: whoever asked is being answered. */
  released(hold: Hold): void {
    const key = keyOf(hold);
    this.#latest.get(key)?.delete(hold.id);
    this.#left(key, hold.id);
  }

  ended(hold: Hold): void {
    if (hold.phase.kind === 'denied') this.released(hold);
    else this.#left(keyOf(hold), hold.id);
    const id = hold.extra?.collectedBy;
    const collection = id === undefined ? undefined : this.#all.get(id);
    if (!collection?.open.delete(hold.id)) return;
    const end = endOf(hold);
    collection.ends.set(end, (collection.ends.get(end) ?? 0) + 1);
    this.#show(collection);
  }

  #left(key: string, hold: string): void {
    const open = this.#open.get(key);
    open?.delete(hold);
    if (open?.size === 0) this.#open.delete(key);
  }

  /** How many of this requester's within the last minute nobody has decided, this one included. */
  #undecided(key: string, hold: string): number {
    const now = this.#deps.clock.monotonic();
    const latest = this.#latest.get(key) ?? new Map<string, number>();
    for (const [other, at] of latest) {
      if (now - at < MINUTE_MS && latest.size <= OWN_A_MINUTE) break; // in order of their coming
      latest.delete(other);
    }
    latest.set(hold, now);
    this.#latest.delete(key);
    this.#latest.set(key, latest);
    const oldest = this.#latest.keys().next().value;
    if (this.#latest.size > MOST_REQUESTERS && oldest !== undefined) this.#latest.delete(oldest);
    return latest.size;
  }

  /** The process ends, and with it all that waited: each collecting card says so. */
  close(): void {
    for (const collection of this.#all.values()) this.#last(collection);
  }

  #begin(key: string, card: Card): Collection {
    const hold = this.#deps.newId();
    const { blast: _, history: __, estimate: ___, grants: ____, breakGlass: _____, ...rest } = card;
    const base: Card = {
      ...rest,
      hold,
      shortId: hold.replaceAll('-', '').slice(0, 6),
      statement: '',
      parameters: [],
      risks: [],
      warnings: [],
      votes: [],
    };
    const collection: Collection = {
      key,
      base,
      open: new Map(),
      ends: new Map(),
      total: 0,
      sequence: 0,
      showing: false,
      changed: false,
      unseen: undefined,
      cancelEnd: () => {},
    };
    this.#filling.set(key, collection);
    this.#all.set(hold, collection);
    return collection;
  }

  /** Now, and again a moment later where more has happened meanwhile. */
  #show(collection: Collection): void {
    collection.changed = true;
    if (collection.showing) return;
    collection.showing = true;
    collection.changed = false;
    this.#push(collection, false);
    this.#deps.clock.after(SHOW_MS, () => {
      collection.showing = false;
      if (collection.changed && this.#all.has(collection.base.hold)) this.#show(collection);
    });
    if (collection.open.size === 0) this.#linger(collection);
  }

  /** Who asks and withdraws, again and again, shall not get a card for each time. */
  #linger(collection: Collection): void {
    collection.cancelEnd();
    collection.cancelEnd = this.#deps.clock.after(this.#deps.floodLingerMs ?? LINGER_MS, () => {
      if (collection.open.size === 0) this.#last(collection);
    });
  }

  #last(collection: Collection): void {
    const { base, key } = collection;
    collection.cancelEnd();
    this.#all.delete(base.hold);
    if (this.#filling.get(key) === collection) this.#filling.delete(key);
    this.#push(collection, true);
  }

  #push(collection: Collection, last: boolean): void {
    this.#deps.push(collection.base.hold, () => cardOf(collection, last, this.#deps), last);
  }
}

const keyOf = ({ operation: { connection, principal } }: Hold): string => `${connection} ${principalKey(principal)}`;

function cardOf(collection: Collection, over: boolean, { clock, redact }: FloodsDeps): Card {
  const { base, open, total, ends } = collection;
  collection.sequence += 1;
  const { sequence } = collection;
  const waiting = [...open.values()].slice(-MOST_LISTED).reverse();
  const headline = `${total === 1 ? 'one request' : `${total} requests`} within minutes, ${open.size || 'none'} of them waiting`;
  const expiresAt = Math.max(base.expiresAt, ...waiting.map(({ deadline }) => Math.round(deadline.at)));
  return {
    ...base,
    sequence,
    headline,
    state: over ? 'withdrawn' : 'open',
    expiresAt,
    ...(over ? { settled: { at: clock.now(), reason: endsText(ends), executed: 'unknown' } } : {}),
    collects: {
      total,
      open: waiting.map((hold) => ({
        hold: hold.id,
        shortId: hold.shortId,
        headline: redact(hold.operation.headline).slice(0, 200),
      })),
    },
  };
}

/** How it ended, and by whom where a person or a rule said no. */
function endOf({ phase, names }: Hold): string {
  switch (phase.kind) {
    case 'done':
      return 'approved';
    case 'unknown':
      return 'approved, outcome unknown';
    case 'denied':
      return `denied by ${oneLine(names?.get(phase.by) ?? phase.by)}`;
    default:
      return phase.kind;
  }
}

/** `37 denied by Carol Lindqvist, 1 withdrawn` */
const endsText = (ends: ReadonlyMap<string, number>): string =>
  [...ends].map(([end, count]) => `${count} ${end}`).join(', ');
