/** What the columns of a view are made of, told from its stored query. Whatever is not understood is opaque. */
import type { Made, Source } from './snapshot.ts';
import { type Slice, TreeError, type TreeNode, TreeText } from './treenodes.ts';

/** What an expression runs, as far as it matters here. */
export type Runs = {
  /** Nothing in the tree runs code that is not known to be harmless: then nobody has to ask of its parts. */
  readonly allHarmless: boolean;
  /** The same for a part of it. */
  readonly harmless: (part: string) => boolean;
  /** Functions (by oid) that show values of tables or of other sessions, and where PostgreSQL shows the same. */
  readonly reveals: ReadonlyMap<string, readonly Source[]>;
};

const OPAQUE: Made = { kind: 'opaque' };
const MAX_STEPS = 20_000; // nodes looked at for one column; a view of a thousand expressions has fewer
const MAX_NESTING = 200; // of expressions and queries

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/**
 * Nodes whose value comes from their parts and from nothing else, by the names that PostgreSQL's own outfuncs.c writes into
 * stored trees (the capitals of the node's C name, such as CoerceToDomain): those of release 15 and of later ones.
 */
const PLAIN = words(`
  CONST FUNCEXPR NAMEDARGEXPR OPEXPR DISTINCTEXPR NULLIFEXPR SCALARARRAYOPEXPR BOOLEXPR RELABELTYPE COERCEVIAIO
  ARRAYCOERCEEXPR COLLATEEXPR CASE CASEEXPR WHEN CASEWHEN CASETESTEXPR ARRAY ARRAYEXPR ROW ROWEXPR ROWCOMPARE
  ROWCOMPAREEXPR COALESCE COALESCEEXPR MINMAX MINMAXEXPR SQLVALUEFUNCTION XMLEXPR NULLTEST BOOLEANTEST COERCETODOMAIN
  COERCETODOMAINVALUE AGGREF GROUPINGFUNC WINDOWFUNC SUBSCRIPTINGREF FIELDSELECT TARGETENTRY SORTGROUPCLAUSE
  JSONVALUEEXPR JSONCONSTRUCTOREXPR JSONISPREDICATE JSONFORMAT JSONRETURNING JSONEXPR JSONBEHAVIOR SUBLINK
  RANGETBLFUNCTION
`);
/** Parts of a query that stands inside an expression. */
const QUERY_PARTS = words(`
  RTE RANGETBLENTRY ALIAS FROMEXPR JOINEXPR RANGETBLREF RTEPERMISSIONINFO COMMONTABLEEXPR SETOPERATIONSTMT GROUPINGSET
  WINDOWCLAUSE
`);

const NONE = words('');
const EXISTS = '0';
const PARAM_OF_SUBLINK = '2';
/** What EXISTS selects is not looked at. */
const TARGETS = words('targetList');
/** Of a table in such a query: nothing but names, and columns that count where somebody asks for them. */
const NAMES_ONLY = words('alias eref joinaliasvars');

/** A query whose tables and CTEs are in sight. */
type Scope = {
  readonly query: TreeNode;
  readonly tables: readonly Slice[];
  readonly targets: readonly TreeNode[];
  readonly outer: Scope | undefined;
};

/** Column number → what it is made of, from pg_rewrite.ev_action of a view's SELECT; undefined: nobody can say. */
export function madeOfView(action: string, runs: Runs): ReadonlyMap<number, Made> | undefined {
  try {
    return new Reading(action, runs).view();
  } catch (error) {
    if (error instanceof TreeError) return undefined;
    throw error;
  }
}

/** The columns of `relation` that a generated column's expression (pg_attrdef.adbin) looks at. */
export function madeOfExpression(tree: string, relation: number, runs: Runs): Made {
  try {
    return new Reading(tree, runs).expression(relation);
  } catch (error) {
    if (error instanceof TreeError) return OPAQUE;
    throw error;
  }
}

class Reading {
  readonly #text: TreeText;
  readonly #runs: Runs;
  readonly #nodes = new Map<number, TreeNode>();
  /** By where the query begins: which one is around it is settled by where it stands. */
  readonly #scopes = new Map<number, Scope>();
  /** Of one column. */
  #found = new Map<string, Source>();
  #seen = new Set<string>();
  #steps = 0;
  #depth = 0;
  #relation: number | undefined;

  constructor(text: string, runs: Runs) {
    this.#text = new TreeText(text);
    this.#runs = runs;
  }

