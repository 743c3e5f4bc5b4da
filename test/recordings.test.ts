/** Recordings of real psql sessions: what the client saw is there, nothing it did not see, and what a crash leaves. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { wrappingKey } from '../gateway/recordings/keys.ts';
import { readRecording } from '../gateway/recordings/read.ts';
import { PEOPLE } from './support/demo-config.ts';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, Workspace } from './support/workspace.ts';
import { startWorld, type World } from './support/world.ts';
import { trailOf } from './support/world-trail.ts';

type Line = Record<string, unknown> & { kind: string };

describe('the recording of a psql session', { timeout: 180_000 }, () => {
  let dir: string;
  let world: World;
  let slack: Workspace;
  const key = randomBytes(32).toString('base64');

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-recordings-'));
    world = await startWorld({
      config: (config) => ({
        ...config,
        recordings: { dir: join(dir, 'kept'), key: `\${env:RECORDINGS_KEY}`, results: '4KB' },
      }),
      env: { RECORDINGS_KEY: key },
    });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const files = async (): Promise<string[]> => {
    const all = await readdir(join(dir, 'kept'), { recursive: true, withFileTypes: true });
    const recordings = all.filter((entry) => entry.isFile() && /\.jsonl\.enc$/.test(entry.name));
    return recordings.map(({ parentPath, name }) => join(parentPath, name));
  };
  const linesOf = async (path: string): Promise<Line[]> => {
    const lines: Line[] = [];
    for await (const line of readRecording(createReadStream(path), { keys: [wrappingKey(key)] })) {
      lines.push(line as Line);
    }
    return lines;
  };
  /** The recording whose session asked for this, once it is complete. */
  const recordingOf = async (statement: string): Promise<Line[]> => {
    const found = await eventually(async () => {
      for (const path of await files()) {
        const lines = await linesOf(path);
        const asked = lines.some((line) => line.kind === 'operation' && String(line.statement).includes(statement));
        if (asked && lines.some(({ kind }) => kind === 'session.end')) return lines;
      }
      return undefined;
    });
    return found ?? assert.fail(`nothing complete was recorded of ${statement}`);
  };
  const kinds = (lines: Line[], of?: unknown) =>
    lines.filter(({ operation }) => of === undefined || operation === of).map(({ kind }) => kind);
  const run = async (...statements: string[]): Promise<string> => {
    const psql = new Psql(await world.downstream());
    for (const statement of statements) psql.send(statement);
    psql.send('\\q');
    await psql.exited;
    return psql.output;
  };

  it('shows rows as the client got them, masked, with their columns', async () => {
    await withClient(world.upstreamUrl, (client) =>
      client.query("CREATE TABLE seen (id int, ssn text, note text); INSERT INTO seen VALUES (1, '111-22-3333', NULL)"),
    );
    const shown = await run('SELECT id, ssn, note FROM seen;');
    assert.match(shown, /•••-••-3333/);
    const lines = await recordingOf('FROM seen');
    const [head] = lines;
    assert.equal(head?.connection, 'orders');
    assert.match(JSON.stringify(head?.principal), /"name":"report-bot"/);
    const asked = lines.find(({ kind, statement }) => kind === 'operation' && String(statement).includes('FROM seen'));
    assert.deepEqual(kinds(lines, asked?.operation), ['operation', 'columns', 'rows', 'outcome']);
    const rows = lines.find(({ kind, operation }) => kind === 'rows' && operation === asked?.operation);
    assert.deepEqual(rows?.rows, [['1', '•••-••-3333', null]]);
    const columns = lines.find(({ kind, operation }) => kind === 'columns' && operation === asked?.operation);
    assert.match(JSON.stringify(columns?.columns), /"id".*"ssn".*"note"/);
    assert.doesNotMatch(JSON.stringify(lines), /111-22-3333/);
  });

  it('shows that it waited, who approved, and what came after', async () => {
    await withClient(world.upstreamUrl, (client) => client.query('CREATE TABLE recorded_gone (id int)'));
    const psql = new Psql(await world.downstream());
    psql.send('DROP TABLE recorded_gone;');
    const card = await slack.card('DROP TABLE recorded_gone');
    await slack.click(PEOPLE.carol, { ts: card.ts }, 'approve');
    await psql.until('DROP TABLE');
    psql.send('\\q');
    await psql.exited;
    const lines = await recordingOf('DROP TABLE recorded_gone');
    const seen = kinds(lines);
    for (const kind of ['operation', 'hold.open', 'said', 'hold.vote', 'hold.settled', 'hold.released', 'outcome']) {
      assert.ok(seen.includes(kind), `${kind} is missing among ${seen}`);
    }
    assert.ok(seen.indexOf('hold.open') < seen.indexOf('hold.vote'));
    assert.match(String(lines.find(({ kind }) => kind === 'said')?.message), /held/i);
  });

  it('keeps so much of a result and counts the rest', async () => {
    await run("SELECT n, repeat('x', 50) FROM generate_series(1, 1000) n;");
    const lines = await recordingOf('generate_series(1, 1000)');
    const kept = lines.filter(({ kind }) => kind === 'rows').flatMap(({ rows }) => rows as unknown[][]);
    assert.ok(kept.length > 20 && kept.length < 100, `${kept.length} rows`);
    assert.deepEqual(kept[0]?.[0], '1');
    assert.equal(lines.filter(({ kind }) => kind === 'cut').length, 1);
    assert.equal(lines.find(({ kind }) => kind === 'outcome')?.rows, 1000);
  });

  it('is encrypted on disk, and readable with no other key', async () => {
    for (const path of await files()) {
      const bytes = await readFile(path);
      assert.doesNotMatch(bytes.toString('latin1'), /report-bot|SELECT|DROP/);
      const other = { keys: [wrappingKey(randomBytes(32).toString('base64'))] };
      await assert.rejects(async () => {
        for await (const _line of readRecording(createReadStream(path), other)) assert.fail('it was read');
      }, /the key .* is not at hand/);
    }
  });

  it('is sealed into the audit trail to its last byte', async () => {
    const ends = async () =>
      (await trailOf(world, 'recording.sealed'))
        .flatMap(({ recordings }) => recordings as Line[])
        .filter(({ end }) => end === true);
    for (const path of await files()) {
      const sealed = await eventually(async () => {
        const { length } = await readFile(path);
        return (await ends()).some(({ file, bytes }) => path.endsWith(String(file)) && bytes === length);
      });
      assert.ok(sealed, `${path} is not sealed: ${JSON.stringify(await ends())}`);
    }
  });

  it('has all but the last moments when its gateway is killed', async () => {
    const psql = new Psql(await world.downstream());
    psql.send("SELECT 'before the end';");
    await psql.until('before the end');
    await psql.until('(1 row)');
    const seen = await eventually(async () => {
      for (const path of await files()) {
        const lines = await linesOf(path).catch(() => []);
        if (JSON.stringify(lines).includes('"rows":[["before the end"]]')) return path;
      }
      return undefined;
    });
    assert.ok(seen, 'it is on disk before it ends');
    const [gateway] = world.gateways;
    gateway?.signal('SIGKILL');
    psql.send('\\q');
    await psql.exited;
    const lines = await linesOf(seen);
    assert.ok(lines.some(({ kind }) => kind === 'outcome'));
    assert.ok(!lines.some(({ kind }) => kind === 'session.end'));
  });
});
