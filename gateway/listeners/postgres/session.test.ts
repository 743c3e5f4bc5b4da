/** A stay as clients live it: cancel, leaving, every way to end, psql and drivers; real clients, real target. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { RawClient } from '../../../test/support/door.ts';
import { brief, type SessionWorld, sessionWorld } from '../../../test/support/session.ts';
import { closeSettled, type SessionTarget, sessionTarget } from '../../../test/support/session-target.ts';
import { eventually } from '../../../test/support/workspace.ts';
import * as build from './builders.ts';
import { parseBackendKeyData, parseServerMessage } from './messages.ts';

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

async function cancel(key: { pid: number; secret: Buffer }): Promise<void> {
  const client = await RawClient.connect(world.port);
  client.send(build.cancelRequest(key.pid, key.secret));
  await client.end();
}

/** Resolves once the target is at work on this text. */
async function runsOnTarget(text: string): Promise<void> {
  const running = "select from pg_stat_activity where state = 'active' and query = $1";
  const seen = await eventually(async () => (await target.direct.query(running, [text])).rowCount === 1);
  assert.ok(seen, `the target never ran ${text}`);
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
    await runsOnTarget('select pg_sleep(30)'); // a server that has not begun takes no notice of a cancel
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

  it('ends a statement that is still being looked into, before any of it is upstream', async () => {
    const client = await withKey();
    let go = (): void => undefined;
    world.inspector.refresh = () => new Promise((resolve) => (go = resolve));
    client.send(build.query('create table looked_into (id int)'), build.query('select pg_sleep(30)'));
    await client.until('Z'); // what follows waits for the catalogue
    await cancel(client.key);
    go();
    assert.equal(brief(await client.until('Z')), 'E(57014) Z(I)');
    assert.equal(client.sentBytes().includes('pg_sleep'), false);
    assert.equal(brief(await client.send(build.query('drop table looked_into')).until('Z')), 'C(DROP TABLE) Z(I)');
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
    assert.equal(await target.rows(), 0);
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
