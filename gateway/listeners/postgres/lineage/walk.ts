/** What the parts of this room share while one statement is followed. */
import { objectName, type Relation, type Snapshot } from '../catalog/snapshot.ts';
import type { Tree } from '../inspect/parser.ts';
import { listOf, qualified, textOf } from '../inspect/tree.ts';
import type { Code } from './code.ts';
import { anyOf, type Columns, openColumns, relationColumns } from './columns.ts';
import type { Ledger } from './ledger.ts';
import type { Masked } from './plan.ts';
import { cteOf, type Scope } from './scope.ts';
import { OPAQUE, type Value } from './value.ts';

export type Walk = {
  readonly snapshot: Snapshot;
  readonly searchPath: readonly string[];
  readonly masked: Masked;
  readonly ledger: Ledger;
  readonly code: Code;
  /** An expression's value. */
  value(node: unknown, scope: Scope): Value;
  /** An expression that decides which rows there are. */
  condition(node: unknown, scope: Scope): void;
  /** A statement that gives rows, wrapped; its columns. */
  query(node: unknown, scope: Scope): Columns;
  /** Something is looked at once more; a statement that asks for it too often is not followed. */
  again(): void;
  /** So many FROM items are searched: a statement that makes too much of that is not followed to its end. */
  search(count: number): void;
  /** The same of a bare SelectStmt. */
  select(body: Tree, scope: Scope): Columns;
};

/** Hold where there is a reason; what such code gives is anybody's guess. */
export function ask(walk: Walk, reason: string | undefined): boolean {
  if (reason === undefined) return false;
  walk.ledger.hold(reason);
  walk.ledger.opaque();
  return true;
}

/** An operator by name; without one, or for BETWEEN, the comparisons that such forms look up. */
export function askOperator(walk: Walk, { kind, name: names }: Tree): void {
  if (listOf(names).length === 0 || textOf(kind).includes('BETWEEN')) {
    ask(walk, walk.code.comparing());
    return;
  }
  const { name, schema } = qualified(names);
  ask(walk, walk.code.operator(name, schema));
}

export function relationsOf(walk: Walk, range: Tree): readonly Relation[] {
  const schema = textOf(range.schemaname) || undefined;
  return walk.snapshot.relations(textOf(range.relname), schema, walk.searchPath);
}

/** The columns a table name offers: a common table expression's, a relation's, or nobody knows. */
export function rangeColumns(walk: Walk, range: Tree, scope: Scope): Columns {
  const cte = range.schemaname ? undefined : cteOf(scope, textOf(range.relname));
  return cte ?? tableColumns(walk, range);
}

/** The same where only a relation can be meant. */
export function tableColumns(walk: Walk, range: Tree): Columns {
  const relations = relationsOf(walk, range);
  if (relations.length === 0) {
    ask(walk, 'names a relation the catalogue does not know');
    return openColumns(OPAQUE);
  }
  for (const relation of relations) touch(walk, relation);
  return anyOf(relations.map((relation) => relationColumns(relation, walk.masked)));
}

/** Write down that it, and what is below it, may show a masked value. */
function touch(walk: Walk, relation: Relation): void {
  const { masked, ledger, snapshot } = walk;
  const columns = relationColumns(relation, masked);
  if (columns.whole.kind === 'clean') return;
  ledger.touch(objectName(relation.schema, relation.name));
  for (const made of relation.made.values()) {
    const sources = made.kind === 'opaque' ? [] : made.kind === 'same' ? [made.of] : made.of;
    for (const source of sources) {
      const below = masked.of(source.relation) && snapshot.relationOf(source.relation);
      if (below) ledger.touch(objectName(below.schema, below.name));
    }
  }
}
