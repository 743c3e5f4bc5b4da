/** `/gate` end to end: two gateways, two bots, the emulated workspace, psql. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import pg from 'pg';
import { Psql } from './support/psql.ts';
import { eventually, hasButton, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type GatewayProcess, PEOPLE, startWorld, type World } from './support/world.ts';

/** Without the notification, which says some of it again. */
const inBlocks = ({ blocks = [] }: Message): string => shownBy({ blocks });

describe('/gate', { timeout: 300_000 }, () => {
  let world: World;
  let slack: Workspace;

  const typed = async (user: string, text: string, channel = world.channel) => {
    const answer = await slack.post('/command', { user, channel, command: '/gate', text });
    assert.equal(answer.ok, true, JSON.stringify(answer));
  };
  /** What only this person sees, once it comes, in answer to what is done. */
  const told: Workspace['told'] = (...asked) => slack.told(...asked);
  const gate = (user: string, text: string, channel?: string) => told(user, () => typed(user, text, channel), channel);
  const press = (user: string, message: Message, action = 'gate.0') =>
    told(user, async () => {
      const clicked = await slack.click(user, { ts: message.ts }, action);
      assert.equal(clicked.ok, true, clicked.error);
    });
  const gatewayAt = (n: number): GatewayProcess => world.gateways[n] ?? assert.fail('no such gateway');
  const psqlAt = async (n: number, client = 'report-bot') =>
    new Psql(await world.downstream({ client, gateway: gatewayAt(n) }), { args: ['--set=VERBOSITY=verbose'] });
  /** What the trails of all gateways hold of a kind. */
  const trail = async (kind: string): Promise<Record<string, unknown>[]> => {
    const entries: Record<string, unknown>[] = [];
    for (const n of [1, 2]) {
      const dir = join(world.dir, `audit-${n}`);
      for (const name of (await readdir(dir)).filter((file) => file.endsWith('.jsonl'))) {
        for (const line of (await readFile(join(dir, name), 'utf8')).split('\n').filter(Boolean))
          entries.push(JSON.parse(line) as Record<string, unknown>);
      }
    }
    return entries.filter((entry) => entry.kind === kind);
  };
  const lifted = async (what: string, asks: string, agrees: string) => {
    await gate(asks, `unfreeze ${what}`);
    const card = await slack.card('pass again');
    const clicked = await slack.click(agrees, { ts: card.ts }, 'approve');
    assert.equal(clicked.ok, true, clicked.error);
    return slack.message((shown, { ts }) => ts === card.ts && shown.includes('passes again'));
  };

  before(async () => {
    world = await startWorld({ gateways: 2, bots: 2 });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  afterEach(() => Psql.endAll());
  after(() => world.stop());

  it('status names every gateway with its audit, queue and version; others than approvers see what is theirs', async () => {
    const all = inBlocks(await gate(PEOPLE.carol, 'status'));
    assert.equal(all.match(/🟢 Gateway [0-9a-f-]{36}\n/g)?.length, 2, all);
    assert.match(all, /Audit: entry \d+ \([0-9a-f]{12}\), on disk/);
    assert.match(all, /Version \d+\.\d+\.\d+/);
    const psql = await psqlAt(0, 'deploy-bot');
    psql.send('SELECT 1;');
    await psql.until('1 row');
    const bob = shownBy(await gate(PEOPLE.bob, 'status'));
    assert.match(bob, /0 sessions of yours/);
    assert.doesNotMatch(bob, /Audit|Version|1 session/);
  });

  it('answers in a channel without the bot, and in a direct message', async () => {
    assert.match(shownBy(await gate(PEOPLE.carol, 'status', 'C0GENERAL')), /🟢 Gateway/);
    const opened = await fetch(`${world.slack?.apiUrl}conversations.open`, {
      method: 'POST',
      headers: { authorization: 'Bearer xoxb-demo-bot', 'content-type': 'application/json' },
      body: JSON.stringify({ users: PEOPLE.carol }),
    });
    const { channel } = (await opened.json()) as { channel: { id: string } };
    assert.match(shownBy(await gate(PEOPLE.carol, 'status', channel.id)), /🟢 Gateway/);
  });

  it('refuses a guest with a sentence, and records that', async () => {
    assert.match(shownBy(await gate(PEOPLE.guest, 'status')), /Guests cannot use \/gate/);
    await eventually(async () =>
      (await trail('ask')).some(({ user, accepted }) => user === PEOPLE.guest && accepted === false),
    );
  });

  it('names what was not understood, and helps', async () => {
    assert.match(
      shownBy(await gate(PEOPLE.bob, 'stauts')),
      /Not understood: there is no subcommand “stauts”; did you mean status\?/,
    );
    assert.match(shownBy(await gate(PEOPLE.bob, 'sessions orders now')), /“now” after sessions/);
    assert.match(
      shownBy(await gate(PEOPLE.carol, 'sessions nowhere')),
      /There is no connection nowhere here. There are: orders\./,
    );
    assert.match(shownBy(await gate(PEOPLE.bob, '')), /\/gate freeze <connection\|agent\|all>/);
    assert.match(shownBy(await gate(PEOPLE.bob, 'help kill')), /\/gate kill report-bot/);
  });

  it('holds of both gateways, oldest first, with links to their cards; a sponsor sees those of their agents', async () => {
    const [first, second] = [await psqlAt(0, 'deploy-bot'), await psqlAt(1)];
    first.send('DROP TABLE orders;');
    await slack.card('DROP TABLE orders');
    second.send('DROP TABLE customers;');
    const card = await slack.card('DROP TABLE customers');
    const listed = await eventually(async () => {
      const answer = await gate(PEOPLE.carol, 'holds');
      return (JSON.stringify(answer.blocks).match(/"type":"link"/g)?.length ?? 0) >= 2 && answer;
    });
    assert.ok(listed);
    const shown = shownBy(listed);
    assert.ok(shown.indexOf('public.orders') < shown.indexOf('public.customers'), shown);
    assert.match(JSON.stringify(listed.blocks), new RegExp(`p${card.ts.replace('.', '')}`));
    const bobs = shownBy(await gate(PEOPLE.bob, 'holds'));
    assert.match(bobs, /public\.customers/);
    assert.doesNotMatch(bobs, /public\.orders/);
    first.signal('SIGINT');
    second.signal('SIGINT');
    await first.until(/ERROR/);
    await second.until(/ERROR/);
  });

  it('sessions: who, since when and what last; Kill ends psql with a native error', async () => {
    const psql = await psqlAt(1);
    psql.send('SELECT count(*) FROM orders;');
    await psql.until('1 row');
    const listed = await gate(PEOPLE.carol, 'sessions orders');
    const shown = shownBy(listed);
    assert.match(shown, /report-bot on orders/);
    assert.match(JSON.stringify(listed.blocks), /"user_id":"U0BOB"/, 'its sponsor, as a person');
    assert.match(shown, /Since \s*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/);
    assert.match(JSON.stringify(listed.blocks), /"Since "\},\{"type":"date"/, 'in the time zone of whoever reads it');
    assert.match(shown, /Last: .*public\.orders/);
    assert.equal(hasButton(await gate(PEOPLE.bob, 'sessions'), 'gate.0'), false, 'who is no admin gets no Kill');
    assert.match(shownBy(await press(PEOPLE.carol, listed)), /1 session ended/);
    psql.send('SELECT 1;');
    assert.match(await psql.until(/FATAL: .*\n/), /57P01.*Carol Lindqvist ended this session from Slack/);
  });

  it('kill asks first, and ends what is called so on every gateway; nobody but admins', async () => {
    const psqls = [await psqlAt(0), await psqlAt(1)];
    for (const psql of psqls) {
      psql.send('SELECT 1;');
      await psql.until('1 row');
    }
    const refused = await gate(PEOPLE.bob, 'kill report-bot');
    assert.match(shownBy(refused), /Only admins change anything/);
    assert.ok(!hasButton(refused, 'gate.0'));
    const asked = await gate(PEOPLE.alice, 'kill “report-bot”');
    assert.match(shownBy(asked), /\/gate kill report-bot[\s\S]*Nothing was ended yet/);
    assert.match(shownBy(await gate(PEOPLE.alice, 'kill nobody-called-so')), /Nobody is called nobody-called-so/);
    psqls[0]?.send('SELECT 2;');
    await psqls[0]?.until('1 row');
    const done = inBlocks(await press(PEOPLE.alice, asked));
    assert.equal(done.match(/1 session ended on gateway/g)?.length, 2, done);
    for (const psql of psqls) {
      psql.send('SELECT 3;');
      await psql.until(/FATAL: .*57P01/);
    }
  });

  it('freeze holds on every gateway within two seconds; what waits is withdrawn, sessions stay', async () => {
    const [first, second, held] = [await psqlAt(0), await psqlAt(1), await psqlAt(1, 'deploy-bot')];
    held.send('DROP TABLE orders;');
    const card = await slack.card('DROP TABLE orders');
    const before = performance.now();
    const answer = await gate(PEOPLE.carol, 'freeze orders “looks stolen”');
    assert.match(shownBy(answer), /\/gate freeze orders "?looks stolen/);
    assert.match(shownBy(answer), /Frozen: the connection orders\./);
    for (const psql of [first, second]) {
      psql.send('SELECT 1;');
      const error = await psql.until(/ERROR: [\s\S]*?Nothing was run[^\n]*\n/);
      assert.match(error, /42501/);
      assert.match(
        error,
        /the connection orders is frozen, by Carol Lindqvist at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: looks stolen/,
      );
    }
    const took = performance.now() - before;
    assert.ok(took < 2_000, `${Math.round(took)} ms from the command to the refusal on both`);
    assert.match(await held.until(/ERROR: .*\n/), /is frozen, by Carol/);
    await slack.message((shown, { ts }) => ts === card.ts && /Withdrawn/i.test(shown));
    await slack.message('Nothing of it passes any gateway');
    assert.match(shownBy(await gate(PEOPLE.alice, 'status')), /🧊 Frozen: the connection orders, by Carol Lindqvist/);
    assert.match(shownBy(await lifted('orders', PEOPLE.carol, PEOPLE.alice)), /Approved by/);
    await eventually(async () => {
      second.send('SELECT 41 + 1;');
      return second.until('42', 500).catch(() => undefined);
    });
    first.send('SELECT 41 + 1;');
    await first.until('42');
  });

  it('a frozen session runs nothing it prepared or opened before, but may roll back', async () => {
    const client = new pg.Client({ connectionString: await world.downstream() });
    client.on('error', () => {});
    await client.connect();
    const prepared = { name: 'counted', text: 'SELECT count(*)::int AS n FROM orders' };
    await client.query(prepared);
    await client.query('BEGIN');
    await client.query('DECLARE c CURSOR FOR SELECT id FROM orders');
    await client.query("UPDATE orders SET status = 'x' WHERE id = 1");
    await gate(PEOPLE.carol, 'freeze report-bot');
    await assert.rejects(client.query('COMMIT'), /report-bot is frozen, by Carol/);
    await assert.rejects(client.query('FETCH 1 FROM c'), /frozen|aborted/);
    await client.query('ROLLBACK');
    await assert.rejects(client.query(prepared), /report-bot is frozen, by Carol/);
    await lifted('report-bot', PEOPLE.carol, PEOPLE.alice);
    assert.equal((await client.query(prepared)).rows[0].n, 12_000);
    await client.end();
  });

  it('unfreeze needs a second admin: neither the one who asks nor whoever is none', async () => {
    await gate(PEOPLE.alice, 'freeze report-bot');
    const asked = shownBy(await gate(PEOPLE.alice, 'unfreeze report-bot'));
    assert.match(asked, /stays frozen until a second admin approves/);
    const card = await slack.card('pass again');
    const own = await told(PEOPLE.alice, () => slack.click(PEOPLE.alice, { ts: card.ts }, 'approve'));
    assert.match(shownBy(own), /you made this request; someone else must decide/);
    const bobs = await told(PEOPLE.bob, () => slack.click(PEOPLE.bob, { ts: card.ts }, 'approve'));
    assert.match(shownBy(bobs), /you are not among @gate-admins/);
    const psql = await psqlAt(0);
    psql.send('SELECT 1;');
    await psql.until(/report-bot is frozen, by Alice Moreau/);
    await gate(PEOPLE.alice, 'unfreeze report-bot');
    const second = await slack.message((shown, { ts }) => ts !== card.ts && /pass again[\s\S]*0 of 1/.test(shown));
    await slack.click(PEOPLE.carol, { ts: card.ts }, 'approve');
    const record = await slack.message(
      (shown, { ts }) => ts === card.ts && shown.includes('Lifted: report-bot passes again'),
    );
    const moot = await slack.message((shown, { ts }) => ts === second.ts && /lifted already/.test(shown));
    assert.match(shownBy(moot), /Withdrawn/, 'nothing is left to decide');
    const again = await press(PEOPLE.carol, record);
    assert.match(shownBy(again), /Frozen: report-bot/, 'the record offers to take it back');
    await lifted('report-bot', PEOPLE.carol, PEOPLE.alice);
  });

  it('refuses to freeze what nobody here is called', async () => {
    assert.match(
      shownBy(await gate(PEOPLE.carol, 'freeze oders')),
      /Nothing was frozen: oders is no connection \(orders\)/,
    );
    assert.match(
      shownBy(await gate(PEOPLE.bob, 'freeze orders')),
      /Only admins change anything, and you are not among @gate-admins/,
    );
    assert.match(shownBy(await gate(PEOPLE.carol, 'unfreeze orders')), /is not frozen/);
  });

  it('a command delivered twice changes nothing twice, and is answered once', async () => {
    const before = (await trail('ask')).length;
    const ephemerals = async () =>
      (await slack.messages({ user: PEOPLE.carol })).filter(({ ephemeral }) => ephemeral).length;
    const answers = await ephemerals();
    await slack.fault({ kind: 'redeliver', count: 1 });
    const answer = await gate(PEOPLE.carol, 'freeze deploy-bot');
    assert.match(shownBy(answer), /Frozen: deploy-bot/);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.equal(await ephemerals(), answers + 1);
    assert.equal((await trail('ask')).length, before + 1);
    await lifted('deploy-bot', PEOPLE.carol, PEOPLE.alice);
  });

  it('names a gateway that does not answer', async () => {
    const stuck = gatewayAt(1);
    const both = shownBy(await gate(PEOPLE.carol, 'status'));
    stuck.signal('SIGSTOP');
    try {
      const shown = shownBy(await gate(PEOPLE.carol, 'status'));
      const [, id = ''] = /One gateway did not answer: ([0-9a-f-]{36})\./.exec(shown) ?? [];
      assert.ok(both.includes(`Gateway ${id}`), shown);
      assert.doesNotMatch(shown, new RegExp(`Gateway ${id}`));
      assert.match(shown, /🟢 Gateway/);
    } finally {
      stuck.signal('SIGCONT');
    }
  });
});
