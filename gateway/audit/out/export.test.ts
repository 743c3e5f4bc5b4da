/** What leaves a trail as a file: everything in time order, nothing that nobody vouches for, nothing that runs anywhere. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { newKeyPair } from '../../../queue/sign.ts';
import { newDir, openTrail, operation, pair, written } from '../../../test/support/trail.ts';
import { runAuditCommand } from '../command.ts';
import type { AuditEntry } from '../entry.ts';
import { listSegments } from '../files.ts';

type Row = Record<string, unknown> & { kind: string; at: string; seq: number; _chain: string };

async function exported(dir: string, ...more: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const key = more.includes('--unverified') || more.includes('--key') ? [] : ['--key', pair.public];
  const args = ['export', dir, ...key, ...more];
  const code = await runAuditCommand(
    args,
    (text) => out.push(text),
    (text) => err.push(text),
  );
  const text = out.map((piece) => `${piece}\n`).join('');
  const rows = () => out.flatMap((piece) => piece.split('\n')).map((line) => JSON.parse(line) as Row);
  return { code, text, rows, err: err.join('\n') };
}

/** A clock that a test sets. */
function clock(start: number) {
  let at = start;
  return {
    now: () => at,
    to: (next: number) => {
      at = next;
    },
  };
}

async function filled(entries: readonly AuditEntry[], dir = newDir()): Promise<string> {
  const trail = await openTrail(dir);
  for (const entry of entries) trail.append(entry);
  await trail.close();
  return dir;
}

const T = Date.UTC(2026, 0, 5, 12);

/** Two processes beside each other, whose entries alternate; the second one's files are small. */
async function twoChains(): Promise<string> {
  const dir = newDir();
  const time = clock(T);
  const one = await openTrail(dir, { gateway: 'gw-a', now: time.now });
  const other = await openTrail(dir, { gateway: 'gw-b', now: time.now, segmentBytes: 1_500 });
  for (let n = 0; n < 30; n++) {
    time.to(T + n * 1_000);
    (n % 2 === 0 ? one : other).append(operation(n, { connection: n % 3 === 0 ? 'orders' : 'billing' }));
  }
  await one.close();
  await other.close();
  return dir;
}

