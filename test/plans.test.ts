/** Plans end to end: listed over HTTP, approved once in Slack, run by psql at two gateways in their order and no other. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { withClient } from './support/seed.ts';
import { hasButton, Workspace } from './support/workspace.ts';
import { type Config, PEOPLE, startWorld, type World } from './support/world.ts';
import { trailOf } from './support/world-trail.ts';

const { alice, carol } = PEOPLE;
const rules = [
  {
    id: 'shelf',
    match: { object: 'shelf*', action: ['insert', 'update', 'delete', 'ddl'] },
    verdict: 'hold',
    why: 'Counted',
  },
  { id: 'forbidden', match: { object: 'forbidden' }, verdict: 'deny', why: 'Nobody does' },
];

/** What sets a session's own settings passes; a minute's sixth request of one agent would be collected with others. */
const config = (given: Config): Config => ({
  ...given,
  rules,
  connections: given.connections.map((one: Config) => ({ ...one, default: { ...one.default, unknown: 'allow' } })),
});

describe('plans', { timeout: 240_000 }, () => {
  let world: World;
  let slack: Workspace;
  let token: string;

  before(async () => {
    world = await startWorld({ gateways: 2, config });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
    token = await world.token('report-bot');
    await withClient(world.upstreamUrl, (client) =>
      client.query(`CREATE TABLE shelf (id int PRIMARY KEY, n int); INSERT INTO shelf SELECT i, 0 FROM generate_series(1, 20) i;
        CREATE TABLE forbidden (id int)`),
    );
  });
  afterEach(() => Psql.endAll());
  after(() => world?.stop());

  const gatewayAt = (n: number) => world.gateways[n] ?? assert.fail('no such gateway');
  const psqlAt = async (n: number, client = 'report-bot') =>
    new Psql(await world.downstream({ client, gateway: gatewayAt(n) }));
  const call = async (path: string, body?: unknown, { as = token, at = 0 } = {}) => {
    const response = await fetch(`${gatewayAt(at).web}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${as}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return {
      status: response.status,
      location: response.headers.get('location'),
      body: (await response.json()) as Record<string, unknown>,
    };
  };
  const plan = (statements: readonly string[], more: Record<string, unknown> = {}, options = {}) =>
    call('/v1/plans', { connection: 'orders', statements, reason: 'monthly clean-up', ...more }, options);
  const approved = async (statements: readonly string[], as = token) => {
    const listed = await plan(statements, {}, { as });
    assert.equal(listed.status, 202, JSON.stringify(listed.body));
    const card = await slack.card(statements[0] ?? '');
    const clicked = await slack.click(carol, { ts: card.ts }, 'approve');
    assert.equal(clicked.ok, true, clicked.error);
    await slack.message((shown, { ts }) => ts === card.ts && /may run until/.test(shown));
    return { card, url: String(listed.body.url) };
  };
  const held = async (psql: Psql, sql: string) => {
    psql.send(`${sql};`);
    await psql.until(/held for approval/);
    await slack.deny(alice, (await slack.card(sql)).ts, 'not planned');
    await psql.until(/ERROR/);
  };

  it('are approved on one card, and each statement passes once, in order, at any gateway', async () => {
    const statements = [
      'UPDATE shelf SET n = 1 WHERE id = 1',
      'SELECT count(*) FROM shelf',
      'DELETE FROM shelf WHERE id = 2',
      'INSERT INTO shelf VALUES (102, 2)',
    ];
    const listed = await plan(statements);
    assert.equal(listed.status, 202, JSON.stringify(listed.body));
    assert.equal(listed.location, listed.body.url);
    const url = String(listed.body.url);
    assert.deepEqual(
      [listed.body.status, listed.body.statements, listed.body.asks, listed.body.used],
      ['waiting', 4, 3, 0],
    );
    assert.deepEqual({ ...(await call(url, undefined, { at: 1 })).body, url }, listed.body);

    const card = await slack.card('Plan of 4 statements (1 delete, 1 update, 1 insert, 1 read), worst: DELETE');
    const shown = JSON.stringify(card.blocks);
    for (const part of ['Reason given: monthly clean-up', '3 of 4', 'INSERT INTO shelf VALUES (102, 2)']) {
      assert.ok(shown.includes(part), part);
    }
    assert.doesNotMatch(shown, /Kill session|Rows affected/, 'it has no session, and no rows before it runs');
    await slack.click(carol, { ts: card.ts }, 'approve');
    await slack.message(
      (text, { ts }) => ts === card.ts && /3 statements, each once and in this order, may run/.test(text),
    );
    assert.equal((await call(url)).body.status, 'approved');

    const here = await psqlAt(0);
    here.send(`${statements[0]};`);
    await here.until('UPDATE 1');
    here.send(`${statements[1]};`);
    await here.until('20');
    const there = await psqlAt(1);
    there.send(`  ${statements[2]} ;`);
    await there.until('DELETE 1');
    assert.deepEqual([(await call(url)).body.used, (await call(url)).body.status], [2, 'approved']);
    here.send(`${statements[3]};`);
    await here.until('INSERT 0 1');
    assert.equal((await call(url)).body.status, 'done');
    const id = url.split('/').at(-1);
    await slack.message((text, { thread_ts }) => thread_ts === card.ts && text.includes(`Plan ${id}, 3 of 3`));
    const uses = await trailOf(world, 'plan.used');
    assert.deepEqual(uses.map(({ step, of, plan: of_ }) => [step, of, of_]).sort(), [
      [1, 3, id],
      [2, 3, id],
      [3, 3, id],
    ]);
    assert.doesNotMatch(here.output + there.output, /held for approval/);
    await held(here, statements[0] ?? ''); // a second time
  });

  it('let nothing else pass: another order, another text, another principal, bound values, other settings', async () => {
    const statements = ['UPDATE shelf SET n = 2 WHERE id = 3', 'UPDATE shelf SET n = 2 WHERE id = 4'];
    const deploy = await world.token('deploy-bot');
    await approved(statements, deploy);
    const psql = await psqlAt(0, 'deploy-bot');
    await held(psql, statements[1] ?? '');
    await held(psql, 'UPDATE  shelf SET n = 2 WHERE id = 3');
    await held(await psqlAt(0), statements[0] ?? '');
    psql.send('SET search_path = pg_temp, public;');
    await psql.until(/^SET$/m);
    await held(psql, statements[0] ?? '');
    psql.send('RESET search_path;');
    await psql.until(/^RESET$/m);
    psql.send(`${statements[0]};`);
    await psql.until('UPDATE 1');
    psql.send('BEGIN;');
    psql.send(`${statements[1]};`);
    await psql.until('UPDATE 1');
  });

  it('read what a later statement needs of an earlier one', async () => {
    await approved(['CREATE TABLE shelf_new (id int)', 'INSERT INTO shelf_new VALUES (1)', 'DROP TABLE shelf_new']);
    const psql = await psqlAt(1);
    psql.send('CREATE TABLE shelf_new (id int); ');
    await psql.until('CREATE TABLE');
    psql.send('INSERT INTO shelf_new VALUES (1);');
    await psql.until('INSERT 0 1');
    psql.send('DROP TABLE shelf_new;');
    await psql.until('DROP TABLE');
    assert.doesNotMatch(psql.output, /held for approval/);
  });

  it('that were denied say so, with the reason', async () => {
    const listed = await plan(['DELETE FROM shelf']);
    await slack.deny(carol, (await slack.card('Plan of 1 statement')).ts, 'never all of it');
    await slack.message(/never all of it/);
    const answer = await call(String(listed.body.url), undefined, { at: 1 });
    assert.equal(answer.body.status, 'denied');
    assert.match(String(answer.body.reason), /never all of it/);
    await held(await psqlAt(0), 'DELETE FROM shelf');
  });

  it('too long for a card are approved from the last page of Details alone', async () => {
    const statements = Array.from({ length: 30 }, (_, i) => `UPDATE shelf SET n = ${900 + i} WHERE id = 6`);
    await plan(statements, {}, { as: await world.token('deploy-bot') });
    const card = await slack.card('Plan of 30 statements');
    assert.ok(!hasButton(card, 'approve'));
    let view = (await slack.click(carol, { ts: card.ts }, 'details')).views.at(-1);
    while (view && !hasButton(view, 'approve'))
      view = (await slack.click(carol, { view_id: view.id }, 'next')).views.at(-1);
    assert.ok(view && JSON.stringify(view.blocks).includes('n = 929'));
    await slack.click(carol, { view_id: view.id }, 'approve');
    await slack.message((text, { ts }) => ts === card.ts && /30 statements, each once/.test(text));
  });

  it('are for whoever listed them, and refused where they cannot be kept to', async () => {
    const listed = await plan(['UPDATE shelf SET n = 3 WHERE id = 7'], {}, { as: await world.token('deploy-bot') });
    const url = String(listed.body.url);
    const other = token;
    assert.equal((await call(url, undefined, { as: other })).status, 404);
    assert.equal((await call('/v1/plans/0123456789')).status, 404);
    assert.equal((await call(url, undefined, { as: 'nobody' })).status, 401);
    assert.equal((await plan(['SELECT 1'], {}, { as: 'nobody' })).status, 401);
    const refused = async (statements: readonly string[], status: number, says: RegExp, more = {}) => {
      const answer = await plan(statements, more);
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.match(String(answer.body.message), says);
    };
    await refused(['UPDATE shelf SET n = 1', 'DELETE FROM forbidden'], 403, /statement 2 is denied by rule forbidden/);
    await refused(['SELEC 1'], 400, /statement 1 cannot be planned/);
    await refused(['COPY shelf FROM STDIN'], 400, /the data that follows COPY/);
    await refused(['EXECUTE change(1)'], 400, /named in its session only/);
    await refused(['SET search_path = evil', 'DELETE FROM shelf'], 400, /changes what those behind it mean/);
    await refused(['SELECT 1'], 403, /no connection "nowhere"/, { connection: 'nowhere' });
    await refused([], 400, /does not fit/);
    await refused(
      Array.from({ length: 51 }, () => 'SELECT 1'),
      400,
      /does not fit/,
    );
    await refused(['SELECT 1'], 400, /does not fit/, { surprise: true });
    assert.equal((await call('/v1/plans', 'x'.repeat(70_000))).status, 413);
    const none = await plan(['SELECT 1']);
    assert.deepEqual([none.status, none.body.status, none.body.asks], [200, 'approved', 0]);
  });
});
