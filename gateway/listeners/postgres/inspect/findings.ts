/** What one statement turns out to do, gathered while its tree is walked. */
import type { Action, Effect } from '../../../operation.ts';

export class Findings {
  readonly #effects = new Map<string, Effect>();
  readonly #risks = new Set<string>();
  /** Objects the statement names itself, by action: the headline's; the rest follows from the catalogue. */
  readonly #named = new Map<Action, Set<string>>();
  /** A name the catalogue does not know was used: worth another look at it. */
  missing = false;
  /** The catalogue was asked at all; statements that need none stay certain when it is stale. */
  consulted = false;
  parameters = 0;

  add(action: Action, object: string, options: { where?: 'present' | 'absent'; derived?: boolean } = {}): void {
    const key = `${action} ${object}`;
    const known = this.#effects.get(key);
    const where = known?.where === 'absent' ? 'absent' : options.where;
    this.#effects.set(key, { action, object, ...(where && { where }) });
    if (where === 'absent') this.risk('no WHERE');
    if (options.derived) return;
    const names = this.#named.get(action) ?? new Set();
    this.#named.set(action, names.add(object));
  }

  risk(text: string): void {
    this.#risks.add(text);
  }

  named(...actions: readonly Action[]): string[] {
    return [...new Set(actions.flatMap((action) => [...(this.#named.get(action) ?? [])]))];
  }

  where(action: Action): 'present' | 'absent' | undefined {
    for (const object of this.named(action)) {
      if (this.#effects.get(`${action} ${object}`)?.where === 'absent') return 'absent';
    }
    return undefined;
  }

  get effects(): readonly Effect[] {
    return [...this.#effects.values()];
  }

  get risks(): readonly string[] {
    return [...this.#risks];
  }

  /** Planning alone changes nothing that executing would: writes become looks, code stays code. */
  asPlanned(): readonly Effect[] {
    const planned = new Findings();
    for (const { action, object } of this.effects) {
      planned.add(['insert', 'update', 'delete', 'ddl'].includes(action) ? 'read' : action, object);
    }
    return planned.effects;
  }
}
