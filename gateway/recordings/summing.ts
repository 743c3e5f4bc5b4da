/** What is known of a session without opening its recording: counted up from the lines as they come. Pure. */
import { principalKey } from '../operation.ts';
import type { RecordedHead, SessionSummary, Verdict } from './shape.ts';

const MOST_RELATIONS = 200;
const VERDICTS: readonly Verdict[] = ['allow', 'hold', 'deny', 'refused'];

/** What of an entry of the audit trail, or of a line made of one, is counted. */
export type Counted = {
  readonly kind?: unknown;
  readonly verdict?: unknown;
  readonly effects?: unknown;
  readonly outcome?: unknown;
  /** The same operation again: the rest of its result is asked about, or its COMMIT. */
  readonly stopped?: unknown;
  readonly touched?: unknown;
  readonly reason?: unknown;
};

export class Summing {
  readonly #head: RecordedHead;
  readonly #file: string;
  readonly #verdicts = new Set<Verdict>();
  readonly #relations = new Set<string>();
  #seen: unknown;
  #more = false;
  #operations = 0;
  #held = 0;
  #denied = 0;
  #failed = 0;
  #end: { readonly at: number; readonly reason: string } | undefined;

  constructor(head: RecordedHead, file: string) {
    this.#head = head;
    this.#file = file;
  }

  /** `at`: epoch ms. */
  take({ kind, verdict, effects, outcome, stopped, touched, reason }: Counted, at: number): void {
    switch (kind) {
      case 'operation':
        if (stopped === undefined && touched === undefined) this.#operations++;
        this.#operation(verdict, effects);
        return;
      case 'outcome':
        if (outcome !== 'done') this.#failed++;
        return;
      case 'session.end':
        this.#end = { at, reason: String(reason ?? '') };
        return;
    }
  }

  summary(file: { readonly bytes: number; readonly sha256?: string }): SessionSummary {
    const { session, gateway, connection, environment, protocol, principal, startedAt } = this.#head;
    return {
      v: 1,
      session,
      gateway,
      connection,
      environment,
      protocol,
      principal: principalKey(principal),
      principalKind: principal.kind,
      name: principal.name,
      ...(principal.sponsor === undefined ? {} : { sponsor: principal.sponsor }),
      startedAt,
      ...(this.#end ? { endedAt: this.#end.at, reason: this.#end.reason.slice(0, 300) } : {}),
      operations: this.#operations,
      held: this.#held,
      denied: this.#denied,
      failed: this.#failed,
      verdicts: VERDICTS.filter((verdict) => this.#verdicts.has(verdict)),
      relations: [...this.#relations].sort(),
      ...(this.#more ? { moreRelations: true } : {}),
      file: this.#file,
      ...file,
    };
  }

  #operation(verdict: unknown, effects: unknown): void {
    const known = VERDICTS.find((each) => each === verdict);
    if (known) this.#verdicts.add(known);
    if (known === 'hold') this.#held++;
    if (known === 'deny' || known === 'refused') this.#denied++;
    if (effects === this.#seen || !Array.isArray(effects)) return; // the same statement again
    this.#seen = effects;
    for (const effect of effects) {
      const object: unknown = effect?.object;
      if (typeof object !== 'string' || object === '' || this.#relations.has(object)) continue;
      if (this.#relations.size < MOST_RELATIONS) this.#relations.add(object.slice(0, 200));
      else this.#more = true;
    }
  }
}
