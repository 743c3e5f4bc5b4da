/** One session's recording on its way to the thread that writes it: what the trail says and what the client got, in order. */
import type { Tape } from '../listeners/listener.ts';
import type { RecordedHead, SessionSummary } from './shape.ts';
import { type Counted, Summing } from './summing.ts';

export type ReelDeps = {
  readonly resultBytes: number;
  readonly now: () => number;
  /** A line of it, `t` ms after its start. */
  readonly onLine: (reel: Reel, t: number, members: string | Uint8Array) => void;
  readonly full: (reel: Reel, again: () => void) => boolean;
  readonly onEnd: (reel: Reel) => void;
};

/** Where it is written: the thread's name for it, and the file, below the directory of recordings and with it. */
type Place = { readonly slot: number; readonly file: string; readonly path: string };

export class Reel implements Tape {
  readonly head: RecordedHead;
  readonly place: Place;
  readonly summing: Summing;
  readonly resultBytes: number;
  readonly #deps: ReelDeps;
  /** As the thread last said, of the file. */
  bytes = 0;
  sha256: string | undefined;
  /** Lines that are on their way to the file, or in it; the head is none. */
  lines = 0;
  /** Nothing more comes. */
  ended = false;
  /** Its summary, since others were told of it. */
  changed = true;
  /** Hear each batch of lines as it leaves for the file; an empty one is the end. */
  readonly listeners = new Set<(text: string) => void>();

  constructor(head: RecordedHead, place: Place, deps: ReelDeps) {
    this.head = head;
    this.place = place;
    this.summing = new Summing(head, place.file);
    this.resultBytes = deps.resultBytes;
    this.#deps = deps;
  }

  /** An entry of the audit trail, as it was written there. */
  entry(entry: Counted, members: string | Uint8Array): void {
    const at = this.#deps.now();
    this.summing.take(entry, at);
    this.changed = true;
    this.#add(members, at);
  }

  given(members: string): void {
    if (!this.ended) this.#add(members, this.#deps.now());
  }

  full(again: () => void): boolean {
    return this.#deps.full(this, again);
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#deps.onEnd(this);
  }

  get summary(): SessionSummary {
    const { bytes, sha256 } = this;
    return this.summing.summary({ bytes, ...(sha256 === undefined ? {} : { sha256 }) });
  }

  #add(members: string | Uint8Array, at: number): void {
    this.lines++;
    this.#deps.onLine(this, at - this.head.startedAt, members);
  }
}
