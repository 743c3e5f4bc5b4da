/** What is learnt of a held operation while people decide: onto the card, past the detectors, under the same revision. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { demand, type HoldStage, holding, operation, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { eventually } from '../../test/support/workspace.ts';
import { History } from '../gate/history.ts';
import type { Effect, Operation, Reach } from '../operation.ts';
import { systemClock } from './clock.ts';
import { historian } from './history.ts';
import type { Hold } from './hold.ts';
import { reachFollower } from './reach.ts';

const REACH: Reach = { rows: 41_207, estimate: 'about 41,000 rows', lines: ['touches: public.x4111111111111111'] };
const redact = (text: string) => text.replaceAll('4111111111111111', '[card]');

describe('what is learnt of a held operation', () => {
  let stage: HoldStage;
  let seen: Hold | undefined;
  let asked = 0;
  let answer: (reach: Reach) => void;
  const history = new History();

  before(async () => {
    stage = await startHoldStage({
      followers: [
        {
          opened: (hold) => {
            seen = hold;
          },
        },
        historian(history, redact),
        reachFollower({ show: (hold) => stage.holds.show(hold), redact, clock: systemClock, againMs: 200 }),
      ],
    });
  });
  after(() => stage.stop());
  beforeEach(() => {
    asUsual(stage);
    asked = 0;
    stage.settings.policy = holding(demand({ quorum: 2 }));
  });

  /** Held, with a target that answers when `answer` is called. */
  const held = (change: Partial<Operation> = {}) => {
    const waiting = stage.waiting();
    const context = {
      ...waiting.context,
      reach: () => {
        asked += 1;
        return new Promise<Reach>((resolve) => {
          answer = resolve;
        });
      },
    };
    return stage.hold(operation(change), { ...waiting, context });
  };

  it('is compared with what a confirmed write touched only where every voter could see it', async () => {
    stage.settings.policy = holding(demand({ quorum: 2, confirm: 'rows' }));
    const early = await held();
    assert.equal((await stage.vote(early.card, 'U0ALICE')).counted, true);
    answer(REACH);
    await stage.card(({ hold, estimate }) => hold === early.card.hold && estimate !== undefined);
    await stage.vote(early.card, 'U0CAROL');
    assert.deepEqual((await early.answer).confirm, { estimate: undefined });
    const late = await held();
    answer(REACH);
    await stage.card(({ hold, estimate }) => hold === late.card.hold && estimate !== undefined);
    await stage.vote(late.card, 'U0ALICE');
    await stage.vote(late.card, 'U0CAROL');
    assert.deepEqual((await late.answer).confirm, { estimate: 41_207 });
  });

  it('comes onto the card as a later edit of the same revision: a click made before counts', async () => {
    const { card } = await held();
    assert.equal(card.estimate, undefined);
    answer(REACH);
    const later = await stage.card(({ hold, estimate }) => hold === card.hold && estimate !== undefined);
    assert.deepEqual([later.estimate, later.blast], ['about 41,000 rows', ['touches: public.x[card]']]);
    assert.ok(later.sequence > card.sequence);
    assert.deepEqual([later.revision, later.digest, later.headline], [card.revision, card.digest, card.headline]);
    assert.equal((await stage.vote(card, 'U0ALICE')).text, 'Counted: 1 of 2 for schema-changes.');
    assert.equal(seen?.reach?.rows, 41_207);
  });

  it('is left alone once it is over, and not asked for of what writes nothing', async () => {
    const { card, answer: ended } = await held();
    await stage.vote(card, 'U0ALICE', { decision: 'deny', reason: 'no' });
    await assert.rejects(ended, /denied/);
    answer(REACH);
    const last = await stage.card(({ hold, state }) => hold === card.hold && state === 'denied');
    assert.equal(last.estimate, undefined);
    const reads: readonly Effect[] = [{ action: 'read', object: 'public.t' }];
    asked = 0;
    await held({ effects: reads });
    assert.equal(asked, 0);
  });

  it('is asked for again inside a transaction, and shown when more than its age has changed', async () => {
    const { card } = await held({ inTransaction: true });
    const lines = (age: number, waiting: string) => [`its transaction has been open for ${age} s; ${waiting} for it`];
    const answers = [lines(1, 'nobody waits'), lines(2, 'nobody waits'), lines(3, '2 other sessions wait')];
    for (const [at, said] of answers.entries()) {
      await eventually(async () => asked === at + 1 || undefined, 3_000);
      answer({ ...REACH, lines: said });
    }
    const last = await stage.card(({ hold, blast }) => hold === card.hold && /2 other/.test(blast?.[0] ?? ''));
    assert.equal(last.revision, card.revision);
    const shown = stage.jobs.flatMap((job) =>
      job.kind === 'card' && job.card.hold === card.hold ? (job.card.blast?.[0] ?? []) : [],
    );
    assert.deepEqual(shown, [answers[0]?.[0], answers[2]?.[0]]);
    await stage.vote(card, 'U0ALICE', { decision: 'deny', reason: 'no' });
  });

  it('remembers the last ten of a requester on a connection, with how each ended, on the first card already', async () => {
    const own = { ...operation().principal, subject: 'worker' };
    const note = (n: number, change: Partial<Operation> = {}) =>
      history.note(operation({ principal: { ...own }, headline: `SELECT from public.t${n}`, ...change }), 'allowed');
    for (let n = 1; n <= 11; n++) {
      const deed = note(n);
      if (deed) deed.outcome = { kind: 'done', tag: 'SELECT', rows: n, ms: 3 };
    }
    note(12, { connection: 'billing' });
    note(13, { principal: { ...own, subject: 'other' } });
    assert.equal(note(14, { effects: [{ action: 'transaction', object: '' }] }), undefined);
    const op = operation({ principal: own, headline: 'DROP TABLE public.x4111111111111111' });
    history.note(op, 'held');
    const { card, answer: ended } = await stage.hold(op);
    const headlines = card.history?.map(({ headline }) => headline);
    assert.deepEqual(headlines?.slice(0, 2), ['SELECT from public.t11', 'SELECT from public.t10']);
    assert.equal(headlines?.length, 9, 'the tenth is what is asked about');
    assert.equal(card.history?.[0]?.outcome, '11 rows in 3 ms');
    await stage.vote(card, 'U0ALICE', { decision: 'deny', reason: 'no' });
    await assert.rejects(ended, /denied/);
    const next = operation({ principal: own });
    const after = await stage.hold(next);
    assert.deepEqual(
      [after.card.history?.[0]?.headline, after.card.history?.[0]?.verdict],
      ['DROP TABLE public.x[card]', 'denied'],
    );
  });
});
