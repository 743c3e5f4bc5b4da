/** Reaching a target: a real PostgreSQL with and without TLS, and targets that lie. */
import assert from 'node:assert/strict';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import pg from 'pg';
import {
  type Certificate,
  type FakeTarget,
  fakeTarget,
  greeting,
  RawClient,
  selfSigned,
} from '../../../test/support/door.ts';
import { freePort } from '../../../test/support/ports.ts';
import { startPostgres, type TestPostgres } from '../../../test/support/postgres.ts';
import type { GatewayError } from '../../errors.ts';
import * as build from './builders.ts';
import { parseCommandComplete, parseServerMessage } from './messages.ts';
import type { PostgresConnection, Upstream } from './types.ts';
import { connectUpstream } from './upstream.ts';

const NOBODY = 65_534; // whom test/support/postgres.ts runs the server as
const never = new AbortController().signal;
const NONE: ReadonlyMap<string, string> = new Map();

let postgres: TestPostgres;
let made: Certificate;
let dir: string;
before(async () => {
  made = await selfSigned('DNS:localhost');
  dir = await mkdtemp(join(tmpdir(), 'countersign-upstream-'));
  const file = async (name: string, text: string) => {
    await writeFile(join(dir, name), text, { mode: 0o600 });
    if (process.getuid?.() === 0) await chown(join(dir, name), NOBODY, NOBODY);
    return join(dir, name);
  };
  if (process.getuid?.() === 0) await chown(dir, NOBODY, NOBODY);
  const settings = {
    ssl: 'on',
    ssl_cert_file: await file('crt', made.cert),
    ssl_key_file: await file('key', made.key),
  };
  postgres = await startPostgres({ settings });
});
after(async () => {
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
});

const opened: Upstream[] = [];
const targets: FakeTarget[] = [];
afterEach(async () => {
  for (const { socket } of opened.splice(0)) socket.destroy();
  for (const target of targets.splice(0)) await target.stop();
});

type Overrides = Partial<PostgresConnection['upstream']> & { searchPath?: string };

