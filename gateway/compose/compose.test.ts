/** What main is put together from: watching a file, missing Redis, taking up a certificate. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectCommands, connected } from '../../queue/connection.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { GatewayError } from '../errors.ts';
import { Secret } from '../secrets.ts';
import { secureContext } from './certificate.ts';
import { watchRedis } from './presence.ts';
import { watchContent } from './watch.ts';

describe('a watched file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-watch-'));
  after(() => rmSync(dir, { recursive: true }));

  /** A watch on a fresh file, and the wait for its next report. */
  const watched = (name: string) => {
    const path = join(dir, name);
    writeFileSync(path, 'one');
    return { path, ...reports(path) };
  };
  const reports = (path: string) => {
    const texts: string[] = [];
    let heard = () => {};
    const watch = watchContent(path, 'one', () => {
      texts.push(readFileSync(path, 'utf8'));
      heard();
    });
    const next = () =>
      new Promise<void>((resolve) => {
        heard = resolve;
      });
    return { watch, next, texts, calls: () => texts.length };
  };

  it('reports new content written in place', async () => {
    const { path, watch, next } = watched('in-place');
    const reported = next();
    await writeFile(path, 'two');
    await reported;
    watch.close();
  });

  it('reports a file put in its place, again and again', async () => {
    const { path, watch, next } = watched('replaced');
    for (const text of ['two', 'three', 'four']) {
      const reported = next();
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
      await reported;
    }
    watch.close();
  });

  it('reports a symbolic link that points elsewhere, as a mounted volume does it', async () => {
    writeFileSync(join(dir, 'v1'), 'one');
    writeFileSync(join(dir, 'v2'), 'two');
    const path = join(dir, 'link');
    symlinkSync('v1', path);
    const { watch, next } = reports(path);
    const reported = next();
    await symlink('v2', `${path}.new`);
    await rename(`${path}.new`, path);
    await reported;
    watch.close();
  });

  it('reports once what is written in two steps, and never the half of it', async () => {
    const { path, watch, next, texts } = watched('two-steps');
    const reported = next();
    writeFileSync(path, '');
    await new Promise((resolve) => setTimeout(resolve, 250)); // later than the first look, earlier than the second
    writeFileSync(path, 'two');
    await reported;
    const again = next();
    await writeFile(path, 'three');
    await again;
    assert.deepEqual(texts, ['two', 'three']);
    watch.close();
  });

  it('says nothing when the content is the same, or the file is gone', async () => {
    const { path, watch, next, calls } = watched('same');
    const other = watched('other');
    await writeFile(path, 'one');
    await rm(path);
    // Both watches hear of everything in the directory: once the other has reported, this one has looked too.
    for (const text of ['two', 'three']) {
      const reported = other.next();
      await writeFile(other.path, text);
      await reported;
    }
    assert.equal(calls(), 0);
    const reported = next();
    await writeFile(path, 'back, and different');
    await reported;
    watch.close();
    other.watch.close();
  });
});

describe('Redis', () => {
  let server: TestRedis;
  let redis: Redis;
  before(async () => {
    server = await startRedis();
    redis = connectCommands(server.url, () => {});
    await connected(redis, 5_000);
  });
  after(async () => {
    redis.disconnect();
    await server.stop();
  });

  it('may be missing for the grace, then it is over, until it is back', async () => {
    const heard: string[] = [];
    const waiting = new Map<string, () => void>();
    const hear = (event: string) => () => {
      heard.push(event);
      waiting.get(event)?.();
    };
    const next = (event: string) => new Promise<void>((resolve) => waiting.set(event, resolve));
    const presence = watchRedis(redis, () => 1_500, {
      onMissing: hear('missing'),
      onOver: hear('over'),
      onBack: hear('back'),
    });
    const [missing, over, back] = [next('missing'), next('over'), next('back')];
    await server.kill();
    await missing;
    assert.equal(presence.over(), false);
    await over;
    assert.ok((presence.missingFor() ?? 0) >= 1_500);
    assert.equal(presence.over(), true);
    await server.start();
    await back;
    assert.equal(presence.over(), false);
    assert.equal(presence.missingFor(), undefined);
    assert.deepEqual(heard, ['missing', 'over', 'back']);
    presence.stop();
  });
});

describe('the certificate', () => {
  it('is refused with its key’s path, and without a word of the key', () => {
    const tls = { cert: '-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----', key: new Secret('canary') };
    assert.throws(
      () => secureContext(tls),
      (error: unknown) =>
        error instanceof GatewayError &&
        error.code === 'CONFIG' &&
        /^tls: /.test(error.message) &&
        !/canary/.test(error.message),
    );
    assert.equal(secureContext(undefined), undefined);
  });
});
