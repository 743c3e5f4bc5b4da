/** Random work through the gateway for a minute; and what the corpus and the fuzz are worth: they do work without it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ATTACKS } from './attacks/all.ts';
import type { Found } from './decoders.ts';
import { fuzzMasking, isChance } from './fuzz.ts';
import type { Sent } from './grammar.ts';
import { Harness } from './harness.ts';
import { openRoute, type Route } from './route.ts';
import { described } from './suite.ts';

/** One in so many is tried straight at the target, too. */
const SAMPLE = 12;
const FUZZ_SECONDS = 60;
/** A fuzz that would find nothing where nothing is masked proves nothing. */
const FUZZ_CONTROL = 60;

describe('masked values without the gateway', () => {
  let route: Route;
  let harness: Harness;
  before(async () => {
    route = await openRoute('direct');
    harness = await Harness.open(route);
  });
  after(async () => {
    await harness?.close();
    await route?.close();
  });

  it('are recovered by the attacks: what they try does work', async () => {
    const wrong: string[] = [];
    for (const attack of ATTACKS.filter((_, at) => at % SAMPLE === 0)) {
      const played = await harness.play(attack);
      const expected =
        attack.gives === 'nothing' ? ['masked', 'refused'] : attack.gives === 'part' ? ['partial'] : ['recovered'];
      if (!expected.includes(played.verdict) || played.spoilt) wrong.push(described(played));
    }
    assert.deepEqual(wrong, []);
  });

  it('are found by random work', async () => {
    const { leaks } = await fuzzMasking(route, { seed: 1, seconds: 60, scripts: FUZZ_CONTROL });
    assert.ok(leaks.length > FUZZ_CONTROL / 4, `${leaks.length} of ${FUZZ_CONTROL}`);
  });

  it('are found by chance where the answer of a lab with other values gives them, too; and not where it does not', async () => {
    const canary = route.lab.canaries.all.find(({ where }) => where === 'users2.card#1')!;
    const found: Found = { canary, length: canary.core.length, whole: true, how: 'a cell' };
    const sent = (sql: string): Sent => ({
      statements: [sql],
      protocol: 'extended',
      binary: true,
      describe: 'portal',
      fetch: 0,
    });
    assert.equal(await isChance(route, sent(`SELECT '${canary.value}'`), found), true);
    assert.equal(await isChance(route, sent('SELECT card FROM users2'), found), false);
  });
});

describe('masked values through the gateway', () => {
  let route: Route;
  before(async () => {
    route = await openRoute('gateway');
  });
  after(() => route?.close());

  it('are not given away by random work, and nothing hangs', async () => {
    const { leaks, hung } = await fuzzMasking(route, { seed: 20_000, seconds: FUZZ_SECONDS });
    assert.deepEqual(
      leaks.map(({ seed, sent, found }) => ({ seed, sent, how: found.how })),
      [],
    );
    assert.deepEqual(hung, []);
  });
});
