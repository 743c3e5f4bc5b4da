/** How many holds wait, by who asked and where: counted as they come and go, for thousands may wait at once. */
import { principalKey } from '../operation.ts';
import type { Hold } from './hold.ts';

type About = Pick<Hold, 'id' | 'operation'>;

export class Waiting {
  readonly #counted = new Set<string>();
  readonly #byPrincipal = new Map<string, number>();
  readonly #byConnection = new Map<string, number>();

  add({ id, operation }: About): void {
    if (this.#counted.has(id)) return;
    this.#counted.add(id);
    change(this.#byPrincipal, principalKey(operation.principal), 1);
    change(this.#byConnection, operation.connection, 1);
  }

  /** It is released or has ended. Once is enough; again changes nothing. */
  leave({ id, operation }: About): void {
    if (!this.#counted.delete(id)) return;
    change(this.#byPrincipal, principalKey(operation.principal), -1);
    change(this.#byConnection, operation.connection, -1);
  }

  /** Of the same principal, and on the same connection. */
  beside({ principal, connection }: Hold['operation']): { readonly mine: number; readonly here: number } {
    return {
      mine: this.#byPrincipal.get(principalKey(principal)) ?? 0,
      here: this.#byConnection.get(connection) ?? 0,
    };
  }
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
