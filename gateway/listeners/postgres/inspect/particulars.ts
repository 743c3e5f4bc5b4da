/** What a defining statement changes, in words behind its headline: columns, privileges, roles. Names alone, no literals. */
import { displayName, displayNames } from './names.ts';
import type { Tree } from './parser.ts';
import { listOf, nodeOf, stringsOf, textOf, treeOf } from './tree.ts';

const MAX_CHANGES = 3; // of one ALTER TABLE; the rest is counted

/** `: drops column total`, ` to bob`, `, with what depends on it`; empty where words and objects say it all. */
export function particularsOf(type: string, body: Tree): string {
  switch (type) {
    case 'AlterTableStmt':
      return changes(body);
    case 'RenameStmt': {
      const from = textOf(body.subname);
      const to = `to ${displayName(textOf(body.newname))}`;
      return from === '' || body.relation === undefined ? ` ${to}` : `: ${displayName(from)} ${to}`;
    }
    case 'AlterObjectSchemaStmt':
      return ` to ${displayName(textOf(body.newschema))}`;
    case 'AlterOwnerStmt':
    case 'ReassignOwnedStmt':
      return ` to ${roleName(body.newowner ?? body.newrole)}`;
    case 'GrantStmt':
      return grantees(body);
    case 'GrantRoleStmt':
      return ` ${body.is_grant ? 'to' : 'from'} ${rolesOf(body.grantee_roles)}`;
    case 'AlterDefaultPrivilegesStmt': {
      const grant = treeOf(body.action);
      return `: ${grantWords(grant)} new ${kindOf(grant)}s${grantees(grant)}`;
    }
    case 'CreateRoleStmt':
    case 'AlterRoleStmt':
      return roleOptions(body);
    case 'AlterRoleSetStmt':
    case 'AlterDatabaseSetStmt':
    case 'AlterSystemStmt':
      return setting(treeOf(body.setstmt));
    case 'CreateTableAsStmt':
      return ' from a query';
    case 'CreateTrigStmt':
      return `, runs ${displayName(stringsOf(body.funcname).join('.'))}()`;
    case 'DropStmt':
    case 'DropOwnedStmt':
      return body.behavior === 'DROP_CASCADE' ? ', with what depends on it' : '';
    case 'TruncateStmt':
      return body.behavior === 'DROP_CASCADE' ? ', with what refers to it' : '';
    default:
      return '';
  }
}

function setting({ kind, name }: Tree): string {
  const verb = textOf(kind).startsWith('VAR_RESET') ? 'resets' : 'sets';
  return `: ${verb} ${textOf(name) === '' ? 'all settings' : displayName(textOf(name))}`;
}

/** `GRANT SELECT, UPDATE on`, `REVOKE ALL on all tables in schema`, up to the objects it names. */
export function grantWords(body: Tree): string {
  const privileges = listOf(body.privileges).map((one) => privilege(nodeOf(one, 'AccessPriv') ?? {}));
  const kind = kindOf(body);
  const on =
    body.targtype === 'ACL_TARGET_ALL_IN_SCHEMA' ? `on all ${kind}s in schema` : kind === 'table' ? 'on' : `on ${kind}`;
  const what = body.targtype === 'ACL_TARGET_DEFAULTS' ? 'on' : on;
  return `${body.is_grant ? 'GRANT' : 'REVOKE'} ${listed(privileges) || 'ALL'} ${what}`;
}

const PRIVILEGES = new Set([
  ...['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN', 'USAGE', 'EXECUTE'],
  ...['CREATE', 'CONNECT', 'TEMPORARY', 'TEMP', 'SET', 'ALTER SYSTEM'],
]);

/** The grammar takes any word for a privilege. */
function privilege({ priv_name: name, cols }: Tree): string {
  const word = textOf(name).toUpperCase();
  const known = word === '' ? 'ALL' : PRIVILEGES.has(word) ? word : displayName(textOf(name));
  const columns = stringsOf(cols);
  return columns.length > 0 ? `${known} of ${displayNames(columns)}` : known;
}

const kindOf = (body: Tree): string =>
  (textOf(body.objtype) || 'OBJECT_TABLE').replace('OBJECT_', '').replaceAll('_', ' ').toLowerCase();

const grantees = (body: Tree): string =>
  ` ${body.is_grant ? 'to' : 'from'} ${rolesOf(body.grantees)}${body.is_grant && body.grant_option ? ', with grant option' : ''}`;

const rolesOf = (roles: unknown): string => listed(listOf(roles).map((role) => roleName(nodeOf(role, 'RoleSpec'))));

function roleName(role: unknown): string {
  const { roletype, rolename } = treeOf(role);
  const special = { ROLESPEC_PUBLIC: 'PUBLIC', ROLESPEC_CURRENT_ROLE: 'CURRENT_ROLE' }[textOf(roletype)];
  return special ?? (textOf(rolename) === '' ? 'the current user' : displayName(textOf(rolename)));
}

