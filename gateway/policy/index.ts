/** Finds the rules that may match without asking each: 10,000 rules about other tables cost nothing here. Pure. */
import type { Action } from '../operation.ts';
import { principalKey } from '../operation.ts';
import { glob } from './glob.ts';
import { type Asked, type Matcher, ruleMatcher, type Telling, tableNames } from './match.ts';
import type { Rule } from './policy.ts';

type Entry = { readonly rule: Rule; readonly order: number; readonly matches: Matcher };

/** The rules of one connection and action, filed under the narrowest exact name each one gives. */
class Shelf {
  readonly #byObject = new Map<string, Entry[]>();
  readonly #byPrincipal = new Map<string, Entry[]>();
  readonly #rest: Entry[] = [];

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      const { object, by } = entry.rule.match;
      if (object && allExact(object)) file(this.#byObject, object, entry);
      else if (by && allExact(by)) file(this.#byPrincipal, by, entry);
      else this.#rest.push(entry);
    }
  }

  candidates({ principal, effect: { object } }: Asked): ReadonlySet<Entry> {
    const found = new Set(this.#rest);
    const take = (among: Map<string, Entry[]>, key: string) => {
      for (const entry of among.get(key) ?? []) found.add(entry);
    };
    take(this.#byObject, object);
    for (const table of tableNames(object)) take(this.#byObject, table);
    take(this.#byPrincipal, principal.name);
    take(this.#byPrincipal, principalKey(principal));
    return found;
  }
}

export class RuleIndex {
  readonly #entries: readonly Entry[];
  readonly #shelves = new Map<string, Shelf>();

  constructor(rules: readonly Rule[], telling: Telling) {
    this.#entries = rules.map((rule, order) => ({ rule, order, matches: ruleMatcher(rule, telling) }));
  }

  /** Every rule that matches, in the order given. */
  matching(asked: Asked): Rule[] {
    const candidates = this.#shelf(asked.connection, asked.effect.action).candidates(asked);
    return [...candidates]
      .filter(({ matches }) => matches(asked))
      .sort((a, b) => a.order - b.order)
      .map(({ rule }) => rule);
  }

  /** Made when first asked for; there are only as many as configured connections times actions. */
  #shelf(connection: string, action: Action): Shelf {
    const key = `${connection} ${action}`;
    let shelf = this.#shelves.get(key);
    if (!shelf) {
      const speaksOf = ({ rule: { match } }: Entry) =>
        (!match.action || match.action.includes(action)) &&
        (!match.connection || match.connection.some((pattern) => glob(pattern).matches(connection)));
      shelf = new Shelf(this.#entries.filter(speaksOf));
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }
}

const allExact = (patterns: readonly string[]) => patterns.every((pattern) => glob(pattern).exact);

function file(among: Map<string, Entry[]>, keys: readonly string[], entry: Entry): void {
  for (const key of keys) {
    const entries = among.get(key);
    if (entries) entries.push(entry);
    else among.set(key, [entry]);
  }
}
