/** Attack classes 38-41 and 49 of the Slack side, through the whole product: no click counts that should not, none is lost. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { type Attacks, attacks, buttonOf, target, withdrawn } from './support/slack-attacks.ts';
import { hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, bob, carol, guest } = PEOPLE;

describe('attacks by clicks, over two gateways, two bots and signed HTTP', { timeout: 180_000 }, () => {
  let world: World;
  let slack: Workspace;
  let held: Attacks['held'];
  let now: Attacks['now'];
  let forged: Attacks['forged'];
  let untouched: Attacks['untouched'];

  before(async () => {
    world = await startWorld({ slackMode: 'http', gateways: 2, bots: 2 });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    ({ held, now, forged, untouched } = attacks(world, slack));
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  it('38 TOCTOU: what was approved is what runs; another statement of the same session is another request', async () => {
    const table = await target(world);
    const { psql, card } = await held(`DELETE FROM ${table.name}`);
    psql.send(`TRUNCATE ${table.name};`); // pipelined behind it: waits, and is asked about on its own
    await slack.click(alice, { ts: card.ts }, 'approve');
    await psql.until('DELETE 1');
    const other = await slack.card(`TRUNCATE ${table.name}`);
    assert.notEqual(other.ts, card.ts);
    const used = await forged(other, {
      actions: [{ type: 'button', action_id: 'approve', ...buttonOf(card, 'approve') }],
    });
    assert.equal(used, 200);
    assert.ok(hasButton(await now(other.ts), 'approve'), 'an approval of one statement moved to another');
    await withdrawn(psql);
  });

  it('39 replay: a foreign secret, an old or future timestamp, a changed body, no signature cast no vote', async () => {
    const table = await target(world);
    const { psql, card } = await held(`DELETE FROM ${table.name}`);
    for (const how of [
      { secret: 'another-secret' },
      { secret: '' },
      { age: 301 },
      { age: -600 },
      { tamper: (body: string) => `${body}&payload=%7B%7D` },
    ])
      assert.equal(await forged(card, {}, how), 401, JSON.stringify(how));
    const bare = await fetch(world.slack?.workspace.app.requestUrl ?? '', { method: 'POST', body: 'payload=%7B%7D' });
    assert.equal(bare.status, 401);
    await untouched(card, table.rows);
    await withdrawn(psql);
  });

  it('39 replay: a signed click of another workspace, or on another app’s message, casts no vote', async () => {
    const table = await target(world);
    const { psql, card } = await held(`DELETE FROM ${table.name}`);
    const value = buttonOf(card, 'approve');
    for (const changes of [
      { team: { id: 'T0OTHER' } },
      { user: { id: alice, team_id: 'T0OTHER' } },
      { team: { id: 'T0OTHER' }, user: { id: alice } },
      { message: { ts: card.ts, bot_id: 'B0OTHER', app_id: 'A0OTHER' } },
      { message: { ts: '1.000001', bot_id: 'B0GATEBOT' } },
      { channel: { id: 'C0GENERAL' } },
      { user: { id: 'U0NOBODY', team_id: 'T0COUNTERSIGN' } },
      { user: { id: 'USLACKBOT' } },
      { actions: [{ type: 'button', action_id: 'approve', ...value, value: value.value.replace(/.$/, 'x') }] },
    ]) {
      assert.equal(await forged(card, changes), 200, JSON.stringify(changes));
    }
    // A vote that did count would come before this one: the bots' answers are in order for one hold.
    const answer = await slack.told(guest, () => slack.click(guest, { ts: card.ts }, 'approve'));
    assert.match(shownBy(answer), /Not counted/);
    await untouched(card, table.rows);
    await withdrawn(psql);
  });

  it('39 replay: a click delivered again after the end runs nothing again', async () => {
    const table = await target(world);
    const { psql, card } = await held(`DELETE FROM ${table.name}`);
    const trigger_id = 'replayed.trigger';
    assert.equal(await forged(card, { trigger_id }), 200);
    await psql.until('DELETE 1');
    await withClient(world.upstreamUrl, (client) => client.query(`INSERT INTO ${table.name} VALUES (2)`));
    assert.equal(await forged(card, { trigger_id }), 200);
    assert.equal(await forged(card, { trigger_id: 'replayed.other' }), 200);
    await slack.message((text) => /Not counted, this is over/.test(text), { user: alice });
    assert.equal(await table.rows(), 1);
    await psql.close();
  });

  it('40 race: a hundred clicks of several people over two gateways and two bots end each hold once', async () => {
    const one = await target(world);
    const two = await target(world);
    const first = await held(`DELETE FROM ${one.name}`, undefined, world.gateways[0]);
    const second = await held(`DELETE FROM ${two.name}`, undefined, world.gateways[1]);
    await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        forged([first, second][n % 2]?.card as Message, {
          user: { id: [alice, carol, bob, guest][Math.floor(n / 2) % 4], team_id: 'T0COUNTERSIGN' },
        }),
      ),
    );
    for (const { psql, card } of [first, second]) {
      await psql.until('DELETE 1');
      const record = await slack.message((text, message) => message.ts === card.ts && /DELETE 1 row in/.test(text));
      assert.equal(hasButton(record, 'approve'), false);
      await psql.close();
    }
    const settled = await Promise.all([1, 2].map((n) => trail(n)));
    const released = settled
      .flat()
      .filter(({ kind }) => kind === 'hold.released')
      .map(({ hold }) => hold);
    assert.equal(new Set(released).size, released.length, 'one hold was released twice');
  });

  it('40 race: approve and deny in the same moment leave one end, and the target agrees with the card', async () => {
    const table = await target(world);
    const { psql, card } = await held(`DELETE FROM ${table.name}`);
    const dialog = await slack.click(carol, { ts: card.ts }, 'deny');
    await Promise.all([
      slack.click(alice, { ts: card.ts }, 'approve'),
      slack.submit(carol, String(dialog.views.at(-1)?.id), { reason: { reason: { value: 'no' } } }),
    ]);
    const said = await psql.until(/DELETE 1|ERROR:.*/);
    const record = await slack.message((_, message) => message.ts === card.ts && !hasButton(message, 'approve'));
    const denied = said.includes('ERROR');
    assert.equal(await table.rows(), denied ? 1 : 0);
    assert.match(shownBy(record), denied ? /Denied.*Nothing was run/s : /Approved/);
    await psql.close();
  });

  const trail = async (gateway: number): Promise<{ kind: string; hold?: string }[]> => {
    const dir = `${world.dir}/audit-${gateway}`;
    const files = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.jsonl'));
    const texts = await Promise.all(files.map((name) => readFile(`${dir}/${name}`, 'utf8')));
    return texts.flatMap((text) =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { kind: string; hold?: string }),
    );
  };

  it('41 authority: no one who may not, may: by role, by state of the account, by name, by group', async () => {
    const table = await target(world);
    const { psql, card } = await held(`DELETE FROM ${table.name}`);
    const outsiders: Record<string, Record<string, unknown>> = {
      U0STRANGER: { name: 'stranger', team_id: 'T0OTHER', is_stranger: true },
      U0APPBOT: { name: 'appbot', is_bot: true },
      U0APPUSER: { name: 'appuser', is_app_user: true },
      U0WORKFLOW: { name: 'workflow', is_workflow_bot: true },
      U0INVITED: { name: 'invited', is_invited_user: true },
      U0SINGLE: { name: 'single', is_ultra_restricted: true },
      U0NAMESAKE: { name: 'alice', real_name: 'Alice Moreau' }, // looks like an approver
    };
    for (const [user, person] of Object.entries(outsiders))
      await slack.post('/person', { user, ...person, channels: [world.channel] });
    // All but the namesake have been put into the group: membership alone does not make an approver.
    await slack.post('/group', {
      handle: 'dba-oncall',
      add: [...Object.keys(outsiders).filter((user) => user !== 'U0NAMESAKE'), guest, bob],
    });
    for (const user of [...Object.keys(outsiders), guest, bob]) {
      const answer = await slack.told(user, () => slack.click(user, { ts: card.ts }, 'approve'));
      assert.match(shownBy(answer), /Not counted/, user);
    }
    await slack.post('/deactivate', { user: 'U0NAMESAKE' });
    assert.equal(await forged(card, { user: { id: 'U0NAMESAKE', team_id: 'T0COUNTERSIGN' } }), 200);
    await untouched(card, table.rows);
    await slack.post('/group', { handle: 'dba-oncall', remove: [...Object.keys(outsiders), guest, bob] });
    await withdrawn(psql);
  });

  it('49 Slack down, 429 and 5xx in the middle of a click: an acknowledged vote is counted, once, when Slack is back', async () => {
    for (const fault of [
      { kind: 'rate_limit', method: 'users.info', count: 2, retryAfter: 1 },
      { kind: 'http_5xx', method: 'users.info', count: 2 },
      { kind: 'lose_reply', method: 'chat.update', count: 2 },
      { kind: 'redeliver', count: 1 },
      { kind: 'down', ms: 1_500 },
    ]) {
      const table = await target(world);
      const { psql, card } = await held(`DELETE FROM ${table.name}`);
      await slack.fault(fault);
      // Where it took more than Slack's three seconds to carry, the click shows as failed, and its person clicks again.
      if ((await forged(card, {})) !== 200) assert.equal(await forged(card, {}), 200, JSON.stringify(fault));
      await psql.until('DELETE 1');
      await slack.message((text, message) => message.ts === card.ts && /DELETE 1 row in/.test(text));
      await psql.close();
      await slack.fault({ kind: 'clear' });
    }
  });

  it('49 a bot killed right after a click: what was acknowledged decides, and the other bot writes the record on the one card', async () => {
    const table = await target(world);
    const spare = await world.startBot();
    const [first] = world.bots;
    assert.ok(first);
    const { psql, card } = await held(`DELETE FROM ${table.name}`);
    const clicked = forged(card, {}).catch(() => 0);
    await clicked;
    await first.end('SIGKILL');
    await psql.until('DELETE 1');
    await psql.close();
    assert.ok(spare.alive());
    await slack.message((text, message) => message.ts === card.ts && /DELETE 1 row in/.test(text), { ms: 60_000 });
    const shown = (await slack.messages()).filter((message) =>
      shownBy(message).includes(`DELETE FROM ${table.name}\n`),
    );
    assert.equal(shown.length, 1);
  });
});
