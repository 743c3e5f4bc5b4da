/** Statements planned again: the catalogue may change between a statement's verdict and its first row. */
import { isDeepStrictEqual } from 'node:util';
import type { Guard } from '../catalog/masked-columns.ts';
import type { Snapshot } from '../catalog/snapshot.ts';
import { planOf } from '../lineage/lineage.ts';
import type { StatementFacts } from '../types.ts';
import type { Parser } from './parser.ts';
import { nodeOf } from './tree.ts';

type Guarded = NonNullable<StatementFacts['guarded']>;
type Source = {
  readonly text: string;
  /** The statement is the one that the text's PREPARE or DECLARE names. */
  readonly inner: boolean;
  readonly searchPath: readonly string[];
};

export class Replanner {
  readonly #parser: Pick<Parser, 'parse'>;
  readonly #sources = new WeakMap<Guarded, Source>();

  constructor(parser: Pick<Parser, 'parse'>) {
    this.#parser = parser;
  }

  /** Remembers where a plan came from. */
  note({ guarded, text, session }: StatementFacts, searchPath: readonly string[]): void {
    if (guarded) this.#sources.set(guarded, { text, inner: false, searchPath });
    const inner = session.kind === 'prepare' || session.kind === 'declare' ? session.inner.guarded : undefined;
    if (inner) this.#sources.set(inner, { text, inner: true, searchPath });
  }

  /**
   * The plan under this catalogue, where it lets through what it let through before; undefined where it differs, and
   * where nobody can tell at once: either catalogue may have been the one it ran under.
   */
  again(guarded: Guarded, snapshot: Snapshot, guard: Guard): Guarded | undefined {
    const source = this.#sources.get(guarded);
    const statement = source && this.#statementOf(source);
    if (!statement) return undefined;
    const plan = planOf(statement, { snapshot, searchPath: source.searchPath, ...guard });
    const { outputs, touches, scrub } = guarded.plan;
    const same = isDeepStrictEqual([plan.outputs, plan.touches, plan.scrub], [outputs, touches, scrub]);
    return same ? { plan, masked: guard.masked } : undefined;
  }

  #statementOf({ text, inner }: Source): unknown {
    try {
      const parsed = this.#parser.parse(text);
      if (parsed instanceof Promise) {
        parsed.catch(() => undefined);
        return undefined; // rows wait for nobody: they are masked
      }
      const stmt = parsed.length === 1 ? parsed[0]?.stmt : undefined;
      return inner ? (nodeOf(stmt, 'PrepareStmt') ?? nodeOf(stmt, 'DeclareCursorStmt'))?.query : stmt;
    } catch {
      return undefined;
    }
  }
}
