/** The compiled policy against the same language read as slowly and plainly as possible, over random rules. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ACTIONS, type Effect, type Principal } from '../operation.ts';
import { compile, type PolicyInput } from './compile.ts';
import type { Question, Rule, RuleMatch, Verdict } from './policy.ts';

const defaults = { channel: 'C0MAIN', approvers: ['@dba'], expiresMs: 900_000, expiresInTransactionMs: 120_000 };

function rule(id: string, verdict: Rule['verdict'], match: RuleMatch, more: Partial<Rule> = {}): Rule {
  const base = { id, source: 'file', match, verdict, why: `because ${id}`, approvers: [], quorum: 1 } as const;
  return { ...base, requireReason: false, expiresMs: undefined, channel: undefined, ...more };
}
it('agrees with a naive reading of the rules, whatever they are', () => {
  const random = generator(20_251);
  for (let round = 0; round < 300; round++) {
    const input = randomInput(random);
    const policy = compile(input);
    for (let n = 0; n < 12; n++) {
      const question = randomQuestion(random);
      const expected = naive(input, question);
      const got = policy.evaluate(question);
      assert.equal(got.kind, expected.kind, JSON.stringify({ input, question }));
      assert.deepEqual([...got.rules].sort(), expected.rules, JSON.stringify({ input, question }));
      assert.deepEqual(policy.evaluate(question), got, 'a remembered verdict differs');
    }
  }
});

const like = (pattern: string, text: string): boolean => {
  if (pattern === '') return text === '';
  if (pattern[0] === '*') return like(pattern.slice(1), text) || (text !== '' && like(pattern, text.slice(1)));
  return text !== '' && pattern[0] === text[0] && like(pattern.slice(1), text.slice(1));
};
const some = (patterns: readonly string[] | undefined, ...texts: string[]) =>
  patterns === undefined || patterns.some((p) => texts.some((t) => like(p, t)));

function naiveMatch(match: RuleMatch, { connection, principal }: Question, what: Effect, stops: boolean): boolean {
  const isTable = (p: string) =>
    some([p], p.includes('.') ? what.object : what.object.slice(what.object.indexOf('.') + 1));
  const isPrincipal = (p: string) =>
    some([p], p.includes('#') ? `${principal.issuer}#${principal.subject}` : principal.name);
  const changes = what.action === 'update' || what.action === 'delete';
  return (
    some(match.connection, connection) &&
    (!match.action || match.action.includes(what.action)) &&
    (!match.where || (changes && (what.where === undefined ? stops : what.where === match.where))) &&
    (!match.object || match.object.some((p) => p === '*' || (what.object !== '' && isTable(p)))) &&
    (!match.by || match.by.some(isPrincipal)) &&
    (!match.group || principal.groups.some((g) => some(match.group, g)))
  );
}

function naive(input: PolicyInput, question: Question): { kind: Verdict['kind']; rules: string[] } {
  const found: { kind: Verdict['kind']; rule: string }[] = [];
  const connection = input.connections.find((c) => c.name === question.connection);
  if (!connection) return { kind: 'deny', rules: ['no-such-connection'] };
  if (question.effects.length === 0) return { kind: 'deny', rules: ['no-effects'] };
  for (const what of question.effects) {
    const matches = ({ match: { except, ...match }, verdict }: Rule) =>
      naiveMatch(match, question, what, verdict !== 'allow') &&
      !(except && naiveMatch(except, question, what, verdict === 'allow'));
    const here = (rules: readonly Rule[]) => rules.filter(matches).map((r) => ({ kind: r.verdict, rule: r.id }));
    const [file, made] = [here(input.fileRules), here(input.slackRules)];
    const name = ['read', 'copy-out'].includes(what.action)
      ? 'read'
      : ['session', 'transaction'].includes(what.action)
        ? 'pass'
        : what.action === 'unknown'
          ? 'unknown'
          : 'write';
    const base = { kind: name === 'pass' ? 'allow' : connection.default[name], rule: `default:${name}` } as const;
    const allows = made.filter((f) => f.kind === 'allow');
    if (file.length > 0) found.push(...file);
    else if (base.kind === 'hold' && allows.length > 0) found.push(...allows);
    else found.push(base);
    found.push(...made.filter((f) => f.kind !== 'allow'));
  }
  const worst = (['deny', 'hold', 'allow'] as const).find((k) => found.some((f) => f.kind === k)) ?? 'deny';
  return { kind: worst, rules: [...new Set(found.filter((f) => f.kind === worst).map((f) => f.rule))].sort() };
}

/** A small linear congruential generator: the same run every time. */
function generator(seed: number): <T>(among: readonly T[]) => T {
  let state = seed;
  return (among) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return among[Math.floor((state / 2 ** 32) * among.length)] as never;
  };
}
type Random = ReturnType<typeof generator>;

const NAMES = ['a', 'ab', 'b', 'ba', 'abc'];
const PATTERNS = ['*', 'a*', '*b', 'a', 'ab', '*b*', 'public.*', 'public.a*', 's.ab', '*.b', 'a*c', '*a*b*'];

function randomInput(random: Random): PolicyInput {
  const verdicts = ['allow', 'hold', 'deny'] as const;
  const maybe = <T>(make: () => T) => (random([true, false, false]) ? [make(), make()] : undefined);
  const condition = (): Omit<RuleMatch, 'except'> => {
    const parts = {
      connection: maybe(() => random(['orders', 'billing', '*', 'o*'])),
      action: maybe(() => random(ACTIONS)),
      object: maybe(() => random(PATTERNS)),
      where: random([undefined, undefined, 'absent', 'present'] as const),
      by: maybe(() => random([...PATTERNS, '*#a', 'i#b', 'i#*'])),
      group: maybe(() => random(PATTERNS)),
    };
    return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
  };
  const make = (source: Rule['source'], i: number) => {
    const except = random([true, false, false]) ? condition() : {};
    const match = Object.keys(except).length > 0 ? { ...condition(), except } : condition();
    return rule(`${source}-${i}`, random(verdicts), match, { source });
  };
  const several = (source: Rule['source']) => Array.from({ length: random([0, 1, 3, 8]) }, (_, i) => make(source, i));
  const connection = (name: string) => ({
    name,
    default: { read: random(verdicts), write: random(verdicts), unknown: random(verdicts) },
  });
  return {
    fileRules: several('file'),
    slackRules: several('slack'),
    connections: ['orders', 'billing'].map(connection),
    defaults,
  };
}

function randomQuestion(random: Random): Question {
  const what = (): Effect => {
    const action = random(ACTIONS);
    const object = random(['', ...NAMES, ...NAMES.flatMap((n) => [`public.${n}`, `s.${n}`])]);
    const where =
      action === 'update' || action === 'delete' ? random([undefined, 'absent', 'present'] as const) : undefined;
    return where === undefined ? { action, object } : { action, object, where };
  };
  const principal: Principal = {
    issuer: random(['i', 'j']),
    subject: random(NAMES),
    kind: 'agent',
    name: random(NAMES),
    groups: random([[], ['a'], ['b', 'ab']]),
  };
  const effects = Array.from({ length: random([0, 1, 1, 1, 2, 4]) }, what);
  return {
    connection: random(['orders', 'billing', 'orders', 'none']),
    principal,
    effects,
    inTransaction: random([true, false]),
  };
}
