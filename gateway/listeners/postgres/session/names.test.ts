/** Names, settings and transactions follow what the target confirmed, on every way they can be made. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { brief, type SessionWorld, sessionWorld } from '../../../../test/support/session.ts';
import { type SessionTarget, sessionTarget } from '../../../../test/support/session-target.ts';
import * as build from '../builders.ts';

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target =
    await sessionTarget(`create table t (id int primary key, v text); create schema other; create table other.t (id int);
    create function dangerous() returns int language plpgsql as
      $$ begin perform set_config('search_path', 'other', false); return 1; end $$`);
});
after(() => target.stop());
beforeEach(async () => {
  await target.direct.query('truncate t');
  world = await sessionWorld(target.postgres);
});
afterEach(async () => {
  await world.close();
  assert.equal(world.gate.settledTwice, 0, 'every permit is settled once');
});

type Raw = Awaited<ReturnType<SessionWorld['raw']>>;
const ask = async (client: Raw, text: string): Promise<string> =>
  brief(await client.send(build.query(text)).until('Z'));

const isDelete = (operation: { effects: readonly { action: string }[] }): boolean =>
  operation.effects.some(({ action }) => action === 'delete');

describe('prepared statements', () => {
  it('judges EXECUTE by what was prepared, and shows it', async () => {
    const client = await world.raw();
    world.gate.decide = (operation) => (isDelete(operation) ? 'hold' : 'allow');
    assert.equal(await ask(client, 'prepare p(int) as delete from t where id = $1'), 'C(PREPARE) Z(I)');
    client.send(build.query('execute p(3)'));
    const hold = await world.gate.hold();
    assert.match(hold.operation.shown, /execute p\(3\)\n.*delete from t where id = \$1/s);
    assert.match(hold.operation.frame, /delete from t/, 'the digest covers what is run by name');
    assert.equal(client.sentBytes().includes('execute'), false);
    hold.approve();
    assert.match(brief(await client.until('Z')), /C\(DELETE 0\) Z\(I\)/);
  });

  it('finds a SQL-made statement by protocol, and a protocol-made one by SQL', async () => {
    const client = await world.raw();
    world.gate.decide = (operation) => (isDelete(operation) ? 'deny' : 'allow');
    await ask(client, 'prepare p as delete from t');
    client.send(build.bind('', 'p'), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(42501) Z(I)');
    client.send(build.parse('q', 'delete from t'), build.sync());
    await client.until('Z');
    assert.equal(await ask(client, 'execute q'), 'E(42501) Z(I)');
    client.send(build.parse('', 'execute q'), build.bind('', ''), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), '1 E(42501) Z(I)');
  });

  it('forgets what DEALLOCATE, Close and DISCARD ALL removed, and only then', async () => {
    const client = await world.raw();
    await ask(client, 'prepare p as select 1');
    await ask(client, 'prepare q as select 1');
    await ask(client, 'prepare r as select 1');
    await ask(client, 'deallocate p');
    assert.equal(await ask(client, 'execute p'), 'E(26000) Z(I)');
    client.send(build.close('S', 'q'), build.sync());
    await client.until('Z');
    assert.equal(await ask(client, 'execute q'), 'E(26000) Z(I)');
    assert.equal(await ask(client, 'execute r'), 'T D C(SELECT 1) Z(I)');
    await ask(client, 'discard all');
    assert.equal(await ask(client, 'execute r'), 'E(26000) Z(I)');
    assert.equal(client.sentBytes().includes('execute p'), false);
  });

  it('keeps a statement whose PREPARE the server refused as it was', async () => {
    const client = await world.raw();
    world.gate.decide = (operation) => (isDelete(operation) ? 'deny' : 'allow');
    await ask(client, 'prepare p as delete from t');
    assert.equal(await ask(client, 'prepare p as select 1'), 'E(42P05) Z(I)');
    assert.equal(await ask(client, 'execute p'), 'E(42501) Z(I)');
  });

  it('survives a rollback, as in the server', async () => {
    const client = await world.raw();
    await ask(client, 'begin');
    await ask(client, 'prepare p as select 1');
    await ask(client, 'rollback');
    assert.equal(await ask(client, 'execute p'), 'T D C(SELECT 1) Z(I)');
  });

  it('knows that a Query ends the unnamed statement', async () => {
    const client = await world.raw();
    client.send(build.parse('', 'select 1'), build.sync());
    await client.until('Z');
    await ask(client, 'select 2');
    client.send(build.bind('', ''), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(26000) Z(I)');
    assert.equal(client.sentTypes(), 'PSQS');
  });

  it('waits for a PREPARE in the same pipeline before it believes its name', async () => {
    const client = await world.raw();
    const run = (text: string) => Buffer.concat([build.parse('', text), build.bind('', ''), build.execute('')]);
    client.send(run('prepare p as select 1'), run('execute p'), build.sync());
    assert.equal(brief(await client.until('Z')), '1 2 C(PREPARE) 1 2 D C(SELECT 1) Z(I)');
    client.send(run('deallocate p'), run('execute p'), build.sync());
    assert.equal(brief(await client.until('Z')), '1 2 C(DEALLOCATE) 1 E(26000) Z(I)');
  });

  it('runs no portal whose EXECUTE would find another statement than the one it was judged by', async () => {
    const client = await world.raw();
    const asked: string[] = [];
    world.gate.decide = (operation) => {
      asked.push(operation.effects.map(({ action }) => action).join(' '));
      return 'allow';
    };
    await ask(client, 'begin');
    await ask(client, 'prepare p as select v from t');
    client.send(build.parse('', 'execute p'), build.bind('late', ''), build.sync());
    assert.equal(brief(await client.until('Z')), '1 2 Z(T)');
    await ask(client, 'deallocate p');
    await ask(client, 'prepare p as delete from t');
    client.send(build.execute('late'), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(0A000) Z(E)');
    assert.equal(
      asked.some((actions) => actions.includes('delete')),
      false,
    );
    assert.equal(client.sentTypes().includes('E'), false);
  });

  it('runs no portal behind a change of what its text means', async () => {
    const client = await world.raw();
    await ask(client, 'begin');
    client.send(build.parse('', 'truncate t'), build.bind('late', ''), build.sync());
    assert.equal(brief(await client.until('Z')), '1 2 Z(T)');
    await ask(client, 'set search_path = other');
    client.send(build.execute('late'), build.sync());
    assert.match(brief(await client.until('Z')), /^E\(0A000\) .*Z\(E\)$/); // the server takes the setting back
    await ask(client, 'rollback');
  });

  it('judges FETCH from a portal of EXECUTE by what that would find', async () => {
    const client = await world.raw();
    await ask(client, 'begin');
    await ask(client, 'prepare p as select v from t');
    client.send(build.parse('', 'execute p'), build.bind('late', ''), build.sync());
    await client.until('Z');
    assert.equal(await ask(client, 'fetch all from late'), 'T C(FETCH 0) Z(T)');
    await ask(client, 'deallocate p');
    await ask(client, "prepare p as insert into t values (1, 'x') returning v");
    assert.equal(await ask(client, 'fetch all from late'), 'E(0A000) Z(E)');
  });

  it('trusts no name that code may have given another meaning', async () => {
    const client = await world.raw();
    world.gate.decide = (operation) => (isDelete(operation) ? 'deny' : 'allow');
    await ask(client, 'prepare p as select 1');
    await ask(client, 'prepare q as select 2');
    client.send(build.parse('r', 'select 3'), build.sync());
    await client.until('Z');
    await ask(
      client,
      "do $$ begin execute 'deallocate p'; execute 'prepare p as delete from t /* prepare p as select 1 */'; end $$",
    );
    assert.equal(await ask(client, 'execute p'), 'E(26000) Z(I)');
    assert.equal(await ask(client, 'execute q'), 'T D C(SELECT 1) Z(I)');
    client.send(build.bind('', 'r'), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), '2 D C(SELECT 1) Z(I)');
  });

  it('trusts no cursor that code may have opened anew', async () => {
    const client = await world.raw();
    await ask(client, 'begin');
    await ask(client, 'declare c cursor for select 1');
    await ask(client, 'declare k cursor for select 1');
    await ask(client, "do $$ begin execute 'close c'; execute 'declare c cursor for select dangerous()'; end $$");
    assert.equal(await ask(client, 'fetch 1 from k'), 'T D C(FETCH 1) Z(T)');
    assert.equal(await ask(client, 'fetch 1 from c'), 'E(34000) Z(E)');
  });

  it('refuses more names than a session may have', async () => {
    await world.close();
    world = await sessionWorld(target.postgres, { limits: { names: 3 } });
    const client = await world.raw();
    for (const name of ['a', 'b', 'c']) await client.send(build.parse(name, 'select 1'), build.sync()).until('Z');
    assert.equal(brief(await client.send(build.parse('d', 'select 1'), build.sync()).until('Z')), 'E(53400) Z(I)');
  });
});

