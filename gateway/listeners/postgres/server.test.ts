/** The door as clients find it: real psql and pg, a real PostgreSQL behind; log-in, cancel, start and stop. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { Duplex } from 'node:stream';
import { after, afterEach, before, describe, it } from 'node:test';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { promisify } from 'node:util';
import pg from 'pg';
import { openSocket, packet, RawClient, selfSigned, startupOf } from '../../../test/support/door.ts';
import { eventually, LOGIN, openDoor, orders, type TestDoor, TOKEN } from '../../../test/support/listener.ts';
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import * as build from './builders.ts';
import { parseBackendKeyData } from './messages.ts';
import { createPostgresListener, type PostgresListenerDeps } from './server.ts';

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

let door: TestDoor;
const open = async (overrides: Partial<PostgresListenerDeps> = {}): Promise<void> => {
  door = await openDoor(orders(postgres.port, postgres.password), context, overrides);
};
afterEach(() => door.listener.stop());

const psql = (words: string[], url: string, env: Record<string, string> = {}) =>
  run('psql', ['-XAtq', url, ...words], { env: { PATH: process.env.PATH ?? '', PGCONNECT_TIMEOUT: '10', ...env } });
const url = (query = '') => `postgres://report-bot:${TOKEN}@127.0.0.1:${door.port}/orders${query}`;

describe('clients that should get in', () => {
  for (const mode of ['disable', 'prefer', 'require']) {
    it(`psql with sslmode=${mode} reaches the target`, async () => {
      await open();
      const { stdout } = await psql(['-c', 'select 6 * 7'], url(`?sslmode=${mode}`));
      assert.equal(stdout.trim(), '42');
      assert.deepEqual(
        door.events.map(
          (event) => event.kind === 'sign-in' && [event.principal.name, event.connection, event.encrypted],
        ),
        [['report-bot', 'orders', mode !== 'disable']],
      );
      await eventually(() => door.authenticator.released === 1);
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
      const socket = await openSocket(door.port);
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
      client.send(build.password(TOKEN));
      await client.until('Z');
      socket.destroy();
      secure.destroy();
    }
  });

  it('direct TLS with the ALPN protocol "postgresql"', async () => {
    await open();
    const secure = connectTls({ port: door.port, host: '127.0.0.1', ca, ALPNProtocols: ['postgresql'] });
    const client = new RawClient(secure).send(startupOf(LOGIN));
    await client.until('R');
    client.send(build.password(TOKEN));
    await client.until('Z');
    client.send(build.query('select 1'));
    await client.until('D');
    secure.destroy();
  });

  it('a log-in that arrives byte by byte, with a query behind the password', async () => {
    await open();
    const client = await RawClient.connect(door.port);
    for (const byte of startupOf(LOGIN)) client.send(Buffer.from([byte]));
    await client.until('R');
    for (const byte of Buffer.concat([build.password(TOKEN), build.query('select 1')])) {
      client.send(Buffer.from([byte]));
    }
    await client.until('Z');
    assert.ok((await client.until('Z')).some(({ type }) => type === 'D'.charCodeAt(0)));
    client.socket.destroy();
  });

  it('a GSSENCRequest and an SSLRequest without a certificate are answered N, and the log-in goes on', async () => {
    await open({ tls: () => undefined });
    const client = await RawClient.connect(door.port, { decode: false });
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
    const client = await RawClient.connect(door.port);
    const body = Buffer.from('user\0a\0database\0orders\0_pq_.shiny\0on\0\0');
    client.send(packet((3 << 16) | 9999, body));
    const [answer] = await client.until('v');
    assert.deepEqual(answer?.bytes, build.negotiateProtocolVersion((3 << 16) | 2, ['_pq_.shiny']));
    await client.until('R');
    client.send(build.password(TOKEN));
    const key = (await client.until('Z')).find(({ type }) => type === 'K'.charCodeAt(0));
    assert.equal(parseBackendKeyData(key!).secret.length, 32);
    client.socket.destroy();
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
            ? await openSocket(door.port)
            : connectTls({ port: door.port, host: '127.0.0.1', ca, ALPNProtocols: ['postgresql'] }),
        ).send(build.cancelRequest(key.pid, secret));
        await request.end();
        assert.equal(request.received.length, 0);
      }
      await cancelled;
      assert.equal((await client.query('select 1 as x')).rows[0].x, 1);
      await client.end();
      await eventually(() => door.keys.size === 0);
    });
  }
});

describe('starting and stopping', () => {
  it('says which address cannot be had', async () => {
    await open();
    const second = createPostgresListener({
      host: '127.0.0.1',
      port: door.port,
      tls: () => undefined,
      authenticator: door.authenticator,
      mayUse: () => undefined,
      reserve: () => undefined,
      cancelKeys: door.keys,
      runSession: async () => {},
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
    const halfway = (await RawClient.connect(door.port)).send(startupOf(LOGIN));
    await halfway.until('R');
    const patience = new AbortController();
    const draining = door.listener.drain(patience.signal);
    assert.equal((await halfway.refusal()).sqlstate, '57P01');
    await assert.rejects(openSocket(door.port), { code: 'ECONNREFUSED' });
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
    await door.listener.drain(AbortSignal.timeout(50));
    const ended = new Promise((resolve) => session.once('end', resolve));
    await door.listener.stop();
    await ended;
  });
});
