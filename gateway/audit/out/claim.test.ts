/** Who sends: one of several, another when that one is gone, and none by mistake for long. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { newDir } from '../../../test/support/trail.ts';
import { eventually } from '../../../test/support/workspace.ts';
import { Claim } from './claim.ts';

const timing = { beatMs: 20, staleMs: 600_000 };
const soon = { beatMs: 20, staleMs: 400 };
const GONE = 2 ** 22 + 1; // above the most that Linux gives
const place = () => join(newDir(), 'siem.lease');
const lease = (more: object) => JSON.stringify({ owner: 'other', host: 'elsewhere', pid: 1, beat: 1, ...more });

describe('a claim', () => {
  it('is held by one of several that ask at once', async () => {
    const path = place();
    const claims = Array.from({ length: 8 }, () => new Claim(path, { timing }));
    await Promise.all(claims.map((claim) => claim.tick()));
    assert.equal(claims.filter(({ held }) => held).length, 1);
  });

  it('goes to another one when it is given back', async () => {
    const path = place();
    const [one, other] = [new Claim(path, { timing }), new Claim(path, { timing })];
    await one.tick();
    await other.tick();
    assert.deepEqual([one.held, other.held], [true, false]);
    await one.release();
    await other.tick();
    assert.deepEqual([one.held, other.held], [false, true]);
  });

  it('is taken over at once from a process of this machine that is gone', async () => {
    const path = place();
    await writeFile(path, lease({ host: 'here', pid: GONE }));
    const claim = new Claim(path, { timing: { beatMs: 20, staleMs: 3_600_000 }, host: 'here' });
    await claim.tick();
    assert.equal(claim.held, true);
  });

  it('is taken over at once from whoever had this process’ number before, in a container started again', async () => {
    const path = place();
    await writeFile(path, lease({ host: 'here', pid: process.pid }));
    const claim = new Claim(path, { timing: { beatMs: 20, staleMs: 3_600_000 }, host: 'here' });
    await claim.tick();
    assert.equal(claim.held, true);
  });

  it('is left to a process that lives, and to one of another machine that writes', async () => {
    const path = place();
    await writeFile(path, lease({ host: 'here', pid: process.ppid }));
    const claim = new Claim(path, { timing, host: 'here' });
    await claim.tick();
    assert.equal(claim.held, false);
    const until = performance.now() + 2 * soon.staleMs;
    const eager = new Claim(path, { timing: soon });
    for (let beat = 2; performance.now() < until; beat++) {
      await writeFile(path, lease({ beat, pid: GONE }));
      await eager.tick();
      assert.equal(eager.held, false);
    }
  });

  it('is taken over from one that has stopped writing, by one of several', async () => {
    const path = place();
    await writeFile(path, lease({}));
    const claims = Array.from({ length: 5 }, () => new Claim(path, { timing: soon }));
    const taken = await eventually(async () => {
      await Promise.all(claims.map((claim) => claim.tick()));
      return claims.some(({ held }) => held);
    });
    assert.ok(taken);
    for (let n = 0; n < 20; n++) {
      const steps = async (n: number) => {
        for (let i = 0; i < n; i++) await readFile(path).catch(() => {}); // as long as a step of theirs takes
      };
      await Promise.all(claims.map((claim, i) => steps(i).then(() => claim.tick())));
      assert.ok(claims.filter(({ held }) => held).length <= 1);
    }
  });

  it('is taken by one of several that judge the same lease at once, however they come between each other', async () => {
    for (let round = 0; round < 60; round++) {
      const path = place();
      await writeFile(path, lease({ host: 'here', pid: GONE }));
      const claims = Array.from({ length: 6 }, () => new Claim(path, { timing, host: 'here' }));
      await Promise.all(claims.map((claim) => claim.tick()));
      assert.ok(claims.filter(({ held }) => held).length <= 1);
    }
  });

  it('gives back only what is its own', async () => {
    const path = place();
    const claim = new Claim(path, { timing });
    await claim.tick();
    await writeFile(path, lease({}));
    await claim.release();
    assert.match(await readFile(path, 'utf8'), /other/);
  });

  it('is given up by one that finds another name there', async () => {
    const path = place();
    const claim = new Claim(path, { timing });
    await claim.tick();
    await writeFile(path, lease({}));
    await claim.tick();
    assert.equal(claim.held, false);
    await claim.release();
    assert.match(await readFile(path, 'utf8'), /other/);
  });

  it('is not held by one that could not write for long', async () => {
    const path = place();
    const claim = new Claim(path, { timing: soon });
    await claim.tick();
    assert.ok(await eventually(() => !claim.held));
  });

  it('is nobody’s where the file is damaged and nobody repairs it', async () => {
    const path = place();
    await writeFile(path, '{"owner":');
    const claim = new Claim(path, { timing: soon });
    assert.ok(
      await eventually(async () => {
        await claim.tick();
        return claim.held;
      }),
    );
  });
});
