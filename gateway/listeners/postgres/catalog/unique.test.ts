/** Which keys hold for sure, as a real server says. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { startPostgres, type TestPostgres } from '../../../../test/support/postgres.ts';
import { type Catalog, createCatalog } from './catalog.ts';
import type { Snapshot } from './snapshot.ts';

const SCHEMA = `
  create table plain (id int primary key, mail text unique, n int);
  create table several (a int, b int, c int, unique (a, b) include (c));
  create table none (id int, n int);
  create index on none (id);
  create unique index on none (n) where n > 0;
  create unique index on none ((id + 1));
  create table later (id int unique deferrable initially deferred);
  create table parent (id int primary key);
  create table child () inherits (parent);
  create table parts (id int primary key, at int) partition by range (id);
  create table part partition of parts for values from (0) to (10);
  create collation anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  create table collated (name text collate anycase);
  create unique index on collated (name collate "C");
  create table own_class (name text);
  create unique index on own_class (name text_pattern_ops);
  create type mine as (n int);
  create function mine_equals(mine, int) returns bool language sql immutable as 'select ($1).n = $2';
  create operator = (leftarg = mine, rightarg = int, procedure = mine_equals);
`;

describe('unique keys of a real catalogue', () => {
  let server: TestPostgres;
  let catalog: Catalog;
  let snapshot: Snapshot;
  const keysOf = (name: string) => snapshot.all.find((one) => one.name === name && one.kind === 'table')?.unique;

  before(async () => {
    server = await startPostgres();
    const connect = async () => {
      const opened = new pg.Client(server.url('postgres'));
      await opened.connect();
      return opened;
    };
    const client = await connect();
    await client.query(SCHEMA);
    await client.end();
    catalog = createCatalog({ connect, pollMs: 3_600_000 });
    snapshot = await catalog.refresh();
  });
  after(async () => {
    await catalog?.close();
    await server?.stop();
  });

  it('are primary and unique ones, without the columns that are only included', () => {
    assert.deepEqual(keysOf('plain')?.toSorted(), [[1], [2]]);
    assert.deepEqual(keysOf('several'), [[1, 2]]);
  });

  it('are none that hold for a part of the rows, an expression, or at the end of a transaction only', () => {
    assert.deepEqual(keysOf('none'), []);
    assert.deepEqual(keysOf('later'), []);
  });

  it('are none of a table whose children may repeat its values; partitions may not', () => {
    assert.deepEqual(keysOf('parent'), []);
    assert.deepEqual(keysOf('parts'), [[1]]);
    assert.deepEqual(keysOf('part'), [[1]]);
  });

  it('are none that compare otherwise than the column does', () => {
    assert.deepEqual(keysOf('collated'), []);
    assert.deepEqual(keysOf('own_class'), []);
  });

  it('come with the types that somebody else’s = compares', () => {
    assert.ok(snapshot.ownEquals.has(23));
    assert.ok(!snapshot.ownEquals.has(25));
  });
});
