/** The door as attackers find it: everything is refused in the protocol's own words, before a target hears of it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';
import {
  type FakeTarget,
  fakeTarget,
  greeting,
  openSocket,
  packet,
  RawClient,
  selfSigned,
  startupOf,
} from '../../../test/support/door.ts';
import { eventually, LOGIN, openDoor, orders, type TestDoor, TOKEN } from '../../../test/support/listener.ts';
import * as build from './builders.ts';
import type { PostgresListenerDeps } from './server.ts';

const run = promisify(execFile);
const SSL_REQUEST = (1234 << 16) | 5679;

let context: SecureContext;
let ca: string;
before(async () => {
  const made = await selfSigned('DNS:localhost,IP:127.0.0.1');
  ca = made.cert;
  context = createSecureContext(made);
});

/** Counts what reaches it; silent, or a server that trusts everyone. */
let target: FakeTarget;
let friendly: boolean;
let door: TestDoor;
const open = async ({ plain = false, ...overrides }: Partial<PostgresListenerDeps> & { plain?: boolean } = {}) => {
  door = await openDoor(orders(target.port), plain ? undefined : context, overrides);
};
beforeEach(async () => {
  friendly = false;
  target = await fakeTarget((socket) => {
    socket.once('data', () => friendly && socket.write(greeting()));
  });
});
afterEach(async () => {
  await door.listener.stop();
  await target.stop();
});

const psql = (words: string[], url: string) =>
  run('psql', ['-XAtq', url, ...words], { env: { PATH: process.env.PATH ?? '', PGCONNECT_TIMEOUT: '10' } });
const url = (query = '', { token = TOKEN } = {}) =>
  `postgres://report-bot:${token}@127.0.0.1:${door.port}/orders${query}`;

/** All the way to ReadyForQuery. */
async function logIn(): Promise<RawClient> {
  const client = (await RawClient.connect(door.port)).send(startupOf(LOGIN));
  await client.until('R');
  await client.send(build.password(TOKEN)).until('Z');
  return client;
}

