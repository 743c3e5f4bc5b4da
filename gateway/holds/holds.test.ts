/** Holds from the client's side to the card's and back, on real queues: how they open, are released and end. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { demand, type HoldStage, holding, operation, startHoldStage, TEAM } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { rejection } from '../../test/support/rejection.ts';
import { GatewayError } from '../errors.ts';

const code = (expected: string) => (error: unknown) => error instanceof GatewayError && error.code === expected;

describe('a hold', () => {
  let stage: HoldStage;
  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  beforeEach(() => asUsual(stage));

  it('is released by one entitled click, and its outcome goes onto the card and into the trail', async () => {
    const { answer, card, waiting } = await stage.hold();
    assert.match(
      waiting.told[0]?.text ?? '',
      new RegExp(
        `^held for approval · ${card.shortId} · asking @dba-oncall \\(0 of 1\\) · until \\d\\d:\\d\\d:\\d\\d UTC \\(rule\\) · schema-changes: Schema`,
      ),
    );
    const receipt = await stage.vote(card, 'U0ALICE');
    assert.deepEqual([receipt.counted, receipt.text], [true, 'Counted: 1 of 1 for schema-changes.']);
    const permit = await answer;
    assert.equal(permit.hold, card.hold);
    permit.settle({ kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 12 });
    permit.settle({ kind: 'failed', sqlstate: 'XX000', message: 'said twice', ms: 1 });
    const done = await stage.card(({ hold, state }) => hold === card.hold && state === 'done');
    assert.equal(done.outcome?.text, 'DROP TABLE in 12 ms');
    assert.deepEqual(done.settled?.executed, 'yes');
    assert.deepEqual(
      done.votes.map(({ user }) => user),
      ['U0ALICE'],
    );
    assert.ok(done.releasedAt && done.auditHead);
    const kinds = stage.audit.entries.filter((entry) => entry.hold === card.hold).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['hold.open', 'hold.vote', 'hold.settled', 'hold.released', 'outcome']);
  });

  it('is refused with the name and the reason of whoever denies, and nothing is run', async () => {
    const { answer, card } = await stage.hold();
    const receipt = await stage.vote(card, 'U0CAROL', { decision: 'deny', reason: 'not on a\nFriday\u202e' });
    assert.equal(receipt.counted, true);
    const error = await rejection(answer);
    assert.equal(error.code, 'DENIED');
    assert.match(error.message, /^denied by carol: not on a Friday \(.{6}, schema-changes\)$/);
    assert.match(error.hint ?? '', /Nothing was run/);
    const denied = await stage.card(({ hold, state }) => hold === card.hold && state === 'denied');
    assert.deepEqual([denied.settled?.by, denied.settled?.executed], ['U0CAROL', 'no']);
  });

  it('answers a click after the end with an explanation, and a redelivered click with the receipt of the first', async () => {
    const { answer, card } = await stage.hold();
    const vote = stage.voteOf(card, 'U0ALICE');
    const first = await stage.send(vote);
    await answer;
    assert.deepEqual(await stage.holds.receive(vote), first);
    const late = await stage.vote(card, 'U0CAROL');
    assert.equal(late.counted, false);
    assert.match(late.text, /approved and released at \d\d:\d\d:\d\d UTC/);
    const denied = await stage.hold();
    await stage.vote(denied.card, 'U0ALICE', { decision: 'deny' });
    assert.match((await stage.vote(denied.card, 'U0ALICE')).text, /this was denied at .*nothing was run/);
  });

  it('refuses at once where requester and sponsor leave too few, without a card', async () => {
    stage.settings.policy = holding(demand({ approvers: ['U0BOB', 'U0ALICE'], quorum: 2 }));
    const cards = stage.cards.size;
    const error = await rejection(Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)));
    assert.equal(error.code, 'NO_APPROVER');
    assert.match(
      error.message,
      /schema-changes asks for 2 of U0BOB, U0ALICE; without the requester and the sponsor one person/,
    );
    assert.equal(stage.cards.size, cards);
  });

  it('is refused while it waits when the groups turn out to leave too few', async () => {
    stage.workspace.groups['@tiny'] = { id: 'S0TINY', members: ['U0BOB'] };
    stage.settings.policy = holding(demand({ approvers: ['@tiny'] }));
    const error = await rejection(Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)));
    assert.equal(error.code, 'NO_APPROVER');
  });

  it('says whom Slack does not know as approvers', async () => {
    stage.settings.policy = holding(demand({ approvers: ['@no-such-group'] }));
    const error = await rejection(Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)));
    assert.equal(error.code, 'NO_APPROVER');
    assert.match(error.message, /@no-such-group/);
  });

  it('expires by the rule, by the token, and inside a transaction, and says which', async () => {
    stage.settings.policy = holding(demand({ expiresMs: 300 }));
    const byRule = await stage.hold();
    assert.equal((await rejection(byRule.answer)).code, 'EXPIRED');
    const card = await stage.card(({ hold, state }) => hold === byRule.card.hold && state === 'expired');
    assert.equal(card.expiresBy, 'rule');
    stage.settings.policy = holding(demand());
    const byToken = await stage.hold(operation(), stage.waiting({ tokenEndsAt: Date.now() + 300 }));
    assert.equal(byToken.card.expiresBy, 'token');
    assert.match((await rejection(byToken.answer)).hint ?? '', /token ended first/);
    stage.settings.policy = holding(demand({ expiresMs: 900_000 }));
    const inside = await stage.hold(operation({ inTransaction: true }));
    assert.equal(inside.card.expiresBy, 'transaction');
    assert.ok(inside.card.expiresAt - inside.card.openedAt <= 120_050);
    inside.waiting.controller.abort();
  });

  it('outlives the first end of a token that was extended meanwhile', async () => {
    const held = await stage.hold(operation(), stage.waiting({ tokenEndsAt: Date.now() + 300 }));
    held.waiting.tokenEndsAt = Date.now() + 3_600_000;
    await stage.card(({ hold, expiresBy }) => hold === held.card.hold && expiresBy === 'rule', 'the later deadline');
    await stage.vote(held.card, 'U0ALICE');
    await held.answer;
  });

  it('is withdrawn by the signal, with the reason on the card', async () => {
    const { answer, card, waiting } = await stage.hold();
    waiting.controller.abort(new GatewayError('WITHDRAWN', 'the client pressed Ctrl-C'));
    const error = await rejection(answer);
    assert.equal(error.code, 'WITHDRAWN');
    const withdrawn = await stage.card(({ hold, state }) => hold === card.hold && state === 'withdrawn');
    assert.equal(withdrawn.settled?.reason, 'the client pressed Ctrl-C');
    assert.equal((await stage.vote(card, 'U0ALICE')).counted, false);
  });

  it('does not run when the session it was held on is gone, whatever was approved', async () => {
    const { answer, card, waiting } = await stage.hold();
    waiting.alive = false;
    await stage.vote(card, 'U0ALICE');
    const error = await rejection(answer);
    assert.equal(error.code, 'WITHDRAWN');
    assert.deepEqual(
      stage.audit.of('hold.released').filter((entry) => entry.hold === card.hold),
      [],
    );
  });

  it('is too long to review above 48 KB of statement and parameters, and nobody is asked', async () => {
    const cards = stage.cards.size;
    const value = new Uint8Array(30_000);
    for (const op of [
      operation({ text: 'é'.repeat(24_577) }),
      operation({ text: 'x'.repeat(30_000), parameters: [{ format: 'binary', value }] }),
      operation({ parameters: Array.from({ length: 201 }, () => ({ format: 'text' as const, value: null })) }),
    ]) {
      assert.equal((await rejection(Promise.resolve(stage.gate.admit(op, stage.waiting().context)))).code, 'TOO_LONG');
    }
    assert.equal(stage.cards.size, cards);
  });

  it('is refused when its principal or its connection has too many open already', async () => {
    stage.settings.limits = { openPerPrincipal: 1, openPerConnection: 2 };
    const first = await stage.hold();
    await assert.rejects(Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)), code('LIMIT'));
    const other = operation();
    const someoneElse = { ...other, principal: { ...other.principal, subject: 'deploy-bot' } };
    const second = await stage.hold(someoneElse);
    const third = { ...other, principal: { ...other.principal, subject: 'third-bot' } };
    await assert.rejects(Promise.resolve(stage.gate.admit(third, stage.waiting().context)), code('LIMIT'));
    stage.settings.limits = { openPerPrincipal: 1_000, openPerConnection: 1_000 };
    first.waiting.controller.abort();
    second.waiting.controller.abort();
    await rejection(second.answer);
  });

  it('lets an admin or an approver end its session, and nobody else', async () => {
    const { card, waiting } = await stage.hold();
    const kill = (user: string) =>
      stage.holds.receive({
        kind: 'kill',
        v: 1,
        id: `kill-${user}`,
        hold: card.hold,
        voter: stage.attest(user),
        clickedAt: Date.now(),
        channel: card.channel,
      });
    assert.equal((await kill('U0DAVE'))?.counted, false);
    assert.equal((await kill('U0BOB'))?.counted, false, 'not the sponsor either');
    assert.deepEqual((await kill('U0CAROL'))?.text, 'The session was ended.');
    assert.equal(stage.audit.of('kill').length, 3);
    waiting.controller.abort();
  });

  it('that only plans something has no session to end, says its card and whoever tries all the same is told', async () => {
    const { card, waiting } = await stage.hold(operation({ plan: true }));
    assert.equal(card.plan, true);
    const receipt = await stage.holds.receive({
      kind: 'kill',
      v: 1,
      id: 'kill-plan',
      hold: card.hold,
      voter: stage.attest('U0CAROL'),
      clickedAt: Date.now(),
      channel: card.channel,
    });
    assert.match(receipt?.text ?? '', /Not counted: this has no session that could be ended/);
    waiting.controller.abort();
  });

  it('keeps what the target says, and what people write, past the detectors', async () => {
    const { answer, card } = await stage.hold(operation({ headline: 'CREATE TABLE public.4111111111111111' }));
    assert.equal(card.headline, 'CREATE TABLE public.[card]');
    await stage.vote(card, 'U0ALICE', { reason: 'paid with 4111111111111111' });
    (await answer).settle({
      kind: 'failed',
      sqlstate: '23505',
      message: 'Key (card)=(4111111111111111) exists',
      ms: 3,
    });
    const done = await stage.card(({ hold, state }) => hold === card.hold && state === 'done');
    assert.equal(done.outcome?.text, '23505: Key (card)=([card]) exists');
    assert.equal(done.votes[0]?.reason, 'paid with [card]');
    const beside = stage.audit.entries.filter(({ kind }) => kind !== 'operation'); // those the real trail masks itself
    assert.ok(!JSON.stringify(beside).includes('4111111111111111'));
  });

  it('remembers nothing of a group that another workspace’s bot describes', async () => {
    const { card, waiting } = await stage.hold();
    assert.match(
      (await stage.vote(card, 'U0ALICE', { voter: stage.attest('U0ALICE', { team: 'T0EVIL' }) })).text,
      /members of this workspace/,
    );
    assert.notEqual(TEAM, 'T0EVIL');
    waiting.controller.abort();
  });
});
