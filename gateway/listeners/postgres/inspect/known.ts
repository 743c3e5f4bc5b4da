/** What texts were found to do, by exact text and context. Bounded in number and in size; what is used lives on. */
import type { InspectContext, StatementFacts } from '../types.ts';

type Texts = Map<string, readonly StatementFacts[]>;

const MAX_CONTEXTS = 64; // search paths, roles, time zones: sessions of one connection share a few
const MAX_CHARACTERS = 8 << 20; // of text; what is known of one takes a few times its length

/** Two generations: what is asked for moves to the young one; when that is full, the old one is dropped whole. */
export class Known {
  readonly #entries: number;
  #young = new Map<string, Texts>();
  #old = new Map<string, Texts>();
  #count = 0;
  #characters = 0;
  /** Sessions ask with the same object again and again. */
  #keys = new WeakMap<InspectContext, string>();

  /** @param entries texts kept at most */
  constructor(entries: number) {
    this.#entries = entries;
  }

  get(context: InspectContext, text: string): readonly StatementFacts[] | undefined {
    const key = this.#key(context);
    const found = this.#young.get(key)?.get(text);
    if (found) return found;
    const before = this.#old.get(key)?.get(text);
    if (before) this.set(context, text, before);
    return before;
  }

  set(context: InspectContext, text: string, facts: readonly StatementFacts[]): void {
    const full = this.#count >= this.#entries / 2 || this.#characters >= MAX_CHARACTERS / 2;
    const key = this.#key(context);
    if (full || (this.#young.size >= MAX_CONTEXTS && !this.#young.has(key))) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#count = 0;
      this.#characters = 0;
    }
    const texts: Texts = this.#young.get(key) ?? new Map();
    texts.set(text, facts);
    this.#young.set(key, texts);
    this.#count++;
    this.#characters += text.length;
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#count = 0;
    this.#characters = 0;
  }

  #key(context: InspectContext): string {
    let key = this.#keys.get(context);
    if (key === undefined) {
      key = JSON.stringify([context.frame, context.searchPath, context.profile?.id]);
      this.#keys.set(context, key);
    }
    return key;
  }
}
