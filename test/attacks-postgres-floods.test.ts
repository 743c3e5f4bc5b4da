/** 20 Sockets that never log in, and log-ins that never get in: a slice of `npm run soak -- floods`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { underFlood } from './soak/floods.ts';

const limits = { halfOpen: 200, halfOpenPerAddress: 100 };

describe('20 floods at the door', { timeout: 180_000 }, () => {
  it('1,000 half-open sockets that come back whenever they are ended: others still log in', async () => {
    const { flood, took, grown } = await underFlood('half-open', { count: 1_000, logins: 10, limits });
    assert.equal(took.length, 10);
    assert.ok(flood.refused >= 700, `only ${flood.refused} made room`);
    assert.ok(grown < 256 << 20, `${grown >> 20} MB more`);
  });

  it('a flood of log-ins with wrong tokens: others still log in, and the trail counts what it does not spell out', async () => {
    const { flood, took, trail } = await underFlood('log-ins', { count: 100, logins: 10 });
    assert.equal(took.length, 10);
    assert.ok(flood.opened >= 100);
    assert.ok(trail.entries <= 8 * 21 + 1, `${trail.entries} entries`);
    assert.ok(trail.stoodFor >= 90, `${trail.stoodFor} refusals`);
  });
});
