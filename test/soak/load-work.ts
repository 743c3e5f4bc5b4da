/** What clients do all day: each worker repeats its kind of work until it is stopped. */
import { setMaxListeners } from 'node:events';
import pg from 'pg';
import { hasButton, type Workspace } from '../support/workspace.ts';
import { PEOPLE, type World } from '../support/world.ts';

export type Tally = Map<string, number>;

type Worker = {
  readonly kind: string;
  readonly clients: number;
  readonly everyMs: number;
  run(it: Worked): Promise<void>;
};
type Worked = {
  readonly world: World;
  readonly slack: Workspace;
  /** This worker's connection, for as long as the load lasts. */
  readonly client: pg.Client;
  readonly url: string;
  readonly n: number;
  readonly signal: AbortSignal;
};

const HOLD_EVERY_MS = 6_000;
const CANCEL_AGAIN_MS = 1_000;

const open = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client(url);
  client.on('error', () => {}); // a query under way tells
  await client.connect();
  return client;
};

/** A hold of its own for each way in which one ends. */
const held = (kind: string, table: string, end: (it: Worked, ts: string) => Promise<unknown>): Worker => ({
  kind,
  clients: 1,
  everyMs: HOLD_EVERY_MS,
  run: async (it) => {
    const mark = `${kind} ${it.n}`;
    const query = new pg.Query(`UPDATE ${table} SET note = '${mark}'`);
    const answered = new Promise<void>((resolve) => {
      query.on('end', () => resolve());
      query.on('error', () => resolve());
      it.client.query(query);
    });
    const card = await it.slack.message((shown, message) => shown.includes(mark) && hasButton(message, 'approve'), {
      ms: 60_000,
    });
    await end({ ...it, client: Object.assign(it.client, { soaked: query }) }, card.ts);
    await answered;
  },
});

const cancel = (it: Worked, query: pg.Query): Promise<void> =>
  new Promise((resolve) => {
    const canceller = new pg.Client(it.url) as pg.Client & { cancel(client: pg.Client, query: pg.Query): void };
    canceller.on('error', () => {});
    const { connection } = canceller as unknown as { connection: NodeJS.EventEmitter };
    connection.once('end', () => resolve());
    canceller.cancel(it.client, query);
  });

const WORKERS: readonly Worker[] = [
  {
    kind: 'select',
    clients: 2,
    everyMs: 5,
    run: ({ client, n }) => read(client, `SELECT name FROM customers WHERE id = ${1 + (n % 5_000)}`),
  },
  {
    kind: 'parameters',
    clients: 2,
    everyMs: 5,
    run: ({ client, n }) =>
      read(client, { text: 'SELECT total FROM orders WHERE id = $1', values: [1 + (n % 12_000)] }),
  },
  {
    kind: 'prepared',
    clients: 1,
    everyMs: 10,
    run: async ({ client, n }) => {
      const name = `soaked_${n % 20}`;
      await read(client, {
        name,
        text: `SELECT amount, ${n % 20} FROM payments WHERE id = $1`,
        values: [1 + (n % 8_000)],
      });
    },
  },
  {
    kind: 'texts', // never the same twice: what is remembered of texts has to be bounded
    clients: 1,
    everyMs: 20,
    run: ({ client, n }) => read(client, `SELECT ${n} AS n, 'text ${n}' AS text`),
  },
  {
    kind: 'transaction',
    clients: 1,
    everyMs: 50,
    run: async ({ client, n }) => {
      await client.query('BEGIN');
      await client.query({ text: 'INSERT INTO soaked (id, note) VALUES ($1, $2)', values: [n, 'new'] });
      await client.query({ text: 'DELETE FROM soaked WHERE id = $1', values: [n] });
      await client.query(n % 3 === 0 ? 'ROLLBACK' : 'COMMIT');
    },
  },
  {
    kind: 'copy out',
    clients: 1,
    everyMs: 500,
    run: ({ client }) => read(client, 'COPY (SELECT * FROM orders LIMIT 1000) TO STDOUT'),
  },
  {
    kind: 'connect',
    clients: 1,
    everyMs: 250,
    run: async ({ url }) => {
      const client = await open(url);
      await read(client, 'SELECT 1');
      await client.end();
    },
  },
  {
    kind: 'error',
    clients: 1,
    everyMs: 100,
    run: async ({ client, n }) => {
      const wrong = ['SELECT nope', 'SELEC 1', 'SELECT 1/0', 'GRANT ALL ON orders TO PUBLIC'][n % 4] ?? '';
      await client.query(wrong).catch(() => {});
    },
  },
  {
    kind: 'cancel',
    clients: 1,
    everyMs: 1_000,
    run: async (it) => {
      const query = new pg.Query('SELECT count(*) FROM orders a, orders b, orders c');
      const answered = new Promise<void>((resolve, reject) => {
        query.on('error', () => resolve());
        query.on('end', () => reject(new Error('it was not cancelled')));
      });
      it.client.query(query);
      // As a person does: a cancel that overtook its statement on the way is sent again.
      let over = false;
      const ended = answered.finally(() => {
        over = true;
      });
      while (!over) {
        await Promise.race([ended, cancel(it, query)]);
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, CANCEL_AGAIN_MS))]);
      }
      await ended;
    },
  },
  {
    kind: 'token',
    clients: 1,
    everyMs: 5_000,
    run: async ({ world, client }) => {
      await world.token();
      await read(client, 'SELECT 1');
    },
  },
  held('approved', 'soaked', ({ slack }, ts) => slack.click(PEOPLE.alice, { ts }, 'approve')),
  held('denied', 'soaked', ({ slack }, ts) => slack.deny(PEOPLE.carol, ts, 'soaked')),
  held('expired', 'soaked_briefly', async () => {}),
  held('withdrawn', 'soaked', (it) => cancel(it, (it.client as pg.Client & { soaked: pg.Query }).soaked)),
];

async function read(client: pg.Client, query: string | pg.QueryConfig): Promise<void> {
  await client.query(query);
}

/** Starts them all. `stop` lets each finish what it is at; it rejects with the first failure there was. */
export async function startWork(world: World, slack: Workspace): Promise<{ tally: Tally; stop(): Promise<void> }> {
  const tally: Tally = new Map();
  const stopping = new AbortController();
  const { signal } = stopping;
  setMaxListeners(0, signal); // every worker waits for it
  const failures: string[] = [];
  const url = await world.downstream();
  const run = async ({ kind, everyMs, run }: Worker, first: number) => {
    const client = await open(url);
    for (let n = first; !signal.aborted; n++) {
      try {
        await run({ world, slack, client, url, n, signal });
        tally.set(kind, (tally.get(kind) ?? 0) + 1);
      } catch (error) {
        failures.push(`${kind}: ${error instanceof Error ? error.message.slice(0, 300) : error}`);
        if (failures.length > 20) return;
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const timer = setTimeout(wake, everyMs);
        signal.addEventListener('abort', wake);
        if (signal.aborted) wake();
      });
    }
    await client.end();
  };
  const working = WORKERS.flatMap((worker) =>
    Array.from({ length: worker.clients }, (_, at) => run(worker, at * 1_000_000)),
  );
  return {
    tally,
    stop: async () => {
      stopping.abort();
      await Promise.all(working);
      if (failures.length > 0) throw new Error(`the work went wrong:\n${failures.join('\n')}`);
    },
  };
}
