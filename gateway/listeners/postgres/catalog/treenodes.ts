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
const [ROUND, ROUND_END] = [40, 41];
const [SQUARE, SQUARE_END] = [91, 93];
const [CURLY, CURLY_END] = [123, 125];

export class TreeText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
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
      if (value.to > end) throw new TreeError('a value is missing');
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

  #end(from: number): number {
    const { text } = this;
    let depth = 0;
    for (let at = from; at < text.length; at++) {
      const char = text.charCodeAt(at);
      if (char === BACKSLASH) at++;
      else if (char === ROUND || char === CURLY) {
        if (depth === 0 && at > from) return at;
        if (++depth > MAX_DEPTH) throw new TreeError('too deep');
      } else if (char === ROUND_END || char === CURLY_END) {
        if (depth === 0) return at;
        if (--depth === 0) return at + 1;
      } else if (char === SPACE && depth === 0) return at;
    }
    if (depth > 0 || from >= text.length) throw new TreeError('cut short');
    return text.length;
  }
}
