import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { pino } from 'pino';
import type { Receipt, VoteMessage } from '../queue/votes.ts';
import { startSlack } from '../test/slack/server.ts';
import { aCard, CHANNEL, type Stage, stage, until } from '../test/support/bot-stage.ts';
import { Ballot, NOT_COUNTED } from './ballot.ts';
import { checkBot } from './check.ts';
import { BotConfigError, readBotConfig } from './config.ts';
import { boltLogger } from './log.ts';
import { startBot } from './main.ts';
import { People } from './people.ts';
import { type Slack, SlackError } from './slack.ts';

const log = pino({ level: 'silent' });

describe('a bot in trouble', () => {
  let on: Stage;
  before(async () => {
    on = await stage();
  });
  after(() => on.stop());
  beforeEach(() => on.slack.fault({ kind: 'clear' }));
  const posted = async (shortId: string) => {
    const card = aCard({ shortId });
    await on.card(card);
    const { ts } = await on.shown(card, 'DELETE FROM orders');
    return { card, ts };
  };

  it('hears clicks while one of its connections is being renewed', async () => {
    const { ts } = await posted('renewed');
    assert.equal(on.slack.connections(), 2);
    await on.slack.fault({ kind: 'drop_socket', reason: 'refresh_requested', count: 1 });
    const answer = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    await until('both connections are back', () => on.slack.connections() === 2);
  });

  it('comes back after every connection broke, and says meanwhile that it is not ready', async () => {
    const { ts } = await posted('broken');
    await on.slack.fault({ kind: 'drop_socket', count: 10 });
    await until('not ready', () => on.bots[0]?.troubles().includes('no Socket Mode connection to Slack'));
    await until('ready', () => on.bots[0]?.troubles().length === 0, 15_000);
    const answer = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
    assert.equal(answer.ok, true, JSON.stringify(answer));
  });

  it('refuses a click on an old copy of the card, and on one whose digest changed, without a vote', async () => {
    const { card, ts } = await posted('copied');
    const view = (await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'deny' })).views.at(
      -1,
    ) as { id: string };
    await on.card({ ...card, sequence: 2, revision: 2, digest: 'cd'.repeat(32), headline: 'DROP TABLE public.orders' });
    await on.shown(card, 'DROP TABLE public.orders');
    const late = await on.slack.act('submit', { user: 'U0ALICE', view_id: view.id, values: {} });
    assert.match(JSON.stringify(late), /the request changed since you read it/);
    await on.slack.act('delete', { channel: CHANNEL, ts });
    await on.card({ ...card, sequence: 3, revision: 2, digest: 'cd'.repeat(32), headline: 'DROP TABLE public.orders' });
    await until('a new copy', async () =>
      (await on.messages()).find((one) => one.text.includes('copied') && one.ts !== ts),
    );
    assert.equal(
      on.votes().some(({ hold }) => hold === card.hold),
      false,
    );
  });

  it('starts Details anew when the card changed between two pages', async () => {
    const statement = 'SELECT 1;\n'.repeat(2_000);
    const card = aCard({ shortId: 'paged', statement });
    await on.card(card);
    const { ts } = await on.shown(card, 'more characters');
    const opened = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'details' });
    const { id } = opened.views.at(-1) as { id: string };
    await on.card({ ...card, sequence: 2, revision: 2, digest: 'cd'.repeat(32), headline: 'something else' });
    await on.shown(card, 'something else');
    const turned = await on.slack.act('click', { user: 'U0ALICE', view_id: id, action_id: 'next' });
    assert.match(JSON.stringify(turned.views), /Page 1 of \d+ .*The request changed since you opened it/);
  });

  it('goes on after Redis was restarted', async () => {
    await on.redis.restart();
    const card = aCard({ shortId: 'restart' });
    await until('Redis is back', () =>
      on.card(card).then(
        () => true,
        () => false,
      ),
    );
    const { ts } = await on.shown(card, 'DELETE FROM orders');
    const answer = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    await until('the vote', () => on.votes().find(({ hold }) => hold === card.hold));
  });

  it('does not start on a second workspace, with a wrong token, or with one of another team', async () => {
    const other = await startSlack({
      app: { signingSecret: 'a-signing-secret', botToken: 'xoxb-other', appToken: 'xapp-other', mode: 'socket' },
    });
    try {
      Object.defineProperty(other.workspace, 'team', { value: { ...other.workspace.team, id: 'T0OTHER' } });
      const problem = async (changes: Record<string, string>) => {
        const starting = startBot(readBotConfig({ ...on.env, ...changes }), { log });
        const error = await starting.then(
          async (bot) => bot.stop(),
          (thrown: unknown) => thrown,
        );
        assert.ok(error instanceof BotConfigError, String(error));
        return error.message;
      };
      assert.match(await problem({ SLACK_BOT_TOKEN: 'xoxb-wrong' }), /SLACK_BOT_TOKEN: Slack says invalid_auth/);
      assert.match(
        await problem({ SLACK_TEAM: 'T0OTHER' }),
        /SLACK_TEAM: is T0OTHER, but the bot token is of T0COUNTERSIGN/,
      );
      const elsewhere = { SLACK_API_URL: other.apiUrl, SLACK_BOT_TOKEN: 'xoxb-other', SLACK_APP_TOKEN: 'xapp-other' };
      assert.match(await problem(elsewhere), /one installation has one workspace/);
    } finally {
      await other.stop();
    }
  });

  it('checks tokens, scopes and channel, names what is missing and prints no secret', async () => {
    const config = readBotConfig({ ...on.env, SLACK_CHANNEL: CHANNEL });
    const fine = await checkBot(config, boltLogger(log));
    assert.deepEqual(
      fine.filter(({ ok }) => !ok),
      [],
    );
    on.slack.configure({ scopes: ['chat:write', 'users:read', 'channels:read'] });
    const lines = await checkBot(config, boltLogger(log));
    const failed = lines.filter(({ ok }) => !ok).map(({ text }) => text);
    assert.ok(failed.some((text) => text.startsWith('scope usergroups:read is missing')));
    assert.ok(failed.some((text) => text.startsWith('scope groups:history is missing')));
    assert.doesNotMatch(JSON.stringify(lines), /xoxb-|xapp-/);
  });
});

