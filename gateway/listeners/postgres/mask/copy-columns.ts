/** What is done to each column of a COPY … TO STDOUT: by position, since the server describes nothing. Pure. */
import { GatewayError } from '../../../errors.ts';
import type { Column, Snapshot } from '../catalog/snapshot.ts';
import type { Tree } from '../inspect/parser.ts';
import { isTree, listOf, stringOf, textOf } from '../inspect/tree.ts';
import type { Output } from '../lineage/plan.ts';
import type { CopyOut, StatementFacts } from '../types.ts';
import { quiet, type Treatment } from './columns.ts';
import type { CopyColumn } from './copy-out.ts';
import { copyShape } from './copy-shape.ts';

const PASS: Treatment = Object.freeze({ kind: 'pass' });
const TAINT: Treatment = Object.freeze({ kind: 'mask', format: Object.freeze({ kind: 'redact' }), why: 'taint' });

type Context = {
  readonly snapshot: Snapshot;
  readonly searchPath: readonly string[];
  readonly scans?: boolean | undefined;
};

/**
 * Undefined where its rows may pass as they are: nothing in them is masked, and no detector is on.
 * @throws GatewayError UNSUPPORTED where something must be masked in a layout that is not understood
 */
export function copyOutOf(body: Tree, guarded: StatementFacts['guarded'], context: Context): CopyOut | undefined {
  if (quiet(guarded?.plan) && !context.scans) return undefined;
  const shape = copyShape(body);
  if (!shape) {
    throw new GatewayError('UNSUPPORTED', 'the result of this COPY cannot be masked: its layout is not understood', {
      hint: 'Leave out ENCODING and unusual options; text, CSV and binary are understood.',
    });
  }
  if (quiet(guarded?.plan)) return { shape, columns: undefined, rest: PASS };
  const columns = isTree(body.relation)
    ? relationColumns(body, body.relation, guarded, context)
    : guarded?.plan.outputs?.map(queryColumn);
  return { shape, columns, rest: TAINT };
}

/** Of a relation: those listed, or all in order, generated ones left out as the server leaves them out. */
function relationColumns(
  body: Tree,
  range: Tree,
  guarded: StatementFacts['guarded'],
  { snapshot, searchPath }: Context,
): readonly CopyColumn[] | undefined {
  const schema = textOf(range.schemaname) || undefined;
  const [relation, ...others] = snapshot.relations(textOf(range.relname), schema, searchPath);
  if (!relation?.columns || others.length > 0 || !guarded) return undefined;
  const masked = guarded.masked.of(relation.oid);
  const listed = listOf(body.attlist).map(stringOf);
  const all = [...relation.columns.values()].sort((a, b) => a.number - b.number);
  const chosen: readonly (Column | undefined)[] =
    listed.length > 0
      ? listed.map((name) => (name === undefined ? undefined : relation.columns?.get(name)))
      : all.filter(({ number }) => !relation.made.has(number));
  if (chosen.some((column) => column === undefined)) return undefined;
  return (chosen as readonly Column[]).map(({ number, type }) => {
    const format = masked?.get(number);
    return { treatment: format ? { kind: 'mask', format, why: 'origin' } : PASS, typeOid: type };
  });
}

/** Of a query's result the types are not told: only a column that stands as it is has one that is known. */
const queryColumn = (output: Output): CopyColumn => {
  if (output.kind === 'clean') return { treatment: PASS, typeOid: 0 };
  if (output.kind === 'tainted') return { treatment: TAINT, typeOid: 0 };
  return { treatment: { kind: 'mask', format: output.format, why: 'origin' }, typeOid: output.type };
};
