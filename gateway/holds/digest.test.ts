/** What an approval covers: every field, none able to pass for another. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { demand, operation } from '../../test/support/hold-stage.ts';
import type { Operation } from '../operation.ts';
import { type Covered, digestOf } from './digest.ts';

const op = operation({ id: 'op', parameters: [{ format: 'text', value: Buffer.from('1') }] });
const covered: Covered = {
  hold: 'h',
  salt: new Uint8Array(32),
  operation: op,
  demands: [demand()],
  policyVersion: 'v1',
};
const withOp = (change: Partial<Operation>): Covered => ({ ...covered, operation: { ...op, ...change } });
const text = (value: string) => ({ format: 'text' as const, value: Buffer.from(value) });

describe('the digest', () => {
  it('is another for every single thing an approval covers', () => {
    const variants: Covered[] = [
      covered,
      { ...covered, hold: 'i' },
      { ...covered, salt: new Uint8Array(32).fill(1) },
      { ...covered, policyVersion: 'v2' },
      { ...covered, demands: [demand(), demand({ rule: 'other' })] },
      { ...covered, demands: [demand({ quorum: 2 })] },
      { ...covered, demands: [demand({ approvers: ['@dba', '-oncall'] })] },
      { ...covered, demands: [demand({ requireReason: true })] },
      withOp({ text: 'DROP TABLE orders ' }),
      withOp({ text: 'drop TABLE orders' }),
      withOp({ connection: 'orders2' }),
      withOp({ environment: 'staging' }),
      withOp({ session: 'session-2' }),
      withOp({ frame: 'search_path=private' }),
      withOp({ inTransaction: true }),
      withOp({ caps: { rows: 1, bytes: 1 } }),
      withOp({ principal: { ...op.principal, subject: 'deploy-bot' } }),
      withOp({ principal: { ...op.principal, issuer: 'https://login.example.org' } }),
      withOp({ parameters: [] }),
      withOp({ parameters: [text('2')] }),
      withOp({ parameters: [{ format: 'binary', value: Buffer.from('1') }] }),
      withOp({ parameters: [{ format: 'text', value: null }] }),
      withOp({ parameters: [text('')] }),
      withOp({ parameters: [text('1'), text('')] }),
      withOp({ parameters: [text('null')] }),
    ];
    assert.equal(new Set(variants.map(digestOf)).size, variants.length);
    assert.match(digestOf(covered), /^[0-9a-f]{64}$/);
    assert.equal(digestOf(covered), digestOf({ ...covered }));
  });

  it('does not depend on what is only shown', () => {
    const shown = withOp({ shown: 'DROP TABLE …', shownParameters: ['x'], headline: 'harmless', risks: ['none'] });
    assert.equal(digestOf(shown), digestOf(covered));
  });

  it('lets no field borrow bytes from its neighbour', () => {
    assert.notEqual(digestOf(withOp({ frame: 'ab', text: 'c' })), digestOf(withOp({ frame: 'a', text: 'bc' })));
    assert.notEqual(
      digestOf(withOp({ parameters: [text('ab'), text('c')] })),
      digestOf(withOp({ parameters: [text('a'), text('bc')] })),
    );
  });
});
