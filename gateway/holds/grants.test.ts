/** Grants on a real Redis: who gets one, what uses it, and everything that it must never let through. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { newKeyPair, signingKey } from '../../queue/sign.ts';
import { startGrantStage, UPDATE } from '../../test/support/grant-stage.ts';
import { demand, holding } from '../../test/support/hold-stage.ts';
import type { Operation } from '../operation.ts';

type GrantStage = Awaited<ReturnType<typeof startGrantStage>>;

describe('grants', { timeout: 120_000 }, () => {
  let on: GrantStage;
  let ask: GrantStage['ask'];
  let contextOf: GrantStage['contextOf'];
  let first: GrantStage['first'];
  let granted: GrantStage['granted'];
  let node: GrantStage['node'];
  let notices: GrantStage['notices'];
  let now: GrantStage['now'];
  let passes: GrantStage['passes'];
  let redises: GrantStage['redises'];
  let second: GrantStage['second'];
  let stage: GrantStage['stage'];
  let update: GrantStage['update'];

  before(async () => {
    on = await startGrantStage();
    ({ ask, contextOf, first, granted, node, notices, now, passes, redises, second, stage, update } = on);
  });
  after(() => on?.stop());
  beforeEach(() => on.reset());

  it('let the like pass on any gateway: recorded before it runs, told in the thread with a way to end it', async () => {
    const card = await granted();
    assert.match(card.granted ?? '', /its shape for 15 min: grant [0-9a-f]{10}, 20 uses until/);
    const id = /grant ([0-9a-f]{10})/.exec(card.granted ?? '')?.[1];
    assert.deepEqual(
      card.offers?.map(({ line }) => line),
      [`revoke ${id}`],
    );
    const permit = await passes(update({ shown: 'UPDATE orders SET status = 1 WHERE id = 9' }), second);
    assert.equal(permit?.hold, card.hold);
    const kinds = second.audit.entries.map(({ kind }) => kind);
    assert.deepEqual(kinds, ['operation', 'grant.used', 'outcome']);
    const [used] = second.audit.of('grant.used');
    assert.deepEqual([used?.grant, used?.use, used?.of, used?.hold], [id, 1, 20, card.hold]);
    await stage.until('it is told', () => notices().some(({ id: of }) => of === `grant-${id}-1`));
    const told = notices().find(({ id: of }) => of === `grant-${id}-1`);
    assert.equal(told?.hold, card.hold);
    assert.match(told?.text ?? '', /use 1 of 20.*id = 9/);
    assert.equal(told?.offers?.[0]?.line, `revoke ${id}`);
  });

  for (const [what, change] of Object.entries<Partial<Operation>>({
    privileges: { effects: [{ action: 'dcl', object: 'public.orders' }] },
    'what nobody understands': { effects: [UPDATE, { action: 'unknown', object: '' }] },
    'a schema changed unseen': { effects: [UPDATE, { action: 'call', object: '' }] },
    'data that comes later': { effects: [{ action: 'copy-in', object: 'public.orders' }], caps: { rows: 1, bytes: 1 } },
    'the rest of a result': { stopped: { rows: 1, bytes: 1, preview: [], usedUp: ['a'] } },
    'masked columns shown': { reveal: { columns: ['public.customers.ssn'], reason: 'why' } },
    'masked values that could get out': { guard: ['compares a masked column'] },
    'a change of the gateway itself': { protocol: 'gate' },
    'what has no shape': { shape: async () => undefined },
    'what cannot say its shape': { shape: undefined },
  }))
    it(`are never offered, nor counted when clicked all the same, for ${what}`, async () => {
      const { answer, card } = await ask(update(change), first, false);
      const receipt = await stage.vote(card, 'U0ALICE', { v: 2, grantMinutes: 15 });
      assert.equal(receipt.counted, false);
      assert.match(receipt.text, /no more than this one request/);
      assert.equal(stage.cards.get(card.hold)?.grants, undefined);
      await stage.vote(card, 'U0ALICE');
      await answer;
      assert.deepEqual(await first.store.list(), []);
    });

  it('are never offered without an estimate, under a rule of the masking, nor where rows are confirmed', async () => {
    const none = async () => {
      const { answer, card } = await ask(update(), first, false);
      assert.equal((await stage.vote(card, 'U0ALICE', { v: 2, grantMinutes: 15 })).counted, false);
      await stage.vote(card, 'U0ALICE', { decision: 'deny' });
      await assert.rejects(answer);
    };
    now.rows = undefined;
    await none();
    now.rows = 3;
    stage.settings.policy = holding(demand(), demand({ rule: 'masking:held' }));
    await none();
    stage.settings.policy = holding(demand({ confirm: 'rows' }));
    await none();
  });

  it('take the full quorum, each vote with a grant, for the least of the times', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const both = async (one: number | undefined, other: number) => {
      const { answer, card } = await ask();
      await stage.vote(card, 'U0ALICE', one === undefined ? {} : { v: 2, grantMinutes: one });
      await stage.vote(card, 'U0CAROL', { v: 2, grantMinutes: other });
      await answer;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return first.store.list();
    };
    assert.deepEqual(await both(undefined, 15), []);
    const [made] = await both(60, 15);
    assert.equal(made?.record.minutes, 15);
    assert.deepEqual(
      made?.record.by.map(({ user }) => user),
      ['U0ALICE', 'U0CAROL'],
    );
  });

  it('can be added to an approval given before, and are gone with a vote taken back', async () => {
    stage.settings.policy = holding(demand({ quorum: 2 }));
    const { answer, card } = await ask();
    await stage.vote(card, 'U0ALICE');
    assert.equal((await stage.vote(card, 'U0ALICE', { v: 2, grantMinutes: 15 })).counted, true);
    assert.equal((await stage.vote(card, 'U0ALICE', { v: 2, decision: 'undo' })).counted, true);
    await stage.vote(card, 'U0ALICE');
    await stage.vote(card, 'U0CAROL', { v: 2, grantMinutes: 15 });
    await answer;
    assert.deepEqual(await first.store.list(), []);
  });

  it('cover nothing that differs: shape, principal, connection, frame, transaction, what it does', async () => {
    await granted();
    const base = update();
    const others: Partial<Operation>[] = [
      { shape: async () => 'another' },
      { shape: async () => undefined },
      { principal: { ...base.principal, subject: 'other-bot' } },
      { principal: { ...base.principal, issuer: 'https://other.example.com' } },
      { connection: 'billing' },
      { environment: 'staging' },
      { frame: 'search_path=evil' },
      { inTransaction: true },
      { effects: [UPDATE, { action: 'delete', object: 'public.lines' }] },
      { effects: [{ ...UPDATE, where: 'absent' }] },
      { guard: ['masked'] },
    ];
    for (const change of others) {
      const op = update(change);
      const verdict = { kind: 'hold', rules: [], demands: [demand()] } as const;
      assert.equal(await first.grants.use(op, verdict, contextOf()), undefined, JSON.stringify(change));
    }
    assert.ok(await passes(), 'nothing of that has spoilt it');
  });

  it('cover up to twice the rows that were approved, and nothing without an estimate', async () => {
    await granted();
    now.rows = 7;
    assert.equal(await passes(), undefined);
    now.rows = undefined;
    assert.equal(await passes(), undefined);
    now.rows = 6;
    assert.ok(await passes());
  });

  it('are void once the rules ask for more', async () => {
    await granted();
    stage.settings.policy = holding(demand(), demand({ rule: 'another' }));
    assert.equal(await passes(), undefined);
    assert.deepEqual(await first.store.list(), []);
    stage.settings.policy = holding(demand());
    assert.equal(await passes(), undefined, 'and stay so');
    assert.equal(first.audit.of('grant.ended').at(-1)?.why, 'the rules changed');
  });

  it('are used twenty times, never more, by two gateways at once', async () => {
    await granted();
    const settled = await Promise.all(
      Array.from({ length: 60 }, async (_, at) => {
        const verdict = stage.settings.policy.evaluate({
          connection: 'orders',
          principal: update().principal,
          effects: [],
          inTransaction: false,
        });
        assert.equal(verdict.kind, 'hold');
        if (verdict.kind !== 'hold') return undefined;
        return (at % 2 === 0 ? first : second).grants.use(update(), verdict, contextOf());
      }),
    );
    assert.equal(settled.filter(Boolean).length, 20);
    const uses = [...first.audit.of('grant.used'), ...second.audit.of('grant.used')].slice(-20).map(({ use }) => use);
    assert.equal(new Set(uses).size, 20);
    assert.equal(await passes(update(), await node()), undefined, 'nor by one that was started since');
  });

  it('go on after a restart with the uses that are left', async () => {
    await granted();
    await passes();
    const restarted = await node();
    await passes(update(), restarted);
    assert.equal(restarted.audit.of('grant.used')[0]?.use, 2);
  });

  it('end everywhere when they are revoked, even if somebody puts them back into Redis', async () => {
    await granted();
    const [found] = await second.store.list();
    assert.ok(found);
    assert.ok(await first.grants.end(found.name, found, 'revoked by Alice'));
    assert.equal(await first.grants.end(found.name, found, 'revoked by Alice'), false);
    assert.equal(await passes(), undefined);
    assert.equal(await passes(update(), second), undefined);
    await stage.commands.hset('countersign:grants', found.name, found.raw);
    assert.equal(await passes(), undefined);
    assert.equal(await passes(update(), second), undefined);
  });

  it('have their uses counted on where somebody puts the count back', async () => {
    await granted();
    const [found] = await first.store.list();
    for (let use = 0; use < 3; use++) assert.ok(await passes());
    await stage.commands.hset('countersign:grants:uses', found?.record.id ?? '', '0');
    assert.equal(await passes(), undefined);
  });

  it('are used only as a gateway wrote them', async () => {
    await granted();
    const [found] = await first.store.list();
    assert.ok(found);
    const stranger = await node(signingKey(newKeyPair().secret));
    await stranger.store.put(found.name, { ...found.record, uses: 1_000 });
    assert.equal(await passes(), undefined);
    await stage.commands.hset('countersign:grants', found.name, found.raw);
    assert.ok(await passes());
    await stage.commands.hset('countersign:grants', 'f'.repeat(64), found.raw);
    assert.equal((await first.store.list()).length, 1, 'under another name it is none');
  });

  it('are not used by what is frozen, nor for a client that has left', async () => {
    await granted();
    now.frozen = 'report-bot is frozen';
    const verdict = { kind: 'hold', rules: [], demands: [demand()] } as const;
    assert.equal(await first.grants.use(update(), verdict, contextOf()), undefined);
    now.frozen = undefined;
    const left = { ...contextOf(), alive: () => false };
    assert.equal(await first.grants.use(update(), verdict, left), undefined);
    const leaving = stage.waiting();
    first.audit.beforeCommit = async () => leaving.controller.abort();
    const context = { ...leaving.context, reach: contextOf().reach };
    await assert.rejects(first.grants.use(update(), verdict, context), { code: 'WITHDRAWN' });
    first.audit.beforeCommit = async () => {};
    assert.equal(first.audit.entries.at(-1)?.outcome, 'failed');
  });

  it('let nothing through that cannot be recorded', async () => {
    await granted();
    first.audit.fails = ({ kind }) => kind === 'grant.used';
    await assert.rejects(Promise.resolve(first.gate.admit(update(), contextOf())), /disk is full/);
    first.audit.fails = () => false;
  });

  it('are not used while Redis is gone', async () => {
    await granted();
    const cut = await node();
    redises.at(-2)?.disconnect();
    const verdict = { kind: 'hold', rules: [], demands: [demand()] } as const;
    assert.equal(await cut.grants.use(update(), verdict, contextOf()), undefined);
  });
});
