/** Who signs a release by break-glass, once, and what goes on record of it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Redis } from 'ioredis';
import { connectCommands, connected } from '../../queue/connection.ts';
import { newKeyPair, signingKey, verifyingKey } from '../../queue/sign.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { rejection } from '../../test/support/rejection.ts';
import { TrailOfTest } from '../../test/support/trail-of-test.ts';
import type { GlassBroken } from '../holds/glass.ts';
import { Reviews } from '../state/reviews.ts';
import { SignedStore } from '../state/signed.ts';
import { type ReviewDeps, reviewAnswers } from './review.ts';

const HOLD = '0198b2c4-0000-7000-8000-000000000001';

describe('a review of a release by break-glass', () => {
  const identity = { issuer: 'https://login.example.com', subject: 'carol' };
  const about = { shortId: 'A1B2C3', connection: 'orders', environment: 'production', headline: 'DROP TABLE a' };
  const record: GlassBroken = {
    hold: HOLD,
    ...about,
    requester: 'report-bot',
    user: 'U0CAROL',
    name: 'carol',
    reason: 'paged',
    at: 1,
  };
  let server: TestRedis;
  let redis: Redis;
  let reviews: Reviews;
  before(async () => {
    server = await startRedis();
    redis = connectCommands(server.url, () => {});
    await connected(redis, 5_000);
    const own = signingKey(newKeyPair().secret);
    reviews = new Reviews(new SignedStore(redis, { own, trusted: () => [verifyingKey(own.public)] }));
  });
  after(async () => {
    redis.disconnect();
    await server.stop();
  });

  /** One gateway's answer; `told` is who was said to have signed. */
  const gatewayOf = ({ trail = new TrailOfTest(), store = reviews as ReviewDeps['reviews'] } = {}) => {
    const told: string[] = [];
    const answers = reviewAnswers({
      reviews: store,
      audit: trail,
      people: () => ['U0CAROL', 'U1CAROL'].map((slack) => ({ slack, ...identity })),
      signed: (_, by) => told.push(by),
    });
    const review = (user: string, admin = true) => {
      const asker = { user, team: 'T0ACME', name: user, admin, approver: true, own: () => false };
      return answers.review({ do: 'review', hold: HOLD }, { ...asker, channel: 'C0APPROVALS', ask: `ask-${user}` });
    };
    return { review, trail, told };
  };
  const signatures = (...trails: TrailOfTest[]) =>
    trails.flatMap((trail) => trail.of('review.signed')).map(({ by, failed }) => [by, failed]);

  it('is signed by another admin', async () => {
    await reviews.open(record);
    const { review, trail, told } = gatewayOf();
    assert.equal((await review('U0ERIN')).ok, true);
    assert.deepEqual([signatures(trail), told], [[['U0ERIN', undefined]], ['U0ERIN']]);
    assert.match((await review('U0ERIN')).text, /signed already/);
  });
  for (const user of ['U0CAROL', 'U1CAROL']) {
    it(`is not signed by whoever broke it, as ${user}`, async () => {
      await reviews.open(record);
      assert.match((await rejection(gatewayOf().review(user))).message, /another admin has to review it/);
    });
  }
  it('is not signed by whoever is no admin', async () => {
    assert.match((await rejection(gatewayOf().review('U0ERIN', false))).message, /only an admin/);
  });

  it('that several sign at once has one signature on record, the one that counts', async () => {
    for (let round = 0; round < 20; round++) {
      await reviews.open(record);
      const people = ['U0ERIN', 'U0FRANK', 'U0GRACE', 'U0HEIDI'];
      const gateways = people.map(() => gatewayOf());
      const answers = await Promise.all(people.map((user, at) => gateways[at]?.review(user)));
      const counted = people.filter((_, at) => answers[at]?.ok);
      assert.equal(counted.length, 1, answers.map((answer) => answer?.text).join(' | '));
      assert.deepEqual(
        signatures(...gateways.map(({ trail }) => trail)),
        counted.map((user) => [user, undefined]),
      );
    }
  });

  it('that ends, or becomes another’s, while it is signed has a signature on record that says it did not count', async () => {
    for (const meanwhile of [() => reviews.drop(HOLD), () => reviews.open({ ...record, user: 'U0ERIN' })]) {
      await reviews.open(record);
      const trail = new TrailOfTest();
      trail.beforeCommit = meanwhile;
      const { review, told } = gatewayOf({ trail });
      assert.equal((await review('U0ERIN')).ok, false);
      const failed = 'it was not waiting for a review any more';
      assert.deepEqual(
        [signatures(trail), told],
        [
          [
            ['U0ERIN', undefined],
            ['U0ERIN', failed],
          ],
          [],
        ],
      );
    }
    assert.equal((await reviews.find(HOLD))?.record.user, 'U0ERIN', 'nobody signs what they broke themselves');
  });

  it('stays open, and can be signed, after a signature that nobody could put on record or take off the list', async () => {
    await reviews.open(record);
    const trail = new TrailOfTest();
    trail.fails = () => true;
    await assert.rejects(gatewayOf({ trail }).review('U0ERIN'), /the disk is full/);
    const store: ReviewDeps['reviews'] = {
      find: (hold) => reviews.find(hold),
      claim: (...args) => reviews.claim(...args),
      leave: (...args) => reviews.leave(...args),
      sign: () => Promise.reject(new Error('gone')),
    };
    const away = gatewayOf({ store });
    assert.match((await rejection(away.review('U0FRANK'))).message, /Redis is not reachable/);
    assert.match(String(signatures(away.trail).at(-1)?.[1]), /did not say whether/);
    const { review, trail: last } = gatewayOf();
    assert.equal((await review('U0GRACE')).ok, true);
    assert.deepEqual(signatures(last), [['U0GRACE', undefined]]);
  });
});
