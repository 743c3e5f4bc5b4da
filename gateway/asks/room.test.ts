/** Who may ask what, on a real Redis with a bot whose workspace the test decides; done once, and on record. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Answer, Ask, GateCommand } from '../../queue/asks.ts';
import type { Attestation } from '../../queue/votes.ts';
import { type HoldStage, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { systemClock } from '../holds/clock.ts';
import type { Answers } from './asks.ts';
import { onceIn } from './once.ts';
import { Room, type RoomDeps } from './room.ts';

const ADMIN = 'U0GRACE';
const APPROVER = 'U0ALICE';

describe('the room that takes what people ask', { timeout: 120_000 }, () => {
  let stage: HoldStage;
  let admins: string[];
  let approvers: string[];
  /** What ran, in order. */
  let done: string[];

  const answers: Partial<Answers> = {
    status: async (_command, { admin, approver, own }) => ({
      ok: true,
      text: [
        admin && 'admin',
        approver && 'approver',
        own('https://i#bob', undefined) && 'own',
        own('x', 'U0BOB') && 'sponsor',
      ]
        .filter(Boolean)
        .join(' '),
    }),
    freeze: async ({ what }) => {
      done.push(what);
      return { ok: what !== 'nothing', text: `Frozen: ${what}` };
    },
    kill: async ({ what }) => {
      done.push(what);
      return { ok: true, text: 'ended' };
    },
  };
  const room = (change: Partial<RoomDeps> = {}) =>
    new Room({
      gateway: stage.gateway,
      authority: {
        people: stage.holds.people,
        linked: () => [{ slack: 'U0BOB', issuer: 'https://i', subject: 'bob' }],
        admins: () => admins,
        approvers: () => approvers,
        now: Date.now,
      },
      answers,
      once: onceIn(stage.store, stage.gateway, systemClock),
      audit: stage.audit,
      terminal: async () => ({ counted: true, text: 'counted' }),
      sealedBy: (key) => (key === 'bot' || key === 'gateway' ? key : undefined),
      redact: (text) => text.replaceAll('4111111111111111', '[card]'),
      log: () => {},
      ...change,
    });
  const askOf = (
    user: string,
    command: GateCommand,
    change: Partial<Attestation> = {},
  ): Extract<Ask, { kind: 'ask' }> => ({
    kind: 'ask',
    v: 1,
    id: `gate-${randomUUID()}`,
    command,
    asker: { ...stage.attest(user), groups: [], ...change },
    at: Date.now(),
    channel: 'C0APPROVALS',
  });
  const ask = (user: string, command: GateCommand, change: Partial<Attestation> = {}): Promise<Answer> =>
    room().answer(askOf(user, command, change), 'bot');
  const freeze: GateCommand = { do: 'freeze', what: 'orders' };

  before(async () => {
    stage = await startHoldStage();
  });
  after(() => stage.stop());
  beforeEach(async () => {
    asUsual(stage);
    stage.workspace.groups['@gate-admins'] = { id: 'S0ADMINS', members: [ADMIN] };
    admins = ['@gate-admins'];
    approvers = ['@dba-oncall'];
    done = [];
    stage.audit.entries.length = 0;
  });

  it('knows admins, approvers, people linked to a principal and sponsors', async () => {
    assert.equal((await ask(ADMIN, { do: 'status' })).text, 'admin');
    assert.equal((await ask(APPROVER, { do: 'status' })).text, 'approver');
    assert.equal((await ask('U0BOB', { do: 'status' })).text, 'approver own sponsor');
    assert.equal((await ask('U0EVE', { do: 'status' })).text, '');
  });

  it('takes admins by their own id and by an issuer’s group, too', async () => {
    admins = ['U0EVE', 'oidc:platform'];
    stage.settings.oidc = { platform: ['U0BOB'] };
    for (const user of ['U0EVE', 'U0BOB']) assert.equal((await ask(user, freeze)).ok, true, user);
    assert.match(
      (await ask(APPROVER, freeze)).text,
      /Only admins change anything, and you are not among oidc:platform, 1 person named by id\.$/,
    );
  });

  it('refuses whoever is no full, present member, whatever the bot said of them with the question', async () => {
    const refusals: [Partial<Attestation>, RegExp][] = [
      [{ guest: true }, /Guests cannot use \/gate/],
      [{ stranger: true }, /Only members of this workspace/],
      [{ team: 'T0OTHER' }, /Only members of this workspace|too long to ask Slack/],
      [{ deleted: true }, /deactivated/],
      [{ bot: true }, /Bots cannot use \/gate/],
      [{ invited: true }, /not accepted its invitation/],
    ];
    for (const [change, why] of refusals) {
      const status = await ask(ADMIN, { do: 'status' }, change);
      assert.equal(status.ok, false, JSON.stringify(change));
      assert.match(status.text, why);
      stage.workspace.people[ADMIN] = change;
      const changed = await ask(ADMIN, freeze);
      assert.equal(changed.ok, false, JSON.stringify(change));
      assert.match(changed.text, why);
      delete stage.workspace.people[ADMIN];
    }
    assert.deepEqual(done, []);
    assert.equal(stage.audit.of('ask').length, 2 * refusals.length);
    assert.ok(stage.audit.of('ask').every(({ accepted, why }) => accepted === false && why));
  });

  it('somebody in a group of the question alone is in no group: a change is judged by what Slack says after it', async () => {
    const forged = { groups: [{ id: 'S0ADMINS', handle: 'gate-admins', readAt: Date.now() }] };
    assert.equal((await ask('U0EVE', freeze, forged)).ok, false);
    stage.workspace.groups['@gate-admins'] = { id: 'S0ADMINS', members: [] };
    assert.match((await ask(ADMIN, freeze)).text, /Only admins change anything/, 'removed a moment ago');
    assert.deepEqual(done, []);
  });

  it('what is not known of a group is no membership: a change is refused, and of a list the rest is left out', async () => {
    stage.workspace.people[ADMIN] = { groups: [], unknown: ['@gate-admins'] };
    const refused = await ask(ADMIN, freeze);
    assert.match(refused.text, /Who is in @gate-admins could not be read from Slack; ask again in a moment/);
    stage.workspace.people.U0EVE = { groups: [], unknown: ['@dba-oncall', '@gate-admins'] };
    const stale = askOf('U0EVE', { do: 'status' }, { readAt: Date.now() - 120_000 });
    const narrowed = await room().answer(stale, 'bot');
    assert.match(narrowed.text, /could not be read from Slack now: what is not yours is left out/);
    assert.deepEqual(done, []);
  });

  it('refuses while no bot says who asks', async () => {
    stage.workspace.answers.attest = false;
    const refused = await ask(ADMIN, freeze);
    assert.match(refused.text, /It took too long to ask Slack about you; ask again/);
    assert.deepEqual(done, []);
  });

  it('a handle that now stands for another group makes nobody an admin', async () => {
    assert.equal((await ask(ADMIN, freeze)).ok, true);
    stage.workspace.groups['@gate-admins'] = { id: 'S0OTHER', members: ['U0EVE'] };
    assert.equal((await ask('U0EVE', freeze)).ok, false);
    assert.deepEqual(done, ['orders']);
  });

  it('records what changes something before it is done, and what was not done after', async () => {
    await ask(ADMIN, { do: 'freeze', what: 'nothing', why: 'card 4111111111111111' });
    const [accepted, undone] = stage.audit.of('ask');
    assert.deepEqual(
      [accepted?.accepted, accepted?.user, accepted?.command],
      [true, ADMIN, { do: 'freeze', what: 'nothing', why: 'card [card]' }],
    );
    assert.deepEqual([undone?.done, undone?.why], [false, 'Frozen: nothing']);
    await ask(ADMIN, { do: 'status' });
    assert.equal(stage.audit.of('ask').length, 2, 'whoever only looks leaves no entry');
    stage.audit.fails = ({ kind }) => kind === 'ask';
    assert.equal((await ask(ADMIN, freeze)).ok, false, 'nothing is done unrecorded');
    assert.deepEqual(done, ['nothing']);
  });

  it('does the same ask once: here, on another gateway, and while the first is still at it', async () => {
    const here = room();
    const there = room({ gateway: 'gw-other', once: onceIn(stage.store, 'gw-other', systemClock) });
    const asked = askOf(ADMIN, freeze);
    const [first, again, other] = await Promise.all([
      here.answer(asked, 'bot'),
      here.answer(asked, 'bot'),
      there.answer(asked, 'bot'),
    ]);
    assert.equal(first, again);
    assert.deepEqual({ ...other, gateway: '' }, { ...first, gateway: '' });
    assert.deepEqual(done, ['orders']);
    const kill = askOf(ADMIN, { do: 'kill', what: 'report-bot' });
    await Promise.all([here.answer(kill, 'bot'), there.answer(kill, 'bot'), there.answer(kill, 'bot')]);
    assert.deepEqual(done, ['orders', 'report-bot', 'report-bot'], 'each gateway ends its own sessions, once');
  });

  it('says so where nobody answers a subcommand', async () => {
    assert.deepEqual((await ask(ADMIN, { do: 'grants' })).text, '/gate grants is not here yet.');
  });

  it('takes asks from bots alone, and votes of terminals from gateways alone', async () => {
    const refused = await room().answer(askOf(ADMIN, freeze), 'gateway');
    assert.equal(refused.ok, false);
    const vote: Ask = {
      kind: 'terminal',
      v: 1,
      id: 'terminal-1',
      hold: randomUUID(),
      digest: 'ab'.repeat(32),
      revision: 1,
      decision: 'approve',
      issuer: 'https://i',
      subject: 'bob',
      name: 'Bob',
      endsAt: Date.now() + 60_000,
      at: Date.now(),
    };
    assert.equal((await room().answer(vote, 'bot')).ok, false, 'a bot could vote for anybody');
    assert.equal((await room().answer({ ...vote, id: 'terminal-2' }, 'gateway')).ok, true);
    assert.deepEqual(done, []);
  });

  it('what throws something unforeseen is a refusal, not an end', async () => {
    const broken = room({
      answers: {
        status: async () => {
          throw new Error('boom');
        },
      },
    });
    const answer = await broken.answer(askOf(ADMIN, { do: 'status' }), 'bot');
    assert.deepEqual([answer.ok, answer.text], [false, 'Boom.']);
  });
});
