/** What a gateway says for App Home: to each person theirs, to admins the rest, over real holds and votes. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { HOME } from '../../queue/home.ts';
import { demand, type HoldStage, holding, operation, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { History } from '../gate/history.ts';
import { Decisions } from '../holds/decisions.ts';
import type { Asker } from './asks.ts';
import { type HomeDeps, homeAnswers } from './home.ts';

describe('a gateway’s part of App Home', { timeout: 120_000 }, () => {
  let stage: HoldStage;
  const history = new History();
  const decisions = new Decisions(Date.now);
  const asker = (user: string, change: Partial<Asker> = {}): Asker => ({
    user,
    team: 'T0ACME',
    name: user,
    admin: false,
    approver: false,
    own: (_principal, sponsor) => sponsor === user,
    channel: '',
    ask: 'home-1',
    ...change,
  });
  const glass = {
    hold: '6f0f2d3e-6d86-4a52-9d0c-0d3e2a6d7a11',
    shortId: 'k3x9ab',
    connection: 'orders',
    environment: 'production',
    headline: 'DROP TABLE glass',
    requester: 'report-bot',
    user: 'U0CAROL',
    name: 'carol',
    reason: 'paged',
    at: Date.now(),
  };
  const said = async (who: Asker, change: Partial<HomeDeps> = {}) => {
    const deps: HomeDeps = {
      gateway: stage.gateway,
      version: '1',
      startedAt: Date.now(),
      now: Date.now,
      holds: stage.holds,
      registry: { list: () => [] },
      history,
      decisions,
      reviews: { list: async () => [] },
      people: stage.holds.people,
      linked: () => [],
      troubles: async () => ({}),
      redact: (text) => text.replaceAll('4111111111111111', '[card]'),
      ...change,
    };
    const { sections = [] } = await homeAnswers(deps).home({ do: 'home' }, who);
    return { sections };
  };
  const home = async (...args: Parameters<typeof said>) => {
    const { sections } = await said(...args);
    return (part: keyof typeof HOME) =>
      sections.filter(({ title }) => title === HOME[part].title).map(({ lines }) => lines.join('\n'));
  };

  before(async () => {
    stage = await startHoldStage({ followers: [decisions.follower] });
    await stage.holds.people.known(['@dba-oncall']);
  });
  after(() => stage.stop());
  beforeEach(() => asUsual(stage));

  it('lists a hold for those whose vote would count, and neither for its sponsor nor for others', async () => {
    const { card } = await stage.hold(operation({ headline: 'DROP TABLE waits 4111111111111111' }));
    assert.match((await home(asker('U0ALICE')))('waits').join(), /PRODUCTION · orders: DROP TABLE waits \[card\]/);
    for (const user of ['U0BOB', 'U0EVE']) assert.deepEqual((await home(asker(user)))('waits'), [], user);
    const linked = [{ slack: 'U0CAROL', issuer: 'https://login.example.com', subject: 'report-bot' }];
    assert.deepEqual((await home(asker('U0CAROL'), { linked: () => linked }))('waits'), [], 'their own request');
    assert.deepEqual((await home(asker('U0ALICE')))('holds'), [], 'that is for admins');
    const admin = await home(asker('U0GRACE', { admin: true }));
    assert.equal(admin('holds').length, 1);
    assert.match(admin('gateways').join(), /0 sessions, 1 open hold/);
    await stage.vote(card, 'U0CAROL', { decision: 'deny', reason: 'no' });
  });

  it('lists nothing for another account of somebody who may not decide or sign, as linked by configuration', async () => {
    const own = { issuer: 'https://login.example.com', subject: 'bob' };
    const linked = () => ['U0BOB', 'U0ALICE'].map((slack) => ({ slack, ...own }));
    const { card } = await stage.hold(operation({ headline: 'DROP TABLE twice' }));
    assert.deepEqual((await home(asker('U0ALICE'), { linked }))('waits'), [], 'the sponsor, by another account');
    assert.equal((await home(asker('U0CAROL'), { linked }))('waits').length, 1);
    await stage.vote(card, 'U0CAROL', { decision: 'deny', reason: 'no' });
    const review = { ...glass, user: 'U0BOB', name: 'bob' };
    const buttons = async (user: string) => {
      const { sections } = await said(asker(user, { admin: true }), {
        linked,
        reviews: { list: async () => [review] },
      });
      return sections.filter(({ title }) => title === HOME.reviews.title).map((one) => one.buttons?.length ?? 0);
    };
    assert.deepEqual([await buttons('U0ALICE'), await buttons('U0GRACE')], [[0], [1]]);
  });

  it('moves it from what waits to what was decided, with how it ended, until the vote is taken back', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { answer, card } = await stage.hold(operation({ headline: 'DROP TABLE decided' }));
    const alice = () => home(asker('U0ALICE'));
    await stage.vote(card, 'U0ALICE');
    assert.deepEqual((await alice())('waits'), []);
    assert.match((await alice())('decisions').join(), /approved: orders: DROP TABLE decided \(request \w+, open\)/);
    await stage.vote(card, 'U0ALICE', { decision: 'undo' });
    assert.doesNotMatch((await alice())('decisions').join(), /decided \(/);
    assert.equal((await alice())('waits').length, 1);
    const rejected = assert.rejects(answer);
    await stage.vote(card, 'U0ALICE', { decision: 'deny', reason: 'not today' });
    await rejected;
    assert.match((await alice())('decisions').join(), /denied: orders: DROP TABLE decided \(request \w+, denied\)/);
    assert.match((await alice())('decisions').join(), /As gateway .* remembers it/, 'a restart is no quiet week');
  });

  it('shows sponsors what their agents did, newest first, and nobody else', async () => {
    history.note(operation({ headline: 'SELECT one' }), 'allow');
    history.note(operation({ headline: 'SELECT two', connection: 'billing' }), 'deny');
    const lately = (await home(asker('U0BOB')))('agents').join('|');
    for (const part of [/report-bot on orders: SELECT one \(allow\)/, /on billing: SELECT two \(deny\)/])
      assert.match(lately, part);
    assert.deepEqual((await home(asker('U0ALICE')))('agents'), []);
  });

  it('says to admins what waits for a signature, and that it cannot be known while Redis is away', async () => {
    const admin = asker('U0GRACE', { admin: true });
    const shown = await home(admin, { reviews: { list: async () => [glass] } });
    assert.match(shown('reviews').join(), /DROP TABLE glass[\s\S]*released alone by carol at .*: paged/);
    const away = await home(admin, { reviews: { list: () => Promise.reject(new Error('away')) } });
    assert.deepEqual(away('reviews'), ['Redis does not say what waits for a review.']);
  });
});
