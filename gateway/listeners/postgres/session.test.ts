/** A stay from greeting to end: cancel, leaving, overflow, COPY, the target's death, drain; real clients, real target. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import pg from 'pg';
import { RawClient } from '../../../test/support/door.ts';
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import { brief, type SessionWorld, sessionWorld } from '../../../test/support/session.ts';
import * as build from './builders.ts';
import { parseBackendKeyData, parseServerMessage } from './messages.ts';

const run = promisify(execFile);
let postgres: TestPostgres;
let direct: pg.Client;
let world: SessionWorld;
before(async () => {
  postgres = await startPostgres();
  direct = new pg.Client({ connectionString: postgres.url('postgres') });
  await direct.connect();
  await direct.query('create table t (id int, v text)');
});
after(async () => {
  await direct.end();
  await postgres.stop();
});
beforeEach(async () => {
  await direct.query('truncate t');
  world = await sessionWorld(postgres, { limits: { pipelinedBytes: 64 * 1024, lingerMs: 1_000 } });
});
afterEach(async () => {
  await world.close();
  assert.equal(world.gate.settledTwice, 0, 'every permit is settled once');
  if (world.trouble.audit) return;
  const ends = world.audit.filter(({ kind }) => kind === 'session.end').length;
  assert.equal(world.audit.filter(({ kind }) => kind === 'session.start').length, ends, 'each start has its end');
  assert.equal(world.registry.size, 0);
});

const rows = async (): Promise<number> => Number((await direct.query('select count(*) n from t')).rows[0].n);
const copyText = (count: number): Buffer => build.copyData(Buffer.from('1\tx\n'.repeat(count)));

async function cancel(key: { pid: number; secret: Buffer }): Promise<void> {
  const client = await RawClient.connect(world.port);
  client.send(build.cancelRequest(key.pid, key.secret));
  await client.end();
}

/** A raw client whose cancel key is known. */
async function withKey() {
  const client = await world.raw();
  const frames: Buffer = client.received;
  const at = frames.indexOf(Buffer.from([0x4b, 0, 0, 0]));
  const bytes = frames.subarray(at, at + 1 + frames.readUInt32BE(at + 1));
  return Object.assign(client, { key: parseBackendKeyData({ type: 0x4b, bytes, first: true, last: true }) });
}

describe('cancel', () => {
  it("withdraws what is held, in the server's own words, and the session goes on", async () => {
    const client = await withKey();
    client.send(build.query('delete from t -- held'));
    const hold = await world.gate.hold();
    await cancel(client.key);
    const [, refused] = [await client.until('N'), await client.until('Z')];
    assert.equal(brief(refused), 'E(57014) Z(I)');
    assert.equal(parseServerMessage(refused[0]!).message, 'canceling statement due to user request');
    assert.equal(hold.withdrawn, 'canceling statement due to user request');
    hold.approve();
    assert.equal(brief(await client.send(build.query('select 1')).until('Z')), 'T D C(SELECT 1) Z(I)');
    assert.equal(client.sentBytes().includes('delete'), false);
  });

  it('cancels what runs, and a late one never hits the next statement', async () => {
    const client = await withKey();
    client.send(build.query('select pg_sleep(30)'));
    await world.gate.until(() => world.gate.admitted.length === 1);
    await cancel(client.key);
    assert.equal(brief(await client.until('Z')), 'T E(57014) Z(I)');
    assert.deepEqual(world.gate.ends(), ['57014']);
    const connections = world.recorder.connections.length;
    await cancel(client.key);
    client.send(build.query('select pg_sleep(0.05)'));
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
    assert.equal(world.recorder.connections.length, connections, 'an idle session has nothing to cancel');
  });

  it('holds back the next statement until the target has dealt with a cancel', async () => {
    const client = await withKey();
    for (let i = 0; i < 20; i++) {
      client.send(build.query('select 1'));
      const cancelled = cancel(client.key);
      const first = brief(await client.until('Z'));
      assert.match(first, /^(T D C\(SELECT 1\)|E\(57014\)|T E\(57014\)) Z\(I\)$/);
      assert.equal(brief(await client.send(build.query('select pg_sleep(0.001)')).until('Z')), 'T D C(SELECT 1) Z(I)');
      await cancelled;
    }
  });

  it('works for psql: Ctrl-C withdraws', async () => {
    const psql = spawn('psql', ['-X', '-At', world.url], { stdio: ['pipe', 'pipe', 'pipe'] });
    const out = collect(psql);
    psql.stdin.write('delete from t /* held */;\n');
    await world.gate.hold();
    await out.until('waiting for Carol');
    psql.kill('SIGINT');
    await out.until('canceling statement due to user request');
    await new Promise((resolve) => psql.once('exit', resolve));
  });

  it('takes no foreign key', async () => {
    const client = await withKey();
    client.send(build.query('delete from t -- held'));
    const hold = await world.gate.hold();
    await cancel({ pid: client.key.pid, secret: Buffer.from([1, 2, 3, 4]) });
    await cancel({ pid: client.key.pid ^ 1, secret: client.key.secret });
    assert.equal(hold.withdrawn, undefined);
    hold.deny('enough');
    await client.until('Z');
  });
});

