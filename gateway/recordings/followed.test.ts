/** A session that another process records into the same directory is followed as it is written, and no further. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { rejection } from '../../test/support/rejection.ts';
import { eventually } from '../../test/support/workspace.ts';
import type { SignedStore } from '../state/signed.ts';
import { wrappingKey } from './keys.ts';
import { Library } from './library.ts';
import { LocalShelf } from './local-shelf.ts';
import { Recorder } from './recorder.ts';
import type { SessionSummary } from './shape.ts';

describe('a session that another process records', () => {
  let dir: string;
  const key = wrappingKey(randomBytes(32).toString('base64'));
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-followed-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const nowhere = { live: () => undefined, written: async () => {}, listen: async () => 0 };
  /** The process that records, and what another knows that reads the same directory. */
  async function begun(encrypted: boolean) {
    const place = join(dir, randomUUID());
    const summaries: SessionSummary[] = [];
    const recorder = new Recorder({
      dir: place,
      key: encrypted ? key : undefined,
      gateway: 'gw-other',
      resultBytes: 1_000,
      minFreeBytes: 0,
      audit: { append: () => {} },
      endSession: () => {},
      onLive: () => {},
      onFinished: (summary) => void summaries.push(summary),
      log: { warn: () => {}, error: () => {} },
      times: { tickMs: 1, sealMs: 20 },
    });
    await recorder.start();
    const session = randomUUID();
    const principal = { issuer: 'https://i.example.com', subject: 'b', kind: 'agent', name: 'b', groups: [] } as const;
    const about = { gateway: 'gw-other', connection: 'orders', environment: 'test', protocol: 'postgres', peer: 'p' };
    const tape = recorder.begin({ v: 1, kind: 'session', session, startedAt: Date.now(), principal, ...about });
    const say = async (n: number) => {
      recorder.entered({ kind: 'operation', session }, `"kind":"operation","n":${n}`);
      await recorder.written();
    };
    await recorder.written();
    // Nothing of Redis is asked for: what others say is told below.
    const shelf = new LocalShelf({ dir: place, store: {} as SignedStore, log: { warn: () => {} }, lookMs: 5 });
    const { summary } = recorder.live(session) ?? assert.fail('it is not live');
    shelf.learn(summary);
    const library = new Library({ recorder: nowhere, shelf, keys: [key] });
    const seen: unknown[] = [];
    const follow = async (signal = new AbortController().signal) => {
      for await (const line of library.follow(session, signal)) seen.push('n' in line ? line.n : line.kind);
    };
    const end = async () => {
      tape.end();
      shelf.learn((await eventually(() => summaries[0])) ?? assert.fail('it was never finished'));
      await recorder.close();
    };
    return { session, summary, shelf, library, recorder, say, seen, follow, end };
  }

  for (const encrypted of [false, true]) {
    it(`is seen line by line, until it has ended, ${encrypted ? 'encrypted' : 'in clear'}`, async () => {
      const { session, library, say, seen, follow, end } = await begun(encrypted);
      assert.equal(await library.canFollow(session), true);
      await say(1);
      const following = follow();
      for (const n of [2, 3, 4]) {
        await say(n);
        assert.ok(await eventually(() => seen.at(-1) === n), `line ${n} never came: ${seen}`);
      }
      await say(5);
      await end();
      await following;
      assert.deepEqual(seen, ['session', 1, 2, 3, 4, 5]);
      assert.equal(await library.canFollow(session), false);
    });
  }

  it('is let go when whoever follows leaves', async () => {
    const { say, seen, follow, end } = await begun(false);
    const leave = new AbortController();
    const following = follow(leave.signal);
    await say(1);
    assert.ok(await eventually(() => seen.includes(1)));
    leave.abort();
    await following;
    await end();
  });

  it('ends where its gateway died, with what was written', async () => {
    const { summary, shelf, recorder, say, seen, follow } = await begun(true);
    const following = follow();
    await say(1);
    assert.ok(await eventually(() => seen.includes(1)));
    shelf.bury(new Set(['gw-here']));
    await following;
    assert.deepEqual(seen, ['session', 1]);
    assert.equal(shelf.find(summary.session)?.lost, true);
    await recorder.close();
  });

  it('is nobody’s but whose it was, and cannot be followed where its file is not', async () => {
    const { session, summary, shelf, library, follow, end } = await begun(false);
    shelf.learn({ ...summary, principal: 'https://i.example.com#mallory' });
    assert.match((await rejection(follow())).message, /of another session than its summary says/);
    shelf.learn({ ...summary, file: `2026/11/24/1-${session}.jsonl` });
    assert.equal(await library.canFollow(session), false);
    assert.match((await rejection(follow())).message, /not in this gateway’s directory/);
    await end();
  });
});
