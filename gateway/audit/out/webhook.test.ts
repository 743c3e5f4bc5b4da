/** A webhook that answers as it likes: each entry arrives, signed, in order; what it refuses is said once. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { selfSigned } from '../../../test/support/door.ts';
import { WebhookServer } from '../../../test/support/receivers.ts';
import {
  all,
  certificate,
  endsWith,
  growing,
  running,
  SECRET,
  webhook,
  webhookServer,
} from '../../../test/support/sink-stage.ts';
import { newDir, openTrail, operation, written } from '../../../test/support/trail.ts';
import { eventually } from '../../../test/support/workspace.ts';
import type { AuditEntry } from '../entry.ts';
import { kindsOf } from './select.ts';

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
    endsWith(() => server.close());
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
