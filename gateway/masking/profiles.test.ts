/** Which rules meet whom, and which of them decides. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createProfiles } from './profiles.ts';

const rule = (more: object) => ({
  connection: ['orders'],
  columns: [],
  detect: [],
  patterns: [],
  as: { kind: 'redact' } as const,
  ...more,
});
const column = (text: string) => {
  const [schema = '', table = '', name = ''] = text.split('.');
  return { schema, table, column: name };
};
const A = { issuer: 'https://a', groups: 'groups' };
const B = { issuer: 'https://b', groups: 'groups' };
const config = (masking: ReturnType<typeof rule>[], issuers: readonly { issuer: string; groups?: string }[] = [A]) => ({
  masking,
  connections: [{ name: 'orders', predicates: 'audit' as const }],
  identity: { issuers },
});
const who = (groups: readonly string[] = [], issuer = A.issuer) => ({ issuer, groups });

describe('a profile', () => {
  const ssn = rule({ columns: [column('public.customers.ssn'), column('*.*.card*')], as: { kind: 'last4' } });

  it('says how a column is masked by name, as the first rule that names it says', () => {
    const { profileFor } = createProfiles(config([ssn, rule({ columns: [column('*.*.*')] })]));
    const profile = profileFor('orders', who());
    assert.deepEqual(profile?.maskOf('public', 'customers', 'ssn'), { kind: 'last4' });
    assert.deepEqual(profile?.maskOf('x', 'y', 'card_number'), { kind: 'last4' });
    assert.deepEqual(profile?.maskOf('public', 'customers', 'id'), { kind: 'redact' });
    assert.equal(profile?.maskOf('public', 'customers', 'ssn'), profile?.maskOf('public', 'customers', 'ssn'));
    assert.equal(profile?.hasColumns, true);
    assert.equal(profile?.predicates, 'audit');
  });

  it('is not there where nothing applies, and is one object where the same rules do', () => {
    const { profileFor } = createProfiles(config([ssn, rule({ connection: ['b*'], detect: ['card'] })]));
    assert.equal(profileFor('other', who()), undefined);
    assert.equal(profileFor('orders', who(['x'])), profileFor('orders', who(['y'])));
    assert.equal(profileFor('billing', who())?.hasColumns, false);
    assert.notEqual(profileFor('billing', who())?.id, profileFor('orders', who())?.id);
    assert.equal(profileFor('billing', who())?.predicates, 'hold', 'nobody configured this connection');
    const again = createProfiles(config([ssn]));
    assert.equal(again.profileFor('orders', who())?.id, profileFor('orders', who())?.id);
  });

  it('looks for all that any rule names, each masked as the first that names it says', () => {
    const { profileFor } = createProfiles(
      config([
        rule({ detect: ['card'], as: { kind: 'last4' } }),
        rule({ detect: ['card', 'ssn'], patterns: [{ name: 'staff', pattern: 'EMP-' }] }),
      ]),
    );
    assert.deepEqual(profileFor('orders', who())?.detection, {
      detectors: [
        { name: 'card', as: { kind: 'last4' } },
        { name: 'ssn', as: { kind: 'redact' } },
      ],
      patterns: [{ name: 'staff', source: 'EMP-', as: { kind: 'redact' } }],
    });
  });

  it('is not for the groups it excepts, which belong to their issuer', () => {
    const excepting = (group: string, issuers = [A]) =>
      createProfiles(config([rule({ ...ssn, except: { groups: [group] } })], issuers)).profileFor;
    assert.equal(excepting('auditors')('orders', who(['x', 'auditors'])), undefined);
    assert.ok(excepting('auditors')('orders', who(['auditors2'])));
    assert.ok(excepting('auditors')('orders', who()), 'no group is known');
    assert.ok(
      excepting('auditors', [A, B])('orders', who(['auditors'])),
      'of several issuers, a bare name tells nobody',
    );
    assert.equal(excepting('https://a#auditors', [A, B])('orders', who(['auditors'])), undefined);
    assert.ok(excepting('https://a#auditors', [A, B])('orders', who(['auditors'], B.issuer)));
    assert.ok(excepting('https://b#x')('orders', who(['https://b#x'])), 'a group that calls itself another issuer’s');
  });
});
