/** A slice of the chaos matrix, six telling cells: `npm run soak -- chaos` runs all of it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CELLS, type Result, runCell } from './soak/chaos/cell.ts';
import { openStage, type Stage } from './soak/chaos/stage.ts';
import { disagreements, type Seen } from './soak/chaos/witness.ts';
import { builtProduct } from './support/built.ts';

/** What each must come to, whatever the machine is busy with. */
const SLICE: Readonly<Record<string, readonly Result['verdict'][]>> = {
  'bot/killed/before-the-card': ['once'],
  'redis/killed/before-the-vote': ['once'],
  'redis/killed/being-released': ['unknown'],
  'slack/cut/vote-on-its-way': ['once'],
  'postgres/killed/running': ['unknown'],
  'gateway/cut/before-the-vote': ['refused'],
};

describe('a part fails at the worst moment', { timeout: 230_000 }, () => {
  let stage: Stage;
  let remove: () => Promise<void>;
  before(async () => {
    const built = await builtProduct({ types: false });
    remove = built.remove;
    stage = await openStage(built.dist);
  });
  after(async () => {
    await stage?.stop();
    await remove?.();
  });

  for (const [name, verdicts] of Object.entries(SLICE)) {
    it(`${name.replaceAll('/', ', ').replaceAll('-', ' ')}: ${verdicts.join(' or ')}, and nobody says otherwise`, async () => {
      const cell = CELLS.find((one) => one.name === name) ?? assert.fail(`no cell ${name}`);
      const { verdict, wrong, seen } = await runCell(stage, cell);
      assert.deepEqual(wrong, [], JSON.stringify(seen));
      assert.ok(verdicts.includes(verdict), `${verdict}: ${JSON.stringify(seen)}`);
    });
  }
});

describe('the four witnesses', () => {
  const truth: Seen = {
    client: { kind: 'done', tag: 'UPDATE 1' },
    runs: 1,
    card: { says: 'done', text: '', cards: 1 },
    audit: { says: 'done', entries: ['hold.open', 'hold.settled approved', 'hold.released', 'outcome done'] },
  };
  it('agree about what ran once', () => assert.deepEqual(disagreements(truth), []));
  for (const [lie, seen] of Object.entries<Partial<Seen>>({
    'a second execution': { runs: 2 },
    'an execution that never was': { runs: 0 },
    'a card without an end': { card: { ...truth.card, says: 'open' } },
    'a card that denies it': { card: { ...truth.card, says: 'not run' } },
    'two cards': { card: { ...truth.card, cards: 2 } },
    'a client that was told that nothing was run': {
      client: { kind: 'error', sqlstate: '57P03', message: 'no', hint: 'Nothing was run.' },
    },
    'a client that still waits': { client: { kind: 'waiting' } },
    'a trail without a release': { audit: { says: 'done', entries: ['hold.open', 'outcome done'] } },
    'a trail with two ends': { audit: { says: 'done', entries: [...truth.audit.entries, 'hold.settled lost'] } },
  }))
    it(`are caught in ${lie}`, () => assert.notDeepEqual(disagreements({ ...truth, ...seen }), []));
});
