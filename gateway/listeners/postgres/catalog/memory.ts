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

/** `["1!23 id", …]` in JSON: number, `!` where it is not null (else a blank), type and name. */
function columnsOf(json: string): Columns {
  const columns = new Map<string, Column>();
  for (const text of JSON.parse(json) as string[]) {
    const number = Number.parseInt(text, 10);
    const mark = `${number}`.length;
    const space = text.indexOf(' ', mark + 1);
    const name = text.slice(space + 1);
    columns.set(name, { name, number, notNull: text[mark] === '!', type: Number(text.slice(mark + 1, space)) });
  }
  return columns;
}