describe('leaving while held', () => {
  const leave: Record<string, (socket: Socket) => unknown> = {
    'by RST': (socket) => socket.resetAndDestroy(),
    'by closing': (socket) => socket.destroy(),
    'by half-closing': (socket) => socket.end(),
  };
  for (const [how, go] of Object.entries(leave)) {
    it(`${how} withdraws it; a later approval runs nothing`, async () => {
      const client = await world.raw();
      client.send(build.query('begin'));
      await client.until('Z');
      client.send(build.query('delete from t -- held'));
      const hold = await world.gate.hold();
      go(client.socket as Socket);
      await world.gate.until(() => hold.withdrawn !== undefined);
      assert.match(hold.withdrawn!, /left/);
      assert.equal(hold.context.alive(), false);
      hold.approve();
      await client.targetClosed();
      assert.equal(client.sentTypes(), 'QX');
      assert.deepEqual(world.gate.ends(), ['BEGIN']);
    });
  }

  it("closes the target's session without running what was pipelined behind", async () => {
    const client = await world.raw();
    client.send(build.query('delete from t -- held'), build.query('insert into t values (1)'));
    await world.gate.hold();
    client.socket.end();
    await client.targetClosed();
    assert.equal(client.sentTypes(), 'X');
    assert.equal(await rows(), 0);
  });

  it('still learns the outcome of what ran when the client went away', async () => {
    const client = await world.raw();
    client.send(build.query('insert into t select 1 from pg_sleep(0.2)'));
    await world.gate.until(() => world.gate.admitted.length === 1);
    client.socket.destroy();
    await Promise.all(world.ended);
    assert.deepEqual(world.gate.ends(), ['INSERT 0 1']);
  });

  it('answers a half-closed client whose statements nobody has to approve', async () => {
    const client = await world.raw();
    client.send(build.query('select 1'));
    client.socket.end();
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
    await Promise.all(world.ended);
  });
});

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
    world = await sessionWorld(postgres, { limits: { statementBytes: 1_000 } });
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
    world = await sessionWorld(postgres, { maxPerPrincipal: 1 });
    await world.raw();
    await assert.rejects(world.driver(), { code: '53400' });
  });

  it('ends an idle session', async () => {
    await world.close();
    world = await sessionWorld(postgres, { limits: { idleMs: 50 } });
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
    assert.equal(await rows(), 3);
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
    assert.equal(await rows(), 0);
    assert.equal(brief(await client.send(build.query('select 1')).until('Z')), 'T D C(SELECT 1) Z(I)');
  });

  it('takes no more bytes than were approved, also from one huge message', async () => {
    await world.close();
    world = await sessionWorld(postgres, { limits: { copy: { rows: 1e9, bytes: 200_000 } } });
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
    await direct.query("insert into t select n, 'x' from generate_series(1, 1000) n");
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
    assert.equal(await rows(), 0);
    assert.deepEqual(world.gate.ends(), ['57014']);
  });
});

