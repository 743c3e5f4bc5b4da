/** Statements that define things: their class (ddl or dcl), the objects they name, and the words for the headline. */
import type { Action } from '../../../operation.ts';
import type { Walker } from './expressions.ts';
import type { Tree } from './parser.ts';
import { grantWords, particularsOf } from './particulars.ts';
import { isTree, listOf, nodeOf, stringOf, stringsOf, textOf, treeOf, unwrap } from './tree.ts';

type Kind = { readonly actions: readonly Action[]; readonly words: string };
const ddl = (words: string): Kind => ({ actions: ['ddl'], words });
const dcl = (words: string): Kind => ({ actions: ['dcl'], words });

/** Every defining statement there is. One that is not here is `unknown`. */
const KINDS: Readonly<Record<string, Kind>> = {
  CreateStmt: ddl('CREATE TABLE'),
  CreateForeignTableStmt: ddl('CREATE FOREIGN TABLE'),
  CreateTableAsStmt: ddl('CREATE TABLE'),
  ViewStmt: ddl('CREATE VIEW'),
  IndexStmt: ddl('CREATE INDEX on'),
  CreateSeqStmt: ddl('CREATE SEQUENCE'),
  AlterSeqStmt: ddl('ALTER SEQUENCE'),
  CreateSchemaStmt: ddl('CREATE SCHEMA'),
  CreateFunctionStmt: ddl('CREATE FUNCTION'),
  AlterFunctionStmt: ddl('ALTER FUNCTION'),
  CreateTrigStmt: ddl('CREATE TRIGGER on'),
  CreateEventTrigStmt: ddl('CREATE EVENT TRIGGER'),
  AlterEventTrigStmt: ddl('ALTER EVENT TRIGGER'),
  RuleStmt: ddl('CREATE RULE on'),
  CreateDomainStmt: ddl('CREATE DOMAIN'),
  AlterDomainStmt: ddl('ALTER DOMAIN'),
  CompositeTypeStmt: ddl('CREATE TYPE'),
  CreateEnumStmt: ddl('CREATE TYPE'),
  CreateRangeStmt: ddl('CREATE TYPE'),
  AlterEnumStmt: ddl('ALTER TYPE'),
  AlterTypeStmt: ddl('ALTER TYPE'),
  DefineStmt: ddl('CREATE'),
  CreateCastStmt: ddl('CREATE CAST'),
  CreateTransformStmt: ddl('CREATE TRANSFORM'),
  CreateConversionStmt: ddl('CREATE CONVERSION'),
  CreateOpClassStmt: ddl('CREATE OPERATOR CLASS'),
  CreateOpFamilyStmt: ddl('CREATE OPERATOR FAMILY'),
  AlterOpFamilyStmt: ddl('ALTER OPERATOR FAMILY'),
  AlterOperatorStmt: ddl('ALTER OPERATOR'),
  AlterCollationStmt: ddl('ALTER COLLATION'),
  CreateAmStmt: ddl('CREATE ACCESS METHOD'),
  CreatePLangStmt: ddl('CREATE LANGUAGE'),
  CreateStatsStmt: ddl('CREATE STATISTICS'),
  AlterStatsStmt: ddl('ALTER STATISTICS'),
  AlterTSDictionaryStmt: ddl('ALTER TEXT SEARCH DICTIONARY'),
  AlterTSConfigurationStmt: ddl('ALTER TEXT SEARCH CONFIGURATION'),
  CreateExtensionStmt: { actions: ['ddl', 'call'], words: 'CREATE EXTENSION' },
  AlterExtensionStmt: { actions: ['ddl', 'call'], words: 'ALTER EXTENSION' },
  AlterExtensionContentsStmt: ddl('ALTER EXTENSION'),
  CreateFdwStmt: ddl('CREATE FOREIGN DATA WRAPPER'),
  AlterFdwStmt: ddl('ALTER FOREIGN DATA WRAPPER'),
  CreateForeignServerStmt: ddl('CREATE SERVER'),
  AlterForeignServerStmt: ddl('ALTER SERVER'),
  ImportForeignSchemaStmt: { actions: ['ddl', 'call'], words: 'IMPORT FOREIGN SCHEMA' },
  CreatePublicationStmt: ddl('CREATE PUBLICATION'),
  AlterPublicationStmt: ddl('ALTER PUBLICATION'),
  CreateSubscriptionStmt: { actions: ['ddl', 'unknown'], words: 'CREATE SUBSCRIPTION' },
  AlterSubscriptionStmt: { actions: ['ddl', 'unknown'], words: 'ALTER SUBSCRIPTION' },
  DropSubscriptionStmt: { actions: ['ddl', 'unknown'], words: 'DROP SUBSCRIPTION' },
  CreatedbStmt: ddl('CREATE DATABASE'),
  AlterDatabaseStmt: ddl('ALTER DATABASE'),
  AlterDatabaseRefreshCollStmt: ddl('ALTER DATABASE'),
  DropdbStmt: ddl('DROP DATABASE'),
  CreateTableSpaceStmt: ddl('CREATE TABLESPACE'),
  DropTableSpaceStmt: ddl('DROP TABLESPACE'),
  AlterTableSpaceOptionsStmt: ddl('ALTER TABLESPACE'),
  AlterTableMoveAllStmt: ddl('ALTER TABLE ALL IN TABLESPACE'),
  AlterTableStmt: ddl('ALTER TABLE'),
  RenameStmt: ddl('RENAME'),
  AlterObjectSchemaStmt: ddl('SET SCHEMA of'),
  AlterObjectDependsStmt: ddl('ALTER'),
  CommentStmt: ddl('COMMENT on'),
  DropStmt: ddl('DROP'),
  TruncateStmt: ddl('TRUNCATE'),
  VacuumStmt: ddl('VACUUM'),
  ClusterStmt: ddl('CLUSTER'),
  ReindexStmt: ddl('REINDEX'),
  RefreshMatViewStmt: { actions: ['ddl', 'call'], words: 'REFRESH MATERIALIZED VIEW' },
  AlterOwnerStmt: dcl('CHANGE OWNER of'),
  GrantStmt: dcl('GRANT on'),
  GrantRoleStmt: dcl('GRANT ROLE'),
  AlterDefaultPrivilegesStmt: dcl('ALTER DEFAULT PRIVILEGES'),
  CreateRoleStmt: dcl('CREATE ROLE'),
  AlterRoleStmt: dcl('ALTER ROLE'),
  AlterRoleSetStmt: dcl('ALTER ROLE'),
  DropRoleStmt: dcl('DROP ROLE'),
  ReassignOwnedStmt: dcl('REASSIGN OWNED BY'),
  DropOwnedStmt: { actions: ['dcl', 'ddl'], words: 'DROP OWNED BY' },
  CreatePolicyStmt: dcl('CREATE POLICY on'),
  AlterPolicyStmt: dcl('ALTER POLICY on'),
  SecLabelStmt: dcl('SECURITY LABEL on'),
  CreateUserMappingStmt: dcl('CREATE USER MAPPING'),
  AlterUserMappingStmt: dcl('ALTER USER MAPPING'),
  DropUserMappingStmt: dcl('DROP USER MAPPING'),
  AlterDatabaseSetStmt: dcl('ALTER DATABASE'),
  AlterSystemStmt: { actions: ['dcl', 'unknown'], words: 'ALTER SYSTEM' },
};

