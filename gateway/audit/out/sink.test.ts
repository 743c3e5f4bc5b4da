/** A sink under everything that can happen to it: whatever dies, lies or stands still, every entry arrives, in order. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Certificate, selfSigned } from '../../../test/support/door.ts';
import { freePort } from '../../../test/support/ports.ts';
import {
  neverSkips,
  type Received,
  SyslogServer,
  storedLines,
  WebhookServer,
  whatIsMissing,
} from '../../../test/support/receivers.ts';
import { newDir, openTrail, operation, written } from '../../../test/support/trail.ts';
import { eventually } from '../../../test/support/workspace.ts';
import { waitingFor } from '../../compose/sinks.ts';
import { Secret } from '../../secrets.ts';
import type { AuditEntry } from '../entry.ts';
import { listSegments } from '../files.ts';
import type { AuditTrail } from '../writer.ts';
import { kindsOf } from './select.ts';
import { Sink, type SinkOptions } from './sink.ts';
import { type SyslogOptions, SyslogReceiver } from './syslog.ts';
import { type WebhookOptions, WebhookReceiver } from './webhook.ts';

const SECRET = 'a-secret-that-no-log-says';
const timing = { pollMs: 10, listMs: 20, backoffMs: [5, 40] as [number, number], stuckMs: 100 };

let certificate: Certificate;
const stops: (() => Promise<unknown>)[] = [];
before(async () => {
  certificate = await selfSigned('IP:127.0.0.1');
});
after(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function syslogServer(port = 0, tls: Certificate = certificate) {
  const server = new SyslogServer(tls);
  stops.push(() => server.close());
  return { server, port: await server.listen(port) };
}

const syslog = (port: number, more: Partial<SyslogOptions> = {}) =>
  new SyslogReceiver({
    host: '127.0.0.1',
    port,
    facility: 'audit',
    tls: { ca: certificate.cert },
    confirmMs: 40,
    timeoutMs: 5_000,
    ...more,
  });

async function webhookServer() {
  const server = new WebhookServer(SECRET);
  stops.push(() => server.close());
  return { server, url: await server.listen() };
}

const webhook = (url: string, more: Partial<WebhookOptions> = {}) =>
  new WebhookReceiver({ url, secret: new Secret(SECRET), entries: 7, bytes: 1 << 20, timeoutMs: 5_000, ...more });

/** A sink that runs, and what it said. */
function running(dir: string, receiver: SinkOptions['receiver'], more: Partial<SinkOptions> = {}) {
  const said: string[] = [];
  const noted: AuditEntry[] = [];
  const say = (details: object, message: string) => void said.push(`${message} ${JSON.stringify(details)}`);
  const sink = new Sink({
    name: 'siem',
    dir,
    receiver,
    note: (entry) => void noted.push(entry),
    log: { info: say, warn: say, error: say },
    timing,
    ...more,
  });
  sink.start();
  stops.push(() => sink.stop(0));
  return { sink, said, noted, stop: (ms = 0) => sink.stop(ms) };
}

async function all(dir: string, { received }: { readonly received: readonly Received[] }): Promise<void> {
  let missing: string | undefined = 'too few came to look for any';
  // Comparing is work that the sink, which lives here too, would have to wait for.
  const least = [...(await storedLines(dir)).values()].reduce((sum, lines) => sum + lines.length, 0);
  await eventually(async () => {
    if (received.length < least) return false;
    missing = await whatIsMissing(dir, received);
    return missing === undefined;
  });
  assert.equal(missing, undefined);
  neverSkips(received);
}

/** A trail that grows by itself until it is told to end; `n` counts what was written. */
function growing(trail: AuditTrail) {
  let n = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < 5; i++) trail.append(operation(n++));
  }, 5);
  stops.push(async () => clearInterval(timer));
  return {
    n: () => n,
    end: async () => {
      clearInterval(timer);
      await trail.close();
    },
  };
}

async function twentyMore(trail: AuditTrail, from: number, long: string): Promise<void> {
  for (let n = from; n < from + 20; n++) trail.append(operation(n, { statement: `${n} ${long}` }));
  await trail.flush();
}

