/** What a stored expression (pg_node_tree) refers to, by oid. Reads tokens; unknown nodes only add, never hide. */

export type TreeReferences = {
  readonly functions: readonly string[];
  readonly operators: readonly string[];
  readonly relations: readonly string[];
  readonly types: readonly string[];
};

/** Every field of a node that holds the oid of something that can run, or be read. */
const FIELDS: ReadonlyMap<string, keyof TreeReferences> = new Map([
  ['funcid', 'functions'],
  ['opfuncid', 'functions'],
  ['hashfuncid', 'functions'],
  ['negfuncid', 'functions'],
  ['aggfnoid', 'functions'],
  ['winfnoid', 'functions'],
  ['tsmhandler', 'functions'],
  ['opno', 'operators'],
  ['eqop', 'operators'],
  ['sortop', 'operators'],
  ['cycle_mark_neop', 'operators'],
  ['relid', 'relations'],
  ['resulttype', 'types'],
  ['typeId', 'types'],
  ['typid', 'types'], // what a JSON function returns
]);

/** The same for lists of oids. */
const LISTS: ReadonlyMap<string, keyof TreeReferences> = new Map([
  ['opnos', 'operators'],
  ['coltypes', 'types'], // columns of XMLTABLE and JSON_TABLE
  ['funccoltypes', 'types'], // … AS r (a sometype)
]);

/** Either kind of field. No two of its parts can match at one place: it looks at each character once or twice. */
const REFERENCES = new RegExp(
  `:(?:(${[...FIELDS.keys()].join('|')}) (\\d+)\\b|(${[...LISTS.keys()].join('|')}) \\(o ([\\d ]*)\\))`,
  'g',
);

export function treeReferences(tree: string): TreeReferences {
  const found: Record<keyof TreeReferences, Set<string>> = {
    functions: new Set(),
    operators: new Set(),
    relations: new Set(),
    types: new Set(),
  };
  for (const [, field, oid, listField, list] of tree.matchAll(REFERENCES)) {
    const kind = FIELDS.get(field!);
    if (kind && oid !== '0') found[kind].add(oid!);
    const listed = LISTS.get(listField!);
    if (listed) for (const one of list!.split(' ')) if (one) found[listed].add(one);
  }
  return {
    functions: [...found.functions],
    operators: [...found.operators],
    relations: [...found.relations],
    types: [...found.types],
  };
}

/** The parts of a stored expression that look at no column: the planner works them out, whatever is asked of the table. */
export function constantParts(tree: string): string {
  const open: { readonly from: number; variable: boolean }[] = [];
  const found: string[] = [];
  for (let at = 0; at < tree.length; at++) {
    const char = tree[at];
    if (char === '\\') at++;
    else if (char === '{') open.push({ from: at, variable: tree.startsWith('VAR ', at + 1) });
    else if (char === '}') {
      const node = open.pop();
      if (!node) continue;
      const parent = open.at(-1);
      if (!node.variable) found.push(tree.slice(node.from, at + 1));
      else if (parent) parent.variable = true;
    }
  }
  return found.join(' ');
}
