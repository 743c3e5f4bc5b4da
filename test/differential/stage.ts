/** The target of the differential test: a real PostgreSQL full of traps, and the product's own inspector looking at it. */
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { createCatalog } from '../../gateway/listeners/postgres/catalog/catalog.ts';
import type { Snapshot } from '../../gateway/listeners/postgres/catalog/snapshot.ts';
import { createInspector } from '../../gateway/listeners/postgres/inspect.ts';
import type { Inspector } from '../../gateway/listeners/postgres/types.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';

export type Role = 'gate' | 'postgres';

export type Stage = {
  readonly server: TestPostgres;
  readonly inspector: Inspector;
  /** What the gateway knows of the target. */
  readonly snapshot: () => Snapshot;
  /** A client of the database under test, as the gateway's own ordinary role or as the superuser. */
  connect(role: Role): Promise<pg.Client>;
  close(): Promise<void>;
};

const SETTINGS = {
  autovacuum: 'off', // what changes between two looks was changed by the statement
  wal_level: 'logical',
  max_prepared_transactions: '4',
  deadlock_timeout: '100ms',
  // What a cursor WITH HOLD has still to fetch is fetched by COMMIT, which no statement_timeout ends.
  temp_file_limit: '64MB',
};

export async function openStage(): Promise<Stage> {
  const server = await startPostgres({ settings: SETTINGS });
  try {
    const owner = await opened(server.url('postgres'));
    await owner.query(`CREATE ROLE gate LOGIN PASSWORD 'gate'`);
    await owner.query('CREATE DATABASE traps OWNER gate');
    await owner.end();
    const gate = await opened(server.url('traps', 'gate', 'gate'));
    await gate.query(await text('../policies.schema.sql'));
    await gate.query(await text('schema.sql'));
    await gate.end();
    const superuser = await opened(server.url('traps'));
    await superuser.query(await text('superuser.sql'));
    await superuser.end();
    const connect = (role: Role) => opened(server.url('traps', role, role === 'gate' ? 'gate' : undefined));
    const catalog = createCatalog({ connect: () => connect('gate') });
    const inspector = createInspector({
      serverMajor: 18,
      catalog,
      maskLiteral: (literal) => literal,
      cacheEntries: 100,
      workerDeadlineMs: 5_000,
    });
    await inspector.refresh();
    return {
      server,
      inspector,
      snapshot: () => catalog.current()!.snapshot,
      connect,
      close: async () => {
        await inspector.close();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function opened(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined); // a statement under test may end its own session
  await client.connect();
  return client;
}

const text = (name: string) => readFile(new URL(name, import.meta.url), 'utf8');