describe('portals and cursors', () => {
  it('judges FETCH by its cursor, by name and by protocol', async () => {
    const client = await world.raw();
    world.gate.decide = ({ text, effects }) =>
      effects.some(({ action }) => action === 'call') && !text.startsWith('declare') ? 'deny' : 'allow';
    await ask(client, 'begin');
    assert.equal(await ask(client, 'declare c cursor for select dangerous()'), 'C(DECLARE CURSOR) Z(T)');
    assert.equal(await ask(client, 'fetch 1 from c'), 'E(42501) Z(E)');
    await ask(client, 'rollback');
    await ask(client, 'begin');
    await ask(client, 'declare c cursor for select dangerous()');
    client.send(build.execute('c', 1), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(42501) Z(E)');
    assert.equal(client.sentBytes().includes('fetch'), false);
  });

  it('lets cursors and portals end with their transaction, and keeps WITH HOLD', async () => {
    const client = await world.raw();
    await ask(client, 'begin');
    await ask(client, 'declare c cursor for select 1');
    await ask(client, 'declare h cursor with hold for select 1');
    client.send(build.parse('s', 'select 1'), build.bind('p', 's'), build.sync());
    await client.until('Z');
    assert.equal(await ask(client, 'fetch 1 from p'), 'T D C(FETCH 1) Z(T)');
    await ask(client, 'commit');
    assert.equal(await ask(client, 'fetch 1 from c'), 'E(34000) Z(I)');
    client.send(build.execute('p'), build.sync());
    assert.equal(brief(await client.until('Z')), 'E(34000) Z(I)');
    assert.equal(await ask(client, 'fetch 1 from h'), 'T D C(FETCH 1) Z(I)');
    await ask(client, 'close h');
    assert.equal(await ask(client, 'fetch 1 from h'), 'E(34000) Z(I)');
  });

  it('forgets a WITH HOLD cursor that was rolled back', async () => {
    const client = await world.raw();
    await ask(client, 'begin');
    await ask(client, 'declare h cursor with hold for select 1');
    await ask(client, 'rollback');
    assert.equal(await ask(client, 'fetch 1 from h'), 'E(34000) Z(I)');
  });

  it('refuses a cursor it never saw made', async () => {
    const client = await world.raw();
    assert.equal(await ask(client, 'fetch all from nowhere'), 'E(34000) Z(I)');
    assert.equal(client.sentBytes().length, 0);
  });

  it('ends portals with a COMMIT inside a pipeline', async () => {
    const client = await world.raw();
    const run = (text: string) => Buffer.concat([build.parse('', text), build.bind('', ''), build.execute('')]);
    await ask(client, 'begin');
    client.send(build.parse('s', 'select 1'), build.bind('p', 's'), build.sync());
    await client.until('Z');
    client.send(run('commit'), build.execute('p'), build.sync());
    assert.equal(brief(await client.until('Z')), '1 2 C(COMMIT) E(34000) Z(I)');
  });
});

describe('the session frame', () => {
  const searchPathOf = (frame: string | undefined): string | undefined =>
    new Map(JSON.parse(frame ?? '[]') as [string, string][]).get('search_path');

  it('takes search_path from the target after it was set, set by a function, and rolled back', async () => {
    const client = await world.raw();
    await ask(client, 'select 1');
    assert.equal(searchPathOf(world.gate.admitted.at(-1)!.frame), 'public');
    assert.match(await ask(client, 'set search_path = other, public'), /^C\(SET\) (S )?Z\(I\)$/);
    await ask(client, 'select 1');
    assert.equal(searchPathOf(world.gate.admitted.at(-1)!.frame), 'other, public');
    await ask(client, 'set search_path = public');
    await ask(client, 'begin');
    await ask(client, 'select dangerous()');
    await ask(client, 'select 1');
    assert.equal(searchPathOf(world.gate.admitted.at(-1)!.frame), 'other');
    await ask(client, 'rollback');
    await ask(client, 'select 1');
    assert.equal(searchPathOf(world.gate.admitted.at(-1)!.frame), 'public');
  });

  it('knows the role, also inside one pipeline', async () => {
    const client = await world.raw();
    const run = (text: string) => Buffer.concat([build.parse('', text), build.bind('', ''), build.execute('')]);
    client.send(run('set role pg_monitor'), run('select 1'), build.sync());
    assert.match(brief(await client.until('Z')), /^1 2 C\(SET\) (S )*1 2 D C\(SELECT 1\) (S )*Z\(I\)$/);
    assert.match(world.gate.admitted.at(-1)!.frame, /pg_monitor/);
    assert.equal(world.gate.admitted.length, 2, 'what the gateway asks for itself is no operation of the client');
  });

  it('keeps the unnamed statement while it asks the target for settings', async () => {
    const client = await world.raw();
    client.send(build.parse('', 'select 5'), build.sync());
    await client.until('Z');
    client.send(build.parse('x', 'set role pg_monitor'), build.bind('', 'x'), build.execute(''), build.sync());
    await client.until('Z');
    client.send(build.bind('', ''), build.execute(''), build.sync());
    assert.equal(brief(await client.until('Z')), '2 D C(SELECT 1) Z(I)');
  });

  it('inspects a prepared statement again under the frame it runs in', async () => {
    const client = await world.raw();
    client.send(build.parse('s', 'select * from t'), build.sync());
    await client.until('Z');
    await ask(client, 'set search_path = other');
    client.send(build.bind('', 's'), build.execute(''), build.sync());
    await client.until('Z');
    assert.equal(searchPathOf(world.inspector.frames.at(-1)), 'other');
  });

  it('ends the session when a function changes client_encoding or standard_conforming_strings', async () => {
    for (const setting of ['client_encoding', 'standard_conforming_strings']) {
      const client = await world.raw();
      const value = setting === 'client_encoding' ? 'SQL_ASCII' : 'off';
      client.send(build.query(`select set_config('${setting}', '${value}', false)`), build.query('select 2'));
      assert.match(brief(await client.until('E')), /E\(42501\)$/);
      await client.end();
      assert.equal(client.sentTypes().startsWith('Q'), true);
      assert.equal(client.sentBytes().includes('select 2'), false);
    }
  });

  it('treats reads as calls once the schema changed unseen in the open transaction', async () => {
    const client = await world.raw();
    await ask(client, 'begin');
    await ask(client, 'create view v as select 1');
    await ask(client, 'select * from v');
    assert.equal(
      world.gate.admitted.at(-1)!.effects.some(({ action }) => action === 'call'),
      true,
    );
    await ask(client, 'rollback');
    await ask(client, 'select 1');
    assert.deepEqual(
      world.gate.admitted.at(-1)!.effects.map(({ action }) => action),
      ['read'],
    );
    assert.equal(world.inspector.refreshed > 0, true, 'the catalogue is read again after schema changes');
  });
});
