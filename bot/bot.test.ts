import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { aCard, CHANNEL, type Stage, stage, until } from '../test/support/bot-stage.ts';

for (const mode of ['socket', 'http'] as const) {
  describe(`a bot on the emulated workspace, ${mode} mode`, () => {
    let on: Stage;
    before(async () => {
      on = await stage({ mode });
    });
    after(() => on.stop());
    beforeEach(() => {
      on.onVote = ({ id, hold }) => ({ v: 1, id, hold, counted: true, text: 'Counted: 1 of 1.' });
    });

    it('posts a card, rings the approvers once, tells the gateway where it hangs, edits it into the record', async () => {
      const card = aCard({ shortId: `one-${mode}` });
      await on.card(card);
      const posted = await on.shown(card, 'PRODUCTION · orders: DELETE on public.orders, no WHERE');
      assert.match(JSON.stringify(posted), /<!subteam\^S0DBA>/);
      await until('the gateway knows', () =>
        on.got.find((message) => message.kind === 'posted' && message.hold === card.hold && message.ts === posted.ts),
      );
      const settled = { at: Date.now(), by: 'U0ALICE', executed: 'yes' as const };
      const outcome = { kind: 'done' as const, text: 'DELETE 41,207 rows in 1.3 s', rows: 41207, ms: 1300 };
      await on.card({ ...card, sequence: 2, state: 'done', settled, outcome, releasedAt: Date.now() });
      const record = await on.shown(card, 'DELETE 41,207 rows in 1.3 s');
      assert.equal(record.ts, posted.ts);
      assert.doesNotMatch(JSON.stringify(record), /subteam|"approve"/);
      assert.equal((await on.messages()).filter(({ text }) => text.includes(card.shortId)).length, 1);
    });

    it('carries an approval: signed, attested, on the revision that was on the screen; the clicker hears the receipt', async () => {
      const card = aCard({ shortId: `two-${mode}`, revision: 3 });
      await on.card(card);
      const { ts } = await on.shown(card, 'DELETE FROM orders');
      const answer = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
      assert.equal(answer.ok, true);
      assert.match(JSON.stringify(answer.ephemeral), /Counted: 1 of 1/);
      const vote = on.votes().find(({ hold }) => hold === card.hold);
      assert.equal(vote?.decision, 'approve');
      assert.equal(vote?.revision, 3);
      assert.equal(vote?.digest, card.digest);
      assert.equal(vote?.from, 'card');
      assert.equal(vote?.voter.user, 'U0ALICE');
      assert.equal(vote?.voter.team, 'T0COUNTERSIGN');
      assert.deepEqual(
        vote?.voter.groups.map(({ id, handle }) => ({ id, handle })),
        [{ id: 'S0DBA', handle: 'dba-oncall' }],
      );
      assert.equal(vote?.voter.guest, false);
    });

    it('tells a refused clicker why, and attests a guest as a guest', async () => {
      const card = aCard({ shortId: `three-${mode}` });
      await on.card(card);
      const { ts } = await on.shown(card, 'DELETE FROM orders');
      on.onVote = ({ id, hold }) => ({
        v: 1,
        id,
        hold,
        counted: false,
        text: 'Not counted: guests may not vote <!channel>',
      });
      const answer = await on.slack.act('click', { user: 'U0GUEST', channel: CHANNEL, ts, action_id: 'approve' });
      assert.match(JSON.stringify(answer.ephemeral), /guests may not vote &lt;!channel&gt;/);
      assert.equal(on.votes().find(({ hold }) => hold === card.hold)?.voter.guest, true);
      on.onVote = ({ id, hold }) => ({ v: 1, id, hold, counted: true, text: 'Counted: 1 of 1.' });
    });

    it('tells a refused clicker whom the rule asks by their names, and touches nothing else in the sentence', async () => {
      const [demand] = aCard().demands;
      const card = aCard({ shortId: `names-${mode}`, demands: [{ ...demand!, approvers: ['U0CAROL', 'S0DBA'] }] });
      await on.card(card);
      const { ts } = await on.shown(card, 'DELETE FROM orders');
      const text = 'Not counted: you are not among U0CAROL, S0DBA; U0ALICE asked to UPDATE.';
      on.onVote = ({ id, hold }) => ({ v: 1, id, hold, counted: false, text });
      const answer = await on.slack.act('click', { user: 'U0GUEST', channel: CHANNEL, ts, action_id: 'approve' });
      assert.match(
        JSON.stringify(answer.ephemeral),
        /you are not among Carol Lindqvist, @dba-oncall; U0ALICE asked to UPDATE/,
      );
    });

    it('denies with a reason from a modal, and shows a refusal inside the modal', async () => {
      const card = aCard({ shortId: `four-${mode}` });
      await on.card(card);
      const { ts } = await on.shown(card, 'DELETE FROM orders');
      const opened = await on.slack.act('click', { user: 'U0CAROL', channel: CHANNEL, ts, action_id: 'deny' });
      const view = opened.views.at(-1) as { id: string } | undefined;
      assert.ok(view, JSON.stringify(opened));
      on.onVote = ({ id, hold }) => ({ v: 1, id, hold, counted: false, text: 'Not counted: you are the sponsor.' });
      const refused = await on.slack.act('submit', {
        user: 'U0CAROL',
        view_id: view.id,
        values: { reason: { reason: { value: 'no' } } },
      });
      assert.match(JSON.stringify(refused), /you are the sponsor/);
      on.onVote = ({ id, hold }) => ({ v: 1, id, hold, counted: true, text: 'Denied.' });
      const values = { reason: { reason: { type: 'plain_text_input', value: 'not <today>' } } };
      const done = await on.slack.act('submit', { user: 'U0CAROL', view_id: view.id, values });
      assert.equal(done.ok, true, JSON.stringify(done));
      assert.equal(done.views.length, 0);
      const vote = on
        .votes()
        .filter(({ hold }) => hold === card.hold)
        .at(-1);
      assert.equal(vote?.decision, 'deny');
      assert.equal(vote?.reason, 'not <today>');
    });

    it('takes an approval of a long statement only from the last page of Details', async () => {
      const card = aCard({
        shortId: `five-${mode}`,
        statement: `DELETE FROM orders WHERE id IN (${'1234567, '.repeat(2000)}1)`,
      });
      await on.card(card);
      const posted = await on.shown(card, 'more characters: open Details');
      assert.doesNotMatch(JSON.stringify(posted.blocks), /"action_id":"approve"/);
      let answer = await on.slack.act('click', {
        user: 'U0ALICE',
        channel: CHANNEL,
        ts: posted.ts,
        action_id: 'details',
      });
      let view = answer.views.at(-1) as { id: string; blocks: unknown } | undefined;
      assert.ok(view, JSON.stringify(answer));
      let pages = 1;
      while (!JSON.stringify(view.blocks).includes('"approve"')) {
        assert.ok(pages < 10);
        answer = await on.slack.act('click', { user: 'U0ALICE', view_id: view.id, action_id: 'next' });
        view = answer.views.at(-1) as { id: string; blocks: unknown };
        pages += 1;
      }
      assert.ok(pages >= 3);
      answer = await on.slack.act('click', { user: 'U0ALICE', view_id: view.id, action_id: 'approve' });
      assert.equal(answer.ok, true);
      const vote = await until('the vote', () => on.votes().find(({ hold }) => hold === card.hold));
      assert.equal(vote.from, 'details');
      assert.match(JSON.stringify(answer), /Counted: 1 of 1/);
    });

    it('asks for a reason before an approval where a rule demands one', async () => {
      const base = aCard({ shortId: `six-${mode}` });
      const card = { ...base, demands: base.demands.map((demand) => ({ ...demand, requireReason: true })) };
      await on.card(card);
      const { ts } = await on.shown(card, 'reason required');
      const opened = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
      const view = opened.views.at(-1) as { id: string };
      assert.equal(
        on.votes().some(({ hold }) => hold === card.hold),
        false,
      );
      const done = await on.slack.act('submit', {
        user: 'U0ALICE',
        view_id: view.id,
        values: { reason: { reason: { value: 'CHG-1' } } },
      });
      assert.equal(done.ok, true, JSON.stringify(done));
      assert.equal(on.votes().find(({ hold }) => hold === card.hold)?.reason, 'CHG-1');
    });

    it('carries a kill from the overflow', async () => {
      const card = aCard({ shortId: `seven-${mode}` });
      await on.card(card);
      const { ts } = await on.shown(card, 'DELETE FROM orders');
      const answer = await on.slack.act('click', {
        user: 'U0ALICE',
        channel: CHANNEL,
        ts,
        action_id: 'more',
        value: 'kill',
      });
      assert.equal(answer.ok, true, JSON.stringify(answer));
      assert.ok(on.got.some((message) => message.kind === 'kill' && message.hold === card.hold));
    });

    it('counts a redelivered click once and says its answer once', async () => {
      const card = aCard({ shortId: `eight-${mode}` });
      await on.card(card);
      const { ts } = await on.shown(card, 'DELETE FROM orders');
      await on.slack.fault({ kind: 'redeliver', count: 1 });
      const answer = await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'approve' });
      assert.equal(answer.ok, true);
      assert.equal(on.votes().filter(({ hold }) => hold === card.hold).length, 1);
      assert.equal(answer.ephemeral.length, 1);
    });

    it('explains a click on what is over without asking the gateway', async () => {
      const card = aCard({ shortId: `nine-${mode}` });
      await on.card(card);
      const { ts } = await on.shown(card, 'DELETE FROM orders');
      const view = (await on.slack.act('click', { user: 'U0ALICE', channel: CHANNEL, ts, action_id: 'deny' })).views.at(
        -1,
      ) as { id: string };
      await on.card({ ...card, sequence: 2, state: 'expired', settled: { at: Date.now(), executed: 'no' } });
      await on.shown(card, 'Nothing was run.');
      const late = await on.slack.act('submit', { user: 'U0ALICE', view_id: view.id, values: {} });
      assert.match(JSON.stringify(late), /this is over\. Expired/);
      assert.equal(
        on.votes().some(({ hold }) => hold === card.hold),
        false,
      );
    });
  });
}
