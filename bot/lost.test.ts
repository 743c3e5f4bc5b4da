import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Redis } from 'ioredis';
import type { Card } from '../queue/cards.ts';
import { GATEWAYS_KEY, holdContext, holdsKey, recordedKey } from '../queue/leases.ts';
import { seal } from '../queue/sign.ts';
import { aCard, CHANNEL, stage, until } from '../test/support/bot-stage.ts';

describe('a gateway that died', () => {
  it('leaves cards that say so: lost where nothing was released, unknown where it was', async () => {
    const on = await stage();
    const redis = new Redis(on.redis.url);
    try {
      const open = aCard({ shortId: 'card-open', gateway: 'gw-dead' });
      const released = aCard({ shortId: 'card-gone', gateway: 'gw-dead' });
      await on.card(open);
      await on.card(released);
      await on.shown(open, 'DELETE FROM orders');
      await on.shown(released, 'DELETE FROM orders');
      await redis.sadd(GATEWAYS_KEY, 'gw-dead');
      const note = (card: Card) =>
        redis.hset(
          holdsKey('gw-dead'),
          card.hold,
          JSON.stringify(seal(card, holdContext('gw-dead', card.hold), on.gatewayKey)),
        );
      await note(open);
      // It was released, and the card that says so never came.
      await note({ ...released, sequence: 2, state: 'released', releasedAt: Date.now() });
      const [lost, unknown] = await Promise.all([
        on.shown(open, 'Nothing was run.', 30_000), // leases are given time to come back
        on.shown(released, 'outcome unknown, check the target', 30_000),
      ]);
      assert.match(JSON.stringify(lost), /Lost/);
      assert.doesNotMatch(JSON.stringify(unknown), /Nothing was run/);
      const click = await on.slack.act('click', {
        user: 'U0ALICE',
        channel: CHANNEL,
        ts: lost.ts,
        action_id: 'approve',
      });
      assert.equal(click.ok, false); // no buttons are left
      assert.equal(await redis.hlen(holdsKey('gw-dead')), 2, 'kept until a gateway has audited it');
      await redis.sadd(recordedKey('gw-dead'), open.hold, released.hold);
      await until('its index is cleared', async () => (await redis.scard(GATEWAYS_KEY)) === 0);
    } finally {
      redis.disconnect();
      await on.stop();
    }
  });
});
