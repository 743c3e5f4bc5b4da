/** Whose card is posted next in a channel: those who ask take turns, so that nobody's flood delays another's first. */

const AT_ONCE = 3; // per channel: as many as Slack takes in a burst; a reply that is late holds up two others at most
const KEPT = 1_000;

/** Answers for how many ms its channel takes no more posts; 0 where it does. */
export type Turn = () => Promise<number>;

type Lane = {
  readonly waiting: Map<string, (() => void)[]>;
  /** When each was served last, as a count; who never was comes first. */
  readonly served: Map<string, number>;
  running: number;
  openAt: number;
  timer: NodeJS.Timeout | undefined;
};

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  #turns = 0;
  #waiting = 0;
  #stopped = false;

  /** How many wait for their turn, in all channels. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Is anybody's card waiting for this channel? */
  isWanted(channel: string): boolean {
    return (this.#lanes.get(channel)?.waiting.size ?? 0) > 0;
  }

  /** Runs `work` when it is this requester's turn; resolves after it, or without it when all ends. */
  async turn(channel: string, requester: string, work: Turn): Promise<void> {
    if (this.#stopped) return;
    const lane = this.#lane(channel);
    await new Promise<void>((resolve) => {
      const queue = lane.waiting.get(requester) ?? [];
      lane.waiting.set(requester, queue);
      queue.push(resolve);
      this.#waiting += 1;
      this.#next(channel, lane);
    });
    if (this.#stopped) return;
    let closedMs = 0;
    try {
      closedMs = await work();
    } finally {
      lane.running -= 1;
      if (closedMs > 0) lane.openAt = Math.max(lane.openAt, performance.now() + closedMs);
      this.#next(channel, lane);
    }
  }

  /** Nobody waits any longer. */
  stop(): void {
    this.#stopped = true;
    for (const lane of this.#lanes.values()) {
      clearTimeout(lane.timer);
      for (const queue of lane.waiting.values()) for (const wake of queue) wake();
      lane.waiting.clear();
    }
    this.#waiting = 0;
  }

  #lane(channel: string): Lane {
    const known = this.#lanes.get(channel);
    if (known) return known;
    if (this.#lanes.size > KEPT)
      for (const [name, lane] of this.#lanes) if (lane.running + lane.waiting.size === 0) this.#lanes.delete(name);
    const lane: Lane = { waiting: new Map(), served: new Map(), running: 0, openAt: 0, timer: undefined };
    this.#lanes.set(channel, lane);
    return lane;
  }

  #next(channel: string, lane: Lane): void {
    while (!this.#stopped && lane.running < AT_ONCE && lane.waiting.size > 0) {
      const closed = lane.openAt - performance.now();
      if (closed > 0) {
        lane.timer ??= setTimeout(() => {
          lane.timer = undefined;
          this.#next(channel, lane);
        }, closed + 1);
        return;
      }
      const who = this.#whose(lane);
      const queue = lane.waiting.get(who) ?? [];
      const wake = queue.shift();
      if (queue.length === 0) lane.waiting.delete(who);
      if (!wake) continue;
      this.#turns += 1;
      lane.served.delete(who);
      lane.served.set(who, this.#turns);
      const oldest = lane.served.keys().next().value;
      if (lane.served.size > KEPT && oldest !== undefined) lane.served.delete(oldest);
      lane.running += 1;
      this.#waiting -= 1;
      wake();
    }
  }

  /** Of those who wait, the one whose last turn is longest ago. */
  #whose(lane: Lane): string {
    let first = '';
    let least = Number.POSITIVE_INFINITY;
    for (const who of lane.waiting.keys()) {
      const at = lane.served.get(who) ?? 0;
      if (at < least) {
        first = who;
        least = at;
      }
    }
    return first;
  }
}