describe('refused before anything reaches a target', () => {
  const lengths = [0, 3, 7, 0x7fffffff, 0x80000000, 0xffffffff, 10_001];
  it('start-up and password packets with impossible lengths, without memory for them', async () => {
    await open();
    const rss = process.memoryUsage.rss();
    for (const length of lengths) {
      const field = Buffer.alloc(4);
      field.writeUInt32BE(length);
      const early = await RawClient.connect(door.port);
      const refusal = await early.send(field, Buffer.from([0, 3, 0, 0])).refusal();
      assert.deepEqual([refusal.severity, refusal.sqlstate], ['FATAL', '08P01'], `start-up of ${length}`);
      const late = await RawClient.connect(door.port);
      late.send(startupOf(LOGIN));
      await late.until('R');
      if (length === 10_001 || length === 7) continue; // a fine length for a password
      const after = await late.send(Buffer.from('p'), field, Buffer.from('x\0')).refusal();
      assert.equal(after.sqlstate, '08P01', `password of ${length}`);
    }
    assert.ok(process.memoryUsage.rss() - rss < 64 << 20);
    assert.deepEqual(target.seen, { connections: 0, bytes: 0 });
    assert.equal(door.authenticator.asked, 0);
    assert.ok(door.events.length >= lengths.length && door.events.every(({ kind }) => kind === 'refused'));
  });

  it('plain messages stuffed behind an SSLRequest are never parsed', async () => {
    await open();
    const client = await RawClient.connect(door.port, { decode: false });
    client.send(packet(SSL_REQUEST), startupOf(LOGIN), build.password(TOKEN), build.query('drop'));
    await client.end();
    assert.equal(client.received.toString('latin1', 0, 1), 'S');
    assert.equal(door.authenticator.asked, 0);
    assert.equal(target.seen.connections, 0);
  });

  it('plain messages behind an SSLRequest that is answered N', async () => {
    await open({ plain: true });
    const client = await RawClient.connect(door.port);
    const { sqlstate } = await client.send(packet(SSL_REQUEST), startupOf(LOGIN)).refusal();
    assert.equal(sqlstate, '08P01');
  });

  it('a second SSLRequest, in the clear and inside TLS', async () => {
    await open({ plain: true });
    const plain = await RawClient.connect(door.port, { decode: false });
    plain.send(packet(SSL_REQUEST));
    await plain.bytes(1);
    plain.send(packet(SSL_REQUEST));
    await plain.end();
    assert.match(plain.received.toString(), /^NE.*second SSLRequest/s);
    await door.listener.stop();
    await open();
    const secure = connectTls({ port: door.port, host: '127.0.0.1', ca, ALPNProtocols: ['postgresql'] });
    assert.equal((await new RawClient(secure).send(packet(SSL_REQUEST)).refusal()).sqlstate, '08P01');
  });

  it('direct TLS without ALPN', async () => {
    await open();
    const secure = connectTls({ port: door.port, host: '127.0.0.1', ca });
    const { message } = await new RawClient(secure).send(startupOf(LOGIN)).refusal();
    assert.match(message, /ALPN/);
    assert.equal(door.authenticator.asked, 0);
  });

  it('a second start-up packet in place of, and behind, the password', async () => {
    await open();
    for (const injected of [[], [build.password(TOKEN)]]) {
      const client = await RawClient.connect(door.port);
      client.send(startupOf(LOGIN));
      await client.until('R');
      const { sqlstate } = await client.send(...injected, startupOf({ user: 'admin', database: 'orders' })).refusal();
      assert.equal(sqlstate, '08P01');
    }
    assert.equal(target.seen.connections, 0);
    assert.equal(door.authenticator.asked, door.authenticator.released);
  });

  for (const [what, parameters, sqlstate, naming] of [
    ['replication', { ...LOGIN, replication: 'database' }, '0A000', /replication/],
    ['a role in options', { ...LOGIN, options: '-c role=admin' }, '42501', /"role"/],
    ['a search path', { ...LOGIN, search_path: 'evil' }, '42501', /"search_path"/],
    ['a session authorization', { ...LOGIN, options: '--session-authorization=x' }, '42501', /session_authorization/],
    ['an empty option', { ...LOGIN, options: '-c=' }, '42501', /name=value/],
    ['another switch', { ...LOGIN, options: '-d 5' }, '42501', /"-d"/],
    ['another encoding', { ...LOGIN, client_encoding: 'SJIS' }, '42501', /client_encoding must be UTF8/],
  ] as const) {
    it(`${what} in the start-up packet, by name`, async () => {
      await open();
      const refusal = await (await RawClient.connect(door.port)).send(startupOf(parameters)).refusal();
      assert.equal(refusal.sqlstate, sqlstate);
      assert.match(refusal.message, naming);
      assert.equal(target.seen.connections, 0);
    });
  }

  it('duplicate keys, missing ends, bytes left over, bad UTF-8, protocol 2', async () => {
    await open();
    const bodies = ['user\0a\0User\0b\0\0', 'user\0a\0', 'user\0a', 'user\0a\0\0x', 'user\0\xff\xfe\0\0'];
    for (const body of bodies) {
      const client = await RawClient.connect(door.port);
      const { sqlstate } = await client.send(packet(3 << 16, Buffer.from(body, 'latin1'))).refusal();
      assert.equal(sqlstate, '08P01', JSON.stringify(body));
    }
    const old = await RawClient.connect(door.port);
    assert.equal((await old.send(packet(2 << 16, Buffer.from('\0'))).refusal()).sqlstate, '0A000');
  });

  it('10 MB of start-up parameters, at the header', async () => {
    await open();
    const client = await RawClient.connect(door.port);
    const { sqlstate } = await client.send(packet(3 << 16, Buffer.alloc(10 << 20, 'x'))).refusal();
    assert.equal(sqlstate, '08P01');
  });

  it('a wrong token, and the client is not told more than that', async () => {
    await open();
    await assert.rejects(
      psql(['-c', 'select 1'], url('?sslmode=require', { token: 'guess' })),
      /FATAL: {2}the token is not valid here/,
    );
    assert.equal(target.seen.connections, 0);
    assert.deepEqual(
      door.events.map((event) => event.kind === 'refused' && [event.error.code, event.connection, event.principal]),
      [['AUTH', 'orders', undefined]],
    );
  });

  it('an unknown connection and a forbidden one in the same words, only after the token was verified', async () => {
    await open();
    const said = async (database: string, token: string) => {
      const client = await RawClient.connect(door.port);
      client.send(startupOf({ user: 'x', database }));
      await client.until('R'); // asked for the password first
      return (await client.send(build.password(token)).refusal()).message.replace(database, '…');
    };
    const forbidden = await said('orders', 'token-of-stranger');
    const unknown = await said('nothing', TOKEN);
    assert.equal(forbidden, unknown);
    assert.match(await said('orders?sslmode=disable&host=evil', TOKEN), /does not exist/);
    assert.equal(door.authenticator.released, 3);
  });

  it('a password in the clear from another machine, before it is asked for', async () => {
    const asked: string[] = [];
    const isLocal = (address: string) => {
      asked.push(address);
      return false;
    };
    await open({ isLocal });
    const client = await RawClient.connect(door.port);
    const first = await client.send(startupOf(LOGIN)).next();
    assert.equal(first?.type, 'E'.charCodeAt(0));
    await client.end();
    assert.match(client.received.toString(), /C28000.*TLS is required.*sslmode=require/s);
    assert.deepEqual(asked, ['127.0.0.1']);
    assert.equal(target.seen.connections, 0);
    await assert.rejects(psql(['-c', 'select 1'], url('?sslmode=require', { token: 'no' })), /token/);
  });

  it('a sign-in that cannot be recorded', async () => {
    friendly = true;
    await open({
      record: (event) => {
        if (event.kind === 'sign-in') throw new Error('disk full on /dev/sda');
      },
    });
    await assert.rejects(psql(['-c', 'select 1'], url()), /could not complete the log-in\n$/);
  });
});

