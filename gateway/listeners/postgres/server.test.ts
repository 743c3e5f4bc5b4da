/** The door as clients and attackers find it: real psql and pg, raw sockets, a real PostgreSQL behind. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { Duplex } from 'node:stream';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';
import pg from 'pg';
import {
  type FakeTarget,
  fakeTarget,
  openSocket,
  packet,
  RawClient,
  selfSigned,
  startupOf,
  TestAuthenticator,
} from '../../../test/support/door.ts';
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import type { Listener } from '../listener.ts';
import * as build from './builders.ts';
import { CancelKeys } from './cancel.ts';
import { parseBackendKeyData } from './messages.ts';
import { createPostgresListener, type DoorEvent, type PostgresListenerDeps, type SessionParts } from './server.ts';
import type { PostgresConnection } from './types.ts';

const run = promisify(execFile);
const SSL_REQUEST = (1234 << 16) | 5679;
const GSSENC_REQUEST = (1234 << 16) | 5680;

let postgres: TestPostgres;
let context: SecureContext;
let ca: string;
before(async () => {
  postgres = await startPostgres();
  const made = await selfSigned('DNS:localhost,IP:127.0.0.1');
  ca = made.cert;
  context = createSecureContext(made);
});
after(() => postgres.stop());

/** What stands in for the session's room: says hello and passes bytes on, unjudged. */
async function relay({ downstream, upstream, onCancel }: SessionParts): Promise<void> {
  const { socket: client, cancelKey } = downstream;
  const { socket: server } = upstream;
  onCancel(() => upstream.cancel());
  client.write(build.authenticationOk());
  for (const [name, value] of upstream.parameters) client.write(build.parameterStatus(name, value));
  client.write(build.backendKeyData(cancelKey.pid, cancelKey.secret));
  client.write(build.readyForQuery('I'));
  if (upstream.leftover.length > 0) client.write(upstream.leftover);
  if (downstream.leftover.length > 0) server.write(downstream.leftover);
  client.on('data', (chunk) => server.write(chunk));
  server.on('data', (chunk) => client.write(chunk));
  await new Promise<void>((resolve) => {
    client.once('close', resolve);
    server.once('close', resolve);
  });
}

let listener: Listener;
let port: number;
let events: DoorEvent[];
let authenticator: TestAuthenticator;
let keys: CancelKeys;
let target: FakeTarget;

const orders = (overrides: Partial<PostgresConnection['upstream']> = {}): PostgresConnection => ({
  name: 'orders',
  environment: 'production',
  searchPath: 'public',
  upstream: {
    host: '127.0.0.1',
    port: postgres.port,
    database: 'postgres',
    user: 'postgres',
    password: () => postgres.password,
    tls: 'disable',
    ...overrides,
  },
});

async function open(overrides: Partial<PostgresListenerDeps> = {}): Promise<void> {
  listener = createPostgresListener({
    host: '127.0.0.1',
    port: 0,
    tls: () => context,
    authenticator,
    mayUse: (name, principal) => (name === 'orders' && principal.name !== 'stranger' ? orders() : undefined),
    cancelKeys: keys,
    runSession: relay,
    drainSessions: async () => {},
    record: (event) => void events.push(event),
    ...overrides,
  });
  ({ port } = await listener.start());
}

/** The same, before a target that only counts what reaches it. */
const openBeforeCounter = (overrides: Partial<PostgresListenerDeps> = {}) =>
  open({ mayUse: () => orders({ port: target.port }), ...overrides });

beforeEach(async () => {
  events = [];
  authenticator = new TestAuthenticator();
  keys = new CancelKeys({ gatewayId: 'gateway-1' });
  target = await fakeTarget(() => {});
});
afterEach(async () => {
  await listener.stop();
  await target.stop();
});

