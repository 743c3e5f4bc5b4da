/** Taking a vote back, and breaking the glass: who may, what is remembered, what it never covers. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { CardJob } from '../../queue/cards.ts';
import type { CardPublisher } from '../../queue/carry.ts';
import { aCard } from '../../test/support/bot-stage.ts';
import { demand, type HoldStage, holding, operation, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { Reviews } from '../state/reviews.ts';
import { forget, glassAlarm, inheritReview } from './alarm.ts';
import { type Clock, systemClock } from './clock.ts';
import { watchDeadGateways } from './heir.ts';
import type { Hold } from './hold.ts';

const REASON = 'orders are stuck, paged at 03:10';

describe('a vote taken back', () => {
  let stage: HoldStage;
  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  beforeEach(() => asUsual(stage));

  it('does not count any more, and its place can be taken by another', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { answer, card } = await stage.hold();
    await stage.vote(card, 'U0ALICE');
    const undone = await stage.vote(card, 'U0ALICE', { decision: 'undo' });
    assert.deepEqual([undone.counted, undone.text], [true, 'Taken back: your approval does not count any more.']);
    const shown = await stage.card(
      ({ hold, votes, sequence }) => hold === card.hold && sequence > 2 && votes.length === 0,
    );
    assert.equal(shown.demands[0]?.counted, 0);
    const second = await stage.vote(card, 'U0CAROL');
    assert.equal(second.text, 'Counted: 1 of 2 for schema-changes.');
    await stage.vote(card, 'U0ALICE');
    assert.equal((await answer).hold, card.hold);
    const votes = stage.audit.entries.filter(({ kind, hold }) => kind === 'hold.vote' && hold === card.hold);
    assert.deepEqual(
      votes.map(({ user, decision, counted }) => [user, decision, counted]),
      [
        ['U0ALICE', 'approve', true],
        ['U0ALICE', 'undo', true],
        ['U0CAROL', 'approve', true],
        ['U0ALICE', 'approve', true],
      ],
    );
  });

  it('is refused to who has none there, and after the end', async () => {
    const { answer, card } = await stage.hold();
    const none = await stage.vote(card, 'U0CAROL', { decision: 'undo' });
    assert.match(none.text, /Not counted: you have no vote here to take back/);
    await stage.vote(card, 'U0ALICE');
    await answer;
    const late = await stage.vote(card, 'U0ALICE', { decision: 'undo' });
    assert.match(late.text, /approved and released/);
  });

  it('does not count when the trail cannot be written', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { card } = await stage.hold();
    await stage.vote(card, 'U0ALICE');
    stage.audit.fails = ({ decision }) => decision === 'undo';
    assert.equal((await stage.vote(card, 'U0ALICE', { decision: 'undo' })).counted, false);
    assert.equal((await stage.vote(card, 'U0CAROL')).text, 'Counted: 2 of 2 for schema-changes.');
  });
});

describe('breaking the glass', () => {
  let stage: HoldStage;
  let reviews: Reviews;
  before(async () => {
    stage = await startHoldStage();
    reviews = new Reviews(stage.store);
  });
  after(() => stage.stop());
  beforeEach(() => {
    asUsual(stage);
    stage.settings.breakGlass = ['U0GRACE', 'U0REQ', 'U0BOB'];
    stage.settings.policy = holding(demand({ quorum: 2 }));
  });

  const broken = (card: Parameters<HoldStage['vote']>[0], user = 'U0GRACE', reason = REASON) =>
    stage.vote(card, user, { decision: 'break', reason });

  it('releases on one person’s word, says so in the trail, and waits for a review', async () => {
    const { answer, card } = await stage.hold();
    assert.equal(card.breakGlass, true);
    const receipt = await broken(card);
    assert.equal(receipt.counted, true, receipt.text);
    assert.equal((await answer).hold, card.hold);
    const [record] = (await reviews.list()).filter(({ hold }) => hold === card.hold);
    assert.deepEqual([record?.user, record?.reason, record?.shortId], ['U0GRACE', REASON, card.shortId]);
    const vote = stage.audit.entries.find(({ kind, hold }) => kind === 'hold.vote' && hold === card.hold);
    assert.deepEqual([vote?.decision, vote?.rules], ['break', ['break-glass']]);
  });

  it('is for nobody else, not for requester nor sponsor, and not without a reason', async () => {
    stage.settings.people = [
      { slack: 'U0REQ', issuer: operation().principal.issuer, subject: operation().principal.subject },
    ];
    const { card } = await stage.hold();
    assert.match((await broken(card, 'U0ALICE')).text, /you are not among U0GRACE, U0REQ, U0BOB/);
    assert.match((await broken(card, 'U0REQ')).text, /you made this request/);
    assert.match((await broken(card, 'U0BOB')).text, /you are the sponsor/);
    assert.match((await broken(card, 'U0GRACE', 'urgent')).text, /say why, in at least 10 characters/);
    assert.equal(await reviews.find(card.hold), undefined);
    assert.match((await stage.vote(card, 'U0GRACE')).text, /you are not among @dba-oncall/, 'and it makes no approver');
  });

  it('is never for privileges, for what is not known, or where nobody is named', async () => {
    for (const [action, names] of [
      ['dcl', ['U0GRACE']],
      ['unknown', ['U0GRACE']],
      ['ddl', []],
    ] as const) {
      stage.settings.breakGlass = [...names];
      const { card } = await stage.hold(operation({ effects: [{ action, object: 'public.a' }] }));
      assert.equal(card.breakGlass, undefined);
      assert.match((await broken(card)).text, /cannot be released by one person alone/);
    }
  });

  it('asks Slack about its person at that moment, whatever the click was attested with', async () => {
    const { card } = await stage.hold();
    const click = stage.voteOf(card, 'U0GRACE', { decision: 'break', reason: REASON });
    stage.workspace.people = { U0GRACE: { deleted: true } };
    assert.match((await stage.send(click)).text, /this account is deactivated/);
    assert.equal(await reviews.find(card.hold), undefined);
  });

  it('is one person’s: who comes second while it is under way is refused, and takes no review away', async () => {
    stage.settings.breakGlass = ['U0GRACE', 'U0HEIDI'];
    for (const second of ['U0HEIDI', 'U0GRACE']) {
      const { answer, card } = await stage.hold();
      const receipts = await Promise.all([broken(card), broken(card, second, `${REASON}, again`)]);
      const counted = receipts.filter((receipt) => receipt.counted);
      assert.equal(counted.length, 1, receipts.map(({ text }) => text).join(' | '));
      assert.equal((await answer).hold, card.hold);
      const vote = stage.audit.entries.find(
        ({ kind, hold, counted }) => kind === 'hold.vote' && hold === card.hold && counted === true,
      );
      const { record } = (await reviews.find(card.hold)) ?? {};
      assert.deepEqual(
        [record?.user, record?.reason],
        [vote?.user, vote?.reason],
        'whoever released it cannot sign it',
      );
    }
  });

  it('leaves a review only of what its word released', () => {
    const forgotten = (breaks: boolean, kind: Hold['phase']['kind'], glass: Hold['glass'] = 'remembered') => {
      let dropped = false;
      const alarm = glassAlarm({
        publish: { send: async () => {} } as unknown as CardPublisher,
        reviews: {
          find: async () => undefined,
          drop: async () => {
            dropped = true;
          },
        },
        admins: () => [],
        clock: systemClock,
        log: () => {},
      });
      const votes = new Map([['U0ALICE', { user: 'U0ALICE', ...(breaks ? { breaks } : {}) }]]);
      alarm.ended?.({ id: 'a', glass, votes, phase: { kind } } as unknown as Hold);
      return dropped;
    };
    assert.equal(forgotten(false, 'done'), true, 'taken back, and released by others');
    assert.equal(forgotten(false, 'withdrawn'), true, 'taken back, and not released');
    assert.equal(forgotten(true, 'denied'), true);
    assert.equal(forgotten(true, 'done'), false);
    assert.equal(forgotten(true, 'unknown'), false);
  });

  it('is forgotten once Redis is back, where nothing was released because it was away', async () => {
    let tries = 0;
    const later: (() => void)[] = [];
    const away = { drop: () => (++tries < 3 ? Promise.reject(new Error('away')) : Promise.resolve()) };
    const clock: Pick<Clock, 'after'> = {
      after: (_ms, run) => {
        later.push(run);
        return () => {};
      },
    };
    forget(away, 'a', clock, () => {});
    for (let round = 0; round < 3; round++) {
      await new Promise(setImmediate);
      later.shift()?.();
    }
    assert.equal(tries, 3);
  });

  it('waits for no review where its gateway died before it released anything, and is announced where it had', async () => {
    const sent: CardJob[] = [];
    const publish = { send: async (job: CardJob) => void sent.push(job) } as unknown as CardPublisher;
    const left = { ...aCard({ state: 'lost' }), hold: randomUUID() };
    const gone = { ...aCard({ state: 'unknown' }), hold: randomUUID() };
    const other = { ...aCard({ state: 'unknown' }), hold: randomUUID() };
    const record = { shortId: 'A1B2C3', connection: 'orders', environment: 'production', headline: 'DROP TABLE a' };
    const broke = { requester: 'report-bot', user: 'U0CAROL', name: 'Carol', reason: REASON, at: 1 };
    for (const { hold } of [left, gone]) await reviews.open({ hold, ...record, ...broke });
    const clock = systemClock;
    const ended = new Set<unknown>();
    const heir = watchDeadGateways({
      gateway: 'gw-heir',
      leases: {
        dead: async () => [{ gateway: 'gw-dead', cards: [left, gone, other] }],
        claim: async (_, hold) => !ended.has(hold),
        recorded: async (_, hold) => void ended.add(hold),
      },
      audit: stage.audit,
      clock,
      inherit: (card) => inheritReview({ publish, reviews, admins: () => ['U0GRACE'], clock }, card),
      onTrouble: (error) => assert.fail(String(error)),
      lookMs: 5,
    });
    while (ended.size < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    heir.stop();
    assert.equal(await reviews.find(left.hold), undefined);
    assert.equal((await reviews.find(gone.hold))?.record.user, 'U0CAROL');
    assert.deepEqual(
      sent.map((job) => job.kind === 'notice' && [job.id, job.offers?.[0]?.line, job.ring]),
      [[`glass-${gone.hold}`, `review ${gone.hold}`, ['U0GRACE']]],
    );
  });

  it('is forgotten when nothing was released after all', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { card, waiting } = await stage.hold();
    waiting.alive = false;
    await broken(card);
    await stage.card(({ hold, state }) => hold === card.hold && state === 'withdrawn');
    assert.equal(
      stage.audit.entries.some(({ kind, hold }) => kind === 'hold.released' && hold === card.hold),
      false,
    );
  });
});
