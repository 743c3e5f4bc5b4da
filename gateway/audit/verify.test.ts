/** The trail after a crash and after tampering: what was committed is there, and every change shows. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { newKeyPair, signingKey } from '../../queue/sign.ts';
import { keys, newDir, openTrail, operation, pair, written } from '../../test/support/trail.ts';
import { Chain } from './chain.ts';
import { runAuditCommand } from './command.ts';
import { listSegments, type SegmentName } from './files.ts';
import { renderMembers } from './render.ts';
import { verifyDir } from './verify.ts';

/** Change the only file of a closed trail and say what verification finds. */
async function tampered(change: (lines: string[]) => string[]) {
  const dir = newDir();
  const path = await written(dir, 10);
  const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
  await writeFile(path, `${change(lines).join('\n')}\n`);
  return (await verifyDir(dir, { keys })).misfit;
}

describe('audit verify', () => {
  const cases: [name: string, what: string, change: (lines: string[]) => string[]][] = [
    ['a changed byte', 'altered', (l) => l.with(4, (l[4] ?? '').replace('SELECT', 'SELECt'))],
    ['a changed time', 'altered', (l) => l.with(4, (l[4] ?? '').replace(/"at":"\d/, '"at":"1'))],
    [
      'a changed hash',
      'altered',
      (l) =>
        l.with(
          4,
          (l[4] ?? '').replace(/.(?="\}$)/, (last) => (last === '0' ? '1' : '0')),
        ),
    ],
    ['a member added behind the hash', 'altered', (l) => l.with(4, (l[4] ?? '').replace(/\}$/, ',"x":1}'))],
    ['a line that is no JSON', 'altered', (l) => l.with(4, 'nonsense')],
    ['an empty line', 'altered', (l) => l.toSpliced(4, 0, '')],
    ['a cut in the middle', 'missing', (l) => l.toSpliced(4, 2)],
    ['two lines exchanged', 'reordered', (l) => l.with(4, l[5] ?? '').with(5, l[4] ?? '')],
    ['a line repeated', 'reordered', (l) => l.toSpliced(4, 0, l[3] ?? '')],
    ['a line behind the seal', 'altered', (l) => [...l, l.at(-1) ?? '']],
    ['a cut at the beginning', 'swapped', (l) => l.slice(1)],
  ];
  for (const [name, what, change] of cases) {
    it(`names ${name} as ${what}`, async () => assert.equal((await tampered(change))?.what, what));
  }

  it('finds a line rewritten together with its own hash, by the one that follows it', async () => {
    const misfit = await tampered((lines) => lines.with(4, rehash((lines[4] ?? '').replace('SELECT', 'SELECt'))));
    assert.deepEqual([misfit?.what, misfit?.line, misfit?.seq], ['altered', 6, 6]);
  });

  it('finds a whole tail rewritten consistently, by the seal', async () => {
    const misfit = await tampered((lines) => {
      const out = lines.slice(0, 4);
      for (const line of lines.slice(4)) out.push(rehash(line.replace('SELECT', 'SELECt'), out.at(-1)));
      return out;
    });
    assert.equal(misfit?.what, 'seal wrong');
  });

  it('finds a seal by another key', async () => {
    const dir = newDir();
    await written(dir, 3, { key: signingKey(newKeyPair().secret) });
    assert.equal((await verifyDir(dir, { keys })).misfit?.what, 'seal wrong');
  });

  it('finds a cut tail by the successor, by a card’s head, and counts it as unsigned otherwise', async () => {
    const cut = async (path: string) => {
      const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -4); // what ends it, and the last operation
      await writeFile(path, `${lines.join('\n')}\n`);
    };
    const dir = newDir();
    const trail = await openTrail(dir);
    for (let n = 0; n < 5; n++) await trail.commit(operation(n));
    const head = trail.head();
    await trail.close();
    const [{ file }] = (await listSegments(dir)) as [SegmentName];
    await cut(join(dir, file));
    const alone = await verifyDir(dir, { keys });
    assert.deepEqual([alone.ok, alone.sealed, alone.unsigned > 0], [true, 0, true]);
    const withHead = await verifyDir(dir, { keys, heads: [{ seq: head.seq, hash: head.hash.slice(0, 12) }] });
    assert.equal(withHead.misfit?.what, 'truncated tail');

    const two = newDir();
    const first = await written(two, 5);
    await written(two, 1);
    await cut(first);
    assert.equal((await verifyDir(two, { keys })).misfit?.what, 'truncated tail');
  });

  it('finds a segment missing, cut or exchanged between its neighbours', async () => {
    const segmented = async () => {
      const dir = newDir();
      await written(dir, 40, { segmentBytes: 2_000 });
      return { dir, files: (await listSegments(dir)).map(({ file }) => join(dir, file)) as [string, string, string] };
    };
    const gone = await segmented();
    await rm(gone.files[1]);
    assert.equal((await verifyDir(gone.dir, { keys })).misfit?.what, 'missing');

    const cut = await segmented();
    const lines = (await readFile(cut.files[1], 'utf8')).split('\n');
    await writeFile(cut.files[1], `${lines.slice(0, 3).join('\n')}\n`);
    assert.equal((await verifyDir(cut.dir, { keys })).misfit?.what, 'truncated tail');

    const swapped = await segmented();
    await rename(swapped.files[0], `${swapped.files[0]}.x`);
    await rename(swapped.files[1], swapped.files[0]);
    await rename(`${swapped.files[0]}.x`, swapped.files[1]);
    assert.equal((await verifyDir(swapped.dir, { keys })).misfit?.what, 'swapped');

    const emptied = await segmented();
    await writeFile(emptied.files[1], '');
    assert.equal((await verifyDir(emptied.dir, { keys })).misfit?.what, 'truncated tail');
  });

  it('tells the half line of a crash from a cut, before and after a restart', async () => {
    const dir = newDir();
    const path = await crashed(dir);
    const handle = await open(path, 'a');
    await handle.write('{"seq":99,"at":"2026-'); // what a power cut leaves of a line
    await handle.close();
    const before = await verifyDir(dir, { keys });
    assert.deepEqual([before.ok, before.torn.length, before.torn[0]?.bytes], [true, 1, 21]);
    await written(dir, 2);
    const later = await verifyDir(dir, { keys });
    assert.deepEqual([later.ok, later.torn.length], [true, 1]);
    const content = await readFile(path, 'utf8');
    await writeFile(path, `${content.slice(0, -1)}7`); // as long as before
    assert.equal((await verifyDir(dir, { keys })).misfit?.what, 'altered');
    await writeFile(path, content.slice(0, -5));
    assert.equal((await verifyDir(dir, { keys })).misfit?.what, 'altered');
    await writeFile(path, content.slice(0, content.lastIndexOf('\n') - 30));
    assert.equal((await verifyDir(dir, { keys })).misfit?.what, 'truncated tail');
  });

  it('loses nothing committed to kill -9', async () => {
    const dir = newDir();
    const commits: number[] = [];
    const path = await crashed(dir, commits);
    assert.ok(commits.length >= 50);
    const content = await readFile(path, 'utf8');
    for (const n of commits) assert.ok(content.includes(`"op-${n}"`), `op-${n} was committed`);
    const report = await verifyDir(dir, { keys });
    assert.equal(report.misfit, undefined);
    await written(dir, 1);
    assert.equal((await verifyDir(dir, { keys })).misfit, undefined);
  });
});

describe('the audit command', () => {
  const run = async (...args: string[]) => {
    const lines: string[] = [];
    const code = await runAuditCommand(args, (line) => lines.push(line));
    return { code, text: lines.join('\n') };
  };

  it('verifies, names what does not fit, and shows one session with controls escaped', async () => {
    const dir = newDir();
    const trail = await openTrail(dir);
    for (let n = 0; n < 4; n++) await trail.commit(operation(n, { shown: `SELECT '\u001b[2J\u202e${n}'` }));
    const head = trail.head();
    await trail.close();
    const good = await run('verify', dir, '--key', pair.public, '--head', `${head.seq}:${head.hash.slice(0, 12)}`);
    assert.equal(good.code, 0, good.text);
    assert.match(good.text, /8 entries in 1 segments, 1 of them sealed\neverything fits/);
    const bad = await run('verify', dir, '--key', pair.public, '--head', `${head.seq}:${'0'.repeat(12)}`);
    assert.equal(bad.code, 1);
    assert.match(bad.text, /truncated tail/);
    const shown = await run('show', dir, '--session', 's-1');
    assert.equal(shown.code, 0);
    assert.equal(shown.text.split('\n').length, 2);
    assert.ok(
      !shown.text.includes('\u001b') && !shown.text.includes('\u202e') && shown.text.includes('\\u{202e}'),
      shown.text,
    );
  });

  it('says how it is used when misused, and fails on an empty or absent directory', async () => {
    assert.equal((await run('--help')).code, 0);
    for (const args of [
      [],
      ['verify'],
      ['verify', '/tmp'],
      ['verify', '/tmp', '--key', 'x'],
      ['frob', '/tmp'],
      ['show', '/tmp', '--frob'],
    ]) {
      assert.equal((await run(...args)).code, 2, args.join(' '));
    }
    assert.equal((await run('verify', newDir(), '--key', pair.public)).code, 1);
    assert.equal((await run('show', '/nonexistent')).code, 1);
  });
});

/** The line with its hash (and, after another, its place) made right again, as a careful forger would. */
function rehash(line: string, previous?: string): string {
  const { seq, at, prev, hash: _, ...fields } = JSON.parse(line);
  const link = previous ? JSON.parse(previous) : { seq: seq - 1, hash: prev };
  return new Chain(link).add(at, renderMembers(fields)).toString().trimEnd();
}

/** A trail whose process was killed in the middle of writing; what it was told to be committed goes into `commits`. */
async function crashed(dir: string, commits: number[] = []): Promise<string> {
  const script = `
    import { openAudit } from './gateway/audit/writer.ts';
    import { signingKey } from './queue/sign.ts';
    const trail = await openAudit({ dir: process.env.DIR, key: signingKey(process.env.KEY), gateway: 'gw-crash', minFreeBytes: 0 });
    for (let n = 0; ; n++) { await trail.commit({ kind: 'operation', operation: 'op-' + n }); console.log(n); }`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    env: { ...process.env, DIR: dir, KEY: pair.secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    commits.push(Number(line));
    if (commits.length === 50) child.kill('SIGKILL');
  }
  await ended;
  const [segment] = await listSegments(dir);
  return join(dir, segment?.file ?? assert.fail('the child wrote nothing'));
}
