/** What a sink remembers of how far it has come: where to go on, and what is kept for it. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { all, running, syslog, syslogServer, webhook, webhookServer } from '../../../test/support/sink-stage.ts';
import { newDir, openTrail, operation, written } from '../../../test/support/trail.ts';
import { eventually } from '../../../test/support/workspace.ts';
import { waitingFor } from '../../compose/sinks.ts';
import type { AuditEntry } from '../entry.ts';
import { listSegments } from '../files.ts';

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
