/** Attack classes 38-49 of the Slack side, through the whole product: every one fails closed, says so, runs nothing twice. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { PEOPLE, startWorld, type World } from './support/world.ts';

const { alice, bob, carol, guest } = PEOPLE;
let tables = 0;

/** A table with one row, and what has become of it. */
async function target(world: World): Promise<{ name: string; rows(): Promise<number> }> {
  const name = `attacked_${tables++}`;
  const query = <T>(sql: string) =>
    withClient(world.upstreamUrl, async (client) => (await client.query(sql)).rows[0] as T);
  await query(`CREATE TABLE ${name} AS SELECT 1 AS id`);
  return { name, rows: async () => (await query<{ n: number }>(`SELECT count(*)::int AS n FROM ${name}`)).n };
}

describe('attacks by way of Slack, over two gateways, two bots and signed HTTP', { timeout: 180_000 }, () => {
  let world: World;
  let slack: Workspace;

  before(async () => {
    world = await startWorld({ slackMode: 'http', gateways: 2, bots: 2 });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  after(async () => {
    await Psql.endAll();
    await world?.stop();
  });

  const held = async (statement: string, shown = statement, gateway = world.gateways[0]) => {
    const psql = new Psql(await world.downstream({ gateway }));
    psql.send(`${statement};`);
    return { psql, card: await slack.card(shown) };
  };
  const now = (ts: string): Promise<Message> => slack.message((_, message) => message.ts === ts);
  const withdrawn = async (psql: Psql) => {
    psql.signal('SIGINT');
    await psql.until(/cancel|withdrawn/i);
    await psql.close();
  };
  const buttonOf = (card: Message, action: string) => {
    for (const block of card.blocks ?? []) {
      const elements = (Array.isArray(block.elements) ? block.elements : []) as {
        action_id?: string;
        value?: string;
      }[];
      const found = elements.find(({ action_id }) => action_id === action);
      if (found) return { block_id: String(block.block_id), value: String(found.value) };
    }
    throw new Error(`no button ${action}`);
  };
  /** What Slack would send for a click, with whatever is to be forged; signed as told. */
  const forged = async (
    card: Message,
    changes: Record<string, unknown>,
    how: { secret?: string; age?: number; tamper?: (body: string) => string } = {},
  ) => {
    const { block_id, value } = buttonOf(card, 'approve');
    const payload = {
      type: 'block_actions',
      user: { id: alice, team_id: 'T0COUNTERSIGN' },
      team: { id: 'T0COUNTERSIGN', domain: 'acme' },
      api_app_id: 'A0COUNTERSIGN',
      trigger_id: `forged.${Math.random()}`,
      channel: { id: world.channel },
      message: { ts: card.ts, bot_id: 'B0GATEBOT', app_id: 'A0COUNTERSIGN' },
      actions: [{ type: 'button', action_id: 'approve', block_id, value }],
      ...changes,
    };
    const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
    const stamp = Math.floor(Date.now() / 1000) - (how.age ?? 0);
    const hmac = createHmac('sha256', how.secret ?? world.slack?.workspace.app.signingSecret ?? '');
    const response = await fetch(world.slack?.workspace.app.requestUrl ?? '', {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'x-slack-request-timestamp': String(stamp),
        'x-slack-signature': `v0=${hmac.update(`v0:${stamp}:${body}`).digest('hex')}`,
      },
      body: how.tamper?.(body) ?? body,
    });
    return response.status;
  };
  /** The hold is as it was: open, without a vote, and nothing has run. */
  const untouched = async (card: Message, rows: () => Promise<number>) => {
    const still = await now(card.ts);
    assert.ok(hasButton(still, 'approve') || hasButton(still, 'details'), shownBy(still));
    assert.doesNotMatch(shownBy(still), /Approved by/);
    assert.equal(await rows(), 1);
  };

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
    const answer = await slack.click(guest, { ts: card.ts }, 'approve');
    assert.match(JSON.stringify(answer.ephemeral), /Not counted/);
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
      const answer = await slack.click(user, { ts: card.ts }, 'approve');
      assert.match(JSON.stringify(answer.ephemeral), /Not counted/, user);
    }
    await slack.post('/deactivate', { user: 'U0NAMESAKE' });
    assert.equal(await forged(card, { user: { id: 'U0NAMESAKE', team_id: 'T0COUNTERSIGN' } }), 200);
    await untouched(card, table.rows);
    await slack.post('/group', { handle: 'dba-oncall', remove: [...Object.keys(outsiders), guest, bob] });
    await withdrawn(psql);
  });

  it('43 routing: application_name, comments, the name in the URL and odd names change no channel, headline or approver', async () => {
    const table = await target(world);
    const odd = '"<!channel> @alice #general"';
    await withClient(world.upstreamUrl, (client) => client.query(`CREATE TABLE IF NOT EXISTS ${odd} (id int)`));
    const plain = await held(`DELETE FROM ${table.name}`);
    const expected = String((plain.card.blocks?.[0] as { text?: { text?: string } })?.text?.text);
    await withdrawn(plain.psql);
    const url = new URL(await world.downstream());
    url.username = 'alice';
    url.searchParams.set('application_name', 'channel=C0GENERAL approvers=@everyone');
    const psql = new Psql(url.toString());
    psql.send(`DELETE FROM ${table.name} /* channel: C0GENERAL; approvers: @everyone; headline: SELECT */;`);
    const card = await slack.card(`DELETE FROM ${table.name} /*`);
    assert.equal(String((card.blocks?.[0] as { text?: { text?: string } })?.text?.text), expected);
    assert.match(shownBy(card), /report-bot.*from @dba-oncall/s);
    assert.equal((await slack.messages({ channel: 'C0GENERAL' })).length, 0);
    await withdrawn(psql);
    const named = await held(`DELETE FROM ${odd}`, '<!channel> @alice #general');
    assert.doesNotMatch(named.card.text, /<!channel>/);
    assert.doesNotMatch(JSON.stringify(parsed(named.card)), /!channel|C0GENERAL/);
    await withdrawn(named.psql);
  });

  /** Everything on a card that Slack parses, or that links, rings or draws. */
  const parsed = (card: Message): unknown[] => {
    const found: unknown[] = [];
    const walk = (value: unknown): void => {
      if (Array.isArray(value)) for (const one of value) walk(one);
      else if (typeof value === 'object' && value !== null) {
        const { type } = value as { type?: string };
        if (['mrkdwn', 'link', 'emoji', 'broadcast', 'channel', 'image'].includes(String(type))) found.push(value);
        for (const one of Object.values(value)) walk(one);
      }
    };
    walk(card.blocks);
    return found;
  };

  it('44 truncation: spaces, line breaks, 3,000 characters and 48 KB are reviewed whole or refused', async () => {
    const table = await target(world);
    for (const [n, padding] of [' '.repeat(5_000), '\n'.repeat(500), `/* ${'x'.repeat(3_000)} */`].entries()) {
      const client = await connected(world);
      const asked = client.query(`DELETE /* padded ${n} */${padding}FROM ${table.name}`).catch((error: Error) => error);
      const card = await slack.card(`DELETE /* padded ${n} */`);
      assert.equal(hasButton(card, 'approve'), false, 'Approve before all was read');
      const { block_id, value } = buttonOf(card, 'deny');
      const sneaked = await slack.post('/click', {
        user: alice,
        channel: world.channel,
        ts: card.ts,
        action_id: 'approve',
      });
      assert.equal(sneaked.ok, false);
      await cast(card, { action_id: 'approve', block_id, value });
      assert.equal(await table.rows(), 1);
      await client.end();
      await asked;
    }
    const statement = (bytes: number) => {
      const text = `DELETE FROM ${table.name} /*`;
      return `${text}${'x'.repeat(bytes - text.length - 2)}*/`;
    };
    const client = await connected(world);
    await assert.rejects(client.query(statement(48 * 1024 + 1)), /too long for a person to review/);
    const fits = client.query(statement(48 * 1024)).catch((error: Error) => error);
    const card = await slack.card('more characters: open Details');
    assert.equal(hasButton(card, 'approve'), false);
    await client.end();
    await fits;
    assert.equal(await table.rows(), 1);
  });

  /** A click that no button offers, as one who can sign would send it. */
  const cast = (card: Message, action: Record<string, unknown>) => {
    const like = { ...card, blocks: [{ type: 'actions', block_id: String(action.block_id), elements: [action] }] };
    return forged(like as Message, { actions: [{ type: 'button', ...action }] });
  };

  it('45-47 deception: markup, look-alikes and a reassuring comment stay text, are flagged, and change no headline', async () => {
    const table = await target(world);
    const corpus = [
      '``` <!channel> <!here> <@U0ALICE> <https://evil.example|https://good.example> *bold* :white_check_mark: Approved by @alice',
      '\u202edaer\u202c only',
      '\u0430ccounts',
      'a\u200bb',
      '\u001b[2K\u001b[1A done',
      '-- reviewer: read only',
    ];
    let expected: string | undefined;
    for (const [n, hostile] of corpus.entries()) {
      const client = await connected(world);
      const asked = client.query(`DELETE FROM ${table.name} /* #${n} ${hostile} */`).catch((error: Error) => error);
      const card = await slack.card(`/* #${n} `);
      const headline = String((card.blocks?.[0] as { text?: { text?: string } })?.text?.text);
      expected ??= headline;
      assert.equal(headline, expected);
      assert.doesNotMatch(card.text, /<!|<@|<http|```|white_check_mark/);
      for (const node of parsed(card)) assert.match(JSON.stringify(node), /Expires|please decide/);
      const hides = n >= 1 && n <= 4;
      assert.equal(hasButton(card, 'approve'), !hides, hostile);
      if (hides) assert.match(shownBy(card), /hides something|⟨U\+/);
      await client.end();
      await asked;
    }
    assert.equal(await table.rows(), 1);
  });

  it('48 flooding: one agent’s many holds stop at its limit, and another agent’s card comes at once', async () => {
    const table = await target(world);
    const flood = await Promise.all(Array.from({ length: 14 }, () => connected(world)));
    const answers = flood.map((client) =>
      client.query(`DELETE FROM ${table.name} /* flood */`).then(
        () => 'ran',
        (error: Error) => error.message,
      ),
    );
    await eventually(async () => (await Promise.all(answers.map(now0))).filter(Boolean).length >= 4);
    const refused = (await Promise.all(answers.map(now0))).filter(Boolean);
    assert.equal(refused.length, 4);
    for (const why of refused) assert.match(String(why), /10 operations waiting for approval already/);
    const started = performance.now();
    const other = new Psql(await world.downstream({ client: 'deploy-bot' }));
    other.send(`DELETE FROM ${table.name} /* patient */;`);
    await slack.card('/* patient */');
    assert.ok(performance.now() - started < 5_000, `came after ${Math.round(performance.now() - started)} ms`);
    await withdrawn(other);
    await Promise.all(flood.map((client) => client.end()));
    await Promise.all(answers);
    assert.equal(await table.rows(), 1);
  });

  it('49 no channel: archived, or without the bot in it, the client learns at once that nobody is asked', async () => {
    const table = await target(world);
    const ways: [Record<string, unknown>, Record<string, unknown>, RegExp][] = [
      [{ archived: true }, { archived: false }, /nobody sees it yet, .*the channel is archived/],
      [{ remove: ['U0GATEBOT'] }, { add: ['U0GATEBOT'] }, /nobody sees it yet, .*invite it with/],
    ];
    for (const [break_, mend, said] of ways) {
      await slack.post('/channel', { channel: world.channel, ...break_ });
      const psql = new Psql(await world.downstream());
      psql.send(`DELETE FROM ${table.name};`);
      await psql.until(said);
      await slack.post('/channel', { channel: world.channel, ...mend });
      await withdrawn(psql);
    }
    assert.equal(await table.rows(), 1);
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
      assert.equal(await forged(card, {}), 200, JSON.stringify(fault));
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

  const now0 = (answer: Promise<string>): Promise<string | undefined> =>
    Promise.race([answer, new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)))]);
});

/** A client whose statements may hold anything; a broken connection is expected of it. */
async function connected(world: World, options: Parameters<World['downstream']>[0] = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: await world.downstream(options) });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
