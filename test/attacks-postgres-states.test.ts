/** Messages in states they do not belong to, and floods of small ones: refused or ignored as a server would, at no cost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import * as build from '../gateway/listeners/postgres/builders.ts';
import { parseServerMessage } from '../gateway/listeners/postgres/messages.ts';
import { packet, startupOf } from './support/door.ts';
import { brief, type SessionWorld, sessionWorld } from './support/session.ts';
import { type SessionTarget, sessionTarget } from './support/session-target.ts';

let target: SessionTarget;
let world: SessionWorld;
before(async () => {
  target = await sessionTarget('create table t (id int)');
  world = await sessionWorld(target.postgres, { limits: { lingerMs: 1_000, names: 100 } });
});
after(async () => {
  await world.close();
  await target.stop();
});

describe('messages of another state', { timeout: 120_000 }, () => {
  for (const [what, bytes] of [
    ['a PasswordMessage after the log-in', build.password('token-of-admin')],
    ['a second start-up packet', startupOf({ user: 'admin', database: 'orders' })],
    ['an SSLRequest', build.sslRequest()],
    ['a GSSENCRequest', packet((1234 << 16) | 5680)],
    ['a CancelRequest', build.cancelRequest(1, Buffer.alloc(4))],
    ['a message of the server', build.readyForQuery('I')],
  ] as const) {
    it(`${what} ends that session with a FATAL, and the target hears nothing`, async () => {
      const client = await world.raw();
      const asked = world.authenticator.asked;
      const frames = await client.send(bytes, build.query('insert into t values (1)')).until('E');
      assert.equal(parseServerMessage(frames.at(-1)!).severity, 'FATAL');
      await client.end();
      await client.targetClosed();
      assert.equal(client.sentTypes(), 'X');
      assert.equal(world.authenticator.asked, asked);
      assert.equal(await target.rows(), 0);
    });
  }

  it('COPY data outside of a COPY is dropped as the server drops it, and the session goes on', async () => {
    const client = await world.raw();
    client.send(build.copyData(Buffer.from('1\n')), build.copyDone(), build.copyFail('x'), build.query('select 1'));
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
    assert.equal(client.sentTypes(), 'Q');
    assert.equal(await target.rows(), 0);
    client.socket.destroy();
  });

  it('a good-bye behind a held statement neither runs it nor passes before the decision', async () => {
    const client = await world.raw();
    const held = world.gate.holds.length;
    client.send(build.query('insert into t values (1) -- held'), build.terminate());
    const hold = await world.gate.hold(held);
    assert.equal(client.sentTypes(), '');
    hold.deny('no');
    await client.end();
    await client.targetClosed();
    assert.equal(client.sentTypes(), 'X');
    assert.equal(await target.rows(), 0);
  });

  it('nobody is asked for a statement whose client left before its turn', async () => {
    const client = await world.raw();
    const held = world.gate.holds.length;
    const ended = world.ended.length;
    await target.direct.query('select pg_advisory_lock(1)');
    client.send(build.query('select pg_advisory_lock(1)'), build.query('insert into t values (1) -- held'));
    (client.socket as Socket).end();
    const waits = `select count(*)::int n from pg_locks where locktype = 'advisory' and not granted`;
    while ((await target.direct.query(waits)).rows[0].n === 0) await new Promise((resolve) => setImmediate(resolve));
    await target.direct.query('select pg_advisory_unlock(1)');
    await client.end();
    await world.ended[ended - 1];
    assert.equal(world.gate.holds.length, held);
    assert.equal(client.sentTypes(), 'QX');
    assert.equal(await target.rows(), 0);
  });
});

describe('floods of small messages', { timeout: 240_000 }, () => {
  /** Sends `count` messages, then a query; resolves when that is answered. Answers are counted, not kept. */
  async function flood(make: (i: number) => Buffer, count: number): Promise<void> {
    const client = await world.raw();
    const { gateway, target } = client.target;
    gateway.removeAllListeners('data').pipe(target); // the recorder would keep it all
    const socket = client.socket as Socket;
    socket.removeAllListeners('data');
    let tail = '';
    const answered = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        tail = (tail + chunk.toString('latin1')).slice(-400);
        if (tail.includes('the end')) resolve();
      });
    });
    for (let at = 0; at < count; at += 1_000) {
      const some = Array.from({ length: Math.min(1_000, count - at) }, (_, i) => make(at + i));
      if (!socket.write(Buffer.concat(some))) await once(socket, 'drain');
    }
    socket.write(Buffer.concat([build.sync(), build.query("select 'the end'")]));
    await answered;
    socket.destroy();
  }

  for (const [what, make, count] of [
    ['Closes of names that never were', (i: number) => build.close(i % 2 ? 'S' : 'P', `n${i}`), 60_000],
    ['Describes of names that never were', (i: number) => build.describe('S', `n${i}`), 60_000],
    ['Flushes', () => build.flush(), 60_000],
    ['empty queries', () => build.query(''), 3_000],
  ] as const) {
    it(`${count} ${what} take no memory that stays, and others are served meanwhile`, async () => {
      await flood(make, 1_000);
      const rss = process.memoryUsage.rss();
      const other = await world.driver();
      let over = false;
      const flooding = flood(make, count).then(() => {
        over = true;
      });
      let served = 0;
      while (!over) {
        await other.query('select 1');
        served++;
      }
      await flooding;
      await other.end();
      assert.ok(served > 0);
      assert.ok(process.memoryUsage.rss() - rss < 256 << 20, `${(process.memoryUsage.rss() - rss) >> 20} MB more`);
      world.gate.admitted.length = 0;
      world.inspector.frames.length = 0;
    });
  }

  it('a flood of Syncs behind a held statement withdraws it at the bound', async () => {
    const client = await world.raw();
    const held = world.gate.holds.length;
    client.send(build.query('insert into t values (1) -- held'));
    const hold = await world.gate.hold(held);
    const syncs = Buffer.concat(Array.from({ length: 20_000 }, () => build.sync()));
    client.socket.write(syncs); // 100 KB, but each is kept as a message of its own
    await world.gate.until(() => hold.withdrawn !== undefined);
    assert.match(hold.withdrawn ?? '', /bytes were sent behind a held statement/);
    client.socket.destroy();
    assert.equal(await target.rows(), 0);
  });

  it('statements with 65,535 parameter types, Binds with 65,535 formats and values: the server’s answer, the session goes on', async () => {
    const client = await world.raw();
    const types = Array.from({ length: 65_535 }, () => 23);
    const parsed = brief(await client.send(build.parse('', 'select 1', types), build.sync()).until('Z'));
    assert.match(parsed, /^(1|E\(\w+\)) Z\(I\)$/);
    const bound = build.bind(
      '',
      'many',
      Array.from({ length: 65_535 }, () => null),
    );
    client.send(build.parse('many', 'select 1'), bound, build.execute(''), build.sync());
    assert.match(brief(await client.until('Z')), /^1 E\(08P01\) Z\(I\)$/);
    client.send(build.query('select 1'));
    assert.equal(brief(await client.until('Z')), 'T D C(SELECT 1) Z(I)');
    client.socket.destroy();
  });

  it('names of statements are bounded, and closing them makes room', async () => {
    const client = await world.raw();
    for (let i = 0; i < 100; i++) client.send(build.parse(`s${i}`, 'select 1'));
    await client.send(build.sync()).until('Z');
    const full = await client.send(build.parse('one more', 'select 1'), build.sync()).until('Z');
    assert.match(parseServerMessage(full[0]!).message, /too many open statements/);
    await client.send(build.close('S', 's0'), build.sync()).until('Z');
    assert.equal(brief(await client.send(build.parse('again', 'select 1'), build.sync()).until('Z')), '1 Z(I)');
    client.socket.destroy();
  });
});
