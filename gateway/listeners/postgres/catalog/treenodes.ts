/** The text of a stored expression (pg_node_tree), taken apart one node at a time. Linear; reads no meaning. */

import { endianness } from 'node:os';

/** A node that does not look as expected. Whoever meets it knows nothing. */
export class TreeError extends Error {}

/** A value in the text: where it begins and where it ends. */
export type Slice = { readonly from: number; readonly to: number };

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

/** Of each field where its name begins and ends, and where its value does: views have very many nodes. */
const PLACES = 4;

/** A node: what it is, and where its fields are. */
export class TreeNode {
  readonly #text: string;
  readonly #places: readonly number[];
  /** Where it begins. */
  readonly from: number;
  readonly type: string;

  constructor(text: string, from: number, type: string, places: readonly number[]) {
    this.#text = text;
    this.from = from;
    this.type = type;
    this.#places = places;
  }

  /** The value of a field; of two of one name the first. @throws TreeError where there is none */
  field(name: string): Slice {
    const places = this.#places;
    for (let at = 0; at < places.length; at += PLACES) {
      if (places[at + 1]! - places[at]! === name.length && this.#text.startsWith(name, places[at]))
        return { from: places[at + 2]!, to: places[at + 3]! };
    }
    throw new TreeError(`no ${name}`);
  }

  /** Fields that hold a node or a list, in their order. */
  nested(): readonly { readonly name: string; readonly value: Slice }[] {
    const places = this.#places;
    const found: { name: string; value: Slice }[] = [];
    for (let at = 0; at < places.length; at += PLACES) {
      const first = this.#text.charCodeAt(places[at + 2]!);
      if (first !== CURLY && first !== ROUND) continue;
      const name = this.#text.slice(places[at], places[at + 1]);
      found.push({ name, value: { from: places[at + 2]!, to: places[at + 3]! } });
    }
    return found;
  }
}

export class TreeText {
  readonly text: string;
  readonly #units: Uint16Array;
  readonly #brackets: Brackets;
  /** Of the node that is being read: it takes with it what it needs. */
  readonly #places: number[] = [];

  /** @throws TreeError */
  constructor(text: string) {
    this.text = text;
    this.#units = unitsOf(text);
    this.#brackets = bracketsOf(this.#units);
  }

  /** The value at `from`: a node, a list, or one word. */
  slice(from: number): Slice {
    return { from, to: this.#end(from) };
  }

  word({ from, to }: Slice): string {
    return this.text.slice(from, to);
  }

  isNode({ from }: Slice): boolean {
    return this.#units[from] === CURLY;
  }

  /** `<>` stands for nothing. */
  isEmpty({ from, to }: Slice): boolean {
    return to - from === 2 && this.text.startsWith('<>', from);
  }

  /** `{NAME :field value …}`. Names may begin with a colon too, so names and values are read in turn. @throws TreeError */
  node({ from, to }: Slice): TreeNode {
    if (this.#units[from] !== CURLY) throw new TreeError('not a node');
    const end = to - 1;
    let at = this.#end(from + 1);
    const type = this.text.slice(from + 1, at);
    const places = this.#places;
    let count = 0;
    for (at = this.#space(at); at < end; at = this.#space(at)) {
      if (this.#units[at] !== COLON) throw new TreeError('a field is missing');
      const nameEnd = this.#end(at);
      const value = this.#space(nameEnd);
      const valueEnd = this.#end(value);
      if (valueEnd > end || valueEnd === value) throw new TreeError('a value is missing');
      places[count++] = at + 1;
      places[count++] = nameEnd;
      places[count++] = value;
      places[count++] = valueEnd;
      at = this.#datum(valueEnd);
    }
    return new TreeNode(this.text, from, type, places.slice(0, count));
  }

  /** The members of a list; of a list of numbers (`(o 1 2)`) the words. `<>` is an empty list. @throws TreeError */
  list(slice: Slice): Slice[] {
    if (this.isEmpty(slice)) return [];
    if (this.#units[slice.from] !== ROUND) throw new TreeError('not a list');
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
    while (this.#units[next] === SPACE) next++;
    return next;
  }

  /** A constant's bytes follow its length: `4 [ 1 0 0 0 ]`. */
  #datum(at: number): number {
    const next = this.#space(at);
    if (this.#units[next] !== SQUARE) return next;
    let end = next;
    while (end < this.#units.length && this.#units[end] !== SQUARE_END) end++;
    return end + 1;
  }

  /** Where the value at `from` ends: behind its bracket, or its word. @throws TreeError */
  #end(from: number): number {
    const units = this.#units;
    if (from >= units.length) throw new TreeError('cut short');
    let at = from;
    for (; at < units.length; at++) {
      const char = units[at];
      if (char === BACKSLASH) at++;
      else if (char === SPACE || char === ROUND || char === ROUND_END || char === CURLY || char === CURLY_END) break;
    }
    return at === from ? this.#behind(from) : at;
  }

  /** The place behind the bracket that closes the one at `from`; `from` itself where none opens there. */
  #behind(from: number): number {
    const { opened, behind } = this.#brackets;
    let [low, high] = [0, opened.length - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const at = opened[middle]!;
      if (at === from) return behind[middle]!;
      if (at < from) low = middle + 1;
      else high = middle - 1;
    }
    return from;
  }
}

/** Opening brackets in their order, and of each the place behind its closing one. */
type Brackets = { readonly opened: readonly number[]; readonly behind: readonly number[] };

/** Found once, so that no reader walks over them again. @throws TreeError */
function bracketsOf(units: Uint16Array): Brackets {
  const opened: number[] = [];
  const behind: number[] = [];
  const open: number[] = [];
  for (let at = bracketFrom(units, 0); at < units.length; at = bracketFrom(units, at + 1)) {
    const char = units[at];
    if (char === ROUND || char === CURLY) {
      if (open.push(opened.length) > MAX_DEPTH) throw new TreeError('too deep');
      opened.push(at);
      behind.push(0);
      continue;
    }
    const last = open.pop();
    if (last === undefined || units[opened[last]!] !== (char === ROUND_END ? ROUND : CURLY)) {
      throw new TreeError('brackets that do not match');
    }
    behind[last] = at + 1;
  }
  if (open.length > 0) throw new TreeError('cut short');
  return { opened, behind };
}

/** Where the next bracket is; the end, or behind it, where there is none. */
function bracketFrom(units: Uint16Array, from: number): number {
  let at = from;
  for (; at < units.length; at++) {
    const char = units[at];
    if (char === ROUND || char === ROUND_END || char === CURLY || char === CURLY_END) return at;
    if (char === BACKSLASH) at++;
  }
  return at;
}

/** A text's UTF-16 units as numbers: of millions of characters each is asked for in a third of the time. */
function unitsOf(text: string): Uint16Array {
  const bytes = Buffer.allocUnsafeSlow(2 * text.length);
  bytes.write(text, 'utf16le');
  if (endianness() === 'BE') bytes.swap16();
  return new Uint16Array(bytes.buffer, bytes.byteOffset, text.length);
}
