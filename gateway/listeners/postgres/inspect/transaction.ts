/** How a statement goes along with a transaction: which refuse one, and which write more than they are counted for. */
import type { StatementFacts } from '../types.ts';
import type { Tree } from './parser.ts';
import { listOf, nodeOf, textOf, treeOf, unwrap } from './tree.ts';

/** Refused by the server in a transaction block, as PostgreSQL's reference says of each. */
const OUTSIDE: ReadonlySet<string> = new Set([
  'CreatedbStmt',
  'DropdbStmt',
  'CreateTableSpaceStmt',
  'DropTableSpaceStmt',
  'AlterSystemStmt',
  'CreateSubscriptionStmt',
  'DropSubscriptionStmt',
]);

export function tiesOf(
  found: { readonly type: string; readonly body: Tree } | undefined,
): Pick<StatementFacts, 'outside' | 'uncounted'> {
  if (!found) return {};
  const { type, body } = found;
  return { ...(isOutside(type, body) && { outside: true }), ...(writesInWith(body) && { uncounted: true }) };
}

function isOutside(type: string, body: Tree): boolean {
  switch (type) {
    case 'VacuumStmt':
      return body.is_vacuumcmd === true;
    case 'IndexStmt':
    case 'DropStmt':
      return body.concurrent === true;
    case 'ReindexStmt':
      return (
        ['REINDEX_OBJECT_SCHEMA', 'REINDEX_OBJECT_SYSTEM', 'REINDEX_OBJECT_DATABASE'].includes(textOf(body.kind)) ||
        listOf(body.params).some((option) => nodeOf(option, 'DefElem')?.defname === 'concurrently')
      );
    case 'ClusterStmt':
      return body.relation === undefined; // all tables, one transaction each
    case 'AlterDatabaseStmt':
      return listOf(body.options).some((option) => nodeOf(option, 'DefElem')?.defname === 'tablespace');
    case 'AlterTableStmt':
      return listOf(body.cmds).some((command) => {
        const { def } = nodeOf(command, 'AlterTableCmd') ?? {};
        return treeOf(treeOf(def).PartitionCmd).concurrent === true;
      });
    default:
      return OUTSIDE.has(type);
  }
}

/** The server counts the rows of the statement itself, not of those in its WITH. */
function writesInWith(body: Tree): boolean {
  return [body, nodeOf(body.selectStmt, 'SelectStmt') ?? {}, nodeOf(body.query, 'SelectStmt') ?? {}].some((query) =>
    listOf(treeOf(query.withClause).ctes).some((member) => {
      const inner = unwrap(nodeOf(member, 'CommonTableExpr')?.ctequery);
      return inner !== undefined && inner.type !== 'SelectStmt';
    }),
  );
}
