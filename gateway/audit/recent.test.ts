/** Looking back over a trail: all of it where it is small, its newest part where it is not, and honest about the rest. */
import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { newDir, openTrail, operation, written } from '../../test/support/trail.ts';
import { listSegments } from './files.ts';
import { recentLines } from './recent.ts';

const never = new AbortController().signal;
async function read(dir: string, options: { since?: number; mostBytes?: number; signal?: AbortSignal } = {}) {
  const recent = recentLines(dir, { since: 0, mostBytes: 1 << 30, signal: never, ...options });
  const operations: unknown[] = [];
  for await (const { entry } of recent.lines) if (entry.kind === 'operation') operations.push(entry.operation);
  return { operations, skipped: recent.skipped(), misfits: recent.misfits(), ended: recent.ended() };
}

describe('the newest part of a trail', () => {
  it('is all of it, over every chain of the directory in order', async () => {
    const dir = newDir();
    await written(dir, 30);
    const second = await openTrail(dir, { gateway: 'gw-other' });
    second.append(operation(99));
    await second.close();
    const { operations, ...rest } = await read(dir);
    assert.deepEqual(operations, [...Array.from({ length: 30 }, (_, n) => `op-${n}`), 'op-99']);
    assert.deepEqual(rest, { skipped: 0, misfits: 0, ended: true });
  });

  it('begins in the midst of a file where that is too long, and says how much it left out', async () => {
    const dir = newDir();
    await written(dir, 200);
    const { operations, skipped, misfits, ended } = await read(dir, { mostBytes: 20_000 });
    assert.ok(skipped > 0 && operations.length > 10 && operations.length < 200, `${operations.length}`);
    assert.deepEqual(operations, Array.from({ length: 200 }, (_, n) => `op-${n}`).slice(-operations.length));
    assert.deepEqual([misfits, ended], [0, true]);
  });

  it('counts lines that do not fit, leaves out what is older, and ends when it is told to', async () => {
    const dir = newDir();
    await written(dir, 5);
    const [{ file } = assert.fail('no segment')] = await listSegments(dir);
    await appendFile(join(dir, file), '{"kind":"operation"}\n');
    assert.equal((await read(dir)).misfits, 1);
    assert.deepEqual((await read(dir, { since: Date.now() + 60_000 })).operations, []);
    const told = await read(dir, { signal: AbortSignal.abort() });
    assert.deepEqual([told.operations.length, told.ended], [0, false]);
  });
});
