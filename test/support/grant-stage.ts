/** Grants of two gateways on one Redis: asked for, granted, used, and what is said of them. */
import assert from 'node:assert/strict';
import { createGate, type Gate, type Permit } from '../../gateway/gate.ts';
import { systemClock } from '../../gateway/holds/clock.ts';
import { Grants } from '../../gateway/holds/grants.ts';
import { withStanding } from '../../gateway/holds/standing.ts';
import type { Effect, Operation } from '../../gateway/operation.ts';
import { grantStore } from '../../gateway/state/grants.ts';
import { SignedStore } from '../../gateway/state/signed.ts';
import type { CardJob } from '../../queue/cards.ts';
import { connectBlocking, connectCommands, connected } from '../../queue/connection.ts';
import { verifyingKey } from '../../queue/sign.ts';
import { type HoldStage, operation, startHoldStage } from './hold-stage.ts';
import { asUsual } from './hold-usual.ts';
import { TrailOfTest } from './trail-of-test.ts';

const noop = () => {};
export const UPDATE: Effect = { action: 'update', object: 'public.orders', where: 'present' };
export type GrantNode = { grants: Grants; gate: Gate; audit: TrailOfTest; store: ReturnType<typeof grantStore> };

export async function startGrantStage() {
  const now = { frozen: undefined as string | undefined, rows: 3 as number | undefined, test: 0 };
  let first: GrantNode;
  const stage: HoldStage = await startHoldStage({
    followers: [
      { opened: (h) => first.grants.follower.opened?.(h), released: (h) => first.grants.follower.released?.(h) },
    ],
  });
  const redises: { disconnect(): void }[] = [];

  /** One gateway's grants and gate, with a connection to Redis of its own. */
  async function node(key = stage.keys.gateway, audit = new TrailOfTest()): Promise<GrantNode> {
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
      frozen: () => now.frozen,
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
      principal: { ...operation().principal, subject: `agent-${now.test}` }, // a flood of one agent is collected
      effects: [UPDATE],
      headline: 'UPDATE on public.orders',
      shape: async () => 'UPDATE orders SET status = paid WHERE id = ?',
      ...change,
    });
  const contextOf = () => {
    const waiting = stage.waiting();
    return { ...waiting.context, reach: async () => ({ rows: now.rows, estimate: '', lines: [] }) };
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
    const context = { ...waiting.context, reach: async () => ({ rows: now.rows, estimate: '', lines: [] }) };
    const permit = await Promise.race([
      Promise.resolve(gate.admit(op, context)),
      stage.until('somebody is asked', () => opened(op).length > 0).then(() => undefined),
    ]);
    if (!permit) waiting.controller.abort();
    permit?.settle({ kind: 'done', tag: 'UPDATE 1', rows: 1, ms: 1 });
    return permit;
  };
  const notices = (): Extract<CardJob, { kind: 'notice' }>[] => stage.jobs.filter((job) => job.kind === 'notice');

  first = await node();
  const second = await node();
  return {
    stage,
    now,
    first,
    second,
    redises,
    node,
    update,
    contextOf,
    ask,
    granted,
    passes,
    notices,
    /** As every test begins. */
    reset: async () => {
      asUsual(stage);
      now.frozen = undefined;
      now.rows = 3;
      now.test += 1;
      await stage.commands.del('countersign:grants', 'countersign:grants:uses');
    },
    stop: async () => {
      for (const redis of redises) redis.disconnect();
      await stage.stop();
    },
  };
}
