/** Everything at once: whatever happens in whatever order, a hold ends exactly once and runs at most once. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { demand, type HoldStage, holding, startHoldStage } from '../../test/support/hold-stage.ts';
import { GatewayError } from '../errors.ts';
import { executed, type HoldEvent, next, type Phase } from './lifecycle.ts';

function* permutations<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (const [i, item] of items.entries()) {
    for (const rest of permutations(items.toSpliced(i, 1))) yield [item, ...rest];
  }
}

describe('the life of a hold', () => {
  const outcome = { kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 1 } as const;
  const events: HoldEvent[] = [
    { kind: 'approve', at: 1 },
    { kind: 'deny', at: 1, by: 'U0ALICE', reason: '' },
    { kind: 'expire', at: 1, clock: 'rule' },
    { kind: 'withdraw', at: 1, code: 'WITHDRAWN', reason: '' },
    { kind: 'release', at: 1 },
    { kind: 'settle', at: 1, outcome },
  ];

  it('has exactly one end in every order of everything that can happen', () => {
    for (const order of permutations(events)) {
      let phase: Phase = { kind: 'open' };
      let ends = 0;
      for (const event of order) {
        const following = next(phase, event);
        if (!following) continue;
        phase = following;
        if (['done', 'unknown', 'denied', 'expired', 'withdrawn'].includes(phase.kind)) ends += 1;
      }
      assert.ok(ends <= 1, order.map(({ kind }) => kind).join(' '));
    }
  });

  it('says that nothing was run only of a hold that was never released', () => {
    for (const order of permutations(events)) {
      let phase: Phase = { kind: 'open' };
      let released = false;
      for (const event of order) {
        phase = next(phase, event) ?? phase;
        released ||= phase.kind === 'released';
      }
      assert.equal(executed(phase) === 'no', !released, order.map(({ kind }) => kind).join(' '));
    }
  });

  it('cannot be released without an approval', () => {
    assert.equal(next({ kind: 'open' }, { kind: 'release', at: 1 }), undefined);
  });
});

describe('a hold under everything at once', () => {
  let stage: HoldStage;
  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  afterEach(() => {
    stage.settings.policy = holding(demand());
    stage.audit.beforeCommit = async () => {};
    stage.audit.fails = () => false;
  });

  type Held = Awaited<ReturnType<HoldStage['hold']>>;
  const of = (hold: string) => stage.audit.entries.filter((entry) => entry.hold === hold);
  /** What became of it, checked against the trail: one end, and a release only with a permit or an `unknown`. */
  const ending = async ({ answer, card }: Held): Promise<string> => {
    const end = await answer.then(
      () => 'released',
      (error) => (error instanceof GatewayError ? error.code : assert.fail(String(error))),
    );
    const settled = of(card.hold).filter(({ kind }) => kind === 'hold.settled');
    const released = of(card.hold).filter(({ kind }) => kind === 'hold.released');
    assert.equal(settled.length, 1, `settled once, not ${settled.map(({ state }) => state).join(', ')}`);
    assert.equal(released.length, settled[0]?.state === 'approved' ? 1 : 0);
    if (end === 'released') assert.equal(settled[0]?.state, 'approved');
    return end;
  };
  const actions: Record<string, (held: Held) => void> = {
    approve: ({ card }) => void stage.holds.receive(stage.voteOf(card, 'U0ALICE')),
    deny: ({ card }) => void stage.holds.receive(stage.voteOf(card, 'U0CAROL', { decision: 'deny' })),
    cancel: ({ waiting }) => waiting.controller.abort('the client pressed Ctrl-C'),
    leave: ({ waiting }) => {
      waiting.alive = false;
      waiting.controller.abort('the client left');
    },
  };

  it('ends once when approve, deny, cancel and disconnect fall into one tick, in every order', async () => {
    for (const order of permutations(Object.keys(actions))) {
      const held = await stage.hold();
      for (const name of order) actions[name]?.(held);
      const end = await ending(held);
      const expected = order.find((name) => name !== 'leave');
      if (expected === 'deny' && order[0] === 'deny') assert.ok(['DENIED', 'WITHDRAWN'].includes(end), end);
      if (order[0] === 'cancel' || order[0] === 'leave') assert.equal(end, 'WITHDRAWN');
    }
  });

  it('records a release under a card that is newer than every card shown while the release was being written', async () => {
    const held = await stage.hold();
    const { hold } = held.card;
    stage.audit.beforeCommit = async ({ kind }) => {
      if (kind !== 'hold.released') return;
      // Its card is sealed in the first turn, behind what was begun before it.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
      stage.holds.republish();
      await stage.card((card) => card.hold === hold && card.state === 'approved', 'the card while it is approved');
    };
    const { release } = stage.lease;
    let recorded = 0;
    stage.lease.release = (card, term) => {
      const record = release(card, term);
      return () => {
        recorded = card.sequence;
        return record();
      };
    };
    try {
      await stage.vote(held.card, 'U0ALICE');
      await held.answer;
    } finally {
      stage.lease.release = release;
    }
    const shown = stage.jobs.flatMap((job) => (job.kind === 'card' && job.card.hold === hold ? [job.card] : []));
    const newest = Math.max(...shown.filter(({ state }) => state === 'approved').map(({ sequence }) => sequence));
    assert.ok(recorded > newest, `${recorded} is not newer than ${newest}`);
  });

  it('ends once when the same happens tick by tick', async () => {
    for (const order of permutations(Object.keys(actions))) {
      const held = await stage.hold();
      for (const name of order) {
        actions[name]?.(held);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const end = await ending(held);
      if (order[0] === 'deny') assert.equal(end, 'DENIED');
    }
  });

  it('expires or is approved, never both, when the click comes with the deadline', async () => {
    stage.settings.policy = holding(demand({ expiresMs: 2_000 }));
    const ends = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const held = await stage.hold();
        setTimeout(() => actions.approve?.(held), held.card.expiresAt - Date.now() - 5 + i / 2);
        return ending(held);
      }),
    );
    for (const end of ends) assert.ok(end === 'released' || end === 'EXPIRED', end);
  });

  it('runs once for a hundred clicks at once, and answers every one of them', async () => {
    const users = Array.from({ length: 100 }, (_, i) => `U1${i}`);
    stage.workspace.groups['@crowd'] = { id: 'S0CROWD', members: users };
    stage.settings.policy = holding(demand({ approvers: ['@crowd'], quorum: 2 }));
    const held = await stage.hold();
    const receipts = await Promise.all(users.map((user) => stage.vote(held.card, user)));
    assert.equal(await ending(held), 'released');
    const counted = receipts.filter((receipt) => receipt.counted).length;
    assert.ok(counted >= 2, 'while the first is attested anew, others may still click');
    assert.equal(of(held.card.hold).filter(({ kind }) => kind === 'hold.released').length, 1);
    for (const { text } of receipts) assert.match(text, /^(?:Counted|Not counted): /);
  });

  it('is not released when the audit trail cannot take the release: nothing runs', async () => {
    stage.audit.fails = ({ kind }) => kind === 'hold.released';
    const held = await stage.hold();
    await stage.vote(held.card, 'U0ALICE');
    await assert.rejects(held.answer, (error) => error instanceof GatewayError && /disk is full/.test(error.message));
    const card = await stage.card(({ hold, state }) => hold === held.card.hold && state === 'withdrawn');
    assert.equal(card.settled?.executed, 'no');
  });

  it('is not released when the approval itself cannot be recorded', async () => {
    stage.audit.fails = ({ kind, state }) => kind === 'hold.settled' && state === 'approved';
    const held = await stage.hold();
    await stage.vote(held.card, 'U0ALICE');
    await assert.rejects(held.answer, (error) => error instanceof GatewayError && error.code === 'AUDIT');
    assert.deepEqual(
      of(held.card.hold).filter(({ kind }) => kind === 'hold.released'),
      [],
    );
  });

  it('does not count a vote that cannot be recorded', async () => {
    stage.audit.fails = ({ kind }) => kind === 'hold.vote';
    const held = await stage.hold();
    const receipt = await stage.vote(held.card, 'U0ALICE');
    assert.deepEqual([receipt.counted, /audit trail/.test(receipt.text)], [false, true]);
    stage.audit.fails = () => false;
    held.waiting.controller.abort();
    assert.equal(await ending(held), 'WITHDRAWN');
  });

  it('is not asked about when its opening cannot be recorded', async () => {
    stage.audit.fails = ({ kind }) => kind === 'hold.open';
    const before = stage.cards.size;
    const { context } = stage.waiting();
    const { operation } = await import('../../test/support/hold-stage.ts');
    await assert.rejects(Promise.resolve(stage.gate.admit(operation(), context)), /disk is full/);
    assert.equal(stage.cards.size, before);
  });

  it('says that the outcome is unknown when the client leaves while the release is written', async () => {
    const held = await stage.hold();
    let write = () => {};
    const writing = new Promise<void>((resolve) => {
      stage.audit.beforeCommit = () =>
        new Promise((release) => {
          write = release;
          resolve();
        });
    });
    await stage.vote(held.card, 'U0ALICE');
    await writing;
    held.waiting.controller.abort('the client left');
    const tooLate = await stage.vote(held.card, 'U0CAROL', { decision: 'deny' });
    assert.equal(tooLate.counted, false, 'and a denial comes too late by now');
    write();
    await assert.rejects(
      held.answer,
      (error) => error instanceof GatewayError && /released .* but not sent/.test(error.message),
    );
    const card = await stage.card(({ hold, state }) => hold === held.card.hold && state === 'unknown');
    assert.deepEqual([card.settled?.executed, card.outcome?.kind], ['unknown', 'unknown']);
  });

  it('is not sent when the lease vanished from Redis between approval and release', async () => {
    const held = await stage.hold();
    stage.audit.beforeCommit = async ({ kind }) => {
      if (kind === 'hold.released') await stage.commands.del(`countersign:lease:${stage.gateway}`);
    };
    await stage.vote(held.card, 'U0ALICE');
    const error = await held.answer.then(
      () => assert.fail('sent'),
      (thrown) => thrown,
    );
    assert.equal(error.code, 'UNAVAILABLE');
  });
});
