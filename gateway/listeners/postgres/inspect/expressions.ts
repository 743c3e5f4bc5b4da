/** Walks every node of a query and gathers what it reads, writes and runs. A node it does not know is `unknown`. */
import { objectName, type Relation, type Snapshot, type WriteKind } from '../catalog/snapshot.ts';
import type { Findings } from './findings.ts';
import { LEAVES, PLAIN_NODES, typeOfField } from './nodes.ts';
import type { Tree } from './parser.ts';
import { harmlessSetConfig } from './settings.ts';
import { isTree, listOf, nodeOf, qualified, stringOf, stringsOf, textOf, treeOf, unwrap } from './tree.ts';
import { whereOf } from './truth.ts';

/** Names of CTEs in sight. */
type Scope = ReadonlySet<string>;
const COMPARISONS = ['=', '<>', '<', '>', '<=', '>='];
const QUERIES = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']);
export const isQuery = (type: string): boolean => QUERIES.has(type);

export class Walker {
  readonly #snapshot: Snapshot;
  readonly #searchPath: readonly string[];
  readonly #findings: Findings;
  /** What each FROM alias stands for; undefined for what is not a plain relation. */
  readonly #ranges = new Map<string, (readonly Relation[] | undefined)[]>();
  /** `a.b`: a column, or a call of the function b in disguise; settled when all aliases are known. */
  readonly #attributes: { readonly alias: string | undefined; readonly name: string }[] = [];

  constructor(options: { snapshot: Snapshot; searchPath: readonly string[]; findings: Findings }) {
    this.#snapshot = options.snapshot;
    this.#searchPath = options.searchPath;
    this.#findings = options.findings;
  }

  /** A whole statement or expression. */
  walk(node: unknown): void {
    this.#visit(node, new Set());
    this.#settleAttributes();
  }

  /** Only the code an already judged statement would run: functions, casts, operators; other nodes are passed over. */
  walkCode(node: unknown): void {
    if (Array.isArray(node)) for (const item of node) this.walkCode(item);
    if (!isTree(node)) return;
    const found = unwrap(node);
    if (found?.type === 'FuncCall') this.#call(found.body, { tolerant: true });
    for (const value of Object.values(node)) this.walkCode(value);
  }

  /** Relations a name may stand for, as objects; `?.name` when the catalogue knows none. */
  resolve(range: Tree): { readonly objects: readonly string[]; readonly relations: readonly Relation[] } {
    this.#findings.consulted = true;
    const schema = textOf(range.schemaname) || undefined;
    const name = textOf(range.relname);
    const relations = this.#snapshot.relations(name, schema, this.#searchPath);
    if (relations.length > 0) return { relations, objects: relations.map((r) => objectName(r.schema, r.name)) };
    return { relations, objects: [objectName(schema ?? '?', name)] };
  }

