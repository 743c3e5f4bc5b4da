/** How far a sink is behind: said once for each threshold, and when it is over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newDir, written } from '../../../test/support/trail.ts';
import { listSegments } from '../files.ts';
import { Behind } from './behind.ts';

const chain = async (dir: string) => new Map([['c', { position: undefined, files: await listSegments(dir) }]]);

function counting(dir: string) {
  const said: string[] = [];
  const say = (level: string) => (details: object) => void said.push(`${level} ${JSON.stringify(details)}`);
  return { said, behind: new Behind({ name: 'siem', dir, log: { info: say('info'), warn: say('warn') } }) };
}

describe('being behind', () => {
  it('is counted in entries, over all files of a chain', async () => {
    const dir = newDir();
    await written(dir, 40, { segmentBytes: 1_000 });
    const { behind } = counting(dir);
    await behind.measure(await chain(dir));
    const files = await listSegments(dir);
    assert.equal(behind.state().entries, 40 + 3 * files.length + 1); // each file's own three, and the end
  });

  it('is said when it lasts a minute, and when it is over', async () => {
    const dir = newDir();
    await written(dir, 1);
    const { said, behind } = counting(dir);
    behind.waiting(Date.now() - 59_000);
    await behind.measure(await chain(dir));
    assert.deepEqual(said, []);
    const late = counting(dir);
    late.behind.waiting(Date.now() - 700_000);
    await late.behind.measure(await chain(dir));
    assert.ok(late.behind.state().seconds >= 700);
    assert.match(late.said.join(), /^warn \{"sink":"siem","entries":5,"seconds":7\d\d\}$/);
    late.behind.caughtUp();
    assert.match(late.said.join(), /info \{"sink":"siem"\}$/);
    assert.deepEqual(late.behind.state(), { entries: 0, seconds: 0 });
    late.behind.caughtUp();
    assert.equal(late.said.length, 2);
  });

  it('is not known of files that are gone, and fails nobody', async () => {
    const { behind } = counting(newDir());
    await behind.measure(new Map([['c', { position: undefined, files: [{ file: 'gone', chain: 'c', segment: 1 }] }]]));
    assert.equal(behind.state().entries, 0);
  });
});
