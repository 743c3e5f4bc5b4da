/** The text of a stored expression (pg_node_tree), taken apart one node at a time. Linear; reads no meaning. */

/** A node that does not look as expected. Whoever meets it knows nothing. */
export class TreeError extends Error {}

/** A value in the text: where it begins and where it ends. */
export type Slice = { readonly from: number; readonly to: number };
export type TreeNode = { readonly type: string; readonly fields: ReadonlyMap<string, Slice> };

const MAX_DEPTH = 1_000; // of brackets; PostgreSQL itself stops at a few thousand
const SPACE = 32;
const BACKSLASH = 92;
const COLON = 58;
const ROUND = 40;
const ROUND_END = 41;
const SQUARE = 91;
const SQUARE_END = 93;
const CURLY = 123;
const CURLY_END = 125;
const BRACKETS: ReadonlySet<number> = new Set([ROUND, ROUND_END, CURLY, CURLY_END]);

export class TreeText {
  readonly text: string;
  readonly #behind: Int32Array;

  /** @throws TreeError */
  constructor(text: string) {
    this.text = text;
    this.#behind = bracketsOf(text);
  }

  /** The value at `from`: a node, a list, or one word. */
  slice(from: number): Slice {
    return { from, to: this.#end(from) };
  }

  word({ from, to }: Slice): string {
    return this.text.slice(from, to);
  }

  isNode({ from }: Slice): boolean {
    return this.text.charCodeAt(from) === CURLY;
  }

  /** `<>` stands for nothing. */
  isEmpty({ from, to }: Slice): boolean {
    return to - from === 2 && this.text.startsWith('<>', from);
  }

  /** `{NAME :field value …}`. Names may begin with a colon too, so names and values are read in turn. @throws TreeError */
  node({ from, to }: Slice): TreeNode {
    if (this.text.charCodeAt(from) !== CURLY) throw new TreeError('not a node');
    const end = to - 1;
    let at = this.#end(from + 1);
    const type = this.text.slice(from + 1, at);
    const fields = new Map<string, Slice>();
    for (at = this.#space(at); at < end; at = this.#space(at)) {
      if (this.text.charCodeAt(at) !== COLON) throw new TreeError('a field is missing');
      const nameEnd = this.#end(at);
      const value = this.slice(this.#space(nameEnd));
      if (value.to > end || value.to === value.from) throw new TreeError('a value is missing');
      fields.set(this.text.slice(at + 1, nameEnd), value);
      at = this.#datum(value.to);
    }
    return { type, fields };
  }

  /** The members of a list; of a list of numbers (`(o 1 2)`) the words. `<>` is an empty list. @throws TreeError */
  list(slice: Slice): Slice[] {
    if (this.isEmpty(slice)) return [];
    if (this.text.charCodeAt(slice.from) !== ROUND) throw new TreeError('not a list');
    const items: Slice[] = [];
    for (let at = this.#space(slice.from + 1); at < slice.to - 1; ) {
      const item = this.slice(at);
      items.push(item);
      at = this.#space(item.to);
    }
    return items;
  }

  #space(at: number): number {
    let next = at;
    while (this.text.charCodeAt(next) === SPACE) next++;
    return next;
  }

  /** A constant's bytes follow its length: `4 [ 1 0 0 0 ]`. */
  #datum(at: number): number {
    const next = this.#space(at);
    if (this.text.charCodeAt(next) !== SQUARE) return next;
    let end = next;
    while (end < this.text.length && this.text.charCodeAt(end) !== SQUARE_END) end++;
    return end + 1;
  }

  /** Where the value at `from` ends: behind its bracket, or its word. @throws TreeError */
  #end(from: number): number {
    const { text } = this;
    if (from >= text.length) throw new TreeError('cut short');
    const behind = this.#behind[from];
    if (behind) return behind;
    let at = from;
    for (; at < text.length; at++) {
      const char = text.charCodeAt(at);
      if (char === BACKSLASH) at++;
      else if (char === SPACE || BRACKETS.has(char)) break;
    }
    return at;
  }
}

/** For each opening bracket the place behind its closing one: found once, so that no reader walks over it again. */
function bracketsOf(text: string): Int32Array {
  const behind = new Int32Array(text.length);
  const open: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === BACKSLASH) at++;
    else if (char === ROUND || char === CURLY) {
      if (open.push(at) > MAX_DEPTH) throw new TreeError('too deep');
    } else if (char === ROUND_END || char === CURLY_END) {
      const from = open.pop();
      if (from === undefined || text.charCodeAt(from) !== (char === ROUND_END ? ROUND : CURLY)) {
        throw new TreeError('brackets that do not match');
      }
      behind[from] = at + 1;
    }
  }
  if (open.length > 0) throw new TreeError('cut short');
  return behind;
}
