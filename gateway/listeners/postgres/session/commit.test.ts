/** Writes whose rows are confirmed: nothing stands that nobody expected or confirmed, on every road; real clients, real target. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { short } from '../../../../test/support/budgets.ts';
import { RawClient } from '../../../../test/support/door.ts';
import { type SessionWorld, sessionWorld } from '../../../../test/support/session.ts';
import { closeSettled, type SessionTarget, sessionTarget } from '../../../../test/support/session-target.ts';
import * as build from '../builders.ts';
import { parseBackendKeyData, parseServerMessage } from '../messages.ts';

const TABLES = `create table t (id int, v text);
  create table parent (id int primary key);
  create table child (id int, parent int references parent deferrable initially deferred);
  create table log (id int);
  create function note() returns trigger language plpgsql as $$
    begin insert into log select generate_series(1, 50); return null; end $$;
  create function wipe(int) returns bool language plpgsql as $$
    begin delete from log; return false; end $$;
  create table noted (id int);
  create trigger noting after delete on noted for each row execute function note()`;

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target = await sessionTarget(TABLES);
});
after(() => target.stop());
beforeEach(async () => {
  await target.direct.query(`truncate t, parent, child, log, noted;
    insert into t select n, 'v' from generate_series(1, 10) n; insert into noted values (1)`);
  world = await sessionWorld(target.postgres, { limits: { pipelinedBytes: 64 * 1024, lingerMs: 1_000 } });
  world.gate.confirmed = { estimate: 3, most: 6 };
});
afterEach(() => closeSettled(world));

type Client = Awaited<ReturnType<SessionWorld['raw']>>;

const open = (index = 0) => world.gate.hold(index);
const until = async (client: Client, type: string) => short(await client.until(type));
const outcomes = () =>
  world.gate.outcomes.map(({ outcome }) =>
    outcome.kind === 'failed' ? outcome.message : outcome.kind === 'done' ? (outcome.note ?? outcome.tag) : 'unknown',
  );
const count = async (table: string) => (await target.direct.query(`select count(*)::int n from ${table}`)).rows[0].n;
const settled = () => new Promise((resolve) => setTimeout(resolve, 60));
const run = (text: string, maxRows = 0) => [build.parse('', text), build.bind('', ''), build.execute('', maxRows)];
const queries = (client: Client) =>
  client
    .sent()
    .filter(({ type }) => type === 0x51)
    .map(({ bytes }) => bytes.subarray(5, -1).toString());

describe('a write on its own', () => {
  it('runs in a transaction of the gateway, and commits unasked where as many rows were expected', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t where id <= 6'));
    assert.equal(await until(client, 'Z'), 'C(DELETE 6) Z(I)');
    assert.deepEqual(queries(client), ['BEGIN', 'delete from t where id <= 6', 'COMMIT']);
    assert.deepEqual([await target.rows(), world.gate.holds.length, world.gate.touched], [4, 0, [6]]);
    assert.deepEqual(outcomes(), ['DELETE 6']);
    assert.equal(await until(client.send(build.query('select 1')), 'Z'), 'T D×1 C(SELECT 1) Z(I)');
  });

  it('that touched more waits before its COMMIT, and commits once confirmed', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t'));
    const hold = await open();
    await settled();
    assert.deepEqual([await target.rows(), queries(client).at(-1)], [10, 'delete from t']);
    assert.equal(await until(client, 'N'), 'N');
    hold.approve();
    assert.equal(await until(client, 'Z'), 'C(DELETE 10) Z(I)');
    assert.equal(await target.rows(), 0);
    assert.deepEqual(outcomes(), ['committed after confirmation']);
  });

  it('that is not confirmed is rolled back, with a native error, and the session goes on outside of it', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t'));
    (await open()).deny('too many');
    const frames = await client.until('Z');
    assert.equal(short(frames), 'N E(42501) Z(I)');
    assert.equal(parseServerMessage(frames.at(-2)!).message, 'denied by Carol: too many');
    assert.deepEqual([await target.rows(), queries(client).at(-1)], [10, 'ROLLBACK']);
    assert.deepEqual(outcomes(), ['rolled back: not confirmed: denied by Carol: too many']);
    assert.equal(await until(client.send(build.query('delete from t where id = 1')), 'Z'), 'C(DELETE 1) Z(I)');
    assert.equal(await target.rows(), 9);
  });

  it('sends its RETURNING as it comes; its CommandComplete waits', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t returning id'));
    const hold = await open();
    assert.equal(await until(client, 'N'), 'T D×10 N');
    hold.deny('no');
    assert.equal(await until(client, 'Z'), 'E(42501) Z(I)');
    assert.equal(await target.rows(), 10);
  });

  it('without an estimate is asked about for any row, and for none not at all', async () => {
    world.gate.confirmed = { estimate: undefined, most: 0 };
    const client = await world.raw();
    assert.equal(await until(client.send(build.query('delete from t where id = 99')), 'Z'), 'C(DELETE 0) Z(I)');
    client.send(build.query('delete from t where id = 1'));
    (await open()).approve();
    assert.equal(await until(client, 'Z'), 'N C(DELETE 1) Z(I)');
  });

  it('that fails says so itself; nothing is asked and no transaction is left', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t where id = 1 / 0'));
    assert.equal(await until(client, 'Z'), 'E(22012) Z(I)');
    assert.equal(await until(client.send(build.query('select 1')), 'Z'), 'T D×1 C(SELECT 1) Z(I)');
    assert.deepEqual(queries(client).slice(0, 3), ['BEGIN', 'delete from t where id = 1 / 0', 'ROLLBACK']);
  });

  it('whose deferred constraint fails at COMMIT has that as its own error', async () => {
    const client = await world.raw();
    client.send(build.query('insert into child values (1, 7)'));
    assert.equal(await until(client, 'Z'), 'E(23503) Z(I)');
    assert.equal(await count('child'), 0);
    assert.match(outcomes()[0] ?? '', /violates foreign key/);
  });

  it('counts what the target counts: what its triggers changed is not in it', async () => {
    const client = await world.raw();
    assert.equal(await until(client.send(build.query('delete from noted')), 'Z'), 'C(DELETE 1) Z(I)');
    assert.deepEqual([world.gate.touched, await count('log')], [[1], 50]);
  });

  it('that runs code is asked about, though it touched no row itself: the code may have', async () => {
    await target.direct.query('insert into log select generate_series(1, 50)');
    const text = 'delete from t where wipe(id)';
    const effects = (['delete', 'call'] as const).map((action) => ({ action, object: 'public.t' }));
    const facts = { text, shown: text, effects, headline: text, risks: [], parameters: 0 };
    world.inspector.inspect = () => [{ ...facts, session: { kind: 'none' } }];
    const client = await world.raw();
    client.send(build.query(text));
    (await open()).deny('no');
    assert.match(await until(client, 'Z'), /E\(42501\) Z\(I\)$/);
    assert.deepEqual([world.gate.touched, await count('log')], [[undefined], 50]);
  });

  it('whose rows nobody counts is asked about: EXPLAIN ANALYZE', async () => {
    world.inspector.inspect = () => [
      {
        text: 'x',
        shown: 'x',
        effects: [{ action: 'delete', object: 'public.t' }],
        headline: 'x',
        risks: [],
        session: { kind: 'none' },
        parameters: 0,
      },
    ];
    const client = await world.raw();
    client.send(build.query('explain analyze delete from t where id = 1'));
    (await open()).deny('no');
    assert.match(await until(client, 'Z'), /E\(42501\) Z\(I\)$/);
    assert.deepEqual([world.gate.touched, await target.rows()], [[undefined], 10]);
  });
});

describe("in the client's own transaction", () => {
  it('it stands once confirmed, and the client commits it', async () => {
    const client = await world.raw();
    await client.send(build.query('begin')).until('Z');
    client.send(build.query('delete from t'));
    (await open()).approve();
    assert.equal(await until(client, 'Z'), 'N C(DELETE 10) Z(T)');
    assert.equal(await target.rows(), 10);
    assert.equal(await until(client.send(build.query('commit')), 'Z'), 'C(COMMIT) Z(I)');
    assert.equal(await target.rows(), 0);
    assert.deepEqual(outcomes(), ['BEGIN', 'confirmed in its transaction', 'COMMIT']);
  });

  it('it is undone where it is not, really; a savepoint of the client brings back what was before', async () => {
    const client = await world.raw();
    for (const text of ['begin', 'insert into t values (11)', 'savepoint s']) {
      await client.send(build.query(text)).until('Z');
    }
    client.send(build.query('delete from t'));
    (await open()).deny('no');
    assert.equal(await until(client, 'Z'), 'N E(42501) Z(E)');
    assert.equal(await until(client.send(build.query('select 1')), 'Z'), 'E(25P02) Z(E)');
    assert.equal(await until(client.send(build.query('rollback to s')), 'Z'), 'C(ROLLBACK) Z(T)');
    assert.equal(await until(client.send(build.query('commit')), 'Z'), 'C(COMMIT) Z(I)');
    assert.equal(await target.rows(), 11);
  });
});

describe('in the extended protocol', () => {
  it('its Sync, which would commit it, waits until it is confirmed', async () => {
    const client = await world.raw();
    client.send(...run('delete from t'), build.sync());
    const hold = await open();
    await settled();
    assert.equal(await target.rows(), 10);
    assert.doesNotMatch(client.sentTypes(), /S$/);
    hold.approve();
    assert.equal(await until(client, 'Z'), '1 2 N C(DELETE 10) Z(I)');
    assert.equal(await target.rows(), 0);
    assert.deepEqual(outcomes(), ['committed after confirmation']);
  });

  it('it is refused and skips to Sync, with all of its pipeline', async () => {
    const client = await world.raw();
    client.send(...run('insert into t values (11)'), ...run('delete from t'), ...run('select 1'), build.sync());
    (await open()).deny('no');
    assert.equal(await until(client, 'Z'), '1 2 C(INSERT 0 1) 1 2 N E(42501) Z(I)');
    assert.equal(await target.rows(), 10);
    assert.equal(await until(client.send(...run('select 1'), build.sync()), 'Z'), '1 2 D×1 C(SELECT 1) Z(I)');
  });

  it('a constraint that fails at its Sync is the error of all that Sync would have committed', async () => {
    world.gate.confirmed = undefined;
    const client = await world.raw();
    client.send(...run('insert into t values (11)'), ...run('insert into child values (1, 7)'), build.sync());
    assert.equal(await until(client, 'Z'), '1 2 C(INSERT 0 1) 1 2 C(INSERT 0 1) E(23503) Z(I)');
    assert.equal(await target.rows(), 10);
    for (const outcome of outcomes()) assert.match(outcome ?? '', /violates foreign key/);
    assert.equal(outcomes().length, 2);
    client.send(...run('insert into t values (12)'), ...run('select 1 / 0'), build.sync());
    await until(client, 'Z');
    assert.deepEqual(outcomes().slice(2).sort(), [
      'division by zero',
      'undone: another part of the same pipeline failed',
    ]);
  });

  it('it is undone in a transaction block of the client', async () => {
    const client = await world.raw();
    await client.send(build.query('begin')).until('Z');
    client.send(...run('delete from t'), build.sync());
    (await open()).deny('no');
    assert.equal(await until(client, 'Z'), '1 2 N E(42501) Z(E)');
    assert.equal(await until(client.send(build.query('commit')), 'Z'), 'C(ROLLBACK) Z(I)');
    assert.equal(await target.rows(), 10);
  });

  it('a prepared statement is asked about each time it touches too many', async () => {
    const driver = await world.driver();
    const remove = (most: number) => driver.query({ name: 'd', text: 'delete from t where id <= $1', values: [most] });
    assert.equal((await remove(1)).rowCount, 1);
    const many = remove(9);
    (await open()).deny('no');
    await assert.rejects(many, { code: '42501' });
    const again = remove(9);
    (await open(1)).approve();
    assert.equal((await again).rowCount, 8);
    assert.deepEqual([world.gate.touched, await target.rows()], [[1, 8, 8], 1]);
  });

  it('a Query behind messages without a Sync is refused: nobody knows which transaction it would be in', async () => {
    for (const [before, first] of [
      ['begin', 'commit'],
      ['select 1', 'begin'],
      ['select 1', 'insert into t values (11)'],
    ] as const) {
      const client = await world.raw();
      await client.send(build.query(before)).until('Z');
      client.send(...run(first), build.query('delete from t'));
      assert.match(await until(client, 'Z'), /^1 2 C\([A-Z]+( 0 1)?\) E\(0A000\) Z\([IE]\)$/, first);
      assert.deepEqual([await target.rows(), world.gate.holds.length], [10, 0], first);
    }
    assert.deepEqual(outcomes().slice(-1), ['undone: another part of the same pipeline failed']);
  });

  it('is not said to be committed where its pipeline began a transaction that is still open', async () => {
    for (const [index, messages] of [
      [...run('begin'), ...run('delete from t')],
      [...run('delete from t'), ...run('begin')],
    ].entries()) {
      const client = await world.raw();
      client.send(...messages, build.sync());
      (await open(index)).approve();
      assert.match(await until(client, 'Z'), /Z\(T\)$/);
      assert.ok(outcomes().includes('confirmed in its transaction'), String(outcomes()));
      assert.ok(!outcomes().includes('committed after confirmation'));
      await client.send(build.query('rollback')).until('Z');
      assert.equal(await target.rows(), 10);
      world.gate.outcomes.length = 0;
    }
  });

  it('whose rows are read in parts, it is asked about with the first', async () => {
    const client = await world.raw();
    client.send(...run('delete from t returning id', 2), build.sync());
    (await open()).deny('no');
    assert.equal(await until(client, 'Z'), '1 2 D×2 N E(42501) Z(I)');
    assert.deepEqual([world.gate.touched, await target.rows()], [[undefined], 10]);
  });
});

describe('while somebody is asked whether it may commit', () => {
  const asking = async () => {
    const client = await world.raw();
    client.send(build.query('delete from t'));
    return { client, hold: await open() };
  };
  const released = async () => {
    // Nothing keeps its locks any more: another session gets them at once.
    await target.direct.query("set lock_timeout = '2s'; begin; lock table t in access exclusive mode; commit");
    assert.equal(await target.rows(), 10);
  };

  it('its locks are kept, and let go of with the rollback', async () => {
    const { client, hold } = await asking();
    await assert.rejects(
      target.direct.query("set lock_timeout = '50ms'; update t set v = 'mine' where id = 1"),
      /lock timeout/,
    );
    hold.deny('no');
    await client.until('Z');
    await released();
  });

  it("a cancel rolls it back, in the server's own words", async () => {
    const { client, hold } = await asking();
    const at = client.received.indexOf(Buffer.from([0x4b, 0, 0, 0]));
    const bytes = client.received.subarray(at, at + 1 + client.received.readUInt32BE(at + 1));
    const key = parseBackendKeyData({ type: 0x4b, bytes, first: true, last: true });
    const cancelling = await RawClient.connect(world.port);
    cancelling.send(build.cancelRequest(key.pid, key.secret));
    assert.equal(await until(client, 'Z'), 'N E(57014) Z(I)');
    assert.equal(hold.withdrawn, 'canceling statement due to user request');
    await cancelling.end();
    await released();
    assert.equal(await until(client.send(build.query('select 1')), 'Z'), 'T D×1 C(SELECT 1) Z(I)');
  });

  it('a client that leaves has it rolled back', async () => {
    const { client, hold } = await asking();
    client.socket.destroy();
    await world.gate.until(() => world.gate.outcomes.length === 1);
    await client.targetClosed();
    assert.equal(hold.withdrawn, 'the client left while this was waiting');
    assert.match(outcomes()[0] ?? '', /^rolled back: /);
    await released();
  });

  it('a session that is ended has it rolled back; so has a pipeline of one', async () => {
    for (const [index, messages] of [
      [build.query('delete from t')],
      [...run('delete from t'), build.sync()],
    ].entries()) {
      const client = await world.raw();
      client.send(...messages);
      const hold = await open(index);
      for (const session of world.registry.list()) session.end('ended by Alice');
      assert.match(await until(client, 'E'), /E\(57P01\)$/);
      assert.equal(hold.withdrawn, 'ended by Alice');
      await client.targetClosed();
      await released();
    }
    assert.deepEqual(new Set(outcomes()), new Set(['rolled back: not confirmed: ended by Alice']));
  });

  it('a drain rolls it back', async () => {
    const { client } = await asking();
    const drained = world.sessions.drainSessions(AbortSignal.timeout(5_000));
    assert.equal(await until(client, 'Z'), 'N E(57P01) Z(I)');
    await drained;
    await released();
  });

  it('a target that is gone had no COMMIT: what is said is that it is rolled back', async () => {
    const { client, hold } = await asking();
    client.target.gateway.destroy();
    for (let i = 0; i < 50 && hold.withdrawn === undefined; i++) {
      hold.context.tell({ kind: 'waiting', text: 'still waiting' });
      await settled();
    }
    await client.until('E');
    assert.match(outcomes()[0] ?? '', /^rolled back: /);
    await released();
  });
});

describe('a client that leaves while it still runs', () => {
  it('leaves nothing of it behind', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t where pg_sleep(0.05) is not null'));
    await world.gate.until(() => world.gate.admitted.length === 1);
    client.socket.destroy();
    await world.gate.until(() => world.gate.outcomes.length === 1);
    await client.targetClosed();
    assert.equal(await target.rows(), 10);
  });
});
