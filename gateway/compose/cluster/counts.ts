/** Places that all workers have together: who has how many of what. Pure. */
import type { Wanted } from '../../listeners/listener.ts';

export class Counts {
  readonly #counts = new Map<string, number>();
  /** Of each worker: its places, and the keys each counts under. */
  readonly #places = new Map<number, Map<number, readonly string[]>>();

  /** All of them or none: answers the first key that is full. */
  take(
    worker: number,
    place: number,
    wanted: readonly Wanted[],
  ): { readonly full: string; readonly count: number } | undefined {
    for (const { key, most } of wanted) {
      const count = this.#counts.get(key) ?? 0;
      if (count >= most) return { full: key, count };
    }
    this.add(
      worker,
      place,
      wanted.map(({ key }) => key),
    );
    return undefined;
  }

  /** Whatever the count. */
  add(worker: number, place: number, keys: readonly string[]): void {
    const mine = this.#places.get(worker) ?? new Map<number, readonly string[]>();
    this.#places.set(worker, mine.set(place, keys));
    for (const key of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  give(worker: number, place: number): void {
    const keys = this.#places.get(worker)?.get(place) ?? [];
    this.#places.get(worker)?.delete(place);
    for (const key of keys) {
      const left = (this.#counts.get(key) ?? 0) - 1;
      if (left > 0) this.#counts.set(key, left);
      else this.#counts.delete(key);
    }
  }

  /** A worker has ended: what it had is free. */
  forget(worker: number): void {
    for (const place of [...(this.#places.get(worker)?.keys() ?? [])]) this.give(worker, place);
    this.#places.delete(worker);
  }
}
