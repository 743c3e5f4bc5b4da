/** Rules in a line: what people type, what phones make of it, what is printed, and where a mistake is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ACTIONS } from '../operation.ts';
import { parseLine } from './line.ts';
import { printLine } from './line-print.ts';
import type { Rule } from './policy.ts';
import { ruleMistake, ruleSchema } from './schema.ts';

const rule = (line: string): Rule => {
  const parsed = parseLine(line);
  assert.equal(parsed.kind, 'rule', parsed.kind === 'mistake' ? `${line}\n${parsed.mistake.message}` : '');
  return (parsed as { rule: Rule }).rule;
};
const mistake = (line: string) => {
  const parsed = parseLine(line);
  assert.equal(parsed.kind, 'mistake', line);
  return (parsed as { mistake: { message: string; at: number; part: string; word: string } }).mistake;
};

describe('a rule in a line', () => {
  it('says all that a rule can say', () => {
    const line =
      'hold update,delete on orders.customers where absent by report-bot rows > 1000 except (delete on *.carts by group:auditors) ' +
      'approvers @dba <@U0ALICE|alice> oidc:"data science" quorum 2 expires 10m require reason confirm rows in <#C0DBA|dba> ' +
      'notify both escalate <!subteam^S0LEADS|@leads> after 5m id no-mass-writes "Mass writes are reviewed"';
    assert.deepEqual(rule(line), {
      id: 'no-mass-writes',
      source: 'slack',
      match: {
        action: ['update', 'delete'],
        connection: ['orders'],
        object: ['customers'],
        where: 'absent',
        by: ['report-bot'],
        rows: 1000,
        except: { action: ['delete'], object: ['carts'], group: ['auditors'] },
      },
      verdict: 'hold',
      why: 'Mass writes are reviewed',
      approvers: ['@dba', 'U0ALICE', 'oidc:data science'],
      quorum: 2,
      requireReason: true,
      expiresMs: 600_000,
      channel: 'C0DBA',
      confirm: 'rows',
      notify: 'both',
      escalate: { to: 'S0LEADS', afterMs: 300_000 },
    });
  });

  it('takes the first dot as the end of the connection: an object may be schema.table', () => {
    assert.deepEqual(rule('deny ddl on orders.public.customers').match, {
      action: ['ddl'],
      connection: ['orders'],
      object: ['public.customers'],
    });
    assert.deepEqual(rule('deny ddl on orders-*,billing.public.a,private').match, {
      action: ['ddl'],
      connection: ['orders-*', 'billing'],
      object: ['public.a', 'private'],
    });
    assert.deepEqual(rule('deny * on *').match, {});
    assert.deepEqual(rule('deny * on *.secrets').match, { object: ['secrets'] });
  });

  it('does not guess whether what stands behind a comma is a schema or another connection', () => {
    const found = mistake('hold read on orders.customers,billing.invoices');
    assert.equal(found.at, 31);
    assert.match(found.message, /“billing\.invoices” at character 31 .* in quotes/);
    assert.deepEqual(rule('hold read on orders.customers,"billing.invoices"').match.object, [
      'customers',
      'billing.invoices',
    ]);
  });

  it('takes the quotes of phones, and leaves an apostrophe alone', () => {
    for (const quotes of [
      '“not without a ticket”',
      '”not without a ticket”',
      '‘not without a ticket’',
      "'not without a ticket'",
      '„not without a ticket“',
    ]) {
      assert.equal(rule(`hold ddl on orders ${quotes}`).why, 'not without a ticket', quotes);
    }
    assert.equal(rule('hold ddl on orders ‘don’t do it’').why, 'don’t do it');
    assert.equal(rule('hold ddl on orders “it’s Bob’s”').why, 'it’s Bob’s');
    assert.deepEqual(rule('hold ddl on orders by o’brien-bot,“night job”').match.by, ['o’brien-bot', 'night job']);
    assert.equal(rule('hold ddl on orders "the “big” ones"').why, 'the “big” ones');
  });

  it('takes a capital where a phone puts one, and none where names are', () => {
    assert.equal(rule('Hold Delete on orders Where Absent').verdict, 'hold');
    assert.deepEqual(rule('Hold read on Orders').match.connection, ['Orders']);
  });

  it('takes numbers and sizes as people write them', () => {
    assert.equal(rule('hold read on orders rows > 1,000,000').match.rows, 1_000_000);
    assert.equal(rule('hold read on orders rows>5').match.rows, 5);
    assert.equal(rule('hold read on orders bytes > 10 MB').match.bytes, 10 * 1024 ** 2);
    assert.equal(rule('deny read on orders rows per hour > 50000').match.rowsPerHour, 50_000);
    assert.equal(rule('deny read on orders bytes per hour > 1GB').match.bytesPerHour, 1024 ** 3);
  });

  it('names a rule by its actions and object, and never like one that is there', () => {
    const named = (line: string, ...ids: string[]) => {
      const parsed = parseLine(line, { taken: (id) => ids.includes(id) });
      return parsed.kind === 'rule' ? parsed.rule.id : parsed.mistake.message;
    };
    assert.equal(named('hold delete on orders.public.customers'), 'delete-public-customers');
    assert.equal(
      named('hold delete on orders.customers', 'delete-customers', 'delete-customers-2'),
      'delete-customers-3',
    );
    assert.equal(named('deny * on *'), 'any');
    assert.equal(rule('deny dcl on *').why, 'rule dcl');
  });

  it('says what it did not understand, where, and what was expected', () => {
    const cases: readonly [line: string, part: string, at: number, message: RegExp][] = [
      ['', 'verdict', 1, /the line ends at character 1: expected hold, deny or allow/],
      ['block delete on orders', 'verdict', 1, /“block” at character 1 .*: expected hold, deny or allow/],
      ['hold remove on orders', 'action', 6, /“remove” at character 6 .*an action \(read, insert/],
      ['hold delete orders', 'on', 13, /“orders” .*expected on and a connection/],
      ['hold delete on', 'on', 15, /the line ends at character 15: expected a connection/],
      ['hold delete on by bob', 'on', 16, /in quotes, where “by” is its name/],
      ['hold delete on orders.', 'on', 16, /an object behind the dot/],
      ['hold delete on orders whre absent', 'why', 23, /“whre” at character 23/],
      ['hold delete on orders where', 'where', 28, /expected absent or present/],
      ['hold delete on orders where absent where present', 'where', 36, /only once/],
      ['hold delete on orders by a,group:b', 'by', 28, /agents or groups in one list/],
      ['hold read on orders rows 5', 'rows', 26, /expected > and a number, or per hour/],
      ['hold read on orders rows > many', 'rows', 28, /“many” .* a number of rows/],
      ['hold read on orders except (by ci', 'except', 34, /expected on, where, by or \)/],
      ['hold read on orders except ()', 'except', 28, /at least one condition/],
      ['hold delete on orders approvers bob', 'approvers', 33, /“bob” .*a user group \(@dba\)/],
      ['hold delete on orders approvers', 'approvers', 32, /a user group/],
      ['hold delete on orders quorum 0', 'quorum', 30, /from 1 to 20/],
      ['hold delete on orders expires 2d', 'expires', 31, /from 1s to 24h/],
      ['hold delete on orders in #dba', 'in', 26, /from Slack’s list/],
      ['hold delete on orders id No!', 'id', 26, /lower-case letters/],
      ['hold delete on orders "why', 'why', 23, /to end with "/],
      ['deny delete on orders quorum 2', 'quorum', 23, /only a hold asks people/],
      ['allow read on orders rows > 5', 'verdict', 1, /hold or deny/],
      ['hold delete on orders approvers U0A1 quorum 2', 'quorum', 38, /can never be met/],
      ['hold delete on <script>', 'on', 16, /a mention of Slack/],
    ];
    for (const [line, part, at, message] of cases) {
      const found = mistake(line);
      assert.deepEqual([found.part, found.at], [part, at], `${line}\n${found.message}`);
      assert.match(found.message, message, line);
    }
  });

  it('is what the README shows', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const examples = readme.match(/^(?:hold|deny|allow) .*$/gm) ?? [];
    assert.ok(examples.length >= 4);
    for (const line of examples) rule(line);
  });

  it('stays linear: hostile text of any length is refused in a moment', () => {
    for (const part of ['"', '<', "'a", '(', 'a,', '\\', 'on ', '“', '<https://x>']) {
      const line = `hold delete on orders ${part.repeat(100_000 / part.length)}`;
      const from = performance.now();
      parseLine(line);
      assert.ok(performance.now() - from < 2_000, `${part}: ${performance.now() - from} ms`);
    }
    assert.equal(mistake('a'.repeat((1 << 20) + 1)).part, 'verdict');
  });
});

describe('the printed line', () => {
  const text = (max: number) =>
    fc.oneof(
      fc.string({ minLength: 1, maxLength: max, unit: 'grapheme' }),
      fc.string({ minLength: 1, maxLength: max, unit: 'binary' }).map((raw) => raw.slice(0, max)),
      fc.constantFrom(
        'by',
        'on',
        'a.b',
        '*',
        'a b',
        '“',
        "'",
        'group:x',
        'a,b',
        '<@U1>',
        'x"y\\z',
        '\ud800',
        '&gt;',
        '>',
        '(',
        '.',
      ),
    );
  const few = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 4 });
  const stars = (t: string) => t.split('*').length <= 9;
  const pattern = text(30).filter(stars);
  const plain = pattern.filter((t) => !/[?[\]{}]/.test(t));
  const id = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
  const approver = fc.oneof(
    fc.constantFrom('@dba', '@leads.eu', 'S0AB', 'U0ALICE', 'W0BOB'),
    text(40)
      .map((name) => `oidc:${name}`)
      .filter((name) => /^oidc:./.test(name)),
  );
  const ms = fc.oneof(fc.integer({ min: 1_000, max: 86_400_000 }), fc.constantFrom(60_000, 3_600_000, 86_400_000));
  const conditions = {
    connection: few(plain),
    object: few(plain),
    action: few(fc.constantFrom(...ACTIONS)),
    where: fc.constantFrom('absent' as const, 'present' as const),
    by: few(pattern),
    group: few(pattern),
  };
  const count = fc.oneof(fc.integer({ min: 0, max: 1e12 }), fc.constantFrom(0, 1, 1e12));
  const rules = fc
    .record({
      id,
      source: fc.constant('slack' as const),
      match: fc.record(
        {
          ...conditions,
          rows: count,
          bytes: fc.oneof(fc.integer({ min: 0, max: 1024 ** 5 }), fc.constantFrom(0, 1024, 1024 ** 5)),
          rowsPerHour: count,
          bytesPerHour: count,
          except: fc.record(conditions, { requiredKeys: [] }).filter((except) => Object.keys(except).length > 0),
        },
        { requiredKeys: [] },
      ),
      verdict: fc.constantFrom('hold' as const, 'deny' as const, 'allow' as const),
      why: text(60),
      approvers: fc.array(approver, { maxLength: 4 }),
      quorum: fc.integer({ min: 1, max: 20 }),
      requireReason: fc.boolean(),
      expiresMs: fc.option(ms, { nil: undefined }),
      channel: fc.option(fc.constantFrom('C0APPROVALS', 'G0SECRET', 'D0ONE'), { nil: undefined }),
      confirm: fc.option(fc.constant('rows' as const), { nil: undefined }),
      notify: fc.option(fc.constantFrom('channel' as const, 'dm' as const, 'both' as const), { nil: undefined }),
      escalate: fc.option(fc.record({ to: approver, afterMs: ms }), { nil: undefined }),
    })
    .map((made) =>
      made.verdict === 'hold' || ruleMistake(made) === undefined ? made : { ...made, verdict: 'hold' as const },
    )
    .filter((made) => ruleSchema.safeParse(made).success);

  it('is read back to the same rule, whatever the rule', () => {
    fc.assert(
      fc.property(rules, (made) => {
        const kept = ruleSchema.parse(made);
        const line = printLine(kept);
        assert.doesNotMatch(line, /[\n\r\u202e\u200b]/);
        const parsed = parseLine(line);
        assert.equal(parsed.kind, 'rule', `${line}\n${parsed.kind === 'mistake' && parsed.mistake.message}`);
        assert.deepEqual(ruleSchema.parse((parsed as { rule: Rule }).rule), withoutAbsent(kept), line);
      }),
      { numRuns: 1_500, seed: 20_261_123 },
    );
  });

  it('is the same line again once it was read', () => {
    const lines = fc.array(
      fc.constantFrom(
        'hold',
        'deny',
        'delete',
        'read',
        'on',
        'orders',
        '*',
        'orders.customers',
        'where',
        'absent',
        'by',
        'bot',
        'group:x',
        'rows',
        '>',
        '10',
        'except',
        '(',
        ')',
        'approvers',
        '@dba',
        'quorum',
        '2',
        '“why”',
        ',',
        '"a b"',
      ),
      { maxLength: 14 },
    );
    const typed = lines.map((words) => `hold delete on orders ${words.join(' ')}`);
    fc.assert(
      fc.property(fc.oneof(typed, fc.string({ unit: 'binary', maxLength: 200 })), (line) => {
        const parsed = parseLine(line);
        if (parsed.kind === 'mistake') {
          assert.ok(parsed.mistake.at >= 1 && parsed.mistake.at <= line.length + 1);
          return;
        }
        const printed = printLine(parsed.rule);
        assert.equal(printLine(rule(printed)), printed, line);
      }),
      { numRuns: 1_500, seed: 20_261_123 },
    );
  });
});

/** Members that say nothing are left out by whoever reads a line. */
const withoutAbsent = (value: Rule): Rule =>
  Object.fromEntries(
    Object.entries(value).filter(([key, item]) => item !== undefined || key === 'expiresMs' || key === 'channel'),
  ) as Rule;
