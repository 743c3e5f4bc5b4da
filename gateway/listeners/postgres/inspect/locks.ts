/** Which lock a statement takes on the relations it names, as PostgreSQL's documentation of explicit locking has it. */
import type { StatementFacts } from '../types.ts';
import type { Findings } from './findings.ts';
import type { Tree } from './parser.ts';
import { listOf, nodeOf, textOf, treeOf } from './tree.ts';

/** Weakest first; their numbers, from 1, are those of LOCK's parse tree. */
export const LOCK_MODES = [
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
] as const;
export type LockMode = (typeof LOCK_MODES)[number];

const STATEMENTS: Readonly<Record<string, LockMode>> = {
  InsertStmt: 'ROW EXCLUSIVE',
  UpdateStmt: 'ROW EXCLUSIVE',
  DeleteStmt: 'ROW EXCLUSIVE',
  MergeStmt: 'ROW EXCLUSIVE',
  CommentStmt: 'SHARE UPDATE EXCLUSIVE',
  CreateStatsStmt: 'SHARE UPDATE EXCLUSIVE',
  AlterSeqStmt: 'SHARE ROW EXCLUSIVE',
  CreateTrigStmt: 'SHARE ROW EXCLUSIVE',
  TruncateStmt: 'ACCESS EXCLUSIVE',
  ClusterStmt: 'ACCESS EXCLUSIVE',
  RenameStmt: 'ACCESS EXCLUSIVE',
  AlterObjectSchemaStmt: 'ACCESS EXCLUSIVE',
  RuleStmt: 'ACCESS EXCLUSIVE',
  CreatePolicyStmt: 'ACCESS EXCLUSIVE',
  AlterPolicyStmt: 'ACCESS EXCLUSIVE',
};

/** ALTER TABLE takes the strongest that one of its subcommands needs; of those not here the strongest there is. */
const SUBCOMMANDS: Readonly<Record<string, LockMode>> = {
  AT_SetStatistics: 'SHARE UPDATE EXCLUSIVE',
  AT_SetOptions: 'SHARE UPDATE EXCLUSIVE',
  AT_ResetOptions: 'SHARE UPDATE EXCLUSIVE',
  AT_ClusterOn: 'SHARE UPDATE EXCLUSIVE',
  AT_DropCluster: 'SHARE UPDATE EXCLUSIVE',
  AT_ValidateConstraint: 'SHARE UPDATE EXCLUSIVE',
  AT_AttachPartition: 'SHARE UPDATE EXCLUSIVE',
  AT_EnableTrig: 'SHARE ROW EXCLUSIVE',
  AT_EnableTrigAll: 'SHARE ROW EXCLUSIVE',
  AT_EnableTrigUser: 'SHARE ROW EXCLUSIVE',
  AT_EnableAlwaysTrig: 'SHARE ROW EXCLUSIVE',
  AT_EnableReplicaTrig: 'SHARE ROW EXCLUSIVE',
  AT_DisableTrig: 'SHARE ROW EXCLUSIVE',
  AT_DisableTrigAll: 'SHARE ROW EXCLUSIVE',
  AT_DisableTrigUser: 'SHARE ROW EXCLUSIVE',
};

/** Undefined where it locks nothing that others use (a new table, a role), or nobody knows. */
export function lockOf(type: string, body: Tree): LockMode | undefined {
  switch (type) {
    case 'SelectStmt':
      return listOf(body.lockingClause).length > 0 ? 'ROW SHARE' : undefined;
    case 'CopyStmt':
      return body.is_from ? 'ROW EXCLUSIVE' : undefined;
    case 'LockStmt':
      return LOCK_MODES[Number(body.mode ?? 8) - 1];
    case 'IndexStmt':
      return body.concurrent ? 'SHARE UPDATE EXCLUSIVE' : 'SHARE';
    case 'RefreshMatViewStmt':
      return body.concurrent ? 'EXCLUSIVE' : 'ACCESS EXCLUSIVE';
    case 'VacuumStmt':
      return has(body.options, 'full') ? 'ACCESS EXCLUSIVE' : 'SHARE UPDATE EXCLUSIVE';
    case 'ReindexStmt':
      return has(body.params, 'concurrently') ? 'SHARE UPDATE EXCLUSIVE' : 'SHARE';
    case 'DropStmt':
      return body.concurrent ? 'SHARE UPDATE EXCLUSIVE' : 'ACCESS EXCLUSIVE';
    case 'AlterTableStmt':
      return listOf(body.cmds)
        .map((command) => subcommand(nodeOf(command, 'AlterTableCmd') ?? {}))
        .reduce<LockMode>((a, b) => (LOCK_MODES.indexOf(b) > LOCK_MODES.indexOf(a) ? b : a), 'SHARE UPDATE EXCLUSIVE');
    default:
      return STATEMENTS[type];
  }
}

/** What a statement takes hold of: the relations it names to write or define, and its lock on them. */
export function graspOf(
  found: { readonly type: string; readonly body: Tree } | undefined,
  findings: Findings,
): Pick<StatementFacts, 'lock' | 'targets'> {
  const lock = found && lockOf(found.type, found.body);
  const targets = findings.named('insert', 'update', 'delete', 'ddl', 'dcl', 'copy-in');
  return { ...(lock && { lock }), ...(targets.length > 0 && { targets }) };
}

const has = (options: unknown, name: string): boolean =>
  listOf(options).some((option) => nodeOf(option, 'DefElem')?.defname === name);

function subcommand(command: Tree): LockMode {
  const subtype = textOf(command.subtype);
  const constraint = treeOf(treeOf(command.def).Constraint);
  if (subtype === 'AT_AddConstraint' && constraint.contype === 'CONSTR_FOREIGN') return 'SHARE ROW EXCLUSIVE';
  if (subtype === 'AT_DetachPartition') {
    return treeOf(treeOf(command.def).PartitionCmd).concurrent ? 'SHARE UPDATE EXCLUSIVE' : 'ACCESS EXCLUSIVE';
  }
  return SUBCOMMANDS[subtype] ?? 'ACCESS EXCLUSIVE';
}
