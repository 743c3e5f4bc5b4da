/** A sample of the corpus against the oldest release supported, where this machine has it; all of it: `run.ts --server 15`. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { debianPostgres } from '../support/postgres.ts';
import { ATTACKS } from './attacks/all.ts';
import { possibleOn } from './attacks/releases.ts';
import { Harness } from './harness.ts';
import { openRoute, type Route } from './route.ts';
import { leaked } from './suite.ts';

const OLDEST = 15;
/** One in so many, so that it is over in half a minute. */
const SAMPLE = 18;

/** Debian keeps one release at a time, and no package from npm brings this one: most machines cannot run it. */
const bin = debianPostgres(OLDEST);
const skip =
  bin === undefined && `PostgreSQL ${OLDEST} is not installed (Debian 12: apt-get install postgresql-${OLDEST})`;

describe(`masked values of PostgreSQL ${OLDEST} through the gateway`, { skip }, () => {
  let route: Route;
  let harness: Harness;
  before(async () => {
    route = await openRoute('gateway', { bin });
    harness = await Harness.open(route);
  });
  after(async () => {
    await harness?.close();
    await route?.close();
  });

  it('are not given away', async () => {
    assert.equal(route.lab.release, OLDEST);
    const possible = ATTACKS.filter((attack) => possibleOn(OLDEST, attack));
    assert.deepEqual(
      await leaked(
        harness,
        possible.filter((_, at) => at % SAMPLE === 0),
      ),
      [],
    );
  });
});
