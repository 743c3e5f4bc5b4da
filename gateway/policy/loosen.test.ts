/** What counts as loosening, in words; and over random rules and questions: nothing milder is ever called a tightening. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Effect, Principal } from '../operation.ts';
import { compile } from './compile.ts';
import { parseLine } from './line.ts';
import { loosenings } from './loosen.ts';
import type { Budget, Demand, Question, Rule, Verdict } from './policy.ts';

const defaults = { channel: 'C0MAIN', approvers: ['a', 'b'], expiresMs: 900_000, expiresInTransactionMs: 120_000 };

const ruleOf = (line: string): Rule => {
  const parsed = parseLine(line);
  assert.equal(parsed.kind, 'rule', line);
  return (parsed as { rule: Rule }).rule;
};
const change = (before: readonly string[], after: readonly string[]) =>
  loosenings(before.map(ruleOf), after.map(ruleOf), defaults);

describe('loosening', () => {
  const HOLD = 'hold delete on orders.customers approvers @dba @leads quorum 2 expires 10m require reason id x';

  it('is what lets more pass, lets more people approve, or asks for less', () => {
    const cases: readonly [before: string, after: string, reason: RegExp][] = [
      [HOLD, 'allow delete on orders.customers id x', /x allows what it held/],
      ['deny dcl on * id x', 'hold dcl on * id x', /holds what it denied/],
      [HOLD, HOLD.replace('delete', 'update'), /matches less, or other things/],
      [HOLD, HOLD.replace('customers', 'public.customers'), /matches less/],
      [HOLD, HOLD.replace('approvers', 'where absent approvers'), /matches less/],
      [HOLD, HOLD.replace('approvers', 'except by ci approvers'), /matches less/],
      [HOLD, HOLD.replace('@leads', '@leads @interns'), /may be approved by @interns, too/],
      [HOLD, HOLD.replace('quorum 2', 'quorum 1'), /asks for 1 of them, not 2/],
      [HOLD, HOLD.replace('10m', '11m'), /waits longer/],
      [HOLD, HOLD.replace('require reason ', ''), /asks for no reason/],
      [HOLD, HOLD.replace('id x', 'in C0QUIET id x'), /asks in another channel/],
      [HOLD, HOLD.replace('id x', 'notify dm id x'), /notifies another way/],
      ['hold read on orders rows > 10 id x', 'hold read on orders rows > 11 id x', /limit that may be wider/],
      ['hold read on orders rows > 10 id x', 'hold read on orders rows > 10 id y', /removes x/],
      ['hold read on orders id x', 'hold read on orders rows > 10 id x', /limit that may be wider/],
      ['hold read on orders confirm rows id x', 'hold read on orders id x', /does not confirm rows/],
    ];
    for (const [before, after, reason] of cases) {
      const found = change([before], [after]);
      assert.match(found.join('; '), reason, `${before} → ${after}`);
    }
    assert.deepEqual(change([HOLD], []), ['removes x, which holds']);
    assert.deepEqual(change([], ['allow insert on orders.carts id y']), ['adds y, which allows']);
  });

  it('is not what only adds, or asks for more', () => {
    const cases: readonly [before: string[], after: string[]][] = [
      [[], [HOLD]],
      [[], ['deny dcl on *']],
      [['allow insert on orders.carts'], []],
      [['allow insert on orders.*'], ['allow insert on orders.carts']],
      [[HOLD], [HOLD.replace('hold', 'deny').replace(/approvers.*id/, 'id')]],
      [[HOLD], [HOLD.replace('delete', 'delete,update').replace('.customers', '')]],
      [[HOLD], [HOLD.replace('@leads ', '').replace('quorum 2', 'quorum 3')]],
      [[HOLD], [HOLD.replace('10m', '5m')]],
      [[HOLD], [HOLD.replace('id x', 'id renamed "another sentence"')]],
      [[HOLD.replace('approvers', 'except by ci approvers')], [HOLD]],
      [['hold read on orders rows > 10 id x'], ['deny read on orders rows > 9 bytes > 1MB id x']],
      [[HOLD], ['deny delete on * id other']],
    ];
    for (const [before, after] of cases) assert.deepEqual(change(before, after), [], `${before} → ${after}`);
  });
});

// Few names, and few conditions a rule, so that random rules meet random questions.
const CONNECTIONS = ['orders', 'billing'];
const few = <T>(item: fc.Arbitrary<T>) => fc.uniqueArray(item, { minLength: 1, maxLength: 2 });
const CONDITIONS = {
  connection: few(fc.constantFrom('orders', 'billing', '*', 'o*', '*ing')),
  object: few(
    fc.constantFrom('customers', 'public.customers', '*', '*.customers', 'c*', 'pub*', 'public.*', '*s', '*u*s'),
  ),
  action: few(fc.constantFrom('read' as const, 'update' as const, 'delete' as const, 'unknown' as const)),
  where: fc.constantFrom('absent' as const, 'present' as const),
  by: few(fc.constantFrom('ci', 'bot', '*', 'b*', '*ci', 'https://a#ci', '*#ci', '*#*', 'https://a#*')),
  group: few(fc.constantFrom('dev', '*', '*ev', 'https://a#dev', '*#dev', 'https://b#*')),
};
const count = fc.constantFrom(0, 10, 100);
const LIMITS = { rows: count, bytes: count, rowsPerHour: count };
const PEOPLE = ['a', 'b', 'c'];

const some = <T extends object>(all: { [K in keyof T]: fc.Arbitrary<T[K]> }, minLength: number, maxLength: number) =>
  fc
    .subarray(Object.keys(all) as (keyof T & string)[], { minLength, maxLength })
    .chain((keys) =>
      fc.record(Object.fromEntries(keys.map((key) => [key, all[key]])) as Record<string, fc.Arbitrary<unknown>>),
    )
    .map((made) => ({ ...made }) as Partial<T>);
const sometimes = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined, freq: 2 });

const match = fc
  .tuple(some(CONDITIONS, 0, 2), sometimes(some(CONDITIONS, 1, 2)), sometimes(some(LIMITS, 1, 2)))
  .map(([all, except, limits]) => ({ ...all, ...limits, ...(except ? { except } : {}) }) as Rule['match']);
const terms = fc.record({
  why: fc.constantFrom('one', 'two'),
  approvers: fc.subarray(PEOPLE),
  quorum: fc.integer({ min: 1, max: 2 }),
  requireReason: fc.boolean(),
  expiresMs: fc.constantFrom(undefined, 60_000, 900_000, 1_800_000),
  channel: fc.constantFrom(undefined, undefined, 'C0OTHER'),
  confirm: fc.constantFrom(undefined, 'rows' as const),
});
const withoutLimits = ({ rows: _r, bytes: _b, rowsPerHour: _h, ...rest }: Rule['match']) => rest;
const rule = (source: Rule['source']): fc.Arbitrary<Rule> =>
  fc
    .tuple(
      fc.constantFrom('x', 'y', 'z'),
      fc.constantFrom('hold' as const, 'hold' as const, 'deny' as const, 'allow' as const),
      match,
      terms,
    )
    .map(([id, verdict, made, how]) => ({
      id,
      source,
      verdict,
      match: verdict === 'allow' ? withoutLimits(made) : made,
      ...how,
    }));

/** A small change of one rule: whole sets at random are seldom comparable. */
const changed = fc
  .tuple(
    rule('slack'),
    rule('slack'),
    fc.constantFrom('match', 'except', 'limit', 'verdict', 'terms', 'id', 'all'),
    fc.nat(7),
  )
  .map(([was, patch, what, at]) => {
    const keys = Object.keys(patch.match) as (keyof Rule['match'])[];
    const key = keys[at % Math.max(1, keys.length)];
    const merged = { ...was.match, ...(key ? { [key]: patch.match[key] } : {}) };
    const dropped = Object.fromEntries(Object.entries(was.match).filter((_, i) => i !== at % 3));
    const fitting = (next: Rule['match']) => (was.verdict === 'allow' ? withoutLimits(next) : next);
    const { why, approvers, quorum, requireReason, expiresMs, channel, confirm } = patch;
    switch (what) {
      case 'match':
        return { was, now: { ...was, match: fitting(at < 5 ? merged : dropped) } };
      case 'except': {
        const { except: _, ...rest } = was.match;
        const { except } = patch.match;
        return { was, now: { ...was, match: except ? { ...rest, except } : rest } };
      }
      case 'limit': {
        const { rows, bytes, rowsPerHour } = patch.match;
        const limits = Object.entries({ rows, bytes, rowsPerHour }).filter(([, most]) => most !== undefined);
        return { was, now: { ...was, match: fitting({ ...withoutLimits(was.match), ...Object.fromEntries(limits) }) } };
      }
      case 'verdict':
        return {
          was,
          now: {
            ...was,
            verdict: patch.verdict,
            match: patch.verdict === 'allow' ? withoutLimits(was.match) : was.match,
          },
        };
      case 'terms':
        return { was, now: { ...was, why, approvers, quorum, requireReason, expiresMs, channel, confirm } };
      case 'id':
        return { was, now: { ...was, id: patch.id } };
      default:
        return { was, now: patch };
    }
  });