describe('the target', () => {
  const kill = async (client: { received: Buffer }): Promise<void> => {
    void client;
    await direct.query(
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

describe('ways to end', () => {
  it('ends with its credential, natively, and cancels what runs', async () => {
    const client = await world.raw();
    client.send(build.query('select pg_sleep(30)'));
    await world.gate.until(() => world.gate.admitted.length === 1);
    world.authenticator.endAll('the token expired');
    const error = await client.refusal();
    assert.deepEqual([error.severity, error.sqlstate, error.message], ['FATAL', '57P01', 'the token expired']);
    await Promise.all(world.ended);
    assert.deepEqual(world.gate.ends(), ['57014']);
  });

  it('is ended by an admin through the registry, held or idle', async () => {
    const idle = await world.raw();
    const held = await world.raw();
    held.send(build.query('delete from t -- held'));
    const hold = await world.gate.hold();
    await held.until('N');
    for (const session of world.registry.list()) session.end('ended by alice');
    assert.equal((await idle.refusal()).message, 'ended by alice');
    assert.equal((await held.refusal()).message, 'ended by alice');
    assert.equal(hold.withdrawn, 'ended by alice');
  });

  it('drains: idle ones end, held ones are withdrawn, running ones finish', async () => {
    const [idle, held, running] = [await world.raw(), await world.raw(), await world.raw()];
    held.send(build.query('delete from t -- held'));
    const hold = await world.gate.hold();
    await held.until('N');
    running.send(build.query('select pg_sleep(0.2)'));
    await world.gate.until(() => world.gate.admitted.length === 2);
    await world.sessions.drainSessions(AbortSignal.timeout(5_000));
    assert.equal(brief(await idle.until('E')), 'E(57P01)');
    assert.match(brief(await held.until('E')), /E\(57P01\)/);
    assert.equal(brief(await running.until('E')), 'T D C(SELECT 1) Z(I) E(57P01)');
    assert.equal(hold.withdrawn, 'the gateway is shutting down');
    await assert.rejects(world.driver(), { code: '57P01' });
  });

  it('ends on a malformed message, that session only', async () => {
    const [broken, other] = [await world.raw(), await world.raw()];
    broken.send(Buffer.from([0x51, 0, 0, 0, 3]));
    assert.equal((await broken.refusal()).sqlstate, '08P01');
    const bind = build.bind('', '', ['x']);
    bind.writeInt32BE(-2, bind.length - 7);
    const wrong = await world.raw();
    wrong.send(build.parse('', 'select $1::text'), bind);
    assert.equal((await wrong.refusal()).sqlstate, '08P01');
    assert.equal(brief(await other.send(build.query('select 1')).until('Z')), 'T D C(SELECT 1) Z(I)');
  });

  it('refuses a session that cannot be recorded', async () => {
    world.trouble.audit = true;
    await assert.rejects(world.driver(), { code: '58030' });
  });

  it('ends rather than refuse unrecorded', async () => {
    const client = await world.raw();
    world.trouble.audit = true;
    client.send(build.query('selec'));
    assert.equal((await client.refusal()).sqlstate, '58030');
  });
});

describe('real clients', () => {
  it('serves psql: \\d, transactions, errors, a held statement', async () => {
    const psql = spawn('psql', ['-X', '-At', world.url], { stdio: ['pipe', 'pipe', 'pipe'] });
    const out = collect(psql);
    psql.stdin.write("insert into t values (1,'a') /* held */;\n\\echo after\nselect * from t;\n\\copy t to stdout\n");
    (await world.gate.hold()).approve();
    psql.stdin.write('begin;\ndelete from t /* denied */;\nselect 1;\nrollback;\nselect count(*) from t;\n\\q\n');
    await new Promise((resolve) => psql.once('exit', resolve));
    const text = out.text();
    assert.match(text, /NOTICE: {2}waiting for Carol/);
    assert.match(text, /INSERT 0 1\nafter\n1\|a\n1\ta\nBEGIN\n/);
    assert.match(text, /ERROR: {2}refused by rule no-such-thing: not today\nHINT: {2}Ask for less\./);
    assert.match(text, /current transaction is aborted/);
    assert.match(text, /ROLLBACK\n1\n/);
  });

  it('serves pg with parameters, prepared statements and errors', async () => {
    const client = await world.driver();
    assert.deepEqual((await client.query('select $1::int n', [4])).rows, [{ n: 4 }]);
    for (let i = 0; i < 3; i++) {
      assert.deepEqual((await client.query({ name: 'x', text: 'select $1::int n', values: [i] })).rows, [{ n: i }]);
    }
    await assert.rejects(client.query('select 1 denied from t where id = $1', [1]), { code: '42501' });
    await assert.rejects(client.query('select nope'), { code: '42703' });
    assert.deepEqual((await client.query('select 1 n')).rows, [{ n: 1 }]);
  });

  it('serves pgbench in every query mode', async () => {
    const { stdout } = await run('which', ['pgbench']).catch(() => ({ stdout: '' }));
    if (stdout === '') return;
    const script = '-';
    for (const mode of ['simple', 'extended', 'prepared']) {
      const bench = spawn('pgbench', ['-n', '-c', '2', '-t', '20', '-M', mode, '-f', script, world.url]);
      const out = collect(bench);
      bench.stdin.end('select 1;\ninsert into t values (1);\n');
      await new Promise((resolve) => bench.once('exit', resolve));
      assert.match(out.text(), /number of transactions actually processed: 40\/40/);
    }
  });
});

/** What a child says on both streams; `until` resolves when it has said it. */
function collect(child: ChildProcess) {
  let said = '';
  let wake = () => {};
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      said += chunk;
      wake();
    });
  }
  child.once('exit', () => wake());
  return {
    text: () => said,
    until: async (words: string) => {
      while (!said.includes(words)) {
        if (child.exitCode !== null) throw new Error(`ended without saying "${words}": ${said}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
