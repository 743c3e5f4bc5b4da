/** Whoever follows a session sees every line once, in order; and a recording is only shown as what it was. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { rejection } from '../../test/support/rejection.ts';
import { eventually } from '../../test/support/workspace.ts';
import { wrappingKey } from './keys.ts';
import { Library, type Shelf } from './library.ts';
import { Recorder } from './recorder.ts';
import type { SessionSummary } from './shape.ts';

describe('a live session that is followed', () => {
  let dir: string;
  let recorder: Recorder;
  let library: Library;
  const key = wrappingKey(randomBytes(32).toString('base64'));

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-library-'));
    recorder = new Recorder({
      dir: join(dir, 'kept'),
      key,
      gateway: 'gw-test',
      resultBytes: 1_000,
      minFreeBytes: 0,
      audit: { append: () => {} },
      endSession: () => {},
      onLive: () => {},
      onFinished: () => {},
      log: { warn: () => {}, error: () => {} },
    });
    await recorder.start();
    const shelf: Shelf = {
      search: () => ({ sessions: [], more: false }),
      find: () => undefined,
      onChange: () => () => {},
      open: () => assert.fail('nothing is on the shelf'),
      has: async () => false,
      growing: () => assert.fail('nothing is on the shelf'),
    };
    library = new Library({ recorder, shelf, keys: [key] });
  });
  after(async () => {
    await recorder.close();
    await rm(dir, { recursive: true, force: true });
  });

  const begin = () => {
    const session = randomUUID();
    const principal = { issuer: 'https://i.example.com', subject: 'b', kind: 'agent', name: 'b', groups: [] } as const;
    const about = { gateway: 'gw-test', connection: 'orders', environment: 'test', protocol: 'postgres', peer: 'p' };
    const tape = recorder.begin({ v: 1, kind: 'session', session, startedAt: Date.now(), principal, ...about });
    let n = 0;
    const say = (text = '') =>
      recorder.entered({ kind: 'operation', session }, `"kind":"operation","n":${n++},"x":"${text}"`);
    return { session, tape, say };
  };
  const counted = (n: number) => Array.from({ length: n }, (_, at) => at);
  const follow = async (session: string, signal = new AbortController().signal) => {
    const seen: unknown[] = [];
    for await (const line of library.follow(session, signal)) seen.push('n' in line ? line.n : line.kind);
    return seen;
  };

  it('is seen from its first line to its end, though it goes on meanwhile', async () => {
    const { session, tape, say } = begin();
    const followers: Promise<unknown[]>[] = [];
    for (let n = 0; n < 300; n++) {
      say();
      if (n % 60 === 0) followers.push(follow(session));
      if (n % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    tape.end();
    for (const seen of await Promise.all(followers)) assert.deepEqual(seen, ['session', ...counted(300)]);
  });

  it('is seen where nothing was asked yet', async () => {
    const { session, tape, say } = begin();
    const seen = follow(session);
    say();
    tape.end();
    assert.deepEqual(await seen, ['session', 0]);
  });

  it('lets go when whoever follows leaves', async () => {
    const { session, tape, say } = begin();
    const leave = new AbortController();
    const seen = follow(session, leave.signal);
    say();
    assert.ok(await eventually(() => (recorder.live(session)?.listeners.size ?? 0) > 0));
    leave.abort();
    await seen;
    assert.equal(recorder.live(session)?.listeners.size, 0);
    tape.end();
  });

  it('is not kept in memory for whoever does not read', async () => {
    const { session, tape, say } = begin();
    say();
    const lines = library.follow(session, new AbortController().signal);
    await lines.next();
    await lines.next();
    for (let n = 0; n < 100; n++) {
      say('x'.repeat(200_000));
      await recorder.written();
    }
    const { code, message } = await rejection(
      (async () => {
        while (!(await lines.next()).done);
      })(),
    );
    assert.equal(code, 'LIMIT', message);
    tape.end();
  });

  it('is read up to now while it goes on', async () => {
    const { session, tape, say } = begin();
    for (let n = 0; n < 10; n++) say();
    const seen: unknown[] = [];
    for await (const line of library.read(session)) seen.push('n' in line ? line.n : line.kind);
    assert.deepEqual(seen, ['session', ...counted(10)]);
    tape.end();
  });

  it('is not found where nobody knows it', async () => {
    assert.equal(library.find('nobody'), undefined);
    const { code } = await rejection(library.read('nobody').next());
    assert.equal(code, 'RECORDING');
  });
});

describe('a recording on the shelf', () => {
  const key = wrappingKey(randomBytes(32).toString('base64'));
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-library-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  /** One that is complete: what is known of it, and its bytes. */
  async function complete(encrypted: boolean): Promise<{ summary: SessionSummary; bytes: Buffer }> {
    const done: { summary: SessionSummary; path: string }[] = [];
    const recorder = new Recorder({
      dir: join(dir, randomUUID()),
      key: encrypted ? key : undefined,
      gateway: 'gw-test',
      resultBytes: 1_000,
      minFreeBytes: 0,
      audit: { append: () => {} },
      endSession: () => {},
      onLive: () => {},
      onFinished: (summary, path) => void done.push({ summary, path }),
      log: { warn: () => {}, error: () => {} },
    });
    await recorder.start();
    const session = randomUUID();
    const principal = { issuer: 'https://i.example.com', subject: 'b', kind: 'agent', name: 'b', groups: [] } as const;
    const about = { gateway: 'gw-test', connection: 'orders', environment: 'test', protocol: 'postgres', peer: 'p' };
    recorder.begin({ v: 1, kind: 'session', session, startedAt: Date.now(), principal, ...about });
    recorder.entered({ kind: 'operation', session }, '"kind":"operation","n":1');
    recorder.entered({ kind: 'session.end', session, reason: 'left' }, '"kind":"session.end"');
    await recorder.close();
    const [found] = done;
    if (!found) return assert.fail('it was never finished');
    return { summary: found.summary, bytes: await readFile(found.path) };
  }
  const read = async (summary: SessionSummary, bytes: Buffer): Promise<string[]> => {
    const shelf: Shelf = {
      search: () => ({ sessions: [], more: false }),
      find: () => summary,
      onChange: () => () => {},
      open: async function* () {
        yield bytes;
      },
      has: async () => true,
      growing: () => assert.fail('it is complete'),
    };
    const recorder = { live: () => undefined, written: async () => {}, listen: async () => 0 };
    const kinds: string[] = [];
    for await (const { kind } of new Library({ recorder, shelf, keys: [key] }).read(summary.session)) kinds.push(kind);
    return kinds;
  };
  const refused = async (summary: SessionSummary, bytes: Buffer, why: RegExp) => {
    const { code, message } = await rejection(read(summary, bytes));
    assert.equal(code, 'RECORDING');
    assert.match(message, why);
  };

  for (const encrypted of [false, true]) {
    const how = encrypted ? 'encrypted' : 'in clear';
    it(`is read, ${how}`, async () => {
      const { summary, bytes } = await complete(encrypted);
      assert.deepEqual(await read(summary, bytes), ['session', 'operation', 'session.end']);
    });

    it(`is not shown as whole without its end, ${how}`, async () => {
      const { summary, bytes } = await complete(encrypted);
      await refused(summary, bytes.subarray(0, -5), /not as it was sealed/);
    });

    it(`is nobody’s but whose it was, whatever its summary says, ${how}`, async () => {
      const { summary, bytes } = await complete(encrypted);
      for (const change of [
        { principal: 'https://i.example.com#mallory' },
        { sponsor: 'U0MALLORY' },
        { session: randomUUID() },
      ]) {
        await refused({ ...summary, ...change }, bytes, /of another session than its summary says/);
      }
    });
  }

  it('is not believed where a byte of it was changed', async () => {
    const { summary, bytes } = await complete(false);
    await refused(summary, Buffer.from(bytes.toString().replace('"n":1', '"n":2')), /not as it was sealed/);
  });

  it('is not believed where its last segment was changed and the tag taken off', async () => {
    const { summary, bytes } = await complete(true);
    const changed = Buffer.from(bytes.subarray(0, -20)); // the length of 0, and the tag
    changed.writeUInt8(changed.readUInt8(changed.length - 3) ^ 1, changed.length - 3);
    await refused(summary, changed, /not as it was sealed/);
  });
});
