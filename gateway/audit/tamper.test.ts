/** Somebody who can write to the evidence and has no audit key: what they make up, take away or scramble shows. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { Chain, GENESIS } from './chain.ts';
import { runAuditCommand } from './command.ts';
import { listSegments } from './files.ts';
import { renderMembers } from './render.ts';
import { verifyDir } from './verify.ts';
import { openAudit } from './writer.ts';

const pair = newKeyPair();
const keys = [verifyingKey(pair.public)];
const dirs: string[] = [];
after(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

/** A trail of some files, ended in order. */
async function trailOf(gateway: string, secret = pair.secret): Promise<{ dir: string; files: string[] }> {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-audit-'));
  dirs.push(dir);
  const trail = await openAudit({ dir, key: signingKey(secret), gateway, minFreeBytes: 0, segmentBytes: 2_000 });
  for (let n = 0; n < 20; n++) await trail.commit({ kind: 'operation', operation: `op-${n}`, shown: `SELECT ${n}` });
  await trail.close();
  return { dir, files: (await listSegments(dir)).map(({ file }) => join(dir, file)) };
}
const verified = async (dir: string) => (await verifyDir(dir, { keys })).misfit;

describe('without the audit key', () => {
  it('no trail can be made up, however well its lines fit together', async () => {
    const { dir, files } = await trailOf('gw-a');
    const [first = ''] = files;
    const lines = (await readFile(first, 'utf8')).split('\n').slice(0, -1);
    for (const file of files) await rm(file);
    const chain = new Chain(GENESIS);
    let made = '';
    for (const line of lines) {
      const { seq: _, at, prev: _p, hash: _h, ...fields } = JSON.parse(line);
      if (fields.kind === 'audit.checkpoint' || fields.kind === 'audit.sealed') continue;
      made += chain.add(at, renderMembers({ ...fields, ...(fields.shown ? { shown: 'SELECT 1' } : {}) })).toString();
    }
    await writeFile(first, made);
    const misfit = await verified(dir);
    assert.deepEqual([misfit?.what, misfit?.line], ['seal wrong', 2]);
    const other = await trailOf('gw-a', newKeyPair().secret);
    assert.equal((await verified(other.dir))?.what, 'seal wrong');
  });

  it('the newest file cannot be taken away', async () => {
    const { dir, files } = await trailOf('gw-a');
    await rm(files.at(-1) ?? '');
    const misfit = await verified(dir);
    assert.deepEqual([misfit?.what, misfit?.file], ['missing', basename(files.at(-1) ?? '')]);
  });

  it('files cannot be exchanged between gateways, under their own names or each other’s', async () => {
    const [a, b] = [await trailOf('gw-a'), await trailOf('gw-b')];
    const [target = '', source = ''] = [a.files[1], b.files[1]];
    await rename(target, `${target}.away`);
    await copyFile(source, target);
    const renamed = await verified(a.dir);
    assert.deepEqual([renamed?.what, renamed?.file], ['swapped', basename(target)]);
    await rm(target);
    await copyFile(source, join(a.dir, basename(source)));
    assert.equal((await verified(a.dir))?.what, 'missing');
    await rename(`${target}.away`, target);
    const stray = await verified(a.dir);
    assert.deepEqual([stray?.what, stray?.file], ['missing', basename(b.files[0] ?? '')]);
  });

  it('an older copy of the whole directory is told by a head that a card carries', async () => {
    const { dir, files } = await trailOf('gw-a');
    const older = `${dir}/older`;
    await mkdir(older);
    for (const file of files) await copyFile(file, join(older, basename(file)));
    const trail = await openAudit({ dir, key: signingKey(pair.secret), gateway: 'gw-a', minFreeBytes: 0 });
    await trail.commit({ kind: 'hold.settled', state: 'approved' });
    const heads = [{ seq: trail.head().seq, hash: trail.head().hash.slice(0, 12) }];
    await trail.close();
    assert.equal((await verifyDir(dir, { keys, heads })).misfit, undefined);
    assert.equal((await verifyDir(older, { keys, heads })).misfit?.what, 'truncated tail');
  });

  it('nothing scrambled passes or makes the verifier fall over', async () => {
    const { dir, files } = await trailOf('gw-a');
    let state = 20_251;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const scrambles: ((bytes: Buffer) => Buffer)[] = [
      (bytes) => bytes.fill(random(256), random(bytes.length), bytes.length),
      (bytes) => Buffer.from(bytes.map((byte, at) => (at === flipped ? byte ^ (1 << random(8)) : byte))),
      (bytes) => bytes.subarray(0, random(bytes.length)),
      (bytes) => bytes.subarray(random(bytes.length)),
      (bytes) => Buffer.concat([bytes, Buffer.from(Array.from({ length: 1 + random(300) }, () => random(256)))]),
      (bytes) =>
        Buffer.concat([bytes.subarray(0, random(bytes.length)), Buffer.from('{"seq":1,"__proto__":[[[['), bytes]),
      () => Buffer.from('\u0000'.repeat(random(5_000))),
      () => Buffer.from('[['.repeat(5_000)),
    ];
    let flipped = 0;
    for (let round = 0; round < 120; round++) {
      const at = random(files.length);
      const path = files[at] ?? '';
      const good = await readFile(path);
      flipped = random(good.length);
      const bad = scrambles[round % scrambles.length]?.(Buffer.from(good)) ?? good;
      await writeFile(path, bad);
      if (!bad.equals(good)) {
        const report = await verifyDir(dir, { keys });
        // Half a last line of the newest file is what a crash leaves; it is told, and only a head can tell more.
        const looksCrashed =
          at === files.length - 1 && (report.torn.length > 0 || report.unsigned > 0 || report.sealed < files.length);
        assert.ok(!report.ok || looksCrashed, `round ${round}: ${basename(path)}`);
        await runAuditCommand(['show', dir], () => {});
      }
      await writeFile(path, good);
    }
    assert.equal(await verified(dir), undefined);
  });
});
