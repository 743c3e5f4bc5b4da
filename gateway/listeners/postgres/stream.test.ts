/** What flows through a stay: bounds, backpressure, COPY, and a target that dies in the middle; real target. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { brief, type SessionWorld, sessionWorld } from '../../../test/support/session.ts';
import { closeSettled, type SessionTarget, sessionTarget } from '../../../test/support/session-target.ts';
import * as build from './builders.ts';
import { parseServerMessage } from './messages.ts';

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target = await sessionTarget('create table t (id int, v text)');
});
after(() => target.stop());
beforeEach(async () => {
  await target.direct.query('truncate t');
  world = await sessionWorld(target.postgres, { limits: { pipelinedBytes: 64 * 1024, lingerMs: 1_000 } });
});
afterEach(() => closeSettled(world));

const copyText = (count: number): Buffer => build.copyData(Buffer.from('1\tx\n'.repeat(count)));

describe('bounds', () => {
  it('withdraws a hold behind which too much is pipelined, and says why', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t -- held'));
    const hold = await world.gate.hold();
    await client.until('N');
    for (let i = 0; i < 20; i++) client.send(build.query(`select 1 -- ${'x'.repeat(8_000)}`));
    const refused = await client.until('Z');
    assert.equal(brief(refused), 'E(53400) Z(I)');
    assert.match(parseServerMessage(refused[0]!).message, /more than 65536 bytes were sent behind a held statement/);
    assert.match(hold.withdrawn!, /65536/);
    for (let i = 0; i < 20; i++) assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
  });

  it('refuses a statement that is too long', async () => {
    await world.close();
    world = await sessionWorld(target.postgres, { limits: { statementBytes: 1_000 } });
    const client = await world.raw();
    const long = `select '${'x'.repeat(1_000)}'`;
    assert.equal(brief(await client.send(build.query(long)).until('Z')), 'E(54000) Z(I)');
    assert.equal(brief(await client.send(build.parse('', long), build.sync()).until('Z')), 'E(54000) Z(I)');
  });

  it('passes a large result with backpressure, nothing lost', async () => {
    const client = await world.driver();
    const { rows: got } = await client.query("select repeat('x', 20000) v from generate_series(1, 500)");
    assert.equal(got.length, 500);
    const big = await client.query("select length(repeat('y', 3000000)) n, repeat('y', 3000000) v");
    assert.equal(big.rows[0].v.length, 3_000_000);
  });

  it('buffers a bounded amount for a client that does not read', async () => {
    const client = await world.raw();
    client.socket.pause();
    client.send(build.query("select repeat('x', 100000) from generate_series(1, 300)"));
    const { target } = client.target;
    let before = -1;
    // The flow has stopped when the target's bytes no longer grow between two looks.
    while (before !== target.bytesRead) {
      before = target.bytesRead;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.equal(before < 25_000_000, true, `${before} of 30,000,000 bytes were read`);
    client.socket.resume();
    await client.until('Z');
    assert.deepEqual(world.gate.ends(), ['SELECT 300']);
  });

  it('allows a principal as many sessions as configured, and says so to the next', async () => {
    await world.close();
    world = await sessionWorld(target.postgres, { maxPerPrincipal: 1 });
    await world.raw();
    await assert.rejects(world.driver(), { code: '53400' });
  });

  it('ends an idle session', async () => {
    await world.close();
    world = await sessionWorld(target.postgres, { limits: { idleMs: 50 } });
    const client = await world.raw();
    assert.equal((await client.refusal()).sqlstate, '57P01');
  });
});

describe('COPY', () => {
  it('forwards no data before approval, then all of it', async () => {
    const client = await world.raw();
    client.send(build.query('copy t from stdin -- held'), copyText(3), build.copyDone(), build.query('select 1'));
    const hold = await world.gate.hold();
    assert.equal(client.sentBytes().length, 0);
    assert.deepEqual(hold.operation.caps, { rows: 10_000, bytes: 16 << 20 });
    assert.equal(hold.operation.risks.includes('data is not reviewed'), true);
    hold.approve();
    assert.equal(brief(await client.until('Z')), 'N G C(COPY 3) Z(I)');
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
    assert.equal(await target.rows(), 3);
  });

  it('takes no more rows than were approved', async () => {
    const client = await world.raw();
    client.send(build.query('copy t from stdin -- held'));
    (await world.gate.hold()).approve();
    await client.until('G');
    for (let i = 0; i < 11; i++) client.send(copyText(1_000));
    client.send(build.copyDone());
    const refused = await client.until('Z');
    assert.equal(brief(refused), 'E(57014) Z(I)');
    assert.match(parseServerMessage(refused[0]!).message, /more than the 10000 rows that were approved/);
    assert.equal(await target.rows(), 0);
    assert.equal(brief(await client.send(build.query('select 1')).until('Z')), 'T D C(SELECT 1) Z(I)');
  });

  it('takes no more bytes than were approved, also from one huge message', async () => {
    await world.close();
    world = await sessionWorld(target.postgres, { limits: { copy: { rows: 1e9, bytes: 200_000 } } });
    const client = await world.raw();
    client.send(build.query('copy t from stdin -- held'));
    (await world.gate.hold()).approve();
    await client.until('G');
    client.send(copyText(100_000), build.copyDone());
    assert.equal(brief(await client.until('Z')), 'E(57014) Z(I)');
    assert.equal(client.sentTypes(), 'Qf');
  });

  it('limits nothing that nobody had to approve, and streams large messages', async () => {
    const client = await world.raw();
    await client.send(build.query('copy t from stdin')).until('G');
    client.send(copyText(100_000), build.copyDone());
    assert.equal(brief(await client.until('Z')), 'C(COPY 100000) Z(I)');
  });

  it('works in the extended protocol, with the Sync a driver sends early', async () => {
    const client = await world.raw();
    client.send(build.parse('', 'copy t from stdin'), build.bind('', ''), build.execute(''), build.sync());
    assert.equal(brief(await client.until('G')), '1 2 G');
    client.send(copyText(2), build.copyDone(), build.sync());
    assert.equal(brief(await client.until('Z')), 'C(COPY 2) Z(I)');
    assert.deepEqual(world.gate.ends(), ['COPY 2']);
  });

  it('recovers when the data is bad, and when other messages come instead', async () => {
    const client = await world.raw();
    client.send(build.query('copy t from stdin'));
    await client.until('G');
    client.send(
      build.copyData(Buffer.from('not a number\tx\n')),
      copyText(1),
      build.copyDone(),
      build.query('select 1'),
    );
    assert.equal(brief(await client.until('Z')), 'E(22P02) Z(I)');
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
    client.send(build.query('copy t from stdin'));
    await client.until('G');
    client.send(build.query('delete from t'));
    assert.equal(brief(await client.until('Z')), 'E(57014) Z(I)');
    client.send(build.query('copy t from stdin'));
    await client.until('G');
    client.send(build.copyFail('changed my mind'));
    assert.equal(brief(await client.until('Z')), 'E(57014) Z(I)');
    assert.deepEqual(world.gate.texts().includes('delete from t'), false);
  });

  it('passes COPY TO STDOUT', async () => {
    await target.direct.query("insert into t select n, 'x' from generate_series(1, 1000) n");
    const client = await world.raw();
    const seen = await client.send(build.query('copy t to stdout')).until('Z');
    assert.equal(seen.filter(({ type }) => type === 0x64).length, 1_000);
    assert.deepEqual(world.gate.ends(), ['COPY 1000']);
  });

  it('undoes a COPY whose client disappears', async () => {
    const client = await world.raw();
    client.send(build.query('copy t from stdin'));
    await client.until('G');
    client.send(copyText(5));
    client.socket.destroy();
    await Promise.all(world.ended);
    assert.equal(await target.rows(), 0);
    assert.deepEqual(world.gate.ends(), ['57014']);
  });
});

describe('the target', () => {
  const kill = async (client: { received: Buffer }): Promise<void> => {
    void client;
    await target.direct.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '' and pid <> pg_backend_pid() and backend_type = 'client backend'",
    );
  };

  it('dies while a statement is held: a clean error, nothing replayed', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t -- held'));
    const hold = await world.gate.hold();
    await client.until('N');
    client.target.gateway.destroy();
    const error = await client.refusal();
    assert.deepEqual([error.severity, error.sqlstate], ['FATAL', '08006']);
    assert.equal(hold.context.alive(), false);
    hold.approve();
    await Promise.all(world.ended);
    assert.equal(client.sentBytes().length, 0);
    assert.deepEqual(world.gate.outcomes, []);
  });

  it('ends the session while a statement is held: its own FATAL is the answer', async () => {
    const client = await world.raw();
    client.send(build.query('delete from t -- held'));
    const hold = await world.gate.hold();
    await client.until('N');
    await kill(client);
    assert.equal((await client.refusal()).sqlstate, '57P01');
    await world.gate.until(() => hold.withdrawn !== undefined);
  });

  it('dies after a statement was forwarded: the outcome is unknown, and says so', async () => {
    const client = await world.raw();
    client.send(build.query('select pg_sleep(30)'));
    await world.gate.until(() => world.gate.admitted.length === 1);
    while (client.sentBytes().length === 0) await new Promise((resolve) => setImmediate(resolve));
    client.target.gateway.destroy();
    assert.equal((await client.refusal()).sqlstate, '08006');
    await Promise.all(world.ended);
    assert.deepEqual(world.gate.ends(), ['unknown']);
  });

  it('sends what answers nothing: that session ends', async () => {
    const client = await world.raw();
    client.target.gateway.write(build.commandComplete('DELETE 5'));
    assert.equal((await client.refusal()).sqlstate, '08006');
  });
});
