/** A thousand clients that come at once, through a gateway that records them: all get in, all are served, all is on record. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Herd } from './bench/herd.ts';
import { seedAccounts } from './bench/pgbench.ts';
import { directRoute } from './bench/routes.ts';
import { eventually } from './support/workspace.ts';
import { startWorld, type World } from './support/world.ts';
import { trailOf } from './support/world-trail.ts';

const CLIENTS = 1_000;
const EACH = 5;

type Sealed = { readonly end?: boolean };

describe('a thousand clients at once', { timeout: 180_000 }, () => {
  let world: World;
  before(async () => {
    world = await startWorld({
      recorded: true,
      bots: 0,
      postgres: { max_connections: `${CLIENTS + 100}` },
      config: (config) => ({ ...config, limits: { ...config.limits, sessions_per_principal: CLIENTS + 10 } }),
    });
    await seedAccounts(directRoute(world.upstream));
  });
  after(() => world?.stop());

  it('all get in and are served: none is refused because the trail lags behind, and each is recorded to its end', async () => {
    const { port, username, password } = new URL(await world.downstream());
    const route = { port: Number(port), user: username, password, pid: undefined };
    const herd = await Herd.enter(route, CLIENTS, CLIENTS);
    await herd.graze({ each: EACH });
    herd.leave();
    const complete = await eventually(async () => {
      const files = (await trailOf(world, 'recording.sealed')).flatMap(({ recordings }) => recordings as Sealed[]);
      return files.filter(({ end }) => end).length === CLIENTS;
    }, 30_000);
    assert.ok(complete, 'not all were sealed');
    const done = (await trailOf(world, 'outcome')).filter(({ outcome }) => outcome === 'done');
    assert.equal(done.length, CLIENTS * EACH);
    const names = await readdir(join(world.dir, 'recordings'), { recursive: true });
    assert.equal(names.filter((name) => /\.jsonl(\.enc)?$/.test(name)).length, CLIENTS);
  });
});
