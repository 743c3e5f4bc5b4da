/** `--check` over the emulated workspace: each fault by name, with what repairs it. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { CHANNEL, type Stage, stage } from '../test/support/bot-stage.ts';
import { checkBot } from './check.ts';
import { readBotConfig } from './config.ts';
import { boltLogger, newLog } from './log.ts';

describe('bot --check', { timeout: 60_000 }, () => {
  let on: Stage;
  const failed = async (
    places: { channels?: string[]; approvers?: { name: string; quorum: number }[] } = {},
    env: Record<string, string> = {},
  ) => {
    const config = readBotConfig({ ...on.env, ...env });
    const lines = await checkBot(config, boltLogger(newLog('silent')), { channels: [], approvers: [], ...places });
    assert.doesNotMatch(JSON.stringify(lines), /xoxb-t|xapp-t|xoxb-wrong|xapp-wrong/);
    return lines.flatMap(({ ok, text }) => (ok ? [] : text)).join('\n');
  };
  let scopes: string[];

  before(async () => {
    on = await stage({ bots: 0 });
    scopes = [...on.slack.workspace.app.scopes];
  });
  after(() => on.stop());
  beforeEach(() => {
    on.slack.configure({ scopes });
    const channel = on.slack.workspace.channels.get(CHANNEL);
    if (channel) Object.assign(channel, { is_archived: false, is_ext_shared: false });
  });

  it('finds nothing wrong where nothing is', async () => {
    const approvers = [
      { name: '@dba-oncall', quorum: 2 },
      { name: 'U0ALICE', quorum: 1 },
      { name: 'oidc:dba', quorum: 3 },
    ];
    assert.equal(await failed({ channels: [CHANNEL], approvers }), '');
  });

  it('names tokens that Slack does not take', async () => {
    assert.match(
      await failed({}, { SLACK_BOT_TOKEN: 'xoxb-wrong' }),
      /bot token \(SLACK_BOT_TOKEN\): invalid_auth: .*copy it again/,
    );
    assert.match(await failed({}, { SLACK_APP_TOKEN: 'xapp-wrong' }), /app token \(SLACK_APP_TOKEN.*invalid_auth/);
    assert.match(await failed({}, { SLACK_TEAM: 'T0OTHER' }), /but SLACK_TEAM is T0OTHER/);
  });

  it('names each scope that is missing, and what it is for', async () => {
    for (const scope of scopes) {
      on.slack.configure({ scopes: scopes.filter((one) => one !== scope) });
      assert.match(
        await failed(),
        new RegExp(`scope ${scope} is missing \\(to .+\\): add it to the app and install it again`),
      );
    }
  });

  it('names a channel that is archived, shared with others, unknown, or without the bot', async () => {
    const channel = on.slack.workspace.channels.get(CHANNEL) ?? assert.fail();
    channel.is_archived = true;
    assert.match(await failed({ channels: [CHANNEL] }), /is archived: unarchive it/);
    Object.assign(channel, { is_archived: false, is_ext_shared: true });
    assert.match(await failed({ channels: [CHANNEL] }), /shared with another organisation: no card is posted there/);
    channel.is_ext_shared = false;
    assert.match(
      await failed({ channels: ['C0GENERAL'] }),
      /channel C0GENERAL: the bot is not in it: \/invite it there/,
    );
    assert.match(await failed({ channels: ['C0NOWHERE'] }), /channel C0NOWHERE: channel_not_found: .*\/invite/);
  });

  it('names approvers who are nobody, too few, or may not decide', async () => {
    const of = (name: string, quorum = 1) => failed({ approvers: [{ name, quorum }] });
    assert.match(await of('@nobody'), /group @nobody: the workspace has none/);
    assert.match(await of('@dba-oncall', 20), /group @dba-oncall has \d+ members, and a rule asks for 20: add people/);
    assert.match(await of('U0GUEST'), /approver U0GUEST is a guest/);
    assert.match(await of('U0NOBODY'), /approver U0NOBODY: user_not_found/);
    on.slack.configure({ scopes: scopes.filter((one) => one !== 'usergroups:read') });
    assert.match(await of('@dba-oncall'), /user groups: missing_scope: a scope is missing/);
  });

  it('says in HTTP mode where Slack’s requests have to come in, and asks for no app token', async () => {
    const env = { ...on.env, SLACK_MODE: 'http', BOT_HTTP: '127.0.0.1:3999', SLACK_APP_TOKEN: undefined };
    const lines = await checkBot(readBotConfig(env), boltLogger(newLog('silent')));
    assert.ok(lines.some(({ text }) => /reach 127\.0\.0\.1:3999 at \/slack\/events/.test(text)));
    assert.ok(!lines.some(({ text }) => text.startsWith('app token')));
  });
});