/** One pattern for another, and nothing else: whether the second stands for all of the first is the whole question. */
const patterns = fc
  .tuple(rule('slack'), fc.constantFrom('object' as const, 'by' as const, 'group' as const), fc.boolean())
  .chain(([made, key, within]) =>
    fc.tuple(CONDITIONS[key], CONDITIONS[key]).map(([a, b]) => {
      const { verdict } = made;
      const put = (list: readonly string[]): Rule => {
        const only = { [key]: list.slice(0, 1) };
        return { ...made, verdict, match: within ? { except: only } : only };
      };
      return { was: put(a), now: put(b) };
    }),
  );

const pair = fc
  .tuple(fc.oneof(changed, patterns), sometimes(rule('slack')), fc.nat(9))
  .map(([{ was, now }, other, how]) => {
    const beside = other && other.id !== was.id && other.id !== now.id ? [other] : [];
    if (how === 0) return { before: [was, ...beside], after: beside };
    if (how === 1) return { before: beside, after: [...beside, now] };
    return { before: [was, ...beside], after: [now, ...beside] };
  });

const principal: fc.Arbitrary<Principal> = fc.record({
  issuer: fc.constantFrom('https://a', 'https://b'),
  subject: fc.constantFrom('ci', 'bot'),
  name: fc.constantFrom('ci', 'bot', 'b#y'),
  kind: fc.constant('agent' as const),
  groups: fc.subarray(['dev', 'ops', 'a#dev']),
});
const effect: fc.Arbitrary<Effect> = fc
  .record(
    {
      action: fc.constantFrom(
        'read' as const,
        'update' as const,
        'delete' as const,
        'session' as const,
        'unknown' as const,
      ),
      object: fc.constantFrom(
        '',
        'customers',
        'public.customers',
        'private.customers',
        'public.carts',
        'a.public.customers',
      ),
      where: fc.constantFrom('absent' as const, 'present' as const),
      rows: fc.constantFrom(5, 50, 500),
    },
    { requiredKeys: ['action', 'object'] },
  )
  .map((made) => ({ ...made }) as Effect);
