/** Which statements refuse a transaction block, and which write more than the target counts: as PostgreSQL's grammar reads them. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { loadModule, parseSync } from 'libpg-query';
import { tiesOf } from './transaction.ts';
import { unwrap } from './tree.ts';

before(() => loadModule());

const ties = (text: string) => {
  const { stmts } = parseSync(text) as unknown as { stmts: { stmt: unknown }[] };
  return tiesOf(unwrap(stmts[0]?.stmt));
};

describe('a statement', () => {
  it('is known to refuse a transaction block', () => {
    for (const text of [
      'vacuum t',
      'create index concurrently i on t (id)',
      'drop index concurrently i',
      'reindex table concurrently t',
      'reindex schema s',
      'create database d',
      'drop database d',
      'alter system set work_mem = 1',
      'cluster',
      'alter table p detach partition q concurrently',
    ]) {
      assert.deepEqual(ties(text), { outside: true }, text);
    }
  });

  it('is known to write in its WITH', () => {
    for (const text of [
      'with d as (delete from a returning *) select count(*) from d',
      'with d as (delete from a returning *) insert into b select * from d',
      'with x as (select 1), d as (update a set b = 1) delete from a',
    ]) {
      assert.deepEqual(ties(text), { uncounted: true }, text);
    }
  });

  it('is neither otherwise', () => {
    for (const text of [
      'analyze t',
      'create index i on t (id)',
      'cluster t',
      'with x as (select 1) delete from a using x',
      'select 1',
    ]) {
      assert.deepEqual(ties(text), {}, text);
    }
  });
});
