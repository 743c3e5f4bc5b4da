/** For tests of the lineage room: a described shop, and a statement's plan in short. */
import { describedCatalog } from '../../gateway/listeners/postgres/catalog/describe.ts';
import { maskedOf } from '../../gateway/listeners/postgres/catalog/masked.ts';
import { Parser } from '../../gateway/listeners/postgres/inspect/parser.ts';
import { planOf } from '../../gateway/listeners/postgres/lineage/lineage.ts';
import type { Plan } from '../../gateway/listeners/postgres/lineage/plan.ts';

const snapshot = describedCatalog({
  tables: {
    customers: ['id!', 'name', 'email', 'ssn', 'card_number', 'created_at'],
    orders: ['id!', 'customer_id', 'total', 'status', 'placed_at'],
    payments: ['id!', 'order_id', 'card_number', 'amount'],
    notes: ['id!', 'body'],
    numbers: ['n'],
    'app.customers': ['id', 'label'],
  },
  views: { v_customers: { columns: ['id', 'name', 'email'], reads: ['customers'] } },
  functions: { f_card: 'code', pure_upper: 'harmless' },
  operators: { '=#=': 'code' },
  types: { cardt: 'code', mood: 'harmless' },
});
const MASKED = new Set(['ssn', 'card_number', 'email']);
const masked = maskedOf(snapshot, {
  hasColumns: true,
  maskOf: (_schema, _table, column) => (MASKED.has(column) ? { kind: 'last4' } : undefined),
});
const parsers = new Map<number, Parser>();

/** Of the first statement of the text. */
export async function planned(
  text: string,
  { major = 18, predicates = 'audit' as 'audit' | 'equality-only' | 'hold', searchPath = ['public'] } = {},
): Promise<Plan> {
  const parser = parsers.get(major) ?? new Parser({ serverMajor: major, deadlineMs: 5_000 });
  parsers.set(major, parser);
  const [first] = await parser.parse(text);
  return planOf(first?.stmt, { snapshot, searchPath, masked, predicates });
}

/** `c` clean, `p` plain, `t` tainted, one letter a column; `?` where they cannot be told. */
export const letters = ({ outputs }: Plan): string => (outputs ? outputs.map(({ kind }) => kind[0]).join('') : '?');

export async function endParsers(): Promise<void> {
  for (const parser of parsers.values()) await parser.close();
  parsers.clear();
}