/** Statements in which any literal may be a password or a connection string. */
export const SECRET_STATEMENTS: ReadonlySet<string> = new Set([
  'CreateRoleStmt',
  'AlterRoleStmt',
  'CreateUserMappingStmt',
  'AlterUserMappingStmt',
  'CreateSubscriptionStmt',
  'AlterSubscriptionStmt',
  'CreateForeignServerStmt',
  'AlterForeignServerStmt',
  'CreateFdwStmt',
  'AlterFdwStmt',
]);

/** ALTER TABLE subcommands that are about who may do what. */
const PRIVILEGE_COMMANDS = new Set([
  'AT_ChangeOwner',
  'AT_EnableRowSecurity',
  'AT_DisableRowSecurity',
  'AT_ForceRowSecurity',
  'AT_NoForceRowSecurity',
]);
const ROW_RELATIONS = new Set([
  'OBJECT_TABLE',
  'OBJECT_VIEW',
  'OBJECT_MATVIEW',
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_SEQUENCE',
  'OBJECT_INDEX',
]);
/** Named as table and own name: the table is what they are about. */
const TABLE_PARTS = new Set([
  'OBJECT_TRIGGER',
  'OBJECT_RULE',
  'OBJECT_POLICY',
  'OBJECT_COLUMN',
  'OBJECT_TABCONSTRAINT',
]);

