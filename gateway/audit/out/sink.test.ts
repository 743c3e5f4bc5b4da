/** A sink under everything that can happen to it: whatever dies, lies or stands still, every entry arrives, in order. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { selfSigned } from '../../../test/support/door.ts';
import { freePort } from '../../../test/support/ports.ts';
import { neverSkips, SyslogServer, whatIsMissing } from '../../../test/support/receivers.ts';
import {
  all,
  certificate,
  endsWith,
  growing,
  PATIENCE_MS,
  running,
  syslog,
  syslogServer,
  timing,
  twentyMore,
  webhook,
  webhookServer,
} from '../../../test/support/sink-stage.ts';
import { newDir, openTrail, operation, written } from '../../../test/support/trail.ts';
import { eventually } from '../../../test/support/workspace.ts';

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
    await written(dir, 300, { segmentBytes: 20_000 });
    running(dir, syslog(port));
    assert.ok(await eventually(() => server.connections > cuts.length));
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
    endsWith(() => server.close());
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
    assert.ok(await eventually(() => sink.state()?.entries === 0 && sink.state()?.seconds === 0, PATIENCE_MS));
    assert.ok(await eventually(async () => (await whatIsMissing(dir, inTurn())) === undefined, PATIENCE_MS));
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
