/** The web listener from outside: tokens only for whom and over what they may be, readiness that names what is missing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { after, describe, it } from 'node:test';
import { selfSigned } from '../../test/support/door.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import type { Exchange } from '../identity/authenticator.ts';
import type { Principal } from '../operation.ts';
import { AddressLimiter } from './limiter.ts';
import { createMetrics, type MetricSources } from './metrics.ts';
import { troublesOf } from './ready.ts';
import { createWeb, type WebOptions } from './server.ts';

const undo: (() => unknown)[] = [];
after(async () => {
  for (const step of undo.reverse()) await step();
});

const principal: Principal = {
  issuer: 'https://i.example',
  subject: 'report-bot',
  kind: 'agent',
  name: 'report-bot',
  groups: ['reports'],
};
const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXBvcnQtYm90In0.c2lnbmF0dXJl';
const sources: MetricSources = {
  sessions: () => 3,
  holdsOpen: () => 2,
  oldestHoldMs: () => 1_500,
  catalogueAges: () => [['orders', 1.5]] as const,
  auditLag: () => ({ bytes: 10, ms: 2 }),
  recordings: () => ({ live: 3, pending: 77, waiting: 5 }),
  connections: () => ['orders'],
  logLost: () => 4,
};

async function serve(options: Partial<WebOptions> = {}) {
  const entries: AuditEntry[] = [];
  const order: string[] = [];
  const metrics = createMetrics(sources);
  const exchange = async (jwt: string): Promise<Exchange> => {
    if (jwt !== JWT) throw new GatewayError('AUTH', 'the token is not signed by its issuer');
    return {
      token: `cst_${'x'.repeat(43)}`,
      hash: 'f'.repeat(64),
      expiresAt: Date.UTC(2030, 0, 1),
      principal,
      confirm: async () => void order.push('confirmed'),
    };
  };
  const web = createWeb({
    host: '127.0.0.1',
    port: 0,
    exchange,
    metrics,
    audit: {
      append: (entry) => void entries.push(entry),
      commit: async (entry) => {
        order.push('recorded');
        entries.push(entry);
      },
    },
    troubles: async () => ({}),
    ...options,
  });
  const { port } = await web.start();
  undo.push(() => {
    metrics.stop();
    return web.stop();
  });
  const url = `http://127.0.0.1:${port}`;
  const post = async (authorization: string | undefined, init: RequestInit = {}) => {
    const response = await fetch(`${url}/v1/token`, {
      method: 'POST',
      headers: authorization ? { authorization } : {},
      ...init,
    });
    return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
  };
  return { web, url, port, entries, order, metrics, post };
}

describe('POST /v1/token', () => {
  it('gives a token for a JWT, not to be stored, recorded before it is in force', async () => {
    const { post, entries, order } = await serve();
    const { status, headers, body } = await post(`Bearer ${JWT}`);
    assert.equal(status, 200);
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.deepEqual(body, { token: `cst_${'x'.repeat(43)}`, expires_at: '2030-01-01T00:00:00.000Z', principal });
    assert.deepEqual(order, ['recorded', 'confirmed']);
    assert.deepEqual(
      entries.map(({ kind }) => kind),
      ['token.issued'],
    );
    assert.ok(!JSON.stringify(entries).includes('cst_') && !JSON.stringify(entries).includes(JWT));
    assert.equal((await post(`bearer ${JWT}`, { body: 'ignored' })).status, 200);
  });

  it('refuses what is no bearer token, or not a good one, with a reason and a record', async () => {
    const { post, entries } = await serve();
    for (const header of [
      undefined,
      'Basic x',
      'Bearer',
      `Bearer ${JWT} x`,
      'Bearer bad',
      `Bearer ${'a'.repeat(20_001)}`,
    ]) {
      const { status, headers, body } = await post(header);
      assert.deepEqual([status, body.error, headers.get('www-authenticate')], [401, 'AUTH', 'Bearer'], header);
    }
    assert.equal(entries.filter(({ kind }) => kind === 'auth.refused').length, 6);
  });

  it('gives nothing when it cannot be recorded', async () => {
    let confirmed = false;
    const { post } = await serve({
      exchange: async () => ({
        token: 'cst_secret',
        hash: 'f'.repeat(64),
        expiresAt: 1,
        principal,
        confirm: async () => {
          confirmed = true;
        },
      }),
      audit: {
        append: () => {},
        commit: () => Promise.reject(new GatewayError('AUDIT', 'the disk is full')),
      },
    });
    const { status, body } = await post(`Bearer ${JWT}`);
    assert.deepEqual([status, body.error, body.token, confirmed], [503, 'AUDIT', undefined, false]);
  });

  it('says nothing of what went wrong inside', async () => {
    const { post } = await serve({ exchange: () => Promise.reject(new Error('redis://user:pw@10.0.0.1')) });
    const { status, body } = await post(`Bearer ${JWT}`);
    assert.equal(status, 503);
    assert.ok(!JSON.stringify(body).includes('10.0.0.1'));
  });

  it('is limited for each address, refusals sooner', async () => {
    const { post, entries } = await serve({ rate: { burst: 20, perSecond: 0.001 } });
    const statuses: number[] = [];
    for (let n = 0; n < 40; n++) statuses.push((await post('Bearer bad')).status);
    assert.deepEqual([...new Set(statuses)], [401, 429]);
    assert.deepEqual(statuses.indexOf(429), 4);
    assert.equal(entries.length, 5, 'a flood does not fill the trail: it is told once a minute');
    assert.equal(entries.at(-1)?.code, 'LIMIT');
  });

  it('is refused over a network in the clear, whatever a header says', async () => {
    const { url, entries } = await serve({ isLocal: (address) => address !== '127.0.0.1' });
    const response = await fetch(`${url}/v1/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${JWT}`, 'x-forwarded-for': '127.0.0.2', 'x-forwarded-proto': 'https' },
    });
    assert.equal(response.status, 403);
    assert.equal(((await response.json()) as { error: string }).error, 'AUTH_NEEDS_TLS');
    assert.equal(entries[0]?.kind, 'auth.refused');
  });

  it('does not wait for a sender who dawdles', async () => {
    const { port } = await serve({ requestMs: 200 });
    for (const half of [
      'POST /v1/token HTTP/1.1\r\nHost: x\r\nAuthor',
      'POST /v1/token HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
    ]) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(half);
      socket.resume();
      await once(socket, 'close', { signal: AbortSignal.timeout(8_000) });
    }
  });

  it('knows one method and one origin: no CORS, no other verb, whatever the Host says', async () => {
    const { url, port } = await serve();
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
      const response = await fetch(`${url}/v1/token`, { method, headers: { origin: 'https://evil.example' } });
      assert.equal(response.status, 404, method);
      assert.equal(response.headers.get('access-control-allow-origin'), null);
    }
    const overridden = await fetch(`${url}/v1/token`, {
      headers: { 'x-http-method-override': 'POST', authorization: `Bearer ${JWT}` },
    });
    assert.equal(overridden.status, 404);
    const socket = connect(port, '127.0.0.1');
    socket.end('GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    assert.ok(answer.startsWith('HTTP/1.1 200') && !answer.includes('evil.example'), answer);
  });

  it('bounds what it reads', async () => {
    const { post, url } = await serve();
    assert.equal((await post(`Bearer ${JWT}`, { body: 'x'.repeat(10_000) })).status, 413);
    const response = await fetch(`${url}/v1/token`, { method: 'POST', headers: { padding: 'x'.repeat(40_000) } }).catch(
      () => undefined,
    );
    assert.ok(response === undefined || response.status === 431);
    assert.equal((await fetch(`${url}/v1/token`)).status, 404);
    assert.equal((await fetch(`${url}/%2e%2e/etc`)).status, 404);
  });
});

describe('over TLS', () => {
  it('serves, refuses plain HTTP, and takes up a new certificate', async () => {
    const [first, second] = await Promise.all([selfSigned('DNS:one.test'), selfSigned('DNS:two.test')]);
    const { web, port } = await serve({ tls: first });
    const peer = () =>
      new Promise<string>((resolve, reject) => {
        httpsRequest(
          { host: '127.0.0.1', port, path: '/healthz', rejectUnauthorized: false, agent: false },
          (response) => {
            const socket = response.socket as import('node:tls').TLSSocket;
            resolve(`${response.statusCode} ${socket.getPeerCertificate().subjectaltname}`);
            response.resume();
          },
        )
          .once('error', reject)
          .end();
      });
    assert.equal(await peer(), '200 DNS:one.test');
    web.renewCertificate(second);
    assert.equal(await peer(), '200 DNS:two.test');
    await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`));
  });
});

describe('health', () => {
  it('names everything that is not ready: false, failing or silent', async () => {
    let redis: string | undefined = 'ECONNREFUSED';
    const { url } = await serve({
      troubles: () =>
        troublesOf({
          redis: () => redis,
          audit: async () => undefined,
          lease: () => Promise.reject(new Error('no lease')),
          rules: () => new Promise(() => {}),
        }),
    });
    const response = await fetch(`${url}/readyz`);
    assert.equal(response.status, 503);
    assert.deepEqual(await response.json(), {
      ready: false,
      notReady: { redis: 'ECONNREFUSED', lease: 'no lease', rules: 'does not answer' },
    });
    redis = undefined;
    const well = await serve({ troubles: () => troublesOf({ redis: () => redis }) });
    assert.deepEqual(
      [(await fetch(`${well.url}/readyz`)).status, (await fetch(`${well.url}/healthz`)).status],
      [200, 200],
    );
  });

  it('stops with clients still connected', async () => {
    const { web, port } = await serve();
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await web.stop();
    socket.end();
    await closed;
  });

  it('cannot start where the address is taken', async () => {
    const { port, metrics } = await serve();
    const web = createWeb({
      host: '127.0.0.1',
      port,
      exchange: () => Promise.reject(new Error()),
      metrics,
      troubles: async () => ({}),
      audit: { append() {}, async commit() {} },
    });
    await assert.rejects(web.start(), (error) => error instanceof GatewayError && error.code === 'CONFIG');
    await web.stop();
  });
});

describe('/metrics', () => {
  it('has every number, and no series that a client could invent', async () => {
    const { url, metrics } = await serve();
    for (let n = 0; n < 1_000; n++) metrics.operation('allow', `proto-${n}`, `conn-${n}`);
    metrics.operation('deny', 'postgres', 'orders');
    metrics.decided('approved', 2_000);
    metrics.decided('made-up', 1);
    metrics.added('postgres', 0.1);
    metrics.vote(true);
    metrics.vote(false);
    metrics.signIn(true);
    const response = await fetch(`${url}/metrics`);
    const text = await response.text();
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
    for (const line of [
      'countersign_sessions 3',
      'countersign_holds_open 2',
      'countersign_hold_oldest_seconds 1.5',
      'countersign_audit_queue_bytes 10',
      'countersign_audit_lag_seconds 0.002',
      'countersign_recordings_live 3',
      'countersign_recordings_queue_bytes 77',
      'countersign_recordings_waiting 5',
      'countersign_operations_total{verdict="allow",protocol="other",connection="other"} 1000',
      'countersign_operations_total{verdict="deny",protocol="postgres",connection="orders"} 1',
      'countersign_decision_seconds_bucket{le="5",state="approved"} 1',
      'countersign_votes_total{counted="true"} 1',
      'countersign_votes_total{counted="false"} 1',
      'countersign_sign_ins_total{accepted="true"} 1',
      'countersign_log_lines_lost_total 4',
    ]) {
      assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
    }
    assert.match(text, /countersign_event_loop_lag_seconds \d/);
    assert.match(text, /countersign_added_latency_seconds_bucket\{le="0.0001",protocol="postgres"\} 1/);
    assert.ok(text.split('\n').length < 130);
  });
});

describe('the limiter', () => {
  it('refills with time, counts an IPv6 network as one, and stays bounded', () => {
    let now = 0;
    const limiter = new AddressLimiter({ burst: 2, perSecond: 1, now: () => now });
    const take = (address: string) => limiter.allow(address);
    assert.deepEqual([take('a'), take('a'), take('a'), take('b')], [true, true, false, true]);
    now = 1_000;
    assert.deepEqual([take('a'), take('a')], [true, false]);
    assert.deepEqual(['2001:db8:1:2::1', '2001:db8:1:2::2', '2001:db8:1:2:3::'].map(take), [true, true, false]);
    assert.deepEqual(['::ffff:10.0.0.1', '10.0.0.1', '10.0.0.1'].map(take), [true, true, false]);
    for (let n = 0; n < 20_000; n++) take(`10.1.${n >> 8}.${n & 255}`);
    assert.equal(take('a'), true, 'long forgotten');
  });
});
