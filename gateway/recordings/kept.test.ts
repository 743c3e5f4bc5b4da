/** Recordings in their store: found again after Redis forgot, kept while somebody holds them, removed when they may go. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { stringify } from 'yaml';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { becomes, place, s3Options, storeOf, summaryOf } from '../../test/support/kept.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { S3_KEYS, startS3, type TestS3 } from '../../test/support/s3.ts';
import { TrailOfTest } from '../../test/support/trail-of-test.ts';
import type { AuditEntry } from '../audit/entry.ts';
import { listSegments, readSegment } from '../audit/files.ts';
import { runHold } from '../commands/legal-hold.ts';
import { SignedStore } from '../state/signed.ts';
import { LegalHolds } from './legal-holds.ts';
import { LocalStore } from './local.ts';
import type { SessionSummary } from './shape.ts';
import { createShelf, type Shelf, type ShelfOptions } from './shelf.ts';

const DAY = 86_400_000;
const NOW = Date.now();
const NOT_YET = 'not yet'; // without a text of its own, assert.ok looks for one in the source, each time
const all = () => true;

describe('recordings in their store', () => {
  let redis: TestRedis;
  let connection: Redis;
  let s3: TestS3;
  let store: SignedStore;
  let trail: TrailOfTest;
  const dirs: string[] = [];
  const shelves: Shelf[] = [];
  const warnings: string[] = [];
  const pair = newKeyPair();
  const own = signingKey(pair.secret);
  const trusted = () => [verifyingKey(own.public)];

  before(async () => {
    redis = await startRedis();
    s3 = await startS3();
    connection = new Redis(redis.url, { maxRetriesPerRequest: 0 });
    connection.on('error', () => {});
    store = new SignedStore(connection, { own, trusted });
  });
  beforeEach(async () => {
    await connection.flushall();
    s3.objects.clear();
    s3.fault = () => undefined;
    trail = new TrailOfTest();
    warnings.length = 0;
  });
  afterEach(async () => {
    await Promise.all(shelves.splice(0).map((shelf) => shelf.stop()));
    for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
  });
  after(async () => {
    connection.disconnect();
    await redis.stop();
    await s3.stop();
  });

  const newDir = async () => {
    const dir = await mkdtemp(join(tmpdir(), 'countersign-kept-'));
    dirs.push(dir);
    return dir;
  };
  const open = async (options: Partial<ShelfOptions> = {}): Promise<Shelf> => {
    const log = { info: () => {}, error: () => {}, warn: (_: object, message: string) => void warnings.push(message) };
    const shelf = await createShelf({
      dir: await newDir(),
      s3: s3Options(s3),
      gateway: 'gw-1',
      store,
      alive: async () => ['gw-1', 'gw-2'],
      audit: trail,
      log,
      times: { lookMs: 30, buryMs: 50, backoffMs: [20, 50] },
      ...options,
    });
    shelves.push(shelf);
    await shelf.start();
    return shelf;
  };
  /** Recorded on `shelf`, so many days ago, and gone to the store. */
  const recorded = async (shelf: Shelf, dir: string, days: number, more: Partial<SessionSummary> = {}) => {
    const bytes = randomBytes(1_000);
    const startedAt = NOW - days * DAY;
    const summary = summaryOf(bytes, { startedAt, endedAt: startedAt + 1_000, ...more });
    await place(dir, summary, bytes);
    await shelf.finished(summary);
    return summary;
  };
  const inStore = () => [...s3.objects.keys()].filter((key) => /\.jsonl$/.test(key)).sort();
  const keyOf = ({ file }: SessionSummary) => `recordings/${file}`;
  const left = (...those: SessionSummary[]) => assert.deepEqual(inStore(), those.map(keyOf).sort());
  const removed = () => trail.of('recording.removed').map(({ session }) => session);

  it('goes to the store when it is complete, and is read from there by every gateway', async () => {
    const dir = await newDir();
    const [one, other] = [await open({ dir }), await open({ gateway: 'gw-2' })];
    const summary = await recorded(one, dir, 0);
    await becomes(() => assert.ok(!existsSync(join(dir, `${summary.file}.summary.json`)), NOT_YET));
    await becomes(() => assert.ok(other.find(summary.session), NOT_YET));
    for (const shelf of [one, other]) {
      let bytes = 0;
      for await (const chunk of shelf.open(summary)) bytes += chunk.length;
      assert.equal(bytes, 1_000);
    }
    const where = one.waiting();
    assert.equal(where?.waiting, 0);
  });

  it('is found again where Redis and the directory know nothing, and nothing is that no gateway signed', async () => {
    const dir = await newDir();
    const one = await open({ dir });
    const those: SessionSummary[] = [];
    for (let n = 0; n < 60; n++) those.push(await recorded(one, dir, n));
    await becomes(() => left(...those));
    await becomes(() => assert.equal([...s3.objects.keys()].length, 120));
    await one.stop();
    await connection.flushall();
    const [forged, swapped] = [those[3] ?? assert.fail(), those[4] ?? assert.fail()];
    const s3Store = storeOf(s3);
    await s3Store.putText(`${forged.file}.summary.json`, JSON.stringify({ ...forged, sponsor: 'U666' }));
    const elsewhere = s3.objects.get(`${keyOf(those[5] ?? assert.fail())}.summary.json`)?.body.toString() ?? '';
    await s3Store.putText(`${swapped.file}.summary.json`, elsewhere);
    const again = await open();
    await becomes(() => assert.equal(again.search({ limit: 200 }, all).sessions.length, 58));
    await becomes(() => assert.equal(warnings.filter((it) => it === 'a summary in the store was ignored').length, 2));
    assert.deepEqual([again.find(forged.session), again.find(swapped.session)], [undefined, undefined]);
    assert.equal(again.trouble(), undefined);
  });

  it('says that the store cannot be read, and finds what it has once it can', async () => {
    const dir = await newDir();
    const summary = await recorded(await open({ dir }), dir, 0);
    await becomes(() => left(summary));
    await becomes(() => assert.ok(s3.objects.has(`${keyOf(summary)}.summary.json`), NOT_YET));
    await connection.flushall();
    s3.fault = () => 500;
    const again = await open({ gateway: 'gw-2' });
    await becomes(() => assert.match(again.trouble() ?? '', /the store/));
    s3.fault = () => undefined;
    await becomes(() => assert.ok(again.find(summary.session), NOT_YET));
    await becomes(() => assert.equal(again.trouble(), undefined));
  });

  it('removes what is old enough, on record before it goes, and every gateway forgets it', async () => {
    const dir = await newDir();
    const shelf = await open({ dir, retentionMs: 30 * DAY });
    const other = await open({ gateway: 'gw-2' });
    const old = await recorded(shelf, dir, 40);
    const long = await recorded(shelf, dir, 40, { endedAt: NOW - 2 * DAY });
    const young = await recorded(shelf, dir, 2);
    await becomes(() => assert.equal(s3.objects.size, 6));
    await becomes(() => assert.ok(other.find(old.session), NOT_YET));
    let there: boolean | undefined;
    trail.beforeCommit = async ({ kind }) => {
      if (kind === 'recording.removed') there = s3.objects.has(keyOf(old));
    };
    await shelf.sweep();
    left(long, young);
    assert.deepEqual([removed(), there], [[old.session], true]);
    assert.equal(shelf.find(old.session), undefined);
    await becomes(() => assert.equal(other.find(old.session), undefined));
    assert.ok(other.find(young.session));
  });

  it('removes nothing that cannot be put on record, and nothing while Redis is away', async () => {
    const dir = await newDir();
    const shelf = await open({ dir, retentionMs: DAY });
    const old = await recorded(shelf, dir, 40);
    await becomes(() => assert.equal(s3.objects.size, 2));
    trail.fails = ({ kind }) => kind === 'recording.removed';
    await shelf.sweep();
    left(old);
    trail.fails = () => false;
    await redis.kill();
    await shelf.sweep();
    left(old);
    assert.ok(warnings.includes('retention stands still'));
    await redis.start();
    await becomes(() => assert.equal(connection.status, 'ready'));
    await connection.flushall();
    await shelf.sweep();
    left();
  });

  it('removes the oldest while all together are too large, and what is locked or on hold stays', async () => {
    const dir = await newDir();
    const shelf = await open({ dir, maxBytes: 5_500 });
    const those: SessionSummary[] = [];
    for (const days of [5, 4, 3, 2, 1]) those.push(await recorded(shelf, dir, days));
    const [oldest = assert.fail(), second = assert.fail(), third = assert.fail(), ...rest] = those;
    await becomes(() => assert.equal(s3.objects.size, 10));
    const kept = s3.objects.get(keyOf(second)) ?? assert.fail();
    s3.objects.set(keyOf(second), { ...kept, lockedUntil: new Date(Date.now() + DAY).toISOString() });
    await new LegalHolds(store).hold(holdOf(oldest), []);
    await shelf.sweep();
    left(oldest, second, ...rest.slice(-1));
    assert.deepEqual(removed(), [third.session, rest[0]?.session]);
  });

  for (const [where, forget] of [
    ['Redis was emptied', () => connection.flushall()],
    [
      'its mark was taken away',
      async () =>
        void [...s3.objects.keys()].filter((key) => key.endsWith('.hold.json')).map((key) => s3.objects.delete(key)),
    ],
    [
      'what Redis has of it is not signed',
      async () => connection.set([...(await connection.keys('countersign:legal-hold:*'))][0] ?? assert.fail(), '{}'),
    ],
  ] as const) {
    it(`keeps what is on legal hold though ${where}, until it is released`, async () => {
      const dir = await newDir();
      const shelf = await open({ dir, retentionMs: DAY, maxBytes: 1 });
      const [held, free] = [await recorded(shelf, dir, 40), await recorded(shelf, dir, 41)];
      await becomes(() => assert.equal(s3.objects.size, 4));
      const holds = new LegalHolds(store);
      await holds.hold(holdOf(held), [storeOf(s3)]);
      await forget();
      await shelf.sweep();
      left(held);
      assert.deepEqual(removed(), [free.session]);
      await holds.release(held.session, held.file, [storeOf(s3)]);
      await shelf.sweep();
      left();
    });
  }

  it('is put on hold and released by command, each on record with the reason', async () => {
    const [dir, audit] = [await newDir(), await newDir()];
    const shelf = await open({ dir, retentionMs: DAY });
    const old = await recorded(shelf, dir, 40);
    await becomes(() => assert.equal(s3.objects.size, 2));
    const config = join(audit, 'countersign.yaml');
    process.env.KEPT_KEY = pair.secret;
    process.env.KEPT_ACCESS = S3_KEYS.access;
    process.env.KEPT_SECRET = S3_KEYS.secret;
    const written = configOf({ dir, audit, redis: redis.url, endpoint: s3.endpoint });
    writeFileSync(config, stringify(written));
    const said: string[] = [];
    const run = (what: 'hold' | 'unhold', session = old.session) =>
      runHold(what, [session, 'case 4711', '--config', config], { out: (line) => said.push(line), err: () => {} });
    assert.equal(await run('hold'), 0);
    await shelf.sweep();
    left(old);
    assert.ok(s3.objects.has(`${keyOf(old)}.hold.json`), 'the mark lies beside it');
    assert.equal(await run('unhold'), 0);
    await shelf.sweep();
    left();
    await assert.rejects(run('hold'), { code: 'RECORDING', message: /no recording of session/ });
    const { entries } = await trailIn(audit);
    const on = entries.filter(({ kind }) => kind === 'recording.held');
    assert.deepEqual(
      on.map(({ session, held, why }) => ({ session, held, why })),
      [true, false].map((held) => ({ session: old.session, held, why: 'case 4711' })),
    );
    assert.equal(said.length, 2);
  });

  it('removes from a directory as well, never what is being recorded, nor through a link', async () => {
    const [dir, outside] = [await newDir(), await newDir()];
    const shelf = await open({ dir, s3: undefined, retentionMs: DAY, maxBytes: 1 });
    const [old, marked, live] = [
      await recorded(shelf, dir, 40),
      await recorded(shelf, dir, 41),
      summaryOf(randomBytes(10), { startedAt: NOW - 42 * DAY }),
    ];
    await place(dir, live, randomBytes(10));
    const others = await open({ dir: outside, s3: undefined, gateway: 'gw-2' });
    await recorded(others, outside, 50);
    await symlink(join(outside, new Date(NOW - 50 * DAY).toISOString().slice(0, 4)), join(dir, '1999'));
    await new LocalStore(dir).putText(`${marked.file}.hold.json`, '{}');
    await Promise.all([shelf.sweep(), shelf.sweep()]);
    assert.deepEqual(removed(), [old.session]);
    assert.ok(!existsSync(join(dir, old.file)) && !existsSync(join(dir, `${old.file}.summary.json`)));
    assert.ok(existsSync(join(dir, live.file)) && existsSync(join(dir, marked.file)));
  });

  it('calls a session lost once its gateway is gone, and live no longer', async () => {
    let alive = ['gw-1', 'gw-9'];
    const shelf = await open({ alive: async () => alive });
    const { endedAt, sha256, ...going } = summaryOf(randomBytes(10), { gateway: 'gw-9' });
    shelf.live([going]);
    const live = () => shelf.search({ live: true }, all).sessions.map(({ session }) => session);
    assert.deepEqual(live(), [going.session]);
    alive = ['gw-1'];
    await becomes(() => assert.deepEqual(live(), []));
    assert.equal(shelf.find(going.session)?.lost, true);
    await shelf.finished({ ...going, sha256: sha256 ?? '' });
    assert.equal(shelf.find(going.session)?.lost, true, 'also when it was sealed for it');
    assert.equal(shelf.search({}, all).sessions.length, 1);
    assert.ok(endedAt);
  });
});

