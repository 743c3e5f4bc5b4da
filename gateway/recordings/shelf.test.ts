/** What is known of recordings: from the directory, from other gateways, after Redis forgot, after a gateway died. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it, mock } from 'node:test';
import { Redis } from 'ioredis';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { rejection } from '../../test/support/rejection.ts';
import { eventually } from '../../test/support/workspace.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { SignedStore } from '../state/signed.ts';
import { adopter } from './adopt.ts';
import { LocalShelf } from './local-shelf.ts';
import { Index } from './search.ts';
import type { RecordedHead, SessionSummary } from './shape.ts';

const START = Date.UTC(2026, 10, 23, 12);
const summaryOf = (n: number, change: Partial<SessionSummary> = {}): SessionSummary => {
  const session = change.session ?? randomUUID();
  return {
    v: 1,
    session,
    gateway: 'gw-1',
    connection: 'orders',
    environment: 'production',
    protocol: 'postgres',
    principal: `https://login.example.com#bot-${n}`,
    principalKind: 'agent',
    name: `bot-${n}`,
    startedAt: START + n * 1_000,
    operations: 1,
    held: 0,
    denied: 0,
    failed: 0,
    verdicts: ['allow'],
    relations: ['public.customers'],
    file: `2026/11/23/${START + n * 1_000}-${session}.jsonl`,
    bytes: 10,
    ...change,
  };
};
const all = () => true;

describe('an index of sessions', () => {
  const found = (index: Index, query = {}) => index.search(query, all).sessions.map(({ name }) => name);

  it('gives them newest first, page by page, each once', () => {
    const index = new Index(1_000);
    for (const n of [3, 1, 4, 0, 2]) index.add(summaryOf(n));
    const first = index.search({ limit: 2 }, all);
    assert.deepEqual([first.sessions.map(({ name }) => name), first.more], [['bot-4', 'bot-3'], true]);
    const after = first.sessions[1];
    const rest = index.search({ limit: 5, ...(after ? { after } : {}) }, all);
    assert.deepEqual([rest.sessions.map(({ name }) => name), rest.more], [['bot-2', 'bot-1', 'bot-0'], false]);
  });

  it('pages through sessions that began in the same millisecond', () => {
    const index = new Index(1_000);
    for (let n = 0; n < 50; n++) index.add(summaryOf(7));
    const seen = new Set<string>();
    let after: SessionSummary | undefined;
    do {
      const page = index.search({ limit: 7, ...(after ? { after } : {}) }, all);
      for (const { session } of page.sessions) seen.add(session);
      after = page.more ? page.sessions.at(-1) : undefined;
    } while (after);
    assert.equal(seen.size, 50);
  });

  it('finds by each thing that can be asked for, and by several at once', () => {
    const index = new Index(1_000);
    index.add(summaryOf(1, { sponsor: 'U0BOB', verdicts: ['allow', 'deny'], relations: ['public.Payments'] }));
    index.add(summaryOf(2, { connection: 'billing', endedAt: START + 5_000 }));
    assert.deepEqual(found(index, { agent: 'BOT-1' }), ['bot-1']);
    assert.deepEqual(found(index, { sponsors: ['U0ALICE', 'U0BOB'] }), ['bot-1']);
    assert.deepEqual(found(index, { sponsors: [] }), []);
    assert.deepEqual(found(index, { connection: 'billing' }), ['bot-2']);
    assert.deepEqual(found(index, { relation: 'payments' }), ['bot-1']);
    assert.deepEqual(found(index, { verdict: 'deny' }), ['bot-1']);
    assert.deepEqual(found(index, { text: 'PAYM' }), ['bot-1']);
    assert.deepEqual(found(index, { live: true }), ['bot-1']);
    assert.deepEqual(found(index, { since: START + 6_000 }), ['bot-1'], 'what has ended before');
    assert.deepEqual(found(index, { until: START + 1_500 }), ['bot-1'], 'what began after');
    assert.deepEqual(found(index, { verdict: 'deny', connection: 'billing' }), []);
    for (const text of ['.*', '(a+)+$', '\\', '%', '🙂'.repeat(10_000)])
      assert.deepEqual(found(index, { text }), [], text);
  });

  it('shows nobody what they may not see, and fills their pages with what they may', () => {
    const index = new Index(1_000);
    for (let n = 0; n < 20; n++) index.add(summaryOf(n));
    const odd = index.search({ limit: 10 }, ({ name }) => Number(name.slice(4)) % 2 === 1);
    assert.equal(odd.sessions.length, 10);
    assert.equal(odd.more, false);
  });

  it('takes the later word of a session, whichever comes first', () => {
    const index = new Index(1_000);
    const begun = summaryOf(1);
    const ended = { ...begun, endedAt: START + 9_000, operations: 5, sha256: 'a'.repeat(64) };
    for (const words of [
      [begun, ended],
      [ended, begun],
    ]) {
      for (const word of words) index.add(word);
      assert.equal(index.find(begun.session)?.operations, 5);
    }
    assert.equal(index.size, 1);
  });

  it('takes texts as they are: patterns, other alphabets, what joins two fields, very long ones', () => {
    const index = new Index(10);
    const odd = summaryOf(1, { name: 'Büro (a+)+$ 名前', relations: ['public.a', 'public.b'] });
    index.fill([odd, summaryOf(2)]);
    const found = (text: string) => index.search({ text }, () => true).sessions.map(({ session }) => session);
    for (const text of ['(a+)+$', '名前', 'BÜRO']) assert.deepEqual(found(text), [odd.session], text);
    for (const text of ['.*', '^b', 'public.a\0public.b', '\0', 'a'.repeat(1_000_000), '\ud800']) {
      assert.deepEqual(found(text), [], text.slice(0, 20));
    }
  });

  it('forgets the oldest beyond its bound', () => {
    const index = new Index(3);
    for (const n of [0, 1, 2, 3, 4]) index.add(summaryOf(n));
    assert.deepEqual(found(index), ['bot-4', 'bot-3', 'bot-2']);
    index.fill([summaryOf(9)]);
    assert.deepEqual(found(index), ['bot-9', 'bot-4', 'bot-3']);
  });
});

describe('a shelf', () => {
  let redis: TestRedis;
  let commands: Redis;
  let dir: string;
  const pair = newKeyPair();
  const storeOf = (trusted = pair.public) =>
    new SignedStore(commands, { own: signingKey(pair.secret), trusted: () => [verifyingKey(trusted)] });
  const shelves: LocalShelf[] = [];
  const warned: string[] = [];

  before(async () => {
    redis = await startRedis();
    commands = new Redis(redis.url);
  });
  after(async () => {
    for (const shelf of shelves) shelf.stop();
    commands.disconnect();
    await redis.stop();
  });
  beforeEach(async () => {
    await commands.flushall();
    dir = await mkdtemp(join(tmpdir(), 'countersign-shelf-'));
    warned.length = 0;
  });

  const open = async (at = dir, store = storeOf()) => {
    const log = { warn: (_details: object, message: string) => void warned.push(message) };
    const shelf = new LocalShelf({ dir: at, store, log, lookMs: 20 });
    shelves.push(shelf);
    await shelf.start();
    return shelf;
  };
  const put = async (summary: SessionSummary, text = 'recorded\n') => {
    await mkdir(dirname(join(dir, summary.file)), { recursive: true });
    await writeFile(join(dir, summary.file), text);
  };
  const bytesOf = async (shelf: LocalShelf, summary: SessionSummary) => {
    const chunks: Buffer[] = [];
    for await (const chunk of shelf.open(summary)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };

  it('knows what another gateway records, while it goes on and when it is complete', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'countersign-shelf-'));
    const [mine, theirs] = [await open(), await open(elsewhere)];
    const summary = summaryOf(1, { gateway: 'gw-2' });
    theirs.live([summary]);
    assert.ok(await eventually(() => mine.find(summary.session)));
    await mkdir(dirname(join(elsewhere, summary.file)), { recursive: true });
    await theirs.finished({ ...summary, endedAt: START, sha256: 'b'.repeat(64) });
    assert.ok(await eventually(() => mine.find(summary.session)?.sha256));
    const { code, hint } = await rejection(bytesOf(mine, summary));
    assert.equal(code, 'RECORDING');
    assert.match(hint ?? '', /Gateway gw-2 recorded it: open it there/);
    await rm(elsewhere, { recursive: true });
  });

  it('finds all that the directory has where Redis forgot everything', async () => {
    const first = await open();
    const summary = summaryOf(1, { sha256: 'c'.repeat(64) });
    await put(summary);
    await first.finished(summary);
    await commands.flushall();
    const again = await open();
    assert.deepEqual(again.find(summary.session), summary);
    assert.equal(await bytesOf(again, summary), 'recorded\n');
    const late = summaryOf(2);
    again.live([late]);
    assert.ok(await eventually(() => first.find(late.session)), 'a stream that began anew is read from its start');
  });

  it('believes no word that no gateway signed, nor one for another session', async () => {
    const shelf = await open();
    const stranger = newKeyPair();
    const forged = new SignedStore(commands, { own: signingKey(stranger.secret), trusted: () => [] });
    const [a, b, good] = [summaryOf(1), summaryOf(2), summaryOf(3)];
    const key = (session: string) => `countersign:recordings:${session}`;
    const tell = (session: string, sealed: string) =>
      commands.xadd('countersign:recordings', '*', 'session', session, 'summary', sealed);
    await tell(a.session, forged.sealed(a, key(a.session)));
    await tell(b.session, storeOf().sealed(a, key(a.session)));
    await tell(b.session, storeOf().sealed({ ...b, file: '../../etc/passwd' }, key(b.session)));
    await commands.xadd('countersign:recordings', '*', 'nonsense', 'x');
    const live = (sealed: string) => commands.xadd('countersign:recordings:live', '*', 'live', sealed);
    await live(forged.sealed([a], key('live')));
    await live(storeOf().sealed([a], key(a.session)));
    await live(storeOf().sealed([{ ...b, file: '../../etc/passwd' }], key('live')));
    await commands.xadd('countersign:recordings:live', '*', 'nonsense', 'x');
    const other = await open();
    other.live([good]);
    assert.ok(await eventually(() => shelf.find(good.session)));
    assert.ok(warned.length >= 8);
    assert.equal(shelf.find(a.session) ?? shelf.find(b.session), undefined);
  });

  it('hears of many that go on in one signed word, and of what is too much for one in several', async () => {
    const [mine, theirs] = [await open(), await open()];
    const many = Array.from({ length: 100 }, (_, n) => summaryOf(n, { gateway: 'gw-2' }));
    theirs.live(many);
    assert.ok(await eventually(() => many.every(({ session }) => mine.find(session))));
    assert.equal(await commands.xlen('countersign:recordings:live'), 1);
    const relations = Array.from({ length: 200 }, (_, n) => `public.${'t'.repeat(190)}${n}`);
    const large = Array.from({ length: 60 }, (_, n) => summaryOf(n, { gateway: 'gw-2', relations }));
    theirs.live(large);
    assert.ok(await eventually(() => large.every(({ session }) => mine.find(session))));
    assert.equal(await commands.xlen('countersign:recordings:live'), 5, 'of at most a megabyte each');
  });

  it('does not verify what it said itself', async () => {
    const store = storeOf();
    const verified = mock.method(store, 'open');
    const shelf = await open(dir, store);
    const [going, complete, theirs] = [
      summaryOf(1),
      summaryOf(2, { sha256: 'd'.repeat(64) }),
      summaryOf(3, { sha256: 'e'.repeat(64) }),
    ] as const;
    shelf.live([going]);
    for (const summary of [complete, theirs]) await put(summary);
    await shelf.finished(complete);
    await (await open()).finished(theirs);
    assert.ok(await eventually(() => shelf.find(theirs.session)), 'the last that was said');
    assert.equal(verified.mock.callCount(), 1);
  });

  it('leaves in Redis what was said of live sessions in the last minutes, and nothing older', async () => {
    const shelf = await open();
    for (let n = 1; n <= 300; n++) await commands.xadd('countersign:recordings:live', `${n}-0`, 'live', 'old');
    const summary = summaryOf(1);
    for (let operations = 1; operations < 3; operations++) {
      shelf.live([{ ...summary, operations }]);
      await commands.ping(); // behind it
    }
    assert.ok((await commands.xlen('countersign:recordings:live')) < 102, 'Redis removes them by the hundred');
  });

  it('opens nothing but recordings, and follows no link', async () => {
    const shelf = await open();
    const secret = join(dir, 'secret');
    await writeFile(secret, 'secret');
    const summary = summaryOf(1);
    await mkdir(dirname(join(dir, summary.file)), { recursive: true });
    await symlink(secret, join(dir, summary.file));
    for (const file of [summary.file, '../secret', 'secret', '2026/11/23/../../../secret']) {
      assert.equal((await rejection(bytesOf(shelf, { ...summary, file }))).code, 'RECORDING', file);
    }
  });

  it('reads no summary that says something else than its name, and is not stopped by one that is broken', async () => {
    const [good, moved, broken] = [summaryOf(1), summaryOf(2), summaryOf(3)];
    for (const summary of [good, moved, broken]) await put(summary);
    const beside = (summary: SessionSummary, text: string) =>
      writeFile(`${join(dir, summary.file)}.summary.json`, text);
    await beside(good, JSON.stringify(good));
    await beside(moved, JSON.stringify({ ...moved, file: good.file }));
    await beside(broken, '{"v":1');
    const shelf = await open();
    assert.deepEqual(
      [good, moved, broken].map(({ session }) => shelf.find(session) !== undefined),
      [true, false, false],
    );
  });

  it('says when Redis does not answer, and serves what it knows', async () => {
    const gone = new Redis({ port: 1, lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
    gone.on('error', () => {});
    const shelf = await open(dir, new SignedStore(gone, { own: signingKey(pair.secret), trusted: () => [] }));
    const summary = summaryOf(1);
    await put(summary);
    await shelf.finished(summary);
    assert.ok(await eventually(() => /Redis does not tell/.test(shelf.trouble() ?? '')));
    assert.equal(shelf.search({}, all).sessions.length, 1);
    gone.disconnect();
  });

  describe('after a gateway died', () => {
    const headOf = (summary: SessionSummary): RecordedHead => ({
      v: 1,
      kind: 'session',
      session: summary.session,
      gateway: summary.gateway,
      startedAt: summary.startedAt,
      connection: 'orders',
      environment: 'production',
      protocol: 'postgres',
      peer: 'p',
      principal: { issuer: 'https://i.example.com', subject: 'b', kind: 'agent', name: 'b', groups: [] },
    });
    const left = async (summary: SessionSummary, tail = '') => {
      const lines = [
        headOf(summary),
        { t: 5, kind: 'operation', verdict: 'hold', effects: [{ action: 'ddl', object: 'public.t' }] },
      ];
      await put(summary, `${lines.map((line) => JSON.stringify(line)).join('\n')}\n${tail}`);
    };
    const adopt = async (alive: string[], deadAfterMs = 0) => {
      const now = { living: alive, ms: 1_000 };
      const entries: AuditEntry[] = [];
      const done: SessionSummary[] = [];
      const look = adopter({
        deadAfterMs,
        monotonic: () => now.ms,
        dir,
        keys: [],
        alive: async () => new Set(now.living),
        audit: { commit: async (entry) => void entries.push(entry) },
        finished: async (summary) => void done.push(summary),
        log: { warn: (_details, message) => void warned.push(message) },
      });
      return { adopted: await look(), look, now, entries, done };
    };

    it('seals what it left, torn as it is, and counts it', async () => {
      const summary = summaryOf(1, { gateway: 'dead' });
      await left(summary, '{"t":9,"ki');
      const { entries, done } = await adopt(['alive']);
      assert.deepEqual([done[0]?.held, done[0]?.relations, done[0]?.endedAt], [1, ['public.t'], undefined]);
      assert.equal(done[0]?.bytes, (await stat(join(dir, summary.file))).size);
      assert.equal(entries[0]?.torn, 10);
      assert.equal(entries[0]?.adoptedFrom, 'dead');
    });

    it('leaves alone what a living gateway writes, and what is sealed', async () => {
      const [living, sealed] = [summaryOf(1, { gateway: 'alive' }), summaryOf(2, { gateway: 'dead' })];
      await left(living);
      await left(sealed);
      await (await open()).finished(sealed);
      assert.equal((await adopt(['alive'])).adopted, 0);
    });

    it('waits until its gateway has been gone for longer than one goes on without Redis', async () => {
      await left(summaryOf(1, { gateway: 'away' }));
      const { adopted, look, now } = await adopt([], 90_000);
      const after = (ms: number, living: string[] = []) => {
        Object.assign(now, { living, ms: now.ms + ms });
        return look();
      };
      assert.equal(adopted, 0, 'missing for the first time: Redis may have been emptied');
      assert.equal(await after(60_000), 0);
      assert.equal(await after(60_000, ['away']), 0, 'it is back');
      assert.equal(await after(60_000), 0, 'and counted from here again');
      assert.equal(await after(89_000), 0);
      assert.equal(await after(2_000), 1);
    });

    it('goes past what cannot be read, and says so once', async () => {
      const [empty, good] = [summaryOf(1), summaryOf(2)];
      await left(empty);
      await truncate(join(dir, empty.file), 0);
      await left(good);
      const { adopted, look } = await adopt([]);
      assert.equal(adopted, 1);
      await look();
      assert.deepEqual(warned, ['a recording that a gateway left cannot be read']);
    });
  });
});
