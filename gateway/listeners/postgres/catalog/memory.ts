/** What earlier loads of one target worked out, by the text it was worked out of: most of a catalogue never changes. */
import { type TreeReferences, treeReferences } from './nodetree.ts';
import type { Column, Made } from './snapshot.ts';

/** Everything the load before the last one used, and this one did not, is forgotten. */
class Remembered<V> {
  readonly #make: (text: string) => V;
  #before: ReadonlyMap<string, V> = new Map();
  #now = new Map<string, V>();

  constructor(make: (text: string) => V) {
    this.#make = make;
  }

  of(text: string, make = this.#make): V {
    let value = this.#now.get(text);
    if (value === undefined) {
      value = this.#before.get(text) ?? make(text);
      this.#now.set(text, value);
    }
    return value;
  }

  turn(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }
}

export type Columns = ReadonlyMap<string, Column>;

/** Of one server: oids in stored trees mean something else on another. */
export class Memory {
  readonly columns = new Remembered(columnsOf);
  readonly references = new Remembered<TreeReferences>(treeReferences);
  /** Of views that run nothing but harmless code. */
  readonly views = new Remembered<ReadonlyMap<number, Made> | null>(() => null);

  /** After each load. */
  turn(): void {
    this.columns.turn();
    this.references.turn();
    this.views.turn();
  }
}

/** `[[name, number, not null, type], …]` in JSON. */
function columnsOf(json: string): Columns {
  const parsed = JSON.parse(json) as [string, number, boolean, number][];
  return new Map(parsed.map(([name, number, notNull, type]) => [name, { name, number, notNull, type }]));
}