const holdOf = ({ session, file }: SessionSummary) =>
  ({ v: 1, session, file, why: 'case 4711', by: 'cli:ana', at: NOW }) as const;

/** As little of a configuration as there can be. */
const configOf = ({ dir, audit, redis, endpoint }: Record<'dir' | 'audit' | 'redis' | 'endpoint', string>) => {
  const key = `\${env:KEPT_KEY}`;
  const upstream = { host: '127.0.0.1', database: 'd', user: 'u', password: key, tls: 'disable' };
  const [access_key, secret_key] = [`\${env:KEPT_ACCESS}`, `\${env:KEPT_SECRET}`];
  return {
    listen: { postgres: '127.0.0.1:0' },
    state: { redis },
    keys: { own: key },
    audit: { dir: audit, key },
    recordings: { dir, store: { s3: { endpoint, bucket: 'evidence', prefix: 'recordings/', access_key, secret_key } } },
    identity: { issuers: [{ issuer: 'http://127.0.0.1:1', audience: 'countersign' }] },
    approvals: { channel: 'C0MAIN', approvers: ['@dba'] },
    connections: [{ name: 'orders', protocol: 'postgres', environment: 'test', upstream }],
  };
};

async function trailIn(dir: string) {
  const entries: AuditEntry[] = [];
  for (const { file } of await listSegments(dir)) {
    for await (const read of readSegment(join(dir, file)))
      if (read.kind === 'line') entries.push(read.line.entry as AuditEntry);
  }
  return { entries };
}