  /** What a function's or type's name (String list) may stand for; one nobody knows is where it would be made. */
  objectsNamed(list: unknown): readonly string[] {
    const { schema, name } = qualified(list);
    if (schema !== undefined) return [objectName(schema, name)];
    this.#findings.consulted = true;
    const known = [...this.#snapshot.functions(name), ...this.#snapshot.types(name), ...this.#snapshot.operators(name)];
    const own = known.filter((one) => one.schema !== 'pg_catalog').map((one) => objectName(one.schema, one.name));
    return own.length > 0 ? [...new Set(own)] : [objectName(this.#searchPath[0] ?? '?', name)];
  }

  /** Where a relation of this name would be made. */
  created(range: Tree): string {
    const schema = textOf(range.schemaname) || (range.relpersistence === 't' ? 'pg_temp' : this.#searchPath[0]) || '?';
    return objectName(schema, textOf(range.relname));
  }

  /** What a write to this relation does: there, below it, beside it. */
  write(range: Tree, action: WriteKind | 'copy-in', where?: 'present' | 'absent'): void {
    const { relations, objects } = this.#known(range);
    const condition = where && { where };
    for (const object of objects) this.#findings.add(action, object, condition);
    const kind: WriteKind = action === 'copy-in' ? 'insert' : action;
    for (const relation of relations) {
      for (const object of relation.writes) this.#findings.add(action, object, { ...condition, derived: true });
      for (const cascade of relation.cascades.filter((one) => one.on === kind)) {
        this.#findings.add(cascade.action, cascade.object, { ...condition, derived: true });
        this.#findings.risk(`cascades to ${cascade.object}`);
      }
      if (relation.rules.has(kind)) this.#runs(`rules on ${objectName(relation.schema, relation.name)}`);
      if (relation.triggers) this.#findings.risk('fires triggers');
      for (const hazard of relation.hazards) this.#runs(hazard);
    }
  }

  read(range: Tree, action: 'read' | 'copy-out' = 'read'): readonly Relation[] {
    const { relations, objects } = this.#known(range);
    for (const object of objects) this.#findings.add(action, object);
    for (const relation of relations) {
      for (const object of relation.reads) this.#findings.add('read', object, { derived: true });
      for (const hazard of relation.hazards) this.#runs(hazard);
    }
    return relations;
  }

  #known(range: Tree): ReturnType<Walker['resolve']> {
    const found = this.resolve(range);
    if (found.relations.length === 0) {
      this.#findings.missing = true;
      this.#findings.add('unknown', found.objects[0]!, { derived: true });
      this.#findings.risk('names a relation the catalogue does not know');
    }
    return found;
  }

  #runs(code: string): void {
    this.#findings.add('call', code, { derived: true });
    this.#findings.risk(`runs ${code}`);
  }

  #visit(node: unknown, scope: Scope, field = ''): void {
    if (Array.isArray(node)) for (const item of node) this.#visit(item, scope, field);
    if (!isTree(node) || Object.keys(node).length === 0) return; // `{}` stands for nothing
    const found = unwrap(node);
    const type = found?.type ?? typeOfField(field);
    const body = found?.body ?? node;
    if (type === undefined) this.#findings.add('unknown', `syntax ${field}`, { derived: true });
    else if (!LEAVES.has(type)) this.#enter(type, body, scope);
  }

  #children(body: Tree, scope: Scope, except: readonly string[] = []): void {
    for (const [field, value] of Object.entries(body)) {
      if (!except.includes(field)) this.#visit(value, scope, field);
    }
  }