const LOGIN = { user: 'report-bot', database: 'orders' };
const psql = (arguments_: string[], url: string, env: Record<string, string> = {}) =>
  run('psql', ['-XAtq', url, ...arguments_], {
    env: { PATH: process.env.PATH ?? '', PGCONNECT_TIMEOUT: '10', ...env },
  });
const url = (query = '', { host = '127.0.0.1', token = 'token-of-report-bot', database = 'orders' } = {}) =>
  `postgres://report-bot:${token}@${host}:${port}/${database}${query}`;

describe('clients that should get in', () => {
  for (const mode of ['disable', 'prefer', 'require']) {
    it(`psql with sslmode=${mode} reaches the target`, async () => {
      await open();
      const { stdout } = await psql(['-c', 'select 6 * 7'], url(`?sslmode=${mode}`));
      assert.equal(stdout.trim(), '42');
      assert.deepEqual(
        events.map((event) => event.kind === 'sign-in' && [event.principal.name, event.connection, event.encrypted]),
        [['report-bot', 'orders', mode !== 'disable']],
      );
      assert.equal(authenticator.released, 1);
    });
  }

  it('the pg client logs in over TLS, verifies the certificate, and pipelines extended queries', async () => {
    await open();
    const client = new pg.Client({ connectionString: url(), ssl: { ca } });
    await client.connect();
    const answers = await Promise.all([1, 2, 3].map((n) => client.query('select $1::int * 2 as x', [n])));
    assert.deepEqual(
      answers.map(({ rows }) => rows[0].x),
      [2, 4, 6],
    );
    await client.end();
  });

  it('settings that the client brings arrive and survive DISCARD ALL; the search path is the configured one', async () => {
    await open();
    const { stdout } = await psql(
      [
        '-c',
        "set search_path = 'x'",
        '-c',
        'discard all',
        '-c',
        'show search_path',
        '-c',
        'show DateStyle',
        '-c',
        'show statement_timeout',
        '-c',
        'show application_name',
      ],
      url('?application_name=night%20run'),
      { PGOPTIONS: '-c statement_timeout=5s --lock-timeout=1s', PGDATESTYLE: 'German', PGCLIENTENCODING: 'utf-8' },
    );
    assert.deepEqual(stdout.trim().split('\n'), ['public', 'German, DMY', '5s', 'night run']);
  });

  it('SSLRequest and ClientHello in one segment, and split at every byte of the former', async () => {
    await open();
    for (let split = 0; split <= 8; split++) {
      const socket = await openSocket(port);
      const request = packet(SSL_REQUEST);
      if (split > 0) socket.write(request.subarray(0, split));
      if (split > 0 && split < 8) await new Promise((resolve) => setImmediate(resolve));
      // The engine writes its ClientHello at once, without waiting for 'S'; 'S' is taken off what it reads.
      let first: Buffer | undefined = request.subarray(split);
      let answered = false;
      const beneath = new Duplex({
        read: () => {},
        write: (chunk: Buffer, _encoding, done) => {
          socket.write(first ? Buffer.concat([first, chunk]) : chunk, () => done());
          first = undefined;
        },
      });
      socket.on('data', (chunk) => {
        const rest = answered ? chunk : chunk.subarray(1);
        if (!answered) assert.equal(chunk[0], 'S'.charCodeAt(0));
        answered = true;
        if (rest.length > 0) beneath.push(rest);
      });
      const secure = connectTls({ socket: beneath, ca, servername: 'localhost' });
      const client = new RawClient(secure);
      client.send(startupOf(LOGIN));
      assert.equal((await client.next())?.type, 'R'.charCodeAt(0), `split at ${split}`);
      client.send(build.password('token-of-report-bot'));
      await client.until('Z');
      socket.destroy();
      secure.destroy();
    }
  });

  it('direct TLS with the ALPN protocol "postgresql"', async () => {
    await open();
    const secure = connectTls({ port, host: '127.0.0.1', ca, ALPNProtocols: ['postgresql'] });
    const client = new RawClient(secure).send(startupOf(LOGIN));
    await client.until('R');
    client.send(build.password('token-of-report-bot'));
    await client.until('Z');
    client.send(build.query('select 1'));
    await client.until('D');
    secure.destroy();
  });

  it('a log-in that arrives byte by byte, with a query behind the password', async () => {
    await open();
    const client = await RawClient.connect(port);
    for (const byte of startupOf(LOGIN)) client.send(Buffer.from([byte]));
    await client.until('R');
    for (const byte of Buffer.concat([build.password('token-of-report-bot'), build.query('select 1')])) {
      client.send(Buffer.from([byte]));
    }
    await client.until('Z');
    assert.ok((await client.until('Z')).some(({ type }) => type === 'D'.charCodeAt(0)));
    client.socket.destroy();
  });

  it('a GSSENCRequest and an SSLRequest without a certificate are answered N, and the log-in goes on', async () => {
    await open({ tls: () => undefined });
    const client = await RawClient.connect(port, { decode: false });
    client.send(packet(GSSENC_REQUEST));
    await client.bytes(1);
    client.send(packet(SSL_REQUEST));
    assert.equal((await client.bytes(2)).toString(), 'NN');
    client.send(startupOf(LOGIN));
    assert.equal((await client.bytes(11)).toString('latin1', 2, 3), 'R');
    client.socket.destroy();
  });

  it('a newer minor version and unknown protocol options are negotiated down', async () => {
    await open();
    const client = await RawClient.connect(port);
    const body = Buffer.from('user\0a\0database\0orders\0_pq_.shiny\0on\0\0');
    client.send(packet((3 << 16) | 9999, body));
    const [answer] = await client.until('v');
    assert.deepEqual(answer?.bytes, build.negotiateProtocolVersion((3 << 16) | 2, ['_pq_.shiny']));
    await client.until('R');
    client.send(build.password('token-of-report-bot'));
    const key = (await client.until('Z')).find(({ type }) => type === 'K'.charCodeAt(0));
    assert.equal(parseBackendKeyData(key!).secret.length, 32);
    client.socket.destroy();
  });
});

