/** What a catalogue of a thousand tables costs: loading it, looking whether it changed, following masked columns. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pg from 'pg';
import type { Catalog, CatalogClient } from '../../gateway/listeners/postgres/catalog/catalog.ts';
import type { Snapshot } from '../../gateway/listeners/postgres/catalog/snapshot.ts';
import { shown, spread } from './figures.ts';
import type { Row } from './report.ts';

const TABLES = 1_000;
const COLUMNS = 20;
const VIEWS = 300;
const FUNCTIONS = 300;
const DATABASE = 'catalogue_bench';
const LOAD_GOAL_MS = 150;
const FOLLOW_GOAL_MS = 20;
const BATCH = 100;
setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** The compiled code: what the sources' own loader adds to them is no cost of the product. */
type Product = Pick<typeof import('../../gateway/listeners/postgres/catalog/catalog.ts'), 'createCatalog'> &
  Pick<typeof import('../../gateway/listeners/postgres/catalog/masked.ts'), 'maskedOf'>;

/**
 * Seeds a database of its own on the server at `url(database)` (a superuser's), measures the product compiled to `dist`,
 * and drops it. Milliseconds; `rounds` loads, the first of them cold.
 */
export async function catalogRows(
  dist: string,
  url: (database: string) => string,
  rounds: number,
): Promise<readonly Row[]> {
  const compiled = (name: string) =>
    import(pathToFileURL(join(dist, 'gateway/listeners/postgres/catalog', `${name}.js`)).href);
  const product: Product = { ...(await compiled('catalog')), ...(await compiled('masked')) };
  const admin = await connected(url('postgres'));
  try {
    await admin.query(`drop database if exists ${DATABASE} with (force)`);
    await admin.query(`create database ${DATABASE}`);
    await seed(url(DATABASE));
    return await measured(product, url(DATABASE), rounds);
  } finally {
    await admin.query(`drop database if exists ${DATABASE} with (force)`).catch(() => undefined);
    await admin.end();
  }
}

async function measured({ createCatalog, maskedOf }: Product, url: string, rounds: number): Promise<readonly Row[]> {
  const loads: { whole: number; asked: number }[] = [];
  const polls: number[] = [];
  const reloads: number[] = [];
  const follows: { first: number; next: number }[] = [];
  let snapshot: Snapshot | undefined;
  for (let round = 0; round < rounds; round++) {
    const client = await connected(url);
    let asked = 0;
    const timed: CatalogClient = {
      query: async (question) => {
        const from = performance.now();
        const answer = await client.query(question);
        asked += performance.now() - from;
        return answer;
      },
      end: () => client.end(),
      on: (event, listener) => client.on(event, listener),
    };
    const catalog = createCatalog({ connect: async () => timed });
    try {
      const from = performance.now();
      snapshot = await catalog.refresh();
      loads.push({ whole: performance.now() - from, asked });
      const again = performance.now();
      await catalog.refresh();
      polls.push(performance.now() - again);
      await run(url, `create table one_more_${round} (id int, card text)`);
      const changed = performance.now();
      snapshot = await catalog.refresh();
      reloads.push(performance.now() - changed);
    } finally {
      await catalog.close();
    }
    follows.push({ first: follow(maskedOf, snapshot, 'card'), next: follow(maskedOf, snapshot, 'c3') });
  }
  const bytes = await held(async () => {
    const client = await connected(url);
    const catalog = createCatalog({ connect: async () => client });
    await catalog.refresh();
    return catalog;
  });
  const load = spread(loads.map(({ whole }) => whole));
  const asked = spread(loads.map((one) => one.asked));
  const [poll, reload] = [spread(polls), spread(reloads)];
  const [first, next] = [spread(follows.map((one) => one.first)), spread(follows.map((one) => one.next))];
  const size = `${TABLES.toLocaleString('en-US')} tables × ${COLUMNS} columns, ${VIEWS} views, ${FUNCTIONS} functions`;
  return [
    {
      part: 'catalog',
      what: `loading the catalogue, ${size}: ms`,
      cells: { gateway: shown(load.median) },
      compared: `${shown(asked.median)} of them until the answers are read; looking for a change: ${shown(poll.median)}, taking one up: ${shown(reload.median)}; it holds ${shown(bytes / 1e6)} MB`,
      goal: { text: `≤ ${LOAD_GOAL_MS} ms`, met: load.median <= LOAD_GOAL_MS ? 'met' : 'not met' },
      figures: { load, asked, poll, reload, bytes },
    },
    {
      part: 'catalog',
      what: 'following masked columns through it: ms',
      cells: { gateway: shown(first.median) },
      compared: `another principal's columns, same catalogue: ${shown(next.median)}`,
      goal: { text: `≤ ${FOLLOW_GOAL_MS} ms`, met: first.median <= FOLLOW_GOAL_MS ? 'met' : 'not met' },
      figures: { first, next },
    },
  ];
}

/** What a catalogue keeps in the heap, bytes. */
async function held(open: () => Promise<Catalog>): Promise<number> {
  const used = (): number => {
    for (let n = 0; n < 3; n++) collect();
    return process.memoryUsage().heapUsed;
  };
  const before = used();
  const catalog = await open();
  const bytes = used() - before;
  await catalog.close();
  return bytes;
}

function follow(maskedOf: Product['maskedOf'], snapshot: Snapshot, name: string): number {
  const from = performance.now();
  const masked = maskedOf(snapshot, {
    hasColumns: true,
    maskOf: (_schema, _table, column) => (column === name ? { kind: 'last4' } : undefined),
  });
  if (!masked.any) throw new Error('nothing was masked');
  return performance.now() - from;
}

/** Views of tables and of views: plain columns, expressions, aggregates, joins, as people write them. */
async function seed(url: string): Promise<void> {
  const client = await connected(url);
  const plain = Array.from({ length: COLUMNS - 3 }, (_, n) => `c${n} text`).join(', ');
  const table = (n: number) => `create table t${n} (id int primary key, card text, total numeric, ${plain})`;
  const view = (n: number) => {
    const [one, two] = [`t${n}`, n % 3 === 2 ? `v${n - 1}` : `t${n + 1}`];
    if (n % 3 === 1)
      return `create view v${n} as select id, card, count(*) as n, max(c3) as c3 from ${one} group by id, card`;
    return `create view v${n} as select a.*, b.card as other, upper(a.c3) as shout, coalesce(a.c4, b.c3) as either
      from ${one} a left join ${two} b on b.id = a.id where a.total > 10`;
  };
  const code = (n: number) => `create function f${n}(int) returns int language sql as 'select $1 + ${n}'`;
  try {
    for (const [count, make] of [
      [TABLES, table],
      [VIEWS, view],
      [FUNCTIONS, code],
    ] as const) {
      for (let from = 0; from < count; from += BATCH) {
        await client.query(Array.from({ length: Math.min(BATCH, count - from) }, (_, n) => make(from + n)).join(';'));
      }
    }
    await client.query('analyze');
  } finally {
    await client.end();
  }
}

async function run(url: string, statement: string): Promise<void> {
  const client = await connected(url);
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  return client;
}
