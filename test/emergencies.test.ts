/** Bad nights in Slack: a glass broken and reviewed, a vote taken back, a flood that keeps nobody else waiting. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, hasButton, type Message, shownBy, type View, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, bob, carol } = PEOPLE;
const rules = [
  {
    id: 'two-eyes',
    match: { object: 'two_eyes*' },
    verdict: 'hold',
    approvers: ['@dba-oncall'],
    quorum: 2,
    why: 'Two look',
  },
  { id: 'one-eye', match: { object: 'flooded' }, verdict: 'hold', approvers: ['@dba-oncall'], why: 'One looks' },
];

describe('emergencies in Slack', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    world = await startWorld({
      config: (config: Config) => ({
        ...config,
        rules,
        approvals: { ...(config.approvals as object), break_glass: [carol, bob] },
        limits: { open_holds_per_principal: 100, login: '60s' },
      }),
    });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    await withClient(world.upstreamUrl, async (client) => {
      for (const table of ['two_eyes_1', 'two_eyes_2', 'flooded']) await client.query(`CREATE TABLE ${table} (id int)`);
    });
  });
  afterEach(() => Psql.endAll());
  after(async () => {
    await world?.stop();
  });

  const session = async (client = 'report-bot') => new Psql(await world.downstream({ client }));
  const viewOf = (views: readonly View[]): View => views.at(-1) ?? assert.fail('no window opened');
  const reason = (value: string) => ({ reason: { reason: { type: 'plain_text_input', value } } });

  it('one person breaks the glass, the channel is told, and another admin signs the review', async () => {
    const psql = await session();
    psql.send('DROP TABLE two_eyes_1;');
    const card = await slack.card('two_eyes_1');
    const refused = await slack.click(bob, { ts: card.ts }, 'more', 'glass');
    const sponsors = await slack.submit(bob, viewOf(refused.views).id, reason('orders are stuck, paged at 03:10'));
    assert.match(JSON.stringify(sponsors), /you are the sponsor/);
    const opened = await slack.click(carol, { ts: card.ts }, 'more', 'glass');
    const view = viewOf(opened.views);
    assert.match(JSON.stringify(view), /What emergency is it\?/);
    const short = await slack.submit(carol, view.id, reason('urgent'));
    assert.match(JSON.stringify(short), /at least 10 characters/);
    await slack.submit(carol, view.id, reason('orders are stuck, paged at 03:10'));
    await psql.until('DROP TABLE');
    const alarm = await slack.message(/Break-glass: .* released request/);
    assert.match(shownBy(alarm), /orders are stuck, paged at 03:10/);
    assert.ok(hasButton(alarm, 'gate.0'));
    const own = await told(carol, () => slack.click(carol, { ts: alarm.ts }, 'gate.0'));
    assert.match(shownBy(own), /you broke this glass; another admin has to review it/i);
    const signed = await told(alice, () => slack.click(alice, { ts: alarm.ts }, 'gate.0'));
    assert.match(shownBy(signed), /Signed: the release of request \w{6} by .* is reviewed/);
    const over = await slack.message((shown, { ts }) => ts === alarm.ts && /Reviewed: signed by Alice/.test(shown));
    assert.ok(!hasButton(over, 'gate.0'), 'nobody is asked to sign it again');
    assert.match(shownBy(over), /orders are stuck, paged at 03:10/);
    const trail = await world.command('audit', 'show', `${world.dir}/audit-1`);
    assert.match(trail, /review\.signed/);
  });

  it('an approval taken back does not count', async () => {
    const psql = await session();
    psql.send('DROP TABLE two_eyes_2;');
    const card = await slack.card('two_eyes_2');
    assert.equal((await slack.click(alice, { ts: card.ts }, 'approve')).ok, true);
    await slack.message((shown, { ts }) => ts === card.ts && shown.includes('1 of 2 approvals'));
    assert.equal((await slack.click(alice, { ts: card.ts }, 'more', 'undo')).ok, true);
    await slack.message((shown, { ts }) => ts === card.ts && shown.includes('0 of 2 approvals'));
    assert.equal((await slack.click(carol, { ts: card.ts }, 'approve')).ok, true);
    await slack.message((shown, { ts }) => ts === card.ts && shown.includes('1 of 2 approvals'));
    const [left] = await withClient(
      world.upstreamUrl,
      async (client) => (await client.query("SELECT to_regclass('two_eyes_2') t")).rows,
    );
    assert.ok(left?.t);
    psql.signal('SIGINT');
  });

  it('a flood shares one card, another agent’s card is there within two seconds, and one click denies them all', async () => {
    const before = (await slack.messages()).length;
    const flood = await Promise.all(Array.from({ length: 24 }, () => session()));
    for (const psql of flood) psql.send('DELETE FROM flooded;');
    const held = () => flood.filter((psql) => psql.output.includes('held for approval')).length;
    assert.ok(await eventually(async () => held() === 24, 60_000), `only ${held()} wait`);
    const other = await session('deploy-bot');
    const asked = performance.now();
    other.send('DELETE FROM flooded WHERE id = 77;');
    const [own, took] = await slack.card('id = 77').then((card) => [card, performance.now() - asked] as const);
    assert.ok(took < 10_000, `after ${Math.round(took)} ms`); // where cards stood in one line it would be half a minute
    const collecting = await slack.message((shown) => shown.includes('19 requests within minutes, 19 of them waiting'));
    assert.ok(!hasButton(collecting, 'approve') && hasButton(collecting, 'list') && hasButton(collecting, 'deny-all'));
    assert.ok((await slack.messages()).length - before <= 8, 'five of their own, one for all, one of the other');

    const listed = viewOf((await slack.click(alice, { ts: collecting.ts }, 'list')).views);
    assert.match(JSON.stringify(listed), /flooded/);
    const details = await slack.click(alice, { view_id: listed.id }, 'details');
    const one = viewOf(details.views);
    assert.match(JSON.stringify(one), /DELETE FROM flooded/);
    assert.equal((await slack.click(alice, { view_id: one.id }, 'approve')).ok, true);
    await eventually(async () => flood.filter((psql) => /DELETE 0/.test(psql.output)).length === 1, 10_000);

    assert.equal((await slack.click(carol, { ts: collecting.ts }, 'deny-all')).ok, true);
    await eventually(
      async () => flood.filter((psql) => psql.output.includes('one of many at once')).length === 34,
      20_000,
    );
    const over = await slack.message((shown, { ts }) => ts === collecting.ts && shown.includes('All are over'));
    assert.match(shownBy(over), /18 denied/);
    assert.ok(hasButton(own, 'approve'));
    for (const psql of [...flood, other]) psql.signal('SIGINT');
  });

  /** What only this person sees, once it comes, in answer to what is done. */
  async function told(user: string, work: () => Promise<unknown>): Promise<Message> {
    const before = new Set((await slack.messages({ user })).map(({ ts }) => ts));
    await work();
    const found = await eventually(async () =>
      (await slack.messages({ user })).find(({ ts, ephemeral }) => ephemeral === true && !before.has(ts)),
    );
    return found ?? assert.fail('nothing was answered');
  }
});
