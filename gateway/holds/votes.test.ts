/** Whose vote counts for a hold, for what, and for how long: on real queues, also when the rules change meanwhile. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { demand, type HoldStage, holding, operation, policyOf, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { rejection } from '../../test/support/rejection.ts';
import { systemClock } from './clock.ts';

describe('a vote on a hold', () => {
  let stage: HoldStage;
  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  beforeEach(() => asUsual(stage));

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

  it('takes accounts that the configuration links to one person for one, whoever’s they are', async () => {
    const of = (subject: string, ...slack: string[]) =>
      slack.map((user) => ({ slack: user, issuer: 'https://login.example.com', subject }));
    stage.settings.policy = holding(demand({ quorum: 2 }));
    stage.workspace.groups['@dba-oncall']?.members.push('U1ALICE', 'U1BOB');
    stage.settings.people = [...of('alice', 'U0ALICE', 'U1ALICE'), ...of('bob', 'U0BOB', 'U1BOB')];
    const { answer, card } = await stage.hold();
    assert.match((await stage.vote(card, 'U1BOB')).text, /you are the sponsor of report-bot/);
    assert.equal((await stage.vote(card, 'U0ALICE')).counted, true);
    assert.match((await stage.vote(card, 'U1ALICE')).text, /from another account/);
    assert.equal((await stage.vote(card, 'U0CAROL')).counted, true);
    await answer;
  });

  it('is not waited for where all who are left are one person', async () => {
    const identity = { issuer: 'https://login.example.com', subject: 'alice' };
    stage.settings.people = ['U0ALICE', 'U1ALICE'].map((slack) => ({ slack, ...identity }));
    stage.settings.policy = holding(demand({ quorum: 2, approvers: ['U0ALICE', 'U1ALICE', 'U0BOB'] }));
    const refusal = await rejection(Promise.resolve(stage.gate.admit(operation(), stage.waiting().context)));
    assert.match(refusal.message, /without the requester and the sponsor one person can decide/);
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

  for (const token of [{ jti: 'token-7' }, { hash: 'ab'.repeat(32) }])
    it(`given at a terminal does not outlive the one token it was given with, revoked by its ${Object.keys(token)}`, async () => {
      const issuer = 'https://login.example.com';
      stage.settings.people = [{ slack: 'U0ALICE', issuer, subject: 'alice' }];
      stage.settings.policy = holding(demand({ quorum: 2 }));
      const { answer, card, waiting } = await stage.hold();
      const { hold, digest, revision } = card;
      const terminal = (id: string, of: { jti?: string; hash?: string }) =>
        stage.holds.receiveTerminal({
          kind: 'terminal',
          v: 1,
          id,
          hold,
          digest,
          revision,
          decision: 'approve',
          issuer,
          subject: 'alice',
          name: 'Alice',
          endsAt: Date.now() + 60_000,
          at: Date.now(),
          ...of,
        });
      const given = await terminal(`first-${hold}`, token);
      assert.equal(given.counted, true, given.text);
      stage.settings.revoked = Object.values(token);
      await stage.vote(card, 'U0CAROL');
      const voided = () =>
        stage.audit.of('hold.vote').filter((entry) => entry.hold === hold && entry.user === 'U0ALICE');
      await stage.until('it is void', () => voided().at(-1)?.counted === false);
      assert.match(String(voided().at(-1)?.why), /void at release: access was revoked/);
      assert.ok(!stage.audit.of('hold.released').some((entry) => entry.hold === hold));
      await terminal(`second-${hold}`, { jti: 'token-8' });
      assert.equal((await answer).hold, hold, 'another token of the same person is as good as ever');
      waiting.controller.abort();
    });
});

it('does not count what Slack said of a clicker before the gateway stood still for long', async () => {
  let paused = 0;
  const stage = await startHoldStage({ clock: { ...systemClock, monotonic: () => systemClock.monotonic() + paused } });
  const { answer, card, waiting } = await stage.hold();
  const answers = { ...stage.workspace.answers };
  stage.workspace.answers = {
    ...answers,
    get attest() {
      paused += 70_000; // a bot has answered; the process goes on only then
      return answers.attest;
    },
  };
  const old = Date.now() - 61_000;
  const late = await stage.vote(card, 'U0ALICE', { clickedAt: old, voter: stage.attest('U0ALICE', { readAt: old }) });
  assert.deepEqual(
    [late.counted, late.text],
    [false, 'Not counted: it took too long to ask Slack about you; click again.'],
  );
  waiting.controller.abort();
  await rejection(answer);
  await stage.stop();
});
