/** The question about the rest of a result: asked of the rules as they are, recorded, and settled with its operation. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { demand, operation, policyOf } from '../../test/support/hold-stage.ts';
import { TrailOfTest } from '../../test/support/trail-of-test.ts';
import { GatewayError } from '../errors.ts';
import { type AdmitContext, createGate, type Excess, type GateDeps, type Permit } from '../gate.ts';
import type { Operation, Outcome } from '../operation.ts';
import type { Budget, Policy, Question, Verdict } from '../policy/policy.ts';
import { restOf } from './excess.ts';

const DONE: Outcome = { kind: 'done', tag: 'SELECT 5000', rows: 5_000, ms: 3 };
const exportsBudget: Budget = {
  key: 'file:exports rows/statement',
  count: 'file:exports',
  rule: 'exports',
  limit: { of: 'rows', per: 'statement', most: 1_000 },
  verdict: 'hold',
  demand: demand({ rule: 'exports' }),
};
const held: Verdict = { kind: 'hold', rules: ['exports'], demands: [demand({ rule: 'exports' })] };
const select = operation({
  effects: [{ action: 'read', object: 'public.customers' }],
  headline: 'SELECT from public.customers',
});

/** A gate over a policy that says `rest` of what used up its budget; holds are `asked`, and end as `answer` says. */
function door(rest: Verdict, change: Partial<GateDeps> = {}) {
  const audit = new TrailOfTest();
  const controller = new AbortController();
  const questions: Question[] = [];
  const asked: { operation: Operation; verdict: Verdict }[] = [];
  const settled: Outcome[] = [];
  const policy: Policy = {
    ...policyOf(rest),
    evaluate: (question) => {
      questions.push(question);
      return question.usedUp ? rest : { kind: 'allow', rules: ['default:read'], budgets: [exportsBudget] };
    },
  };
  let answer: (operation: Operation) => Promise<Permit> = async (about) => ({
    operation: about,
    hold: 'hold-1',
    settle: (outcome) => void settled.push(outcome),
  });
  const gate = createGate({
    policy: () => policy,
    holds: {
      open: (about, verdict) => {
        asked.push({ operation: about, verdict });
        return answer(about);
      },
    },
    audit,
    closed: () => undefined,
    redact: (text) => text,
    log: () => {},
    ...change,
  });
  const context: AdmitContext = {
    signal: controller.signal,
    tell: () => {},
    credentialEndsAt: () => Number.MAX_SAFE_INTEGER,
    alive: () => true,
  };
  /** A permit whose client has its thousand rows, and what it asks then. */
  const stopped = () => {
    const permit = gate.admit(select, context);
    assert.ok(!(permit instanceof Promise) && permit.budget);
    permit.budget.count(1_000, 123_456);
    const excess: Excess = { budgets: permit.budget.stopping(100), preview: [['1', 'Ada']] };
    return { permit, budget: permit.budget, exceed: () => gate.exceed(permit, excess, context) };
  };
  return {
    audit,
    asked,
    settled,
    questions,
    controller,
    stopped,
    refuse: (error: GatewayError) => {
      answer = () => Promise.reject(error);
    },
  };
}

const refusedWith = (code: string, hint: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GatewayError);
  assert.equal(error.code, code);
  assert.match(error.hint ?? '', hint);
  return true;
};