describe('refused before anything reaches a target', () => {
  const lengths = [0, 3, 7, 0x7fffffff, 0x80000000, 0xffffffff, 10_001];
  it('start-up and password packets with impossible lengths, without memory for them', async () => {
    await openBeforeCounter();
    const rss = process.memoryUsage.rss();
    for (const length of lengths) {
      const field = Buffer.alloc(4);
      field.writeUInt32BE(length);
      const early = await RawClient.connect(port);
      const refusal = await early.send(field, Buffer.from([0, 3, 0, 0])).refusal();
      assert.deepEqual([refusal.severity, refusal.sqlstate], ['FATAL', '08P01'], `start-up of ${length}`);
      const late = await RawClient.connect(port);
      late.send(startupOf(LOGIN));
      await late.until('R');
      if (length === 10_001 || length === 7) continue; // a fine length for a password
      const after = await late.send(Buffer.from('p'), field, Buffer.from('x\0')).refusal();
      assert.equal(after.sqlstate, '08P01', `password of ${length}`);
    }
    assert.ok(process.memoryUsage.rss() - rss < 64 << 20);
    assert.deepEqual(target.seen, { connections: 0, bytes: 0 });
    assert.equal(authenticator.asked, 0);
    assert.ok(events.length >= lengths.length && events.every(({ kind }) => kind === 'refused'));
  });

  it('plain messages stuffed behind an SSLRequest are never parsed', async () => {
    await openBeforeCounter();
    const client = await RawClient.connect(port, { decode: false });
    client.send(packet(SSL_REQUEST), startupOf(LOGIN), build.password('token-of-report-bot'), build.query('drop'));
    await client.end();
    assert.equal(client.received.toString('latin1', 0, 1), 'S');
    assert.equal(authenticator.asked, 0);
    assert.equal(target.seen.connections, 0);
  });

  it('plain messages behind an SSLRequest that is answered N', async () => {
    await openBeforeCounter({ tls: () => undefined });
    const client = await RawClient.connect(port);
    const { sqlstate } = await client.send(packet(SSL_REQUEST), startupOf(LOGIN)).refusal();
    assert.equal(sqlstate, '08P01');
  });

  it('a second SSLRequest, in the clear and inside TLS', async () => {
    await openBeforeCounter({ tls: () => undefined });
    const plain = await RawClient.connect(port, { decode: false });
    plain.send(packet(SSL_REQUEST));
    await plain.bytes(1);
    plain.send(packet(SSL_REQUEST));
    await plain.end();
    assert.match(plain.received.toString(), /^NE.*second SSLRequest/s);
    await listener.stop();
    await openBeforeCounter();
    const secure = connectTls({ port, host: '127.0.0.1', ca, ALPNProtocols: ['postgresql'] });
    assert.equal((await new RawClient(secure).send(packet(SSL_REQUEST)).refusal()).sqlstate, '08P01');
  });

  it('direct TLS without ALPN', async () => {
    await openBeforeCounter();
    const secure = connectTls({ port, host: '127.0.0.1', ca });
    const { message } = await new RawClient(secure).send(startupOf(LOGIN)).refusal();
    assert.match(message, /ALPN/);
    assert.equal(authenticator.asked, 0);
  });

  it('a second start-up packet in place of, and behind, the password', async () => {
    await openBeforeCounter();
    for (const injected of [[], [build.password('token-of-report-bot')]]) {
      const client = await RawClient.connect(port);
      client.send(startupOf(LOGIN));
      await client.until('R');
      const { sqlstate } = await client.send(...injected, startupOf({ user: 'admin', database: 'orders' })).refusal();
      assert.equal(sqlstate, '08P01');
    }
    assert.equal(target.seen.connections, 0);
    assert.equal(authenticator.asked, authenticator.released);
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
      await openBeforeCounter();
      const refusal = await (await RawClient.connect(port)).send(startupOf(parameters)).refusal();
      assert.equal(refusal.sqlstate, sqlstate);
      assert.match(refusal.message, naming);
      assert.equal(target.seen.connections, 0);
    });
  }

  it('duplicate keys, missing ends, bytes left over, bad UTF-8, protocol 2', async () => {
    await openBeforeCounter();
    const bodies = ['user\0a\0User\0b\0\0', 'user\0a\0', 'user\0a', 'user\0a\0\0x', 'user\0\xff\xfe\0\0'];
    for (const body of bodies) {
      const client = await RawClient.connect(port);
      const { sqlstate } = await client.send(packet(3 << 16, Buffer.from(body, 'latin1'))).refusal();
      assert.equal(sqlstate, '08P01', JSON.stringify(body));
    }
    const old = await RawClient.connect(port);
    assert.equal((await old.send(packet(2 << 16, Buffer.from('\0'))).refusal()).sqlstate, '0A000');
  });

  it('10 MB of start-up parameters, at the header', async () => {
    await openBeforeCounter();
    const client = await RawClient.connect(port);
    const { sqlstate } = await client.send(packet(3 << 16, Buffer.alloc(10 << 20, 'x'))).refusal();
    assert.equal(sqlstate, '08P01');
  });

  it('a wrong token, and the client is not told more than that', async () => {
    await openBeforeCounter();
    await assert.rejects(
      psql(['-c', 'select 1'], url('?sslmode=require', { token: 'guess' })),
      /FATAL: {2}the token is not valid here/,
    );
    assert.equal(target.seen.connections, 0);
    assert.deepEqual(
      events.map((event) => event.kind === 'refused' && [event.error.code, event.connection, event.principal]),
      [['AUTH', 'orders', undefined]],
    );
  });

  it('an unknown connection and a forbidden one in the same words, only after the token was verified', async () => {
    await open();
    const said = async (database: string, token: string) => {
      const client = await RawClient.connect(port);
      client.send(startupOf({ user: 'x', database }));
      await client.until('R'); // asked for the password first
      return (await client.send(build.password(token)).refusal()).message.replace(database, '…');
    };
    const forbidden = await said('orders', 'token-of-stranger');
    const unknown = await said('nothing', 'token-of-report-bot');
    assert.equal(forbidden, unknown);
    assert.match(await said('orders?sslmode=disable&host=evil', 'token-of-report-bot'), /does not exist/);
    assert.equal(authenticator.released, 3);
  });

  it('a password in the clear from another machine, before it is asked for', async (t) => {
    const own = Object.values(networkInterfaces())
      .flat()
      .find((address) => address && !address.internal && address.family === 'IPv4');
    if (!own) return t.skip('this machine has no address but loopback');
    await openBeforeCounter({ host: '0.0.0.0' });
    const client = await RawClient.connect(port, { host: own.address });
    const first = await client.send(startupOf(LOGIN)).next();
    assert.equal(first?.type, 'E'.charCodeAt(0));
    await client.end();
    assert.match(client.received.toString(), /C28000.*TLS is required.*sslmode=require/s);
    await assert.rejects(
      psql(['-c', 'select 1'], url('?sslmode=require', { host: own.address, token: 'no' })),
      /token/,
    );
  });

  it('a sign-in that cannot be recorded', async () => {
    await open({
      record: (event) => {
        if (event.kind === 'sign-in') throw new Error('disk full');
      },
    });
    await assert.rejects(psql(['-c', 'select 1'], url()), /disk full/);
  });
});

