/** One session's recording on its way to the thread that writes it: what the trail says and what the client got, in order. */
import type { Given, Tape } from '../listeners/listener.ts';
import type { RecordedHead, SessionSummary } from './shape.ts';
import { type Counted, Summing } from './summing.ts';

const PIECE_WEIGHT = 64; // bytes a line costs besides its text

export type ReelDeps = {
  readonly resultBytes: number;
  readonly now: () => number;
  /** It has something to write, of so much more weight. */
  readonly onMore: (reel: Reel, weight: number) => void;
  readonly full: (reel: Reel, again: () => void) => boolean;
  readonly onEnd: (reel: Reel) => void;
};

export class Reel implements Tape {
  readonly head: RecordedHead;
  /** Below the directory of recordings; and with it. */
  readonly file: string;
  readonly path: string;
  readonly summing: Summing;
  readonly resultBytes: number;
  readonly #deps: ReelDeps;
  #times: number[] = [];
  #pieces: (string | Given)[] = [];
  #weight = 0;
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

  constructor(head: RecordedHead, file: string, path: string, deps: ReelDeps) {
    this.head = head;
    this.file = file;
    this.path = path;
    this.summing = new Summing(head, file);
    this.resultBytes = deps.resultBytes;
    this.#deps = deps;
  }

  /** An entry of the audit trail, as it was written there. */
  entry(entry: Counted, members: string): void {
    const at = this.#deps.now();
    this.summing.take(entry, at);
    this.changed = true;
    this.#add(members, at, members.length);
  }

  given(piece: Given): void {
    if (!this.ended) this.#add(piece, this.#deps.now(), piece.weight);
  }

  full(again: () => void): boolean {
    return this.#deps.full(this, again);
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#deps.onEnd(this);
  }

  /** What came since the last time, as text; and what it weighed. */
  take(): { readonly text: string; readonly weight: number } {
    let text = '';
    const { startedAt } = this.head;
    for (let at = 0; at < this.#pieces.length; at++) {
      const piece = this.#pieces[at]!;
      text += `{"t":${this.#times[at]! - startedAt},${typeof piece === 'string' ? piece : piece.members()}}\n`;
    }
    const weight = this.#weight;
    this.lines += this.#pieces.length;
    this.#times = [];
    this.#pieces = [];
    this.#weight = 0;
    return { text, weight };
  }

  get summary(): SessionSummary {
    const { bytes, sha256 } = this;
    return this.summing.summary({ bytes, ...(sha256 === undefined ? {} : { sha256 }) });
  }

  #add(piece: string | Given, at: number, size: number): void {
    const weight = size + PIECE_WEIGHT;
    this.#times.push(at);
    this.#pieces.push(piece);
    this.#weight += weight;
    this.#deps.onMore(this, weight);
  }
}
