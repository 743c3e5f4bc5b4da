/** Who signs a release by break-glass. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rejection } from '../../test/support/rejection.ts';
import type { GlassBroken } from '../holds/glass.ts';
import { reviewAnswers } from './review.ts';

describe('a review of a release by break-glass', () => {
  const identity = { issuer: 'https://login.example.com', subject: 'carol' };
  const record = { hold: 'hold-1', shortId: 'A1B2C3', user: 'U0CAROL', name: 'carol' } as GlassBroken;
  const review = (user: string, admin = true) => {
    const asker = { user, team: 'T0ACME', name: user, admin, approver: true, own: () => false };
    const answers = reviewAnswers({
      reviews: { find: async () => record, sign: async () => true },
      audit: { commit: async () => undefined as never },
      people: () => ['U0CAROL', 'U1CAROL'].map((slack) => ({ slack, ...identity })),
      signed: () => {},
    });
    return answers.review({ do: 'review', hold: record.hold }, { ...asker, channel: 'C0APPROVALS', ask: 'ask-1' });
  };

  it('is signed by another admin', async () => {
    assert.equal((await review('U0ERIN')).ok, true);
  });
  for (const user of ['U0CAROL', 'U1CAROL']) {
    it(`is not signed by whoever broke it, as ${user}`, async () => {
      assert.match((await rejection(review(user))).message, /another admin has to review it/);
    });
  }
  it('is not signed by whoever is no admin', async () => {
    assert.match((await rejection(review('U0ERIN', false))).message, /only an admin/);
  });
});
