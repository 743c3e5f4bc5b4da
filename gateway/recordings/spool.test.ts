/** Complete recordings on their way to the store: whatever fails on the way, each arrives once and whole. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { becomes, contentOf, place, s3Options, storeOf, summaryOf } from '../../test/support/kept.ts';
import { freePort } from '../../test/support/ports.ts';
import { startS3, type TestS3 } from '../../test/support/s3.ts';
import { Secret } from '../secrets.ts';
import type { S3Options } from './s3.ts';
import type { SessionSummary } from './shape.ts';
import { Spool, type SpoolOptions } from './spool.ts';

const PART = 64 << 10;
const NOT_YET = 'not yet'; // without a text of its own, assert.ok looks for one in the source, each time

describe('a spool', () => {
  let s3: TestS3;
  let dir: string;
  const ends: (() => Promise<unknown>)[] = [];
  const corrupt: string[] = [];
  before(async () => {
    s3 = await startS3();
  });
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-spool-'));
    s3.fault = () => undefined;
    s3.objects.clear();
    s3.requests.length = 0;
    corrupt.length = 0;
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    await rm(dir, { recursive: true, force: true });
  });
  after(() => s3.stop());

  const start = (options: Partial<S3Options & SpoolOptions> = {}, at: Pick<TestS3, 'endpoint'> = s3): Spool => {
    const store = storeOf(at, { partBytes: PART, ...options });
    const spool = new Spool({
      dir,
      store,
      sealed: JSON.stringify,
      mayTake: async () => true,
      onCorrupt: ({ file }) => corrupt.push(file),
      log: { warn: () => {}, info: () => {} },
      backoffMs: [20, 50],
      ...options,
    });
    ends.push(async () => {
      store.close();
      await spool.stop();
    });
    spool.start();
    return spool;
  };
  const finished = async (bytes: Buffer, more: Partial<SessionSummary> = {}): Promise<SessionSummary> => {
    const summary = summaryOf(bytes, more);
    await place(dir, summary, bytes);
    await writeFile(join(dir, `${summary.file}.summary.json`), JSON.stringify(summary));
    return summary;
  };
  const kept = ({ file }: SessionSummary) => s3.objects.get(`recordings/${file}`)?.body;
  const files = async () => (await readdir(dir, { recursive: true })).filter((name) => name.includes('.jsonl'));
  const arrived = async (summary: SessionSummary) => {
    await becomes(async () => assert.deepEqual(await files(), []));
    assert.equal(contentOf(kept(summary) ?? assert.fail('nothing arrived')).sha256, summary.sha256);
    const of = [...s3.objects.keys()].filter((key) => key.includes(summary.session));
    assert.deepEqual(of.sort(), [`recordings/${summary.file}`, `recordings/${summary.file}.summary.json`]);
    assert.equal(s3.uploads.size, 0);
  };

  it('takes along what it finds and what it is offered, and says what waits and since when', async () => {
    s3.fault = () => 503;
    const first = await finished(randomBytes(5_000), { startedAt: 1_700_000_000_000, endedAt: 1_700_000_001_000 });
    const spool = start();
    await becomes(() => assert.equal(spool.state().trouble !== undefined, true));
    const { waiting, bytes, since } = spool.state();
    assert.deepEqual({ waiting, bytes, since }, { waiting: 1, bytes: 5_000, since: 1_700_000_001_000 });
    assert.ok(existsSync(join(dir, first.file)));
    s3.fault = () => undefined;
    await arrived(first);
    const second = await finished(randomBytes(PART * 2));
    spool.offer(second);
    await arrived(second);
    await becomes(() => assert.equal(spool.state().waiting, 0));
    assert.equal(spool.state().trouble, undefined);
  });

  it('waits for a store that is not there yet', async () => {
    const port = await freePort();
    const summary = await finished(randomBytes(300));
    const spool = start({}, { endpoint: `http://127.0.0.1:${port}` });
    await becomes(() => assert.match(spool.state().trouble ?? '', /ECONNREFUSED/));
    const late = await startS3(port);
    try {
      await becomes(async () => assert.deepEqual(await files(), []));
      assert.ok(late.objects.has(`recordings/${summary.file}`));
    } finally {
      await late.stop();
    }
  });

  it('goes on after a kill -9 in mid-upload: the parts are given up, the recording arrives once', async () => {
    const summary = await finished(randomBytes(PART * 4));
    let hung = false;
    s3.fault = (request) => {
      if (!request.includes('partNumber=3')) return undefined;
      hung = true;
      return 'hang';
    };
    const { accessKey, secretKey, ...options } = s3Options(s3);
    const at = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
    const code = `
      const { S3Store } = await import(${at('./s3.ts')});
      const { Spool } = await import(${at('./spool.ts')});
      const { Secret } = await import(${at('../secrets.ts')});
      const keys = { accessKey: new Secret('${accessKey.reveal()}'), secretKey: new Secret('${secretKey.reveal()}') };
      const store = new S3Store({ ...${JSON.stringify(options)}, ...keys, partBytes: ${PART} });
      const log = { warn() {}, info() {} };
      new Spool({ dir: ${JSON.stringify(dir)}, store, sealed: JSON.stringify, mayTake: async () => true, onCorrupt() {}, log }).start();
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], { stdio: 'ignore' });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    await becomes(() => assert.ok(hung, NOT_YET));
    child.kill('SIGKILL');
    await gone;
    assert.equal(s3.uploads.size, 1, 'it had begun');
    assert.equal(kept(summary), undefined, 'what is not whole is not there');
    s3.fault = () => undefined;
    start();
    await arrived(summary);
  });

  it('goes on from every point at which it could have ended', async () => {
    const uploaded = await finished(randomBytes(1_000));
    const removed = await finished(randomBytes(1_000));
    for (const { file, bytes, sha256 = '' } of [uploaded, removed]) {
      await storeOf(s3).put(file, join(dir, file), { bytes, sha256 });
    }
    await rm(join(dir, removed.file));
    s3.requests.length = 0;
    start();
    await arrived(uploaded);
    await arrived(removed);
    assert.deepEqual(
      s3.requests.filter((request) => /^PUT .*\.jsonl\?/.test(request)),
      [],
      'nothing was sent again',
    );
  });

  it('sends nothing that is not as it was sealed, says so once, and leaves it where it is', async () => {
    const altered = await finished(randomBytes(1_000));
    await appendFile(join(dir, altered.file), 'x');
    const good = await finished(randomBytes(1_000));
    const spool = start();
    await becomes(() => assert.ok(kept(good), NOT_YET));
    await becomes(() => assert.equal(spool.state().waiting, 0));
    spool.offer(altered);
    assert.deepEqual(corrupt, [altered.file]);
    assert.equal(spool.state().corrupt, 1);
    assert.ok(existsSync(join(dir, altered.file)));
    assert.ok(![...s3.objects.keys()].some((key) => key.includes(altered.session)));
  });

  it('keeps saying so where a recording is neither here nor in the store, and sends the others', async () => {
    const missing = await finished(randomBytes(100));
    await rm(join(dir, missing.file));
    const good = await finished(randomBytes(100));
    const spool = start();
    await becomes(() => assert.ok(kept(good), NOT_YET));
    await becomes(() => assert.match(spool.state().trouble ?? '', /ENOENT/));
    assert.deepEqual(await files(), [`${missing.file}.summary.json`]);
  });

  it('lets go of nothing while its credentials are wrong', async () => {
    const summary = await finished(randomBytes(100));
    const spool = start({ secretKey: new Secret('wrong') });
    await becomes(() => assert.match(spool.state().trouble ?? '', /credentials|secret_key/));
    assert.equal((await files()).length, 2);
    assert.equal(kept(summary), undefined);
  });

  it('leaves alone what another living gateway recorded', async () => {
    const others = await finished(randomBytes(100), { gateway: 'gw-2' });
    const own = await finished(randomBytes(100));
    const spool = start({ mayTake: async ({ gateway }) => gateway === 'gw-1' });
    await becomes(() => assert.ok(kept(own), NOT_YET));
    await becomes(() => assert.equal(spool.state().waiting, 0));
    assert.equal(kept(others), undefined);
    assert.ok(existsSync(join(dir, others.file)));
  });
});
