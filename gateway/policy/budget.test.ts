/** Limits: what a rule with `rows`, `bytes` or their hours asks for, on what is read and on what is written. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { amount } from '../amount.ts';
import type { Action, Effect, Principal } from '../operation.ts';
import { limitText } from './budget.ts';
import { compile } from './compile.ts';
import type { Budget, ConnectionDefaults, Question, Rule, RuleMatch, Verdict } from './policy.ts';
import { ruleMistake, ruleSchema } from './schema.ts';

const robot: Principal = {
  issuer: 'https://login.example.com',
  subject: 'report-bot',
  kind: 'agent',
  name: 'report-bot',
  groups: ['data-science'],
};
const auditor = { ...robot, subject: 'audit-bot', groups: ['auditors'] };
const defaults = { channel: 'C0MAIN', approvers: ['@dba'], expiresMs: 900_000, expiresInTransactionMs: 120_000 };

const rule = (id: string, match: RuleMatch, more: Partial<Rule> = {}): Rule => ({
  id,
  source: 'file',
  match,
  verdict: 'hold',
  why: `because ${id}`,
  approvers: [],
  quorum: 1,
  requireReason: false,
  expiresMs: undefined,
  channel: undefined,
  ...more,
});
const exportsRule = rule('exports', {
  connection: ['orders'],
  action: ['read', 'copy-out'],
  rows: 1_000,
  except: { group: ['auditors'] },
});

const policyOf = (rules: readonly Rule[], given: Partial<ConnectionDefaults> = {}) =>
  compile({
    fileRules: rules.filter(({ source }) => source === 'file'),
    slackRules: rules.filter(({ source }) => source === 'slack'),
    defaults,
    connections: [{ name: 'orders', default: { read: 'allow', write: 'allow', unknown: 'hold', ...given } }],
  });
const effect = (action: Action, more: Partial<Effect> = {}): Effect => ({
  action,
  object: 'public.customers',
  ...more,
});
const question = (effects: readonly Effect[], more: Partial<Question> = {}): Question => ({
  connection: 'orders',
  principal: robot,
  effects,
  inTransaction: false,
  ...more,
});
const ask = (rules: readonly Rule[], effects: readonly Effect[], more: Partial<Question> = {}): Verdict =>
  policyOf(rules).evaluate(question(effects, more));
const budgetsOf = (verdict: Verdict): readonly Budget[] => (verdict.kind === 'deny' ? [] : (verdict.budgets ?? []));
const limits = (verdict: Verdict): string[] =>
  budgetsOf(verdict).map(({ rule, limit, verdict }) => `${rule}: ${verdict} past ${limitText(limit)}`);

describe('a rule with a limit, on what is read', () => {
  it('does not match when the statement is asked about: it is a budget of the result', () => {
    for (const action of ['read', 'copy-out'] as const) {
      const verdict = ask([exportsRule], [effect(action)]);
      assert.equal(verdict.kind, 'allow');
      assert.deepEqual(verdict.rules, ['default:read']);
      assert.deepEqual(limits(verdict), ['exports: hold past 1,000 rows']);
    }
  });

  it('says on which terms it would ask', () => {
    const more = { approvers: ['@dpo'], quorum: 2, requireReason: true, channel: 'C0DPO', expiresMs: 600_000 };
    const verdict = ask([{ ...exportsRule, ...more }], [effect('read')], { inTransaction: true });
    const [budget] = budgetsOf(verdict);
    assert.ok(budget?.verdict === 'hold');
    const { inTransaction: _, ...terms } = { ...more, inTransaction: true };
    assert.deepEqual(budget.demand, { rule: 'exports', why: 'because exports', ...terms, expiresMs: 120_000 });
  });

  it('has each of its limits as a budget of its own', () => {
    const all = rule('much', { rows: 10, bytes: 10 << 20, rowsPerHour: 50_000, bytesPerHour: 1 << 30 });
    assert.deepEqual(limits(ask([all], [effect('read')])), [
      'much: hold past 10 rows',
      'much: hold past 10 MB',
      'much: hold past 50,000 rows in an hour',
      'much: hold past 1 GB in an hour',
    ]);
  });

  it('ends the result where it denies', () => {
    const [budget] = budgetsOf(ask([{ ...exportsRule, verdict: 'deny' }], [effect('read')]));
    assert.ok(budget?.verdict === 'deny');
    assert.equal(budget.why, 'because exports');
  });

  it('leaves out whom it excepts, and other connections, objects and principals', () => {
    assert.equal(budgetsOf(ask([exportsRule], [effect('read')], { principal: auditor })).length, 0);
    const others: RuleMatch[] = [{ object: ['payments'] }, { by: ['deploy-bot'] }, { where: 'absent' }];
    for (const match of others) assert.deepEqual(limits(ask([rule('r', { ...match, rows: 1 })], [effect('read')])), []);
  });

  it('comes beside what else is asked: it stands in for no default and no other rule', () => {
    const held = policyOf([exportsRule], { read: 'hold' }).evaluate(question([effect('read')]));
    assert.equal(held.kind, 'hold');
    assert.deepEqual(held.rules, ['default:read']);
    assert.deepEqual(limits(held), ['exports: hold past 1,000 rows']);
    assert.equal(ask([exportsRule, rule('no', {}, { verdict: 'deny' })], [effect('read')]).kind, 'deny');
    const answered = policyOf([exportsRule, rule('ok', {}, { source: 'slack', verdict: 'allow' })], { read: 'hold' });
    assert.equal(answered.evaluate(question([effect('read')])).kind, 'allow');
  });

  it('counts once for several things read, and for one read beside a write', () => {
    const two = [effect('read'), effect('read', { object: 'public.orders' })];
    assert.equal(limits(ask([exportsRule], two)).length, 1);
    const mixed = ask([exportsRule], [effect('delete', { where: 'present' }), effect('read')]);
    assert.deepEqual([mixed.kind, limits(mixed).length], ['allow', 1]);
  });

  it('costs nothing where there is none', () => {
    const verdict = ask([rule('no-where', { where: 'absent' })], [effect('read')]);
    assert.equal('budgets' in verdict, false);
  });

  it('is remembered for effects that do not change, and not for another principal', () => {
    const policy = policyOf([exportsRule]);
    const effects = Object.freeze([effect('read')]);
    const first = policy.evaluate(question(effects));
    assert.equal(policy.evaluate(question(effects)), first);
    assert.equal(budgetsOf(policy.evaluate(question(effects, { principal: auditor }))).length, 0);
    assert.equal(limits(policy.evaluate(question(effects))).length, 1);
  });
});

describe('the rest of a result that used up a budget', () => {
  const effects = Object.freeze([effect('read')]);
  const key = (verdict: Verdict, at = 0) => budgetsOf(verdict)[at]?.key ?? '';

  it('is held on the terms of the rule as it is now, once for all limits of one rule', () => {
    const both = rule('exports', { rows: 10, bytes: 10 });
    const before = policyOf([both]).evaluate(question(effects));
    const usedUp = [key(before), key(before, 1)];
    const now = policyOf([{ ...both, quorum: 2 }]).evaluate(question(effects, { usedUp }));
    assert.ok(now.kind === 'hold');
    assert.deepEqual(now.rules, ['exports']);
    assert.deepEqual(
      now.demands.map(({ quorum }) => quorum),
      [2],
    );
  });

  it('is denied where any rule whose limit it passed denies, or reading is denied by now', () => {
    const end = rule('end', { rows: 20 }, { verdict: 'deny' });
    const before = policyOf([exportsRule, end]).evaluate(question(effects));
    const usedUp = budgetsOf(before).map((budget) => budget.key);
    assert.equal(policyOf([exportsRule, end]).evaluate(question(effects, { usedUp })).kind, 'deny');
    assert.equal(policyOf([exportsRule, end]).evaluate(question(effects, { usedUp: usedUp.slice(0, 1) })).kind, 'hold');
    const closed = policyOf([exportsRule, rule('closed', {}, { verdict: 'deny' })]);
    assert.equal(closed.evaluate(question(effects, { usedUp: usedUp.slice(0, 1) })).kind, 'deny');
  });

  it('passes once the rule is gone', () => {
    const usedUp = [key(policyOf([exportsRule]).evaluate(question(effects)))];
    assert.equal(policyOf([]).evaluate(question(effects, { usedUp })).kind, 'allow');
  });

  it('is no answer to the statement as a whole', () => {
    const policy = policyOf([exportsRule]);
    const whole = policy.evaluate(question(effects));
    assert.equal(policy.evaluate(question(effects, { usedUp: [key(whole)] })).kind, 'hold');
    assert.equal(policy.evaluate(question(effects)).kind, 'allow');
  });
});

describe('a rule with a limit, on what is written', () => {
  const big = rule('big', { rows: 1_000 });
  const update = (rows?: number) => [effect('update', { where: 'present', ...(rows === undefined ? {} : { rows }) })];

  it('holds its rows against the estimate, and matches where there is none', () => {
    const policy = policyOf([big]);
    const kinds = [999, 1_000, 1_001, undefined].map((rows) => policy.evaluate(question(update(rows))).kind);
    assert.deepEqual(kinds, ['allow', 'allow', 'hold', 'hold']);
  });

  it('does not speak of bytes and hours there, nor of what brings no rows at all', () => {
    const hours = rule('hours', { bytes: 1, rowsPerHour: 1, bytesPerHour: 1 });
    assert.equal(ask([hours], update(5_000)).kind, 'allow');
    for (const action of ['session', 'transaction'] as const) assert.equal(ask([big], [effect(action)]).kind, 'allow');
  });
});

describe('how a limit is written down', () => {
  it('stands for nothing in a rule that allows', () => {
    const { approvers, quorum, match } = exportsRule;
    assert.deepEqual(ruleMistake({ verdict: 'allow', approvers, quorum, match }), {
      key: 'verdict',
      message: 'beyond a limit a rule asks or refuses: expected hold or deny',
    });
    assert.equal(ruleSchema.safeParse({ ...exportsRule, verdict: 'allow' }).success, false);
    assert.equal(ruleMistake(exportsRule), undefined);
  });

  it('is kept as it was written, and changes the version of the rules', () => {
    const stored = ruleSchema.parse(JSON.parse(JSON.stringify({ ...exportsRule, source: 'slack' })));
    assert.equal(stored.match.rows, 1_000);
    const other = rule('exports', { ...exportsRule.match, rows: 1_001 });
    assert.notEqual(policyOf([other]).version, policyOf([exportsRule]).version);
  });

  it('is said as people say it', () => {
    const said = [1, 1_023, 1_024, 1_536, 10 << 20, 2 ** 30 - 1].map((bytes) => amount('bytes', bytes));
    assert.deepEqual(said, ['1 byte', '1,023 bytes', '1 KB', '1.5 KB', '10 MB', '1,023.9 MB']);
    assert.deepEqual([amount('rows', 1), amount('rows', 50_000)], ['1 row', '50,000 rows']);
  });
});
