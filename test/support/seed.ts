/** The seeded `orders` database: invented people, cards that pass Luhn, nothing real. */
import pg from 'pg';
import type { TestPostgres } from './postgres.ts';

export const UPSTREAM_ROLE = { user: 'gate', password: 'upstream-secret-the-agent-never-sees' } as const;

const CUSTOMERS = 5_000;
const ORDERS = 12_000;
const PAYMENTS = 8_000;
const GIVEN = ['Ada', 'Bruno', 'Chiara', 'Dmitri', 'Elif', 'Femi', 'Greta', 'Hiro', 'Ines', 'Jonas', 'Kamala', 'Liam'];
const FAMILY = [
  'Abbott',
  'Berg',
  'Castellan',
  'Dubois',
  'Eriksen',
  'Fontaine',
  'Gruber',
  'Haddad',
  'Ivanova',
  'Jensen',
  'Kowalski',
];
const STATUS = ['paid', 'paid', 'paid', 'shipped', 'shipped', 'pending', 'refunded'];

/** Creates role `gate` and database `orders`, owned by it, with tables, a view and rows. */
export async function seedOrders(server: TestPostgres): Promise<void> {
  await withClient(server.url('postgres'), async (client) => {
    await client.query(`CREATE ROLE ${UPSTREAM_ROLE.user} LOGIN PASSWORD '${UPSTREAM_ROLE.password}'`);
    await client.query(`CREATE DATABASE orders OWNER ${UPSTREAM_ROLE.user}`);
  });
  await withClient(server.url('orders', UPSTREAM_ROLE.user, UPSTREAM_ROLE.password), async (client) => {
    await client.query(`
      CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, ssn text NOT NULL, card_number text NOT NULL, created_at timestamptz NOT NULL);
      CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total numeric(10,2) NOT NULL, status text NOT NULL, placed_at timestamptz NOT NULL);
      CREATE TABLE payments (id int PRIMARY KEY, order_id int NOT NULL, card_number text NOT NULL, secret_no bigint NOT NULL, amount numeric(10,2) NOT NULL);
      CREATE VIEW customer_directory AS SELECT id, name, email, created_at FROM customers;
    `);
    await fill(client, 'customers', CUSTOMERS, (i) => {
      const name = `${GIVEN[i % GIVEN.length]} ${FAMILY[i % FAMILY.length]}`;
      const ssn = `${100 + (i % 565)}-${String(10 + (i % 89)).padStart(2, '0')}-${String(1000 + (i % 8999))}`;
      return [
        i,
        name,
        `${name.toLowerCase().replace(' ', '.')}.${i}@example.com`,
        ssn,
        cardNumber(i),
        daysAgo(i % 900),
      ];
    });
    await fill(client, 'orders', ORDERS, (i) => [
      i,
      1 + (i % CUSTOMERS),
      money(i),
      STATUS[i % STATUS.length],
      daysAgo(i % 90),
    ]);
    await fill(client, 'payments', PAYMENTS, (i) => [i, i, cardNumber(i), 4_000_000_000_000_000 + i * 7_919, money(i)]);
    await client.query('ANALYZE');
  });
}

/** Sixteen digits that pass Luhn, different for every `i`. */
export function cardNumber(i: number): string {
  const body = `411111${String(i).padStart(9, '0')}`;
  const sum = [...body].reduce((total, digit, at) => {
    const value = Number(digit) * (at % 2 === 0 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return body + String((10 - (sum % 10)) % 10);
}

const money = (i: number): string => (((i * 37) % 50_000) / 100 + 5).toFixed(2);
const daysAgo = (days: number): string => new Date(Date.UTC(2026, 10, 1) - days * 86_400_000).toISOString();

async function fill(client: pg.Client, table: string, count: number, row: (i: number) => unknown[]): Promise<void> {
  for (let from = 1; from <= count; from += 1_000) {
    const rows = Array.from({ length: Math.min(1_000, count - from + 1) }, (_, at) => row(from + at));
    const columns = (rows[0] ?? []).map((_, column) => rows.map((values) => values[column]));
    // One array a column; the server turns them back into rows and casts each to its column's type.
    const names = await client.query(
      'SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum',
      [table],
    );
    const arrays = names.rows.map((column: { type: string }, at) => `$${at + 1}::${column.type}[]`).join(', ');
    await client.query(`INSERT INTO ${table} SELECT * FROM unnest(${arrays})`, columns);
  }
}

/** Connect, use, close; whatever happens in between. */
export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
