import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Profile } from '../../../masking/profile.ts';
import { errorResponse } from '../builders.ts';
import { type Masking, Shield, UNMASKED } from './shield.ts';

const bytes = errorResponse({ severity: 'ERROR', sqlstate: '22P02', message: 'invalid input: "078-05-1120"' });
const error = { type: 0x45, bytes, first: true, last: true };
const inspector = { masked: () => undefined, replanned: () => undefined, catalogueAgeMs: () => undefined };
const profile: Profile = {
  id: 'p',
  maskOf: () => undefined,
  hasColumns: true,
  detection: undefined,
  predicates: 'audit',
};

describe('what was judged before a rule masked anything', () => {
  let now: Masking = UNMASKED;
  const shield = new Shield(() => now, inspector);

  it('needs nothing while no rule does', () => {
    now = UNMASKED;
    assert.equal(shield.describes({}), false);
    shield.ran({});
    assert.equal(shield.report(error), undefined);
  });

  it('must be described, and its errors are withheld, once one does', () => {
    now = { ...UNMASKED, profile };
    assert.equal(shield.describes({}), true);
    assert.equal(shield.describes({ rowless: true }), false);
    shield.ran({});
    assert.equal(shield.report(error)?.bytes.includes('078-05-1120'), false);
    shield.transactionOver();
    assert.equal(shield.report(error), undefined);
  });
});
