/** Counting against budgets: exact to the row, shared within the hour, lifted for one result only. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BudgetMeter, Hours, Reading } from './meter.ts';
import type { Budget, Limit } from './policy.ts';

const MINUTE_MS = 60_000;
const budget = (rule: string, of: Limit['of'], per: Limit['per'], most: number): Budget => ({
  key: `file:${rule} ${of}/${per}`,
  count: `file:${rule}`,
  rule,
  limit: { of, per, most },
  verdict: 'deny',
  why: 'enough',
});
const rows = (most: number) => budget('exports', 'rows', 'statement', most);

function stage() {
  const time = { now: 1_234_567 };
  const hours = new Hours(() => time.now, 3);
  const meter = (budgets: readonly Budget[], principal = 'bot') => new BudgetMeter(budgets, hours, principal);
  return { time, hours, meter };
}

describe('the budget of one result', () => {
  it('says how much may pass, and stops the row behind it', () => {
    const meter = stage().meter([rows(1_000)]);
    assert.deepEqual([meter.rowsLeft, meter.bytesLeft], [1_000, Number.POSITIVE_INFINITY]);
    meter.count(999, 9_990);
    assert.deepEqual([meter.rowsLeft, meter.stopping(10).length], [1, 0]);
    meter.count(1, 10);
    assert.equal(meter.rowsLeft, 0);
    assert.deepEqual(
      meter.stopping(10).map(({ rule }) => rule),
      ['exports'],
    );
    assert.deepEqual(meter.passed, { rows: 1_000, bytes: 10_000 });
  });

  it('lets no row pass that would bring it above its bytes', () => {
    const meter = stage().meter([budget('big', 'bytes', 'statement', 100)]);
    meter.count(9, 90);
    assert.deepEqual([meter.stopping(10).length, meter.stopping(11).length], [0, 1]);
  });

  it('is lifted for the rest of it, while the others go on counting', () => {
    const meter = stage().meter([rows(10), budget('more', 'rows', 'statement', 20)]);
    meter.count(10, 0);
    meter.lift(meter.stopping(1));
    assert.equal(meter.rowsLeft, 10);
    meter.count(10, 0);
    assert.deepEqual(
      meter.stopping(1).map(({ rule }) => rule),
      ['more'],
    );
  });

  it('is of a cursor as a whole, not of each FETCH from it', () => {
    const { meter } = stage();
    const cursor = new Reading();
    const [first, second] = [meter([rows(1_000)]), meter([rows(1_000)])];
    first.follow([cursor]);
    first.count(900, 0);
    second.follow([cursor]);
    assert.equal(second.rowsLeft, 100);
    second.count(100, 0);
    second.lift(second.stopping(1));
    const third = meter([rows(1_000)]);
    third.follow([cursor]);
    assert.equal(third.rowsLeft, Number.POSITIVE_INFINITY);
  });
});

describe('the budget of an hour', () => {
  const hourly = [budget('flood', 'rows', 'hour', 100), budget('flood', 'bytes', 'hour', 1_000)];

  it('is shared by all statements of a principal, and by nobody else', () => {
    const { meter } = stage();
    meter(hourly).count(60, 300);
    const next = meter(hourly);
    assert.deepEqual([next.rowsLeft, next.bytesLeft], [40, 700]);
    assert.equal(meter(hourly, 'other').rowsLeft, 100);
  });

  it('lasts an hour and no longer than a minute more', () => {
    const { time, meter } = stage();
    meter(hourly).count(100, 0);
    time.now += 60 * MINUTE_MS;
    assert.equal(meter(hourly).rowsLeft, 0);
    time.now += MINUTE_MS;
    assert.equal(meter(hourly).rowsLeft, 100);
  });

  it('slides: what is older goes, what is younger stays', () => {
    const { time, meter } = stage();
    for (let minute = 0; minute < 100; minute++) {
      meter(hourly).count(1, 0);
      time.now += MINUTE_MS;
    }
    assert.equal(meter(hourly).rowsLeft, 100 - 60);
    time.now += 1_000 * MINUTE_MS;
    assert.equal(meter(hourly).rowsLeft, 100);
  });

  it('counts on when it is lifted for one result: the next one is asked about again', () => {
    const { meter } = stage();
    const first = meter(hourly);
    first.count(100, 0);
    first.lift(first.stopping(1));
    assert.equal(first.rowsLeft, Number.POSITIVE_INFINITY);
    first.count(50, 0);
    assert.equal(meter(hourly).rowsLeft, -50);
  });

  it('keeps only so many counts, and lets the one unused longest go', () => {
    const { hours } = stage();
    for (const who of ['a', 'b', 'c']) hours.add(who, 'r', 1, 0);
    hours.add('a', 'r', 1, 0);
    hours.add('d', 'r', 1, 0);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((who) => hours.sum(who, 'r', 'rows')),
      [2, 0, 1, 1],
    );
  });
});
