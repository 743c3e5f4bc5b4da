/** 15/19 Cancel keys guessed, replayed and of others; tokens that end in the midst of a session and of a hold. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as build from '../gateway/listeners/postgres/builders.ts';
import { parseBackendKeyData, parseServerMessage } from '../gateway/listeners/postgres/messages.ts';
import { backendDecoder } from '../gateway/listeners/postgres/wire.ts';
import { RawClient } from './support/door.ts';
import { brief, type SessionWorld, sessionWorld, type TestHold } from './support/session.ts';
import { type SessionTarget, sessionTarget } from './support/session-target.ts';

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target = await sessionTarget('create table t (id int)');
  world = await sessionWorld(target.postgres, { limits: { lingerMs: 5_000 } });
});
after(async () => {
  await world.close();
  await target.stop();
});

type Client = Awaited<ReturnType<SessionWorld['raw']>>;
type Key = ReturnType<typeof parseBackendKeyData>;

function keyOf(client: Client): Key {
  const frame = backendDecoder()
    .push(client.received)
    .find(({ type }) => type === 'K'.charCodeAt(0));
  return parseBackendKeyData(frame!);
}

/** A CancelRequest on a connection of its own; resolves when the gateway has closed that. */
async function cancel({ pid, secret }: Key): Promise<RawClient> {
  const client = await RawClient.connect(world.port);
  client.send(build.cancelRequest(pid, secret));
  await client.end();
  return client;
}

async function held(): Promise<{ client: Client; hold: TestHold }> {
  const client = await world.raw();
  const count = world.gate.holds.length;
  client.send(build.query('insert into t values (1) -- held'));
  return { client, hold: await world.gate.hold(count) };
}

describe('15 cancel keys', { timeout: 60_000 }, () => {
  it('a guessed secret, a short or long one, another pid: nothing is cancelled and nothing is said', async () => {
    const { client, hold } = await held();
    const { pid, secret } = keyOf(client);
    const off = Buffer.from(secret);
    off[0]! ^= 1;
    const long = Buffer.concat([secret, Buffer.alloc(28)]);
    for (const guess of [
      { pid, secret: off },
      { pid, secret: long },
      { pid: 0, secret: Buffer.alloc(4) },
      { pid: pid ^ 1, secret },
    ]) {
      assert.equal((await cancel(guess)).received.length, 0);
      assert.equal(hold.withdrawn, undefined);
    }
    await cancel({ pid, secret });
    assert.notEqual(hold.withdrawn, undefined, 'its own key withdraws it');
    assert.match(brief(await client.until('Z')), /E\(57014\) Z\(I\)/);
    client.socket.destroy();
  });

  it('the key of another session withdraws nothing of this one', async () => {
    const { client, hold } = await held();
    const other = await world.raw();
    await cancel(keyOf(other));
    assert.equal(hold.withdrawn, undefined);
    hold.deny('enough');
    await client.until('Z');
    for (const one of [client, other]) one.socket.destroy();
  });

  it('a key replayed after its session has ended reaches nobody', async () => {
    const gone = await world.raw();
    const key = keyOf(gone);
    await gone.send(build.terminate()).end();
    await gone.targetClosed();
    const before = world.recorder.connections.length;
    assert.equal((await cancel(key)).received.length, 0);
    assert.equal(world.recorder.connections.length, before, 'the target was not asked either');
  });

  it('fifty cancels at once of one statement leave the next one alone', async () => {
    const client = await world.raw();
    const key = keyOf(client);
    client.send(build.query('select pg_sleep(60)'));
    const sleeping = `select count(*)::int n from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid() and state = 'active'`;
    while ((await target.direct.query(sleeping)).rows[0].n === 0) await new Promise((resolve) => setImmediate(resolve));
    const cancels = Array.from({ length: 50 }, () => cancel(key));
    assert.match(brief(await client.until('Z')), /E\(57014\)/);
    await Promise.all(cancels); // one that came later would rightly hit what runs then
    client.send(build.query('select pg_sleep(0.2)'));
    assert.match(brief(await client.until('Z')), /C\(SELECT 1\) Z\(I\)/);
    client.socket.destroy();
  });
});

describe('19 a token that ends', { timeout: 60_000 }, () => {
  it('while a statement is held: withdrawn, a FATAL that says so, and a later approval runs nothing', async () => {
    const { client, hold } = await held();
    world.authenticator.endAll('the token of bot has ended');
    const error = parseServerMessage((await client.until('E')).at(-1)!);
    assert.deepEqual([error.severity, error.message.includes('the token of bot has ended')], ['FATAL', true]);
    hold.approve();
    await client.end();
    await client.targetClosed();
    assert.equal(client.sentTypes(), 'X');
    assert.equal(await target.rows(), 0);
  });

  it('while a transaction is open and a statement runs: cancelled, rolled back, nothing more is taken', async () => {
    const client = await world.raw();
    await client.send(build.query('begin')).until('Z');
    await client.send(build.query('insert into t values (2)')).until('Z');
    const admitted = world.gate.admitted.length;
    client.send(build.query('select pg_sleep(50)'), build.query('commit'));
    await world.gate.until(() => world.gate.admitted.length > admitted);
    world.authenticator.endAll('the token of bot has ended');
    await client.end();
    await client.targetClosed();
    const left = `select count(*)::int n from pg_stat_activity where query like '%pg_sleep(50)%' and pid <> pg_backend_pid()`;
    while ((await target.direct.query(left)).rows[0].n > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await target.rows(), 0);
    assert.ok(!world.gate.texts().slice(admitted).includes('commit'));
  });

  it('while a COPY takes data: none of it stays', async () => {
    const client = await world.raw();
    client.send(build.query('copy t from stdin'));
    await client.until('G');
    client.send(build.copyData(Buffer.from('1\n2\n')));
    world.authenticator.endAll('the token of bot has ended');
    client.send(build.copyData(Buffer.from('3\n')), build.copyDone());
    await client.end();
    await client.targetClosed();
    assert.equal(await target.rows(), 0);
  });
});