describe('a syslog sink', () => {
  it('sends every entry of several chains and of many files, each as it is written', async () => {
    const dir = newDir();
    await written(dir, 20, { gateway: 'before' });
    const { server, port } = await syslogServer();
    const { noted } = running(dir, syslog(port));
    const trails = await Promise.all(['a', 'b'].map((gateway) => openTrail(dir, { gateway, segmentBytes: 4_000 })));
    const writers = trails.map((trail) => growing(trail));
    assert.ok(await eventually(() => writers.every(({ n }) => n() > 100)));
    for (const writer of writers) await writer.end();
    await all(dir, server);
    assert.deepEqual(server.problems, []);
    assert.ok(noted.every(({ kind }) => kind === 'sink.restarted'));
  });

  it('waits for a receiver that is not there, and says so once', async () => {
    const dir = newDir();
    const port = await freePort();
    const { said } = running(dir, syslog(port));
    const trail = await openTrail(dir);
    for (let n = 0; n < 50; n++) await trail.commit(operation(n));
    assert.ok(await eventually(() => said.some((line) => line.includes('ECONNREFUSED'))));
    const { server } = await syslogServer(port);
    await trail.close();
    await all(dir, server);
    assert.equal(said.filter((line) => line.includes('wait for a receiver')).length, 1);
  });

  it('loses nothing to connections that are cut, in mid-frame or right behind the last byte', async () => {
    const dir = newDir();
    const { server, port } = await syslogServer();
    const cuts = [0, 1, 37, 700, 5_000, 5_000, 20_000];
    server.cutAfter = (connection) => cuts[connection - 1];
    const writer = growing(await openTrail(dir, { segmentBytes: 20_000 }));
    running(dir, syslog(port));
    assert.ok(await eventually(() => server.connections > cuts.length));
    await writer.end();
    await all(dir, server);
    assert.deepEqual(server.problems, []);
  });

  it('counts nothing as delivered that the receiver hung up on at once', async () => {
    const dir = newDir();
    const { server, port } = await syslogServer();
    // It reads every byte, and is gone before anybody could tell whether it kept them.
    server.cutAfter = (connection) => (connection < 4 ? 900 : undefined);
    await written(dir, 10);
    running(dir, syslog(port));
    // What the first three have had is lost with them.
    const kept = () => server.received.filter(({ connection }) => connection >= 4);
    assert.ok(await eventually(async () => kept().length > 0 && (await whatIsMissing(dir, kept())) === undefined));
  });

  it('sends nothing to a receiver whose certificate it cannot verify', async () => {
    const dir = newDir();
    await written(dir, 5);
    const port = await freePort();
    const elsewhere = await selfSigned('IP:127.0.0.2');
    for (const [wrong, ca] of [
      [await selfSigned('IP:127.0.0.1'), certificate.cert],
      [elsewhere, elsewhere.cert],
    ] as const) {
      const { server } = await syslogServer(port, wrong);
      const { said, stop } = running(dir, syslog(port, { tls: { ca } }));
      assert.ok(await eventually(() => said.some((line) => /certificate|altnames/i.test(line))), said.join('\n'));
      await stop();
      assert.deepEqual(server.received, []);
      await server.close();
    }
    const { server } = await syslogServer(port);
    running(dir, syslog(port));
    await all(dir, server);
  });

  it('shows its own certificate to a receiver that asks for one, and waits while it is refused', async () => {
    const dir = newDir();
    await written(dir, 5);
    const client = await selfSigned('DNS:gateway');
    const server = new SyslogServer({ ...certificate, ca: client.cert, requestCert: true });
    stops.push(() => server.close());
    const port = await server.listen();
    const without = running(dir, syslog(port));
    assert.ok(await eventually(() => without.said.some((line) => line.includes('wait for a receiver'))));
    await without.stop();
    assert.deepEqual(server.received, []);
    running(dir, syslog(port, { tls: { ca: certificate.cert, ...client } }));
    await all(dir, server);
  });

  it('is held up by a receiver that stands still, and gives up such a connection; the trail is not held up', async () => {
    const dir = newDir();
    const { server, port } = await syslogServer();
    server.idle = true;
    const { sink } = running(dir, syslog(port, { timeoutMs: 500 }));
    const trail = await openTrail(dir);
    const long = 'x'.repeat(30_000);
    for (let n = 0; n < 400; n += 20) await twentyMore(trail, n, long); // more than sockets buffer
    assert.equal(trail.trouble(), undefined);
    assert.ok(await eventually(() => server.connections > 1 && (sink.state()?.entries ?? 0) > 0));
    await trail.close();
    server.read();
    // Connections beside each other are read in any order.
    const inTurn = () => [...server.received].sort((a, b) => a.connection - b.connection);
    assert.ok(await eventually(() => sink.state()?.entries === 0 && sink.state()?.seconds === 0));
    assert.ok(await eventually(async () => (await whatIsMissing(dir, inTurn())) === undefined));
    neverSkips(inTurn());
  });

  it('takes the end of a trail along when it is told to stop, and nothing is sent again afterwards', async () => {
    const dir = newDir();
    const { server, port } = await syslogServer();
    const first = running(dir, syslog(port));
    await written(dir, 30);
    await first.stop(10_000);
    assert.equal(await whatIsMissing(dir, server.received), undefined);
    const next = running(dir, syslog(port));
    await written(dir, 1, { gateway: 'next' });
    await all(dir, server);
    assert.equal(new Set(server.received.map(({ line }) => line)).size, server.received.length);
    assert.deepEqual(next.noted, []);
  });

  it('does not wait at the end for a receiver that is away', async () => {
    const dir = newDir();
    await written(dir, 5);
    const { said, stop } = running(dir, syslog(await freePort()), {
      timing: { ...timing, backoffMs: [60_000, 60_000] },
    });
    assert.ok(await eventually(() => said.length > 1));
    const from = performance.now();
    await stop(600_000);
    assert.ok(performance.now() - from < 30_000);
  });
});