  view(): ReadonlyMap<number, Made> {
    const queries = this.#text.list(this.#text.slice(0));
    const only = queries[0];
    if (!only || queries.length > 1) throw new TreeError('not one query');
    const scope = this.#scope(only, undefined);
    const made = new Map<number, Made>();
    for (const entry of scope.targets.filter((one) => this.#word(one, 'resjunk') === 'false')) {
      const [relation, column] = [this.#number(entry, 'resorigtbl'), this.#number(entry, 'resorigcol')];
      const number = this.#number(entry, 'resno');
      if (relation !== 0 && column > 0) made.set(number, { kind: 'same', of: { relation, column } });
      else
        made.set(
          number,
          this.#collected(() => this.#output(scope, number)),
        );
    }
    return made;
  }

  expression(relation: number): Made {
    this.#relation = relation;
    const whole = this.#text.slice(0);
    if (!this.#text.isNode(whole)) throw new TreeError('not an expression');
    return this.#collected(() => this.#part(whole, undefined));
  }

  #collected(collect: () => void): Made {
    this.#found = new Map();
    this.#seen = new Set();
    this.#steps = 0;
    this.#depth = 0;
    try {
      collect();
    } catch (error) {
      if (error instanceof TreeError) return OPAQUE;
      throw error;
    }
    return { kind: 'from', of: [...this.#found.values()] };
  }

  /** Column `number` of a query: of every branch, where it is a set operation. */
  #output(scope: Scope, number: number): void {
    if (!this.#once(scope.query, number)) return;
    const branches = scope.query.field('setOperations');
    if (!this.#text.isEmpty(branches)) {
      this.#branches(branches, number, scope);
      return;
    }
    const entry = scope.targets[number - 1]; // in the order of their numbers, hidden ones last
    if (!entry || this.#number(entry, 'resno') !== number || this.#word(entry, 'resjunk') !== 'false')
      throw new TreeError('no such column');
    this.#part(entry.field('expr'), scope);
  }

  #branches(slice: Slice, number: number, scope: Scope): void {
    if (++this.#depth > MAX_NESTING || ++this.#steps > MAX_STEPS) throw new TreeError('too much');
    const node = this.#node(slice);
    if (node.type === 'SETOPERATIONSTMT') {
      this.#branches(node.field('larg'), number, scope);
      this.#branches(node.field('rarg'), number, scope);
    } else {
      const table = scope.tables[this.#number(node, 'rtindex') - 1];
      if (!table) throw new TreeError('no such branch');
      this.#column(this.#node(table), number, scope);
    }
    this.#depth--;
  }

  /** A part whose code nobody has looked at yet. */
  #part(slice: Slice, scope: Scope | undefined): void {
    if (!this.#runs.allHarmless && !this.#runs.harmless(this.#text.word(slice))) throw new TreeError('runs code');
    this.#visit(slice, scope);
  }

  /** `passed`: fields of the node that do not matter. */
  #visit(slice: Slice, scope: Scope | undefined, passed: ReadonlySet<string> = NONE): void {
    if (++this.#depth > MAX_NESTING || ++this.#steps > MAX_STEPS) throw new TreeError('too much');
    if (this.#text.isNode(slice)) this.#visitNode(slice, scope, passed);
    else if (this.#text.text[slice.from] === '(') {
      for (const item of this.#text.list(slice)) {
        if (this.#text.isNode(item) || this.#text.text[item.from] === '(') this.#visit(item, scope);
      }
    }
    this.#depth--;
  }

  #visitNode(slice: Slice, scope: Scope | undefined, passed: ReadonlySet<string>): void {
    const node = this.#node(slice);
    if (node.type === 'VAR') {
      this.#variable(node, scope);
      return;
    }
    if (node.type === 'QUERY') {
      // Whatever a query inside an expression looks at may show in its value: its conditions too.
      const inner = this.#scope(slice, scope);
      for (const { name, value } of node.nested()) if (!passed.has(name)) this.#visit(value, inner);
      return;
    }
    // What a row of `x IN (SELECT …)` is held against; any other parameter is nobody's.
    if (node.type === 'PARAM' && this.#word(node, 'paramkind') === PARAM_OF_SUBLINK) return;
    const ofQuery = scope?.outer !== undefined && QUERY_PARTS.has(node.type);
    if (!PLAIN.has(node.type) && !ofQuery) throw new TreeError(`node ${node.type}`);
    if (node.type === 'FUNCEXPR') {
      for (const source of this.#runs.reveals.get(this.#word(node, 'funcid')) ?? []) this.#add(source);
    }
    // The value depends on how the rows are sorted and parted.
    if (node.type === 'WINDOWFUNC' && scope) {
      for (const entry of scope.targets) {
        if (this.#word(entry, 'ressortgroupref') !== '0' && this.#once(entry, 0)) {
          this.#part(entry.field('expr'), scope);
        }
      }
    }
    const exists = node.type === 'SUBLINK' && this.#word(node, 'subLinkType') === EXISTS;
    for (const { name, value } of node.nested()) {
      if (ofQuery && NAMES_ONLY.has(name)) continue;
      this.#visit(value, scope, exists && name === 'subselect' ? TARGETS : NONE);
    }
  }

  #variable(node: TreeNode, scope: Scope | undefined): void {
    const [table, column] = [this.#number(node, 'varno'), this.#number(node, 'varattno')];
    if (column === 0) throw new TreeError('a whole row');
    if (this.#relation !== undefined && scope === undefined) {
      if (table !== 1 || this.#number(node, 'varlevelsup') !== 0) throw new TreeError('not of the table');
      if (column > 0) this.#add({ relation: this.#relation, column });
      return;
    }
    const home = climb(scope, this.#number(node, 'varlevelsup'));
    const range = home.tables[table - 1];
    if (!range) throw new TreeError('no such table');
    this.#column(this.#node(range), column, home);
  }

  /** A column of a table of the query `home`. */
  #column(range: TreeNode, column: number, home: Scope): void {
    const kind = this.#word(range, 'rtekind');
    if (kind === '0') {
      // Below zero: ctid, tableoid and the like, no value of a column.
      if (column > 0) this.#add({ relation: this.#number(range, 'relid'), column });
      return;
    }
    if (column < 0) throw new TreeError('no such column');
    if (kind === '1') this.#output(this.#scope(range.field('subquery'), home), column);
    else if (kind === '6') this.#cte(range, column, home);
    else if (this.#once(range, column)) {
      const whole = kind === '3' ? 'functions' : kind === '5' ? 'values_lists' : undefined;
      const parts = kind === '2' ? 'joinaliasvars' : kind === '9' ? 'groupexprs' : undefined;
      const part = whole ? range.field(whole) : parts ? this.#text.list(range.field(parts))[column - 1] : undefined;
      if (!part || this.#text.isEmpty(part)) throw new TreeError('a table nobody knows');
      this.#part(part, home);
    }
  }

  #cte(range: TreeNode, column: number, home: Scope): void {
    const owner = climb(home, this.#number(range, 'ctelevelsup'));
    const name = this.#word(range, 'ctename');
    for (const slice of this.#text.list(owner.query.field('cteList'))) {
      const cte = this.#node(slice);
      if (this.#word(cte, 'ctename') === name) {
        this.#output(this.#scope(cte.field('ctequery'), owner), column);
        return;
      }
    }
    throw new TreeError('no such CTE');
  }

  #scope(slice: Slice, outer: Scope | undefined): Scope {
    const known = this.#scopes.get(slice.from);
    if (known) return known;
    const query = this.#node(slice);
    if (query.type !== 'QUERY' || this.#word(query, 'commandType') !== '1') throw new TreeError('not a SELECT');
    const targets = this.#text.list(query.field('targetList')).map((entry) => this.#node(entry));
    const scope = { query, tables: this.#text.list(query.field('rtable')), targets, outer };
    this.#scopes.set(slice.from, scope);
    return scope;
  }

  /** Not looked at for this column before? */
  #once(node: TreeNode, column: number): boolean {
    if (++this.#steps > MAX_STEPS) throw new TreeError('too much');
    const key = `${node.from}.${column}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  #add(source: Source): void {
    this.#found.set(`${source.relation}.${source.column}`, source);
  }

  #node(slice: Slice): TreeNode {
    const known = this.#nodes.get(slice.from);
    if (known) return known;
    const node = this.#text.node(slice);
    this.#nodes.set(slice.from, node);
    return node;
  }

  #word(node: TreeNode, name: string): string {
    return this.#text.word(node.field(name));
  }

  #number(node: TreeNode, name: string): number {
    const number = Number(this.#word(node, name));
    if (!Number.isSafeInteger(number)) throw new TreeError(`${name} is no number`);
    return number;
  }
}

function climb(scope: Scope | undefined, levels: number): Scope {
  let at = scope;
  for (let n = 0; n < levels; n++) at = at?.outer;
  if (!at) throw new TreeError('no such query');
  return at;
}