const connectionOf = ({ searchPath = 'public', ...overrides }: Overrides = {}): PostgresConnection => ({
  name: 'orders',
  environment: 'production',
  searchPath,
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

async function open(overrides: Overrides = {}, parameters = NONE, signal = never): Promise<Upstream> {
  const upstream = await connectUpstream(connectionOf(overrides), { parameters, signal });
  opened.push(upstream);
  return upstream;
}

/** The first column of every row a statement gives, over the raw socket. */
async function ask(upstream: Upstream, text: string, client = new RawClient(upstream.socket)): Promise<string[]> {
  const frames = await client.send(build.query(text)).until('Z');
  return frames
    .filter(({ type }) => type === 'D'.charCodeAt(0))
    .map(({ bytes }) => bytes.toString('utf8', 11, 11 + bytes.readInt32BE(7)));
}

describe('the hand-over', () => {
  it('gives a raw session: simple, extended, an error, a large result, COPY', async () => {
    const upstream = await open();
    assert.equal(upstream.serverMajor, 18);
    assert.equal(upstream.parameters.get('client_encoding'), 'UTF8');
    assert.equal(upstream.leftover.length, 0);
    const client = new RawClient(upstream.socket);
    assert.deepEqual(await ask(upstream, "select 'ü' || 6 * 7", client), ['ü42']);
    client.send(build.parse('s', 'select $1::int + 1'), build.bind('', 's', ['41']), build.execute(''), build.sync());
    const extended = await client.until('Z');
    assert.equal(extended.map(({ type }) => String.fromCharCode(type)).join(''), '12DCZ');
    const failed = await client.send(build.query('select 1/0')).until('Z');
    assert.equal(parseServerMessage(failed[0]!).sqlstate, '22012');
    const large = await ask(upstream, "select repeat('x', 1000) from generate_series(1, 8000)", client);
    assert.equal(large.length, 8000);
    await client.send(build.query('create temp table t (a int); copy t from stdin')).until('G');
    const copied = await client.send(build.copyData(Buffer.from('1\n2\n')), build.copyDone()).until('Z');
    assert.equal(parseCommandComplete(copied[0]!), 'COPY 2');
  });

  it('keeps every byte that came behind ReadyForQuery, and none before it', async () => {
    const behind = Buffer.concat([build.parameterStatus('is_superuser', 'off'), Buffer.from('N\0\0')]);
    const hello = Buffer.concat([greeting(), behind]);
    for (let split = 1; split < hello.length; split += 7) {
      const target = await lying((socket) => {
        socket.once('data', () => {
          socket.write(hello.subarray(0, split), () => setImmediate(() => socket.write(hello.subarray(split))));
        });
      });
      const upstream = await open({ port: target.port });
      const client = new RawClient(upstream.socket, { decode: false });
      const missing = behind.length - upstream.leftover.length;
      const late = await client.bytes(missing);
      assert.deepEqual(Buffer.concat([upstream.leftover, late]), behind, `split at ${split}`);
    }
  });

  it('leaves nothing of pg on the socket', async () => {
    const { socket } = await open();
    assert.equal(socket.listenerCount('data'), 0);
    assert.ok(!socket.listeners('close').some((listener) => /emit\('end'\)/.test(listener.toString())));
    socket.emit('error', new Error('nobody minds'));
  });

  it('sets what verdicts rely on as the session’s defaults, and the client’s own settings beside them', async () => {
    const searchPath = `"we ird", "back\\slash", "quo""te", public`;
    const hostile = new Map([
      ['TimeZone', 'Asia/Tokyo'],
      ['application_name', `it's -c role=x \\ "fine"`],
      ['search_path', 'evil'],
      ['client_encoding', 'LATIN1'],
    ]);
    const upstream = await open({ searchPath }, hostile);
    const client = new RawClient(upstream.socket);
    await ask(upstream, `set search_path = x; set timezone = 'UTC'; set standard_conforming_strings = off`, client);
    await ask(upstream, 'discard all', client);
    const shown = async (name: string) => (await ask(upstream, `show ${name}`, client))[0];
    assert.equal(await shown('search_path'), searchPath);
    assert.equal(await shown('timezone'), 'Asia/Tokyo');
    assert.equal(await shown('client_encoding'), 'UTF8');
    assert.equal(await shown('standard_conforming_strings'), 'on');
    assert.equal(await shown('application_name'), `it's -c role=x \\ "fine"`);
  });
});

describe('TLS to the target', () => {
  for (const [what, overrides] of [
    ['verify-full, the name on the certificate', () => ({ host: 'localhost', tls: 'verify-full', ca: made.cert })],
    ['verify-ca, another name', () => ({ tls: 'verify-ca', ca: made.cert })],
    ['require, unverified', () => ({ tls: 'require' })],
  ] as const satisfies [string, () => Overrides][]) {
    it(`${what}: encrypted`, async () => {
      const upstream = await open(overrides());
      assert.ok(upstream.socket instanceof TLSSocket);
      assert.deepEqual(await ask(upstream, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'), ['t']);
    });
  }

  it('ends at a certificate that does not verify', async () => {
    const other = await selfSigned('IP:127.0.0.1');
    await refusedWith(open({ tls: 'verify-full' }), 'UPSTREAM_TLS', /self-signed/);
    await refusedWith(open({ tls: 'verify-full', ca: made.cert }), 'UPSTREAM_TLS', /another host name/);
    await refusedWith(open({ tls: 'verify-ca', ca: other.cert }), 'UPSTREAM_TLS', /certificate|handshake/);
    await refusedWith(open({ tls: 'require', ca: other.cert }), 'UPSTREAM_TLS', /certificate|handshake/);
  });

  for (const [what, answer, saying] of [
    ['N', 'N', /offers no TLS/],
    ['an error', 'E\0\0\0\x20SFATAL\0', /does not answer as/],
    ['garbage', '<html>', /does not answer as/],
    ['S and more in the clear', 'SR\0\0\0\x08\0\0\0\0', /does not answer as/],
    ['S and no handshake', 'S', /handshake failed/],
    ['nothing', '', /closed the connection/],
  ] as const) {
    it(`a target that answers ${what} is never told the password`, async () => {
      for (const tls of ['require', 'verify-ca', 'verify-full'] as const) {
        const target = await lying((socket) => {
          socket.once('data', () => socket.end(answer, 'latin1'));
        });
        await refusedWith(open({ port: target.port, tls }), 'UPSTREAM_TLS', saying);
        if (answer !== 'S') assert.equal(target.seen.bytes, 8); // the SSLRequest
      }
    });
  }

  it('a rogue target behind good TLS is held to the same rules', async () => {
    const target = await lying((socket) => {
      socket.once('data', () => {
        socket.write('S');
        const secureContext = createSecureContext(made);
        const secure = new TLSSocket(socket, { isServer: true, secureContext });
        secure.on('error', () => {});
        secure.once('data', () => secure.write(Buffer.concat([sasl('SCRAM-SHA-256'), greeting()])));
      });
    });
    await refusedWith(open({ port: target.port, tls: 'verify-ca', ca: made.cert }), 'UPSTREAM', /handshake/);
  });
});

describe('a target that fails or lies', () => {
  it('is named with cause and remedy, without secrets', async () => {
    const secret = 'no-such-password';
    const wrong = await refusedWith(
      open({ password: () => secret }),
      'UPSTREAM',
      /refused the gateway’s own credentials/,
    );
    assert.ok(!JSON.stringify([wrong.message, wrong.hint]).includes(secret));
    await refusedWith(open({ database: 'none' }), 'UPSTREAM', /no such database/);
    await refusedWith(open({ port: await freePort() }), 'UPSTREAM', /cannot be reached \(ECONNREFUSED\)/);
    await refusedWith(open({}, new Map([['TimeZone', 'Mars/Base']])), 'UPSTREAM', /TimeZone.*Mars\/Base/);
    await refusedWith(
      open({
        password: () => {
          throw new Error('secret store is down');
        },
      }),
      'UPSTREAM',
      /handshake/,
    );
  });

  const lies: [string, (socket: Socket) => void, RegExp][] = [
    ['closes at once', (socket) => socket.end(), /handshake/],
    ['sends garbage', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), /handshake/],
    ['declares a gigabyte', (socket) => socket.write(Buffer.from([0x53, 0x3f, 0xff, 0xff, 0xff, 1])), /handshake/],
    ['declares a negative length', (socket) => socket.write(Buffer.from([0x52, 0xff, 0xff, 0xff, 0xff])), /handshake/],
    ['sends rows before it is ready', (socket) => socket.write(Buffer.from([0x44, 0, 0, 0, 6, 0, 0])), /handshake/],
    [
      'lets the SCRAM proof out',
      (socket) => socket.write(Buffer.concat([sasl('SCRAM-SHA-256'), greeting()])),
      /handshake/,
    ],
    ['offers an unknown SASL mechanism', (socket) => socket.write(sasl('PLAIN')), /handshake/],
    [
      'refuses without SQLSTATE',
      (socket) => socket.write(Buffer.from('E\0\0\0\x0bMwhy?\0\0', 'latin1')),
      /SQLSTATE unknown/,
    ],
    ['is not UTF-8', (socket) => socket.write(greeting({ client_encoding: 'LATIN1' })), /client_encoding=UTF8/],
    ['reads backslashes', (socket) => socket.write(greeting({ standard_conforming_strings: 'off' })), /did not set/],
    ['hides its version', (socket) => socket.write(greeting({ server_version: '' })), /version/],
  ];
  for (const [what, lie, saying] of lies) {
    it(`one that ${what}`, async () => {
      const target = await lying((socket) => socket.once('data', () => lie(socket)));
      await refusedWith(open({ port: target.port }), 'UPSTREAM', saying);
    });
  }

  it('one that sends notices for ever', async () => {
    const notice = build.noticeResponse({ severity: 'NOTICE', sqlstate: '00000', message: 'x'.repeat(900) });
    const target = await lying((socket) => {
      const more = () => {
        while (socket.write(notice));
      };
      socket.once('data', more).on('drain', more);
    });
    await refusedWith(open({ port: target.port }), 'UPSTREAM', /handshake/);
  });

  it('one with the wrong SCRAM signature', async () => {
    const target = await lying((socket) => {
      const answer = (text: string) => authentication(text.startsWith('v') ? 12 : 11, text);
      socket.once('data', () => {
        socket.write(sasl('SCRAM-SHA-256'));
        socket.once('data', (first: Buffer) => {
          const nonce = /r=([^,\0]+)/.exec(first.toString('latin1'))?.[1] ?? '';
          socket.write(answer(`r=${nonce}abc,s=${Buffer.from('salt').toString('base64')},i=4096`));
          socket.once('data', () => {
            socket.write(Buffer.concat([answer(`v=${Buffer.alloc(32, 7).toString('base64')}`), greeting()]));
          });
        });
      });
    });
    await refusedWith(open({ port: target.port }), 'UPSTREAM', /handshake/);
  });

  it('one that never answers is left when the client is', async () => {
    const gone = new AbortController();
    const target = await lying((socket) => socket.once('data', () => gone.abort(new Error('the client left'))));
    await assert.rejects(open({ port: target.port }, NONE, gone.signal), /the client left/);
    await assert.rejects(open({ port: target.port }, NONE, gone.signal), /the client left/);
  });
});

describe('cancel', () => {
  for (const tls of ['disable', 'require'] as const) {
    it(`stops the running statement and resolves when the server has closed, tls: ${tls}`, async () => {
      const upstream = await open({ tls });
      const client = new RawClient(upstream.socket).send(build.query('select pg_sleep(30)'));
      const watcher = new pg.Client({ connectionString: postgres.url('postgres') });
      await watcher.connect();
      const active = "select 1 from pg_stat_activity where state = 'active' and query = 'select pg_sleep(30)'";
      while ((await watcher.query(active)).rowCount === 0);
      await watcher.end();
      await upstream.cancel();
      const [error] = (await client.until('Z')).filter(({ type }) => type === 'E'.charCodeAt(0));
      assert.equal(parseServerMessage(error!).sqlstate, '57014');
      assert.deepEqual(await ask(upstream, 'select 1', client), ['1']);
    });
  }

  it('says when it could not be delivered', async () => {
    const target = await lying((socket) => socket.once('data', () => socket.write(greeting())));
    const upstream = await open({ port: target.port });
    await target.stop();
    targets.length = 0;
    await refusedWith(upstream.cancel(), 'UPSTREAM', /cannot be reached/);
  });
});

async function lying(serve: (socket: Socket) => void): Promise<FakeTarget> {
  const target = await fakeTarget(serve);
  targets.push(target);
  return target;
}

async function refusedWith(attempt: Promise<unknown>, code: string, saying: RegExp): Promise<GatewayError> {
  let thrown: GatewayError | undefined;
  await assert.rejects(attempt, (error: GatewayError) => {
    thrown = error;
    assert.equal(error.code, code, error.stack);
    assert.match(error.message, saying);
    return true;
  });
  return thrown!;
}

function authentication(code: number, text: string): Buffer {
  const out = Buffer.concat([Buffer.from('R\0\0\0\0\0\0\0\0', 'latin1'), Buffer.from(text, 'latin1')]);
  out.writeUInt32BE(out.length - 1, 1);
  out.writeUInt32BE(code, 5);
  return out;
}

const sasl = (mechanism: string): Buffer => authentication(10, `${mechanism}\0\0`);
