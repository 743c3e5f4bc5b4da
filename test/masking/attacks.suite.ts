/** No attack of the corpus gets a masked value out; what is ordinary goes on working; each attack does work without the gateway. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ATTACKS } from './attacks/all.ts';
import { Comparison } from './compare.ts';
import { fuzzMasking } from './fuzz.ts';
import { Harness, type Played } from './harness.ts';
import { ORDINARY } from './ordinary.ts';
import { comparePsql } from './psql.ts';
import { openRoute, type Route } from './route.ts';

/** One in so many is tried straight at the target, too. */
const SAMPLE = 6;
const FUZZ_SECONDS = 60;
/** A fuzz that would find nothing where nothing is masked proves nothing. */
const FUZZ_CONTROL = 100;

const TECHNIQUES = [...new Set(ATTACKS.map(({ technique }) => technique))];
const described = ({ attack, verdict, found, evidence, spoilt }: Played): string =>
  `${attack.technique}, ${attack.id}: ${verdict}${spoilt ? ', left the lab changed' : ''} ${found.map(({ canary, length, how }) => `${canary.where} ${length} by ${how}`)} ${evidence.errors.map(({ M }) => M)}`;

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
});

describe('masked values through the gateway', () => {
  let route: Route;
  let harness: Harness;
  before(async () => {
    route = await openRoute('gateway');
    harness = await Harness.open(route);
  });
  after(async () => {
    await harness?.close();
    await route?.close();
  });

  for (const technique of TECHNIQUES) {
    it(`are not given away by ${technique}`, async () => {
      const wrong: string[] = [];
      for (const attack of ATTACKS.filter((one) => one.technique === technique)) {
        const played = await harness.play(attack);
        const counted = attack.oracle || attack.race;
        const leaked = !counted && (played.verdict === 'recovered' || played.verdict === 'partial');
        if (leaked || played.verdict === 'silent' || played.spoilt) wrong.push(described(played));
      }
      assert.deepEqual(wrong, []);
    });
  }

  it('are not given away by random work, and nothing hangs', async () => {
    const { leaks, silent } = await fuzzMasking(route, { seed: 20_000, seconds: FUZZ_SECONDS });
    assert.deepEqual(
      leaks.map(({ seed, sent, found }) => ({ seed, sent, how: found.how })),
      [],
    );
    assert.equal(silent, 0);
  });

  it('do not stand in the way of ordinary work', async () => {
    const comparison = await Comparison.open(route);
    const different: string[] = [];
    for (const work of ORDINARY) {
      const what = await comparison.compare(work);
      if (what.length > 0) different.push(`${work.id}: ${what.join('; ')}`);
    }
    await comparison.close();
    assert.deepEqual(different, []);
  });

  it('do not stand in the way of psql', async () => {
    assert.deepEqual(await comparePsql(route), []);
  });
});
