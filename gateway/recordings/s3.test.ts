import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { contentOf, fileAt, store, storeOf } from '../../test/support/kept.ts';
import { startS3, type TestS3 } from '../../test/support/s3.ts';
import { Secret } from '../secrets.ts';

const PART = 64 << 10; // of tests: the server here asks for no least

describe('recordings in S3', () => {
  let s3: TestS3;
  let dir: string;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'countersign-s3-'));
    s3 = await startS3();
  });
  beforeEach(() => {
    s3.fault = () => undefined;
    s3.checksums = true;
    s3.requests.length = 0;
    s3.objects.clear();
  });
  after(async () => {
    await s3.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const written = (bytes: Buffer) => {
    const path = join(dir, randomBytes(6).toString('hex'));
    writeFileSync(path, bytes);
    return { path, content: contentOf(bytes) };
  };
  const whole = async (chunks: AsyncIterable<Buffer>) => {
    const all: Buffer[] = [];
    for await (const chunk of chunks) all.push(chunk);
    return Buffer.concat(all);
  };

  it('puts a file in one piece or in parts, reads it back, and sends nothing twice', async () => {
    const kept = storeOf(s3, { partBytes: PART });
    for (const size of [0, 1_000, PART, PART * 3 + 17]) {
      const bytes = randomBytes(size);
      const { path, content } = written(bytes);
      const { file } = fileAt(Date.UTC(2026, 10, 23));
      await kept.put(file, path, content);
      assert.ok((await whole(kept.read(file))).equals(bytes), `${size} bytes come back`);
      s3.requests.length = 0;
      await kept.put(file, path, content);
      assert.deepEqual(
        s3.requests.filter((request) => /^(PUT|POST)/.test(request)),
        [],
        'it was there already',
      );
    }
    assert.equal(s3.uploads.size, 0);
  });

  it('reads back what a store without checksums says that it took', async () => {
    s3.checksums = false;
    const { path, content } = written(randomBytes(PART * 2 + 1));
    const { file } = fileAt();
    await storeOf(s3, { partBytes: PART }).put(file, path, content);
    assert.ok(s3.requests.some((request) => request.startsWith('GET') && request.includes(file)));
  });

  it('overwrites nothing: another object at its place is said, and stays', async () => {
    const { path, content } = written(randomBytes(500));
    const { file } = fileAt();
    const kept = storeOf(s3);
    await kept.put(file, path, content);
    const other = written(randomBytes(500));
    await assert.rejects(kept.put(file, other.path, other.content), { code: 'RECORDING', message: /another object/ });
    assert.equal(contentOf(await whole(kept.read(file))).sha256, content.sha256);
  });

  it('stores nothing of a file that is not what was sealed, nor what a link leads to', async () => {
    const kept = storeOf(s3, { partBytes: PART });
    for (const size of [100, PART * 2]) {
      const { path } = written(randomBytes(size));
      const { file } = fileAt();
      await assert.rejects(kept.put(file, path, contentOf(randomBytes(size))), { code: 'RECORDING' });
      await assert.rejects(kept.put(file, path, { ...contentOf(randomBytes(size)), bytes: size + 1 }), {
        code: 'RECORDING',
      });
    }
    const { path, content } = written(randomBytes(100));
    symlinkSync(path, `${path}.link`);
    await assert.rejects(kept.put(fileAt().file, `${path}.link`, content), /ELOOP/);
    assert.equal(s3.objects.size, 0);
    assert.equal(s3.uploads.size, 0, 'parts of it are not left behind');
  });

  it('takes no key that is no place of a recording', async () => {
    const { path, content } = written(randomBytes(10));
    const kept = storeOf(s3);
    for (const key of [
      '../x',
      '2026/11/23/../../x.jsonl',
      `${fileAt().file}.txt`,
      `/${fileAt().file}`,
      `${fileAt().file}\n`,
      '',
    ]) {
      await assert.rejects(kept.put(key, path, content), { code: 'RECORDING' }, key);
      await assert.rejects(kept.remove(key), { code: 'RECORDING' }, key);
      await assert.rejects(kept.putText(key, 'x'), { code: 'RECORDING' }, key);
    }
    assert.deepEqual(s3.requests, []);
  });

  it('lists oldest first over many pages, and nothing that is no recording', async () => {
    const kept = storeOf(s3);
    const files = Array.from({ length: 230 }, (_, at) => fileAt(Date.UTC(2026, 8, 1) + at * 7_200_000).file);
    for (const file of [...files].reverse()) await kept.putText(file, 'x');
    const stranger = [...s3.objects.values()][0] ?? assert.fail();
    s3.objects.set('recordings/readme.txt', stranger);
    s3.objects.set(`elsewhere/${files[0]}`, stranger);
    const keys: string[] = [];
    for await (const { key } of kept.list()) keys.push(key);
    assert.deepEqual(keys, files);
  });

  it('lets go of no object that is locked', async () => {
    const { file } = fileAt();
    const kept = storeOf(s3, { objectLockMs: 86_400_000, partBytes: PART });
    await kept.putText(file, 'evidence');
    const large = written(randomBytes(PART * 2));
    const other = fileAt().file;
    await kept.put(other, large.path, large.content);
    assert.deepEqual([await kept.locked(file), await kept.locked(other)], [true, true]);
    await assert.rejects(kept.remove(other), { code: 'UNAVAILABLE' });
    assert.equal(s3.objects.size, 2);
    assert.equal(await kept.locked(fileAt().file), false);
  });

  it('says what is wrong with its configuration, and what to do', async () => {
    const { file } = fileAt();
    const said = (options: object, message: RegExp) =>
      assert.rejects(storeOf(s3, options).putText(file, 'x'), { code: 'UNAVAILABLE', message });
    await said(
      { accessKey: new Secret('AKIAOTHER') },
      /does not know the access key: check recordings.store.s3.access_key/,
    );
    await said({ secretKey: new Secret('wrong') }, /check recordings.store.s3.secret_key/);
    await said({ bucket: 'nobodys' }, /no such bucket: create it/);
    await said({ endpoint: 'http://127.0.0.1:1' }, /ECONNREFUSED/);
    assert.equal(s3.objects.size, 0);
  });

  it('tries a request again that the store failed or cut off, and gives up on one that hangs', async () => {
    const kept = storeOf(s3, { partBytes: PART, answerMs: 20_000 });
    const bytes = randomBytes(PART * 3);
    const { path, content } = written(bytes);
    let failures = 0;
    s3.fault = (request) => {
      if (!request.includes('partNumber=2') || failures >= 2) return undefined;
      return failures++ === 0 ? 500 : { cut: 1_000 };
    };
    const { file } = fileAt();
    await kept.put(file, path, content);
    assert.equal(failures, 2);
    assert.ok((await whole(kept.read(file))).equals(bytes));
    s3.fault = () => 'hang';
    await assert.rejects(storeOf(s3, { answerMs: 300 }).putText(file, 'x'), /did not answer in time/);
  });

  const outside = store; // another server than ours, where one is named
  const against = outside === undefined ? undefined : it;
  against?.('works with the store that the product would be given', async () => {
    const kept = storeOf(outside ?? assert.fail(), { partBytes: 5 << 20 });
    const { path, content } = written(randomBytes(11 << 20));
    const { file } = fileAt();
    await kept.put(file, path, content);
    assert.equal(contentOf(await whole(kept.read(file))).sha256, content.sha256);
    await kept.remove(file);
    await assert.rejects(whole(kept.read(file)), { code: 'RECORDING' });
  });
});