describe('in HTTP mode', () => {
  it('a request without a valid, recent signature is refused and casts no vote', async () => {
    const on = await stage({ mode: 'http' });
    try {
      const url = `http://${on.env.BOT_HTTP}/slack/events`;
      const body = `payload=${encodeURIComponent(JSON.stringify({ type: 'block_actions', user: { id: 'U0ALICE' }, actions: [] }))}`;
      const now = String(Math.floor(Date.now() / 1000));
      const unsigned: Record<string, string> = {};
      for (const headers of [
        unsigned,
        { 'x-slack-request-timestamp': now, 'x-slack-signature': `v0=${'0'.repeat(64)}` },
        { 'x-slack-request-timestamp': '1000000000', 'x-slack-signature': `v0=${'0'.repeat(64)}` },
      ]) {
        const answer = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
          body,
        });
        assert.equal(answer.status, 401);
      }
      assert.deepEqual(on.votes(), []);
    } finally {
      await on.stop();
    }
  });
});

describe('a ballot', () => {
  const profile = { id: 'U0ALICE', team_id: 'T1', profile: { email: 'a@example.com' }, is_email_confirmed: true };
  const slackOf = (answers: Record<string, () => Record<string, unknown>>): Slack => ({
    call: async (method) => (answers[method] ?? (() => ({})))(),
  });
  const known = {
    'users.info': () => ({ user: profile }),
    'usergroups.list': () => ({ usergroups: [{ id: 'S0DBA', handle: 'dba-oncall' }] }),
    'usergroups.users.list': () => ({ users: ['U0ALICE'] }),
  };
  const click = { id: 'click-1', user: 'U0ALICE', team: 'T1', channel: CHANNEL, at: 1 };
  const choice = { decision: 'approve', revision: 1, from: 'card' } as const;

  it('sends until there is a receipt, with the same id', async () => {
    const sent: VoteMessage[] = [];
    const votes = {
      send: async (_gateway: string, message: VoteMessage) => {
        sent.push(message);
        if (sent.length < 3) throw new Error('Redis is gone');
      },
      ask: async (_gateway: string, message: VoteMessage & { id: string }): Promise<Receipt | undefined> =>
        message.kind === 'vote' && sent.length > 3
          ? { v: 1, id: message.id, hold: message.hold, counted: true, text: 'Counted.' }
          : undefined,
    };
    const people = new People({ slack: slackOf(known), team: 'T1' });
    const answer = await new Ballot({ votes, people, log }).vote(aCard(), choice, click).answer;
    assert.deepEqual(answer, { counted: true, text: 'Counted.' });
    assert.deepEqual([...new Set(sent.map((message) => 'id' in message && message.id))], ['click-1']);
  });

  it('says not counted when no gateway answers in time, and never that it was', async () => {
    const votes = { send: async () => {}, ask: async () => undefined };
    const people = new People({ slack: slackOf(known), team: 'T1' });
    const answer = await new Ballot({ votes, people, log, giveUpMs: 600 }).vote(aCard(), choice, click).answer;
    assert.deepEqual(answer, { counted: false, text: NOT_COUNTED });
  });

  it('attests as unknown the groups Slack does not tell, and as strangers whom it does not know', async () => {
    const refuse = (error: string) => () => {
      throw new SlackError('x', { kind: 'refused', error });
    };
    const people = new People({
      slack: slackOf({
        ...known,
        'usergroups.users.list': refuse('missing_scope'),
        'users.info': refuse('user_not_found'),
      }),
      team: 'T1',
    });
    const attestation = await people.attest('U0ALICE', ['@dba-oncall', '@dba-oncall', 'U0BOB', 'oidc:sre', '@gone']);
    assert.deepEqual(attestation.unknown, ['@dba-oncall', '@gone']);
    assert.deepEqual(attestation.groups, []);
    assert.equal(attestation.stranger, true);
    const foreign = new People({ slack: slackOf(known), team: 'T1' });
    assert.equal((await foreign.attest('U0ALICE', [])).stranger, false);
    assert.equal((await foreign.attest('U0ALICE', [], { team: 'T2' })).stranger, true);
    const wrong = new People({
      slack: slackOf({ ...known, 'users.info': () => ({ user: { ...profile, id: 'U0MALLORY' } }) }),
      team: 'T1',
    });
    assert.equal((await wrong.attest('U0ALICE', [])).stranger, true);
  });

  it('says what people are called, of those Slack names within a second, as no group is called', async () => {
    const slack: Slack = {
      call: async (_method, { user: id } = {}) =>
        id === 'U0SLOW' ? new Promise(() => {}) : { user: { id, real_name: id === 'U0ALICE' ? ' @dba-oncall' : '' } },
    };
    const names = await new People({ slack, team: 'T1' }).names(['U0ALICE', 'U0SLOW', 'U0BLANK', '@leads', 'oidc:sre']);
    assert.deepEqual([...names], [['U0ALICE', 'dba-oncall']]);
  });

  it('reads a profile anew for a click after five seconds, and at once after Slack said it changed', async () => {
    let reads = 0;
    let now = 1_000_000;
    const counting = slackOf({
      ...known,
      'users.info': () => {
        reads += 1;
        return { user: profile };
      },
    });
    const people = new People({ slack: counting, team: 'T1', now: () => now });
    await people.attest('U0ALICE', []);
    await people.attest('U0ALICE', []);
    assert.equal(reads, 1);
    people.userChanged('U0ALICE');
    await people.attest('U0ALICE', []);
    assert.equal(reads, 2);
    now += 5_001;
    assert.equal((await people.attest('U0ALICE', [])).readAt, now);
    assert.equal(reads, 3);
  });
});