describe('audit export', () => {
  it('writes the entries of several chains in time order, each as it is stored', async () => {
    const dir = await twoChains();
    const { code, rows, err } = await exported(dir);
    assert.equal(code, 0, err);
    const operations = rows().filter(({ kind }) => kind === 'operation');
    assert.deepEqual(
      operations.map((row) => row.operation),
      Array.from({ length: 30 }, (_, n) => `op-${n}`),
    );
    const files = (await listSegments(dir)).map(({ file }) => readFile(join(dir, file), 'utf8'));
    const stored = new Set((await Promise.all(files)).join('').trimEnd().split('\n'));
    const { text } = await exported(dir);
    for (const line of text.trimEnd().split('\n')) {
      assert.ok(stored.delete(line.replace(/,"_chain":"[^"]*"\}$/, '}')), `not in the trail: ${line}`);
    }
    assert.equal(stored.size, 0, 'some were left out');
  });

  it('chooses by time, connection, principal and kind', async () => {
    const dir = await twoChains();
    const ids = async (...args: string[]) =>
      (await exported(dir, '--kind', 'operation', ...args)).rows().map(({ operation: id }) => id);
    const since = new Date(T + 10_000).toISOString();
    const until = new Date(T + 14_000).toISOString();
    assert.deepEqual(await ids('--since', since, '--until', until), ['op-10', 'op-11', 'op-12', 'op-13']);
    assert.deepEqual(await ids('--since', since, '--until', until, '--connection', 'orders'), ['op-12']);
    const recent = await filled([
      { kind: 'hold.open', principal: 'https://idp#bob' },
      { kind: 'hold.vote', principal: 'https://idp#ann' },
      { kind: 'outcome', principal: 'https://idp#bob' },
    ]);
    const kinds = async (...args: string[]) => (await exported(recent, ...args)).rows().map(({ kind }) => kind);
    assert.deepEqual(await kinds('--principal', 'bob', '--since', '1h'), ['hold.open', 'outcome']);
    assert.deepEqual(await kinds('--principal', 'https://idp#ann'), ['hold.vote']);
    assert.deepEqual(await kinds('--kind', 'hold.*', '--kind', 'audit.closed'), [
      'hold.open',
      'hold.vote',
      'audit.closed',
    ]);
    assert.equal((await exported(recent, '--until', '1h')).text, '');
  });

  for (const misuse of [
    ['--format', 'xml'],
    ['--since', 'yesterday'],
    ['--kind', 'operations'],
    ['--unverified', '--key', pair.public],
    ['--key', 'nonsense'],
  ]) {
    it(`exits 2 on: ${misuse.join(' ')}`, async () => assert.equal((await exported(newDir(), ...misuse)).code, 2));
  }

  it('leaves its options to itself: what another command ignored would pass for done', async () => {
    const args = ['verify', newDir(), '--key', pair.public, '--since', '7d'];
    assert.equal(await runAuditCommand(args, () => {}), 2);
  });

  it('asks for a key, unless told to do without', async () => {
    const dir = await filled([operation(1)]);
    assert.equal(await runAuditCommand(['export', dir], () => {}), 2);
    const { code, rows, err } = await exported(dir, '--unverified');
    assert.equal(code, 0);
    assert.ok(rows().every((row) => row._verified === false));
    assert.match(err, /nothing was verified/);
  });

  it('fails where there is no trail', async () => {
    const { code, text } = await exported(newDir());
    assert.deepEqual([code, text], [1, '']);
  });
});

describe('audit export of a trail that does not fit', () => {
  /** A chain whose entry `op-6` was changed, with or without its hash, and one that was begun long after. */
  async function broken(change: (text: string) => string): Promise<string> {
    const dir = newDir();
    const time = clock(T);
    const path = await written(dir, 10, { now: time.now });
    time.to(T + 3_600_000);
    await written(dir, 3, { now: time.now, gateway: 'later' });
    await writeFile(path, change(await readFile(path, 'utf8')));
    return dir;
  }

  it('ends before an altered entry, leaves out what no signature covers and all that is later, and exits 1', async () => {
    const dir = await broken((text) => text.replace('SELECT 6', 'SELECT 7'));
    const { code, rows, err } = await exported(dir);
    assert.equal(code, 1);
    assert.match(err, /DOES NOT FIT: altered at .*:9, entry 9[\s\S]*NOT WHOLE/);
    assert.deepEqual(
      rows().map(({ seq }) => seq),
      [1, 2],
    );
  });

  it('exports up to the last signature before it', async () => {
    const dir = newDir();
    const trail = await openTrail(dir, { headEveryMs: 5 });
    await trail.commit(operation(1));
    const signed = async () =>
      (await exported(dir)).rows().some(({ kind, seq }) => kind === 'audit.checkpoint' && seq > 2);
    for (const end = performance.now() + 10_000; !(await signed()); ) assert.ok(performance.now() < end);
    await trail.commit(operation(2));
    await trail.close();
    const [{ file } = { file: '' }] = await listSegments(dir);
    const path = join(dir, file);
    await writeFile(path, (await readFile(path, 'utf8')).replace('SELECT 2', 'SELECT 3'));
    const { code, rows } = await exported(dir);
    assert.equal(code, 1);
    assert.ok(rows().some((row) => row.operation === 'op-1'));
    assert.ok(!rows().some((row) => row.operation === 'op-2'));
  });

  it('ends where a file is missing, and exports no later one', async () => {
    const dir = newDir();
    await written(dir, 30, { segmentBytes: 1_000 });
    const names = await listSegments(dir);
    await rm(join(dir, names[2]?.file ?? ''));
    const { code, rows, err } = await exported(dir);
    assert.equal(code, 1);
    assert.match(err, /DOES NOT FIT: missing/);
    const segments = new Set(rows().flatMap(({ kind, segment }) => (kind === 'audit.segment' ? [segment] : [])));
    assert.deepEqual([...segments], [1, 2]);
  });

  it('exports nothing of it under a key that is not the audit key', async () => {
    const dir = await filled([operation(1)]);
    const { code, rows } = await exported(dir, '--key', newKeyPair().public);
    assert.equal(code, 1);
    assert.ok(!rows().some(({ kind }) => kind === 'operation'));
  });

  it('takes half a last line for a crash', async () => {
    const dir = await filled([operation(1)]);
    const [{ file } = { file: '' }] = await listSegments(dir);
    const lines = (await readFile(join(dir, file), 'utf8')).trimEnd().split('\n');
    await writeFile(join(dir, file), `${lines.slice(0, 3).join('\n')}\n{"seq":4,"at"`);
    const { code, rows, err } = await exported(dir);
    assert.deepEqual([code, rows().length], [0, 3], err);
    assert.match(err, /torn last line/);
  });

  it('shows all of it when told not to verify, the line that does not fit as it stands', async () => {
    const dir = await broken((text) => text.replace('SELECT 6', 'SELECT 7'));
    const { code, rows } = await exported(dir, '--unverified');
    assert.equal(code, 0);
    assert.equal(rows().filter(({ kind }) => kind === 'operation').length, 12);
    const [odd] = rows().filter(({ _text }) => _text !== undefined);
    assert.match(String(odd?._text), /SELECT 7/);
    assert.equal(odd?._line, 9);
  });

  it('gives a file its name only when it is whole', async () => {
    const to = join(newDir(), 'trail.csv');
    const fine = await exported(await filled([operation(1)]), '--format', 'csv', '--out', to);
    assert.deepEqual([fine.code, fine.text], [0, '']);
    assert.match(await readFile(to, 'utf8'), /op-1/);
    await rm(to);
    const dir = await broken((text) => text.replace('SELECT 6', 'SELECT 7'));
    assert.equal((await exported(dir, '--format', 'csv', '--out', to)).code, 1);
    assert.deepEqual(await readdir(join(to, '..')), ['trail.csv.part']);
  });
});

describe('audit export as CSV', () => {
  const parse = (text: string) => {
    const rows: string[][] = [[]];
    for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
      rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
      if (end !== ',') rows.push([]);
    }
    return rows.slice(0, -1);
  };

  it('has one row an entry and the same columns in each, whatever an entry says', async () => {
    const dir = await filled([
      { kind: 'operation', statement: 'SELECT "a", b', reason: 'one\r\ntwo', more: { deep: [1] } },
      { kind: 'outcome', ms: -12.5 },
    ]);
    const { text } = await exported(dir, '--format', 'csv');
    const rows = parse(text);
    const [head = [], ...entries] = rows;
    assert.equal(entries.length, 6);
    for (const row of entries) assert.equal(row.length, head.length);
    const column = (name: string) => entries[2]?.[head.indexOf(name)];
    assert.equal(column('statement'), 'SELECT "a", b');
    assert.equal(column('reason'), 'one\\u{d}\\u{a}two');
    assert.deepEqual(JSON.parse(column('details') ?? ''), { more: { deep: [1] } });
    assert.equal(column('verified'), 'yes');
    assert.equal(entries[3]?.[head.indexOf('ms')], '-12.5');
  });

  it('is run by no spreadsheet and obeyed by no terminal', async () => {
    const attacks = [
      '=cmd|1',
      '+1',
      '-1',
      '@SUM(A1)',
      '\t=1',
      '\r=1',
      '\uff1d1',
      ' =1',
      '|cmd',
      '%1',
      '\u001b[31m',
      '\u202eevil',
      'a\u0000b',
    ];
    const dir = await filled(attacks.map((statement) => ({ kind: 'operation', statement })));
    const { text } = await exported(dir, '--format', 'csv');
    const [head = [], ...rows] = parse(text);
    const shown = rows.map((row) => row[head.indexOf('statement')] ?? '').filter((cell) => cell !== '');
    assert.equal(shown.length, attacks.length);
    for (const cell of shown) assert.doesNotMatch(cell, /^\s*[=+\-@|%\uff1d]/);
    assert.doesNotMatch(text.replaceAll('\r\n', ''), /[\p{Cc}\p{Bidi_Control}]/u);
  });
});
