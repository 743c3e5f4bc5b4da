/** Rules by command, end to end: two gateways, two bots, the emulated workspace, psql. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Psql } from './support/psql.ts';
import { eventually, type Message, shownBy, Workspace } from './support/workspace.ts';
import { type GatewayProcess, PEOPLE, startWorld, type World } from './support/world.ts';

const WITHIN_MS = 2_000; // from the answer to the command until every gateway goes by it

describe('rules made in Slack', { timeout: 300_000 }, () => {
  let world: World;
  let slack: Workspace;

  const told: Workspace['told'] = (...asked) => slack.told(...asked);
  const gate = async (user: string, text: string) =>
    told(user, async () => {
      const answer = await slack.post('/command', { user, channel: world.channel, command: '/gate', text });
      assert.equal(answer.ok, true, JSON.stringify(answer));
    });
  const press = (user: string, message: Message, action: string) =>
    told(user, async () => {
      const clicked = await slack.click(user, { ts: message.ts }, action);
      assert.equal(clicked.ok, true, clicked.error);
    });
  const gatewayAt = (n: number): GatewayProcess => world.gateways[n] ?? assert.fail('no such gateway');
  const psqlAt = async (n: number, client = 'report-bot') =>
    new Psql(await world.downstream({ client, gateway: gatewayAt(n) }), { args: ['--set=VERBOSITY=verbose'] });
  const trail = async (kind: string): Promise<Record<string, unknown>[]> => {
    const entries: Record<string, unknown>[] = [];
    for (const n of [1, 2]) {
      const dir = join(world.dir, `audit-${n}`);
      for (const name of (await readdir(dir)).filter((file) => file.endsWith('.jsonl'))) {
        for (const line of (await readFile(join(dir, name), 'utf8')).split('\n').filter(Boolean))
          entries.push(JSON.parse(line) as Record<string, unknown>);
      }
    }
    return entries.filter((entry) => entry.kind === kind).sort((a, b) => (String(a.at) < String(b.at) ? -1 : 1));
  };
  /** Asked until it is refused, or not any more; and how long that took. */
  const becomes = async (psql: Psql, sql: string, wanted: RegExp, from: number) => {
    for (;;) {
      psql.send(sql);
      const said = await psql.until(/DELETE \d+|ERROR:[^\n]*\n/);
      if (wanted.test(said)) return performance.now() - from;
      if (performance.now() - from > 10_000) assert.fail(said);
    }
  };
  const approved = async (text: string, user: string) => {
    const card = await slack.card(text);
    const clicked = await slack.click(user, { ts: card.ts }, 'approve');
    assert.equal(clicked.ok, true, clicked.error);
    return slack.message((shown, { ts }) => ts === card.ts && /: version \d+/.test(shown));
  };

  before(async () => {
    world = await startWorld({ gateways: 2, bots: 2 });
    slack = new Workspace(world.slack?.controlUrl ?? '', world.channel);
  });
  afterEach(() => Psql.endAll());
  after(() => world.stop());

  it('tightens at once, on both gateways within two seconds, and offers to take it back', async () => {
    const [first, second] = [await psqlAt(0), await psqlAt(1)];
    for (const psql of [first, second])
      await becomes(psql, 'DELETE FROM payments WHERE id = -1;', /DELETE 0/, performance.now());
    const answer = shownBy(await gate(PEOPLE.carol, 'rules add deny delete on orders.payments “payments are kept”'));
    const from = performance.now();
    assert.match(answer, /Rule delete-payments added: version 1/);
    assert.match(answer, /\+ deny delete on orders\.payments id delete-payments "payments are kept"/);
    for (const psql of [first, second]) {
      const took = await becomes(
        psql,
        'DELETE FROM payments WHERE id = -1;',
        /42501.*delete-payments: payments are kept/,
        from,
      );
      assert.ok(took < WITHIN_MS, `${took} ms`);
    }
    const notice = await slack.message('Rule delete-payments added by Carol');
    assert.match(shownBy(notice), /Revert/);
    const [edited] = await trail('rules.edited');
    assert.deepEqual(
      [edited?.by, edited?.approvedBy, edited?.before, edited?.after],
      [PEOPLE.carol, [], [], ['deny delete on orders.payments id delete-payments "payments are kept"']],
    );
    assert.equal((await trail('rules.changed')).filter(({ version }) => version === 1).length, 2);
  });

  it('loosens only when a second admin approves; the one who asks cannot', async () => {
    const answer = shownBy(await gate(PEOPLE.carol, 'rules remove delete-payments'));
    assert.match(
      answer,
      /loosens the rules \(removes delete-payments, which denies\): request \w+ asks a second admin/,
    );
    const card = await slack.card('removes delete-payments');
    assert.match(shownBy(card), /- deny delete on orders\.payments/);
    const own = shownBy(await told(PEOPLE.carol, () => slack.click(PEOPLE.carol, { ts: card.ts }, 'approve')));
    assert.match(own, /someone else must decide/);
    const psql = await psqlAt(1);
    await becomes(psql, 'DELETE FROM payments WHERE id = -1;', /delete-payments/, performance.now());
    const record = await approved('removes delete-payments', PEOPLE.alice);
    const took = await becomes(psql, 'DELETE FROM payments WHERE id = -1;', /DELETE 0/, performance.now());
    assert.ok(took < WITHIN_MS, `${took} ms`);
    const edited = (await trail('rules.edited')).at(-1);
    assert.deepEqual([edited?.by, edited?.approvedBy, edited?.after], [PEOPLE.carol, [PEOPLE.alice], []]);

    // Its record offers the way back, which tightens: at once.
    const back = shownBy(await press(PEOPLE.alice, record, 'gate.0'));
    assert.match(back, /Version 2 reverted: version 3/);
    await becomes(psql, 'DELETE FROM payments WHERE id = -1;', /delete-payments/, performance.now());
    // And to revert that is a loosening again.
    assert.match(shownBy(await gate(PEOPLE.alice, 'rules revert 3')), /loosens the rules/);
    await approved('removes delete-payments', PEOPLE.carol);
  });

  it('refuses what is not understood, what is the file’s, and who is no admin', async () => {
    const says = async (user: string, line: string, wanted: RegExp) =>
      assert.match(shownBy(await gate(user, line)), wanted);
    await says(
      PEOPLE.carol,
      'rules add hold delete on orders whre absent',
      /“whre” at character 23 is not understood: expected where, by/,
    );
    await says(PEOPLE.carol, 'rules add hold delete on order', /There is no connection order: expected orders or a \*/);
    await says(
      PEOPLE.carol,
      'rules add deny ddl on orders id schema-changes',
      /schema-changes is a rule of the configuration file/,
    );
    await says(
      PEOPLE.carol,
      'rules remove exports',
      /Exports is a rule of the configuration file and changes only there/,
    );
    await says(PEOPLE.carol, 'rules revert 99', /There is no version 99: the newest is 4/);
    await says(PEOPLE.bob, 'rules add deny delete on orders.payments', /Only admins change anything/);
    await says(PEOPLE.bob, 'rules', /Only approvers and admins see the rules/);
  });

  it('takes mentions by their ids and phones’ quotes, and says what was understood', async () => {
    const answer = shownBy(
      await gate(
        PEOPLE.carol,
        'rules add Hold update on orders.carts approvers @alice @dba-oncall quorum 2 rows > 5 in #general ‘carts don’t change’',
      ),
    );
    assert.match(
      answer,
      /\+ hold update on orders\.carts rows > 5 approvers U0ALICE @dba-oncall quorum 2 in C0GENERAL id update-carts "carts don’t change"/,
    );
    const listed = await gate(PEOPLE.alice, 'rules');
    const shown = shownBy(listed);
    assert.match(shown, /1 rule made in Slack \(version 5\), 5 in the configuration file/);
    assert.match(shown, /The floor: rules of the configuration file/);
    assert.match(shown, /hold read,copy-out on orders rows > 1000 except \(by group:auditors\) id exports/);
    assert.match(shown, /orders: read allow, write allow, unknown hold/);
    assert.match(JSON.stringify(listed.blocks), /rules edit update-carts[\s\S]*rules remove update-carts/);
  });

  it('tests a statement: its verdict, each rule’s why, the masking in words; nothing runs', async () => {
    const held = shownBy(await gate(PEOPLE.alice, 'rules test orders DELETE FROM customers'));
    assert.match(held, /DELETE on public\.customers, no WHERE: hold/);
    assert.match(held, /no-where[\s\S]*A write without a condition touches every row[\s\S]*Asks 1 of @dba-oncall/);
    const read = shownBy(await gate(PEOPLE.alice, 'rules test SELECT ssn FROM customers WHERE id < 5'));
    assert.match(read, /: allow; beyond 1,000 rows hold by exports/);
    assert.match(read, /ssn/);
    assert.match(
      shownBy(await gate(PEOPLE.alice, 'rules test orders SELEC 1')),
      /Refused before any rule is asked \(UNPARSEABLE\)/,
    );
  });

  it('simulates a rule over what both gateways recorded', async () => {
    const [first, second, other] = [await psqlAt(0), await psqlAt(1), await psqlAt(1, 'deploy-bot')];
    for (const [psql, times] of [
      [first, 3],
      [second, 2],
      [other, 1],
    ] as const) {
      for (let n = 0; n < times; n++) {
        psql.send('UPDATE payments SET amount = amount WHERE id = 1;');
        await psql.until(/UPDATE \d/);
      }
    }
    first.send('SELECT id FROM payments LIMIT 20;');
    await first.until(/20 rows/);
    const asked = async (line: string, wanted: RegExp) => {
      const found = await eventually(async () => {
        const shown = shownBy(await gate(PEOPLE.alice, `rules simulate ${line}`));
        return wanted.test(shown) && shown;
      }, 5_000);
      return found ?? assert.fail(shownBy(await gate(PEOPLE.alice, `rules simulate ${line}`)));
    };
    const shown = await asked('hold update on orders.payments', /6 it would have held, 0 denied/);
    assert.match(shown, /Whose: report-bot: 5, deploy-bot: 1/);
    assert.match(shown, /UPDATE on public\.payments.*\(hold\)/);
    await asked('deny update on orders.payments by report-bot', /0 it would have held, 5 denied/);
    await asked('hold read on orders.payments rows > 19', /1 it would have held, 0 denied/);
    await asked('hold read on orders.payments rows > 20', /0 it would have held, 0 denied/);
    assert.equal((await trail('rules.edited')).filter(({ after }) => String(after).includes('payments by')).length, 0);
  });

  it('builds a rule in a form: its line is shown, a mistake stands at its field, and Edit opens it filled', async () => {
    const form = async (user: string, work: () => Promise<unknown>) => {
      await work();
      const found = await eventually(async () =>
        (await slack.views(user)).find((one) => JSON.stringify(one).includes('"verdict"')),
      );
      return found ?? assert.fail('no form opened');
    };
    const put = (values: Record<string, Record<string, unknown>>) =>
      Object.fromEntries(Object.entries(values).map(([block, value]) => [block, { 'rule.field': value }]));
    const option = (value: string, label = value) => ({
      text: { type: 'plain_text', text: label, emoji: false },
      value,
    });
    const view = await form(PEOPLE.carol, () =>
      slack.post('/command', { user: PEOPLE.carol, channel: world.channel, command: '/gate', text: 'rules add' }),
    );
    const values = put({
      action: { selected_options: [option('insert')] },
      on: { selected_options: [option('orders')] },
      object: { value: 'carts' },
      people: { selected_users: [PEOPLE.alice] },
      by: { value: 'report-bot group:x' },
    });
    const refused = (await slack.submit(PEOPLE.carol, view.id, values)) as {
      ok: boolean;
      errors?: Record<string, string>;
    };
    assert.equal(refused.ok, false);
    assert.match(JSON.stringify(refused), /"by":"“group:x” at character 43 is not understood/);
    const right = { ...values, ...put({ by: { value: 'report-bot' } }) };
    const checked = await slack.post('/click', {
      user: PEOPLE.carol,
      view_id: view.id,
      action_id: 'rule.check',
      values: right,
    });
    assert.equal(checked.ok, true, JSON.stringify(checked));
    const shown = await eventually(async () => {
      const all = (await slack.views(PEOPLE.carol)).map((one) => shownBy(one)).join();
      return (
        /hold insert on orders\.carts by report-bot approvers U0ALICE[\s\S]*It tightens the rules/.test(all) && all
      );
    });
    assert.ok(shown, JSON.stringify(await slack.views(PEOPLE.carol)));
    const done = await told(PEOPLE.carol, async () => {
      const submitted = await slack.submit(PEOPLE.carol, view.id, right);
      assert.equal(submitted.ok, true, JSON.stringify(submitted));
    });
    assert.match(shownBy(done), /Rule insert-carts added: version \d+/);

    const listed = await gate(PEOPLE.alice, 'rules');
    const block = (listed.blocks ?? []).find((one) => JSON.stringify(one).includes('rules edit insert-carts'));
    const edit = await form(PEOPLE.alice, () =>
      slack.post('/click', {
        user: PEOPLE.alice,
        channel: world.channel,
        ts: listed.ts,
        action_id: 'gate.0',
        block_id: String(block?.block_id),
      }),
    );
    const loosened = shownBy(
      await told(PEOPLE.alice, async () => {
        const submitted = await slack.submit(
          PEOPLE.alice,
          edit.id,
          put({ people: { selected_users: [PEOPLE.alice, PEOPLE.carol] } }),
        );
        assert.equal(submitted.ok, true, JSON.stringify(submitted));
      }),
    );
    assert.match(loosened, /insert-carts may be approved by U0CAROL, too\): request \w+ asks a second admin/);
  });
});
