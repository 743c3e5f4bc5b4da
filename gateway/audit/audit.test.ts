/** The trail under full, slow and failing disks: what was promised to be on disk is, or nothing passes. */
import assert from 'node:assert/strict';
import { open, readdir, readFile, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { keys, newDir, openTrail, operation, written } from '../../test/support/trail.ts';
import { GatewayError } from '../errors.ts';
import { Disk } from './disk.ts';
import { listSegments, type SegmentName } from './files.ts';
import { verifyDir } from './verify.ts';

const isAudit = (error: unknown) => error instanceof GatewayError && error.code === 'AUDIT';

describe('the audit writer', () => {
  it('has a committed entry on disk when commit resolves, and an appended one within milliseconds', async () => {
    const dir = newDir();
    const trail = await openTrail(dir);
    await trail.commit(operation(1));
    const [{ file }] = (await listSegments(dir)) as [SegmentName];
    const content = () => readFile(join(dir, file), 'utf8');
    assert.match(await content(), /op-1/);
    trail.append(operation(2));
    const deadline = performance.now() + 2_000;
    while (!(await content()).includes('op-2')) assert.ok(performance.now() < deadline, 'never written');
    await trail.close();
    const report = await verifyDir(dir, { keys });
    assert.deepEqual([report.ok, report.entries, report.sealed, report.unsigned], [true, 6, 1, 0]);
  });

  it('serves everyone who waits with one fsync', async () => {
    let syncs = 0;
    const trail = await openTrail(newDir(), {
      open: async (path) => {
        const handle = await open(path, 'ax');
        const datasync = handle.datasync.bind(handle);
        handle.datasync = () => {
          syncs++;
          return datasync();
        };
        return handle;
      },
    });
    const before = syncs;
    await Promise.all(Array.from({ length: 500 }, (_, n) => trail.commit(operation(n))));
    assert.ok(syncs - before <= 2, `${syncs - before} fsyncs for 500 commits`);
    await trail.close();
  });

  it('tells what it wrote of an entry, in bytes that stay as they are', async () => {
    const dir = newDir();
    const told: Buffer[] = [];
    const trail = await openTrail(dir, { segmentBytes: 100_000, onEntry: (_entry, members) => told.push(members) });
    for (let n = 0; n < 600; n++) trail.append({ kind: 'outcome', operation: `op-${n}`, reason: 'ü🙂'.repeat(n) });
    await trail.close();
    const lines = await Promise.all((await listSegments(dir)).map(({ file }) => readFile(join(dir, file), 'utf8')));
    const own = lines.flatMap((text) => text.split('\n')).filter((line) => line.includes('"kind":"outcome"'));
    assert.equal(own.length, 600);
    own.forEach((line, n) => {
      const { seq: _seq, at: _at, prev: _prev, hash: _hash, ...members } = JSON.parse(line);
      assert.deepEqual(JSON.parse(`{${told[n]}}`), members);
    });
  });

  it('masks every text on the way in, keys and depths included, and keeps identifiers', async () => {
    const dir = newDir();
    const trail = await openTrail(dir);
    const card = '4111111111111111';
    await trail.commit({
      kind: 'operation',
      principal: 'https://idp.example#ann@example.com',
      session: 'cst_abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq',
      shown: `pay ${card}`,
      nested: { list: [`ann@example.com`], [card]: { reason: `token ${card}` } },
      seq: 'mine',
      hash: 'mine',
    });
    await trail.close();
    const [{ file }] = (await listSegments(dir)) as [SegmentName];
    const content = await readFile(join(dir, file), 'utf8');
    assert.ok(!content.includes(card) && !content.includes('cst_abc'), content);
    assert.ok(content.includes('#ann@example.com') && !content.includes('["ann@'), content);
    assert.ok((await verifyDir(dir, { keys })).ok);
  });

  it('refuses both append and commit for good after a write error, and says why', async () => {
    const errors: string[] = [];
    const log = { error: (_: object, message: string) => void errors.push(message), warn: () => {} };
    let full = false;
    const dir = newDir();
    const trail = await openTrail(dir, {
      log,
      segmentBytes: 1,
      open: (path) => open(full ? '/dev/full' : path, full ? 'a' : 'ax'),
    });
    full = true; // the next segment meets ENOSPC
    await assert.rejects(trail.commit(operation(1)), isAudit);
    assert.throws(() => trail.append(operation(2)), isAudit);
    assert.throws(() => trail.append({ kind: 'outcome' }), isAudit);
    await assert.rejects(trail.commit(operation(3)), isAudit);
    assert.match(trail.trouble() ?? '', /ENOSPC/);
    assert.equal(errors.length, 1);
    await trail.close();
  });

  it('refuses beginnings below the watermark, records ends, and recovers', async () => {
    let free = 1_000;
    const trail = await openTrail(newDir(), { minFreeBytes: 500, freeBytes: async () => free });
    free = 400;
    const deadline = performance.now() + 5_000;
    while (!trail.trouble()) {
      assert.ok(performance.now() < deadline);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.throws(() => trail.append(operation(1)), isAudit);
    await assert.rejects(trail.commit({ kind: 'hold.released' }), isAudit);
    await trail.commit({ kind: 'outcome', operation: 'op-0' });
    free = 1_000;
    while (trail.trouble()) {
      assert.ok(performance.now() < deadline);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await trail.commit(operation(2));
    await trail.close();
  });

  it('counts a disk that cannot be asked as full', async () => {
    const trail = await openTrail(newDir(), { minFreeBytes: 1, freeBytes: () => Promise.reject(new Error('EIO')) });
    assert.throws(() => trail.append(operation(1)), isAudit);
    await trail.close();
  });

  it('goes on with what need not be on disk while an fsync is slow; a commit waits for its own, but not for ever', async () => {
    const gate = newGate();
    let slow = false;
    const dir = newDir();
    const trail = await openTrail(dir, {
      maxLagBytes: 10_000,
      commitMs: 50,
      segmentBytes: 20_000,
      open: async (path) => {
        const handle = await open(path, 'ax');
        const datasync = handle.datasync.bind(handle);
        handle.datasync = async () => {
          if (slow) await gate.promise;
          return datasync();
        };
        return handle;
      },
    });
    slow = true;
    await assert.rejects(trail.commit(operation(1)), isAudit);
    const [{ file }] = (await listSegments(dir)) as [SegmentName];
    for (let n = 2; n < 40; n++) {
      trail.append(operation(n));
      const deadline = performance.now() + 5_000;
      while (!(await readFile(join(dir, file), 'utf8')).includes(`op-${n}"`)) assert.ok(performance.now() < deadline);
    }
    assert.equal(trail.trouble(), undefined);
    await assert.rejects(trail.commit(operation(40)), isAudit);
    for (let n = 41; n < 90; n++) trail.append({ kind: 'outcome', operation: `op-${n}` }); // into the next file
    slow = false;
    gate.open();
    await trail.close();
    assert.equal((await verifyDir(dir, { keys })).ok, true);
  });

  it('refuses while the disk takes nothing, in size and in time, and a commit does not wait for ever', async () => {
    const gate = newGate();
    let slow = false;
    const trail = await openTrail(newDir(), {
      maxLagBytes: 10_000,
      commitMs: 50,
      open: async (path) => {
        const handle = await open(path, 'ax');
        const write = handle.write.bind(handle) as (bytes: Buffer, at: number, length: number) => Promise<unknown>;
        handle.write = (async (bytes: Buffer, at: number, length: number) => {
          if (slow) await gate.promise;
          return write(bytes, at, length);
        }) as typeof handle.write;
        return handle;
      },
    });
    slow = true;
    await assert.rejects(trail.commit(operation(1)), isAudit);
    assert.throws(() => {
      for (let n = 0; n < 100; n++) trail.append(operation(n));
    }, /lags behind/);
    trail.append({ kind: 'outcome' }); // ends have more room
    slow = false;
    gate.open();
    const deadline = performance.now() + 10_000;
    while (trail.trouble()) {
      assert.ok(performance.now() < deadline);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    trail.append(operation(2));
    await trail.close();
  });

  it('refuses when the disk has taken nothing for a while, and not when the process itself stood still', async () => {
    const gate = newGate();
    let slow = false;
    const trail = await openTrail(newDir(), {
      open: async (path) => {
        const handle = await open(path, 'ax');
        const write = handle.write.bind(handle) as (bytes: Buffer, at: number, length: number) => Promise<unknown>;
        handle.write = (async (bytes: Buffer, at: number, length: number) => {
          if (slow) await gate.promise;
          return write(bytes, at, length);
        }) as typeof handle.write;
        return handle;
      },
    });
    for (let n = 0; n < 3; n++) {
      trail.append(operation(n));
      for (const until = performance.now() + 1_500; performance.now() < until; ); // no core, or a long turn
      trail.append(operation(10 + n));
      await new Promise((resolve) => setImmediate(resolve));
    }
    slow = true;
    trail.append(operation(20));
    const from = performance.now();
    while (trail.trouble() !== 'the audit trail lags behind') {
      assert.ok(performance.now() - from < 10_000, 'a disk that hangs is not noticed');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(performance.now() - from > 900);
    slow = false;
    gate.open();
    await trail.close();
  });

  it('writes all that lies there at once, also where the kernel takes only a part of it', async () => {
    const dir = newDir();
    let writes = 0;
    const disk = new Disk({
      onFailure: () => {},
      open: async (path) => {
        const handle = await open(path, 'ax');
        const write = handle.write.bind(handle) as (bytes: Buffer, at: number, length: number) => Promise<unknown>;
        handle.write = ((bytes: Buffer, at: number, length: number) => {
          writes++;
          return write(bytes, at, length);
        }) as typeof handle.write;
        const writev = handle.writev.bind(handle);
        handle.writev = (async (all: readonly Buffer[]) => {
          writes++;
          return await writev(
            all.length < 20 ? all : [...all.slice(0, 20), all[20]?.subarray(0, 10) ?? Buffer.alloc(0)],
          );
        }) as unknown as typeof handle.writev;
        return handle;
      },
    });
    disk.file(join(dir, 'one'));
    disk.push(Buffer.from('first'));
    await disk.settled();
    const stretches = Array.from({ length: 25 }, (_, n) => Buffer.alloc(100_000, `${n} `));
    for (const stretch of stretches) disk.push(stretch);
    await disk.settled();
    assert.ok(writes <= 1 + 1 + 5, `${writes} writes`);
    assert.deepEqual(await readFile(join(dir, 'one')), Buffer.concat([Buffer.from('first'), ...stretches]));
    await disk.close();
  });

  it('goes on where somebody looks after its file in the moment in which that is full and closed', async () => {
    const closing = newGate();
    const closed = newGate();
    const failures: Error[] = [];
    const disk = new Disk({
      onFailure: (error) => failures.push(error),
      open: async (path) => {
        const handle = await open(path, 'ax');
        const close = handle.close.bind(handle);
        handle.close = async () => {
          await close();
          closing.open();
          await closed.promise;
        };
        return handle;
      },
    });
    const dir = newDir();
    disk.file(join(dir, 'one'));
    disk.push(Buffer.from('one'));
    await disk.settled();
    disk.file(join(dir, 'two'));
    disk.push(Buffer.from('two'));
    const settled = disk.settled();
    await closing.promise;
    await disk.checkPlace();
    closed.open();
    await settled;
    assert.deepEqual(failures, []);
    assert.equal(await readFile(join(dir, 'two'), 'utf8'), 'two');
    await disk.close();
  });

  it('notices that its file was deleted under it', async () => {
    const dir = newDir();
    const trail = await openTrail(dir);
    for (const file of await readdir(dir)) await rm(join(dir, file));
    const deadline = performance.now() + 5_000;
    while (!trail.trouble()) {
      assert.ok(performance.now() < deadline);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.throws(() => trail.append(operation(1)), isAudit);
    await trail.close();
  });

  it('cannot be opened where nothing can be written', async () => {
    await assert.rejects(openTrail('/proc/countersign'), isAudit);
  });

  it('seals a segment that is full, goes on in the next, and publishes signed heads', async () => {
    const dir = newDir();
    const heads: { seq: number; hash: string }[] = [];
    const sealed: string[] = [];
    const trail = await openTrail(dir, {
      segmentBytes: 2_000,
      headEveryMs: 20,
      publishHead: (head) => void heads.push(head),
      onSeal: ({ file }) => sealed.push(file),
    });
    for (let n = 0; n < 40; n++) await trail.commit(operation(n));
    const deadline = performance.now() + 5_000;
    while (heads.length === 0) {
      assert.ok(performance.now() < deadline);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await trail.close();
    const report = await verifyDir(dir, { keys, heads });
    assert.equal(report.misfit, undefined);
    assert.ok(report.segments > 3 && report.sealed === report.segments && sealed.length === report.segments);
    assert.deepEqual(heads.at(-1)?.hash, trail.head().hash);
  });

  it('ties a new chain to the last entry of the one before, whatever the clock says', async () => {
    const dir = newDir();
    await written(dir, 3);
    await written(dir, 3, { now: () => Date.UTC(2001, 1, 1) });
    const segments = await listSegments(dir);
    assert.equal(segments.length, 2);
    const report = await verifyDir(dir, { keys });
    assert.deepEqual([report.ok, report.entries, report.sealed], [true, 14, 2]);
    await rm(join(dir, segments[0]?.file ?? ''));
    const { misfit } = await verifyDir(dir, { keys });
    assert.deepEqual([misfit?.what, misfit?.file], ['missing', segments[0]?.file]);
  });

  it('removes what is older than retention allows and records it, so that the rest still verifies', async () => {
    const dir = newDir();
    const old = await written(dir, 3);
    await utimes(old, 1_000_000, 1_000_000);
    await written(dir, 3, { retentionMs: 86_400_000 });
    assert.equal((await listSegments(dir)).length, 1);
    assert.equal((await verifyDir(dir, { keys })).misfit, undefined);
  });

  it('does not remove the file of another process that has had nothing to write for longer than that', async () => {
    const dir = newDir();
    const idle = await openTrail(dir, { gateway: 'idle' });
    const [{ file }] = (await listSegments(dir)) as [SegmentName];
    await utimes(join(dir, file), 1_000_000, 1_000_000);
    await idle.expire(); // as it does every hour
    const other = await openTrail(dir, { gateway: 'other', retentionMs: 86_400_000 });
    assert.ok((await listSegments(dir)).some((segment) => segment.file === file));
    await idle.commit(operation(1));
    await other.close();
    await idle.close();
    assert.equal((await verifyDir(dir, { keys })).misfit, undefined);
  });
});

function newGate() {
  let open = () => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}
