/** A stage for attacks on the PostgreSQL gate: the real inspector, a real server, all bytes recorded, reads allowed only. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import pg from 'pg';
import * as build from '../../gateway/listeners/postgres/builders.ts';
import { createCatalog } from '../../gateway/listeners/postgres/catalog/catalog.ts';
import { createInspector } from '../../gateway/listeners/postgres/inspect.ts';
import type { Inspector } from '../../gateway/listeners/postgres/types.ts';
import { startPostgres, type TestPostgres } from './postgres.ts';
import { brief, type SessionWorld, sessionWorld } from './session.ts';

const SCHEMA = `
  create table ledger (id int, v text);
  create table t (id int primary key, v text);
  insert into t values (1, 'a'), (2, 'b');
  create function evil() returns int language plpgsql as $$ begin insert into ledger values (1); return 1; end $$;
  create function evil(anyelement) returns boolean language plpgsql as $$ begin perform evil(); return true; end $$;
  create view v as select 1 as x;
  create domain checked as int check (evil(value));
  create type pair as (a checked);
  create domain plain as int;
  create type mood as enum ('sad', 'ok');
  create table pairs (p pair, list checked[]);
  create type shape as (a int);
  create function shape_json(shape) returns json language plpgsql as
    $$ begin perform evil(); return '1'; end $$;
  create cast (shape as json) with function shape_json(shape);
  create table shapes (s shape);
  insert into shapes values (row(1));
  create table rows_cast (a int);
  insert into rows_cast values (1);
  create function row_text(rows_cast) returns text language plpgsql as
    $$ begin perform evil(); return 'x'; end $$;
  create cast (rows_cast as text) with function row_text(rows_cast) as implicit;
  create function meddle() returns int language plpgsql as
    $$ begin execute 'deallocate p'; execute 'prepare p as delete from t'; return 1; end $$;
`;
export let postgres: TestPostgres;
export let direct: pg.Client;
export let inspector: Inspector;
export let world: SessionWorld;
let baseline: number;

/** Once per test file, at its top. */
export function attackStage(): void {
  before(async () => {
    postgres = await startPostgres();
    direct = new pg.Client({ connectionString: postgres.url('postgres') });
    await direct.connect();
    await direct.query(SCHEMA);
    const catalog = createCatalog({
      connect: async () => {
        const client = new pg.Client({ connectionString: postgres.url('postgres') });
        client.on('error', () => undefined);
        await client.connect();
        return client;
      },
    });
    inspector = createInspector({
      serverMajor: 18,
      catalog,
      maskLiteral: (text) => text,
      cacheEntries: 100,
      workerDeadlineMs: 1_000,
    });
    await inspector.refresh();
    baseline = await backends();
  });
  after(async () => {
    await inspector.close();
    await direct.end();
    await postgres.stop();
  });
  beforeEach(async () => {
    await direct.query("truncate ledger, t; insert into t values (1, 'a'), (2, 'b')");
    await inspector.refresh();
    world = await sessionWorld(postgres, { inspector, limits: { lingerMs: 1_000 } });
    const harmless = new Set(['read', 'copy-out', 'session', 'transaction']);
    world.gate.decide = ({ text, effects }) => {
      if (text.includes('/*held*/')) return 'hold';
      if (text.includes('/*approved*/')) return 'allow';
      return effects.every(({ action }) => harmless.has(action)) ? 'allow' : 'deny';
    };
  });
  afterEach(async () => {
    await world.close();
    assert.equal(world.gate.settledTwice, 0, 'every permit is settled once');
    assert.equal(world.registry.size, 0, 'no session is left in the registry');
    while ((await backends()) > baseline) await new Promise((resolve) => setImmediate(resolve));
  });
}

async function backends(): Promise<number> {
  const found = await direct.query(
    `select count(*)::int n from pg_stat_activity where backend_type = 'client backend'`,
  );
  return found.rows[0].n;
}

/** What must not change: rows of both tables, outside of the session's own transaction. */
export async function state(): Promise<string> {
  const found = await direct.query(
    `select (select count(*) from ledger) || '/' || (select count(*) from t)
      || '/' || coalesce((select last_value::text from pg_sequences limit 1), '')`,
  );
  return Object.values(found.rows[0])[0] as string;
}

export const UNTOUCHED = '0/2/';

type Client = Awaited<ReturnType<SessionWorld['raw']>>;
export const ask = async (client: Client, text: string): Promise<string> =>
  brief(await client.send(build.query(text)).until('Z'));
export const bound = (text: string, ...types: number[]): Buffer =>
  Buffer.concat([build.parse('', text, types), build.bind('', '', []), build.execute(''), build.sync()]);
