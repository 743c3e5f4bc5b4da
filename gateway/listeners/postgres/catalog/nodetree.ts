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
]);

export function treeReferences(tree: string): TreeReferences {
  const found: Record<keyof TreeReferences, Set<string>> = {
    functions: new Set(),
    operators: new Set(),
    relations: new Set(),
    types: new Set(),
  };
  for (const [, field, oid] of tree.matchAll(/:(\w+) (\d+)\b/g)) {
    const kind = FIELDS.get(field!);
    if (kind && oid !== '0') found[kind].add(oid!);
  }
  for (const [, list] of tree.matchAll(/:opnos \(o ([\d ]*)\)/g))
    for (const oid of list!.split(' ')) if (oid) found.operators.add(oid);
  return {
    functions: [...found.functions],
    operators: [...found.operators],
    relations: [...found.relations],
    types: [...found.types],
  };
}