  #enter(type: string, body: Tree, scope: Scope): void {
    switch (type) {
      case 'SelectStmt':
        this.#select(body, scope);
        return;
      case 'InsertStmt':
      case 'UpdateStmt':
      case 'DeleteStmt':
        this.#modify(type, body, this.#with(body, scope));
        return;
      case 'MergeStmt':
        this.#merge(body, this.#with(body, scope));
        return;
      case 'RangeVar':
        this.#range(body, scope);
        return;
      case 'ParamRef':
        this.#findings.parameters = Math.max(this.#findings.parameters, Number(body.number ?? 0));
        return;
      case 'ColumnRef':
        this.#column(body);
        return;
      case 'A_Indirection':
        for (const name of stringsOf(body.indirection)) this.#attributes.push({ alias: undefined, name });
        break;
      case 'FuncCall':
        this.#call(body, { tolerant: false });
        this.#children(body, scope, ['funcname']);
        return;
      case 'TypeName':
        this.#type(body);
        this.#visit(body.typmods, scope, 'typmods');
        return;
      case 'A_Expr':
        this.#operator(body);
        this.#children(body, scope, ['name']);
        return;
      case 'SubLink':
        if (listOf(body.operName).length > 0) this.#operatorNamed(body.operName);
        else if (body.testexpr !== undefined) this.#comparisons();
        this.#children(body, scope, ['operName']);
        return;
      case 'SortBy':
        if (listOf(body.useOp).length > 0) this.#operatorNamed(body.useOp);
        this.#children(body, scope, ['useOp']);
        return;
      case 'CaseExpr':
        if (body.arg !== undefined) this.#comparisons();
        break;
      case 'JoinExpr':
        if (body.isNatural || body.usingClause) this.#comparisons();
        break;
      case 'RangeTableSample':
        this.#functionNamed(body.method, false);
        this.#children(body, scope, ['method']);
        return;
      default:
        if (!PLAIN_NODES.has(type)) this.#findings.add('unknown', `syntax ${type}`, { derived: true });
    }
    const alias = textOf(treeOf(body.alias).aliasname);
    if (alias) this.#alias(alias, undefined);
    this.#children(body, scope);
  }

  /** The scope behind a WITH, after its members have been walked. Without RECURSIVE a member sees those before it. */
  #with(body: Tree, scope: Scope): Scope {
    const members = listOf(treeOf(body.withClause).ctes).map((member) => nodeOf(member, 'CommonTableExpr') ?? {});
    const names = members.map((member) => textOf(member.ctename));
    const recursive = treeOf(body.withClause).recursive === true;
    let inner: Set<string> = new Set(recursive ? [...scope, ...names] : scope);
    for (const [index, member] of members.entries()) {
      this.#visit(member.ctequery, inner, 'ctequery');
      if (member.cycle_clause !== undefined || member.search_clause !== undefined) {
        this.#comparisons();
        this.#children(treeOf(member.cycle_clause), inner);
      }
      inner = new Set([...inner, names[index]!]);
    }
    return inner;
  }

  #select(body: Tree, outer: Scope): void {
    const scope = this.#with(body, outer);
    const into = treeOf(body.intoClause).rel;
    if (into !== undefined) this.#findings.add('ddl', this.created(treeOf(into)));
    if (listOf(body.lockingClause).length > 0)
      this.#lock(
        body.fromClause,
        scope,
        whereOf(body.whereClause, () => false),
      );
    this.#children(body, scope, ['withClause', 'intoClause', 'lockingClause']);
  }

  /** SELECT … FOR UPDATE/SHARE asks for the right to write, writes row locks and makes others wait: an update. */
  #lock(node: unknown, scope: Scope, where: 'present' | 'absent'): void {
    if (Array.isArray(node)) for (const item of node) this.#lock(item, scope, where);
    if (!isTree(node)) return;
    const range = nodeOf(node, 'RangeVar');
    if (range && !this.#isCte(range, scope)) {
      this.write(range, 'update', where);
      this.#findings.risk('locks rows');
    }
    for (const value of Object.values(node)) this.#lock(value, scope, where);
  }

  #modify(type: 'InsertStmt' | 'UpdateStmt' | 'DeleteStmt', body: Tree, scope: Scope): void {
    const target = treeOf(body.relation);
    const relations = this.resolve(target).relations;
    const where = whereOf(body.whereClause, (column) => isNotNull(relations, column));
    if (type === 'InsertStmt') this.write(target, 'insert');
    else this.write(target, type === 'UpdateStmt' ? 'update' : 'delete', where);
    if (treeOf(body.onConflictClause).action === 'ONCONFLICT_UPDATE') this.write(target, 'update', 'present');
    if (body.returningClause !== undefined || listOf(body.returningList).length > 0) this.read(target);
    this.#alias(textOf(treeOf(target.alias).aliasname) || textOf(target.relname), relations);
    this.#children(body, scope, ['withClause', 'relation']);
  }

  #merge(body: Tree, scope: Scope): void {
    const target = treeOf(body.relation);
    const relations = this.resolve(target).relations;
    const notNull = (column: string) => isNotNull(relations, column);
    for (const clause of listOf(body.mergeWhenClauses).map((one) => nodeOf(one, 'MergeWhenClause') ?? {})) {
      const bySource = textOf(clause.matchKind).endsWith('NOT_MATCHED_BY_SOURCE');
      const limits = [clause.condition, ...(bySource ? [] : [body.joinCondition])].filter((one) => one !== undefined);
      const where = limits.some((one) => whereOf(one, notNull) === 'present') ? 'present' : 'absent';
      if (clause.commandType === 'CMD_INSERT') this.write(target, 'insert');
      else if (clause.commandType === 'CMD_UPDATE') this.write(target, 'update', where);
      else if (clause.commandType === 'CMD_DELETE') this.write(target, 'delete', where);
      else if (clause.commandType !== 'CMD_NOTHING') this.#findings.add('unknown', 'syntax MERGE', { derived: true });
    }
    this.read(target);
    this.#alias(textOf(treeOf(target.alias).aliasname) || textOf(target.relname), relations);
    this.#children(body, scope, ['withClause', 'relation']);
  }

  #isCte(range: Tree, scope: Scope): boolean {
    return !range.schemaname && scope.has(textOf(range.relname));
  }

  #range(body: Tree, scope: Scope): void {
    const alias = textOf(treeOf(body.alias).aliasname) || textOf(body.relname);
    const relations = this.#isCte(body, scope) ? undefined : this.read(body);
    this.#alias(alias, listOf(treeOf(body.alias).colnames).length > 0 ? undefined : relations);
  }

  #alias(name: string, relations: readonly Relation[] | undefined): void {
    const known = this.#ranges.get(name);
    if (known) known.push(relations);
    else this.#ranges.set(name, [relations]);
  }

  #column(body: Tree): void {
    const fields = listOf(body.fields).map(stringOf);
    const name = fields.at(-1);
    if (name !== undefined && fields.length > 1) this.#attributes.push({ alias: fields.at(-2), name });
  }

  #settleAttributes(): void {
    for (const { alias, name } of this.#attributes) {
      const ranges = alias === undefined ? undefined : this.#ranges.get(alias);
      const isColumn = ranges?.every((relations) => relations?.length && relations.every((r) => r.columns?.has(name)));
      if (!isColumn) this.#suspect(name, undefined);
    }
  }

  /** Whatever of that name would run code counts as called. Whether anything of that name exists is returned. */
  #suspect(name: string, schema: string | undefined): boolean {
    this.#findings.consulted = true;
    const functions = this.#snapshot.functions(name, schema);
    const types = this.#snapshot.types(name, schema);
    for (const one of [...functions, ...types].filter((candidate) => !candidate.harmless)) {
      const object = objectName(one.schema, one.name);
      this.#findings.add('call', object);
      this.#findings.risk(`calls ${object}`);
    }
    return functions.length > 0 || types.length > 0;
  }

  #call(body: Tree, { tolerant }: { tolerant: boolean }): void {
    if (body.agg_order !== undefined || body.agg_within_group) this.#comparisons();
    if (this.#setsHarmlessly(body)) return;
    this.#functionNamed(body.funcname, tolerant);
  }

  /** PostgreSQL's own `set_config` of a harmless setting does what the same SET would; drivers (asyncpg) send it so. */
  #setsHarmlessly(body: Tree): boolean {
    const { schema, name } = qualified(body.funcname);
    const setting = name === 'set_config' ? harmlessSetConfig(listOf(body.args)) : undefined;
    if (setting === undefined) return false;
    this.#findings.consulted = true;
    const candidates = this.#snapshot.functions(name, schema);
    if (candidates.length === 0 || candidates.some((one) => one.schema !== 'pg_catalog')) return false;
    this.#findings.add('session', setting);
    return true;
  }

  #functionNamed(names: unknown, tolerant: boolean): void {
    const { schema, name } = qualified(names);
    if (this.#suspect(name, schema) || tolerant) return;
    this.#findings.missing = true;
    const object = objectName(schema ?? '?', name);
    this.#findings.add('call', object);
    this.#findings.risk('calls a function the catalogue does not know');
  }

  #type(body: Tree): void {
    const { schema, name } = qualified(body.names);
    this.#findings.consulted = true;
    const types = this.#snapshot.types(name, schema);
    for (const type of types.filter((one) => !one.harmless)) this.#runs(`type ${objectName(type.schema, type.name)}`);
    if (types.length > 0 || name === '') return;
    this.#findings.missing = true;
    this.#findings.add('unknown', `type ${objectName(schema ?? '?', name)}`, { derived: true });
    this.#findings.risk('names a type the catalogue does not know');
  }

  #operator(body: Tree): void {
    const kind = textOf(body.kind);
    if (kind.includes('BETWEEN')) this.#comparisons();
    else this.#operatorNamed(body.name);
  }

  #operatorNamed(names: unknown): void {
    const { schema, name } = qualified(names);
    this.#findings.consulted = true;
    // `!=` and `<>` are one operator; the grammar says so for the plain form only.
    const candidates = this.#snapshot.operators(name === '!=' ? '<>' : name, schema);
    for (const one of candidates.filter((candidate) => !candidate.harmless))
      this.#runs(`operator ${objectName(one.schema, one.name)}`);
    if (candidates.length > 0) return;
    this.#findings.missing = true;
    this.#runs(`operator ${objectName(schema ?? '?', name)}`);
  }

  /** Forms that compare without naming an operator look up one of these. */
  #comparisons(): void {
    for (const name of COMPARISONS) this.#operatorNamed([{ String: { sval: name } }]);
  }
}

function isNotNull(relations: readonly Relation[], column: string): boolean {
  return relations.length > 0 && relations.every((relation) => relation.columns?.get(column)?.notNull === true);
}
