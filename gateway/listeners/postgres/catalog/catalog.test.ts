import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { startPostgres, type TestPostgres } from '../../../../test/support/postgres.ts';
import { type Catalog, createCatalog } from './catalog.ts';
import type { Snapshot } from './snapshot.ts';

describe('a catalogue that is asked again', () => {
  let server: TestPostgres;
  let client: pg.Client;
  let catalog: Catalog;

  const connect = async () => {
    const opened = new pg.Client(server.url('postgres'));
    await opened.connect();
    return opened;
  };
  const relation = (snapshot: Snapshot, name: string) => snapshot.all.find((one) => one.name === name);
  /** Which column of `t` each column of the view is. */
  const shows = (snapshot: Snapshot) => {
    const view = relation(snapshot, 'v');
    return [...(view?.columns?.values() ?? [])].map(({ name, number }) => {
      const made = view?.made.get(number);
      return `${name}=${made?.kind === 'same' ? made.of.column : made?.kind}`;
    });
  };

  before(async () => {
    server = await startPostgres();
    client = await connect();
    await client.query('create table t (id int, card text, other text); create view v as select id, other as x from t');
    catalog = createCatalog({ connect, pollMs: 3_600_000 });
  });
  after(async () => {
    await catalog?.close();
    await client?.end();
    await server?.stop();
  });

  it('keeps the snapshot while nothing changes, whatever rows do', async () => {
    const first = await catalog.refresh();
    await client.query(`insert into t values (1, 'a', 'b'); update t set card = 'c'`);
    assert.equal(await catalog.refresh(), first);
  });

  it('sees a view whose columns are other columns now', async () => {
    assert.deepEqual(shows(await catalog.refresh()), ['id=1', 'x=3']);
    await client.query('create or replace view v as select id, card as x from t');
    assert.deepEqual(shows(await catalog.refresh()), ['id=1', 'x=2']);
  });

  it('reads names with whatever is in them', async () => {
    await client.query(`create table "odd  name! 1" ("1! 23 id" int not null, " b" text, "c!" text);
      create function " f 1"() returns int language sql as 'select 1'; create type "t  x" as (" y " int)`);
    const snapshot = await catalog.refresh();
    const columns = [...(relation(snapshot, 'odd  name! 1')?.columns?.values() ?? [])];
    assert.deepEqual(
      columns.map(({ name, number, notNull, type }) => [name, number, notNull, type]),
      [
        ['1! 23 id', 1, true, 23],
        [' b', 2, false, 25],
        ['c!', 3, false, 25],
      ],
    );
    assert.equal(snapshot.functions(' f 1', 'public').length, 1);
    assert.equal(snapshot.types('t  x', 'public').length, 1);
  });

  it('sees a column under its new name', async () => {
    const before = await catalog.refresh();
    await client.query('alter table t rename column other to ssn');
    const snapshot = await catalog.refresh();
    assert.notEqual(snapshot.version, before.version);
    assert.equal(relation(snapshot, 't')?.columns?.get('ssn')?.number, 3);
  });

  it('sees a view that became a view of something else within one transaction that began long ago', async () => {
    const early = await connect();
    try {
      await early.query('begin; create or replace view v as select id, upper(card) as x from t');
      await client.query('create view later as select 1 as one'); // a younger transaction, committed before
      const between = await catalog.refresh();
      assert.ok(relation(between, 'later'));
      assert.deepEqual(shows(between), ['id=1', 'x=2']);
      await early.query('commit');
      assert.deepEqual(shows(await catalog.refresh()), ['id=1', 'x=from']);
    } finally {
      await early.end();
    }
  });

  it('sees inheritance begin and end', async () => {
    await client.query('create table heir (id int, card text, ssn text)');
    const before = await catalog.refresh();
    await client.query('alter table heir inherit t');
    const joined = await catalog.refresh();
    assert.notEqual(joined.version, before.version);
    assert.deepEqual(relation(joined, 'heir')?.kin, [relation(joined, 't')?.oid]);
    assert.deepEqual(relation(joined, 't')?.kin, [relation(joined, 'heir')?.oid]);
    await client.query('alter table heir no inherit t');
    assert.deepEqual(relation(await catalog.refresh(), 'heir')?.kin, []);
  });

  it('sees a function that turned from harmless to unknown under a view', async () => {
    await client.query(`create or replace view v as select id, card as x from t;
      create function plus(int, int) returns int immutable language internal as 'int4pl'`);
    const before = await catalog.refresh();
    await client.query(`create or replace function plus(int, int) returns int language sql as 'select 1'`);
    assert.notEqual((await catalog.refresh()).version, before.version);
  });
});
