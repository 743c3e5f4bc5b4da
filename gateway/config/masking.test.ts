import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { changed, problems, set, sources } from '../../test/support/config-file.ts';
import { parseConfig } from '../config.ts';

describe('masking', () => {
  const masked = (rule: Readonly<Record<string, unknown>>) =>
    changed((file) => set(file, { masking: [{ connection: 'orders', ...rule }] }));
  const ruleOf = (rule: Readonly<Record<string, unknown>>) => parseConfig(masked(rule), { sources }).masking[0];

  it('reads columns, formats and lists as people write them', () => {
    const columns = ['public.customers.ssn', '*.*.card', '"Odd.Schema"."T""x".c'];
    assert.deepEqual(ruleOf({ columns, as: 'last4' }), {
      connection: ['orders'],
      columns: [
        { schema: 'public', table: 'customers', column: 'ssn' },
        { schema: '*', table: '*', column: 'card' },
        { schema: 'Odd.Schema', table: 'T"x', column: 'c' },
      ],
      detect: [],
      patterns: [],
      as: { kind: 'last4' },
    });
    for (const [as, format] of [
      [undefined, { kind: 'redact' }],
      [null, { kind: 'null' }],
      ['null', { kind: 'null' }],
      ['hash', { kind: 'hash' }],
      [{ fixed: 'hidden' }, { kind: 'fixed', text: 'hidden' }],
      ['fixed: not for you', { kind: 'fixed', text: 'not for you' }],
    ] as const) {
      assert.deepEqual(ruleOf({ detect: ['card'], ...(as !== undefined && { as }) })?.as, format);
    }
    assert.deepEqual(ruleOf({ connection: ['o*', 'orders'], detect: ['card'] })?.connection, ['o*', 'orders']);
  });

  it('is off where nothing is said, and a connection then only counts conditions', () => {
    const config = parseConfig(
      changed((file) =>
        set(file, {
          masking: undefined,
          'connections[0].predicates': undefined,
          'connections[0].pure': undefined,
          'connections[0].trusted_extensions': undefined,
        }),
      ),
      { sources },
    );
    assert.deepEqual(config.masking, []);
    const [{ predicates, pure, trustedExtensions } = {}] = config.connections;
    assert.deepEqual({ predicates, pure, trustedExtensions }, { predicates: 'audit', pure: [], trustedExtensions: [] });
  });

  const columns = ['public.customers.ssn'];
  const mistakes: [string, Readonly<Record<string, unknown>>, string][] = [
    ['nothing to mask', {}, 'masking[0]: expected columns, detect or patterns'],
    ['two parts', { columns: ['customers.ssn'] }, 'masking[0].columns[0]: expected schema.table.column'],
    ['four parts', { columns: ['a.b.c.d'] }, 'masking[0].columns[0]: expected schema.table.column'],
    ['an open quote', { columns: ['a."b.c'] }, 'masking[0].columns[0]: expected schema.table.column'],
    ['another detector', { detect: ['phone'] }, 'masking[0].detect[0]: expected one of card, ssn'],
    ['another format', { columns, as: 'last5' }, 'masking[0].as: expected redact, last4, partial'],
    ['an empty text', { columns, as: { fixed: '' } }, 'masking[0].as: expected a text of 1 to 200'],
    ['an unknown key', { columns, colums: [] }, 'masking[0].colums: unknown key; did you mean columns?'],
    ['an unknown connection', { columns, connection: 'ordrs' }, 'masking[0].connection: there is no connection ordrs'],
    ['no group', { columns, except: { groups: [] } }, 'masking[0].except.groups: expected at least one'],
    [
      'a pattern that looks behind',
      { patterns: [{ name: 'x', pattern: '(?<=a)b' }] },
      'masking[0].patterns[0].pattern: expected an RE2 regular expression',
    ],
    [
      'a long pattern',
      { patterns: [{ name: 'x', pattern: 'x'.repeat(257) }] },
      'masking[0].patterns[0].pattern: expected a regular expression of 1 to 256 characters',
    ],
  ];
  for (const [name, rule, expected] of mistakes) {
    it(`names path and remedy: ${name}`, () => {
      const found = problems(masked(rule));
      assert.equal(found.length, 1, found.join('\n'));
      assert.ok(found[0]?.startsWith(expected), found[0]);
    });
  }

  it('takes at most fifty patterns in all', () => {
    const patterns = Array.from({ length: 30 }, (_, i) => ({ name: `p${i}`, pattern: 'ab' }));
    const text = changed((file) => {
      set(file, { masking: [0, 1].map(() => ({ connection: 'orders', patterns })) });
    });
    assert.deepEqual(problems(text), ['masking: expected at most 50 patterns in all']);
  });

  it('does not except a group that several issuers may have, unless the rule says whose', () => {
    const issuer = { issuer: 'https://other.example.com', audience: 'countersign', groups: 'groups' };
    const file = (group: string) =>
      changed((all) => {
        set(all, { 'identity.issuers[2]': issuer, rules: [], 'connections[0].access': undefined });
        set(all, { masking: [{ connection: 'orders', columns, except: { groups: [group] } }] });
      });
    assert.match(
      problems(file('auditors'))[0] ?? '',
      /^masking\[0\]\.except\.groups: several issuers can have auditors/,
    );
    assert.deepEqual(problems(file('https://login.example.com#auditors')), []);
  });
});
