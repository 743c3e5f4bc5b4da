/** Several chains in one directory, as the processes of one gateway write them: each is whole, and each end is named. */
import assert from 'node:assert/strict';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { keys, newDir, openTrail, operation } from '../../test/support/trail.ts';
import { endsBeside, listSegments, segmentFile } from './files.ts';
import { verifyDir } from './verify.ts';

/** Two processes that wrote at the same time, one of which was killed, and the one that came in its place. */
async function three() {
  const dir = newDir();
  const [one, other] = await Promise.all([openTrail(dir, { gateway: 'gw-a' }), openTrail(dir, { gateway: 'gw-b' })]);
  for (let n = 0; n < 5; n++) for (const trail of [one, other]) trail.append(operation(n));
  await Promise.all([one.flush(), other.flush()]);
  const next = await openTrail(dir, { gateway: 'gw-c' });
  next.append({ kind: 'audit.beside', ends: await endsBeside(dir, 'gw-c') });
  other.append(operation(6));
  await Promise.all([other.close(), next.close()]);
  const files = (await listSegments(dir)).map(({ file }) => file);
  const of = (gateway: string) => join(dir, files.find((file) => file.includes(gateway)) ?? '');
  return { dir, killed: of('gw-a'), went: of('gw-b') };
}

describe('chains beside each other', () => {
  it('verify together, one of a killed process too', async () => {
    const { dir } = await three();
    const report = await verifyDir(dir, { keys });
    assert.equal(report.misfit, undefined);
    assert.deepEqual([report.segments, report.sealed], [3, 2]);
  });

  it('show a cut tail of any of them', async () => {
    const { dir, killed } = await three();
    const lines = (await readFile(killed, 'utf8')).split('\n');
    await writeFile(killed, `${lines.slice(0, -2).join('\n')}\n`);
    const { misfit } = await verifyDir(dir, { keys });
    assert.deepEqual([misfit?.what, killed.endsWith(misfit?.file ?? '?')], ['truncated tail', true]);
  });

  it('show that one of them is gone, or was emptied', async () => {
    const gone = await three();
    await rm(gone.killed);
    assert.equal((await verifyDir(gone.dir, { keys })).misfit?.what, 'missing');
    const emptied = await three();
    await truncate(emptied.killed);
    assert.equal((await verifyDir(emptied.dir, { keys })).misfit?.what, 'truncated tail');
  });

  it('take an empty file that nobody names for a crash between its creation and its first line', async () => {
    const { dir } = await three();
    await writeFile(join(dir, segmentFile('20200101T000000000Z-gw-z', 1)), '');
    const { misfit, torn } = await verifyDir(dir, { keys });
    assert.deepEqual([misfit, torn.length], [undefined, 1]);
  });
});
