/** How grants end: their last use, a newer one in their place, rules that came meanwhile. On record, and on no button. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startGrantStage } from '../../test/support/grant-stage.ts';
import { demand, holding, policyOf } from '../../test/support/hold-stage.ts';

type GrantStage = Awaited<ReturnType<typeof startGrantStage>>;

describe('a grant', { timeout: 120_000 }, () => {
  let on: GrantStage;
  let ask: GrantStage['ask'];
  let contextOf: GrantStage['contextOf'];
  let first: GrantStage['first'];
  let granted: GrantStage['granted'];
  let notices: GrantStage['notices'];
  let passes: GrantStage['passes'];
  let second: GrantStage['second'];
  let stage: GrantStage['stage'];
  let update: GrantStage['update'];

  before(async () => {
    on = await startGrantStage();
    ({ ask, contextOf, first, granted, notices, passes, second, stage, update } = on);
  });
  after(() => on?.stop());
  beforeEach(() => on.reset());

  /** What is on record of its end, and what is said in the place of its buttons. */
  const ended = async (id: string, { audit } = first) => {
    const over = await stage.until('its buttons go', () =>
      stage.jobs.find((job) => job.kind === 'over' && job.line === `revoke ${id}`),
    );
    const whys = audit.of('grant.ended').flatMap(({ grant, why }) => (grant === id ? [why] : []));
    return { whys, says: over.kind === 'over' && over.text };
  };
  const idOf = (card: { granted?: string | undefined }) => /grant ([0-9a-f]{10})/.exec(card.granted ?? '')?.[1] ?? '';

  it('ends with its last use, which offers nothing to revoke any more', async () => {
    const id = idOf(await granted());
    for (let use = 1; use <= 20; use++) assert.ok(await passes());
    const { whys, says } = await ended(id);
    assert.deepEqual(whys, ['all its 20 uses are spent']);
    assert.match(String(says), /^Grant \w+ has ended: all its 20 uses are spent, \d{4}-.* UTC\.$/);
    const uses = notices().filter((job) => job.id.startsWith(`grant-${id}-`));
    const offered = (job: (typeof uses)[number] | undefined) => job?.offers?.map(({ line }) => line);
    assert.deepEqual(offered(uses.find((job) => job.id.endsWith('-19'))), [`revoke ${id}`]);
    assert.equal(offered(uses.find((job) => job.id.endsWith('-20'))), undefined);
    assert.deepEqual(await first.store.list(), []);
  });

  it('has an end on record when a newer one of the same shape takes its place', async () => {
    const both = [await ask(), await ask()];
    const ids: string[] = [];
    for (const { answer, card } of both) {
      await stage.vote(card, 'U0ALICE', { v: 2, grantMinutes: 15 });
      (await answer).settle({ kind: 'done', tag: 'UPDATE 1', rows: 1, ms: 1 });
      ids.push(idOf(await stage.card(({ hold, granted: made }) => hold === card.hold && made !== undefined)));
    }
    const [older = '', newer = ''] = ids;
    const { whys, says } = await ended(older);
    assert.deepEqual(whys, [`replaced by grant ${newer}`]);
    assert.match(String(says), /replaced by grant/);
    assert.deepEqual(
      first.audit.of('grant.ended').filter(({ grant }) => grant === newer),
      [],
    );
    assert.deepEqual(
      (await second.store.list()).map(({ record }) => record.id),
      [newer],
    );
  });

  it('lets nothing through that the rules forbid, or ask more for, while its use is put on record', async () => {
    await granted();
    const before = stage.settings.policy;
    first.audit.beforeCommit = async () => {
      stage.settings.policy = policyOf({ kind: 'deny', rules: ['stop'], rule: 'stop', why: 'leaked' });
    };
    const verdict = { kind: 'hold', rules: [], demands: [demand()] } as const;
    await assert.rejects(first.grants.use(update(), verdict, contextOf()), { code: 'DENIED', message: /rule stop/ });
    assert.equal(first.audit.entries.at(-1)?.outcome, 'failed');
    stage.settings.policy = before;
    first.audit.beforeCommit = async () => {
      stage.settings.policy = holding(demand({ quorum: 2 }));
    };
    await assert.rejects(first.grants.use(update(), verdict, contextOf()), { code: 'WITHDRAWN', message: /stricter/ });
    first.audit.beforeCommit = async () => {};
    stage.settings.policy = before;
    assert.ok(await passes());
  });
});
