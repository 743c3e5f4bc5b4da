/** Who is asked, and where: through a gateway, a bot and an emulated workspace, by live sessions that wait. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { type Block, eventually, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';

const holds = (id: string, object: string, more: Record<string, unknown>) => ({
  id,
  match: { action: ['ddl'], object },
  verdict: 'hold',
  why: 'Looked at',
  ...more,
});
const rules = [
  holds('slow', 'slow', { quorum: 2, expires: '20s', notify: 'both', escalate: { to: PEOPLE.guest, after: '3s' } }),
  holds('elsewhere', 'elsewhere', { channel: 'C0GENERAL' }),
  holds('alone', 'alone', { notify: 'dm' }),
  holds('asked', 'asked', {}),
];

describe('who is asked, and where', { timeout: 180_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    world = await startWorld({ bots: 2, config: (config: Config) => ({ ...config, masking: [], rules }) });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    await withClient(world.upstreamUrl, async (client) => {
      for (const table of ['slow', 'elsewhere', 'alone', 'asked', 'quiet'])
        await client.query(`CREATE TABLE ${table} (id int)`);
    });
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const drop = async (table: string, person?: string) => {
    const url = new URL(await world.downstream());
    if (person) {
      url.username = person;
      url.password = await exchanged(await world.oidc.personToken(person));
    }
    const psql = new Psql(url.href);
    psql.send(`DROP TABLE ${table};`);
    await psql.until('held for approval');
    return psql;
  };
  const exchanged = async (jwt: string): Promise<string> => {
    const headers = { authorization: `Bearer ${jwt}` };
    const answer = await fetch(`${world.gateways[0]?.web}/v1/token`, { method: 'POST', headers });
    return ((await answer.json()) as { token: string }).token;
  };
  const about = (table: string) => (message: Message) =>
    message.thread_ts === undefined && shownBy(message).includes(`DROP TABLE ${table}`);
  /** The card in this channel, once it says `text`. */
  const card = async (table: string, channel: string, text: string, ms?: number): Promise<Message> => {
    const found = await eventually(
      async () =>
        (await slack.messages({ channel })).filter(about(table)).find((one) => JSON.stringify(one).includes(text)),
      ms,
    );
    assert.ok(found, `no card about ${table} in ${channel} says ${text}`);
    return found;
  };
  const under = async (message: Message, channel = world.channel) =>
    (await slack.messages({ channel })).filter(({ thread_ts }) => thread_ts === message.ts).map(({ text }) => text);
  const says = async (message: Message, pattern: RegExp, channel?: string, ms?: number) => {
    const found = await eventually(async () => (await under(message, channel)).find((text) => pattern.test(text)), ms);
    assert.ok(found, `nothing under it says ${pattern}: ${JSON.stringify(await under(message, channel))}`);
    return found;
  };
  const click = (user: string, channel: string, ts: string, action: string) =>
    slack.post('/click', { user, channel, ts, action_id: action });

  it('asks in the channel and in direct messages; calls others, reminds once, keeps what follows under the card', async () => {
    const psql = await drop('slow');
    const shown = await card('slow', world.channel, 'please decide');
    assert.match(JSON.stringify(shown), /<!subteam\^S0DBA> please decide/);
    const copy = await card('slow', 'D0ALICE', '"approve"');
    await card('slow', 'D0CAROL', '"approve"');
    await says(shown, /^<@U0GUEST> Nobody has decided for 3 s/);
    await click('U0ALICE', 'D0ALICE', copy.ts, 'approve');
    await says(shown, /^Approved by Alice Moreau \(1 of 2 for slow\)\.$/);
    await card('slow', 'D0CAROL', '1 of 2');
    await says(shown, /^<@U0CAROL> Half of the time is over, and this still waits: slow has 1 of 2/);
    await click('U0CAROL', world.channel, shown.ts, 'approve');
    await psql.until('DROP TABLE');
    await says(
      shown,
      /Approved by Carol Lindqvist \(2 of 2 for slow\)\.\nReleased \d\d:\d\d:\d\d UTC\.\nDROP TABLE in/,
    );
    for (const channel of [world.channel, 'D0ALICE', 'D0CAROL']) {
      const over = await card('slow', channel, 'DROP TABLE in');
      assert.doesNotMatch(JSON.stringify(over), /"approve"/);
    }
    assert.equal((await under(shown)).length, 4);
    assert.deepEqual(await under(copy, 'D0ALICE'), [], 'the thread is in the channel');
    assert.equal((await slack.messages()).filter(({ thread_ts }) => thread_ts === undefined).length, 1);
  });

  it('asks in the default channel, and says why, where the rule’s own cannot be used', async () => {
    const psql = await drop('elsewhere');
    const shown = await card('elsewhere', world.channel, 'asked here instead');
    assert.match(
      shownBy(shown),
      /Its own channel \(C0GENERAL\) could not take it \(the bot is not in the channel: invite it/,
    );
    await click('U0ALICE', world.channel, shown.ts, 'approve');
    await psql.until('DROP TABLE');
  });

  it('with dm alone keeps the channel quiet, and the record and its thread with those who may decide', async () => {
    const psql = await drop('alone');
    const copy = await card('alone', 'D0CAROL', '"approve"');
    await click('U0CAROL', 'D0CAROL', copy.ts, 'approve');
    await psql.until('DROP TABLE');
    const theirs = await card('alone', 'D0ALICE', 'DROP TABLE in');
    await says(theirs, /DROP TABLE in/, 'D0ALICE');
    await says(copy, /Approved by Carol Lindqvist/, 'D0CAROL');
    assert.equal((await slack.messages()).some(about('alone')), false);
  });

  it('tells a requester who is a person that it waits, with a link, and what became of it', async () => {
    const psql = await drop('asked', 'alice');
    const shown = await card('asked', world.channel, '"approve"');
    const told = async (pattern: RegExp) => {
      const find = async () => (await slack.messages({ channel: 'D0ALICE' })).find(({ text }) => pattern.test(text));
      const found = await eventually(find);
      assert.ok(found, `alice was not told ${pattern}`);
      return found.text;
    };
    const link = `${world.channel}/p${shown.ts.replace('.', '')}|Open its card>`;
    assert.ok((await told(/^Your request waits for approval until .*DROP TABLE public\.asked/)).includes(link));
    await slack.deny('U0CAROL', shown.ts, 'still in use');
    await psql.until('denied by Carol Lindqvist');
    await told(/^Your request is over\. Denied by Carol Lindqvist: still in use\. Nothing was run\./);
  });

  it('in quiet hours rings those of the night alone', async () => {
    const all = { zone: 'UTC', ring: [PEOPLE.guest] };
    // Both halves of a day, whatever the time is now: one of them is quiet.
    const half = new Date().getUTCHours() < 12 ? { from: '00:00', to: '12:00' } : { from: '12:00', to: '00:00' };
    await world.reconfigure((config) => ({
      ...config,
      approvals: { ...config.approvals, quiet_hours: { ...half, ...all } },
      rules: [...rules, holds('quiet', 'quiet', {})],
    }));
    await new Promise((resolve) => setTimeout(resolve, 2_000)); // the file is looked at every second
    const psql = await drop('quiet');
    const shown = await card('quiet', world.channel, 'please decide');
    const ring = shown.blocks?.find((block: Block) => String(block.block_id).startsWith('mentions'));
    assert.match(JSON.stringify(ring), /"<@U0GUEST> please decide"/);
    await slack.deny('U0ALICE', shown.ts);
    await psql.until('denied by');
  });
});