export type Definition = {
  readonly actions: readonly Action[];
  readonly words: string;
  /** Objects named, and those that follow (partitions, parents, what TRUNCATE … CASCADE reaches). */
  readonly objects: readonly string[];
  readonly derived: readonly string[];
  readonly risks: readonly string[];
  /** The objects as the headline names them, and what follows there. */
  readonly heads: readonly string[];
  readonly particulars: string;
};

/** What a defining statement is; undefined when it is none. */
export function definitionOf(type: string, body: Tree, walker: Walker): Definition | undefined {
  const kind = KINDS[type];
  if (!kind) return undefined;
  const ranges = rangesOf(body);
  const resolved = ranges.map((range) => walker.resolve(range));
  const creates = /^CREATE (?:FOREIGN )?TABLE|^CREATE VIEW|^CREATE SEQ|^CREATE TYPE/.test(kind.words);
  const objects = resolved.flatMap((one, index) =>
    creates && one.relations.length === 0 ? [walker.created(ranges[index]!)] : one.objects,
  );
  const named = objects.length > 0 ? objects : namesOf(type, body, walker);
  const derived = resolved.flatMap((one) =>
    one.relations
      .filter((relation) => relation.kind !== 'view')
      .flatMap((relation) => [...relation.writes, ...(body.behavior === 'DROP_CASCADE' ? relation.referencedBy : [])]),
  );
  return {
    actions: actionsOf(type, body, kind),
    words: wordsOf(type, body, kind.words),
    objects: named.length > 0 ? named : [''],
    // Whom things are given to is named behind them.
    heads: type === 'ReassignOwnedStmt' ? named.slice(0, listOf(body.roles).length) : named,
    derived,
    risks: risksOf(type, body),
    particulars: particularsOf(type, body),
  };
}

function actionsOf(type: string, body: Tree, kind: Kind): readonly Action[] {
  const more = new Set<Action>(kind.actions);
  const objectType = textOf(body.removeType) || textOf(body.renameType) || textOf(body.objectType);
  if (objectType === 'OBJECT_POLICY' || objectType === 'OBJECT_ROLE' || objectType === 'OBJECT_USER_MAPPING')
    more.add('dcl');
  if (type === 'CreateSchemaStmt') {
    if (body.authrole !== undefined) more.add('dcl');
    if (listOf(body.schemaElts).some((element) => nodeOf(element, 'GrantStmt'))) more.add('dcl');
  }
  for (const command of type === 'AlterTableStmt' ? listOf(body.cmds) : []) {
    if (PRIVILEGE_COMMANDS.has(textOf(nodeOf(command, 'AlterTableCmd')?.subtype))) more.add('dcl');
  }
  return [...more];
}

function wordsOf(type: string, body: Tree, words: string): string {
  const kind = textOf(body.removeType) || textOf(body.objtype) || textOf(body.kind) || textOf(body.renameType);
  const object = kind.startsWith('OBJECT_')
    ? kind.slice('OBJECT_'.length).replaceAll('_', ' ').replace('MATVIEW', 'MATERIALIZED VIEW')
    : '';
  if (type === 'DropStmt' || type === 'DefineStmt' || type === 'AlterTableStmt') {
    const verb = type === 'AlterTableStmt' ? 'ALTER' : words;
    return object ? `${verb} ${object}${TABLE_PARTS.has(kind) ? ' on' : ''}` : words;
  }
  if (type === 'RenameStmt' && object) return TABLE_PARTS.has(kind) ? `RENAME ${object} on` : `RENAME ${object}`;
  if (type === 'CreateTableAsStmt' && kind === 'OBJECT_MATVIEW') return 'CREATE MATERIALIZED VIEW';
  if (type === 'GrantStmt') return grantWords(body);
  if (type === 'GrantRoleStmt' && !body.is_grant) return 'REVOKE ROLE';
  if (type === 'VacuumStmt') return body.is_vacuumcmd ? (isFull(body) ? 'VACUUM FULL' : words) : 'ANALYZE';
  if (type === 'IndexStmt' && body.unique) return 'CREATE UNIQUE INDEX on';
  if (type === 'CreateFunctionStmt')
    return `${body.replace ? 'CREATE OR REPLACE' : 'CREATE'} ${body.is_procedure ? 'PROCEDURE' : 'FUNCTION'}`;
  if (type === 'ViewStmt' && body.replace) return 'CREATE OR REPLACE VIEW';
  return words;
}

const isFull = (body: Tree): boolean =>
  listOf(body.options).some((option) => nodeOf(option, 'DefElem')?.defname === 'full');

