/** Who stands too near to decide, whatever account they use; and that no click goes unrecorded. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { demand, type HoldStage, holding, operation, startHoldStage } from '../../test/support/hold-stage.ts';

const ISSUER = 'https://login.example.com';

describe('somebody who may not decide', () => {
  let stage: HoldStage;
  before(async () => {
    stage = await startHoldStage();
    stage.workspace.groups['@dba-oncall']?.members.push('U1TWIN');
  });
  beforeEach(() => {
    stage.settings.policy = holding(demand());
    stage.settings.people = [];
    stage.workspace.answers.attest = true;
  });
  after(() => stage.stop());

  const twinOf = (user: string) => stage.attest('U1TWIN', { email: `${user.toLowerCase()}@example.com` });
  const asked = (hold: string) => stage.jobs.filter((job) => job.kind === 'attest' && job.hold === hold);

  it('is found out by e-mail under a second account: the sponsor, at the very first click', async () => {
    stage.workspace.people.U1TWIN = { email: 'U0Bob@Example.com' };
    const { answer, card, waiting } = await stage.hold();
    const { text } = await stage.vote(card, 'U1TWIN', { voter: twinOf('U0BOB') });
    const state = () => stage.cards.get(card.hold)?.state;
    if (!/sponsor/.test(text)) {
      // Counted before the sponsor's address was known: then it is void before anything is released.
      await stage.until('the vote being void', () =>
        stage.audit.of('hold.vote').some(({ hold, why }) => hold === card.hold && /sponsor/.test(String(why))),
      );
    }
    assert.equal(state(), 'open');
    assert.ok(!stage.audit.of('hold.released').some(({ hold }) => hold === card.hold));
    assert.equal((await stage.vote(card, 'U0ALICE')).counted, true);
    await answer;
    waiting.controller.abort();
  });

  it('is found out by e-mail under a second account: the requester, linked to the first', async () => {
    stage.settings.people = [{ slack: 'U0ALICE', issuer: ISSUER, subject: 'alice' }];
    stage.workspace.people.U1TWIN = { email: 'u0alice@example.com' };
    const alice = { issuer: ISSUER, subject: 'alice', kind: 'human' as const, name: 'alice', groups: [] };
    const { card, waiting } = await stage.hold(operation({ principal: alice }));
    await stage.vote(card, 'U1TWIN', { voter: twinOf('U0ALICE') });
    await stage.until('the vote not counting', () =>
      stage.audit.of('hold.vote').some(({ hold, why }) => hold === card.hold && /you made this/.test(String(why))),
    );
    assert.equal(stage.cards.get(card.hold)?.state, 'open');
    assert.ok(!stage.audit.of('hold.released').some(({ hold }) => hold === card.hold));
    waiting.controller.abort();
  });

  it('is asked about again with the votes where no bot answered before, and nothing is released until then', async () => {
    stage.workspace.answers.attest = false;
    const { card, waiting } = await stage.hold();
    assert.equal((await stage.vote(card, 'U0ALICE')).counted, true);
    const questions = await stage.until('a second question', () => asked(card.hold).length > 1 && asked(card.hold));
    assert.deepEqual(
      questions.map((job) => job.kind === 'attest' && job.users),
      [['U0BOB'], ['U0BOB', 'U0ALICE']],
    );
    assert.ok(!stage.audit.of('hold.released').some(({ hold }) => hold === card.hold));
    waiting.controller.abort();
  });

  it('is not an admin of a group that only the admins are in: that one may end a session', async () => {
    const { card, waiting } = await stage.hold();
    const kill = (user: string) =>
      stage.holds.receive({
        kind: 'kill',
        v: 1,
        id: `kill-${user}`,
        hold: card.hold,
        voter: stage.attest(user, { groups: [] }), // the bot read the groups that the card names
        clickedAt: Date.now(),
        channel: card.channel,
      });
    assert.equal((await kill('U0DAVE'))?.counted, false);
    assert.equal((await kill('U0GRACE'))?.text, 'The session was ended.');
    assert.match((await stage.vote(card, 'U0GRACE')).text, /you are not among/, 'and decide nothing');
    waiting.controller.abort();
  });

  it('leaves a record with every click, also on an old card, too often, too late, or on nothing', async () => {
    const { answer, card } = await stage.hold();
    const recorded = (hold: string) => stage.audit.of('hold.vote').filter((entry) => entry.hold === hold);
    await stage.vote(card, 'U0ALICE', { revision: 7 });
    await stage.vote(card, 'U0ALICE', { digest: 'ab'.repeat(32) });
    assert.equal(recorded(card.hold).length, 2);
    for (let n = 0; n < 31; n++) await stage.holds.receive(stage.voteOf(card, 'U0DAVE'));
    assert.equal(recorded(card.hold).length, 33);
    assert.match(String(recorded(card.hold).at(-1)?.why), /too often/);
    await stage.vote(card, 'U0CAROL');
    await answer;
    (await answer).settle({ kind: 'done', tag: 'DROP TABLE', rows: undefined, ms: 1 });
    const before = recorded(card.hold).length;
    assert.match(
      (await stage.vote(card, 'U0ALICE', { decision: 'deny', reason: '4111111111111111' })).text,
      /released/,
    );
    const nowhere = randomUUID();
    await stage.vote({ ...card, hold: nowhere }, 'U0ALICE');
    const kill = { kind: 'kill', v: 1, id: 'late', hold: card.hold, voter: stage.attest('U0CAROL') } as const;
    await stage.holds.receive({ ...kill, clickedAt: Date.now(), channel: card.channel });
    assert.equal(recorded(card.hold).length, before + 1);
    assert.deepEqual(recorded(card.hold).at(-1)?.reason, '[card]');
    assert.equal(recorded(nowhere).length, 1);
    assert.ok([...recorded(card.hold).slice(before), ...recorded(nowhere)].every(({ counted }) => counted === false));
    assert.ok(stage.audit.of('kill').some(({ vote, counted }) => vote === 'late' && counted === false));
  });
});
