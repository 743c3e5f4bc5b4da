/** A real PostgreSQL for tests of sessions, with a way to it that passes no gateway; and what every stay must leave behind. */
import assert from 'node:assert/strict';
import pg from 'pg';
import { startPostgres, type TestPostgres } from './postgres.ts';
import type { SessionWorld } from './session.ts';

export type SessionTarget = {
  readonly postgres: TestPostgres;
  readonly direct: pg.Client;
  /** How many rows table `t` has. */
  rows(): Promise<number>;
  stop(): Promise<void>;
};

/** @param sql what it begins with */
export async function sessionTarget(sql: string): Promise<SessionTarget> {
  const postgres = await startPostgres();
  const direct = new pg.Client({ connectionString: postgres.url('postgres') });
  await direct.connect();
  await direct.query(sql);
  return {
    postgres,
    direct,
    rows: async () => (await direct.query('select count(*)::int n from t')).rows[0].n,
    stop: async () => {
      await direct.end();
      await postgres.stop();
    },
  };
}

/** Ends the world; every permit was settled once, and each start in the trail has its end, where there was a trail. */
export async function closeSettled(world: SessionWorld): Promise<void> {
  await world.close();
  assert.equal(world.gate.settledTwice, 0, 'every permit is settled once');
  if (world.trouble.audit) return;
  const ends = world.audit.filter(({ kind }) => kind === 'session.end').length;
  assert.equal(world.audit.filter(({ kind }) => kind === 'session.start').length, ends, 'each start has its end');
  assert.equal(world.registry.size, 0);
}