describe('a result that used up its budget', () => {
  it('is asked about under a headline that says so, with what its client has of it', async () => {
    const { stopped, asked, questions } = door(held);
    const { exceed, budget } = stopped();
    await exceed();
    const about = asked[0]?.operation;
    assert.equal(about?.headline, 'SELECT from public.customers: past 1,000 rows');
    assert.equal(about?.id, select.id);
    assert.deepEqual(about?.risks, ['its client has 1,000 rows (120.5 KB) of it']);
    assert.deepEqual(about?.stopped, {
      rows: 1_000,
      bytes: 123_456,
      preview: [['1', 'Ada']],
      usedUp: [exportsBudget.key],
    });
    assert.deepEqual(questions.at(-1)?.usedUp, [exportsBudget.key]);
    assert.equal(budget.rowsLeft, Number.POSITIVE_INFINITY);
  });

  it('keeps its limit in the headline however long the names in it are', () => {
    const { permit, budget } = door(held).stopped();
    const about = { ...permit, operation: { ...select, headline: `SELECT from ${'x'.repeat(900)}` }, budget };
    const { headline } = restOf(about, { budgets: [exportsBudget], preview: [] });
    assert.ok(headline.length < 500 && headline.endsWith('…: past 1,000 rows'));
  });

  it('is recorded: the question with its counts, and one outcome for each that was asked', async () => {
    const { stopped, audit, settled } = door(held);
    const { permit, exceed } = stopped();
    await exceed();
    permit.settle(DONE);
    permit.settle(DONE);
    assert.deepEqual(
      audit.entries.map(({ kind, verdict, stopped: at }) => [kind, verdict, at]),
      [
        ['operation', 'allow', undefined],
        ['operation', 'hold', { rows: 1_000, bytes: 123_456 }],
        ['outcome', undefined, undefined],
      ],
    );
    assert.deepEqual(settled, [DONE]);
  });

  it('that ended before the answer came settles the answer too: no hold is left without an end', async () => {
    const { stopped, settled } = door(held);
    const { permit, exceed } = stopped();
    const asking = exceed();
    permit.settle(DONE);
    await asking;
    assert.deepEqual(settled, [DONE]);
  });

  it('is refused with what its client has, and asked about no further', async () => {
    const rest = /The first 1,000 rows were sent, the rest was not\./;
    const denied = door({ kind: 'deny', rules: ['end'], rule: 'end', why: 'enough' });
    await assert.rejects(denied.stopped().exceed(), refusedWith('DENIED', rest));
    assert.deepEqual(denied.audit.entries.at(-1)?.verdict, 'deny');
    const cancelled = door(held);
    const { exceed, budget } = cancelled.stopped();
    cancelled.controller.abort('the client cancelled');
    await assert.rejects(exceed(), refusedWith('WITHDRAWN', rest));
    assert.equal(budget.rowsLeft, 0);
    const closed = { now: undefined as string | undefined };
    const shut = door(held, { closed: () => closed.now });
    const asking = shut.stopped();
    closed.now = 'Redis has been gone for too long';
    await assert.rejects(asking.exceed(), refusedWith('UNAVAILABLE', rest));
    const no = door(held);
    no.refuse(new GatewayError('DENIED', 'denied by Alice'));
    const last = no.stopped();
    await assert.rejects(last.exceed(), /denied by Alice/);
    assert.equal(last.budget.rowsLeft, 0);
  });

  it('flows on unasked where the rule is gone by then', async () => {
    const { stopped, asked, audit } = door({ kind: 'allow', rules: ['default:read'] });
    const { permit, exceed, budget } = stopped();
    await exceed();
    assert.deepEqual([asked.length, budget.rowsLeft], [0, Number.POSITIVE_INFINITY]);
    permit.settle(DONE);
    assert.equal(audit.of('outcome').length, 1);
  });
});

describe('what a principal reads within an hour', () => {
  it('is counted over all of its permits, whatever session they are of', async () => {
    const hourly: Budget = { ...exportsBudget, key: 'h', limit: { of: 'rows', per: 'hour', most: 1_500 } };
    const gate = createGate({
      policy: () => policyOf({ kind: 'allow', rules: ['default:read'], budgets: [hourly] }),
      holds: { open: () => assert.fail('nobody is to be asked') },
      audit: new TrailOfTest(),
      closed: () => undefined,
      redact: (text) => text,
      log: () => {},
    });
    const left = async (change: Partial<Operation>) => {
      const signal = new AbortController().signal;
      const context = { signal, tell: () => {}, credentialEndsAt: () => Number.MAX_SAFE_INTEGER, alive: () => true };
      const { budget } = await gate.admit({ ...select, ...change }, context);
      const before = budget?.rowsLeft;
      budget?.count(1_000, 0);
      return before;
    };
    assert.equal(await left({ session: 'one' }), 1_500);
    assert.equal(await left({ session: 'two' }), 500);
    assert.equal(await left({ principal: { ...select.principal, subject: 'deploy-bot' } }), 1_500);
  });
});

describe('a permit without budgets', () => {
  it('is the plain one, and nothing is counted for it', () => {
    const audit = new TrailOfTest();
    const gate = createGate({
      policy: () => policyOf({ kind: 'allow', rules: ['default:read'] }),
      holds: { open: () => assert.fail('nobody is to be asked') },
      audit,
      closed: () => undefined,
      redact: (text) => text,
      log: () => {},
    });
    const permit = gate.admit(select, {
      signal: new AbortController().signal,
      tell: () => {},
      credentialEndsAt: () => Number.MAX_SAFE_INTEGER,
      alive: () => true,
    });
    assert.ok(!(permit instanceof Promise) && permit.budget === undefined);
  });
});
