/** Cancel keys: only the right secret reaches its own session, and only while that lives. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CancelKeys } from './cancel.ts';
import { HalfOpen } from './half-open.ts';

describe('cancel keys', () => {
  it('reach their own session and no other', async () => {
    const keys = new CancelKeys({ gatewayId: 'a' });
    const cancelled: string[] = [];
    const one = keys.register(() => void cancelled.push('one'));
    const two = keys.register(() => void cancelled.push('two'), 32);
    await keys.handle(one.pid, two.secret);
    await keys.handle(two.pid, one.secret);
    await keys.handle(one.pid, Buffer.alloc(4));
    await keys.handle(one.pid, one.secret.subarray(0, 3));
    await keys.handle(0, Buffer.alloc(4));
    assert.deepEqual(cancelled, []);
    await keys.handle(two.pid, two.secret);
    await keys.handle(one.pid, one.secret);
    assert.deepEqual(cancelled, ['two', 'one']);
    assert.notEqual(one.pid, two.pid);
  });

  it('are random, positive, and forgotten with their session', async () => {
    const keys = new CancelKeys({ gatewayId: 'a' });
    const made = Array.from({ length: 500 }, () => keys.register(() => assert.fail('it is gone')));
    assert.equal(new Set(made.map(({ pid }) => pid)).size, 500);
    assert.equal(new Set(made.map(({ secret }) => secret.toString('hex'))).size, 500);
    assert.ok(made.every(({ pid }) => pid > 0 && pid <= 0x7fffffff));
    for (const key of made) key.release();
    for (const key of made) key.release();
    assert.equal(keys.size, 0);
    await keys.handle(made[0]!.pid, made[0]!.secret);
  });

  it('of another gateway go to it, unread; what comes from it goes no further', async () => {
    const forwarded: [number, string][] = [];
    const b = new CancelKeys({ gatewayId: 'b' });
    const a = new CancelKeys({
      gatewayId: 'a',
      forwardCancel: (pid, secret) => void forwarded.push([pid, secret.toString('hex')]),
    });
    let cancelled = 0;
    const key = b.register(() => void cancelled++);
    await a.handle(key.pid, key.secret);
    assert.deepEqual(forwarded, [[key.pid, key.secret.toString('hex')]]);
    assert.equal(await a.handleOwn(key.pid, key.secret), false);
    assert.equal(await b.handleOwn(key.pid, key.secret), true);
    assert.equal(cancelled, 1);
    const own = a.register(() => assert.fail('wrong secret'));
    await a.handle(own.pid, Buffer.alloc(4));
    await new CancelKeys({ gatewayId: 'c' }).handle(key.pid, key.secret); // nobody to pass it to
    assert.equal(forwarded.length, 1);
  });

  it('are bounded', () => {
    const keys = new CancelKeys({ gatewayId: 'a' });
    for (let i = 0; i < 1 << 15; i++) keys.register(() => {});
    assert.throws(() => keys.register(() => {}), { code: 'LIMIT' });
  });
});

describe('half-open log-ins', () => {
  it('evict the oldest of the address that has too many, else the oldest of all', () => {
    const evicted: string[] = [];
    const door = new HalfOpen({ total: 4, perAddress: 2 });
    const leave = door.enter('a', () => evicted.push('a1'));
    door.enter('a', () => evicted.push('a2'));
    door.enter('b', () => evicted.push('b1'));
    door.enter('a', () => evicted.push('a3'));
    assert.deepEqual(evicted, ['a1']);
    door.enter('c', () => evicted.push('c1'));
    door.enter('d', () => evicted.push('d1'));
    assert.deepEqual(evicted, ['a1', 'a2']);
    leave(); // evicted already: nothing more happens
    assert.equal(door.size, 4);
  });

  it('make room when they are done', () => {
    const door = new HalfOpen({ total: 1, perAddress: 1 });
    for (let i = 0; i < 100; i++) door.enter('a', () => assert.fail('nobody was in the way'))();
    assert.equal(door.size, 0);
  });
});
