/** A plan as EXPLAIN (FORMAT JSON) prints it, to the rows it would write. Knows numbers and names of relations: no condition is read. */

type Node = { readonly [key: string]: unknown };

/** What one node would write or lock. */
export type Written = { readonly operation: string; readonly rows: number };

/** Every node that writes or locks rows, the outermost first; empty where the plan is none. */
export function writtenBy(explained: unknown): readonly Written[] {
  const plan: unknown = Array.isArray(explained) ? (explained[0] as Node | undefined)?.Plan : undefined;
  const found: Written[] = [];
  gather(plan, found);
  return found;
}

function gather(node: unknown, found: Written[]): void {
  if (typeof node !== 'object' || node === null) return;
  const { Plans, Operation, 'Node Type': type, 'Plan Rows': own } = node as Node;
  const below: readonly unknown[] = Array.isArray(Plans) ? Plans : [];
  if (type === 'ModifyTable' || type === 'LockRows') {
    // What feeds it: up to release 13 one child a partition.
    const fed = below.filter((child) => FEEDS.has(String((child as Node)['Parent Relationship'])));
    const rows = type === 'LockRows' ? Number(own) : fed.reduce<number>((sum, child) => sum + rowsOf(child), 0);
    const operation = type === 'LockRows' ? 'locks' : String(Operation ?? 'writes').toUpperCase();
    if (Number.isFinite(rows)) found.push({ operation, rows });
  }
  for (const child of below) gather(child, found);
}

/** A relation that a plan reads, and so counts the rows of. */
export type Scanned = { readonly schema: string; readonly name: string };

/** Every relation whose rows it reads, where EXPLAIN was VERBOSE; those only written to are none of them. */
export function scannedBy(explained: unknown): readonly Scanned[] {
  const found = new Map<string, Scanned>();
  const look = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { Plans, 'Node Type': type, Schema: schema, 'Relation Name': name } = node as Node;
    if (type !== 'ModifyTable' && typeof schema === 'string' && typeof name === 'string')
      found.set(JSON.stringify([schema, name]), { schema, name });
    if (Array.isArray(Plans)) Plans.forEach(look);
  };
  look(Array.isArray(explained) ? (explained[0] as Node | undefined)?.Plan : undefined);
  return [...found.values()];
}

const FEEDS = new Set(['Outer', 'Member']);
const rowsOf = (node: unknown): number => Number((node as Node)['Plan Rows']) || 0;
