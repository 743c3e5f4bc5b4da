/** Recordings on a real disk, by the real thread: in order, sealed, encrypted where there is a key, and never silently incomplete. */
import assert from 'node:assert/strict';
import crypto, { randomBytes, randomUUID } from 'node:crypto';
import fs, { createReadStream, existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path, { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { MessageChannel, type Worker } from 'node:worker_threads';
import { eventually } from '../../test/support/workspace.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import { wrappingKey } from './keys.ts';
import { type PressTimes, press, startPress } from './press.ts';
import { readRecording } from './read.ts';
import { fileOf, Recorder, type RecorderOptions } from './recorder.ts';
import type { RecordedHead, SessionSummary } from './shape.ts';

const key = wrappingKey(randomBytes(32).toString('base64'));

const headOf = (session: string = randomUUID()): RecordedHead => ({
  v: 1,
  kind: 'session',
  session,
  gateway: 'gw-test',
  startedAt: Date.now(),
  connection: 'orders',
  environment: 'production',
  protocol: 'postgres',
  peer: '127.0.0.1:1',
  principal: { issuer: 'https://login.example.com', subject: 'bot', kind: 'agent', name: 'report-bot', groups: [] },
});

/** The thread's work in this thread, on a disk that the test makes. */
function here(times: PressTimes, disk: typeof fs): Worker {
  const { port1, port2 } = new MessageChannel();
  press(port2, disk, crypto, path, times);
  const named = (event: string) => (event === 'exit' ? 'close' : event);
  return {
    on: (event: string, listener: () => void) => port1.on(named(event), listener),
    once: (event: string, listener: () => void) => port1.once(named(event), listener),
    postMessage: (order: unknown) => port1.postMessage(order),
  } as unknown as Worker;
}

describe('a recorder', () => {
  const dirs: string[] = [];
  const running: Recorder[] = [];
  after(async () => {
    for (const dir of dirs) await rm(dir, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const recorder of running.splice(0)) await recorder.close();
  });

  async function start(options: Partial<RecorderOptions> = {}) {
    const dir = await mkdtemp(join(tmpdir(), 'countersign-recorder-'));
    dirs.push(dir);
    const entries: AuditEntry[] = [];
    const ended: [string, string][] = [];
    const finished: { summary: SessionSummary; path: string }[] = [];
    const live: SessionSummary[] = [];
    const recorder = new Recorder({
      dir: join(dir, 'kept'),
      gateway: 'gw-test',
      resultBytes: 1_000,
      minFreeBytes: 0,
      audit: { append: (entry) => void entries.push(entry) },
      endSession: (session, reason) => void ended.push([session, reason]),
      onLive: (summaries) => void live.push(...summaries),
      onFinished: (summary, path) => void finished.push({ summary, path }),
      log: { warn: () => {}, error: () => {} },
      ...options,
    });
    running.push(recorder);
    await recorder.start();
    /** As the trail does it. */
    const entry = (
      session: string,
      kind: 'operation' | 'outcome' | 'session.end',
      more: Record<string, unknown> = {},
    ) => {
      const said = { kind, session, ...more };
      recorder.entered(said, JSON.stringify(said).slice(1, -1));
    };
    const done = async (session: string) => {
      const found = await eventually(() => finished.find(({ summary }) => summary.session === session));
      return found ?? assert.fail('it was never finished');
    };
    return { recorder, dir: join(dir, 'kept'), entries, ended, finished, live, entry, done };
  }
  const linesOf = async (path: string, keys = [key]) => {
    const lines: Record<string, unknown>[] = [];
    for await (const line of readRecording(createReadStream(path), { keys })) lines.push(line as never);
    return lines;
  };

  for (const encrypted of [false, true]) {
    it(`keeps what was said and given, in order, ${encrypted ? 'encrypted' : 'in clear'}, for nobody but its owner`, async () => {
      const { recorder, entry, done, dir } = await start(encrypted ? { key } : {});
      const head = headOf();
      const tape = recorder.begin(head);
      for (let n = 0; n < 50; n++) {
        entry(head.session, 'operation', { operation: `op-${n}`, verdict: 'allow', statement: 'SELECT ‹ü›' });
        tape.given(`"kind":"rows","operation":"op-${n}","rows":[["${n} ü"]]`);
      }
      entry(head.session, 'session.end', { reason: 'the client left' });
      tape.end();
      const { summary, path } = await done(head.session);
      const lines = await linesOf(path);
      assert.deepEqual(lines[0], head);
      assert.deepEqual(
        lines.slice(1).map(({ kind, operation }) => [kind, operation]),
        [
          ...Array.from({ length: 50 }, (_, n) => [
            ['operation', `op-${n}`],
            ['rows', `op-${n}`],
          ]).flat(),
          ['session.end', undefined],
        ],
      );
      assert.equal(summary.operations, 50);
      assert.equal(summary.bytes, (await stat(path)).size);
      assert.equal(summary.reason, 'the client left');
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      assert.equal((await stat(dir)).mode & 0o777, 0o700);
      assert.equal((await readFile(path, 'latin1')).includes('report-bot'), !encrypted);
    });
  }

  it('keeps what is put on record right behind the end of its session', async () => {
    const { recorder, entry, done } = await start();
    const head = headOf();
    const tape = recorder.begin(head);
    entry(head.session, 'session.end');
    tape.end();
    entry(head.session, 'outcome', { outcome: 'unknown' });
    tape.given('"kind":"rows","rows":[]');
    const kinds = (await linesOf((await done(head.session)).path)).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['session', 'session.end', 'outcome']);
  });

  it('says nothing of who looked at it', async () => {
    const { recorder, done } = await start();
    const head = headOf();
    const tape = recorder.begin(head);
    recorder.entered({ kind: 'recording.viewed', session: head.session }, '"kind":"recording.viewed"');
    tape.end();
    assert.equal((await linesOf((await done(head.session)).path)).length, 1);
  });

  it('counts what its session did, each relation once', async () => {
    const { recorder, entry, done } = await start();
    const head = headOf();
    const tape = recorder.begin(head);
    const effects = [{ action: 'read', object: 'public.b' }];
    entry(head.session, 'operation', { verdict: 'allow', effects });
    entry(head.session, 'operation', { verdict: 'allow', effects });
    entry(head.session, 'operation', { verdict: 'hold', effects, stopped: { rows: 2, bytes: 6 } }); // the same again
    entry(head.session, 'operation', {
      verdict: 'hold',
      effects: [
        { action: 'delete', object: 'public.a' },
        { action: 'call', object: '' },
      ],
    });
    entry(head.session, 'operation', { verdict: 'deny', effects: [] });
    entry(head.session, 'outcome', { outcome: 'failed' });
    tape.end();
    const { summary } = await done(head.session);
    const { operations, held, denied, failed, verdicts, relations } = summary;
    assert.deepEqual([operations, held, denied, failed], [4, 2, 1, 1]);
    assert.deepEqual(
      [verdicts, relations],
      [
        ['allow', 'hold', 'deny'],
        ['public.a', 'public.b'],
      ],
    );
  });

  it('writes more sessions at once than it keeps files open', async () => {
    const { recorder, entry, done } = await start({ openFiles: 2, key });
    const heads = Array.from({ length: 7 }, () => headOf());
    const tapes = heads.map((head) => recorder.begin(head));
    for (let round = 0; round < 5; round++) {
      for (const { session } of heads) entry(session, 'operation', { operation: `${round}` });
      await recorder.written();
    }
    for (const tape of tapes) tape.end();
    for (const { session } of heads) {
      const lines = await linesOf((await done(session)).path);
      assert.deepEqual(
        lines.slice(1).map(({ operation }) => operation),
        ['0', '1', '2', '3', '4'],
      );
    }
  });

  it('seals a session that goes on, not only its end', async () => {
    const { recorder, entry, entries } = await start({ times: { sealMs: 20 } });
    const head = headOf();
    recorder.begin(head);
    entry(head.session, 'operation', { operation: 'op-1' });
    const sealed = await eventually(() => entries.find(({ kind }) => kind === 'recording.sealed'));
    const said = JSON.stringify(sealed?.recordings);
    assert.match(said, new RegExp(`"session":"${head.session}"`));
    assert.doesNotMatch(said, /"end"/);
  });

  it('seals each of many in its turn, not all at once', async () => {
    const sizes: number[] = [];
    const { recorder, entry } = await start({
      times: { sealMs: 400 },
      audit: { append: ({ recordings }) => void (Array.isArray(recordings) && sizes.push(recordings.length)) },
    });
    const heads = Array.from({ length: 60 }, () => headOf());
    for (const head of heads) recorder.begin(head);
    for (const { session } of heads) entry(session, 'operation');
    assert.ok(await eventually(() => sizes.reduce((sum, size) => sum + size, 0) >= heads.length));
    assert.ok(Math.max(...sizes) <= 10, `${sizes}`);
  });

  it('ends all that is recorded when it closes, and seals it', async () => {
    const { recorder, entry, entries, finished } = await start();
    const heads = [headOf(), headOf()];
    for (const head of heads) recorder.begin(head);
    for (const { session } of heads) entry(session, 'operation');
    await recorder.close();
    assert.deepEqual(finished.map(({ summary }) => summary.session).sort(), heads.map(({ session }) => session).sort());
    assert.ok(entries.filter(({ kind }) => kind === 'recording.sealed').length > 0);
    assert.throws(() => recorder.begin(headOf()), /recordings are closed/);
  });

  it('ends a session whose file cannot be written, and no other', async () => {
    const { recorder, ended, entries, entry, dir, done } = await start();
    const [good, bad] = [headOf(), { ...headOf(), startedAt: Date.UTC(2020, 0, 1) }];
    await mkdir(join(dir, '2020'), { recursive: true });
    await writeFile(join(dir, '2020', '01'), 'no directory'); // where the month's should be
    const tape = recorder.begin(good);
    recorder.begin(bad);
    entry(good.session, 'operation');
    entry(bad.session, 'operation');
    assert.ok(await eventually(() => ended.length > 0));
    assert.equal(ended[0]?.[0], bad.session);
    assert.match(ended[0]?.[1] ?? '', /its recording cannot be written: .*(ENOTDIR|EEXIST)/);
    assert.ok(entries.some(({ kind, session }) => kind === 'recording.failed' && session === bad.session));
    tape.end();
    await done(good.session);
    assert.equal(ended.length, 1);
  });

  it('ends its session when the disk is full in the middle, and what was sealed before stays readable', async () => {
    let room = 4_000;
    const limited = {
      ...fs,
      writeSync: (fd: number, bytes: Uint8Array, at: number, length: number) => {
        if (length > room) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        room -= length;
        return fs.writeSync(fd, bytes, at, length);
      },
    } as typeof fs;
    const { recorder, ended, entry, entries, dir } = await start({ start: (times) => here(times, limited) });
    const head = headOf();
    recorder.begin(head);
    entry(head.session, 'operation', { operation: 'op-1' });
    await recorder.written(true);
    entry(head.session, 'operation', { operation: 'op-2', statement: 'x'.repeat(5_000) });
    assert.ok(await eventually(() => ended.length > 0), 'it went on');
    assert.match(ended[0]?.[1] ?? '', /its recording cannot be written: ENOSPC/);
    assert.ok(entries.some(({ kind }) => kind === 'recording.failed'));
    const lines = await linesOf(join(dir, fileOf(head, false)));
    assert.deepEqual(
      lines.map(({ operation }) => operation),
      [undefined, 'op-1'],
    );
  });

  it('ends its session when its file is taken away, and says that it has ended', async () => {
    const { recorder, ended, entry, live, dir } = await start();
    const head = headOf();
    recorder.begin(head);
    await recorder.written(true);
    await rm(join(dir, fileOf(head, false)));
    entry(head.session, 'operation', { operation: 'op-1' });
    await recorder.written(true);
    assert.ok(await eventually(() => ended.length > 0), 'it went on');
    assert.match(ended[0]?.[1] ?? '', /was removed while it was written/);
    const last = live.findLast(({ session }) => session === head.session);
    assert.match(last?.reason ?? '', /its recording cannot be written/);
    assert.ok(last?.endedAt);
  });

  it('does not start its thread again and again', async () => {
    const threads: Worker[] = [];
    const { recorder } = await start({
      start: (times) => {
        threads.push(startPress(times));
        return threads.at(-1) as Worker;
      },
    });
    await threads[0]?.terminate();
    assert.ok(await eventually(() => recorder.trouble() !== undefined), 'nobody was told');
    assert.equal(threads.length, 1);
  });

  it('never writes into a file that is there already', async () => {
    const { recorder, ended, dir } = await start();
    const head = { ...headOf(), startedAt: Date.UTC(2020, 0, 1) };
    const path = join(dir, '2020/01/01', `${head.startedAt}-${head.session}.jsonl`);
    await mkdir(join(dir, '2020/01/01'), { recursive: true });
    await writeFile(path, 'theirs');
    recorder.begin(head);
    assert.ok(await eventually(() => ended.length > 0));
    assert.equal(await readFile(path, 'utf8'), 'theirs');
  });

  it('begins nothing while its disk is almost full or cannot be asked, and says so', async () => {
    let free: () => Promise<number> = async () => 10;
    const { recorder } = await start({ minFreeBytes: 100, freeBytes: () => free() });
    assert.throws(
      () => recorder.begin(headOf()),
      (error) => {
        assert.ok(error instanceof GatewayError && error.code === 'AUDIT');
        assert.match(error.message, /the disk of the recordings is almost full/);
        return true;
      },
    );
    free = async () => 1_000;
    assert.ok(await eventually(() => recorder.trouble() === undefined));
    free = () => Promise.reject(new Error('EIO'));
    assert.ok(await eventually(() => recorder.trouble() !== undefined));
  });

  it('ends its sessions when its thread dies, and records new ones with another', async () => {
    const threads: Worker[] = [];
    const { recorder, ended, done } = await start({
      start: (times) => {
        const thread = startPress(times);
        threads.push(thread);
        return thread;
      },
      times: { steadyMs: 0 },
    });
    const lost = headOf();
    recorder.begin(lost);
    await threads[0]?.terminate();
    assert.ok(await eventually(() => ended.length > 0));
    assert.equal(ended[0]?.[0], lost.session);
    const next = headOf();
    const tape = recorder.begin(next);
    tape.end();
    await done(next.session);
  });

  it('asks for patience while more lies here than was written, and calls when there is room', async () => {
    const { recorder } = await start();
    const tape = recorder.begin(headOf());
    let called = 0;
    assert.equal(
      tape.full(() => called++),
      false,
    );
    for (let n = 0; n < 40; n++) tape.given(`"kind":"rows","rows":[["${'x'.repeat(1 << 20)}"]]`);
    assert.equal(
      tape.full(() => called++),
      true,
    );
    assert.ok(await eventually(() => called === 1));
    assert.equal(
      tape.full(() => called++),
      false,
    );
  });

  it('tells of live sessions, not of each line', async () => {
    const { recorder, entry, live } = await start();
    const head = headOf();
    recorder.begin(head);
    for (let n = 0; n < 20; n++) {
      entry(head.session, 'operation', { verdict: 'allow' });
      await recorder.written();
    }
    assert.ok(await eventually(() => live.length > 0));
    assert.ok(live.length < 5, `${live.length} times`);
    assert.equal(live[0]?.endedAt, undefined);
  });

  it('does not begin where its directory cannot be made', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'countersign-recorder-'));
    dirs.push(dir);
    await chmod(dir, 0o700);
    await assert.rejects(start({ dir: join(dir, 'no', 'such') }), /recordings\.dir: .* cannot be had/);
    assert.equal(existsSync(join(dir, 'no')), false);
  });
});
