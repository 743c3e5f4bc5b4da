/** Holds from the client's side to the card's and back, on real queues: who is asked, who counts, what is released. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  demand,
  type HoldStage,
  holding,
  operation,
  policyOf,
  startHoldStage,
  TEAM,
} from '../../test/support/hold-stage.ts';
import { GatewayError } from '../errors.ts';

const code = (expected: string) => (error: unknown) => error instanceof GatewayError && error.code === expected;
const rejection = (promise: Promise<unknown>): Promise<GatewayError> =>
  promise.then(
    () => assert.fail('it was let through'),
    (error) => {
      assert.ok(error instanceof GatewayError, String(error));
      return error;
    },
  );

describe('a hold', () => {
  let stage: HoldStage;
  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  beforeEach(() => {
    stage.settings.policy = holding(demand());
    stage.settings.people = [];
    stage.settings.oidc = {};
    stage.workspace.groups = { '@dba-oncall': { id: 'S0DBA', members: ['U0ALICE', 'U0CAROL', 'U0BOB'] } };
    stage.workspace.people = {};
    stage.workspace.answers = { directory: true, attest: true };
    stage.audit.fails = () => false;
  });

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

  const refusals: [string, string, Parameters<HoldStage['attest']>[1], RegExp][] = [
    ['a guest', 'U0ALICE', { guest: true }, /guests cannot vote/],
    ['a bot', 'U0ALICE', { bot: true }, /bots cannot vote/],
    ['a stranger', 'U0ALICE', { stranger: true }, /only members of this workspace/],
    ['somebody of another workspace', 'U0ALICE', { team: 'T0EVIL' }, /only members of this workspace/],
    ['a deactivated account', 'U0ALICE', { deleted: true }, /deactivated/],
    ['somebody invited', 'U0ALICE', { invited: true }, /has not accepted/],
    ['the sponsor', 'U0BOB', {}, /you are the sponsor of report-bot/],
    ['somebody with the requester’s e-mail', 'U0ALICE', { email: 'Bot-Owner@Example.com' }, /you made this request/],
    ['somebody whom no rule names', 'U0DAVE', {}, /you are not among @dba-oncall/],
    [
      'somebody in a group that took the handle',
      'U0DAVE',
      { groups: [{ id: 'S0OTHER', handle: 'dba-oncall', readAt: Date.now() }] },
      /you are not among/,
    ],
    [
      'somebody whose groups could not be read',
      'U0ALICE',
      { groups: [], unknown: ['@dba-oncall'] },
      /could not be read from Slack/,
    ],
  ];
  for (const [who, user, change, why] of refusals) {
    it(`does not count ${who}`, async () => {
      const { answer, card, waiting } = await stage.hold();
      const receipt = await stage.vote(card, user, { voter: stage.attest(user, change) });
      assert.equal(receipt.counted, false);
      assert.match(receipt.text, why);
      const denial = await stage.vote(card, user, { voter: stage.attest(user, change), decision: 'deny' });
      assert.equal(denial.counted, false, 'nor a denial');
      waiting.controller.abort('done here');
      await rejection(answer);
    });
  }

  it('does not count the requester, linked by configuration or by principal', async () => {
    stage.settings.people = [{ slack: 'U0ALICE', issuer: 'https://login.example.com', subject: 'report-bot' }];
    const linked = await stage.hold();
    assert.match((await stage.vote(linked.card, 'U0ALICE')).text, /you made this request/);
    stage.settings.people = [];
    const own = operation();
    const human = { ...own, principal: { ...own.principal, kind: 'human' as const, slack: 'U0CAROL' } };
    const direct = await stage.hold(human);
    assert.match((await stage.vote(direct.card, 'U0CAROL')).text, /you made this request/);
    linked.waiting.controller.abort();
    direct.waiting.controller.abort();
  });

  it('needs two people for a quorum of two: the same one twice, or the same e-mail on two accounts, is one', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { answer, card } = await stage.hold();
    assert.equal((await stage.vote(card, 'U0ALICE')).text, 'Counted: 1 of 2 for schema-changes.');
    assert.match((await stage.vote(card, 'U0ALICE')).text, /approved this already/);
    stage.workspace.groups['@dba-oncall']?.members.push('U1ALICE');
    const twin = await stage.vote(card, 'U1ALICE', {
      voter: stage.attest('U1ALICE', { email: 'u0alice@example.com' }),
    });
    assert.match(twin.text, /from another account/);
    const half = await stage.card(({ hold, demands }) => hold === card.hold && demands[0]?.counted === 1);
    assert.equal(half.state, 'open');
    assert.equal((await stage.vote(card, 'U0CAROL')).counted, true);
    assert.equal((await answer).hold, card.hold);
  });

  it('needs every rule that holds it; one vote counts for each that names the person', async () => {
    stage.workspace.groups['@security'] = { id: 'S0SEC', members: ['U0ALICE', 'U0ERIN'] };
    stage.settings.policy = holding(demand(), demand({ rule: 'exports', approvers: ['@security'], quorum: 2 }));
    const { answer, card, waiting } = await stage.hold();
    assert.match(waiting.told[0]?.text ?? '', /asking @dba-oncall \(0 of 1\) and @security \(0 of 2\)/);
    const both = await stage.vote(card, 'U0ALICE');
    assert.equal(both.text, 'Counted: 1 of 1 for schema-changes; 1 of 2 for exports.');
    const second = await stage.vote(card, 'U0ERIN');
    assert.equal(second.text, 'Counted: 2 of 2 for exports.');
    await answer;
  });

  it('counts an approval without a reason only where none is required, and takes the reason later', async () => {
    stage.settings.policy = holding(demand({ requireReason: true }), demand({ rule: 'other', approvers: ['U0CAROL'] }));
    const { answer, card } = await stage.hold();
    assert.match((await stage.vote(card, 'U0ALICE')).text, /not for schema-changes, which asks for a reason/);
    assert.match((await stage.vote(card, 'U0CAROL')).text, /1 of 1 for other/);
    assert.equal((await stage.vote(card, 'U0ALICE', { reason: 'ticket 7' })).counted, true);
    await answer;
  });

  it('counts people of an oidc group only where they are linked and were last seen with it', async () => {
    stage.settings.policy = holding(demand({ approvers: ['oidc:auditors'] }));
    stage.settings.oidc = { auditors: ['U0ERIN'] };
    const { answer, card } = await stage.hold();
    assert.match((await stage.vote(card, 'U0ALICE')).text, /you are not among oidc:auditors/);
    assert.equal((await stage.vote(card, 'U0ERIN')).counted, true);
    await answer;
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

  it('asks anew when the rules become stricter, and what was voted before is void', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { answer, card, waiting } = await stage.hold();
    assert.equal((await stage.vote(card, 'U0ALICE')).counted, true);
    stage.settings.policy = holding(demand({ quorum: 2 }), demand({ rule: 'freeze', approvers: ['U0ERIN'] }));
    stage.holds.rulesChanged();
    const anew = await stage.card(({ hold, revision }) => hold === card.hold && revision === 2);
    assert.deepEqual([anew.votes, anew.demands.map(({ counted }) => counted)], [[], [0, 0]]);
    assert.notEqual(anew.digest, card.digest);
    assert.ok(waiting.told.some(({ kind, text }) => kind === 'changed' && /asking anew/.test(text)));
    const old = await stage.vote(card, 'U0CAROL');
    assert.match(old.text, /has changed since that card/);
    for (const user of ['U0ALICE', 'U0CAROL', 'U0ERIN']) assert.equal((await stage.vote(anew, user)).counted, true);
    await answer;
  });

  it('goes on with its votes when a change of the rules does not concern it', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { answer, card } = await stage.hold();
    await stage.vote(card, 'U0ALICE');
    stage.settings.policy = holding(demand({ quorum: 2 }));
    stage.holds.rulesChanged();
    assert.equal((await stage.vote(card, 'U0CAROL')).counted, true);
    await answer;
  });

  it('is denied by a rule made while it waits, also when nobody said that the rules changed', async () => {
    const told = await stage.hold();
    const untold = await stage.hold();
    stage.settings.policy = policyOf({ kind: 'deny', rules: ['freeze'], rule: 'freeze', why: 'No changes today' });
    await stage.vote(untold.card, 'U0ALICE');
    const error = await rejection(untold.answer);
    assert.match(error.message, /denied by rule freeze: No changes today/);
    assert.doesNotMatch(error.hint ?? '', /person/i);
    stage.holds.rulesChanged();
    assert.equal((await rejection(told.answer)).code, 'DENIED');
  });

  it('takes a vote that travelled for more than a minute only after a bot attested it again', async () => {
    const { answer, card } = await stage.hold();
    const old = Date.now() - 61_000;
    stage.workspace.groups['@dba-oncall'] = { id: 'S0DBA', members: ['U0CAROL', 'U0ERIN'] };
    const gone = await stage.vote(card, 'U0ALICE', {
      clickedAt: old,
      voter: { ...stage.attest('U0ALICE'), groups: [{ id: 'S0DBA', handle: 'dba-oncall', readAt: old }], readAt: old },
    });
    assert.match(gone.text, /you are not among/);
    const still = await stage.vote(card, 'U0CAROL', {
      clickedAt: old,
      voter: stage.attest('U0CAROL', { readAt: old }),
    });
    assert.equal(still.counted, true);
    await answer;
  });

  it('goes on open when a voter left the group between click and release', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { answer, card, waiting } = await stage.hold();
    const old = Date.now() - 20_000; // young enough to count, too old to release on
    await stage.vote(card, 'U0ALICE', { voter: stage.attest('U0ALICE', { readAt: old }) });
    stage.workspace.groups['@dba-oncall'] = { id: 'S0DBA', members: ['U0CAROL', 'U0ERIN'] };
    await stage.vote(card, 'U0CAROL');
    const open = await stage.card(
      ({ hold, votes, sequence }) =>
        hold === card.hold && votes.length === 1 && votes[0]?.user === 'U0CAROL' && sequence > 2,
    );
    assert.deepEqual([open.state, open.demands[0]?.counted], ['open', 1]);
    assert.ok(waiting.told.some(({ text }) => /does not count any more/.test(text)));
    assert.equal((await stage.vote(card, 'U0ERIN')).counted, true);
    await answer;
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