const ROLE_OPTIONS: Readonly<Record<string, string>> = {
  superuser: 'SUPERUSER',
  createrole: 'CREATEROLE',
  createdb: 'CREATEDB',
  canlogin: 'LOGIN',
  isreplication: 'REPLICATION',
  bypassrls: 'BYPASSRLS',
  inherit: 'INHERIT',
};
const ROLE_WORDS: Readonly<Record<string, string>> = {
  password: 'password',
  validUntil: 'valid until',
  connectionlimit: 'connection limit',
  rolemembers: 'members',
  adminmembers: 'members with admin option',
  addroleto: 'member of',
};

function roleOptions(body: Tree): string {
  const options = listOf(body.options).flatMap((option) => {
    const { defname, arg } = nodeOf(option, 'DefElem') ?? {};
    const flag = ROLE_OPTIONS[textOf(defname)];
    if (flag) return [nodeOf(arg, 'Boolean')?.boolval === true ? flag : `NO${flag}`];
    return ROLE_WORDS[textOf(defname)] ?? [];
  });
  return options.length > 0 ? `: ${options.join(', ')}` : '';
}

const listed = (parts: readonly string[]): string =>
  parts.length > 5 ? `${parts.slice(0, 5).join(', ')} and ${parts.length - 5} more` : parts.join(', ');

function changes(body: Tree): string {
  const said = listOf(body.cmds).map((command) => change(nodeOf(command, 'AlterTableCmd') ?? {}));
  const rest = said.length - MAX_CHANGES;
  return said.length === 0
    ? ''
    : `: ${said.slice(0, MAX_CHANGES).join(', ')}${rest > 0 ? ` and ${rest} more ${rest === 1 ? 'change' : 'changes'}` : ''}`;
}

const CONSTRAINTS: Readonly<Record<string, string>> = {
  CONSTR_FOREIGN: 'a foreign key',
  CONSTR_PRIMARY: 'a primary key',
  CONSTR_UNIQUE: 'a unique constraint',
  CONSTR_CHECK: 'a check',
  CONSTR_EXCLUSION: 'an exclusion constraint',
  CONSTR_NOTNULL: 'a NOT NULL constraint',
};

/** One subcommand. Those without words of their own are called by their name in the grammar. */
function change(command: Tree): string {
  const subtype = textOf(command.subtype).replace(/^AT_/, '') || 'AddColumn'; // protobuf leaves out what is zero
  const name = displayName(textOf(command.name));
  const definition = treeOf(command.def);
  const cascade = command.behavior === 'DROP_CASCADE' ? ' with what depends on it' : '';
  switch (subtype) {
    case 'AddColumn':
      return `adds column ${displayName(textOf(treeOf(definition.ColumnDef).colname))}`;
    case 'DropColumn':
      return `drops column ${name}${cascade}`;
    case 'AlterColumnType':
      return `changes the type of ${name}`;
    case 'ColumnDefault':
      return `${command.def === undefined ? 'drops' : 'sets'} the default of ${name}`;
    case 'SetNotNull':
      return `makes ${name} NOT NULL`;
    case 'DropNotNull':
      return `lets ${name} be NULL`;
    case 'AddConstraint':
    case 'AddIndex':
      return `adds ${CONSTRAINTS[textOf(treeOf(definition.Constraint).contype)] ?? 'a constraint'}`;
    case 'DropConstraint':
      return `drops constraint ${name}${cascade}`;
    case 'ValidateConstraint':
      return `validates constraint ${name}`;
    case 'AttachPartition':
    case 'DetachPartition': {
      const { relname } = treeOf(treeOf(definition.PartitionCmd).name);
      return `${subtype === 'AttachPartition' ? 'attaches' : 'detaches'} partition ${displayName(textOf(relname))}`;
    }
    case 'DisableTrig':
    case 'EnableTrig':
      return `${subtype === 'DisableTrig' ? 'disables' : 'enables'} trigger ${name}`;
    case 'DisableTrigAll':
    case 'DisableTrigUser':
      return 'disables its triggers';
    case 'EnableTrigAll':
    case 'EnableTrigUser':
      return 'enables its triggers';
    case 'ChangeOwner':
      return `changes its owner to ${roleName(command.newowner)}`;
    case 'EnableRowSecurity':
    case 'ForceRowSecurity':
      return 'turns row security on';
    case 'DisableRowSecurity':
    case 'NoForceRowSecurity':
      return 'turns row security off';
    case 'SetLogged':
      return 'makes it logged';
    case 'SetUnLogged':
      return 'makes it unlogged';
    default:
      return subtype.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  }
}
