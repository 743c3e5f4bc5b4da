/** Rules, defaults and precedence: a claim for each sentence of the design. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACTIONS, type Action, type Effect, type Principal } from '../operation.ts';
import { compile, type PolicyInput } from './compile.ts';
import type { ConnectionDefaults, Question, Rule, RuleMatch, Verdict } from './policy.ts';
import { ruleSchema } from './schema.ts';

const robot: Principal = {
  issuer: 'https://login.example.com',
  subject: 'report-bot',
  kind: 'agent',
  name: 'report-bot',
  groups: ['data-science'],
};
const defaults = { channel: 'C0MAIN', approvers: ['@dba'], expiresMs: 900_000, expiresInTransactionMs: 120_000 };

function rule(id: string, verdict: Rule['verdict'], match: RuleMatch, more: Partial<Rule> = {}): Rule {
  const base = { id, source: 'file', match, verdict, why: `because ${id}`, approvers: [], quorum: 1 } as const;
  return { ...base, requireReason: false, expiresMs: undefined, channel: undefined, ...more };
}
const slack = (id: string, verdict: Rule['verdict'], match: RuleMatch, more: Partial<Rule> = {}) =>
  rule(id, verdict, match, { source: 'slack', ...more });

type Setup = Partial<Omit<PolicyInput, 'connections'>> & { default?: Partial<ConnectionDefaults>; channel?: string };

const policyOf = ({ default: given, channel, ...input }: Setup = {}) =>
  compile({
    fileRules: [],
    slackRules: [],
    defaults,
    ...input,
    connections: [{ name: 'orders', default: { read: 'allow', write: 'hold', unknown: 'hold', ...given }, channel }],
  });

const effect = (action: Action, object = 'public.orders', more: Partial<Effect> = {}): Effect => ({
  action,
  object,
  ...more,
});

const ask = (setup: Setup, effects: Effect[], more: Partial<Question> = {}): Verdict =>
  policyOf(setup).evaluate({ connection: 'orders', principal: robot, effects, inTransaction: false, ...more });

const kind = (setup: Setup, effects: Effect[], more: Partial<Question> = {}) => ask(setup, effects, more).kind;

describe('defaults', () => {
  const classes: Record<Action, keyof ConnectionDefaults | 'pass'> = {
    read: 'read',
    'copy-out': 'read',
    insert: 'write',
    update: 'write',
    delete: 'write',
    ddl: 'write',
    dcl: 'write',
    call: 'write',
    'copy-in': 'write',
    session: 'pass',
    transaction: 'pass',
    unknown: 'unknown',
  };
  for (const action of ACTIONS) {
    it(`judges ${action} by ${classes[action]}`, () => {
      const nothing = { read: 'deny', write: 'deny', unknown: 'deny' } as const;
      const name = classes[action];
      const opened = name === 'pass' ? nothing : { ...nothing, [name]: 'allow' };
      assert.equal(kind({ default: opened }, [effect(action)]), 'allow');
      if (name !== 'pass') assert.equal(kind({ default: nothing }, [effect(action)]), 'deny');
    });
  }

  it('refuses what has no effects, and a connection nobody configured', () => {
    assert.equal(kind({}, []), 'deny');
    assert.equal(kind({}, [effect('read')], { connection: 'other' }), 'deny');
  });

  it('treats an action it has never heard of as unknown', () => {
    const strange = { action: 'teleport', object: 'x' } as unknown as Effect;
    assert.equal(kind({ default: { unknown: 'deny' } }, [strange]), 'deny');
  });

  it('asks the default approvers, in the channel of the connection', () => {
    const verdict = ask({ channel: 'C0ORDERS' }, [effect('insert')]);
    assert.ok(verdict.kind === 'hold');
    assert.deepEqual(
      verdict.demands.map(({ rule: id, approvers, quorum, channel, expiresMs }) => [
        id,
        approvers,
        quorum,
        channel,
        expiresMs,
      ]),
      [['default:write', ['@dba'], 1, 'C0ORDERS', 900_000]],
    );
  });
});

describe('precedence', () => {
  const hold = rule('h', 'hold', {});
  const allow = rule('a', 'allow', {});
  const deny = rule('d', 'deny', {});
  const table: [string, Setup, Verdict['kind']][] = [
    ['a file allow answers default: deny', { fileRules: [allow], default: { write: 'deny' } }, 'allow'],
    ['a file hold replaces default: deny', { fileRules: [hold], default: { write: 'deny' } }, 'hold'],
    ['hold over allow', { fileRules: [allow, hold] }, 'hold'],
    ['deny over hold', { fileRules: [hold, deny, allow] }, 'deny'],
    ['order never matters', { fileRules: [deny, allow, hold] }, 'deny'],
    ['a Slack allow answers default: hold', { slackRules: [slack('s', 'allow', {})] }, 'allow'],
    ['but not default: deny', { slackRules: [slack('s', 'allow', {})], default: { write: 'deny' } }, 'deny'],
    ['nor a file hold', { fileRules: [hold], slackRules: [slack('s', 'allow', {})] }, 'hold'],
    ['nor a file deny', { fileRules: [deny], slackRules: [slack('s', 'allow', {})] }, 'deny'],
    [
      'a Slack hold stops a default: allow',
      { slackRules: [slack('s', 'hold', {})], default: { write: 'allow' } },
      'hold',
    ],
    ['a Slack hold stops a file allow', { fileRules: [allow], slackRules: [slack('s', 'hold', {})] }, 'hold'],
    ['a Slack deny stops a file allow', { fileRules: [allow], slackRules: [slack('s', 'deny', {})] }, 'deny'],
    [
      'a Slack hold does not soften default: deny',
      { slackRules: [slack('s', 'hold', {})], default: { write: 'deny' } },
      'deny',
    ],
    ['a Slack hold beats a Slack allow', { slackRules: [slack('s', 'hold', {}), slack('t', 'allow', {})] }, 'hold'],
    ['a Slack deny beats a Slack allow', { slackRules: [slack('t', 'allow', {}), slack('s', 'deny', {})] }, 'deny'],
  ];
  for (const [claim, setup, expected] of table) {
    it(claim, () => assert.equal(kind(setup, [effect('update')]), expected));
  }

  it('takes the worst of all effects', () => {
    const fileRules = [rule('no-dcl', 'deny', { action: ['dcl'] })];
    assert.equal(kind({ fileRules }, [effect('read'), effect('dcl'), effect('insert')]), 'deny');
    assert.equal(kind({ fileRules }, [effect('read'), effect('insert')]), 'hold');
  });

  it('asks once for each rule, and keeps the default’s demand beside a hold made in Slack', () => {
    const slackRules = [slack('s', 'hold', {}, { approvers: ['U0FRIEND'] })];
    const verdict = ask({ slackRules }, [effect('insert'), effect('update')]);
    assert.ok(verdict.kind === 'hold');
    assert.deepEqual(
      verdict.demands.map((demand) => [demand.rule, demand.approvers]),
      [
        ['default:write', ['@dba']],
        ['s', ['U0FRIEND']],
      ],
    );
  });

  it('asks for both when a rule made in Slack carries the id of one in the file', () => {
    const fileRules = [rule('same', 'hold', {}, { approvers: ['@dba'], quorum: 2 })];
    const slackRules = [slack('same', 'hold', {}, { approvers: ['U0FRIEND'] })];
    const verdict = ask({ fileRules, slackRules }, [effect('ddl'), effect('dcl')]);
    assert.ok(verdict.kind === 'hold');
    assert.deepEqual(
      verdict.demands.map(({ approvers, quorum }) => [approvers, quorum]),
      [
        [['@dba'], 2],
        [['U0FRIEND'], 1],
      ],
    );
  });

  it('asks for every hold that matches, each on its own terms', () => {
    const fileRules = [
      rule('two', 'hold', { action: ['ddl'] }, { quorum: 2, requireReason: true, expiresMs: 60_000, channel: 'C0X' }),
      rule('one', 'hold', { object: ['orders'] }, { approvers: ['U0A'] }),
    ];
    const verdict = ask({ fileRules }, [effect('ddl')]);
    assert.ok(verdict.kind === 'hold');
    assert.deepEqual(verdict.demands, [
      {
        rule: 'two',
        why: 'because two',
        approvers: ['@dba'],
        quorum: 2,
        requireReason: true,
        expiresMs: 60_000,
        channel: 'C0X',
      },
      {
        rule: 'one',
        why: 'because one',
        approvers: ['U0A'],
        quorum: 1,
        requireReason: false,
        expiresMs: 900_000,
        channel: 'C0MAIN',
      },
    ]);
  });

  it('shortens every demand inside a transaction, and lengthens none', () => {
    const fileRules = [
      rule('long', 'hold', {}, { expiresMs: 3_600_000 }),
      rule('short', 'hold', {}, { expiresMs: 5_000 }),
      rule('plain', 'hold', {}),
    ];
    const verdict = ask({ fileRules }, [effect('ddl')], { inTransaction: true });
    assert.ok(verdict.kind === 'hold');
    assert.deepEqual(
      verdict.demands.map((d) => d.expiresMs),
      [120_000, 5_000, 120_000],
    );
  });

  it('names the rule that denied and why', () => {
    const verdict = ask({ fileRules: [deny, hold] }, [effect('dcl')]);
    assert.deepEqual(verdict, { kind: 'deny', rules: ['d'], rule: 'd', why: 'because d' });
  });
});

describe('matching', () => {
  const cases: [string, RuleMatch, Effect, boolean][] = [
    ['a table in any schema', { object: ['orders'] }, effect('read', 'archive.orders'), true],
    ['not a schema of that name', { object: ['archive'] }, effect('read', 'archive.orders'), false],
    ['schema and table', { object: ['public.orders'] }, effect('read', 'archive.orders'), false],
    ['globs in either part', { object: ['pub*.ord*s'] }, effect('read'), true],
    ['a glob without a dot against the table alone', { object: ['o*'] }, effect('read', 'public.customers'), false],
    ['* even where no object is named', { object: ['*'] }, effect('call', ''), true],
    ['no other pattern where no object is named', { object: ['*.*'] }, effect('call', ''), false],
    ['case', { object: ['Orders'] }, effect('read'), false],
    ['a table whose name has dots, at every cut', { object: ['customers'] }, effect('read', 'a.b.customers'), true],
    ['where absent', { where: 'absent' }, effect('delete', 't', { where: 'absent' }), true],
    ['not where present', { where: 'absent' }, effect('delete', 't', { where: 'present' }), false],
    ['a stop on doubt about where', { where: 'absent' }, effect('update', 't'), true],
    ['where only on update and delete', { where: 'absent' }, effect('insert', 't'), false],
    ['a display name', { by: ['report-*'] }, effect('read'), true],
    ['issuer and subject', { by: ['https://login.example.com#report-bot'] }, effect('read'), true],
    ['a subject of any issuer', { by: ['*#report-bot'] }, effect('read'), true],
    ['not another issuer', { by: ['https://evil.example.com#report-bot'] }, effect('read'), false],
    ['a group', { group: ['data-*'] }, effect('read'), true],
    ['all given keys at once', { group: ['data-*'], object: ['customers'] }, effect('read'), false],
    ['another connection', { connection: ['billing'] }, effect('read'), false],
    ['a glob of connections', { connection: ['ord*'] }, effect('read'), true],
    ['unless excepted', { action: ['read'], except: { group: ['data-science'] } }, effect('read'), false],
    [
      'when the exception is only half met',
      { except: { group: ['data-science'], action: ['ddl'] } },
      effect('read'),
      true,
    ],
    ['an exception never on doubt', { except: { object: ['b.customers'] } }, effect('read', 'a.b.customers'), true],
  ];
  for (const [claim, match, what, expected] of cases) {
    it(`${expected ? 'matches' : 'does not match'}: ${claim}`, () => {
      const open = { read: 'allow', write: 'allow', unknown: 'allow' } as const;
      const verdict = ask({ fileRules: [rule('r', 'deny', match)], default: open }, [what]);
      assert.equal(verdict.kind === 'deny', expected);
    });
  }

  it('never lets an allow match on doubt', () => {
    const closed = { read: 'deny', write: 'deny', unknown: 'deny' } as const;
    const allowing = (match: RuleMatch, what: Effect) =>
      kind({ fileRules: [rule('r', 'allow', match)], default: closed }, [what]);
    assert.equal(allowing({ where: 'present' }, effect('update', 't')), 'deny');
    assert.equal(allowing({ object: ['customers'] }, effect('read', 'a.b.customers')), 'deny');
    assert.equal(allowing({ object: ['*'] }, effect('read', 'a.b.customers')), 'allow');
    assert.equal(allowing({ object: ['customers'] }, effect('read', 'a.customers')), 'allow');
    assert.equal(
      allowing({ object: ['*'], except: { object: ['customers'] } }, effect('read', 'a.b.customers')),
      'deny',
    );
  });
});

describe('a name or a group that several issuers could give', () => {
  const home = robot.issuer;
  const issuers = [
    { issuer: home, groups: 'groups' },
    { issuer: 'https://ci.example.net', groups: 'teams' },
  ];
  const foreign = { ...robot, issuer: 'https://ci.example.net' };
  const verdictOf = (principal: Principal, verdict: Rule['verdict'], match: RuleMatch) =>
    compile({
      fileRules: [rule('r', verdict, match)],
      slackRules: [],
      connections: [{ name: 'orders', default: { read: 'hold', write: 'hold', unknown: 'hold' } }],
      defaults,
      issuers,
    }).evaluate({ connection: 'orders', principal, effects: [effect('read')], inTransaction: false }).kind;

  it('lets nobody pass without the issuer, and still stops everybody of that name', () => {
    for (const match of [{ by: ['report-bot'] }, { by: ['report-*'] }, { group: ['data-science'] }]) {
      assert.equal(verdictOf(foreign, 'allow', match), 'hold', JSON.stringify(match));
      assert.equal(verdictOf(robot, 'allow', match), 'hold', 'nor the one that may have been meant');
      assert.equal(verdictOf(foreign, 'deny', match), 'deny', JSON.stringify(match));
      assert.equal(verdictOf(foreign, 'deny', { except: match }), 'deny', 'no exception either');
      assert.equal(verdictOf(foreign, 'allow', { except: match }), 'hold');
    }
  });

  it('lets pass with the issuer, whom it names and nobody else', () => {
    for (const match of [{ by: [`${home}#report-bot`] }, { group: [`${home}#data-science`] }]) {
      assert.deepEqual([verdictOf(robot, 'allow', match), verdictOf(foreign, 'allow', match)], ['allow', 'hold']);
    }
    assert.equal(verdictOf(foreign, 'allow', { group: ['*#data-science'] }), 'allow');
    assert.equal(verdictOf(foreign, 'allow', { by: ['*'] }), 'allow');
    const pretender = { ...foreign, groups: [`${home}#data-science`] };
    assert.equal(
      verdictOf(pretender, 'allow', { group: [`${home}#data-science`] }),
      'hold',
      'a group named like a key',
    );
  });
});

describe('the compiled policy', () => {
  it('changes its version with anything that could change a verdict, and with nothing else', () => {
    const base = { fileRules: [rule('a', 'hold', { action: ['ddl'] })] };
    const { version } = policyOf(base);
    assert.equal(policyOf({ fileRules: [rule('a', 'hold', { action: ['ddl'] })] }).version, version);
    for (const other of [
      {},
      { fileRules: [rule('a', 'hold', { action: ['dcl'] })] },
      { fileRules: [rule('a', 'hold', { action: ['ddl'] }, { quorum: 2 })] },
      { ...base, slackRules: [slack('b', 'allow', {})] },
      { ...base, default: { read: 'deny' } as const },
      { ...base, defaults: { ...defaults, approvers: ['@others'] } },
    ]) {
      assert.notEqual(policyOf(other).version, version);
    }
  });

  it('tells principals apart who differ in one group only', () => {
    const policy = policyOf({ fileRules: [rule('r', 'deny', { group: ['x'] })] });
    const asking = (groups: string[]) =>
      policy.evaluate({
        connection: 'orders',
        principal: { ...robot, groups },
        effects: [effect('read')],
        inTransaction: false,
      }).kind;
    assert.deepEqual([asking([]), asking(['x']), asking([])], ['allow', 'deny', 'allow']);
  });

  it('costs with 10,000 rules about what it costs with 10', () => {
    const many = (n: number) =>
      policyOf({
        fileRules: Array.from({ length: n }, (_, i) =>
          rule(
            `r${i}`,
            'hold',
            i % 3 === 0 ? { object: [`t${i}*`] } : i % 3 === 1 ? { object: [`public.t${i}`] } : { by: [`a${i}`] },
          ),
        ),
      });
    const spent = (n: number) => {
      const policy = many(n);
      const question = { connection: 'orders', principal: robot, effects: [effect('read')], inTransaction: false };
      policy.evaluate(question);
      const start = performance.now();
      for (let i = 0; i < 20_000; i++) policy.evaluate(question);
      return performance.now() - start;
    };
    spent(10);
    const [few, lots] = [Math.min(spent(10), spent(10)), Math.min(spent(10_000), spent(10_000))];
    assert.ok(lots < few * 5 + 20, `10 rules took ${few} ms, 10,000 took ${lots} ms`);
  });

  it('does not slow down on hostile patterns and names', () => {
    const fileRules = [rule('r', 'deny', { object: ['*a*a*a*a*a*a*a*b'] })];
    const start = performance.now();
    for (let i = 0; i < 1_000; i++) ask({ fileRules }, [effect('read', `s.${'a'.repeat(1_000)}${i}`)]);
    assert.ok(performance.now() - start < 2_000);
  });

  it('refuses a name no target can have', () => {
    assert.equal(kind({ default: { read: 'allow' } }, [effect('read', '.'.repeat(2_000))]), 'deny');
  });
});

describe('the stored rule', () => {
  const stored = slack('ok', 'hold', { action: ['ddl'], object: ['a*'] }, { expiresMs: 60_000 });
  it('comes back as it was', () => {
    assert.deepEqual(ruleSchema.parse(JSON.parse(JSON.stringify(stored))), stored);
  });
  for (const [claim, change] of Object.entries<object>({
    'an unknown key': { extra: 1 },
    'an unknown action': { match: { action: ['drop'] } },
    'an empty exception': { match: { except: {} } },
    'an empty list': { match: { object: [] } },
    'a quorum nobody can meet': { quorum: 2, approvers: ['U0A'] },
    'an allow that asks people': { verdict: 'allow', approvers: ['U0A'] },
    'too many stars': { match: { object: ['*a'.repeat(9)] } },
    'an expiry of years': { expiresMs: 1e12 },
    'an id that is no name': { id: 'default:write' },
  })) {
    it(`is refused with ${claim}`, () => {
      assert.equal(ruleSchema.safeParse({ ...stored, ...change }).success, false);
    });
  }
});