describe('what a sink remembers', () => {
  const siem = (dir: string, what: string) => join(dir, 'sinks', `siem.${what}`);

  async function halfSent() {
    const dir = newDir();
    const { server, port } = await syslogServer();
    const trail = await openTrail(dir, { gateway: 'one' });
    for (let n = 0; n < 20; n++) await trail.commit(operation(n));
    const first = running(dir, syslog(port));
    await all(dir, server);
    assert.ok(await eventually(async () => /"seq":22/.test(await readFile(siem(dir, 'cursor'), 'utf8'))));
    await first.stop();
    await trail.close();
    server.received.splice(0);
    return { dir, server, port };
  }

  it('is where to go on', async () => {
    const { dir, server, port } = await halfSent();
    running(dir, syslog(port));
    assert.ok(await eventually(() => server.received.length >= 2));
    const kinds = server.received.map(({ line }) => (JSON.parse(line) as AuditEntry).kind);
    assert.deepEqual(kinds, ['audit.closed', 'audit.sealed']);
  });

  const damages: [name: string, damage: (path: string) => Promise<unknown>, why: RegExp][] = [
    ['lost', (path) => rm(path), /there is no cursor/],
    ['emptied', (path) => writeFile(path, ''), /damaged/],
    ['cut short', async (path) => writeFile(path, (await readFile(path, 'utf8')).slice(0, -9)), /damaged/],
    ['of another shape', (path) => writeFile(path, '{"v":2,"chains":{}}'), /damaged/],
    [
      'of another trail',
      async (path) => writeFile(path, (await readFile(path, 'utf8')).replace(/"hash":"..../, '"hash":"0000')),
      /not where it was confirmed/,
    ],
    [
      'ahead of its file',
      async (path) => writeFile(path, (await readFile(path, 'utf8')).replace(/"to":/, '"to":9')),
      /not where it was confirmed/,
    ],
  ];
  for (const [name, damage, why] of damages) {
    it(`may be ${name}: it starts with the oldest, and says so in the log and the trail`, async () => {
      const { dir, server, port } = await halfSent();
      await damage(siem(dir, 'cursor'));
      const { said, noted } = running(dir, syslog(port));
      await all(dir, server);
      assert.ok(
        said.some((line) => why.test(line) && line.includes('oldest')),
        said.join('\n'),
      );
      assert.deepEqual(
        noted.map(({ kind }) => kind),
        ['sink.restarted'],
      );
    });
  }

  it('needs a place: without one nobody can tell who sends, and the log says so', async () => {
    const dir = newDir();
    const { server, port } = await syslogServer();
    await written(dir, 10);
    await writeFile(join(dir, 'sinks'), 'in the way');
    const { said } = running(dir, syslog(port));
    assert.ok(await eventually(() => said.some((line) => /stands still.*ENOTDIR/.test(line))), said.join());
    await rm(join(dir, 'sinks'));
    await mkdir(join(dir, 'sinks'));
    await all(dir, server);
  });

  it('may fail to be written while the receiver is there: it goes on, and the next process sends more than it had to', async () => {
    const dir = newDir();
    const { server, port } = await syslogServer();
    const trail = await openTrail(dir);
    const { said, stop } = running(dir, syslog(port));
    await all(dir, server);
    await mkdir(siem(dir, `cursor.${process.pid}.new`)); // where it is written first
    for (let n = 0; n < 50; n++) await trail.commit(operation(n));
    await all(dir, server);
    assert.equal(said.filter((line) => line.includes('cannot be recorded')).length, 1);
    await stop();
    await rm(siem(dir, `cursor.${process.pid}.new`), { recursive: true });
    running(dir, syslog(port));
    await trail.close();
    await all(dir, server);
  });

  it('names what was removed before it was sent', async () => {
    const { dir, server, port } = await halfSent();
    const [{ file } = { file: '' }] = await listSegments(dir);
    const lines = (await readFile(join(dir, file), 'utf8')).split('\n');
    await writeFile(
      join(dir, file),
      [...lines.slice(0, -3), 'x'.repeat((lines.at(-3) ?? '').length), ...lines.slice(-2)].join('\n'),
    );
    const { noted } = running(dir, syslog(port));
    assert.ok(await eventually(() => noted.length > 0));
    assert.deepEqual(noted, [{ kind: 'sink.missed', sink: 'siem', chain: noted[0]?.chain, after: 22, next: 24 }]);
    assert.equal(server.problems.length, 0);
  });
});

describe('several processes with one directory', () => {
  const claim = { beatMs: 20, staleMs: 2_000 };

  it('send through one of them, and through another when that one ends', async () => {
    const dir = newDir();
    const { server, port } = await syslogServer();
    const several = [1, 2, 3].map(() => running(dir, syslog(port), { timing: { ...timing, claim } }));
    const writer = growing(await openTrail(dir));
    assert.ok(await eventually(() => server.received.length > 300));
    assert.equal(new Set(server.received.map(({ line }) => line)).size, server.received.length, 'some came twice');
    for (let ended = 0; ended < 2; ended++) {
      assert.ok(await eventually(() => several.some(({ sink }) => sink.state())));
      const now = writer.n();
      assert.ok(await eventually(() => server.received.some(({ line }) => line.includes(`"op-${now}"`))));
      const [at] = several.flatMap(({ sink }, i) => (sink.state() ? [i] : []));
      await several.splice(at ?? 0, 1)[0]?.stop(0);
    }
    await writer.end();
    await all(dir, server);
  });
});

describe('a sink that is not the one for a moment', () => {
  for (const entries of [7, 500])
    it(`sends again what it had in hand, ${entries} at most`, async () => {
      const dir = newDir();
      const { server, url } = await webhookServer();
      await written(dir, 30);
      const from = performance.now();
      server.answer = (_call, response) => response.writeHead(performance.now() - from < 400 ? 500 : 200).end();
      // Never renewed beside the work: each time it is lost while the receiver is asked, and taken again after.
      running(dir, webhook(url, { entries }), { timing: { ...timing, claim: { beatMs: 60_000, staleMs: 200 } } });
      await all(dir, server);
    });
});

describe('a webhook sink', () => {
  it('posts signed batches, each entry once, no more at once than configured', async () => {
    const dir = newDir();
    const { server, url } = await webhookServer();
    running(dir, webhook(url));
    const writer = growing(await openTrail(dir, { segmentBytes: 5_000 }));
    assert.ok(await eventually(() => writer.n() > 100));
    await writer.end();
    await all(dir, server);
    assert.deepEqual(server.problems, []);
    assert.equal(new Set(server.received.map(({ line }) => line)).size, server.received.length);
    assert.ok(server.calls.every(({ body }) => body.trimEnd().split('\n').length <= 7));
  });

  it('posts over TLS, and nothing to a receiver whose certificate it cannot verify', async () => {
    const dir = newDir();
    const server = new WebhookServer(SECRET, certificate);
    stops.push(() => server.close());
    const url = await server.listen();
    await written(dir, 5);
    const doubting = running(dir, webhook(url, { ca: (await selfSigned('IP:127.0.0.1')).cert }));
    assert.ok(await eventually(() => doubting.said.some((line) => /certificate/i.test(line))));
    assert.equal(server.calls.length, 0);
    await doubting.stop();
    running(dir, webhook(url, { ca: certificate.cert }));
    await all(dir, server);
  });

  it('sends the same batch under the same key until it is answered well', async () => {
    const dir = newDir();
    const { server, url } = await webhookServer();
    const answers = ['hang up', 500, 'nothing', 429, 408, 503, 'cut'];
    server.answer = (_call, response, n) => {
      const answer = answers[n - 1];
      if (answer === 'hang up') response.destroy();
      else if (answer === 'cut') {
        response.writeHead(500, { 'content-length': '100' }).write('x');
        response.destroy();
      } else if (answer !== 'nothing') response.writeHead(Number(answer ?? 200)).end();
    };
    await written(dir, 10);
    const { noted } = running(dir, webhook(url, { timeoutMs: 300, entries: 500 }));
    await all(dir, server);
    assert.ok(!noted.some(({ kind }) => kind === 'sink.stuck'), 'one of them stops the sink');
    const tries = server.calls.slice(0, answers.length + 1);
    assert.equal(new Set(tries.map(({ headers }) => headers['idempotency-key'])).size, 1);
    assert.equal(new Set(tries.map(({ body }) => body)).size, 1);
  });

  it('leaves a receiver alone for as long as it asks', async () => {
    const dir = newDir();
    const { server, url } = await webhookServer();
    server.answer = (_call, response, n) => response.writeHead(n === 1 ? 429 : 200, { 'retry-after': '1' }).end();
    await written(dir, 3);
    running(dir, webhook(url, { entries: 500 }));
    await all(dir, server);
    const [first, second] = server.calls;
    assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 990);
  });

  for (const status of [401, 413, 307]) {
    it(`stops at ${status}, says so in log, trail and metric once, and goes on when that is mended`, async () => {
      const dir = newDir();
      const { server, url } = await webhookServer();
      const other = await webhookServer();
      let mended = false;
      server.answer = (_call, response) =>
        response.writeHead(mended ? 200 : status, mended ? {} : { location: other.url }).end();
      await written(dir, 10);
      const { sink, said, noted } = running(dir, webhook(url));
      assert.ok(await eventually(() => server.calls.length > 2));
      assert.equal(sink.state()?.stuck, true);
      mended = true;
      await all(dir, server);
      assert.ok(await eventually(() => sink.state()?.stuck === false));
      assert.deepEqual(
        noted.map(({ kind }) => kind),
        ['sink.restarted', 'sink.stuck', 'sink.resumed'],
      );
      assert.equal(said.filter((line) => line.includes('refuses')).length, 1);
      assert.equal(other.server.calls.length, 0);
      assert.doesNotMatch(`${said}${JSON.stringify(noted)}`, new RegExp(`${SECRET}|/entries`));
    });
  }

  it('comes to rest: what the trail says of a sink does not feed it for ever', async () => {
    const dir = newDir();
    const { server, url } = await webhookServer();
    server.answer = (_call, response, n) => response.writeHead(n < 4 ? 400 + (n % 2) : 200).end();
    const trail = await openTrail(dir, { headEveryMs: 10 });
    const { sink } = running(dir, webhook(url), { note: (entry) => trail.append(entry) });
    trail.append(operation(1));
    await all(dir, server);
    const rests = async () => {
      const before = server.calls.length;
      const { seq } = trail.head();
      await new Promise((resolve) => setTimeout(resolve, 150)); // fifteen signatures, if there were anything to sign
      return server.calls.length === before && trail.head().seq === seq && sink.state()?.entries === 0;
    };
    assert.ok(await eventually(rests));
    const kinds = server.received.map(({ line }) => (JSON.parse(line) as AuditEntry).kind);
    assert.deepEqual(
      kinds.filter((kind) => kind.startsWith('sink.')),
      ['sink.restarted', 'sink.stuck', 'sink.resumed'],
    );
    await trail.close();
  });

  it('sends only the kinds it is for, and does not look at the others again', async () => {
    const dir = newDir();
    const { server, url } = await webhookServer();
    const trail = await openTrail(dir);
    for (let n = 0; n < 10; n++) trail.append(n % 2 === 0 ? operation(n) : { kind: 'hold.open', hold: `h-${n}` });
    await trail.close();
    const kinds = kindsOf(['hold.*']);
    const first = running(dir, webhook(url), { kinds });
    assert.ok(await eventually(() => server.received.length === 5));
    assert.ok(await eventually(async () => (await readdir(join(dir, 'sinks'))).includes('siem.done')));
    await first.stop();
    running(dir, webhook(url), { kinds });
    const more = await openTrail(dir, { gateway: 'next' });
    await more.commit({ kind: 'hold.settled' });
    assert.ok(await eventually(() => server.received.length === 6));
    assert.deepEqual(
      server.received.map(({ line }) => (JSON.parse(line) as AuditEntry).kind),
      [...Array.from({ length: 5 }, () => 'hold.open'), 'hold.settled'],
    );
    await more.close();
  });
});

describe('retention beside a sink', () => {
  const day = 86_400_000;
  const old = async (dir: string) => {
    for (const { file } of await listSegments(dir)) await utimes(join(dir, file), 1_000_000, 1_000_000);
  };
  const config = (dir: string, maxBehindMs?: number) => ({
    dir,
    sinks: [{ name: 'siem', maxBehindMs }] as unknown as Parameters<typeof waitingFor>[0]['sinks'],
  });

  it('keeps what was not sent, and removes it once it was', async () => {
    const dir = newDir();
    await written(dir, 5, { gateway: 'old' });
    await old(dir);
    const trail = await openTrail(dir, { retentionMs: day, waitingFor: waitingFor(config(dir)) });
    assert.equal((await listSegments(dir)).length, 2);
    const { server, url } = await webhookServer();
    running(dir, webhook(url));
    await all(dir, server);
    assert.ok(await eventually(async () => (await trail.expire()).length > 0));
    assert.equal((await listSegments(dir)).length, 1);
    await trail.close();
  });

  it('keeps the rest of what was sent in part', async () => {
    const dir = newDir();
    const { server, url } = await webhookServer();
    server.answer = (_call, response, n) => response.writeHead(n < 3 ? 200 : 500).end();
    const trail = await openTrail(dir, { gateway: 'old' });
    for (let n = 0; n < 30; n++) trail.append(operation(n));
    await trail.flush();
    const { stop } = running(dir, webhook(url));
    assert.ok(await eventually(() => server.calls.length > 4));
    await stop();
    await trail.close();
    await old(dir);
    const next = await openTrail(dir, { retentionMs: day, waitingFor: waitingFor(config(dir)) });
    assert.equal((await listSegments(dir)).length, 2);
    await next.close();
  });

  it('gives up on a sink that is behind for longer than max_behind, and puts that on record', async () => {
    const dir = newDir();
    await written(dir, 5, { gateway: 'old' });
    await old(dir);
    const path = await written(dir, 1, { retentionMs: day, waitingFor: waitingFor(config(dir, 2 * day)) });
    assert.equal((await listSegments(dir)).length, 1);
    const entry = (await readFile(path, 'utf8')).split('\n').find((line) => line.includes('audit.retention'));
    assert.deepEqual(JSON.parse(entry ?? '{}').removed[0].missed, ['siem']);
  });
});
