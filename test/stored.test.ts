/** Recordings in an object store, from psql to the page: what is there, what waits while it is away, what an auditor fetches. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BUCKET, S3_KEYS, startS3, type TestS3 } from './support/s3.ts';
import { withClient } from './support/seed.ts';
import { Browser } from './support/sign-in-browser.ts';
import { eventually } from './support/workspace.ts';
import { startWorld, type World } from './support/world.ts';
import { trailOf } from './support/world-trail.ts';

describe('recordings in an object store', { timeout: 180_000 }, () => {
  let dir: string;
  let s3: TestS3;
  let world: World;
  const alice = new Browser();
  const kept = () => join(dir, 'kept');

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'countersign-stored-'));
    s3 = await startS3();
    const secret = (name: string) => `\${env:${name}}`;
    const { endpoint } = s3;
    world = await startWorld({
      gateways: 2,
      config: (config) => ({
        ...config,
        recordings: {
          dir: kept(),
          key: secret('RECORDINGS_KEY'),
          store: {
            s3: {
              endpoint,
              bucket: BUCKET,
              prefix: 'production/',
              access_key: secret('S3_ID'),
              secret_key: secret('S3_KEY'),
            },
          },
        },
      }),
      env: { RECORDINGS_KEY: randomBytes(32).toString('base64'), S3_ID: S3_KEYS.access, S3_KEY: S3_KEYS.secret },
    });
    await alice.signIn({ url: world.gateways[0]?.web ?? '' }, 'alice');
  });
  after(async () => {
    await world?.stop();
    await s3?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const isRecording = (name: string) => name.endsWith('.jsonl.enc');
  const stored = () => [...s3.objects.keys()].filter(isRecording);
  const waiting = async () => (await readdir(kept(), { recursive: true })).filter(isRecording);
  /** Asks, leaves, and tells the session's id. */
  const session = async (statement: string): Promise<string> => {
    await withClient(await world.downstream(), (client) => client.query(statement));
    const asked = await eventually(async () =>
      (await trailOf(world, 'operation')).find((entry) => String(entry.statement).includes(statement)),
    );
    return String(asked?.session);
  };
  const inStore = (of: string) => eventually(() => stored().find((key) => key.includes(of)));

  it('go there encrypted, leave the directory, and are shown by a gateway that never had them', async () => {
    const id = await session('SELECT ssn FROM customers WHERE id = 17');
    const key = (await inStore(id)) ?? assert.fail('it never came');
    assert.match(key, /^production\/\d{4}\/\d\d\/\d\d\//);
    assert.doesNotMatch(s3.objects.get(key)?.body.toString('latin1') ?? '', /customers/);
    assert.ok(await eventually(async () => (await waiting()).length === 0), 'its file is still in the directory');
    const other = world.gateways[1]?.web;
    const found = await eventually(async () => {
      const { body } = await alice.go(`${other}/sessions?relation=public.customers`);
      return body.includes(id) && body;
    });
    assert.ok(found, 'the other gateway does not list it');
    const { status, body } = await alice.go(`${other}/sessions/${id}`);
    assert.equal(status, 200);
    assert.match(body, /SELECT ssn FROM customers WHERE id = 17/);
    assert.match(body, /•••-••-\d{4}/);
  });

  it('wait in the directory while the store is away, are readable meanwhile, and go when it is back', async () => {
    s3.fault = () => 503;
    const id = await session('SELECT 42 AS while_it_was_away');
    const page = `${world.gateways[0]?.web}/sessions/${id}`;
    assert.ok(
      await eventually(async () => (await alice.go(page)).body.includes('while_it_was_away')),
      'it cannot be read while the store is away',
    );
    const metrics = async () => (await fetch(`${world.gateways[0]?.web}/metrics`)).text();
    assert.ok(await eventually(async () => /^countersign_recordings_waiting 1$/m.test(await metrics())));
    assert.equal((await waiting()).filter((name) => name.includes(id)).length, 1);
    s3.fault = () => undefined;
    assert.ok(await inStore(id), 'it never came');
    assert.ok(await eventually(async () => (await waiting()).length === 0));
    assert.match((await alice.go(page)).body, /while_it_was_away/);
  });

  it('fit the trail, once an auditor has fetched them; one byte more or less and they do not', async () => {
    await inStore(await session('SELECT 1 AS for_the_auditor'));
    const fetched = join(dir, 'fetched');
    for (const [key, { body }] of s3.objects) {
      const path = join(fetched, key.slice('production/'.length));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, body);
    }
    const trails = world.gateways.map((_, n) => join(world.dir, `audit-${n + 1}`));
    const verify = () =>
      world
        .command('audit', 'verify', ...trails, '--key', world.auditKey, '--recordings', fetched)
        .catch((error) => error.stdout as string);
    const said = await eventually(async () => {
      const told = await verify(); // the trail has the seal before the store has the file, its checkpoint a moment later
      return /every recording fits/.test(told) && told;
    });
    assert.match(said || (await verify()), /\d+ recordings, \d+ of them sealed to the last byte/);
    const [key = ''] = stored();
    const body = Buffer.from(s3.objects.get(key)?.body ?? '');
    body[body.length - 20]! ^= 1;
    await writeFile(join(fetched, key.slice('production/'.length)), body);
    assert.match(await verify(), /DOES NOT FIT: .*: altered/);
  });
});
