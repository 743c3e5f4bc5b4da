/** A flood of refused log-ins does not flood the trail, and none of them is lost from it. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { AuditEntry } from '../audit/entry.ts';
import { GatewayError } from '../errors.ts';
import { Refusals } from './refusals.ts';

let entries: AuditEntry[];
let logged: number;
let clock: number;
let broken: boolean;
let refusals: Refusals;
beforeEach(() => {
  entries = [];
  logged = 0;
  clock = 0;
  broken = false;
  refusals = new Refusals({
    audit: {
      append: (entry) => {
        if (broken) throw new GatewayError('AUDIT', 'the audit trail cannot be written');
        entries.push(entry);
      },
    },
    log: () => logged++,
    now: () => clock,
  });
});
const refuse = (peer: string, code = 'AUTH') => refusals.record({ kind: 'auth.refused', peer, code, message: 'no' });
const counted = () => entries.reduce((sum, { count }) => sum + (typeof count === 'number' ? count : 1), 0);

describe('refused log-ins in the trail', () => {
  it('stand there one by one while they are few', () => {
    for (let i = 0; i < 20; i++) refuse('10.0.0.1');
    refusals.flush();
    assert.equal(entries.length, 20);
    assert.ok(entries.every(({ message }) => message === 'no'));
  });

  it('a flood from one address: the first in full, then one entry with a count by code', () => {
    let inFull = 0;
    for (let i = 0; i < 10_000; i++) if (refuse('10.0.0.1', i % 4 === 0 ? 'PROTOCOL' : 'AUTH')) inFull++;
    clock = 30_500;
    refusals.flush();
    assert.equal(entries.length, 21);
    assert.deepEqual(entries.at(-1), {
      kind: 'auth.refused',
      peer: '10.0.0.1',
      count: 9_980,
      codes: { AUTH: 7_485, PROTOCOL: 2_495 },
      seconds: 31,
    });
    assert.deepEqual([inFull, logged], [20, 1], 'the log is no way around');
  });

  it('another address is still seen in full during it', () => {
    for (let i = 0; i < 1_000; i++) refuse('10.0.0.1');
    refuse('10.0.0.2');
    assert.deepEqual([entries.length, entries.at(-1)?.peer], [21, '10.0.0.2']);
  });

  it('a flood from 5,000 addresses is bounded too, and every refusal counted', () => {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 5_000; i++) refuse(`10.1.${i >> 8}.${i & 255}`);
    }
    refusals.flush();
    assert.ok(entries.length <= 300 + 1_000 + 1, `${entries.length} entries`);
    assert.equal(counted(), 15_000);
    assert.equal(entries.at(-1)?.peer, 'others');
  });

  it('addresses of one IPv6 network count as one, however they are written', () => {
    for (let i = 0; i < 50; i++) refuse(i % 2 === 0 ? `2001:db8::${i + 1}` : `2001:db8:0:0:${i}::1`);
    refusals.flush();
    assert.equal(entries.length, 21);
    assert.deepEqual([entries.at(-1)?.peer, counted()], ['2001:db8:0:0::/64', 50]);
  });

  it('after a minute the next refusal brings the count, and is in full again', () => {
    for (let i = 0; i < 100; i++) refuse('10.0.0.1');
    clock = 60_000;
    refuse('10.0.0.1');
    assert.deepEqual(
      entries.slice(-2).map(({ count, message }) => [count, message]),
      [
        [80, undefined],
        [undefined, 'no'],
      ],
    );
  });

  it('a trail that cannot be written loses no count: it comes when it can be', () => {
    for (let i = 0; i < 100; i++) refuse('10.0.0.1');
    broken = true;
    assert.throws(() => refusals.flush(), { code: 'AUDIT' });
    clock = 61_000;
    assert.throws(() => refuse('10.0.0.1'), { code: 'AUDIT' });
    broken = false;
    refusals.flush();
    assert.equal(counted(), 100);
  });
});
