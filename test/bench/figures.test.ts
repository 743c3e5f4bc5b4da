/** What turns measurements into claims: medians, percentiles, goals, CPU time. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { cpuMs, rssBytes } from './cpu.ts';
import { percentile, spread } from './figures.ts';
import { atLeast, atMost, reportSchema, table } from './report.ts';

describe('the benchmark’s figures', () => {
  it('has the median, the least and the most of several rounds, in whatever order they came', () => {
    assert.deepEqual(spread([9, 1, 5, 30, 2]), { median: 5, min: 1, max: 30 });
    assert.throws(() => spread([]), /nothing was measured/);
  });

  it('takes as the 99th percentile what one in a hundred exceeds', () => {
    const figures = Array.from({ length: 1_000 }, (_, n) => 999 - n);
    assert.equal(percentile(figures, 0.99), 990);
    assert.equal(percentile(figures, 0.5), 500);
    assert.throws(() => percentile([], 0.5), /nothing was measured/);
  });

  it('tells a goal met from its first step and from neither', () => {
    assert.deepEqual(
      [1.02, 0.8, 0.7].map((ratio) => atLeast(ratio, 1, 0.75).met),
      ['met', 'first step', 'not met'],
    );
    assert.deepEqual(
      [100, 100.1].map((added) => atMost(added, 100, 'µs').met),
      ['met', 'not met'],
    );
  });

  it('shows every row with its goal, and refuses a report without rows or with what it does not know', () => {
    const row = {
      part: 'select',
      what: 'point select: tps',
      cells: { direct: '10,000', gateway: '8,000' },
      compared: '0.80 of pgbouncer',
      goal: atLeast(0.8, 1, 0.75),
      figures: { ratio: { median: 0.8, min: 0.7, max: 0.9 } },
    };
    const line = '| point select: tps | 10,000 |  |  | 8,000 | 0.80 of pgbouncer | ≥ 0.75, then 1.0 | first step |';
    assert.equal(table([row]).split('\n').at(-1), line);
    const machine = {
      cpus: 2,
      model: 'x',
      memoryGb: 4,
      load: 0,
      node: 'v20',
      postgres: '18',
      redis: '7',
      pgbouncer: '1',
    };
    const report = { command: 'npm run bench -- postgres', machine, seconds: 5, rows: [row] };
    assert.equal(reportSchema.safeParse(report).success, true);
    assert.equal(reportSchema.safeParse({ ...report, rows: [] }).success, false);
    assert.equal(
      reportSchema.safeParse({ ...report, rows: [{ ...row, figures: { tps: Number.NaN } }] }).success,
      false,
    );
  });

  it('counts the CPU time and memory of a process with its children', async () => {
    const busy = 'while (process.cpuUsage().user < 200_000); console.log(1); setInterval(() => {}, 1e6)';
    const parent = spawn(
      process.execPath,
      [
        '-e',
        `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(busy)}], { stdio: 'inherit' }); setInterval(() => {}, 1e6)`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'], detached: true },
    );
    try {
      await once(parent.stdout, 'data'); // of the child
      const own = await cpuMs(process.pid);
      assert.ok((await cpuMs(parent.pid ?? 0)) >= 100, 'the child’s work is counted');
      assert.ok(own > 0);
      assert.ok((await rssBytes(parent.pid ?? 0)) > 40 << 20, 'two processes of node');
    } finally {
      process.kill(-(parent.pid ?? 0), 'SIGKILL'); // the group that was made for the two
    }
  });
});
