/** Grants on a real Redis: who gets one, what uses it, and everything that it must never let through. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { CardJob } from '../../queue/cards.ts';
import { connectBlocking, connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { demand, type HoldStage, holding, operation, startHoldStage } from '../../test/support/hold-stage.ts';
import { asUsual } from '../../test/support/hold-usual.ts';
import { TrailOfTest } from '../../test/support/trail-of-test.ts';
import { createGate, type Gate, type Permit } from '../gate.ts';
import type { Effect, Operation } from '../operation.ts';
import { grantStore } from '../state/grants.ts';
import { SignedStore } from '../state/signed.ts';
import { systemClock } from './clock.ts';
import { Grants } from './grants.ts';
import { withStanding } from './standing.ts';

const noop = () => {};
const UPDATE: Effect = { action: 'update', object: 'public.orders', where: 'present' };

describe('grants', { timeout: 120_000 }, () => {
  let stage: HoldStage;
  let first: Node;
  let second: Node;
  let frozen: string | undefined;
  let rows: number | undefined = 3;
  let test = 0;
  const redises: { disconnect(): void }[] = [];
  type Node = { grants: Grants; gate: Gate; audit: TrailOfTest; store: ReturnType<typeof grantStore> };

  /** One gateway's grants and gate, with a connection to Redis of its own. */
  async function node(key = stage.keys.gateway, audit = new TrailOfTest()): Promise<Node> {
    const redis = connectCommands(stage.redis.url, noop);
    await connected(redis, 5_000);
    redises.push(redis);
    const trusted = () => [verifyingKey(stage.keys.gateway.public)];
    const store = grantStore(new SignedStore(redis, { own: key, trusted }), Date.now);
    const subscriber = connectBlocking(stage.redis.url, noop);
    redises.push(subscriber);
    store.start(subscriber);
    const common = {
      audit,
      policy: () => stage.settings.policy,
      frozen: () => frozen,
      redact: (text: string) => text,
      log: noop,
    };
    const show = (hold: Parameters<HoldStage['holds']['show']>[0]) => stage.holds.show(hold);
    const grants = new Grants({ ...common, store, publish: stage.publish, clock: systemClock, show });
    const holds = withStanding(stage.holds, [grants], common);
    return { grants, audit, store, gate: createGate({ ...common, holds, closed: () => undefined }) };
  }

  /** An UPDATE by key, as the PostgreSQL room would describe it. */
  const update = (change: Partial<Operation> = {}): Operation =>
    operation({
      principal: { ...operation().principal, subject: `agent-${test}` }, // a flood of one agent is collected
      effects: [UPDATE],
      headline: 'UPDATE on public.orders',
      shape: async () => 'UPDATE orders SET status = paid WHERE id = ?',
      ...change,
    });
  const contextOf = () => {
    const waiting = stage.waiting();
    return { ...waiting.context, reach: async () => ({ rows, estimate: '', lines: [] }) };
  };
  /** Asked and waiting: its open card, once it says what can be granted. */
  const ask = async (op = update(), { gate } = first, offered = true) => {
    const answer = Promise.resolve(gate.admit(op, contextOf()));
    answer.catch(noop);
    const card = await stage.card(
      ({ hold, state, grants }) =>
        state === 'open' && opened(op).some((entry) => entry.hold === hold) && (!offered || grants !== undefined),
      'the open card',
    );
    return { answer, card };
  };
  const opened = ({ id }: Operation) => stage.audit.of('hold.open').filter((entry) => entry.operation === id);
  /** Approved with its like by one person. */
  const granted = async (op = update(), minutes = 15) => {
    const { answer, card } = await ask(op);
    const receipt = await stage.vote(card, 'U0ALICE', { v: 2, grantMinutes: minutes });
    assert.ok(receipt.counted, receipt.text);
    const permit = await answer;
    permit.settle({ kind: 'done', tag: 'UPDATE 1', rows: 1, ms: 1 });
    return stage.card(({ hold, granted: made }) => hold === card.hold && made !== undefined, 'what was granted');
  };
  /** Does it pass without asking? What is asked about is withdrawn. */
  const passes = async (op = update(), { gate } = first): Promise<Permit | undefined> => {
    const waiting = stage.waiting();
    const context = { ...waiting.context, reach: async () => ({ rows, estimate: '', lines: [] }) };
    const permit = await Promise.race([
      Promise.resolve(gate.admit(op, context)),
      stage.until('somebody is asked', () => opened(op).length > 0).then(() => undefined),
    ]);
    if (!permit) waiting.controller.abort();
    permit?.settle({ kind: 'done', tag: 'UPDATE 1', rows: 1, ms: 1 });
    return permit;
  };
  const notices = (): Extract<CardJob, { kind: 'notice' }>[] => stage.jobs.filter((job) => job.kind === 'notice');

  before(async () => {
    stage = await startHoldStage({
      followers: [
        { opened: (h) => first.grants.follower.opened?.(h), released: (h) => first.grants.follower.released?.(h) },
      ],
    });
    first = await node();
    second = await node();
  });
  after(async () => {
    for (const redis of redises) redis.disconnect();
    await stage?.stop();
  });
  beforeEach(async () => {
    asUsual(stage);
    frozen = undefined;
    rows = 3;
    test += 1;
    await stage.commands.del('countersign:grants', 'countersign:grants:uses');
  });

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
    rows = undefined;
    await none();
    rows = 3;
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
    rows = 7;
    assert.equal(await passes(), undefined);
    rows = undefined;
    assert.equal(await passes(), undefined);
    rows = 6;
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
    frozen = 'report-bot is frozen';
    const verdict = { kind: 'hold', rules: [], demands: [demand()] } as const;
    assert.equal(await first.grants.use(update(), verdict, contextOf()), undefined);
    frozen = undefined;
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