function risksOf(type: string, body: Tree): readonly string[] {
  const risks: string[] = [];
  if (body.behavior === 'DROP_CASCADE') risks.push('CASCADE: what depends on it goes too');
  if (type === 'TruncateStmt') risks.push('empties the table');
  if (type === 'CreateFunctionStmt') risks.push('its body is code, not checked here');
  const definer = listOf(body.options).some((option) => {
    const element = nodeOf(option, 'DefElem');
    return element?.defname === 'security' && treeOf(treeOf(treeOf(element.arg).Boolean)).boolval === true;
  });
  if (definer) risks.push('SECURITY DEFINER');
  return risks;
}

/** The relations a defining statement is about: its own fields, not those inside its queries or expressions. */
function rangesOf(body: Tree): Tree[] {
  const own = [
    body.relation,
    body.view,
    body.sequence,
    body.typevar,
    body.table,
    treeOf(body.into).rel,
    treeOf(body.base).relation,
  ];
  const bare = own.filter((range) => isTree(range) && 'relname' in range).map(treeOf);
  const listed = [...listOf(body.relations), ...listOf(body.objects), ...listOf(body.rels)].flatMap((item) => {
    const range = nodeOf(item, 'RangeVar') ?? nodeOf(item, 'VacuumRelation')?.relation;
    return isTree(range) ? [range] : [];
  });
  const kind = textOf(body.removeType) || textOf(body.objtype);
  const single = body.object === undefined ? [] : [body.object];
  const named =
    ROW_RELATIONS.has(kind) || TABLE_PARTS.has(kind)
      ? [...listOf(body.objects), ...single]
          .map((item) => rangeOf(item, TABLE_PARTS.has(kind)))
          .filter((range) => range !== undefined)
      : [];
  return [...bare, ...listed, ...named];
}

function rangeOf(item: unknown, ownNameLast: boolean): Tree | undefined {
  const parts = stringsOf(nodeOf(item, 'List')?.items);
  const table = ownNameLast ? parts.slice(0, -1) : parts;
  if (table.length === 0) return undefined;
  return { relname: table.at(-1), ...(table.length > 1 && { schemaname: table.at(-2) }) };
}

/** Names of what is no relation: functions, types, schemas, roles, servers, databases. */
function namesOf(type: string, body: Tree, walker: Walker): string[] {
  if (type === 'CreateCastStmt') {
    return [body.sourcetype, body.targettype].flatMap((one) => walker.objectsNamed(treeOf(one).names));
  }
  const lists = [
    body.funcname,
    body.defnames,
    body.domainname,
    body.typeName,
    body.opfamilyname,
    body.opclassname,
    body.conversion_name,
    body.dictname,
    body.cfgname,
  ]
    .filter((list) => Array.isArray(list))
    .flatMap((list) => walker.objectsNamed(list));
  const roles = [...listOf(body.roles), ...listOf(body.granted_roles), body.role, body.newrole]
    .map(
      (role) =>
        textOf(treeOf(unwrap(role)?.body ?? role).rolename) || textOf(treeOf(unwrap(role)?.body ?? role).priv_name),
    )
    .filter((role) => role !== '');
  const plain = [
    'schemaname',
    'extname',
    'servername',
    'fdwname',
    'dbname',
    'tablespacename',
    'subname',
    'pubname',
    'trigname',
    'amname',
    'plname',
    'remote_schema',
    'role',
    'name',
    'subscriptionname',
  ]
    .map((field) => textOf(body[field]))
    .filter((name) => name !== '');
  const items = [...listOf(body.objects), body.object, body.func, body.opername]
    .flatMap((item) => objectsOf(item, walker))
    .filter((name) => name !== '');
  return [
    ...new Set([
      ...lists,
      ...items,
      ...(items.length + lists.length > 0 ? [] : plain),
      ...(items.length > 0 ? [] : roles),
    ]),
  ];
}

function objectsOf(item: unknown, walker: Walker): readonly string[] {
  const found = unwrap(item);
  if (found?.type === 'String') return [stringOf(item) ?? '']; // a schema, role, database, extension, …
  if (found?.type === 'List') return walker.objectsNamed(found.body.items);
  if (found?.type === 'TypeName') return walker.objectsNamed(found.body.names);
  const body = found?.body ?? treeOf(item);
  return Array.isArray(body.objname) ? walker.objectsNamed(body.objname) : [];
}