const question: fc.Arbitrary<Question> = fc.record({
  connection: fc.constantFrom(...CONNECTIONS),
  principal,
  effects: fc.array(effect, { minLength: 1, maxLength: 2 }),
  inTransaction: fc.boolean(),
});

const verdict = fc.constantFrom('allow' as const, 'hold' as const);
const world = fc.record({
  fileRules: sometimes(rule('file')).map((one) => (one ? [one] : [])),
  connections: fc
    .tuple(verdict, verdict)
    .map(([read, write]) => CONNECTIONS.map((name) => ({ name, default: { read, write, unknown: write } }))),
  issuers: fc.constantFrom(undefined, [
    { issuer: 'https://a', groups: 'g' },
    { issuer: 'https://b', groups: 'g' },
  ]),
});

/** Every set of people whose votes would do. */
const VOTES = Array.from({ length: 2 ** PEOPLE.length }, (_, bits) => PEOPLE.filter((_, at) => bits & (2 ** at)));
const enough = (demands: readonly Demand[], votes: readonly string[]) =>
  demands.every(({ approvers, quorum }) => approvers.filter((name) => votes.includes(name)).length >= quorum);

/** Is the second word milder than the first, for anybody who can tell? */
function milderDemands(before: readonly Demand[], after: readonly Demand[]): boolean {
  if (VOTES.some((votes) => enough(after, votes) && !enough(before, votes))) return true;
  if (before.some((d) => d.requireReason) && !after.some((d) => d.requireReason)) return true;
  if (before.some((d) => d.confirm) && !after.some((d) => d.confirm)) return true;
  if (before.some(({ channel }) => !after.some((d) => d.channel === channel))) return true;
  return Math.min(...after.map((d) => d.expiresMs)) > Math.min(...before.map((d) => d.expiresMs));
}

const stricterBudget = (was: Budget, now: Budget): boolean =>
  now.key === was.key &&
  now.limit.most <= was.limit.most &&
  (now.verdict === 'deny' || (was.verdict === 'hold' && !milderDemands([was.demand], [now.demand])));

function milder(before: Verdict, after: Verdict): boolean {
  const rank = { allow: 0, hold: 1, deny: 2 };
  if (rank[after.kind] < rank[before.kind]) return true;
  if (after.kind === 'deny' || before.kind === 'deny') return false;
  if (before.kind === 'hold' && after.kind === 'hold' && milderDemands(before.demands, after.demands)) return true;
  return (before.budgets ?? []).some((was) => !(after.budgets ?? []).some((now) => stricterBudget(was, now)));
}

describe('what is not called loosening', () => {
  it('is milder for no question, whatever the rules, defaults and issuers', () => {
    let proven = 0;
    let refused = 0;
    fc.assert(
      fc.property(
        pair,
        world,
        fc.array(question, { minLength: 20, maxLength: 20 }),
        ({ before, after }, around, questions) => {
          const loosens = loosenings(before, after, defaults).length > 0;
          if (loosens) refused += 1;
          else proven += 1;
          if (loosens) return;
          const [was, now] = [before, after].map((slackRules) => compile({ ...around, slackRules, defaults }));
          for (const asked of questions) {
            const [a, b] = [was!.evaluate(asked), now!.evaluate(asked)];
            const about = JSON.stringify({ before, after, asked, a, b }, undefined, 1);
            assert.equal(milder(a, b), false, about);
            const usedUp = a.kind === 'deny' ? [] : (a.budgets ?? []).map(({ key }) => key);
            if (usedUp.length === 0) continue;
            const rest = { ...asked, usedUp };
            assert.equal(milder(was!.evaluate(rest), now!.evaluate(rest)), false, about);
          }
        },
      ),
      { numRuns: 3_000, seed: 20_261_123 },
    );
    assert.ok(proven > 500 && refused > 500, `both happen: ${proven} proven, ${refused} refused`);
  });
});
