/** Changes that wait for a second admin, on a real Redis with a bot whose workspace the test decides. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type HoldStage, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { maskText } from '../masking/detectors.ts';
import type { Asker, Change } from './asks.ts';
import { Proposals } from './propose.ts';

const asker: Asker = {
  user: 'U0FRANK',
  team: 'T0ACME',
  name: 'frank',
  admin: true,
  approver: false,
  own: () => false,
  channel: 'C0APPROVALS',
  ask: 'ask-1',
};

describe('a change that needs a second admin', { timeout: 60_000 }, () => {
  let stage: HoldStage;
  let admins: string[];
  let objection: string | undefined;
  let expiresMs: number;
  let applied: (readonly string[])[];
  const proposals = new Proposals({
    holds: () => stage.holds,
    audit: { append: (entry) => stage.audit.append(entry) },
    admins: () => admins,
    channel: () => 'C0APPROVALS',
    expiresMs: () => expiresMs,
    objection: async () => objection,
    redact: (text) => maskText(text.replaceAll('4111111111111111', '[card]')).text,
    log: () => {},
  });
  const change = (more: Partial<Change> = {}): Change => ({
    asker,
    headline: 'Loosen rule exports',
    text: 'before: rows > 1000\nafter: rows > 4111111111111111',
    risks: ['widens a rule'],
    why: 'What loosens needs two',
    apply: async (by) => {
      applied.push(by);
      return 'Loosened: rule exports';
    },
    ...more,
  });
  const proposed = async (more: Partial<Change> = {}) => {
    const shortId = await proposals.propose(change(more));
    return stage.card((card) => card.shortId === shortId && card.state === 'open');
  };
  const ended = (hold: string) =>
    stage.card((card) => card.hold === hold && !['open', 'approved', 'released'].includes(card.state));

  before(async () => {
    stage = await startHoldStage({ followers: [proposals.follower] });
  });
  after(() => stage.stop());
  beforeEach(() => {
    asUsual(stage);
    stage.workspace.groups['@gate-admins'] = { id: 'S0ADMINS', members: ['U0FRANK', 'U0GRACE'] };
    admins = ['@gate-admins'];
    objection = undefined;
    expiresMs = 60_000;
    applied = [];
  });

  it('is shown whole, past the detectors, and done once another admin approves; the card says what was done', async () => {
    const card = await proposed({ offers: [{ label: 'Revert', line: 'rules revert 3' }] });
    assert.equal(card.protocol, 'gate');
    assert.match(card.statement, /rows > \[card\]/);
    assert.deepEqual(
      card.demands.map(({ rule, approvers, quorum }) => [rule, approvers, quorum]),
      [['second-admin', ['@gate-admins'], 1]],
    );
    assert.equal(card.requester.slack, 'U0FRANK');
    assert.equal((await stage.vote(card, 'U0GRACE')).counted, true);
    const record = await ended(card.hold);
    assert.deepEqual([record.state, record.outcome?.text], ['done', 'Loosened: rule exports']);
    assert.deepEqual(record.offers, [{ label: 'Revert', line: 'rules revert 3' }]);
    assert.deepEqual(applied, [['U0GRACE']]);
  });

  it('shows rules as they are: two lines that differ in the name of a principal alone do not read as one', async () => {
    const line = (name: string) => `hold delete on orders by ${name} id deletes`;
    const lines = [line('nightly@bots.example.com'), line('nimble@bots.example.com')];
    const masked = await proposed({ text: lines.join('\n') });
    assert.equal(new Set(masked.statement.split('\n')).size, 1, 'past the detectors nothing would seem to change');
    const shown = await proposed({ text: lines.join('\n'), asIs: true });
    assert.deepEqual(shown.statement.split('\n'), lines);
  });

  it('is not approved by whoever asked, nor by who is no admin, nor released alone by break-glass', async () => {
    stage.settings.breakGlass = ['U0FRANK', 'U0BOB'];
    const card = await proposed();
    assert.match((await stage.vote(card, 'U0FRANK')).text, /you made this request; someone else must decide/);
    assert.match((await stage.vote(card, 'U0ALICE')).text, /you are not among @gate-admins/);
    for (const user of ['U0FRANK', 'U0BOB']) {
      const broken = await stage.vote(card, user, { v: 2, decision: 'break', reason: 'everything is on fire' });
      assert.match(broken.text, /cannot be released by one person alone/);
    }
    assert.equal(card.breakGlass, undefined);
    await stage.vote(card, 'U0GRACE', { decision: 'deny', reason: 'no' });
    await ended(card.hold);
    assert.deepEqual(applied, []);
  });

  it('is not approved from another account that the configuration links to whoever asked', async () => {
    const frank = { issuer: 'https://login.example.com', subject: 'frank' };
    stage.settings.people = [
      { slack: 'U0FRANK', ...frank },
      { slack: 'U0FRANK2', ...frank },
    ];
    stage.workspace.groups['@gate-admins'] = { id: 'S0ADMINS', members: ['U0FRANK', 'U0FRANK2', 'U0GRACE'] };
    const card = await proposed();
    assert.match((await stage.vote(card, 'U0FRANK2')).text, /you made this request; someone else must decide/);
    assert.deepEqual(applied, []);
    assert.equal((await stage.vote(card, 'U0GRACE')).counted, true);
    assert.equal((await ended(card.hold)).state, 'done');
  });

  it('is not done when whoever asked is no admin any more', async () => {
    const card = await proposed();
    objection = 'they are no admin now';
    await stage.vote(card, 'U0GRACE');
    const { outcome } = await ended(card.hold);
    assert.match(outcome?.text ?? '', /not done: frank may not ask for it any more: they are no admin now/);
    assert.deepEqual([outcome?.kind, applied], ['failed', []]);
  });

  it('is not done when other people are admins by now', async () => {
    const card = await proposed();
    admins = ['U0OTHER'];
    await stage.vote(card, 'U0GRACE');
    assert.match((await ended(card.hold)).outcome?.text ?? '', /approvals\.admins changed while this waited/);
    assert.deepEqual(applied, []);
  });

  it('says on its card why it failed', async () => {
    const card = await proposed({ apply: () => Promise.reject(new Error('Redis is gone')) });
    await stage.vote(card, 'U0GRACE');
    const { outcome } = await ended(card.hold);
    assert.deepEqual([outcome?.kind, outcome?.text], ['failed', 'Redis is gone']);
  });

  it('is withdrawn when there is nothing left to decide, and says why; others wait on', async () => {
    let lifted = false;
    const [first, other] = [
      await proposed({ moot: () => (lifted ? 'it is lifted already' : undefined) }),
      await proposed(),
    ];
    proposals.withdrawMoot();
    lifted = true;
    proposals.withdrawMoot();
    const { state, settled } = await ended(first.hold);
    assert.deepEqual([state, settled?.reason], ['withdrawn', 'it is lifted already']);
    assert.equal((await stage.vote(other, 'U0GRACE')).counted, true);
    assert.equal((await ended(other.hold)).state, 'done');
    assert.deepEqual(applied, [['U0GRACE']]);
    const late = await proposals.propose(change({ moot: () => 'it was lifted while this was asked' }));
    assert.equal((await stage.card((card) => card.shortId === late && card.state !== 'open')).state, 'withdrawn');
  });

  it('expires undone', async () => {
    expiresMs = 300;
    const card = await proposed();
    assert.equal((await ended(card.hold)).state, 'expired');
    assert.deepEqual(applied, []);
  });

  it('tells the asker at once where no second admin is left, or nobody can be asked', async () => {
    admins = ['U0FRANK'];
    await assert.rejects(proposals.propose(change()), { code: 'NO_APPROVER' });
    admins = ['@gate-admins'];
    stage.audit.fails = ({ kind }) => kind === 'hold.open';
    await assert.rejects(proposals.propose(change()), { name: 'GatewayError' });
    assert.deepEqual(applied, []);
  });
});