describe('patience', () => {
  it('a log-in has a deadline, at every stage', async () => {
    await open({ limits: { loginMs: 150 } });
    const idle = await RawClient.connect(door.port);
    const asked = (await RawClient.connect(door.port)).send(startupOf(LOGIN));
    const waiting = (await RawClient.connect(door.port)).send(startupOf(LOGIN)); // its target never answers
    await waiting.until('R');
    waiting.send(build.password(TOKEN));
    for (const client of [idle, asked, waiting]) assert.match((await client.refusal()).message, /log-in took longer/);
    assert.equal(door.authenticator.released, 1);
  });

  it('a crowd of half-open sockets loses its oldest, and others still log in', { timeout: 10_000 }, async () => {
    friendly = true;
    await open({ limits: { halfOpen: 40, halfOpenPerAddress: 30, loginMs: 60_000 } });
    const crowd = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(door.port)));
    for (const client of crowd) client.send(Buffer.from([0]));
    const client = await logIn();
    await Promise.all(crowd.slice(0, 170).map((client) => client.end()));
    assert.ok(!client.closed);
    for (const { socket } of [client, ...crowd]) socket.destroy();
  });

  it('a client that leaves while its target is slow leaves nothing behind', async () => {
    await open();
    const client = await RawClient.connect(door.port);
    client.send(startupOf(LOGIN));
    await client.until('R');
    client.send(build.password(TOKEN));
    await eventually(() => target.seen.bytes > 0);
    client.socket.end();
    await client.end();
    await eventually(() => door.authenticator.released > 0);
  });

  it('a token that ends while the target is slow ends the log-in, with its reason', async () => {
    await open();
    const client = await RawClient.connect(door.port);
    client.send(startupOf(LOGIN));
    await client.until('R');
    client.send(build.password(TOKEN));
    await eventually(() => target.seen.bytes > 0);
    door.authenticator.endAll('the token was revoked');
    const { sqlstate, message } = await client.refusal();
    assert.deepEqual([sqlstate, message], ['57P01', 'the token was revoked']);
  });

  it('a client that sent its queries with the password may close its side and still be served', async () => {
    friendly = true;
    const served: Buffer[] = [];
    await open({
      runSession: async ({ downstream }) => {
        served.push(downstream.leftover);
        downstream.socket.write(build.authenticationOk());
      },
    });
    const client = (await RawClient.connect(door.port)).send(startupOf(LOGIN));
    await client.until('R');
    client.socket.end(Buffer.concat([build.password(TOKEN), build.query('select 1')]));
    await client.until('R');
    await client.end();
    assert.deepEqual(served, [build.query('select 1')]);
  });

  it('resets at every stage of the log-in harm nobody', async () => {
    friendly = true;
    await open();
    const whole = Buffer.concat([startupOf(LOGIN), build.password(TOKEN)]);
    for (let cut = 0; cut <= whole.length; cut += 3) {
      const socket = await openSocket(door.port);
      socket.write(whole.subarray(0, cut), () => socket.resetAndDestroy());
    }
    (await logIn()).socket.destroy();
  });
});