describe('patience', () => {
  it('a log-in has a deadline, at every stage', async () => {
    await openBeforeCounter({ limits: { loginMs: 150 } });
    const idle = await RawClient.connect(port);
    const asked = (await RawClient.connect(port)).send(startupOf(LOGIN));
    const waiting = (await RawClient.connect(port)).send(startupOf(LOGIN)); // its target never answers
    await waiting.until('R');
    waiting.send(build.password('token-of-report-bot'));
    for (const client of [idle, asked, waiting]) assert.match((await client.refusal()).message, /log-in took longer/);
    assert.equal(authenticator.released, 1);
  });

  it('a crowd of half-open sockets loses its oldest, and others still log in', async () => {
    await open({ limits: { halfOpen: 40, halfOpenPerAddress: 30 } });
    const crowd = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(port)));
    for (const client of crowd) client.send(Buffer.from([0]));
    const { stdout } = await psql(['-c', 'select 1'], url('?sslmode=require'));
    assert.equal(stdout.trim(), '1');
    await Promise.all(crowd.slice(0, 170).map((client) => client.end()));
    for (const client of crowd) client.socket.destroy();
  });

  it('a client that leaves while its target is slow leaves nothing behind', async () => {
    await openBeforeCounter();
    const client = await RawClient.connect(port);
    client.send(startupOf(LOGIN));
    await client.until('R');
    client.send(build.password('token-of-report-bot'));
    const reached = () => target.seen.bytes > 0;
    while (!reached()) await new Promise((resolve) => setImmediate(resolve));
    client.socket.end();
    await client.end();
    while (authenticator.released === 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('a token that ends while the target is slow ends the log-in, with its reason', async () => {
    await openBeforeCounter();
    const client = await RawClient.connect(port);
    client.send(startupOf(LOGIN));
    await client.until('R');
    client.send(build.password('token-of-report-bot'));
    while (target.seen.bytes === 0) await new Promise((resolve) => setImmediate(resolve));
    authenticator.endAll('the token was revoked');
    const { sqlstate, message } = await client.refusal();
    assert.deepEqual([sqlstate, message], ['57P01', 'the token was revoked']);
  });

  it('resets at every stage of the log-in harm nobody', async () => {
    await open();
    const whole = Buffer.concat([startupOf(LOGIN), build.password('token-of-report-bot')]);
    for (let cut = 0; cut <= whole.length; cut += 3) {
      const socket = await openSocket(port);
      socket.write(whole.subarray(0, cut), () => socket.resetAndDestroy());
    }
    assert.equal((await psql(['-c', 'select 1'], url())).stdout.trim(), '1');
  });
});

/** Resolves when the target is executing this statement. */
async function running(statement: string): Promise<void> {
  const watcher = new pg.Client({ connectionString: postgres.url('postgres') });
  await watcher.connect();
  const text = `select 1 from pg_stat_activity where state = 'active' and query = $1`;
  while ((await watcher.query(text, [statement])).rowCount === 0);
  await watcher.end();
}

describe('cancel requests', () => {
  for (const mode of ['disable', 'require']) {
    it(`Ctrl-C's request reaches the statement of its own session, sslmode=${mode}`, async () => {
      await open();
      const client = new pg.Client({ connectionString: url(), ssl: mode === 'require' ? { ca } : false });
      await client.connect();
      const cancelled = assert.rejects(client.query('select pg_sleep(30)'), { code: '57014' });
      await running('select pg_sleep(30)');
      const key = { pid: 0, secret: Buffer.alloc(4) };
      const inner = client as unknown as { processID: number; secretKey: number };
      key.pid = inner.processID;
      key.secret.writeInt32BE(inner.secretKey);
      const guess = Buffer.from(key.secret);
      guess[0]! ^= 1;
      for (const secret of [guess, Buffer.alloc(5), key.secret]) {
        const request = new RawClient(
          mode === 'disable'
            ? await openSocket(port)
            : connectTls({ port, host: '127.0.0.1', ca, ALPNProtocols: ['postgresql'] }),
        ).send(build.cancelRequest(key.pid, secret));
        await request.end();
        assert.equal(request.received.length, 0);
      }
      await cancelled;
      assert.equal((await client.query('select 1 as x')).rows[0].x, 1);
      await client.end();
      while (keys.size > 0) await new Promise((resolve) => setImmediate(resolve));
    });
  }
});

describe('starting and stopping', () => {
  it('says which address cannot be had', async () => {
    await open();
    const second = createPostgresListener({
      host: '127.0.0.1',
      port,
      tls: () => undefined,
      authenticator,
      mayUse: () => undefined,
      cancelKeys: keys,
      runSession: relay,
      drainSessions: async () => {},
      record: () => {},
    });
    await assert.rejects(second.start(), { code: 'CONFIG', message: /127\.0\.0\.1:\d+ cannot be had \(EADDRINUSE\)/ });
    await second.stop();
  });

  it('drains: log-ins are told, new ones refused, sessions run to their end', async () => {
    let drained: AbortSignal | undefined;
    await open({
      drainSessions: async (signal) => {
        drained = signal;
      },
    });
    const session = new pg.Client({ connectionString: url() });
    await session.connect();
    const halfway = (await RawClient.connect(port)).send(startupOf(LOGIN));
    await halfway.until('R');
    const patience = new AbortController();
    const draining = listener.drain(patience.signal);
    assert.equal((await halfway.refusal()).sqlstate, '57P01');
    await assert.rejects(openSocket(port), { code: 'ECONNREFUSED' });
    assert.equal((await session.query('select 1 as x')).rows[0].x, 1);
    assert.equal(drained, patience.signal);
    await session.end();
    await draining;
    assert.ok(!patience.signal.aborted);
  });

  it('stop ends everything now, drain ends at its signal', async () => {
    await open();
    const session = new pg.Client({ connectionString: url() });
    session.on('error', () => {});
    await session.connect();
    await listener.drain(AbortSignal.timeout(50));
    const ended = new Promise((resolve) => session.once('end', resolve));
    await listener.stop();
    await ended;
  });
});
