/** Who is told of live sessions, and how often: soon of each, and never of one alone where many changed. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { Reel } from './reel.ts';
import type { SessionSummary } from './shape.ts';
import { Telling } from './telling.ts';

const reelOf = (): Reel => {
  const session = randomUUID();
  const principal = { issuer: 'https://i.example.com', subject: 'b', kind: 'agent', name: 'b', groups: [] } as const;
  const head = { v: 1, kind: 'session', session, gateway: 'gw', startedAt: 1, principal, peer: 'p' } as const;
  return new Reel(
    { ...head, connection: 'orders', environment: 'test', protocol: 'postgres' },
    { slot: 1, file: 'f', path: '/f' },
    { resultBytes: 1, now: () => 1, onLine: () => {}, full: () => false, onEnd: () => {} },
  );
};

describe('telling of live sessions', () => {
  let ms = 0;
  let words: (readonly SessionSummary[])[] = [];
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
    words = [];
  });
  afterEach(() => mock.timers.reset());
  const telling = () =>
    new Telling(
      (summaries) => words.push(summaries),
      () => ms,
    );
  const pass = (by: number) => {
    for (let left = by; left > 0; left -= 250) {
      ms += 250;
      mock.timers.tick(250);
    }
    return words.splice(0).map(({ length }) => length);
  };

  it('tells of sessions that begin together and then are idle, each once, many in one word', () => {
    const told = telling();
    for (let n = 0; n < 250; n++) told.begun(reelOf());
    assert.deepEqual(pass(2_000), [100, 100, 50]);
  });

  it('tells of a session that changes all the time every five seconds, of an idle one every minute', () => {
    const told = telling();
    const [busy, idle] = [reelOf(), reelOf()];
    for (const reel of [busy, idle]) told.begun(reel);
    assert.deepEqual(pass(1_000), [2]);
    const during: number[] = [];
    for (let second = 0; second < 30; second++) {
      busy.entry({ kind: 'operation', verdict: 'allow' }, '');
      during.push(...pass(1_000));
    }
    assert.deepEqual(during, [1, 1, 1, 1, 1, 1]);
    busy.entry({ kind: 'operation', verdict: 'allow' }, '');
    assert.deepEqual(pass(50_000), [1, 1], 'what changed last, and the idle one again');
  });

  it('tells each of more than fit into one word, however many change again meanwhile', () => {
    const told = telling();
    const reels = Array.from({ length: 3_000 }, reelOf);
    for (const reel of reels) told.begun(reel);
    const heard = new Set<string>();
    for (let look = 0; look < 30; look++) {
      for (const reel of reels) reel.changed = true;
      ms += 250;
      mock.timers.tick(250);
      for (const { session } of words.splice(0).flat()) heard.add(session);
    }
    assert.equal(heard.size, reels.length);
  });

  it('tells nothing of one that is over', () => {
    const told = telling();
    const reel = reelOf();
    told.begun(reel);
    told.over(reel);
    assert.deepEqual(pass(120_000), []);
  });
});
